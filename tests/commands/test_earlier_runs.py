"""Runs of earlier versions: their files lack keys and metrics that came later, and every command still reads them."""

import json
import shutil

import pytest
import yaml

from genexp.training.config import LATER


def without(content, name):
    """Return plain content without this key, at any depth."""
    if isinstance(content, dict):
        return {key: without(value, name) for key, value in content.items() if key != name}
    return [without(value, name) for value in content] if isinstance(content, list) else content


@pytest.fixture(scope="module")
def earlier(finished_run, tmp_path_factory):
    run = shutil.copytree(finished_run, tmp_path_factory.mktemp("earlier") / "run")
    config = yaml.safe_load((run / "config.yaml").read_text())
    for group, keys in (("training", LATER), ("model", ("knots", "branch"))):
        for key in keys:
            del config[group][key]
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    metrics = json.loads((run / "metrics.json").read_text())
    (run / "metrics.json").write_text(json.dumps(without(metrics, "rmse")))
    return run


@pytest.mark.parametrize(
    "words",
    [
        ("evaluate", "run_dir={}"),
        ("report", "runs={}"),
        ("compare", "runs={}"),
        ("export", "run_dir={}", "format=hub", "license=mit"),
        ("train", "model=xpresso", "training.start_from={}", "repeats=2", "--cfg", "job"),
    ],
    ids=lambda words: words[0],
)
def test_every_command_reads_an_earlier_run(earlier, tmp_path, cli, words):
    out = [] if words[0] == "train" else [f"out={tmp_path / 'out.html' if words[0] == 'report' else tmp_path / 'out'}"]
    done = cli(*(word.format(earlier) for word in words), *out)
    assert done.returncode == 0, done.stderr
