"""The architectures: a promoter encoder, optional feature blocks and a regression head.

Every module of this package but `inputs` is one architecture: a class ``Config`` with its keys of the ``model`` group,
its limits and `ModelConfig.build`. What several share is in `genexp.models.layers`. A model is found by its plain name;
no dotted path is ever followed. TensorFlow is imported when the first model is built.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from math import prod
from os import PathLike
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import Field

from genexp.errors import UserError, nearest
from genexp.schema import Count, Rate, Schema, repeated

if TYPE_CHECKING:
    import keras
    import numpy as np

PromoterKind = Literal["bases", "kmers", "embedded"]

#: Two sizes, one for each of two layers; two dropout rates, or one number for both.
Pair = Annotated[list[Count], Field(min_length=2, max_length=2)]
RatePair = Annotated[list[Rate], Field(min_length=2, max_length=2), repeated(2, Rate)]
#: Keras' initializers by name.
Initializer = Literal[
    "glorot_normal", "glorot_uniform", "he_normal", "he_uniform", "lecun_normal", "lecun_uniform", "orthogonal",
    "random_normal", "random_uniform", "truncated_normal", "variance_scaling",
]  # fmt: skip


@dataclass(frozen=True)
class InputShapes:
    """What the model is fed.

    Attributes
    ----------
    promoter
        Shape of one promoter, without the batch axis: (window,) uint8 tokens; (chunks, 4**k) uint8 counts of k-mers;
        (chunks, dimension) float32 precomputed embeddings; None without promoter.
    widths
        Width of each feature block that the model sees: ``{"H": 8}``.
    promoter_kind
        ``"bases"``, ``"kmers"``, ``"embedded"`` or None.
    vectors
        (4**k, dimension) float32, the vector of each k-mer in lexicographic order, for promoters as counts; None
        for vectors that the model learns, and for the counts themselves.
    labels
        Number of labels, each with an output of its own.
    """

    promoter: tuple[int, ...] | None
    widths: dict[str, int] = field(default_factory=dict)
    promoter_kind: PromoterKind | None = "bases"
    vectors: np.ndarray | None = None
    labels: int = 1

    @property
    def window(self) -> int:
        """Length of a window of bases, in nt."""
        if self.promoter is None or self.promoter_kind != "bases":
            raise TypeError(f"these inputs have no bases: {self}")
        return self.promoter[0]


PIPOLI_2022 = (
    "Pipoli, Cappelli, Palladini, Peluso, Lovino and Ficarra 2022, Computer Methods and Programs in Biomedicine 225, "
    "107035, doi 10.1016/j.cmpb.2022.107035"
)


class ModelConfig(Schema):
    """The keys of the ``model`` group that every architecture has, and what an architecture defines."""

    #: Publication of the architecture: authors, year, journal, DOI.
    source: ClassVar[str] = ""

    #: What the architecture reads of a promoter of bases; None for feature blocks alone.
    reads: ClassVar[Literal["bases", "kmers"] | None] = "bases"

    name: str = Field(description="The architecture")
    window: Annotated[list[int], Field(min_length=2, max_length=2)] | None = Field(
        description="Published slice [left, right) of the promoter, relative to the TSS; null for the whole promoter"
    )
    # These two have defaults, as the config.yaml of earlier runs has no such keys.
    knots: Annotated[int, Field(ge=2)] | None = Field(
        default=None, description="Knots of the piecewise-linear encoding of each half-life feature; null for none"
    )

    branch: Count | None = Field(
        default=None,
        description="Units of a hidden layer of its own for the promoter and for each block, before they are joined; "
        "null for none",
    )

    def multiple(self) -> int:
        """Return the length in nt that must divide the window."""
        return 1

    def shortest(self) -> int:
        """Return the length in nt of the shortest window of bases that pooling does not leave empty."""
        return 1

    def smaller(self, window: int) -> str:
        """Return the keys, as they can be typed, with which the network fits a window of so many nt."""
        return "a smaller network"

    def decided(self, given: Collection[str]) -> Self:
        """Return the config with every ``auto`` decided; `given` are the dotted keys of the command line."""
        return self

    def idle(self, given: Collection[str]) -> dict[str, str]:
        """Return those of the keys given that have no effect, each with the setting that it does not go with."""
        return {}

    def check(self, shapes: InputShapes) -> None:
        """Raise a UserError if the network cannot be built for these inputs; imports no TensorFlow."""
        if self.reads and shapes.window < self.shortest():
            raise UserError(
                f"the window is too short for model={self.name}",
                where="data.window (or the promoters of the dataset)",
                expected=f"at least {self.shortest():,} nt",
                received=f"{shapes.window:,} nt",
                hint=f"use a longer data.window, or set {self.smaller(shapes.window)}",
            )

    def build(self, shapes: InputShapes) -> keras.Model:
        """Build the network for inputs that passed `check`."""
        raise NotImplementedError


def pools_within(pools: Sequence[int], window: int) -> str:
    """Return ``model.pools`` as it can be typed: these, made smaller until a window of so many nt is enough."""
    found = list(pools)
    while prod(found) > window and max(found) > 1:
        largest = found.index(max(found))
        found[largest] //= 2
    return f"'model.pools=[{','.join(map(str, found))}]'"


def names() -> list[str]:
    """Return the names of all architectures, found by looking at the package; imports none of them."""
    return [found.name for found in iter_modules(__path__) if not found.ispkg and found.name != "inputs"]


def config_class(name: str) -> type[ModelConfig]:
    """Return the class that validates the ``model`` group of an architecture; imports no TensorFlow."""
    if name not in names():
        hint = f"{nearest(name, names())}choose one with model=..."
        raise UserError(f"there is no model {name}", expected=f"one of {', '.join(names())}", hint=hint)
    found: type[ModelConfig] = import_module(f"{__name__}.{name}").Config
    return found


def check_model(config: ModelConfig, shapes: InputShapes) -> None:
    """Raise a UserError if the architecture cannot be built for these inputs; imports no TensorFlow."""
    config.check(shapes)


def build_model(config: ModelConfig, shapes: InputShapes) -> keras.Model:
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
        Inputs by name: ``promoter`` (see `InputShapes`) and each feature block, (batch, width) float32.
        Output (batch, labels) float32.
    """
    config.check(shapes)
    return config.build(shapes)


def load_model(path: str | PathLike[str]) -> keras.Model:
    """Open a ``.keras`` file, uncompiled, with Keras' own errors; users call `genexp.load_model`.

    It holds stock layers only, so `keras.saving.load_model` opens it where genexp is not installed, too.
    """
    import keras

    return keras.saving.load_model(path, compile=False, safe_mode=True)
