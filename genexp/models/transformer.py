"""Transformer: the promoter as chunks of k-mers (DeepLncLoc), through encoder blocks (Vaswani et al., NeurIPS 2017)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from genexp.models import PIPOLI_2022, InputShapes
from genexp.models.layers.kmer_config import KmerConfig
from genexp.schema import Count, Rate

if TYPE_CHECKING:
    import keras


class Config(KmerConfig):
    """Chunks of k-mers through Transformer encoder blocks."""

    source: ClassVar[str] = PIPOLI_2022

    heads: Count = Field(description="Attention heads")
    key_dim: Count = Field(description="Size of the queries, keys and values of each head")
    ff_dim: Count = Field(description="Hidden units of the feed-forward net")
    depth: Count = Field(description="Number of encoder blocks")
    dense: Count = Field(description="Units of the hidden layer")
    dropout: Rate = Field(description="Dropout after the positions, in the encoder blocks and after the hidden layer")

    def build(self, shapes: InputShapes) -> keras.Model:
        from keras import layers

        from genexp.models.layers import attention, common, kmers

        promoter, x = kmers.promoter_input(self, shapes)
        x = layers.Dropout(self.dropout, name="positions_dropout")(attention.add_positions(x))
        for n in range(1, self.depth + 1):
            x = attention.encoder_block(x, self.heads, self.key_dim, self.ff_dim, self.dropout, name=f"encoder_{n}")
        x = layers.GlobalAveragePooling1D(name="pool")(x)
        return common.regression(self, shapes, promoter, x, [self.dense], [self.dropout])
