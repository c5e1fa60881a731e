"""The one description of a dataset: made when it is inspected, completed when it is loaded, kept with the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from genexp.blocks import PROMOTER, in_order
from genexp.dataset.config import DatasetConfig, DemoConfig

if TYPE_CHECKING:
    from genexp.dataset.folds import FoldTable
    from genexp.dataset.hdf5 import StoredArray
    from genexp.dataset.scaling import Conversion


#: Names that a sentence lists.
LISTED = 8


def listed(names: Sequence[str]) -> str:
    """Return names for a sentence: the first of many, and the number of the others."""
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more


class DatasetDescription(BaseModel):
    """What is known of a dataset; ``environment.json`` of a run holds it under ``dataset``.

    Attributes
    ----------
    source, layout
        Where the genes come from (a folder, or ``"demo"``), and the name of the file layout that was recognised.
    genes
        Number of genes per split.
    promoter
        ``"bases"`` (one-hot or tokens on disk), ``"embedded"`` (precomputed chunk vectors), or None without promoters.
    promoter_length, embed_dim
        Length of the promoter on disk, in nt; for embedded promoters the number of chunks, and the length of a vector.
    embedding
        How promoters were embedded by ``genexp embed``: vectors, chunks and window; None where that is not known.
    tss
        Index of the transcription start site in the promoter, or None without bases, and for sequences without one.
    widths, feature_names
        Width of each feature block, ``{"H": 8, "T": 181}``, and the column names of those that have names.
    labels, unit
        Names of the labels, and their unit as axes and tables name it (``"log10(TPM + 0.1), standardised"``), or None.
    fold
        Number of the cross-validation fold, or None.
    made_from, scaling
        Where the raw values came from and how labels and features were scaled, where the files say so.
    window
        Half-open slice [left, right) of the promoter that was loaded, in promoter coordinates.
    fingerprint
        16 hex digits that change with any gene, label, base or feature that was loaded.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str
    layout: str
    genes: dict[str, int]
    promoter: str | None = None
    promoter_length: int | None = None
    tss: int | None = None
    embed_dim: int | None = None
    embedding: str | None = None
    widths: dict[str, int] = Field(default_factory=dict)
    feature_names: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    labels: tuple[str, ...] = ("label",)
    unit: str | None = None
    fold: int | None = None
    made_from: str | None = None
    scaling: dict[str, JsonValue] | None = None
    window: tuple[int, int] | None = None
    fingerprint: str | None = None

    @property
    def blocks(self) -> str:
        """Letters of the blocks present, in joining order: ``"PHT"``."""
        return in_order({*self.widths, *(PROMOTER if self.promoter else "")})

    @property
    def name(self) -> str:
        """A short name: that of the folder, or ``demo``; with the fold, if any."""
        fold = f", fold {self.fold}" if self.fold is not None else ""
        return Path(self.source).name + fold

    @property
    def measured(self) -> str:
        """What was measured, for sentences: the names of the labels, or ``expression``, with their unit."""
        names = "expression" if self.labels == ("label",) else listed(self.labels)
        return f"{names} ({self.unit or 'unit not stated'})"

    def __str__(self) -> str:
        fold = f", fold {self.fold}" if self.fold is not None else ""
        genes = " / ".join(f"{number:,}" for number in self.genes.values())
        promoter = ""
        if self.promoter == "bases":
            tss = "no TSS" if self.tss is None else f"TSS at {self.tss:,}"
            promoter = f", promoter {self.promoter_length:,} nt ({tss})"
        elif self.promoter:
            promoter = f", promoter embedded in {self.promoter_length:,} chunks"
        blocks = [f"{block}({self.widths[block]:,})" if block in self.widths else block for block in self.blocks]
        content = f"{genes} genes{promoter}, blocks {' '.join(blocks)}"
        labels = f", {len(self.labels)} labels: {listed(self.labels)}" if len(self.labels) > 1 else ""
        return f"{self.layout} layout in {self.source}{fold}: {content}{labels}"


@dataclass(frozen=True)
class Source:
    """A dataset that was inspected but not read: its description, and where each array lies.

    `arrays` is by split, then by block letter, label and gene (see `genexp.dataset.layouts`); `warnings` has one
    sentence for each oddity. `label_columns` are the columns of the label array that are read, one for each of the
    description's labels; None for all. `columns` are likewise those of feature blocks, and `conversions` turn labels
    and blocks into the scale of a run (see `genexp.dataset.alignment`), which `notes` say. `folds` is the table by
    which the genes are split anew. `encoded` is the bytes that the promoter of a gene takes as the model is fed with
    it, beside its bases, by split.
    """

    description: DatasetDescription
    config: DatasetConfig | DemoConfig
    arrays: Mapping[str, Mapping[str, StoredArray]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    label_columns: tuple[int, ...] | None = None
    columns: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    conversions: Mapping[str, tuple[Conversion | None, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    folds: FoldTable | None = None
    encoded: Mapping[str, int] = field(default_factory=dict)
