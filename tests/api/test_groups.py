import json
import shutil

import pytest
import yaml

from genexp.api.groups import group_members, read_member
from genexp.errors import UserError


def grouped(directories):
    return group_members(map(read_member, directories))


@pytest.fixture
def copies(finished_run, tmp_path):
    """Copies of a finished run with other settings, as ``{"training.epochs": 4}``, and another fingerprint."""

    def copy(name, changes, fingerprint=None):
        out = tmp_path / name
        out.mkdir()
        config = yaml.safe_load((finished_run / "config.yaml").read_text())
        for key, value in changes.items():
            *groups, last = key.split(".")
            node = config
            for group in groups:
                node = node[group]
            node[last] = value
        (out / "config.yaml").write_text(yaml.safe_dump(config))
        environment = json.loads((finished_run / "environment.json").read_text())
        environment["dataset"]["fingerprint"] = fingerprint or environment["dataset"]["fingerprint"]
        (out / "environment.json").write_text(json.dumps(environment))
        shutil.copy(finished_run / "metrics.json", out)
        return out

    return copy


def test_runs_that_differ_in_seed_or_hardware_are_one_group(copies):
    runs = [copies(f"{n}", {"seed": n, "hardware.name": ("cpu", "gpu", "auto")[n]}) for n in range(3)]
    other = copies("rate", {"training.learning_rate": 0.1, "seed": 5})
    genes = copies("genes", {}, "0123456789abcdef")
    groups = grouped([runs[0], other, *runs[1:], genes])
    assert [[m.run.path for m in group.members] for group in groups] == [runs, [other], [genes]]
    assert groups[1].name == "xpresso PH training.learning_rate=0.1"
    assert groups[2].name == "xpresso PH training.learning_rate=0.01 genes=0123456789abcdef"
    assert [group.name for group in grouped(runs)] == ["xpresso PH"]


def test_folds_are_one_group_although_each_has_genes_of_its_own(copies):
    runs = [copies(f"{n}-{seed}", {"dataset.fold": n, "seed": seed}, f"fold{n}") for n in (1, 2) for seed in (0, 1)]
    (group,) = grouped(runs)
    assert [(m.fold, m.config.seed) for m in group.completed] == [(1, 0), (1, 1), (2, 0), (2, 1)]
    assert group.name == "xpresso PH"
    with pytest.raises(UserError, match="two runs of fold 1 have different genes"):
        grouped([*runs, copies("changed", {"dataset.fold": 1, "seed": 3}, "changed")])


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(UserError, match="runs="):
        grouped([tmp_path])
