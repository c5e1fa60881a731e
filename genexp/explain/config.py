"""What is explained, and how: the keys of ``genexp explain`` beside the run and the place of the results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from genexp.dataset.config import OtherDataset
from genexp.evaluation.figure_formats import Formats
from genexp.schema import Checkpoint, Count, Index, Name, OneOf, PathText, Schema


@dataclass(frozen=True)
class Method:
    """A way of explaining.

    Attributes
    ----------
    title
        What it is.
    files
        What it writes.
    explains
        ``bases``: a number for each base of a promoter, by a function in `genexp.explain.genes`; ``motifs`` or
        ``features``.
    settings
        Keys that explain.json records.
    note
        What explain.json calls the size of its error.
    """

    title: str
    files: tuple[str, ...]
    explains: Literal["bases", "motifs", "features"] = "bases"
    settings: tuple[str, ...] = ()
    note: str = "largest_difference_from_whole_model"


METHODS = {
    "mutagenesis": Method(
        "every base of the promoters replaced by each of the others", ("mutagenesis.npz",), settings=("region",)
    ),
    "gradients": Method("gradient of the prediction at the bases", ("gradients.npz",)),
    "integrated_gradients": Method(
        "mean gradient on the way from unknown bases, 1/4 of each",
        ("integrated_gradients.npz",),
        settings=("steps",),
        note="largest_completeness_error",
    ),
    "insertion": Method(
        "motifs put in place of the bases at many positions",
        ("insertion.csv", "insertion.npz"),
        "motifs",
        settings=("motifs", "spacing"),
    ),
    "permutation": Method(
        "loss of r2 when a feature is shuffled among the genes",
        ("permutation.csv",),
        "features",
        settings=("repeats", "seed"),
    ),
}
#: The methods that give a number for each base, and all those that look at the bases of promoters.
PER_BASE = tuple(name for name, method in METHODS.items() if method.explains == "bases")
OF_BASES = tuple(name for name, method in METHODS.items() if method.explains != "features")

Texts = Annotated[list[str], Field(min_length=1)]
_Method = Annotated[str, OneOf(tuple(METHODS))]


def _list(value: Any) -> Any:
    """Let one value stand for a list of it; a number may be the name of a gene."""
    values = value if isinstance(value, list) else [value]
    return None if value is None else [str(x) if isinstance(x, int) else x for x in values]


class Settings(Schema):
    """What is explained, and how."""

    checkpoint: Checkpoint
    methods: Annotated[
        Annotated[list[_Method], Field(min_length=1)] | None,
        BeforeValidator(_list, json_schema_input_type=_Method | list[_Method] | None),
    ] = Field(description=f"{', '.join(METHODS)}; null: those that the blocks of the run and motifs= allow")
    label: Name | None = Field(description="the label to explain, of a run that has several")
    split: Literal["train", "valid", "test"] = Field(description="the genes to choose from")
    genes: Annotated[
        Texts | None, BeforeValidator(_list, json_schema_input_type=str | int | list[str | int] | None)
    ] = Field(description="names of the genes whose promoters are explained; null: the first of the split")
    most: Count = Field(description="genes whose promoters are explained, unless genes names them")
    region: Annotated[list[int], Field(min_length=2, max_length=2)] | None = Field(
        description="slice [left,right) around the TSS in which bases are replaced; null: the window"
    )
    steps: Count = Field(description="gradients on the way of integrated_gradients")
    motifs: PathText | None = Field(description="MEME file of the motifs of insertion")
    spacing: Count = Field(description="insertion: distance of the positions in nt")
    repeats: Annotated[int, Field(ge=2)] = Field(description="permutation: number of permutations of each feature")
    seed: Index = Field(description="permutation: which permutations")
    logos: Index = Field(description="genes that get a figure")
    plots: Formats = Field(description="file formats of the plots: png, pdf, svg; one or a list; []: no plots")
    modisco: bool = Field(description="find motifs in the contributions by TF-MoDISco; needs genexp[modisco]")
    dataset: OtherDataset
