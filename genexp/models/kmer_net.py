"""K-mer net: how often each k-mer occurs in each part of the promoter, through fully connected layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from genexp.models import InputShapes
from genexp.models.layers.kmer_config import CountConfig
from genexp.schema import Count, Rate

if TYPE_CHECKING:
    import keras


class Config(CountConfig):
    """K-mers of the parts of a promoter, fully connected."""

    source: ClassVar[str] = (
        "K-mers in place of bases: Ghandi, Lee, Mohammad-Noori and Beer 2014, PLoS Computational Biology 10, e1003711, "
        "doi 10.1371/journal.pcbi.1003711"
    )

    promoter_dropout: Rate = Field(description="Dropout of the k-mers")
    dense: Count = Field(description="Units of the hidden layer")
    dropout: Rate = Field(description="Dropout of the branches and after the hidden layer")

    def build(self, shapes: InputShapes) -> keras.Model:
        from keras import layers

        from genexp.models.layers import common, kmers

        promoter = kmers.count_input(self, shapes)
        relative = kmers.frequencies(promoter) * float(4**self.k)  # 1 where all k-mers are equally frequent
        x = layers.BatchNormalization(dtype="float32", name="normalise_kmers")(relative)
        x = layers.Dropout(self.promoter_dropout, name="kmers_dropout")(layers.Flatten(name="flatten")(x))
        return common.regression(self, shapes, promoter, x, [self.dense], [self.dropout])
