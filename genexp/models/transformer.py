"""Transformer: the promoter as chunks of k-mers (DeepLncLoc), through encoder blocks (Vaswani et al., NeurIPS 2017)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from genexp.models import InputShapes
from genexp.models.layers.kmer_config import KmerConfig, check_promoter
from genexp.schema import Count, Rate

if TYPE_CHECKING:
    import keras


class Config(KmerConfig):
    """Chunks of k-mers through Transformer encoder blocks."""

    heads: Count = Field(description="Attention heads")
    key_dim: Count = Field(description="Size of the queries, keys and values of each head")
    ff_dim: Count = Field(description="Hidden units of the feed-forward net")
    depth: Count = Field(description="Number of encoder blocks")
    dense: Count = Field(description="Units of the hidden layer")
    dropout: Rate = Field(description="Dropout after the positions, in the encoder blocks and after the hidden layer")


def check(config: Config, shapes: InputShapes) -> None:
    """Raise a UserError if promoter, vectors and embedding do not fit each other."""
    check_promoter(config, shapes)


def build(config: Config, shapes: InputShapes) -> keras.Model:
    """Build the model; see `genexp.models.build_model`."""
    from keras import layers

    from genexp.models.layers import attention, kmers
    from genexp.models.layers import common as shared

    promoter, x = kmers.promoter_input(config, shapes)
    features = shared.feature_inputs(shapes)
    x = attention.add_positions(x)
    x = layers.Dropout(config.dropout, name="positions_dropout")(x)
    for n in range(1, config.depth + 1):
        x = attention.encoder_block(
            x,
            heads=config.heads,
            key_dim=config.key_dim,
            ff_dim=config.ff_dim,
            dropout=config.dropout,
            name=f"encoder_{n}",
        )
    x = layers.GlobalAveragePooling1D(name="pool")(x)
    x = shared.regression_head(shared.join_blocks(x, features), [config.dense], [config.dropout])
    return shared.make_model(config.name, promoter, features, x)
