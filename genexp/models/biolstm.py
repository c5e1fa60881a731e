"""BioLSTM: the promoter as chunks of k-mers (DeepLncLoc), through one LSTM from the 5' to the 3' end."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from genexp.models import PIPOLI_2022, InputShapes
from genexp.models.layers.kmer_config import KmerConfig
from genexp.schema import Count, Rate

if TYPE_CHECKING:
    import keras


class Config(KmerConfig):
    """Chunks of k-mers through one LSTM."""

    source: ClassVar[str] = PIPOLI_2022

    best_embedding: ClassVar[Literal["word2vec", "random"]] = "random"

    units: Count = Field(description="Units of the LSTM")
    dense: Count = Field(description="Units of the hidden layer")
    dropout: Rate = Field(description="Dropout after the hidden layer")

    def build(self, shapes: InputShapes) -> keras.Model:
        from keras import layers

        from genexp.models.layers import common, kmers

        promoter, x = kmers.promoter_input(self, shapes)
        x = layers.LSTM(self.units, name="lstm")(x)
        return common.regression(self, shapes, promoter, x, [self.dense], [self.dropout])
