"""The genes of a dataset with their raw values, before any scaling."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from genexp.prepare.annotation import Transcript
from genexp.prepare.names import GeneNames
from genexp.prepare.targets import Targets


@dataclass(frozen=True)
class RawGenes:
    """Raw values, one row per gene.

    Attributes
    ----------
    names
        What the genes are called.
    expression : (n,) float64
    halflife : (n, 8) float64 or None
        Of a genome, GC is not known before the genome is read.
    chromosome, strand : (n,) array of str or None
    tss : (n,) int64 or None
        Position of the first transcribed base, from 0.
    transcripts
        The transcript of each gene of a genome.
    targets
        Target tables by block letter.
    """

    names: GeneNames
    expression: np.ndarray
    halflife: np.ndarray | None = None
    chromosome: np.ndarray | None = None
    strand: np.ndarray | None = None
    tss: np.ndarray | None = None
    transcripts: list[Transcript] = field(default_factory=list)
    targets: dict[str, Targets] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.expression)

    def take(self, rows: np.ndarray) -> RawGenes:
        """Return the genes selected by an index or boolean array."""
        index = np.arange(len(self))[rows]
        return RawGenes(**{each.name: _take(getattr(self, each.name), index) for each in fields(self)})

    def places(self) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """Return chromosome, strand and TSS of each gene, or None where the source does not say."""
        if self.chromosome is None or self.strand is None or self.tss is None:
            return None
        return self.chromosome, self.strand, self.tss


def _take(value: Any, index: np.ndarray) -> Any:
    if isinstance(value, dict):
        return {key: found.take(index) for key, found in value.items()}
    if isinstance(value, list):
        return [value[n] for n in index] if value else []
    if isinstance(value, GeneNames):
        return value.take(index)
    return None if value is None else value[index]
