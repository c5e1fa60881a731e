"""What the Transformers share: the encoder block, and sinusoidal positions (Vaswani et al., NeurIPS 2017)."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import layers

#: Epsilon of the layer normalisations.
EPSILON = 1e-6


def encoder_block(x: Any, heads: int, key_dim: int, ff_dim: int, dropout: float, *, name: str) -> Any:
    """Apply self-attention and a feed-forward net to (batch, length, width), each followed by a residual and LayerNorm.

    `key_dim` is the size of the queries, keys and values of each head, `ff_dim` that of the hidden layer. Dropout is of
    what attention and feed-forward add, not of the attention weights.
    """
    attended = layers.MultiHeadAttention(heads, key_dim, name=f"{name}_attention")(x, x)
    attended = layers.Dropout(dropout, name=f"{name}_dropout_1")(attended)
    x = layers.LayerNormalization(epsilon=EPSILON, name=f"{name}_norm_1")(x + attended)
    fed = layers.Dense(ff_dim, activation="relu", name=f"{name}_dense_1")(x)
    fed = layers.Dense(x.shape[-1], name=f"{name}_dense_2")(fed)
    fed = layers.Dropout(dropout, name=f"{name}_dropout_2")(fed)
    return layers.LayerNormalization(epsilon=EPSILON, name=f"{name}_norm_2")(x + fed)


def add_positions(x: Any) -> Any:
    """Scale (batch, length, width) by sqrt(width) and add sinusoidal positions.

    Even channels i get sin(angle), odd ones cos(angle), where the angle is position / 10000**(2 * (i // 2) / width).
    """
    length, width = x.shape[1:]
    channel = np.arange(width)
    angle = np.arange(length)[:, None] / 10_000.0 ** (2 * (channel // 2) / width)
    positions = np.where(channel % 2, np.cos(angle), np.sin(angle)).astype(np.float32)
    return layers.Rescaling(width**0.5, positions, name="positions")(x)
