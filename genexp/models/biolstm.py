"""BioLSTM: the promoter as chunks of k-mers (DeepLncLoc), through one LSTM from the 5' to the 3' end."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from genexp.models import InputShapes
from genexp.models.layers.kmer_config import KmerConfig, check_promoter
from genexp.schema import Count, Rate

if TYPE_CHECKING:
    import keras


class Config(KmerConfig):
    """Chunks of k-mers through one LSTM."""

    best_embedding: ClassVar[Literal["word2vec", "random"]] = "random"

    units: Count = Field(description="Units of the LSTM")
    dense: Count = Field(description="Units of the hidden layer")
    dropout: Rate = Field(description="Dropout after the hidden layer")


def check(config: Config, shapes: InputShapes) -> None:
    """Raise a UserError if promoter, vectors and embedding do not fit each other."""
    check_promoter(config, shapes)


def build(config: Config, shapes: InputShapes) -> keras.Model:
    """Build the model; see `genexp.models.build_model`."""
    from keras import layers

    from genexp.models.layers import common as shared
    from genexp.models.layers import kmers

    promoter, x = kmers.promoter_input(config, shapes)
    features = shared.feature_inputs(shapes)
    x = layers.LSTM(config.units, name="lstm")(x)
    x = shared.regression_head(shared.join_blocks(x, features), [config.dense], [config.dropout])
    return shared.make_model(config.name, promoter, features, x)
