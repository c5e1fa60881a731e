"""The config groups ``data`` and ``dataset``: which genes, which of their blocks, which slice of the promoter."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from genexp.schema import Count, Index, PathText, Schema, Window

#: What becomes of genes that are in two splits.
SharedGenes = Literal["error", "drop", "keep"]


def _names(value: Any) -> Any:
    """Let one name stand for a list of it, and a number for its text: names of labels may be hours."""
    names = value if isinstance(value, list) else [value]
    return [str(x) if isinstance(x, int | float) and not isinstance(x, bool) else x for x in names]


LabelNames = Annotated[list[str], Field(min_length=1), BeforeValidator(_names, json_schema_input_type=str | list[str])]


class DataConfig(Schema):
    """Which blocks the model sees, which slice of the promoter, and which labels it predicts."""

    name: str = Field(description="letters of the blocks that the model sees, such as PHT")
    window: Window | None = Field(
        description="slice [left,right) of the promoter, in promoter coordinates; null: the model's published window"
    )
    # With a default, as the config.yaml of earlier runs has no such key.
    labels: LabelNames | None = Field(default=None, description="names of the labels to predict; null: all")


class DatasetConfig(Schema):
    """Genes from HDF5 files, in any layout that is read directly."""

    name: str = Field(description="name of the dataset")
    root: PathText = Field(description="folder with the files")
    layout: str = Field(description="name of the layout, or auto to find it by looking")
    fold: Count | None = Field(
        description="cross-validation fold: of the files 1train.h5 ... 10test.h5, or of dataset.folds"
    )
    # With a default, as the config.yaml of earlier runs has no such key.
    folds: PathText | None = Field(
        default=None, description="table of genes and folds, by which the genes of all files are split anew; null: none"
    )
    tss: Index | None = Field(
        description="index of the transcription start site in the promoter; null: as the files say, else the middle"
    )
    drop_ambiguous: bool = Field(description="drop the genes with N in the window, in every split")
    shared_genes: SharedGenes = Field(description="genes in two splits: error, drop (from training) or keep")
    stream: bool | None = Field(
        description="promoters in a memory-mapped file in place of memory; null: where they exceed half of the memory"
    )


class DemoConfig(Schema):
    """Simulated genes."""

    name: Literal["demo"] = Field(description="demo")
    genes: Annotated[int, Field(ge=100, le=10_000_000)] = Field(description="number of genes in all splits together")
    seed: Index = Field(description="which genes; the top-level seed governs the training on them")
    drop_ambiguous: bool = Field(description="without effect: demo promoters have no N")


class OtherDataset(Schema):
    """What replaces the dataset settings of a run; null keeps them."""

    root: PathText | None = Field(description="folder of another dataset")
    layout: str | None = Field(description="name of its layout")
    fold: Count | None = Field(description="cross-validation fold")
    folds: PathText | None = Field(description="table of genes and folds")
    tss: Index | None = Field(description="index of the transcription start site in the promoter")
    drop_ambiguous: bool | None = Field(description="drop the genes with N in the window")
    stream: bool | None = Field(description="promoters in a memory-mapped file in place of memory")
    shared_genes: SharedGenes | None = Field(description="genes in two splits: error, drop or keep")
