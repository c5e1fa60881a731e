"""What the architectures share: inputs, one-hot encoding, convolution with pooling, blocks and head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from genexp.blocks import BLOCKS, PROMOTER
from genexp.models import InputShapes


def feature_inputs(shapes: InputShapes) -> dict[str, Any]:
    """Return one (batch, width) input per feature block, in joining order."""
    return {b: keras.Input((shapes.widths[b],), name=BLOCKS[b].input) for b in BLOCKS if b in shapes.widths}


def one_hot_promoter(shapes: InputShapes) -> tuple[Any, Any]:
    """Return the (batch, window) uint8 token input and its (batch, window, 4) one-hot encoding.

    The encoding is part of the model: it happens on the device, and a saved model eats tokens. N becomes all zeros.
    """
    tokens = keras.Input((shapes.window,), dtype="uint8", name=BLOCKS[PROMOTER].input)
    compute = keras.config.dtype_policy().compute_dtype
    return tokens, keras.ops.one_hot(tokens, 4, dtype=compute)


def convolve_and_pool(x: Any, filters: int, kernel: int, pool: int, initializer: Any, name: str) -> Any:
    """Convolve (same padding), pool (valid), then ReLU.

    ReLU and maximum commute, so this equals convolution, ReLU, pooling to the last bit and in every gradient, and
    applies ReLU to `pool` times fewer values.
    """
    x = layers.Conv1D(filters, kernel, padding="same", kernel_initializer=initializer, name=f"{name}_conv")(x)
    x = layers.MaxPooling1D(pool, name=f"{name}_pool")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def join_blocks(encoding: Any | None, features: dict[str, Any]) -> Any:
    """Concatenate the promoter encoding (batch, n), if any, and the blocks H, T, M in that order."""
    parts = [*([] if encoding is None else [encoding]), *features.values()]
    return parts[0] if len(parts) == 1 else layers.Concatenate(name="join")(parts)


def regression_head(x: Any, dense: Sequence[int], dropout: Sequence[float], initializer: str = "glorot_uniform") -> Any:
    """Dense layers with ReLU, each followed by dropout, then a linear output of 1, always in float32.

    The initializer is that of the hidden layers.
    """
    for n, (units, rate) in enumerate(zip(dense, dropout, strict=True), 1):
        x = layers.Dense(units, activation="relu", kernel_initializer=initializer, name=f"dense_{n}")(x)
        x = layers.Dropout(rate, name=f"dropout_{n}")(x)
    return layers.Dense(1, dtype="float32", name="expression")(x)


def make_model(name: str, promoter: Any | None, features: dict[str, Any], output: Any) -> keras.Model:
    """Wrap inputs and output, the inputs in a dict by name, as the input pipeline feeds them."""
    inputs = {BLOCKS[b].input: tensor for b, tensor in features.items()}
    if promoter is not None:
        inputs = {BLOCKS[PROMOTER].input: promoter, **inputs}
    return keras.Model(inputs, output, name=name)
