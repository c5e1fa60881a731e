"""Several runs as one model, from the command line and from Python."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import QUICK

import genexp
from genexp.blocks import HALFLIFE_FEATURES
from genexp.cli import main


@pytest.fixture(scope="module")
def sweep(finished_run, xpresso_root, tmp_path_factory):
    """A folder with two runs of different seeds, and one that failed."""
    folder = tmp_path_factory.mktemp("sweep")
    words = ["train", "dataset=xpresso", f"dataset.root={xpresso_root}", f"hydra.run.dir={folder / '1'}", *QUICK]
    assert main([*words, "seed=1"]) == 0
    shutil.copytree(finished_run, folder / "0")
    (folder / "2").mkdir()
    shutil.copy(finished_run / "config.yaml", folder / "2")
    (folder / "2" / "metrics.json").write_text(json.dumps({"status": "collapsed"}))
    return folder


def changed(run, place, key, value):
    """Return a copy of a run with another value in its config."""
    shutil.copytree(run, place)
    config = yaml.safe_load((place / "config.yaml").read_text())
    group, name = key.split(".")
    config[group][name] = value
    (place / "config.yaml").write_text(yaml.safe_dump(config))
    return place


def test_predictions_are_averaged_and_their_spread_is_reported(sweep, tmp_path, capsys):
    assert main(["evaluate", f"run_dir={sweep}", f"out={tmp_path / 'out'}"]) == 0
    printed = capsys.readouterr().out
    assert "left out of the ensemble: 2, collapsed" in printed
    assert "each member has the metrics stored with its run, to the last digit" in printed
    found = pd.read_csv(tmp_path / "out" / "predictions.csv")
    assert list(found) == ["gene", "split", "label", "prediction", "sd"]
    each = [genexp.open_run(sweep / name).predictions for name in "01"]
    values = np.stack([table["prediction"] for table in each])
    assert found["gene"].tolist() == each[0]["gene"].tolist()
    np.testing.assert_allclose(found["prediction"], values.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(found["sd"], values.std(axis=0, ddof=1), rtol=1e-5, atol=1e-7)
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    test = each[0]["split"] == "test"
    correlation = np.corrcoef(each[0]["label"][test], values[:, test].mean(axis=0))[0, 1]
    assert metrics["best"]["test"]["r2"] == pytest.approx(correlation**2, rel=1e-5)
    alone = [genexp.open_run(sweep / name).metrics["best"]["test"]["r2"] for name in "01"]
    members = metrics["members"]
    assert members["best"]["test"]["r2"]["mean"] == pytest.approx(np.mean(alone))
    assert members["best"]["test"]["r2"]["sd"] == pytest.approx(np.std(alone, ddof=1))
    assert members["prediction_sd"]["test"] == pytest.approx(found["sd"][test].mean(), rel=1e-6)
    assert members["directories"] == [str(sweep / name) for name in "01"]


def test_in_python_an_ensemble_does_what_a_run_does(sweep):
    ensemble = genexp.open_ensemble([sweep / "0", sweep / "1"])
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 4, (3, 400), dtype=np.uint8)
    features = {"H": rng.normal(size=(3, 8)).astype(np.float32)}
    mean, sd = ensemble.predict(tokens, features)
    each = np.stack([genexp.open_run(sweep / name).predict(tokens, features) for name in "01"])
    np.testing.assert_allclose(mean, each.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(sd, each.std(axis=0, ddof=1), rtol=1e-5, atol=1e-7)
    found = ensemble.evaluate(split="test", progress=False)
    assert found["model"] == "ensemble of 2: xpresso"
    assert set(found["best"]) == {"test"}


def test_predict_has_mean_and_sd(sweep, tmp_path):
    (tmp_path / "p.fa").write_text(f">a\n{'ACGT' * 100}\n>b\n{'GGCA' * 100}\n")
    halflife = pd.DataFrame(np.ones((2, 8)), index=["a", "b"], columns=HALFLIFE_FEATURES)
    halflife.rename_axis("id").to_csv(tmp_path / "h.csv")
    words = [f"fasta={tmp_path / 'p.fa'}", f"features={tmp_path / 'h.csv'}", "scaled=true"]
    for name, run_dir in (("both", sweep), ("one", sweep / "0"), ("list", f"[{sweep / '0'}]")):
        assert main(["predict", f"run_dir={run_dir}", *words, f"out={tmp_path / name}.tsv"]) == 0
    both = pd.read_csv(tmp_path / "both.tsv", sep="\t")
    assert list(both)[:3] == ["id", "prediction", "sd"]
    assert (tmp_path / "one.tsv").read_text() == (tmp_path / "list.tsv").read_text()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("data.name", "P", "members of an ensemble differ in blocks"),
        ("dataset.fold", 3, "test genes of one may be training genes of another"),
    ],
)
def test_runs_that_cannot_be_averaged_are_refused(sweep, tmp_path, capsys, key, value, message):
    other = changed(sweep / "0", tmp_path / "other", key, value)
    assert main(["evaluate", f"run_dir=[{sweep / '0'},{other}]", f"out={tmp_path / 'out'}"]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_labels_in_another_unit_are_refused(sweep, tmp_path):
    other = shutil.copytree(sweep / "1", tmp_path / "other")
    environment = json.loads((other / "environment.json").read_text())
    environment["dataset"]["unit"] = "log2(TPM + 1)"
    (other / "environment.json").write_text(json.dumps(environment))
    with pytest.raises(genexp.UserError, match="differ in unit"):
        genexp.open_ensemble([sweep / "0", other])


def test_a_list_needs_results_and_a_folder(sweep, capsys):
    assert main(["evaluate", f"run_dir=[{sweep / '0'},{sweep / '1'}]"]) == 2
    assert "add out=DIR" in capsys.readouterr().err
    with pytest.raises(genexp.UserError, match="a member of the ensemble has no results"):
        genexp.open_ensemble([sweep / "0", sweep / "2"])
    with pytest.raises(genexp.UserError, match="at least two runs"):
        genexp.open_ensemble(sweep / "0")
    with pytest.raises(genexp.UserError, match="the same run is named twice"):
        genexp.open_ensemble([sweep / "0"] * 2)
    capsys.readouterr()
    assert len(genexp.open_ensemble([sweep / name for name in "001"]).runs) == 2
    assert f"runs that are named twice, and count once: {sweep / '0'}" in capsys.readouterr().out


def test_a_damaged_run_is_left_out_of_a_folder_and_refused_in_a_list(sweep, finished_run, tmp_path, capsys):
    for name in ("0", "1"):
        shutil.copytree(sweep / name, tmp_path / name)
    damaged = {"metrics.json": "{", "config.yaml": "[", "environment.json": "", "checkpoints/best.keras": ""}
    for file, content in damaged.items():
        shutil.rmtree(tmp_path / "2", ignore_errors=True)
        shutil.copytree(finished_run, tmp_path / "2")
        (tmp_path / "2" / file).write_text(content)
        assert [run.path.name for run in genexp.open_ensemble(tmp_path).runs] == ["0", "1"]
        assert f"left out of the ensemble: 2, cannot be read ({Path(file).name}" in capsys.readouterr().out
        with pytest.raises(genexp.UserError, match=file):
            genexp.open_ensemble([tmp_path / "0", tmp_path / "2"])


def test_a_command_for_one_run_says_that_a_sweep_holds_several(sweep, capsys):
    assert main(["export", f"run_dir={sweep}"]) == 2
    error = capsys.readouterr().err
    assert "this directory holds several runs" in error
    assert f"hint: name one of them: run_dir={sweep / '0'}" in error
