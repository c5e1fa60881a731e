"""The architectures: a promoter encoder, optional feature blocks and a regression head.

A model is found by its plain name in `BUILDERS`; no dotted path is ever followed. TensorFlow is imported when the
first model is built.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from genexp.errors import UserError

if TYPE_CHECKING:
    import keras

#: Module of each model; it has a function ``build(config, shapes) -> keras.Model`` and one ``check(config, shapes)``.
BUILDERS: dict[str, str] = {
    "xpresso": "genexp.models.xpresso",
    "divide_et_impera": "genexp.models.divide_et_impera",
    "biolstm": "genexp.models.biolstm",
    "transformer": "genexp.models.transformer",
    "token_transformer": "genexp.models.token_transformer",
    "fc_net": "genexp.models.fc_net",
}


@dataclass(frozen=True)
class InputShapes:
    """What the model is fed.

    Attributes
    ----------
    promoter
        Shape of one promoter, without the batch axis: (window,) uint8 tokens; (chunks, 4**k) uint8 counts of k-mers;
        (chunks, dimension) float32 where the promoters come embedded; None without promoter.
    widths
        Width of each feature block that the model sees: ``{"H": 8}``.
    promoter_kind
        ``"bases"``, ``"kmers"``, ``"embedded"`` or None.
    vectors
        (4**k, dimension) float32, the vector of each k-mer in lexicographic order, for promoters as counts; None
        for vectors that the model learns, and for the counts themselves.
    """

    promoter: tuple[int, ...] | None
    widths: dict[str, int] = field(default_factory=dict)
    promoter_kind: str | None = "bases"
    vectors: np.ndarray | None = None

    @property
    def window(self) -> int:
        """Length of a window of bases, in nt."""
        if self.promoter is None or self.promoter_kind != "bases":
            raise TypeError(f"these inputs have no bases: {self}")
        return self.promoter[0]


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
        Inputs by name: ``promoter`` (see `InputShapes`), ``halflife``, ``tf``, ``mirna`` (batch, width) float32.
        Output (batch, 1) float32.
    """
    check_model(config, shapes)
    return import_module(BUILDERS[config.name]).build(config, shapes)


def load_model(path: str | PathLike[str]) -> keras.Model:
    """Open a ``.keras`` checkpoint of a run, to use it from Python; code in the file is never executed.

    Parameters
    ----------
    path
        ``DIR/checkpoints/best.keras``, or what ``genexp export format=keras`` wrote.

    Returns
    -------
    keras.Model
        Not compiled. Inputs and output as `build_model` has them; features as the dataset stores them.

    Raises
    ------
    ValueError, OSError, TypeError, KeyError
        As Keras raises them, when this is no such file.
    """
    import keras

    for module in ("kmers", "attention"):  # they register the layers that a checkpoint may hold
        import_module(f"genexp.models.layers.{module}")
    return keras.saving.load_model(path, compile=False, safe_mode=True)


def too_short(config: Any, window: int, shortest: int) -> UserError:
    """Return the error for a window that pooling would leave empty."""
    return UserError(
        f"the window is too short for model={config.name}",
        where="data.window (or the promoters of the dataset)",
        expected=f"at least {shortest:,} nt, or smaller pools",
        received=f"{window:,} nt",
        do="widen data.window, or make the model's pools smaller",
    )
