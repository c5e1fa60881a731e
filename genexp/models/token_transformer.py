"""Token transformer: bases through convolutions, with a shortcut around them, and one Transformer encoder block."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from genexp.blocks import BLOCKS, PROMOTER
from genexp.models import InputShapes, ModelConfig, Pair, too_short
from genexp.schema import Count, Rate

if TYPE_CHECKING:
    import keras


class Config(ModelConfig):
    """Bases through convolutions and a Transformer encoder block."""

    vocab_size: Literal[4, 5] = Field(description="5: A, C, G, T and N; with 4, N has no vector of its own")
    embed_dim: Count = Field(description="Length of the vectors of bases and positions")
    kernels: Pair = Field(description="Kernel sizes of the two convolutions")
    pools: Pair = Field(description="Size of the average-pooling after each")
    heads: Count = Field(description="Attention heads")
    key_dim: Count = Field(description="Size of the queries, keys and values of each head")
    ff_dim: Count = Field(description="Hidden units of the feed-forward net")
    dense: Pair = Field(description="Units of the two hidden layers")
    dropout: Rate = Field(description="Dropout in the encoder block and after each hidden layer")


def check(config: Config, shapes: InputShapes) -> None:
    """Raise a UserError if pooling leaves nothing of the window."""
    if shapes.window < prod(config.pools):
        raise too_short(config, shapes.window, prod(config.pools))


def build(config: Config, shapes: InputShapes) -> keras.Model:
    """Build the model; see `genexp.models.build_model`."""
    from keras import layers

    from genexp.models.layers import attention
    from genexp.models.layers import common as shared

    promoter, embedded = _embedded_bases(config, shapes)
    features = shared.feature_inputs(shapes)
    x = embedded
    for n, (kernel, pool) in enumerate(zip(config.kernels, config.pools, strict=True), 1):
        x = layers.Conv1D(config.embed_dim, kernel, padding="same", activation="relu", name=f"conv_{n}")(x)
        x = layers.AveragePooling1D(pool, dtype="float32", name=f"pool_{n}")(x)
    x = layers.BatchNormalization(name="normalise_convolved")(x)
    # In float32 at any precision: some devices add up bfloat16 in bfloat16, and are a third off over 300 bases.
    shortcut = layers.AveragePooling1D(prod(config.pools), dtype="float32", name="shortcut_pool")(embedded)
    shortcut = layers.BatchNormalization(name="normalise_shortcut")(shortcut)
    x = attention.encoder_block(
        x + shortcut,
        heads=config.heads,
        key_dim=config.key_dim,
        ff_dim=config.ff_dim,
        dropout=config.dropout,
        name="encoder",
    )
    x = shared.join_blocks(layers.Flatten(name="flatten")(x), features)
    x = shared.regression_head(x, config.dense, [config.dropout] * len(config.dense))
    return shared.make_model(config.name, promoter, features, x)


def _embedded_bases(config: Config, shapes: InputShapes) -> tuple[Any, Any]:
    """Return the (batch, window) uint8 token input, and the token embedding plus the position embedding.

    Both embeddings are one layer: the one-hot bases times the token vectors (its kernel), plus one vector per position
    (its bias), each drawn as Keras draws an Embedding. A product in place of a look-up has a gradient that is a product
    too, where a look-up's is millions of additions to four rows; and a token beyond the vocabulary, which is N with
    a vocabulary of 4, has the zero vector on every device, where a look-up fails on one and not on another.
    """
    import keras

    promoter = keras.Input((shapes.window,), dtype="uint8", name=BLOCKS[PROMOTER].input)
    one_hot = keras.ops.one_hot(promoter, config.vocab_size, dtype=keras.config.dtype_policy().compute_dtype)
    embedded = keras.layers.EinsumDense(
        "blv,vd->bld",
        output_shape=(shapes.window, config.embed_dim),
        bias_axes="ld",
        kernel_initializer=keras.initializers.RandomUniform(-0.05, 0.05),
        bias_initializer=keras.initializers.RandomUniform(-0.05, 0.05),
        name="token_and_position_embedding",
    )(one_hot)
    return promoter, embedded
