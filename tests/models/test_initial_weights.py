"""What the weights of each architecture start from, told by their distribution, as the published code has them."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from small_models import K_MERS, input_shapes, model_config, window_of

from genexp.models import build_model


def kernels(name: str, **changes: str) -> dict[str, np.ndarray]:
    """Return the untrained kernels of a model by layer, as (inputs, outputs) matrices."""
    config = model_config(name, **changes)
    model = build_model(config, input_shapes(config, "PH", window_of(name)))
    layers = [one for one in model.layers if isinstance(one, keras.layers.Conv1D | keras.layers.Dense)]
    return {one.name: np.asarray(one.kernel) for one in layers}


def start_of(kernel: np.ndarray) -> str:
    """Tell the initializer from the largest weight: Glorot's uniform ends before Glorot's truncated normal does."""
    flat = kernel.reshape(-1, kernel.shape[-1])
    gram = flat.T @ flat if flat.shape[0] >= flat.shape[1] else flat @ flat.T
    if np.allclose(gram, np.eye(len(gram)), atol=1e-4):
        return "orthogonal"
    field = np.prod(kernel.shape[:-2])
    fans = field * (kernel.shape[-2] + kernel.shape[-1])
    return "glorot_normal" if np.abs(kernel).max() > np.sqrt(6 / fans) else "glorot_uniform"


@pytest.mark.parametrize("name", ["xpresso", "divide_et_impera"])
def test_convolutions_start_from_a_normal_and_dense_layers_from_a_uniform_distribution(name):
    starts = {layer: start_of(kernel) for layer, kernel in kernels(name).items() if kernel.size > 200}
    assert {start for layer, start in starts.items() if layer.endswith("conv")} == {"glorot_normal"}
    assert starts["dense_1"] == "glorot_uniform"


def test_orthogonal_xpresso_starts_orthogonally_in_the_hidden_dense_layers_too():
    starts = {layer: start_of(kernel) for layer, kernel in kernels("xpresso", initializer="orthogonal").items()}
    assert {starts[layer] for layer in starts if layer != "expression"} == {"orthogonal"}


@pytest.mark.parametrize("name", [*K_MERS, "token_transformer"])
def test_the_heads_of_the_others_start_from_keras_default(name):
    assert start_of(kernels(name)["dense_1"]) == "glorot_uniform"
