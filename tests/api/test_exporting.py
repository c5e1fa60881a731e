"""A folder for a model hub: complete, without the folders of the machine, and a run that predicts."""

import hashlib
import json
import re
import shutil

import numpy as np
import pytest
import yaml

import genexp
from genexp.api.hub import without_folders
from genexp.errors import UserError

FILES = {"README.md", "SHA256SUMS", "config.yaml", "dataset.yaml", "environment.json", "metrics.json", "model.keras"}


@pytest.fixture(scope="module")
def hub(finished_run, tmp_path_factory):
    """A hub folder whose run is not there any more."""
    place = tmp_path_factory.mktemp("hub")
    run = shutil.copytree(finished_run, place / "run")
    out = genexp.open_run(run).export("hub", place / "model", license="mit")
    shutil.rmtree(run)
    return out


def test_the_folder_is_complete_and_its_checksums_hold(hub, finished_run):
    assert {path.name for path in hub.iterdir()} >= FILES
    lines = (hub / "SHA256SUMS").read_text().splitlines()
    sums = dict(reversed(line.split("  ")) for line in lines)
    assert set(sums) == {path.name for path in hub.iterdir()} - {"SHA256SUMS"}
    for name, digest in sums.items():
        assert hashlib.sha256((hub / name).read_bytes()).hexdigest() == digest
    folder = str(finished_run.parent.parent)
    for path in hub.iterdir():
        assert folder.encode() not in path.read_bytes(), path.name


def test_the_card_has_what_hubs_read(hub, finished_run):
    _, front, page = (hub / "README.md").read_text().split("---\n", 2)
    card = yaml.safe_load(front)
    assert card["library_name"] == "keras"
    assert card["license"] == "mit"
    assert card["intended_use"].startswith("Research: predict ")
    (index,) = card["model-index"]
    test = next(each for each in index["results"] if each["dataset"]["split"] == "test")
    stored = json.loads((finished_run / "metrics.json").read_text())["best"]["test"]
    assert {each["type"]: each["value"] for each in test["metrics"]}["pearsonr"] == stored["pearson"]
    for wanted in (
        *card["limits"],
        "Agarwal and Shendure 2020",
        "genexp predict run_dir=.",
        "`promoter`",
        "SHA256SUMS",
    ):
        assert wanted in page
    assert re.search(rf"Pearson r² \| [\d.]+ \| {stored['r2']:.3f} \|", page)


def test_the_folder_predicts_as_the_run_does(hub, finished_run):
    rng = np.random.default_rng(0)
    inputs = rng.integers(0, 5, (5, 400), np.uint8), {"H": rng.normal(size=(5, 8)).astype(np.float32)}
    np.testing.assert_array_equal(genexp.open_run(hub).predict(*inputs), genexp.open_run(finished_run).predict(*inputs))
    with pytest.raises(UserError, match="no last checkpoint"):
        genexp.open_run(hub).checkpoint("last")


@pytest.mark.parametrize(
    ("format", "license", "message"),
    [("keras", "mit", "format=hub alone"), ("hub", "MIT License", "no name of a licence")],
)
def test_a_licence_that_cannot_be_written_is_refused(finished_run, tmp_path, format, license, message):
    with pytest.raises(UserError, match=message):
        genexp.open_run(finished_run).export(format, tmp_path / "out", license=license)
    assert not list(tmp_path.iterdir())


def test_the_card_of_imported_weights_claims_no_training(finished_run, tmp_path):
    run = shutil.copytree(finished_run, tmp_path / "run")
    found = {"status": "completed", "model": "xpresso", "data": "PH", "imported": {"checkpoint": "x.h5"}}
    (run / "metrics.json").write_text(json.dumps(found))
    card = (genexp.open_run(run).export("hub", tmp_path / "hub") / "README.md").read_text()
    assert "imported from a published checkpoint" in card
    assert "No results are recorded" in card
    assert "model-index" not in card
    assert "license: unknown" in card


def test_names_of_labels_are_no_paths_and_no_markup(finished_run, tmp_path):
    run = shutil.copytree(finished_run, tmp_path / "run")
    environment = json.loads((run / "environment.json").read_text())
    name = "decay (/kb/min) <b>*"
    environment["dataset"] |= {
        "labels": [name],
        "scaling": {"label": {name: {"mean": 0.0, "sd": 1.0}}},
        "unit": "/kb/x",
    }
    environment["dataset"]["feature_names"]["H"][0] = "A | /kb/x"
    (run / "environment.json").write_text(json.dumps(environment))
    out = genexp.open_run(run).export("hub", tmp_path / "hub")
    kept = json.loads((out / "environment.json").read_text())["dataset"]
    assert (kept["labels"], kept["unit"], kept["feature_names"]["H"][0]) == ([name], "/kb/x", "A | /kb/x")
    assert name in kept["scaling"]["label"]
    page = (out / "README.md").read_text().split("---\n", 2)[2]
    assert "decay (/kb/min) \\<b\\>\\*" in page
    assert r"A \| /kb/x" in page


@pytest.mark.parametrize(("format", "name"), [("keras", "m.onnx"), ("saved_model", "m.keras")])
def test_a_name_of_another_format_is_refused(finished_run, tmp_path, format, name):
    with pytest.raises(UserError, match="the name is that of another format"):
        genexp.open_run(finished_run).export(format, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_the_card_says_that_the_training_was_interrupted(finished_run, tmp_path, cli):
    run = shutil.copytree(finished_run, tmp_path / "run")
    (run / "metrics.json").write_text(json.dumps({"status": "interrupted", "epochs_run": 2}))
    done = cli("export", f"run_dir={run}", "format=hub", f"out={tmp_path / 'hub'}")
    assert "run is interrupted: its checkpoints are those of the epochs that it completed" in done.stdout
    card = (tmp_path / "hub" / "README.md").read_text()
    epochs = genexp.open_run(run).config.training.epochs
    assert f"The training was interrupted after 2 of {epochs} epochs." in card


@pytest.mark.parametrize("command", ["evaluate", "explain"])
def test_a_folder_of_export_has_no_dataset(hub, tmp_path, cli, command):
    done = cli(command, f"run_dir={hub}", f"out={tmp_path / 'out'}")
    assert done.returncode == 2
    assert "a folder of genexp export has no dataset" in done.stderr
    assert "dataset.root=DIR" in done.stderr


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("genexp train dataset.root=/home/me/data/human seed=1", "genexp train dataset.root=human seed=1"),
        ("'/a/b c', /x/y.h5 and log10(TPM/x + 0.1), 1/2", "'b c', y.h5 and log10(TPM/x + 0.1), 1/2"),
        ("https://example.org/a/b", "https://example.org/a/b"),
    ],
)
def test_folders_are_left_out_of_texts(text, left):
    assert without_folders(text) == left
