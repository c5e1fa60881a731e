"""What the architectures share: one-hot encoding, convolution with pooling, feature blocks and the regression head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers

from genexp.blocks import BLOCKS, PROMOTER
from genexp.models import InputShapes, ModelConfig

#: Name of the output layer.
OUTPUT = "expression"

#: The outermost knots of `piecewise_linear`, in standard deviations.
LAST_KNOT = 3.0


def one_hot_promoter(shapes: InputShapes, depth: int = 4) -> tuple[Any, Any]:
    """Return the (batch, window) uint8 token input and its (batch, window, depth) one-hot encoding.

    The encoding is part of the model: it happens on the device, and a saved model takes integer tokens as input. A
    token from `depth` on, which is N with a depth of 4, becomes all zeros.
    """
    tokens = keras.Input((shapes.window,), dtype="uint8", name=BLOCKS[PROMOTER].input)
    return tokens, keras.ops.one_hot(tokens, depth, dtype=keras.config.dtype_policy().compute_dtype)


def convolve_and_pool(x: Any, filters: int, kernel: int, pool: int, initializer: str, *, name: str) -> Any:
    """Convolve (same padding), pool (valid), then ReLU.

    ReLU and maximum commute, so this equals convolution, ReLU, pooling to the last bit and in every gradient, and
    applies ReLU to `pool` times fewer values.
    """
    x = layers.Conv1D(filters, kernel, padding="same", kernel_initializer=initializer, name=f"{name}_conv")(x)
    x = layers.MaxPooling1D(pool, name=f"{name}_pool")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def piecewise_linear(x: Any, knots: int) -> Any:
    """Return (batch, n * knots) linear B-splines of (batch, n) standardised features.

    A value lies between two knots and is described by its distance to them: 0.3 and 0.7 where it is nearer to the
    second, and 0 at every other knot. The knots are equally spaced from -`LAST_KNOT` to `LAST_KNOT`; values beyond take
    the outermost. With an encoding of this kind, networks follow steps and bends of single features as boosted trees do
    (Gorishniy, Rubachev and Babenko 2022, On embeddings for numerical features in tabular deep learning, NeurIPS 35).
    """
    at = np.linspace(-LAST_KNOT, LAST_KNOT, knots, dtype=np.float32)
    step = float(at[1] - at[0])
    distance = keras.ops.abs(keras.ops.expand_dims(keras.ops.clip(x, -LAST_KNOT, LAST_KNOT), -1) - at) / step
    return layers.Reshape((x.shape[1] * knots,))(keras.ops.relu(1 - distance))


def _branch(parts: Sequence[Any], letter: str, units: int, rate: float, initializer: str) -> Any:
    """Return the (batch, units) hidden layer of a block, with its dropout."""
    name = f"branch_{BLOCKS[letter].input}"
    x = parts[0] if len(parts) == 1 else layers.Concatenate(name=f"{name}_join")(parts)
    x = layers.Dense(units, activation="relu", kernel_initializer=initializer, name=name)(x)
    return layers.Dropout(rate, name=f"{name}_dropout")(x)


def regression(
    config: ModelConfig,
    shapes: InputShapes,
    promoter: Any | None,
    encoding: Any | None,
    dense: Sequence[int],
    dropout: Sequence[float],
    initializer: str = "glorot_uniform",
) -> keras.Model:
    """Return the model that predicts expression from the (batch, n) promoter encoding and the feature blocks.

    Both are concatenated; the `piecewise_linear` encoding of real-valued features, if ``knots`` asks for one, comes
    after them. With ``branch``, each of them first has a hidden layer of its own, with the first of the dropouts: many
    uncertain inputs, such as k-mers, then do not hide few certain ones. Then follow hidden layers with ReLU, each with
    its dropout and this initializer, and a linear output for each label, always in float32. The inputs are a dict by
    name, as the input pipeline feeds them.
    """
    features = {b: keras.Input((shapes.widths[b],), name=BLOCKS[b].input) for b in BLOCKS if b in shapes.widths}
    groups = {} if encoding is None else {PROMOTER: [encoding]}
    for letter, values in features.items():
        splines = [piecewise_linear(values, config.knots)] if config.knots and BLOCKS[letter].real else []
        groups[letter] = [values, *splines]
    if config.branch:
        groups = {b: [_branch(parts, b, config.branch, dropout[0], initializer)] for b, parts in groups.items()}
    parts = [x for group in groups.values() for x in group]
    x = parts[0] if len(parts) == 1 else layers.Concatenate(name="join")(parts)
    for n, (units, rate) in enumerate(zip(dense, dropout, strict=True), 1):
        x = layers.Dense(units, activation="relu", kernel_initializer=initializer, name=f"dense_{n}")(x)
        x = layers.Dropout(rate, name=f"dropout_{n}")(x)
    inputs = {} if promoter is None else {BLOCKS[PROMOTER].input: promoter}
    inputs |= {BLOCKS[b].input: tensor for b, tensor in features.items()}
    return keras.Model(inputs, layers.Dense(shapes.labels, dtype="float32", name=OUTPUT)(x), name=config.name)
