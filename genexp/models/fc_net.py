"""Fully connected net on feature blocks alone, which tells what they say without the promoter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genexp.config import FcNetConfig
from genexp.models import InputShapes

if TYPE_CHECKING:
    import keras


def check(config: FcNetConfig, shapes: InputShapes) -> None:
    """Every combination of feature blocks can be built."""


def build(config: FcNetConfig, shapes: InputShapes) -> keras.Model:
    """Build the model; see `genexp.models.build_model`."""
    from genexp.models.layers import common as shared

    features = shared.feature_inputs(shapes)
    x = shared.regression_head(shared.join_blocks(None, features), config.dense, config.dropout)
    return shared.make_model(config.name, None, features, x)
