"""The average of the weights and the clipping of the gradient, against NumPy."""

import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from genexp.api import compose
from genexp.dataset.description import DatasetDescription
from genexp.dataset.genes import Dataset, Split
from genexp.models import InputShapes, load_model
from genexp.run import RunDirectory
from genexp.training import loop
from genexp.training.averages import Averages
from genexp.training.losses import loss_of
from genexp.training.optimizers import build_optimizer
from genexp.training.state import Progress
from genexp.training.strategy import Hardware

WORDS = (
    *("model=fc_net", "data=T", "model.dense=[4,4]", "model.dropout=0", "training.batch_size=16"),
    *("training.optimizer=adam", "training.learning_rate=0.02", "training.epochs=4", "training.schedule=cosine"),
)
HARDWARE = Hardware(tf.distribute.get_strategy(), ("CPU:0",), False, False)


@pytest.fixture(scope="module")
def dataset():
    random = np.random.default_rng(0)
    x = random.normal(size=(48, 5)).astype(np.float32)
    split = Split(np.arange(48).astype(str), x[:, :1] - x[:, 1:2], {"T": x})
    described = DatasetDescription(source="", layout="", genes={}, widths={"T": 5})
    return Dataset(described, {"train": split, "valid": split, "test": split})


def fitted(dataset, folder, *words):
    """Return the model, its progress, and its weights after every update."""
    config, steps = compose(*WORDS, *words), []
    model = loop.compiled_model(config, InputShapes(None, {"T": 5}, None), HARDWARE, 1, steps=3)
    original = model.train_step

    def recorded(data):
        logs = original(data)
        with tf.control_dependencies([logs["loss"]]):
            tf.py_function(lambda *weights: steps.append([w.numpy() for w in weights]), model.trainable_variables, [])
        return logs

    model.train_step = recorded
    state = Progress()
    loop.fit(model, config.training, dataset, HARDWARE, RunDirectory(folder), state, 1, lambda row: None)
    return model, state, steps


def test_the_averages_are_evaluated_and_saved_and_training_goes_on_from_the_weights(dataset, tmp_path):
    plain, without, _ = fitted(dataset, tmp_path / "plain")
    model, state, steps = fitted(dataset, tmp_path / "ema", "training.ema=0.8")
    for a, b in zip(plain.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert [row["loss"] for row in state.history] == [row["loss"] for row in without.history]
    assert [row["val_loss"] for row in state.history] != [row["val_loss"] for row in without.history]
    assert len(steps) == 12
    expected = [np.array(w, np.float64) for w in steps[0]]
    for weights in steps[1 : state.best_epoch * 3]:
        expected = [0.8 * a + 0.2 * w for a, w in zip(expected, weights, strict=True)]
    for a, b in zip(load_model(RunDirectory(tmp_path / "ema").checkpoint("best")).get_weights(), expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_the_weights_are_back_after_the_averages_were_used(dataset, tmp_path):
    model, _, _ = fitted(dataset, tmp_path, "training.ema=0.8")
    averages = Averages(model, tf.data.Dataset.from_tensors(0), HARDWARE.strategy)
    before = model.get_weights()
    with averages.used():
        assert any((a != b).any() for a, b in zip(before, model.get_weights(), strict=True))
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_label_that_only_repeated_inputs_have_is_validated(tmp_path):
    random = np.random.default_rng(0)
    x = np.repeat(random.normal(size=(24, 5)), 2, axis=0).astype(np.float32)
    labels = np.full((48, 2), np.nan, np.float32)
    labels[::2, 0], labels[1::2, 1] = x[::2, 0], x[1::2, 1]
    split = Split(np.arange(48).astype(str), labels, {"T": x})
    described = DatasetDescription(source="", layout="", genes={}, widths={"T": 5}, labels=("a", "b"))
    dataset, config = Dataset(described, {"train": split, "valid": split}), compose(*WORDS, "training.epochs=1")
    shapes = InputShapes(None, {"T": 5}, None, labels=2)
    model, state = loop.compiled_model(config, shapes, HARDWARE, 1, loss_of("mse", labels), 3), Progress()
    loop.fit(model, config.training, dataset, HARDWARE, RunDirectory(tmp_path), state, 1, lambda row: None)
    assert state.epoch == 1
    assert not state.nearly_flat


def promoter_set():
    random = np.random.default_rng(0)
    tokens = random.integers(0, 4, (80, 40), dtype=np.uint8)
    labels = (tokens == 2).mean(axis=1, keepdims=True).astype(np.float32) * 10
    split = Split(np.arange(80).astype(str), labels, {"P": tokens})
    described = DatasetDescription(source="", layout="", genes={}, promoter="bases", promoter_length=40)
    return Dataset(described, {"train": split, "valid": split, "test": split})


@pytest.fixture(scope="module")
def promoters():
    return promoter_set()


def normalised(promoters, folder, hardware=HARDWARE):
    """Return a network with batch normalisation, trained with averages, and its progress."""
    words = ("model=legnet", "data=P", "model.filters=[6,4]", "model.pools=[2]", "training.batch_size=16")
    words = (*words, "training.optimizer=adam", "training.learning_rate=0.02", "training.ema=0.9")
    config = compose(*words, "training.epochs=2", "model.dropout=0.5")
    model = loop.compiled_model(config, InputShapes((40,)), hardware, 1, steps=5)
    state = Progress()
    loop.fit(model, config.training, promoters, hardware, RunDirectory(folder), state, 1, lambda row: None)
    return model, state


def test_batch_normalisation_has_the_statistics_of_the_averaged_weights(promoters, tmp_path):
    split = promoters.splits["train"]
    batches = tf.data.Dataset.from_tensor_slices(({"promoter": split.blocks["P"]}, split.labels)).batch(16)
    model, state = normalised(promoters, tmp_path)
    averages = Averages(model, batches, HARDWARE.strategy)
    before = [np.array(v) for v in model.variables]
    last, stem = model.get_layer("stem_norm"), model.get_layer("stem_conv")
    with averages.used():
        convolved = keras.Model(model.input, stem.output)
        of_batches = [convolved(inputs).numpy() for inputs, _ in batches]
        weight = [last.momentum ** (len(of_batches) - 1 - n) for n in range(len(of_batches))]
        expected = np.average([x.mean(axis=(0, 1)) for x in of_batches], axis=0, weights=weight)
        np.testing.assert_allclose(last.moving_mean, expected, rtol=1e-4, atol=1e-6)
        expected = np.average([x.var(axis=(0, 1)) for x in of_batches], axis=0, weights=weight)
        np.testing.assert_allclose(last.moving_variance, expected, rtol=1e-4)
    # The dropout of the measurement draws numbers too.
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)
    losses = [row["val_loss"] for row in state.history]
    assert max(losses) < 2 * np.mean(split.labels**2), losses


#: Trains in a process of its own, where one CPU is two devices, and prints the validation losses.
ON_TWO_REPLICAS = """
import json, sys
from pathlib import Path
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from test_averages import Hardware, normalised, promoter_set
devices = ("CPU:0", "CPU:1")
hardware = Hardware(tf.distribute.MirroredStrategy(devices), devices, True, False)
_, state = normalised(promoter_set(), Path(sys.argv[1]), hardware)
print(json.dumps([row["val_loss"] for row in state.history]))
"""


def test_two_replicas_measure_batch_normalisation_too(promoters, tmp_path):
    _, state = normalised(promoters, tmp_path / "one")
    words = [sys.executable, "-c", ON_TWO_REPLICAS, str(tmp_path / "two")]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=Path(__file__).parent)
    assert done.returncode == 0, done.stderr[-2000:]
    # Each replica normalises its own half of a batch, and draws its own dropout.
    expected = [row["val_loss"] for row in state.history]
    np.testing.assert_allclose(json.loads(done.stdout.splitlines()[-1]), expected, rtol=0.3)


def test_the_norm_of_the_whole_gradient_is_clipped():
    optimizer = build_optimizer(compose("training.clip_norm=0.5", "training.momentum=0").training)
    optimizer.learning_rate = 1.0
    variables = [keras.Variable([0.0, 0.0]), keras.Variable([0.0])]
    optimizer.build(variables)
    gradients = [np.array([3.0, 0.0], np.float32), np.array([4.0], np.float32)]
    optimizer.apply([tf.constant(g) for g in gradients])
    for variable, gradient in zip(variables, gradients, strict=True):
        np.testing.assert_allclose(variable.numpy(), -gradient * 0.5 / 5, rtol=1e-6)


@pytest.mark.parametrize("name", ["sgdw", "adamw"])
def test_weight_decay_is_decoupled_from_the_gradient(name):
    """Without a gradient, a weight shrinks by rate times decay (Loshchilov and Hutter 2019, algorithms 1 and 2)."""
    words = (f"training.optimizer={name}", "training.weight_decay=0.5", "training.learning_rate=0.1")
    optimizer = build_optimizer(compose(*words).training)
    variables = [keras.Variable([2.0], name=name) for name in ("kernel", "bias", "gamma", "beta")]
    optimizer.build(variables)
    optimizer.apply([tf.constant([0.0])] * 4)
    assert [v.numpy()[0] for v in variables] == pytest.approx([2 * (1 - 0.1 * 0.5), 2, 2, 2])
