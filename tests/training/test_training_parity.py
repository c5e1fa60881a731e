"""Training through genexp's own pipeline and loop equals a plain Keras script of the same model, step by step."""

from __future__ import annotations

import csv
import json
import zipfile

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from genexp.api import compose
from genexp.dataset.description import DatasetDescription
from genexp.dataset.genes import Dataset, Split
from genexp.models import InputShapes, load_model
from genexp.run import HISTORY_COLUMNS, RunDirectory
from genexp.training import loop
from genexp.training.state import Progress
from genexp.training.strategy import Hardware

GENES, BATCH, WINDOW = 80, 8, 120
STEPS = 20

SETTINGS = (
    *("model.filters=[8,4]", "model.pools=[10,4]", "model.dropout=0"),
    *(f"training.batch_size={BATCH}", "training.epochs=2"),
)


def genes(seed: int, count: int) -> Split:
    rng = np.random.default_rng(seed)
    tokens = rng.integers(0, 5, (count, WINDOW)).astype(np.uint8)
    features = rng.normal(size=(count, 8)).astype(np.float32)
    labels = (features[:, :1] + rng.normal(size=(count, 1))).astype(np.float32)
    return Split(np.array([f"G{n}" for n in range(count)]), labels, {"P": tokens, "H": features})


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    splits = {"train": genes(0, GENES), "valid": genes(1, 12), "test": genes(2, 12)}
    sizes = {name: len(split) for name, split in splits.items()}
    description = DatasetDescription(
        source="here",
        layout="test",
        genes=sizes,
        promoter="bases",
        promoter_length=WINDOW,
        tss=200,
        widths={"H": 8},
        window=(0, WINDOW),
    )
    return Dataset(description, splits)


def config(*overrides: str):
    return compose(*SETTINGS, *overrides)


def plain_script(weights, optimizer, split: Split, epochs: int, seed: int, rates=None) -> tuple[list, list]:
    """Xpresso on PH as anybody would write it in Keras, fed in the order of genexp: losses by step, by epoch."""
    promoter, halflife = keras.Input((WINDOW, 4)), keras.Input((8,))
    x = layers.MaxPooling1D(10)(layers.Conv1D(8, 6, padding="same", activation="relu")(promoter))
    x = layers.MaxPooling1D(4)(layers.Conv1D(4, 9, padding="same", activation="relu")(x))
    x = layers.Dense(64, activation="relu")(layers.Concatenate()([layers.Flatten()(x), halflife]))
    model = keras.Model([promoter, halflife], layers.Dense(1)(layers.Dense(2, activation="relu")(x)))
    model.set_weights(weights)
    one_hot = np.eye(5, 4, dtype=np.float32)[split.blocks["P"]]
    steps, means = [], []
    for epoch in range(epochs):
        order = np.arange(GENES)
        if seed is not None:
            np.random.default_rng((seed, epoch)).shuffle(order)
        if rates:
            optimizer.learning_rate = rates[epoch]
        losses = []
        for start in range(0, GENES, BATCH):
            rows = order[start : start + BATCH]
            if callable(optimizer.rate_of):
                optimizer.learning_rate = optimizer.rate_of(len(steps) + 1)
            with tf.GradientTape() as tape:
                answers = model([one_hot[rows], split.blocks["H"][rows]], training=True)
                loss = tf.reduce_mean((answers - split.labels[rows]) ** 2)
            optimizer.apply(tape.gradient(loss, model.trainable_weights), model.trainable_weights)
            losses.append(float(loss))
            steps.append(float(loss))
        means.append(float(np.mean(losses)))
    return steps, means


def optimizer_of(name: str, rate: float) -> keras.optimizers.Optimizer:
    """Return what a plain script would use; the original's rate follows the paper's formula by hand."""
    rate_of = None
    if name == "sgd":
        made = keras.optimizers.SGD(rate, momentum=0.9)
    elif name == "adam":
        made = keras.optimizers.Adam(rate)
    else:
        made = keras.optimizers.Adam(0.0, beta_1=0.9, beta_2=0.98, epsilon=1e-9)
        rate_of = lambda step: 64**-0.5 * min(step**-0.5, step * 10**-1.5)  # noqa: E731
    made.rate_of = rate_of
    return made


def fitted(settings, dataset: Dataset, folder, seed: int = 7):
    """Fit through genexp's loop on the CPU; return the starting weights, losses by step, and the history."""
    hardware = Hardware(tf.distribute.get_strategy(), ("CPU:0",), False, False)
    run = RunDirectory(folder)
    model = loop.compiled_model(settings, InputShapes((WINDOW,), {"H": 8}), hardware, seed)
    start = [np.array(w) for w in model.get_weights()]
    steps: list[float] = []
    original = model.train_step

    def recorded(data):
        logs = original(data)
        tf.py_function(lambda x: steps.append(float(x)), [logs["loss"]], [])
        return logs

    model.train_step = recorded
    state = Progress()
    loop.fit(model, settings.training, dataset, hardware, run, state, seed, lambda row: None)
    return start, steps, state


def by_step(running: list[float]) -> list[float]:
    """Turn Keras' running mean over an epoch (of equal batches) back into the loss of each step."""
    per = GENES // BATCH
    epochs = [running[n : n + per] for n in range(0, len(running), per)]
    return [v * (n + 1) - (epoch[n - 1] * n if n else 0) for epoch in epochs for n, v in enumerate(epoch)]


@pytest.mark.parametrize("name", ["sgd", "adam", "original"])
def test_twenty_steps_of_xpresso_equal_a_plain_script(dataset, tmp_path, name):
    """Same data, weights, order and settings: the same loss at each of 20 steps, within 1e-4."""
    settings = config(f"training.optimizer={name}", "training.learning_rate=2e-3", "training.warmup_steps=10")
    start, running, state = fitted(settings, dataset, tmp_path)
    steps, means = plain_script(start, optimizer_of(name, 2e-3), dataset.splits["train"], 2, 7)
    assert len(steps) == len(running) == STEPS
    assert max(steps) / min(steps) > 1.2, "the losses must move, or nothing is compared"
    np.testing.assert_allclose(by_step(running), steps, rtol=1e-4)
    np.testing.assert_allclose([row["loss"] for row in state.history], means, rtol=1e-4)


def test_the_milestone_is_that_of_a_plain_script(dataset, tmp_path):
    words = ("training.learning_rate=2e-3", "training.milestone=1", "training.milestone_factor=0.2")
    start, running, state = fitted(config(*words), dataset, tmp_path)
    rates = [2e-3, 4e-4]
    steps, _ = plain_script(start, optimizer_of("sgd", 2e-3), dataset.splits["train"], 2, 7, rates)
    np.testing.assert_allclose(by_step(running), steps, rtol=1e-4)
    assert [row["lr"] for row in state.history] == pytest.approx(rates)


def test_without_shuffling_the_order_is_that_of_the_file(dataset, tmp_path):
    start, running, _ = fitted(config("training.shuffle=false", "training.learning_rate=2e-3"), dataset, tmp_path)
    steps, _ = plain_script(start, optimizer_of("sgd", 2e-3), dataset.splits["train"], 2, None)
    np.testing.assert_allclose(by_step(running), steps, rtol=1e-4)


@pytest.mark.parametrize("patience", [1, 2, 4])
def test_early_stopping_and_the_best_epoch_follow_the_plain_rule(dataset, tmp_path, patience, monkeypatch):
    """Keras' EarlyStopping and ModelCheckpoint on the same losses choose the same epochs."""
    losses = [1.0, 0.8, 0.9, 0.8, 0.7, 0.75, 0.72, 0.7, 0.71, 0.6, 0.9, 0.9, 0.9, 0.9, 0.9]
    stop = keras.callbacks.EarlyStopping("val_loss", patience=patience)
    stop.set_model(keras.Sequential())
    stop.model.stop_training = False
    stop.on_train_begin()
    for epoch, loss in enumerate(losses):
        stop.on_epoch_end(epoch, {"val_loss": loss})
        if stop.model.stop_training:
            break
    seen = losses[: epoch + 1]

    monkeypatch.setattr(loop, "save_model", lambda *_: None)
    monkeypatch.setattr(loop, "save_state", lambda *_: None)
    remaining = iter(losses)
    monkeypatch.setattr(loop.np, "mean", lambda x: next(remaining), raising=True)
    settings = config(f"training.patience={patience}")
    settings = settings.model_copy(update={"training": settings.training.model_copy(update={"epochs": len(losses)})})
    _, _, state = fitted(settings, dataset, tmp_path)
    assert state.epoch == len(seen)
    assert state.best_epoch == 1 + int(np.argmin(seen))
    with (tmp_path / "history.csv").open() as file:
        assert [float(row["val_loss"]) for row in csv.DictReader(file)] == seen


def test_several_updates_per_call_give_the_same_digits(dataset, tmp_path, monkeypatch):
    """From the third epoch on, where updates are short: same losses, predictions and weights."""
    settings = config("training.epochs=4", "training.optimizer=adam", "model.dropout=0.3")
    found = []
    for n, least in enumerate((10**9, 0)):
        monkeypatch.setattr(loop, "FUSED_FROM", least)
        monkeypatch.setattr(loop, "FUSED_STEPS", 3)
        monkeypatch.setattr(loop, "FUSED_BELOW_S", 1e9)
        compiled = []
        monkeypatch.setattr(keras.Model, "compile", counted(keras.Model.compile, compiled))
        hardware = Hardware(tf.distribute.get_strategy(), ("CPU:0",), False, False)
        model = loop.compiled_model(settings, InputShapes((WINDOW,), {"H": 8}), hardware, 7)
        state = Progress()
        folder = RunDirectory(tmp_path / str(n))
        loop.fit(model, settings.training, dataset, hardware, folder, state, 7, lambda row: None)
        assert [call.get("steps_per_execution") for call in compiled] == [None, 3][: n + 1]
        rows = [[row[key] for key in ("loss", "val_loss", "val_r2", "lr")] for row in state.history]
        found.append((rows, model.get_weights(), int(model.optimizer.iterations)))
    (rows, weights, steps), (fused, fused_weights, fused_steps) = found
    assert fused == rows
    assert fused_steps == steps == 4 * GENES // BATCH
    for a, b in zip(weights, fused_weights, strict=True):
        np.testing.assert_array_equal(a, b)


def counted(compile_, calls):
    def call(self, *args, **settings):
        calls.append(settings)
        return compile_(self, *args, **settings)

    return call


def test_a_checkpoint_is_the_model_alone(tmp_path):
    """No optimizer state and no class of genexp: plain Keras opens it, whatever it was trained with."""
    hardware = Hardware(tf.distribute.get_strategy(), ("CPU:0",), False, False)
    settings = config("training.optimizer=original")
    model = loop.compiled_model(settings, InputShapes((WINDOW,), {"H": 8}), hardware, 7)
    run = RunDirectory(tmp_path)
    loop.save_model(model, run, "best")
    with zipfile.ZipFile(run.checkpoint("best")) as archive:
        content = archive.read("config.json").decode()
        with archive.open("model.weights.h5") as file, h5py.File(file) as weights:
            assert "optimizer" not in weights
    assert not json.loads(content)["compile_config"]
    assert "TransformerSchedule" not in content
    opened = load_model(run.checkpoint("best"))
    assert opened.name == model.name
    for a, b in zip(model.get_weights(), opened.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert {v.path for v in model.weights} == {v.path for v in opened.weights}


def test_the_line_of_an_epoch_fits_80_columns():
    row = dict.fromkeys(HISTORY_COLUMNS, 0.12345) | {"epoch": 300, "seconds": 1.0}
    state = Progress(epoch=100, history=[row])
    line = loop.epoch_line(state, 300, 12_345)
    assert len(line) <= 80
    assert line.startswith("epoch 100/300")
    assert line.endswith("12,345 genes/s  ETA 3:45")
    assert loop.epoch_line(Progress(epoch=1, history=[row]), 5, 800).endswith("   800 genes/s  ETA 0:04")
    state.epoch, row["seconds"] = 10, 40.0
    assert loop.epoch_line(state, 300, 12_345).endswith("ETA 3:13:56")
