"""What several runs found together, against plain NumPy."""

import json
import shutil

import numpy as np
import pytest
import yaml

from genexp.api.groups import group_members, read_member
from genexp.api.results import Runs, _found, report


@pytest.fixture
def folds(finished_run, tmp_path):
    """Make runs of three folds of 30 genes, each scaled in its own way where `sds` differ."""

    def make(sds, seeds=(0,)):
        rng = np.random.default_rng(0)
        raw, noise = rng.normal(5, 2, 30), rng.normal(0, 1, (len(seeds), 30))
        for seed in seeds:
            for fold, sd in enumerate(sds, 1):
                run = tmp_path / f"{fold}-{seed}"
                run.mkdir()
                config = yaml.safe_load((finished_run / "config.yaml").read_text())
                config["dataset"]["fold"], config["seed"] = fold, seed
                (run / "config.yaml").write_text(yaml.safe_dump(config))
                shutil.copy(finished_run / "metrics.json", run)
                environment = json.loads((finished_run / "environment.json").read_text())
                scale = {"log10_offset": 0.1, "mean": float(fold), "sd": sd}
                environment["dataset"] |= {"fingerprint": f"fold {fold}", "scaling": {"label": scale} if sd else None}
                (run / "environment.json").write_text(json.dumps(environment))
                lines = ["gene,split,label,prediction", "9,valid,0,0"]
                for gene in range(fold - 1, 30, 3):
                    label, prediction = raw[gene], raw[gene] + noise[seeds.index(seed), gene]
                    scaled = [(x - fold) / sd if sd else x for x in (label, prediction)]
                    lines.append(",".join(map(str, [f"0{gene}", "test", *scaled])))
                (run / "predictions.csv").write_text("\n".join(lines))
        return raw, raw + noise

    return make


def found_in(tmp_path):
    (group,) = group_members(read_member(path) for path in sorted(tmp_path.iterdir()) if path.is_dir())
    return _found(group)


@pytest.mark.parametrize("sds", [(2.0, 3.0, 0.5), (None, None, None)])
def test_out_of_fold_predictions_are_in_one_unit(folds, tmp_path, sds):
    raw, predicted = folds(sds)
    found = found_in(tmp_path)
    table = found.predictions.sort_values("gene", key=lambda genes: genes.astype(int))
    assert table["gene"].tolist() == [f"0{gene}" for gene in range(30)], "as text"
    assert table["fold"].tolist() == [gene % 3 + 1 for gene in range(30)]
    assert table["label"].to_numpy() == pytest.approx(raw)
    assert table["prediction"].to_numpy() == pytest.approx(predicted[0])
    assert found.pooled["r2"].mean == pytest.approx(np.corrcoef(raw, predicted[0])[0, 1] ** 2)
    assert found.pooled["seeds"]["0"]["n"] == 30


def test_each_seed_has_its_out_of_fold_metrics(folds, tmp_path):
    raw, predicted = folds((1.0, 1.0, 1.0), seeds=(4, 5))
    found = found_in(tmp_path)
    r2s = [np.corrcoef(raw, values)[0, 1] ** 2 for values in predicted]
    mean = pytest.approx(np.mean(r2s))
    assert (found.pooled["r2"].n, found.pooled["r2"].mean) == (2, mean)
    assert found.pooled["r2"].sd == pytest.approx(np.std(r2s, ddof=1))
    assert [*found.pooled["seeds"]] == ["4", "5"]


def test_a_seed_without_some_folds_is_not_pooled(folds, tmp_path, capsys):
    raw, predicted = folds((1.0, 1.0, 1.0), seeds=(4, 5))
    shutil.rmtree(tmp_path / "2-5")
    found = found_in(tmp_path)
    assert found.pooled["r2"].n == 1
    assert found.pooled["r2"].mean == pytest.approx(np.corrcoef(raw, predicted[0])[0, 1] ** 2)
    assert found.pooled["seeds_without_some_folds"] == ["5"]
    assert report(tmp_path, sorted(path for path in tmp_path.iterdir() if path.is_dir()), "genexp train ...") == 0
    assert "1 seed without some folds left out" in " ".join(capsys.readouterr().out.split())
    shutil.rmtree(tmp_path / "1-4")
    assert found_in(tmp_path).pooled is None


def test_a_run_that_repeats_another_is_in_no_mean(folds, tmp_path, capsys):
    """The same seeds on other hardware say the same; as independent runs they would make the interval too narrow."""
    folds((1.0,), seeds=(4, 5))
    shutil.copytree(tmp_path / "1-5", tmp_path / "again")
    config = yaml.safe_load((tmp_path / "again" / "config.yaml").read_text())
    config["hardware"]["name"] = "gpu"
    (tmp_path / "again" / "config.yaml").write_text(yaml.safe_dump(config))
    jobs = sorted(path for path in tmp_path.iterdir() if path.is_dir())
    assert found_in(tmp_path).metrics["best"]["test"]["r2"].n == 2
    assert report(tmp_path, jobs, "genexp train ...") == 0
    assert "1 of its runs repeat seed and fold of another" in " ".join(capsys.readouterr().out.split())
    assert len(Runs(tmp_path).runs) == 3


def test_names_that_look_like_missing_values_are_names(folds, tmp_path):
    folds((1.0, 1.0, 1.0))
    path = tmp_path / "1-0" / "predictions.csv"
    path.write_text(path.read_text().replace("\n00,test", "\nnan,test").replace("\n03,test", "\nNA,test"))
    report(tmp_path, sorted(path for path in tmp_path.iterdir() if path.is_dir()), "genexp train ...")
    table = Runs(tmp_path).out_of_fold
    assert {"nan", "NA", "01"} <= set(table["gene"])
    assert table["label"].dtype == np.float64
    assert Runs(tmp_path).summary()["label"].tolist()[0] == ""


def test_the_seeds_of_a_fold_are_averaged_first(folds, tmp_path):
    """As in a comparison: the folds are the sample, not the runs."""
    folds((1.0, 1.0, 1.0), seeds=(4, 5))
    of_fold = {1: (0.2, 0.4), 2: (0.5, 0.5), 3: (0.1, 0.9)}
    for fold, values in of_fold.items():
        for seed, value in zip((4, 5), values, strict=True):
            path = tmp_path / f"{fold}-{seed}" / "metrics.json"
            content = json.loads(path.read_text())
            content["best"]["test"]["r2"] = value
            path.write_text(json.dumps(content))
    r2 = found_in(tmp_path).metrics["best"]["test"]["r2"]
    means = [np.mean(values) for values in of_fold.values()]
    assert (r2.n, r2.mean, r2.sd) == (3, pytest.approx(np.mean(means)), pytest.approx(np.std(means, ddof=1)))


def test_seeds_on_one_fold_are_the_sample(folds, tmp_path):
    folds((1.0,), seeds=(4, 5))
    assert found_in(tmp_path).metrics["best"]["test"]["r2"].n == 2


def test_a_damaged_run_hides_no_other(folds, tmp_path, capsys):
    folds((1.0,) * 5)
    (tmp_path / "2-0" / "config.yaml").write_text("{")
    (tmp_path / "3-0" / "metrics.json").write_text("{")
    (tmp_path / "4-0" / "predictions.csv").write_text("gene,split\n1,test\n")
    (tmp_path / "5-0" / "predictions.csv").write_text("gene,split,label,prediction\n1,test,0.1,x\n")
    jobs = sorted(tmp_path.iterdir())
    assert report(tmp_path, jobs, "genexp train ...") == 2
    out = capsys.readouterr().out
    assert out.count("a file of the run directory cannot be read") == 4
    assert "1 of 5 runs completed" in out
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert [group["runs"] for group in summary["groups"]] == [["1-0"]]
    assert [*summary["without_result"]] == ["2-0", "3-0", "4-0", "5-0"]
    assert not (tmp_path / "out_of_fold.csv").exists()
