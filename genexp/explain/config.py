"""What is explained, and how: the keys of ``genexp explain`` beside the run and the place of the results."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from genexp.dataset.config import OtherDataset
from genexp.evaluation.figure_formats import Formats
from genexp.schema import Count, Index, PathText, Schema

#: The methods, and what each is for.
METHODS = {
    "mutagenesis": "every base of the promoters replaced by each of the others",
    "gradients": "gradient of the prediction at the bases",
    "integrated_gradients": "mean gradient on the way from unknown bases",
    "insertion": "motifs put in place of the bases at many positions",
    "permutation": "loss of r2 when a feature is shuffled among the genes",
}
#: Those that look at the bases of promoters, and those of them that give a number for each base.
PER_BASE = ("mutagenesis", "gradients", "integrated_gradients")
OF_BASES = (*PER_BASE, "insertion")

Methods = Annotated[
    list[Literal["mutagenesis", "gradients", "integrated_gradients", "insertion", "permutation"]], Field(min_length=1)
]
Texts = Annotated[list[str], Field(min_length=1)]


def _list(value: Any) -> Any:
    """Let one value stand for a list of it; a number may be the name of a gene."""
    values = value if isinstance(value, list) else [value]
    return None if value is None else [str(x) if isinstance(x, int) else x for x in values]


class Settings(Schema):
    """What is explained, and how."""

    checkpoint: Literal["best", "last"] = Field(description="lowest validation loss, or last epoch")
    methods: Annotated[Methods | None, BeforeValidator(_list)] = Field(
        description="mutagenesis, gradients, integrated_gradients, insertion, permutation; null: those that the blocks "
        "of the run and motifs= allow"
    )
    label: str | None = Field(description="the label to explain, of a run that has several")
    split: Literal["train", "valid", "test"] = Field(description="the genes to choose from")
    genes: Annotated[Texts | None, BeforeValidator(_list)] = Field(
        description="names of the genes whose promoters are explained; null: the first of the split"
    )
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
    plots: Formats = Field(description="file formats of the plots: png, pdf, svg; one or a list")
    modisco: bool = Field(description="find motifs in the contributions by TF-MoDISco; needs genexp[modisco]")
    dataset: OtherDataset
