"""Fully connected net on feature blocks alone, which tells what they say without the promoter."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from genexp.models import InputShapes, ModelConfig, Pair, RatePair

if TYPE_CHECKING:
    import keras


class Config(ModelConfig):
    """Feature blocks only, fully connected."""

    reads: ClassVar[None] = None

    dense: Pair = Field(description="Units of the two hidden layers")
    dropout: RatePair = Field(description="Dropout after each hidden layer; one number stands for both")


def check(config: Config, shapes: InputShapes) -> None:
    """Every combination of feature blocks can be built."""


def build(config: Config, shapes: InputShapes) -> keras.Model:
    """Build the model; see `genexp.models.build_model`."""
    from genexp.models.layers import common as shared

    features = shared.feature_inputs(shapes)
    x = shared.regression_head(shared.join_blocks(None, features), config.dense, config.dropout)
    return shared.make_model(config.name, None, features, x)
