"""DivideEtImpera: the window is cut into equal parts, each with convolutions of its own, then joined.

A part sees a tenth of the promoter, so that its filters can specialise on what stands at that distance from the TSS;
the convolutions after the join see across the cuts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from genexp.errors import UserError
from genexp.models import PIPOLI_2022, Initializer, InputShapes, ModelConfig, Pair, RatePair
from genexp.schema import Count

if TYPE_CHECKING:
    import keras


class Config(ModelConfig):
    """The window in equal parts, each with convolutions of its own."""

    source: ClassVar[str] = PIPOLI_2022

    parts: Count = Field(description="Number of parts; must divide the window")
    filters: Count = Field(description="Filters of every convolution")
    kernel: Count = Field(description="Kernel size of every convolution")
    pool: Count = Field(description="Size of every max-pooling")
    dense: Pair = Field(description="Units of the two hidden layers")
    dropout: RatePair = Field(description="Dropout after each hidden layer; one number stands for both")
    initializer: Initializer = Field(description="Of the convolutions")

    def multiple(self) -> int:
        return self.parts

    def shortest(self) -> int:
        # Two pools in each part have to leave enough for the one after the join.
        return self.parts * self.pool**2 * -(-self.pool // self.parts)

    def smaller(self, window: int) -> str:
        fit = [n for n in range(1, self.pool) if self.parts * n**2 * -(-n // self.parts) <= window]
        return f"model.pool={max(fit)}" if fit else "fewer model.parts"

    def check(self, shapes: InputShapes) -> None:
        if shapes.window % self.parts:
            down = shapes.window - shapes.window % self.parts
            raise UserError(
                f"the window cannot be cut into {self.parts} equal parts",
                where="data.window and model.parts",
                expected=f"a window that divides by {self.parts}, such as {down:,} or {down + self.parts:,} nt",
                received=f"{shapes.window:,} nt",
                hint="change data.window=[left,right) or model.parts",
            )
        super().check(shapes)

    def build(self, shapes: InputShapes) -> keras.Model:
        from keras import layers

        from genexp.models.layers import common

        def pooled(x: Any, name: str) -> Any:
            return common.convolve_and_pool(x, self.filters, self.kernel, self.pool, self.initializer, name=name)

        def convolved(x: Any, name: str) -> Any:
            settings = {"padding": "same", "activation": "relu", "kernel_initializer": self.initializer}
            return layers.Conv1D(self.filters, self.kernel, **settings, name=f"{name}_conv")(x)

        promoter, bases = common.one_hot_promoter(shapes)
        part = shapes.window // self.parts
        encoded = []
        for n in range(self.parts):
            x = pooled(bases[:, n * part : (n + 1) * part, :], f"part_{n}_1")
            x = convolved(x, f"part_{n}_2")
            encoded.append(pooled(x, f"part_{n}_3"))
        x = layers.Concatenate(axis=1, name="join_parts")(encoded) if self.parts > 1 else encoded[0]
        x = pooled(x, "joined_1")
        for n in (2, 3, 4):
            x = convolved(x, f"joined_{n}")
        x = layers.Flatten(name="flatten")(x)
        return common.regression(self, shapes, promoter, x, self.dense, self.dropout)
