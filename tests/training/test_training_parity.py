"""Training through genexp's own pipeline and loop equals a plain Keras script of the same model, step by step."""

from __future__ import annotations

import csv
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from genexp.compose import checked_config
from genexp.dataset.description import DatasetDescription
from genexp.dataset.genes import Dataset, Split
from genexp.models import InputShapes
from genexp.run.directory import RunDirectory
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
    labels = (features[:, 0] + rng.normal(size=count)).astype(np.float32)
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
    return checked_config("train", [*SETTINGS, *overrides], None)[0]


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
                loss = tf.reduce_mean((answers[:, 0] - split.labels[rows]) ** 2)
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
    hardware = Hardware(tf.distribute.get_strategy(), "cpu", ("CPU:0",), False, False)
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
    settings = replace(settings, training=replace(settings.training, epochs=len(losses)))
    _, _, state = fitted(settings, dataset, tmp_path)
    assert state.epoch == len(seen)
    assert state.best_epoch == 1 + int(np.argmin(seen))
    with (tmp_path / "history.csv").open() as file:
        assert [float(row["val_loss"]) for row in csv.DictReader(file)] == seen
