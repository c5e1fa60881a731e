"""DivideEtImpera: the window is cut into equal parts, each with convolutions of its own, then joined.

A part sees a tenth of the promoter, so that its filters can specialise on what stands at that distance from the TSS;
the convolutions after the join see across the cuts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from genexp.errors import UserError
from genexp.models import Initializer, InputShapes, ModelConfig, Pair, RatePair, too_short
from genexp.schema import Count

if TYPE_CHECKING:
    import keras


class Config(ModelConfig):
    """The window in equal parts, each with convolutions of its own."""

    parts: Count = Field(description="Number of parts; must divide the window")
    filters: Count = Field(description="Filters of every convolution")
    kernel: Count = Field(description="Kernel size of every convolution")
    pool: Count = Field(description="Size of every max-pooling")
    dense: Pair = Field(description="Units of the two hidden layers")
    dropout: RatePair = Field(description="Dropout after each hidden layer; one number stands for both")
    initializer: Initializer = Field(description="Of the convolutions")

    def multiple(self) -> int:
        """The parts are equal."""
        return self.parts


def check(config: Config, shapes: InputShapes) -> None:
    """Raise a UserError if the parts are not equal, or pooling leaves nothing of them."""
    if shapes.window % config.parts:
        down = shapes.window - shapes.window % config.parts
        raise UserError(
            f"the window cannot be cut into {config.parts} equal parts",
            where="data.window and model.parts",
            expected=f"a window that divides by {config.parts}, such as {down:,} or {down + config.parts:,} nt",
            received=f"{shapes.window:,} nt",
            hint="change data.window=[left,right) or model.parts",
        )
    joined = shapes.window // config.parts // config.pool // config.pool * config.parts
    if joined // config.pool == 0:
        raise too_short(config, shapes.window, config.parts * config.pool**2)


def build(config: Config, shapes: InputShapes) -> keras.Model:
    """Build the model; see `genexp.models.build_model`."""
    from keras import layers

    from genexp.models.layers import common as shared

    promoter, bases = shared.one_hot_promoter(shapes)
    features = shared.feature_inputs(shapes)
    part = shapes.window // config.parts
    encoded = []
    for n in range(config.parts):
        x = bases[:, n * part : (n + 1) * part, :]
        x = _pooled(x, config, f"part_{n}_1")
        x = _convolved(x, config, f"part_{n}_2")
        encoded.append(_pooled(x, config, f"part_{n}_3"))
    x = layers.Concatenate(axis=1, name="join_parts")(encoded) if config.parts > 1 else encoded[0]
    x = _pooled(x, config, "joined_1")
    for n in (2, 3, 4):
        x = _convolved(x, config, f"joined_{n}")
    x = shared.join_blocks(layers.Flatten(name="flatten")(x), features)
    x = shared.regression_head(x, config.dense, config.dropout)
    return shared.make_model(config.name, promoter, features, x)


def _pooled(x: Any, config: Config, name: str) -> Any:
    from genexp.models.layers import common as shared

    return shared.convolve_and_pool(x, config.filters, config.kernel, config.pool, config.initializer, name)


def _convolved(x: Any, config: Config, name: str) -> Any:
    from keras import layers

    return layers.Conv1D(
        config.filters,
        config.kernel,
        padding="same",
        activation="relu",
        kernel_initializer=config.initializer,
        name=f"{name}_conv",
    )(x)
