"""Xpresso: two convolutions over the promoter and a two-unit bottleneck (Agarwal and Shendure 2020)."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from genexp.models import Initializer, InputShapes, ModelConfig, Pair, RatePair, pools_within

if TYPE_CHECKING:
    import keras


class Config(ModelConfig):
    """Two convolutions and a two-unit bottleneck."""

    source: ClassVar[str] = "Agarwal and Shendure 2020, Cell Reports 31, 107663, doi 10.1016/j.celrep.2020.107663"

    filters: Pair = Field(description="Filters of the two convolutions")
    kernels: Pair = Field(description="Their kernel sizes, in nt")
    pools: Pair = Field(description="Size of the max-pooling after each")
    dense: Pair = Field(description="Units of the two hidden layers; the second is the bottleneck")
    dropout: RatePair = Field(description="Dropout after each hidden layer; one number stands for both")
    initializer: Initializer = Field(description="Of the convolutions; orthogonal is of the dense layers too")

    def shortest(self) -> int:
        return prod(self.pools)

    def smaller(self, window: int) -> str:
        return pools_within(self.pools, window)

    def build(self, shapes: InputShapes) -> keras.Model:
        from keras import layers

        from genexp.models.layers import common

        promoter, x = common.one_hot_promoter(shapes)
        for n, (filters, kernel, pool) in enumerate(zip(self.filters, self.kernels, self.pools, strict=True), 1):
            x = common.convolve_and_pool(x, filters, kernel, pool, self.initializer, name=f"promoter_{n}")
        x = layers.Flatten(name="flatten")(x)
        # Xpresso_ort starts its hidden dense layers orthogonally too; the others leave them at Keras's default.
        hidden = "orthogonal" if self.initializer == "orthogonal" else "glorot_uniform"
        return common.regression(self, shapes, promoter, x, self.dense, self.dropout, hidden)
