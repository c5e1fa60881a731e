"""Every file of a run directory, and checkpoints to import, with changed bytes: read, or one message."""

import json
import random
import shutil

import h5py
import numpy as np
import pytest
from mutations import mutated, mutated_archive

from genexp.api.evaluation import _is_evaluation, against_stored, check
from genexp.api.runs import Run
from genexp.dataset.overlap import TrainingGenes
from genexp.dataset.ranges import read_ranges
from genexp.errors import UserError
from genexp.features.kmer_vectors import load_vectors, random_vectors
from genexp.porting.reading import read_checkpoint
from genexp.run import check_checkpoint, find_run, read_metrics, read_overrides
from genexp.training.config import read_config
from genexp.training.state import check_resumable, read_progress, restore_variables

TIMES = 200


@pytest.fixture
def run(finished_run, tmp_path):
    copy = shutil.copytree(finished_run, tmp_path / "sweep" / "0-run")
    random_vectors(3, 4, 0).save(copy / "embedding" / "vectors.npz")
    (copy / ".hydra" / "overrides.yaml").write_text("- model=xpresso\n- training.epochs=3\n- seed=1\n")
    return copy


class SameGenes:
    """A dataset that has not changed."""

    def fingerprint(self):
        return "the same"


def use_metrics(folder):
    """Do with metrics.json what commands do."""
    files = find_run(folder)
    for use in (
        lambda: read_metrics(files),
        lambda: check_resumable(files, 99),
        lambda: _is_evaluation(folder, str(folder)),
        lambda: list(against_stored(plan_of(folder), METRICS, SameGenes())),
    ):
        use()


METRICS = {"valid": {"n": 3, "r2": 0.5, "r2_ci95": [0.1, 0.2], "mse": 1.0}, "test": {"n": 3, "r2": 0.5}}
PLANS = {}


def plan_of(folder):
    if folder not in PLANS:  # of the whole run
        PLANS[folder] = check(find_run(folder))
    return PLANS[folder]


def use_state(folder):
    files = find_run(folder)
    read_progress(files.state)
    restore_variables(files.state, PLANS["model"])


READERS = {
    "config.yaml": lambda folder: read_config(find_run(folder)),
    "environment.json": lambda folder: check(find_run(folder)),
    "metrics.json": use_metrics,
    "history.csv": lambda folder: Run(folder).history,
    "predictions.csv": lambda folder: Run(folder).predictions,
    ".hydra/overrides.yaml": read_overrides,
    "training_genes.npz": lambda folder: TrainingGenes.load(folder / "training_genes.npz"),
    "training_features.csv": lambda folder: read_ranges(folder / "training_features.csv", {"H": 8}),
    "embedding/vectors.npz": lambda folder: load_vectors(folder / "embedding" / "vectors.npz").summary(),
    "checkpoints/state/state.npz": use_state,
    "checkpoints/best.keras": lambda folder: check_checkpoint(find_run(folder), "best"),
}


def outcomes(folder, name, use, times):
    """Change a file again and again: how often it was used, and how often it was refused."""
    rng, whole, found = random.Random(0), (folder / name).read_bytes(), {"used": 0, "refused": 0}
    change = mutated_archive if whole.startswith(b"PK") else mutated
    for _ in range(times):
        (folder / name).write_bytes(change(whole, rng))
        try:
            use(folder)
            found["used"] += 1
        except UserError:
            found["refused"] += 1
    return found


def prepared(run, name):
    if name == "metrics.json":
        plan_of(run)
    if name.endswith("state.npz"):
        model = Run(run).model
        model.compile("sgd", loss="mse")
        model.optimizer.build(model.trainable_variables)
        PLANS["model"] = model


@pytest.mark.integration
@pytest.mark.parametrize("name", READERS)
def test_a_damaged_file_of_a_run_is_one_message(run, name):
    prepared(run, name)
    assert outcomes(run, name, READERS[name], TIMES)["refused"] > TIMES // 20


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_a_damaged_file_of_a_run_is_one_message_ten_thousand_times(run, name):
    prepared(run, name)
    assert outcomes(run, name, READERS[name], 10_000)["refused"] > 500


@pytest.mark.integration
def test_a_damaged_checkpoint_that_keras_opens_is_one_message(run):
    assert outcomes(run, "checkpoints/best.keras", lambda folder: Run(folder).model, 30)["refused"] > 5


@pytest.mark.integration
@pytest.mark.parametrize("name", ["m.h5", "m.weights.h5", "m.keras"])
def test_a_damaged_checkpoint_to_import_is_one_message(finished_run, tmp_path, name):
    import keras

    model = Run(finished_run).model
    if name == "m.h5":
        write_keras2(model, tmp_path / name)
    elif name == "m.keras":
        model.save(tmp_path / name)
    else:
        model.save_weights(tmp_path / name)
    keras.utils.clear_session()
    found = outcomes(tmp_path, name, lambda folder: read_checkpoint(str(folder / name)), 30)
    assert min(found.values()) > 1


def write_keras2(model, path):
    """Write a model in the layout of Keras 2.0: attributes name the layers and their variables, in order."""
    layers = [layer for layer in model.layers if layer.weights]
    with h5py.File(path, "w") as file:
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [layer.name.encode() for layer in layers]
        file.attrs["model_config"] = model.to_json()
        for layer in layers:
            own = group.create_group(layer.name)
            names = [f"{layer.name}/{variable.name}:0" for variable in layer.weights]
            own.attrs["weight_names"] = [name.encode() for name in names]
            for name, variable in zip(names, layer.weights, strict=True):
                own[name] = np.asarray(variable)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("best", 3),
        ("best", {"test": {}}),
        ("status", 3),
        ("best", {"test": {"r2": "x"}}),
        ("former", []),
        ("baselines", [{"name": "x"}]),
    ],
)
def test_metrics_of_another_form_are_one_message(run, key, value):
    content = json.loads((run / "metrics.json").read_text())
    (run / "metrics.json").write_text(json.dumps({**content, key: value}))
    with pytest.raises(UserError, match="a file of the run directory cannot be read"):
        read_metrics(find_run(run))


@pytest.mark.parametrize("change", [{"epoch": 99}, {"best_epoch": -1}, {"attempt": "x"}, {"history": [{}]}])
def test_progress_that_does_not_add_up_is_one_message(run, change):
    state = run / "checkpoints" / "state" / "state.npz"
    with np.load(state) as file:
        arrays = {name: file[name] for name in file.files}
    arrays["progress"] = np.array(json.dumps({**json.loads(str(arrays["progress"])), **change}))
    np.savez(state, **arrays)
    with pytest.raises(UserError, match="saved state of this run cannot be read"):
        read_progress(state)
