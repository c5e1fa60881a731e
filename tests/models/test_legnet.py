"""LegNet equals a plain NumPy forward pass, has the parameters of its description, and refuses what cannot be built."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy_forward import dense, one_hot, padding_before, pooled, relu
from small_models import input_shapes, model_config, model_inputs, predict, random_genes, randomise, weights

from genexp.blocks import feature_blocks
from genexp.errors import UserError
from genexp.models import InputShapes, build_model, check_model

SMALL = {"filters": [6, 4, 5], "pools": [3, 2], "kernel": 4, "expansion": 2, "group": 2, "reduction": 3, "dense": 7}
WINDOW = 50


def sigmoid(x: np.ndarray) -> np.ndarray:
    return (1 + np.tanh(x / 2)) / 2  # without overflow


def silu(x: np.ndarray) -> np.ndarray:
    return x * sigmoid(x)


def conv(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Convolution with `same` padding and without bias."""
    size = len(kernel)
    before = padding_before(size)
    padded = np.pad(x, ((0, 0), (before, size - 1 - before), (0, 0)))
    return sum(padded[:, i : i + x.shape[1]] @ kernel[i] for i in range(size))


def grouped_conv(x: np.ndarray, kernel: np.ndarray, group: int) -> np.ndarray:
    """A convolution in which an output sees the channels of its own group alone; kernel is (size, width, group)."""
    size, width, _ = kernel.shape
    whole = np.zeros((size, width, width))
    for source in range(width):
        for n in range(group):
            whole[:, source, source // group * group + n] = kernel[:, source, n]
    return conv(x, whole)


def normed(x: np.ndarray, w: dict[str, np.ndarray], name: str) -> np.ndarray:
    mean, variance, gamma, beta = (w[f"{name}_norm/{v}"] for v in ("moving_mean", "moving_variance", "gamma", "beta"))
    return silu((x - mean) / np.sqrt(variance + 1e-5) * gamma + beta)


def convolved(x: np.ndarray, w: dict[str, np.ndarray], name: str) -> np.ndarray:
    return normed(conv(x, w[f"{name}_conv/kernel"]), w, name)


def forward(config: Any, genes: dict[str, np.ndarray], w: dict[str, np.ndarray]) -> np.ndarray:
    x = pooled(convolved(one_hot(genes["P"], 4), w, "stem"), config.stem_pool, np.max)
    for n, pool in enumerate(config.pools, 1):
        stage = f"stage_{n}"
        inner = convolved(x, w, f"{stage}_expand")
        inner = normed(grouped_conv(inner, w[f"{stage}_grouped_conv/kernel"], config.group), w, f"{stage}_grouped")
        share = silu(dense(inner.mean(axis=1), w, f"{stage}_excite_1"))
        inner = inner * sigmoid(dense(share, w, f"{stage}_excite_2"))[:, None]
        x = np.concatenate([x, convolved(inner, w, f"{stage}_project")], axis=2)
        x = pooled(convolved(x, w, f"{stage}_local"), pool, np.max)
    parts = [x.mean(axis=1), *(genes[letter] for letter in feature_blocks() if letter in genes)]
    return dense(relu(dense(np.concatenate(parts, axis=1), w, "dense_1")), w, "expression")


@pytest.mark.parametrize(
    ("data", "changes"),
    [
        ("P", {}),
        ("PHTM", {}),
        ("PT", {"group": 3, "expansion": 3, "pools": [1, 2]}),
        ("PT", {"stem_pool": 3}),
        ("PH", {"group": 1, "kernel": 7, "expansion": 3}),
    ],
)
def test_keras_equals_numpy(data: str, changes: dict[str, Any]) -> None:
    config = model_config("legnet", **SMALL | changes)
    shapes = input_shapes(config, data, WINDOW)
    model = build_model(config, shapes)
    randomise(model)
    genes = random_genes(shapes, config, WINDOW)
    expected = forward(config, genes, weights(model))
    assert expected.std() > 1e-2, "answers that do not vary prove nothing"
    answers = predict(model, model_inputs(config, shapes, genes))
    assert np.max(np.abs(answers - expected) / np.maximum(np.abs(expected), 1)) < 1e-5


def parameters(config: Any, features: int) -> int:
    """Count the parameters by hand; batch normalisation has 4 per channel, 2 of them moving."""

    def convolution(inputs: int, outputs: int, kernel: int) -> int:
        return inputs * outputs * kernel + 4 * outputs

    total, width = convolution(4, config.filters[0], config.kernel), config.filters[0]
    for filters in config.filters[1:]:
        wide, squeezed = width * config.expansion, width // config.reduction
        total += convolution(width, wide, 1) + convolution(wide, width, 1) + wide * config.group * config.kernel
        total += 4 * wide + (wide + 1) * squeezed + (squeezed + 1) * wide
        total += convolution(2 * width, filters, config.kernel)
        width = filters
    return total + (width + features + 1) * config.dense + config.dense + 1


@pytest.mark.parametrize(("data", "features"), [("P", 0), ("PH", 8), ("PHT", 13)])
def test_the_parameters_are_those_of_the_description(data: str, features: int) -> None:
    config = model_config("legnet")
    model = build_model(config, input_shapes(config, data, 100))
    assert model.count_params() == parameters(config, features)
    if data == "PH":
        assert model.count_params() == 139_485


@pytest.mark.parametrize(
    ("changes", "window", "named"),
    [
        ({"pools": [4, 4]}, 100, "model.pools"),
        ({"group": 3}, 100, "model.group"),
        ({}, 63, "64 nt"),
        ({"stem_pool": 2}, 127, "128 nt"),
    ],
)
def test_what_cannot_be_built_is_refused(changes: dict[str, Any], window: int, named: str) -> None:
    with pytest.raises(UserError, match=named.replace(".", r"\.")):
        check_model(model_config("legnet", **changes), InputShapes((window,), {}))
    check_model(model_config("legnet"), InputShapes((64,), {}))
