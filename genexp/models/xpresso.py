"""Xpresso: two convolutions over the promoter and a two-unit bottleneck (Agarwal and Shendure 2020)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genexp.config import XpressoConfig
from genexp.models import InputShapes, too_short

if TYPE_CHECKING:
    import keras


def check(config: XpressoConfig, shapes: InputShapes) -> None:
    """Raise a UserError if pooling leaves nothing of the window."""
    shortest = config.pools[0] * config.pools[1]
    if shapes.window < shortest:
        raise too_short(config, shapes.window, shortest)


def build(config: XpressoConfig, shapes: InputShapes) -> keras.Model:
    """Build the model; see `genexp.models.build_model`."""
    from genexp.models.layers import common as shared

    promoter, x = shared.one_hot_promoter(shapes)
    features = shared.feature_inputs(shapes)
    for n, (filters, kernel, pool) in enumerate(zip(config.filters, config.kernels, config.pools, strict=True), 1):
        x = shared.convolve_and_pool(x, filters, kernel, pool, config.initializer, f"promoter_{n}")
    x = shared.join_blocks(shared.layers.Flatten(name="flatten")(x), features)
    # Xpresso_ort starts its hidden dense layers orthogonally too; the others leave them at Keras's default.
    hidden = "orthogonal" if config.initializer == "orthogonal" else "glorot_uniform"
    x = shared.regression_head(x, config.dense, config.dropout, hidden)
    return shared.make_model(config.name, promoter, features, x)
