"""Optimizers by name, and parity with plain Keras."""

import re

import keras
import numpy as np
import pytest

from genexp.api import compose
from genexp.config.conf import CONF_DIR
from genexp.training.optimizers import OPTIMIZERS, build_optimizer


def training(*overrides):
    return compose(*overrides).training


@pytest.mark.parametrize("key", ["momentum", "weight_decay"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_key_has_an_effect_unless_it_is_said_to_have_none(name, key):
    words = [(f"training.optimizer={name}", f"training.{key}={value}") for value in (0.1, 0.2)]
    one, other = (build_optimizer(training(*each)).get_config() | {"name": ""} for each in words)
    idle = training(*words[0]).idle({f"training.{key}"})
    assert (one == other) == bool(idle)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_learns(name):
    optimizer = build_optimizer(training(f"training.optimizer={name}", "training.learning_rate=0.01"))
    variable = keras.Variable([1.0])
    optimizer.build([variable])
    for _ in range(3):
        optimizer.apply_gradients([(keras.ops.array([1.0]), variable)])
    assert variable.numpy()[0] < 1


def test_the_config_file_lists_every_optimizer():
    text = (CONF_DIR / "base" / "training.yaml").read_text(encoding="utf-8")
    comment = text.partition("optimizer:")[2].partition("momentum:")[0].partition("#")[2]
    assert OPTIMIZERS.keys() <= set(re.findall(r"\w+", comment))


def test_published_constants():
    assert build_optimizer(training("training.optimizer=adadelta")).rho == 0.95
    assert build_optimizer(training("training.optimizer=adamw", "training.weight_decay=0.01")).weight_decay == 0.01
    original = build_optimizer(training("training.optimizer=original"))
    assert (original.beta_1, original.beta_2, original.epsilon) == (0.9, 0.98, 1e-9)
    assert build_optimizer(training("training.momentum=0.8")).momentum == 0.8


@pytest.mark.parametrize("name", ["sgd", "adam", "original"])
def test_twenty_steps_equal_a_plain_keras_script(name):
    """The same data, weights, order and settings give the same losses."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(640, 5)).astype("float32"), rng.normal(size=(640, 1)).astype("float32")
    plain = {
        "sgd": lambda: keras.optimizers.SGD(0.01, momentum=0.9),
        "adam": lambda: keras.optimizers.Adam(0.01),
        "original": lambda: keras.optimizers.Adam(0.0, beta_1=0.9, beta_2=0.98, epsilon=1e-9),
    }[name]()
    config = training(f"training.optimizer={name}", "training.learning_rate=0.01", "training.warmup_steps=10")
    curves = []
    for optimizer, by_hand in ((build_optimizer(config), False), (plain, name == "original")):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(4, activation="relu"), keras.layers.Dense(1)])
        model.compile(optimizer, "mse")
        losses = []
        for step in range(20):
            if by_hand:
                optimizer.learning_rate = 64**-0.5 * min((step + 1) ** -0.5, (step + 1) * 10**-1.5)
            batch = slice(32 * step, 32 * step + 32)
            losses.append(float(model.train_on_batch(x[batch], y[batch])))
        curves.append(losses)
    np.testing.assert_allclose(curves[0], curves[1], rtol=1e-4)
