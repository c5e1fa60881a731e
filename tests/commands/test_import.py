"""``genexp import`` and ``genexp export`` from the command line: a run directory like any other."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from conftest import write_xpresso_set
from omegaconf import OmegaConf

import genexp
from genexp.api.training import TRAIN
from genexp.cli import main
from genexp.commands import command_of
from genexp.config.compose import compose_words
from genexp.config.validation import validate
from genexp.errors import UserError
from genexp.porting.sizes import outputs_of
from genexp.run import RunDirectory
from genexp.training.config import RunConfig

SMALL = ("model.filters=[8,4]", "model.pools=[10,4]", "hardware=cpu")


def write_small_xpresso(path: Path, features: int = 8, window: int = 400) -> Path:
    """Write Xpresso with few filters in the layout of Keras 2, random weights."""
    rng = np.random.default_rng(0)
    shapes = {
        "conv1d_1": (6, 4, 8),
        "conv1d_2": (9, 8, 4),
        "dense_1": (window // 40 * 4 + features, 64),
        "dense_2": (64, 2),
        "dense_3": (2, 1),
    }
    with h5py.File(path, "w") as file:
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [name.encode() for name in shapes]
        for name, shape in shapes.items():
            own = group.create_group(name)
            own.attrs["weight_names"] = [f"{name}/kernel:0".encode(), f"{name}/bias:0".encode()]
            own[f"{name}/kernel:0"] = rng.uniform(-0.1, 0.3, shape).astype(np.float32)
            own[f"{name}/bias:0"] = np.zeros(shape[-1], np.float32)
    return path


@pytest.fixture(scope="module")
def imported(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("imported")
    path = write_small_xpresso(folder / "model.h5")
    words = ["import", f"checkpoint={path}", "data.window=[0,400]", *SMALL, f"hydra.run.dir={folder / 'run'}"]
    assert main(words) == 0
    return folder / "run"


def read(path: Path):
    return json.loads(path.read_text())


def test_the_run_directory_says_where_it_comes_from(imported):
    metrics = read(imported / "metrics.json")
    assert list(metrics)[:4] == ["status", "model", "data", "seed"]
    assert metrics["status"] == "completed"
    assert metrics["imported"]["format"].startswith("HDF5")
    assert "best" not in metrics
    config = validate(OmegaConf.to_container(OmegaConf.load(imported / "config.yaml")), RunConfig, "config.yaml")
    assert (config.data.window, config.model.filters) == ([0, 400], [8, 4])
    dataset = read(imported / "environment.json")["dataset"]
    assert (dataset["window"], dataset["widths"], dataset["tss"]) == ([0, 400], {"H": 8}, 10_000)
    assert {p.name for p in (imported / "checkpoints").iterdir()} == {"best.keras", "last.keras"}


def test_it_is_evaluated_on_a_dataset_named_then(tmp_path, capsys):
    """The window is where the published promoters have it: around the TSS, wherever this dataset has its own."""
    path = write_small_xpresso(tmp_path / "model.h5")
    words = ["import", f"checkpoint={path}", "data.window=[9800,10200]", *SMALL, f"hydra.run.dir={tmp_path / 'run'}"]
    assert main(words) == 0
    assert main(["evaluate", f"run_dir={tmp_path / 'run'}"]) == 2
    assert "has no dataset of its own" in capsys.readouterr().err
    root = write_xpresso_set(tmp_path / "set")
    assert main(["evaluate", f"run_dir={tmp_path / 'run'}", f"dataset.root={root}", f"out={tmp_path / 'out'}"]) == 0
    assert read(tmp_path / "out" / "metrics.json")["best"]["test"]["n"] == 32


def test_other_features_than_the_dataset_has_are_told(tmp_path, capsys):
    path = write_small_xpresso(tmp_path / "model.h5", features=6)
    root = write_xpresso_set(tmp_path / "set")
    words = ["import", f"checkpoint={path}", "data.window=[9800,10200]", *SMALL]
    assert main([*words, f"hydra.run.dir={tmp_path / 'run'}"]) == 0
    assert "block H has 6 features" in capsys.readouterr().out
    assert main(["evaluate", f"run_dir={tmp_path / 'run'}", f"dataset.root={root}"]) == 2
    error = capsys.readouterr().err
    assert "half-life features" in error
    assert "expected: 6 features" in error
    assert "import with data=P" in error
    assert main([*words, f"hydra.run.dir={tmp_path / 'no'}", "dataset=xpresso", f"dataset.root={root}"]) == 2
    assert not (tmp_path / "no").exists()


def test_training_goes_on_from_it_in_a_new_run(imported, xpresso_root, tmp_path, capsys):
    from genexp.evaluation.report import load_checkpoint

    assert main(["train", f"resume={imported}", "training.epochs=2"]) == 2
    assert f"training.start_from={imported}" in capsys.readouterr().err
    words = ["train", "dataset=xpresso", f"dataset.root={xpresso_root}", *SMALL, "training.learning_rate=1e-9"]
    words += [f"training.start_from={imported}", "training.epochs=1", "training.batch_size=32", "logger=tensorboard"]
    assert main([*words, f"hydra.run.dir={tmp_path / 'run'}"]) == 0
    before, after = (load_checkpoint(RunDirectory(p), "best").get_weights() for p in (imported, tmp_path / "run"))
    for a, b in zip(before, after, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    assert list((tmp_path / "run" / "tensorboard").glob("events.*"))
    assert main([*words, "model.filters=[8,5]", f"hydra.run.dir={tmp_path / 'other'}"]) == 2
    assert "the weights to start from belong to another model" in capsys.readouterr().err


def test_a_warm_start_on_own_data_takes_the_settings_of_the_weights(imported, tmp_path, capsys):
    composed = compose_words(TRAIN, [f"training.start_from={imported}", "data=PH", "model=xpresso", "dataset=demo"])
    assert (composed.config.settings, composed.config.model.pools) == ("published", [30, 10])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["data.window=[5000,3000]"], "data.window is empty"),
        (["data.window=[9000,9000]"], "data.window is empty"),
        (["data.window=[15000,25500]"], "data.window leaves the promoters"),
    ],
)
def test_impossible_windows_are_refused(tmp_path, capsys, words, said):
    path = write_small_xpresso(tmp_path / "model.h5")
    assert main(["import", f"checkpoint={path}", *SMALL, *words, f"hydra.run.dir={tmp_path / 'run'}"]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_pools_that_no_weight_shows_are_those_of_the_weights(imported, xpresso_root, tmp_path, capsys):
    start = ["dataset=xpresso", f"dataset.root={xpresso_root}", f"training.start_from={imported}", *SMALL]
    assert main(["train", *start, "model.pools=[8,5]", f"hydra.run.dir={tmp_path / 'run'}"]) == 2
    assert "hint: add 'model.pools=[10,4]'" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "no space left")])
def test_an_import_that_ends_early_leaves_nothing(tmp_path, monkeypatch, error):
    def save_model(model, run, name):
        if name == "last":
            raise error
        real(model, run, name)

    from genexp.training import loop

    real = loop.save_model
    monkeypatch.setattr(loop, "save_model", save_model)
    path = write_small_xpresso(tmp_path / "model.h5")
    words = ["import", f"checkpoint={path}", "data.window=[0,400]", *SMALL, f"hydra.run.dir={tmp_path / 'run'}"]
    assert main(words) in (2, 130)
    assert not (tmp_path / "run").exists()
    monkeypatch.undo()
    assert main(words) == 0


def test_python_imports_as_the_command(tmp_path, capsys):
    path = write_small_xpresso(tmp_path / "model.h5")
    words = [f"checkpoint={path}", "data.window=[0,400]", *SMALL]
    run = genexp.import_checkpoint(*words, directory=tmp_path / "run", progress=False)
    assert capsys.readouterr().out == ""
    assert run.metrics["imported"]["weights"] == run.metrics["parameters"]
    with pytest.raises(UserError, match="holds a run already"):
        genexp.import_checkpoint(*words, directory=tmp_path / "run")


def test_a_dataset_is_checked_as_evaluate_checks_it(tmp_path):
    """Promoters shorter than the published ones hold the window, which lies around the TSS."""
    data = write_xpresso_set(tmp_path / "data", length=800)
    path = write_small_xpresso(tmp_path / "model.h5")
    words = ["import", f"checkpoint={path}", *SMALL, "data.window=[9800,10200]", f"dataset.root={data}"]
    assert main([*words, f"hydra.run.dir={tmp_path / 'run'}"]) == 0
    assert main(["evaluate", f"run_dir={tmp_path / 'run'}"]) == 0


def test_outputs_of_a_file_of_weights_are_those_that_are_named():
    layers = [SimpleNamespace(kind="dense", shapes={"kernel": shape}) for shape in ((4, 2), (2, 2))]
    weights = SimpleNamespace(layers=layers, description=SimpleNamespace(layers={}))
    assert (outputs_of(weights), outputs_of(weights, 2)) == (1, 2)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["data.window=[0,300]"], "nt of promoter: 400"),
        (["data=P"], "data: PH"),
        (["model=divide_et_impera"], "model: xpresso"),
    ],
)
def test_weights_of_another_model_are_refused_before_anything_is_made(
    imported, xpresso_root, tmp_path, capsys, words, said
):
    start = ["dataset=xpresso", f"dataset.root={xpresso_root}", f"training.start_from={imported}"]
    assert main(["train", *words, *start, f"hydra.run.dir={tmp_path / 'run'}"]) == 2
    assert f"expected: {said}, as in that run" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_weights_that_are_no_numbers_are_refused(tmp_path, capsys):
    path = write_small_xpresso(tmp_path / "model.h5")
    with h5py.File(path, "r+") as file:
        file["model_weights/dense_1/dense_1/kernel:0"][3, 5] = np.nan
    words = ["import", f"checkpoint={path}", "data.window=[0,400]", *SMALL, f"hydra.run.dir={tmp_path / 'run'}"]
    assert main(words) == 2
    error = capsys.readouterr().err
    assert "dense_1/kernel" in error
    assert "1 of 3,072" in error
    assert not (tmp_path / "run").exists()


def test_a_checkpoint_that_is_not_there_is_told_at_once(tmp_path, capsys):
    assert main(["import", f"checkpoint={tmp_path / 'nothere.h5'}", f"hydra.run.dir={tmp_path / 'run'}"]) == 2
    assert "the checkpoint is missing" in capsys.readouterr().err


def test_a_checkpoint_that_does_not_fit_leaves_nothing(tmp_path, capsys):
    path = write_small_xpresso(tmp_path / "model.h5")
    assert main(["import", f"checkpoint={path}", "hardware=cpu", f"hydra.run.dir={tmp_path / 'run'}"]) == 2
    error = capsys.readouterr().err
    assert "expected  |  found" in error
    assert "conv1d_1: kernel [6, 4, 8], bias [8]   (model.filters" in error
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("kind", ["keras", "saved_model", "onnx"])
def test_export_is_read_back_and_compared(imported, tmp_path, capsys, kind):
    if kind == "onnx":
        pytest.importorskip("tf2onnx", reason="the extra genexp[onnx] is not installed")
        pytest.importorskip("onnxruntime", reason="the extra genexp[onnx] is not installed")
    assert main(["export", f"run_dir={imported}", f"format={kind}", f"out={tmp_path / 'out' / 'model'}"]) == 0
    assert "maximum difference" in capsys.readouterr().out
    assert len(list((tmp_path / "out").iterdir())) == 1
    assert main(["export", f"run_dir={imported}", f"format={kind}", f"out={tmp_path / 'out' / 'model'}"]) == 2
    assert "it is not overwritten" in capsys.readouterr().err


def test_an_export_that_answers_otherwise_leaves_nothing(imported, tmp_path, capsys, monkeypatch):
    from genexp.api import exporting

    def wrong(model, path, real=exporting.write_keras):
        answer = real(model, path)
        return lambda part: answer(part) + 1e-3

    monkeypatch.setitem(exporting.FORMATS, "keras", replace(exporting.FORMATS["keras"], write=wrong))
    assert main(["export", f"run_dir={imported}", f"out={tmp_path / 'new' / 'model'}"]) == 2
    assert "answers differ from the original's" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_missing_extra_is_named(imported, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("genexp.api.exporting.find_spec", lambda name: None)
    assert main(["export", f"run_dir={imported}", "format=onnx", f"out={tmp_path / 'model.onnx'}"]) == 2
    assert "pip install 'genexp[onnx]'" in capsys.readouterr().err


def test_tensorflow_starts_quietly(tmp_path, genexp):
    path = write_small_xpresso(tmp_path / "model.h5")
    done = genexp("import", f"checkpoint={path}", "data.window=[0,400]", *SMALL, "name=quiet", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stderr == ""


def test_training_defaults_are_those_of_train():
    path = "checkpoint=x"
    for model in ("xpresso", "transformer"):
        ours = compose_words(command_of("import"), [path, f"model={model}"]).config.training
        theirs = compose_words(
            command_of("train"), [f"model={model}", "dataset=files", "dataset.root=x"]
        ).config.training
        assert ours == theirs


def test_help_needs_no_tensorflow():
    assert main(["import", "--help"]) == 0
    assert main(["export", "--help"]) == 0


@pytest.mark.skipif("GENEXP_PUBLISHED" not in os.environ, reason="set GENEXP_PUBLISHED to the published checkpoints")
def test_the_public_weights_are_evaluated_as_documented(tmp_path):
    """Without their six unnamed half-life features, they take any dataset of bases."""
    checkpoint = next((Path(os.environ["GENEXP_PUBLISHED"]) / "xpresso_human").glob("*.h5"))
    words = [f"checkpoint={checkpoint}", "model=xpresso", "data=P", f"hydra.run.dir={tmp_path / 'human'}"]
    assert main(["import", *words, "hardware=cpu"]) == 0
    root = write_xpresso_set(tmp_path / "set", length=20_000)
    assert main(["evaluate", f"run_dir={tmp_path / 'human'}", f"dataset.root={root}", f"out={tmp_path / 'out'}"]) == 0
    assert read(tmp_path / "out" / "metrics.json")["best"]["test"]["n"] == 32


@pytest.mark.skipif(
    "GENEXP_PUBLISHED" not in os.environ,
    reason="set GENEXP_PUBLISHED to a folder with the published checkpoints transformer_PH and xpresso_human",
)
@pytest.mark.parametrize(
    ("folder", "checkpoint", "model"),
    [
        ("transformer_PH", "saved_model", "transformer"),
        ("xpresso_human", "human_trainepoch.11-0.426.h5", "xpresso"),
    ],
)
def test_published_checkpoints_answer_as_published(tmp_path, folder, checkpoint, model):
    from genexp.evaluation.report import load_checkpoint

    published = Path(os.environ["GENEXP_PUBLISHED"]) / folder
    words = [f"checkpoint={published / checkpoint}", f"model={model}", f"hydra.run.dir={tmp_path / 'run'}"]
    assert main(["import", *words, "hardware=cpu"]) == 0
    with np.load(published / "vectors.npz", allow_pickle=False) as file:
        promoter, halflife, expected = file["in0"], file["in1"], file["pred"]
    if model == "xpresso":
        promoter = np.where(promoter.any(axis=-1), promoter.argmax(axis=-1), 4).astype(np.uint8)
    answers = load_checkpoint(RunDirectory(tmp_path / "run"), "best")({"promoter": promoter, "halflife": halflife})
    error = float(np.abs(np.asarray(answers) - expected).max())
    print(f"{folder}: maximum error {error:.2g}", file=sys.stderr)  # noqa: T201
    assert error <= 1e-5
