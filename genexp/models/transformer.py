"""Transformer: the promoter as chunks of k-mers (DeepLncLoc), through encoder blocks (Vaswani et al., NeurIPS 2017)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genexp.config import TransformerConfig
from genexp.models import InputShapes
from genexp.models.layers import kmer_checks

if TYPE_CHECKING:
    import keras


def check(config: TransformerConfig, shapes: InputShapes) -> None:
    """Raise a UserError if promoter, vectors and embedding do not fit each other."""
    kmer_checks.check_promoter(config, shapes)


def build(config: TransformerConfig, shapes: InputShapes) -> keras.Model:
    """Build the model; see `genexp.models.build_model`."""
    from genexp.models.layers import attention, kmers
    from genexp.models.layers import common as shared

    promoter, x = kmers.promoter_input(config, shapes)
    features = shared.feature_inputs(shapes)
    x = attention.SinusoidalPositions(name="positions")(x)
    x = shared.layers.Dropout(config.dropout, name="positions_dropout")(x)
    for n in range(1, config.depth + 1):
        x = attention.encoder_block(
            x,
            heads=config.heads,
            key_dim=config.key_dim,
            ff_dim=config.ff_dim,
            dropout=config.dropout,
            name=f"encoder_{n}",
        )
    x = shared.layers.GlobalAveragePooling1D(name="pool")(x)
    x = shared.regression_head(shared.join_blocks(x, features), [config.dense], [config.dropout])
    return shared.make_model(config.name, promoter, features, x)
