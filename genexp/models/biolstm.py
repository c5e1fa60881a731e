"""BioLSTM: the promoter as chunks of k-mers (DeepLncLoc), through one LSTM from the 5' to the 3' end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genexp.config import BioLstmConfig
from genexp.models import InputShapes
from genexp.models.layers import kmer_checks

if TYPE_CHECKING:
    import keras


def check(config: BioLstmConfig, shapes: InputShapes) -> None:
    """Raise a UserError if promoter, vectors and embedding do not fit each other."""
    kmer_checks.check_promoter(config, shapes)


def build(config: BioLstmConfig, shapes: InputShapes) -> keras.Model:
    """Build the model; see `genexp.models.build_model`."""
    from genexp.models.layers import common as shared
    from genexp.models.layers import kmers

    promoter, x = kmers.promoter_input(config, shapes)
    features = shared.feature_inputs(shapes)
    x = shared.layers.LSTM(config.units, name="lstm")(x)
    x = shared.regression_head(shared.join_blocks(x, features), [config.dense], [config.dropout])
    return shared.make_model(config.name, promoter, features, x)
