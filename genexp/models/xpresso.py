"""Xpresso: two convolutions over the promoter and a two-unit bottleneck (Agarwal and Shendure 2020)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from genexp.models import Initializer, InputShapes, ModelConfig, Pair, RatePair, too_short

if TYPE_CHECKING:
    import keras


class Config(ModelConfig):
    """Two convolutions and a two-unit bottleneck."""

    filters: Pair = Field(description="Filters of the two convolutions")
    kernels: Pair = Field(description="Their kernel sizes, in nt")
    pools: Pair = Field(description="Size of the max-pooling after each")
    dense: Pair = Field(description="Units of the two hidden layers; the second is the bottleneck")
    dropout: RatePair = Field(description="Dropout after each hidden layer; one number stands for both")
    initializer: Initializer = Field(description="Of the convolutions; orthogonal is of the dense layers too")


def check(config: Config, shapes: InputShapes) -> None:
    """Raise a UserError if pooling leaves nothing of the window."""
    shortest = config.pools[0] * config.pools[1]
    if shapes.window < shortest:
        raise too_short(config, shapes.window, shortest)


def build(config: Config, shapes: InputShapes) -> keras.Model:
    """Build the model; see `genexp.models.build_model`."""
    from keras import layers

    from genexp.models.layers import common as shared

    promoter, x = shared.one_hot_promoter(shapes)
    features = shared.feature_inputs(shapes)
    for n, (filters, kernel, pool) in enumerate(zip(config.filters, config.kernels, config.pools, strict=True), 1):
        x = shared.convolve_and_pool(x, filters, kernel, pool, config.initializer, f"promoter_{n}")
    x = shared.join_blocks(layers.Flatten(name="flatten")(x), features)
    # Xpresso_ort starts its hidden dense layers orthogonally too; the others leave them at Keras's default.
    hidden = "orthogonal" if config.initializer == "orthogonal" else "glorot_uniform"
    x = shared.regression_head(x, config.dense, config.dropout, hidden)
    return shared.make_model(config.name, promoter, features, x)
