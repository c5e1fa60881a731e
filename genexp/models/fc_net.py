"""Fully connected net on feature blocks alone, which shows what they predict without the promoter."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from genexp.models import PIPOLI_2022, InputShapes, ModelConfig, Pair, RatePair

if TYPE_CHECKING:
    import keras


class Config(ModelConfig):
    """Feature blocks only, fully connected."""

    source: ClassVar[str] = PIPOLI_2022

    reads: ClassVar[None] = None

    dense: Pair = Field(description="Units of the two hidden layers")
    dropout: RatePair = Field(description="Dropout after each hidden layer; one number stands for both")

    def build(self, shapes: InputShapes) -> keras.Model:
        from genexp.models.layers import common

        return common.regression(self, shapes, None, None, self.dense, self.dropout)
