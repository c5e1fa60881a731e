"""Gradients and integrated gradients against what is known of simple functions of the bases."""

import keras
import numpy as np
from keras import layers, ops
from small_models import model_config

from genexp.explain.gradients import gradients, integrated_gradients
from genexp.explain.networks import Network, SoftNetwork

LENGTH = 12


def network(function):
    """A network on bases whose prediction is a function of the (batch, length, 4) one-hot encoding."""
    tokens = keras.Input((LENGTH,), dtype="uint8", name="promoter")
    model = keras.Model({"promoter": tokens}, function(ops.one_hot(tokens, 4)))
    return SoftNetwork(Network(model, model_config("xpresso")))


def test_a_linear_function_has_its_weights_as_gradient_and_as_mean_gradient():
    rng = np.random.default_rng(0)
    dense = layers.Dense(2)
    found = network(lambda x: dense(layers.Flatten()(x)))
    weights = np.asarray(dense.kernel).reshape(LENGTH, 4, 2)
    tokens = rng.integers(0, 4, LENGTH).astype(np.uint8)
    np.testing.assert_allclose(gradients(found, tokens, {}, 1), weights[..., 1], rtol=1e-6)
    mean, error = integrated_gradients(found, tokens, {}, 0, 3)
    np.testing.assert_allclose(mean, weights[..., 0], rtol=1e-5)
    assert abs(error) < 1e-5


def test_integrated_gradients_of_a_square_are_known():
    # f = (share of A at 0)^2: its gradient on the way from 1/4 to 1 is 2s, on average 1.25.
    found = network(lambda x: ops.square(x[:, 0, :1]))
    tokens = np.zeros(LENGTH, np.uint8)
    mean, error = integrated_gradients(found, tokens, {}, 0, 200)
    expected = np.zeros((LENGTH, 4))
    expected[0, 0] = 1.25
    np.testing.assert_allclose(mean, expected, atol=1e-5)
    assert abs(error) < 1e-4  # 0.75 * 1.25 = 1 - 1/16


def test_an_unknown_base_contributes_nothing():
    dense = layers.Dense(1)
    found = network(lambda x: dense(layers.Flatten()(x)))
    tokens = np.array([4] * 3 + [1] * (LENGTH - 3), np.uint8)
    _, error = integrated_gradients(found, tokens, {}, 0, 5)
    assert abs(error) < 1e-5
