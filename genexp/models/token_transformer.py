"""Token transformer: bases through convolutions, with a shortcut around them, and one Transformer encoder block."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from genexp.models import PIPOLI_2022, InputShapes, ModelConfig, Pair, pools_within
from genexp.schema import Count, Rate

if TYPE_CHECKING:
    import keras


class Config(ModelConfig):
    """Bases through convolutions and a Transformer encoder block."""

    source: ClassVar[str] = PIPOLI_2022

    vocab_size: Literal[4, 5] = Field(description="5: A, C, G, T and N; with 4, N has no vector of its own")
    embed_dim: Count = Field(description="Length of the vectors of bases and positions")
    kernels: Pair = Field(description="Kernel sizes of the two convolutions")
    pools: Pair = Field(description="Size of the average-pooling after each")
    heads: Count = Field(description="Attention heads")
    key_dim: Count = Field(description="Size of the queries, keys and values of each head")
    ff_dim: Count = Field(description="Hidden units of the feed-forward net")
    dense: Pair = Field(description="Units of the two hidden layers")
    dropout: Rate = Field(description="Dropout in the encoder block and after each hidden layer")

    def shortest(self) -> int:
        return prod(self.pools)

    def smaller(self, window: int) -> str:
        return pools_within(self.pools, window)

    def build(self, shapes: InputShapes) -> keras.Model:
        from keras import layers

        from genexp.models.layers import attention, common

        promoter, one_hot = common.one_hot_promoter(shapes, self.vocab_size)
        x = embedded = self._embedded(one_hot)
        for n, (kernel, pool) in enumerate(zip(self.kernels, self.pools, strict=True), 1):
            x = layers.Conv1D(self.embed_dim, kernel, padding="same", activation="relu", name=f"conv_{n}")(x)
            x = layers.AveragePooling1D(pool, dtype="float32", name=f"pool_{n}")(x)
        x = layers.BatchNormalization(name="normalise_convolved")(x)
        # In float32 at any precision: some devices add up bfloat16 in bfloat16, and are a third off over 300 bases.
        shortcut = layers.AveragePooling1D(prod(self.pools), dtype="float32", name="shortcut_pool")(embedded)
        x = x + layers.BatchNormalization(name="normalise_shortcut")(shortcut)
        x = attention.encoder_block(x, self.heads, self.key_dim, self.ff_dim, self.dropout, name="encoder")
        x = layers.Flatten(name="flatten")(x)
        return common.regression(self, shapes, promoter, x, self.dense, [self.dropout] * len(self.dense))

    def _embedded(self, one_hot: Any) -> Any:
        """Return the token embedding plus the position embedding of (batch, window, vocabulary) bases.

        Both are one layer: the one-hot bases times the token vectors (its kernel), plus one vector per position (its
        bias), each drawn as Keras draws an Embedding. A product in place of a look-up has a gradient that is a product
        too, where a look-up's is millions of additions to four rows; and a token beyond the vocabulary, which is N with
        a vocabulary of 4, has the zero vector on every device, where a look-up fails on one and not on another.
        """
        from keras import initializers, layers

        return layers.EinsumDense(
            "blv,vd->bld",
            output_shape=(one_hot.shape[1], self.embed_dim),
            bias_axes="ld",
            kernel_initializer=initializers.RandomUniform(-0.05, 0.05),
            bias_initializer=initializers.RandomUniform(-0.05, 0.05),
            name="token_and_position_embedding",
        )(one_hot)
