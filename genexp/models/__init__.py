"""The architectures: a promoter encoder, optional feature blocks and a regression head.

A model is found by its plain name in `BUILDERS`; no dotted path is ever followed. TensorFlow is imported when the
first model is built.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from genexp.errors import UserError

if TYPE_CHECKING:
    import keras

#: Module of each model; it has a function ``build(config, shapes) -> keras.Model`` and one ``check(config, shapes)``.
BUILDERS: dict[str, str] = {
    "xpresso": "genexp.models.xpresso",
    "divide_et_impera": "genexp.models.divide_et_impera",
    "fc_net": "genexp.models.fc_net",
}


@dataclass(frozen=True)
class InputShapes:
    """What the model is fed.

    Attributes
    ----------
    window
        Length of the promoter window in nt, or None without promoter.
    widths
        Width of each feature block that the model sees: ``{"H": 8}``.
    """

    window: int | None
    widths: dict[str, int] = field(default_factory=dict)


def check_model(config: Any, shapes: InputShapes) -> None:
    """Raise a UserError if the architecture cannot be built for these inputs; imports no TensorFlow."""
    import_module(BUILDERS[config.name]).check(config, shapes)


def build_model(config: Any, shapes: InputShapes) -> keras.Model:
    """Build an uncompiled model.

    Parameters
    ----------
    config
        The validated ``model`` group.
    shapes
        The inputs; see `InputShapes`.

    Returns
    -------
    keras.Model
        Inputs by name: ``promoter`` (batch, window) uint8 tokens, ``halflife``, ``tf``, ``mirna``
        (batch, width) float32. Output (batch, 1) float32.
    """
    check_model(config, shapes)
    return import_module(BUILDERS[config.name]).build(config, shapes)


def too_short(config: Any, window: int, shortest: int) -> UserError:
    """Return the error for a window that pooling would leave empty."""
    return UserError(
        f"the window is too short for model={config.name}",
        where="data.window (or the promoters of the dataset)",
        expected=f"at least {shortest:,} nt, or smaller pools",
        received=f"{window:,} nt",
        do="widen data.window, or make the model's pools smaller",
    )
