"""DivideEtImpera: the window is cut into equal parts, each with convolutions of its own, then joined.

A part sees a tenth of the promoter, so that its filters can specialise on what stands at that distance from the TSS;
the convolutions after the join see across the cuts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from genexp.config import DivideEtImperaConfig
from genexp.errors import UserError
from genexp.models import InputShapes, too_short

if TYPE_CHECKING:
    import keras


def check(config: DivideEtImperaConfig, shapes: InputShapes) -> None:
    """Raise a UserError if the parts are not equal, or pooling leaves nothing of them."""
    if shapes.window % config.parts:
        down = shapes.window - shapes.window % config.parts
        raise UserError(
            f"the window cannot be cut into {config.parts} equal parts",
            where="data.window and model.parts",
            expected=f"a window that divides by {config.parts}, such as {down:,} or {down + config.parts:,} nt",
            received=f"{shapes.window:,} nt",
            do="change data.window=[left,right) or model.parts",
        )
    joined = shapes.window // config.parts // config.pool // config.pool * config.parts
    if joined // config.pool == 0:
        raise too_short(config, shapes.window, config.parts * config.pool**2)


def build(config: DivideEtImperaConfig, shapes: InputShapes) -> keras.Model:
    """Build the model; see `genexp.models.build_model`."""
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
    x = shared.layers.Concatenate(axis=1, name="join_parts")(encoded) if config.parts > 1 else encoded[0]
    x = _pooled(x, config, "joined_1")
    for n in (2, 3, 4):
        x = _convolved(x, config, f"joined_{n}")
    x = shared.join_blocks(shared.layers.Flatten(name="flatten")(x), features)
    x = shared.regression_head(x, config.dense, config.dropout)
    return shared.make_model(config.name, promoter, features, x)


def _pooled(x: Any, config: DivideEtImperaConfig, name: str) -> Any:
    from genexp.models.layers import common as shared

    return shared.convolve_and_pool(x, config.filters, config.kernel, config.pool, config.initializer, name)


def _convolved(x: Any, config: DivideEtImperaConfig, name: str) -> Any:
    from keras import layers

    return layers.Conv1D(
        config.filters,
        config.kernel,
        padding="same",
        activation="relu",
        kernel_initializer=config.initializer,
        name=f"{name}_conv",
    )(x)
