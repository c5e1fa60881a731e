"""The loss over the labels that are there: its value, its gradient, and training with it on one device and on two."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from genexp.training.losses import loss_of, masked
from genexp.training.optimizers import LOSSES

#: Of one label and one prediction, as textbooks have them.
ERRORS = {
    "mse": lambda y, p: (y - p) ** 2,
    "mae": lambda y, p: abs(y - p),
    "mape": lambda y, p: 100 * abs(y - p) / max(abs(y), 1e-7),
    "msle": lambda y, p: (np.log1p(max(y, 1e-7)) - np.log1p(max(p, 1e-7))) ** 2,
    "huber": lambda y, p: 0.5 * (y - p) ** 2 if abs(y - p) <= 1 else abs(y - p) - 0.5,
    "log_cosh": lambda y, p: np.log(np.cosh(y - p)),
}
NUMBERS = st.floats(-3, 3, width=32).filter(lambda x: abs(x) > 0.01)


def test_every_loss_is_tried():
    assert {keras.losses.get(name) for name in LOSSES} == {keras.losses.get(name) for name in ERRORS}


@pytest.mark.parametrize("name", ERRORS)
@given(
    labels=arrays(np.float32, (5, 3), elements=NUMBERS),
    predictions=arrays(np.float32, (5, 3), elements=NUMBERS),
    missing=arrays(bool, (5, 3)),
)
def test_the_loss_is_the_mean_over_the_labels_that_are_there(name, labels, predictions, missing):
    missing[0, 0] = False  # every gene of a dataset has a label
    known = np.where(missing, np.nan, labels).astype(np.float32)
    rows = np.argwhere(~missing)
    expected = np.mean([ERRORS[name](float(labels[i, j]), float(predictions[i, j])) for i, j in rows])
    found = masked(name)(known, predictions)
    assert tuple(found.shape) == (5, 3)
    np.testing.assert_allclose(np.mean(found), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ERRORS)
def test_without_missing_labels_it_is_the_loss_of_keras(name):
    rng = np.random.default_rng(0)
    y, p = rng.uniform(0.1, 3, (2, 7, 4)).astype(np.float32)
    np.testing.assert_allclose(np.mean(masked(name)(y, p)), np.mean(keras.losses.get(name)(y, p)), rtol=1e-5)
    assert loss_of(name, y) == name, "the graph of a run without missing labels is that of plain Keras"
    y[3, 2] = np.nan
    assert callable(loss_of(name, y))


@pytest.mark.parametrize("name", ERRORS)
def test_a_missing_label_leaves_the_gradient_alone(name):
    rng = np.random.default_rng(1)
    y, p = rng.uniform(0.1, 3, (2, 6, 2)).astype(np.float32)
    y[:3, 1] = np.nan
    p[0, 1] = np.inf  # whatever is predicted there
    predictions = tf.Variable(p)
    with tf.GradientTape() as tape:
        value = tf.reduce_mean(masked(name)(y, predictions))
    found = np.asarray(tape.gradient(value, predictions))
    assert (found[:3, 1] == 0).all()
    there = ~np.isnan(y)
    alone = tf.Variable(p[there])
    with tf.GradientTape() as tape:
        value = tf.reduce_mean(keras.losses.get(name)(y[there][:, None], alone[:, None]))
    np.testing.assert_allclose(found[there], np.asarray(tape.gradient(value, alone)), rtol=1e-4)


#: Trains an fc_net for two epochs on labels of which one is missing for most genes of the first half of each batch, so
#: that two replicas see different numbers of labels; prints losses and weights.
SCRIPT = """
import json, sys
import numpy as np, tensorflow as tf
replicas, jit, precision = int(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3]
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import keras
keras.config.set_dtype_policy(precision)
from genexp.api import compose
from genexp.dataset.description import DatasetDescription
from genexp.dataset.genes import Dataset, Split
from genexp.models import InputShapes
from genexp.run import RunDirectory
from genexp.training import loop
from genexp.training.augmentation import augmentation_of
from genexp.training.losses import loss_of
from genexp.training.state import Progress
from genexp.training.strategy import Hardware

rng, n = np.random.default_rng(0), 64
x = rng.normal(size=(n, 5)).astype(np.float32)
y = np.stack([x[:, 0], x[:, 1] - x[:, 2]], axis=1).astype(np.float32)
y[np.arange(n) % 16 < 7, 1] = np.nan
split = Split(np.arange(n).astype(str), y, {"T": x})
described = DatasetDescription(source="", layout="", genes={}, widths={"T": 5}, labels=("a", "b"))
dataset = Dataset(described, {"train": split, "valid": split, "test": split})
config = compose("model=fc_net", "data=T", "training.batch_size=16", "training.epochs=2", "training.shuffle=false",
                 "training.optimizer=adam", "training.learning_rate=0.01", "model.dense=[8,4]", "model.dropout=0",
                 "training.clip_norm=0.3", "training.ema=0.8", "training.schedule=one_cycle",
                 "training.label_noise=0.1")
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]) if replicas == 2 else tf.distribute.get_strategy()
hardware = Hardware(strategy, ("CPU:0", "CPU:1")[:replicas], replicas == 2, jit)
model = loop.compiled_model(config, InputShapes(None, {"T": 5}, None, labels=2), hardware, 1, loss_of("mse", y),
                            4)
state = Progress()
loop.fit(model, config.training, dataset, hardware, RunDirectory(__import__("pathlib").Path(sys.argv[4])), state, 1,
         lambda row: None, augmentation=augmentation_of(config, InputShapes(None)))
losses = [[row["loss"], row["val_loss"], row["val_r2"]] for row in state.history]
print(json.dumps([losses, [w.tolist() for w in model.get_weights()]]))
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return what the script prints for replicas, jit and precision."""

    def run(replicas, jit="false", precision="float32"):
        folder = tmp_path_factory.mktemp("run")
        words = [sys.executable, "-c", SCRIPT, str(replicas), jit, precision, str(folder)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        losses, weights = json.loads(done.stdout.splitlines()[-1])
        return np.array(losses), [np.array(w) for w in weights]

    return run


@pytest.fixture(scope="module")
def alone(trained):
    return trained(1)


def test_two_replicas_train_as_one_device_does(trained, alone):
    (losses, weights), (expected, expected_weights) = trained(2), alone
    assert np.isfinite(losses).all()
    np.testing.assert_allclose(losses[:, 1:], expected[:, 1:], rtol=1e-4)
    np.testing.assert_allclose(losses[:, 0], expected[:, 0], rtol=1e-4)
    for a, b in zip(weights, expected_weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("jit", "precision", "tolerance"),
    [("true", "float32", 1e-3), pytest.param("false", "mixed_bfloat16", 0.05, marks=pytest.mark.slow)],
)
def test_compiled_or_in_mixed_precision_it_is_the_same_training(trained, alone, jit, precision, tolerance):
    losses, _ = trained(1, jit, precision)
    np.testing.assert_allclose(losses, alone[0], rtol=tolerance)
