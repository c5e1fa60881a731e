"""LegNet: EfficientNetV2-like blocks over short promoters (Penzar et al. 2023, Bioinformatics 39, btad457)."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from genexp.errors import UserError
from genexp.models import InputShapes, ModelConfig, pools_within
from genexp.schema import Count, Rate

if TYPE_CHECKING:
    import keras


class Config(ModelConfig):
    """Stages of an inverted residual block with squeeze-and-excitation, a convolution and a pool."""

    source: ClassVar[str] = "Penzar et al. 2023, Bioinformatics 39, btad457, doi 10.1093/bioinformatics/btad457"

    filters: Annotated[list[Count], Field(min_length=2)] = Field(description="Filters of the stem and of each stage")
    pools: list[Count] = Field(description="Size of the max-pooling after each stage; 1 for none")
    # It has a default, as the config.yaml of earlier runs has no such key.
    stem_pool: Count = Field(default=1, description="Size of the max-pooling after the stem; 1 for none")
    kernel: Count = Field(description="Kernel size of every convolution but those of one base")
    expansion: Count = Field(description="Factor by which a block widens its input")
    group: Count = Field(description="Channels per group of the grouped convolution")
    reduction: Count = Field(description="Factor by which the squeeze is narrower than the input of its block")
    dense: Count = Field(description="Units of the hidden layer")
    dropout: Rate = Field(description="Dropout after the hidden layer")

    def shortest(self) -> int:
        return self.stem_pool * prod(self.pools)

    def smaller(self, window: int) -> str:
        stem = "model.stem_pool=1 " if self.stem_pool > 1 else ""
        return stem + pools_within(self.pools, window)

    def check(self, shapes: InputShapes) -> None:
        stages = len(self.filters) - 1
        if len(self.pools) != stages:
            expected, where = f"{stages} pools, one per stage", "model.pools and model.filters"
            raise UserError("every stage has one pool", where=where, expected=expected, received=self.pools)
        for filters in self.filters[:-1]:
            if filters * self.expansion % self.group:
                what = f"{filters * self.expansion} channels cannot be divided into groups of {self.group}"
                raise UserError(what, where="model.filters, model.expansion and model.group")
        super().check(shapes)

    def build(self, shapes: InputShapes) -> keras.Model:
        from keras import layers

        from genexp.models.layers import common

        promoter, x = common.one_hot_promoter(shapes)
        x = _convolved(x, self.filters[0], self.kernel, "stem")
        if self.stem_pool > 1:
            x = layers.MaxPooling1D(self.stem_pool, name="stem_pool")(x)
        for n, (filters, pool) in enumerate(zip(self.filters[1:], self.pools, strict=True), 1):
            x = layers.Concatenate(name=f"stage_{n}_residual")([x, _block(x, self, f"stage_{n}")])
            x = _convolved(x, filters, self.kernel, f"stage_{n}_local")
            x = layers.MaxPooling1D(pool, name=f"stage_{n}_pool")(x)
        x = layers.GlobalAveragePooling1D(name="pool")(x)
        return common.regression(self, shapes, promoter, x, [self.dense], [self.dropout])


def _block(x: Any, config: Config, name: str) -> Any:
    """Widen (batch, length, width), convolve each group of channels, weight the channels, and return to the width.

    The weights are those of a grouped convolution, of which TensorFlow has no fast gradient on the CPU: every channel
    gives one part of each output of its group, and the parts are added up.
    """
    from keras import layers, ops

    width, group = x.shape[-1], config.group
    x = _convolved(x, width * config.expansion, 1, f"{name}_expand")
    length, wide = x.shape[1:]
    grouped = layers.DepthwiseConv1D(
        config.kernel, padding="same", depth_multiplier=group, use_bias=False, name=f"{name}_grouped_conv"
    )
    parts = ops.reshape(grouped(x), (-1, length, wide // group, group, group))
    x = _activated(ops.reshape(ops.sum(parts, axis=3), (-1, length, wide)), f"{name}_grouped")
    # Squeeze and excitation: each channel is weighted by a share between 0 and 1 that follows from the means of all.
    share = layers.GlobalAveragePooling1D(keepdims=True, name=f"{name}_squeeze")(x)
    share = layers.Dense(max(width // config.reduction, 1), activation="silu", name=f"{name}_excite_1")(share)
    share = layers.Dense(wide, activation="sigmoid", name=f"{name}_excite_2")(share)
    return _convolved(layers.Multiply(name=f"{name}_excited")([x, share]), width, 1, f"{name}_project")


def _convolved(x: Any, filters: int, kernel: int, name: str) -> Any:
    """Convolve without bias, normalise, and apply SiLU."""
    from keras import layers

    return _activated(layers.Conv1D(filters, kernel, padding="same", use_bias=False, name=f"{name}_conv")(x), name)


def _activated(x: Any, name: str) -> Any:
    """Normalise, with momentum and epsilon as PyTorch has them, and apply SiLU."""
    from keras import layers

    x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_norm")(x)
    return layers.Activation("silu", name=f"{name}_silu")(x)
