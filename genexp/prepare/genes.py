"""The genes of a dataset with their raw values, before any scaling."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from genexp.prepare.annotation import Transcript
from genexp.prepare.names import GeneNames
from genexp.prepare.targets import Targets


def _unknown() -> np.ndarray:
    return np.empty(0)


@dataclass(frozen=True)
class RawGenes:
    """Raw values, one row per gene; arrays that the source does not give are empty.

    `halflife` is (n, 8), without GC until a genome is read; `tss` is the position of the first transcribed base, from
    0; `targets` are tables by block letter.
    """

    names: GeneNames
    expression: np.ndarray
    halflife: np.ndarray = field(default_factory=_unknown)
    chromosome: np.ndarray = field(default_factory=_unknown)
    strand: np.ndarray = field(default_factory=_unknown)
    tss: np.ndarray = field(default_factory=_unknown)
    transcripts: list[Transcript] = field(default_factory=list)
    targets: dict[str, Targets] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.expression)

    def take(self, rows: np.ndarray) -> RawGenes:
        """Return the genes selected by an index or boolean array."""
        index = np.arange(len(self))[rows]
        return RawGenes(**{each.name: _take(getattr(self, each.name), index) for each in fields(self)})


def _take(value: Any, index: np.ndarray) -> Any:
    if isinstance(value, dict):
        return {key: found.take(index) for key, found in value.items()}
    if isinstance(value, GeneNames):
        return value.take(index)
    if isinstance(value, list):
        return [value[n] for n in index] if value else value
    return value[index] if len(value) else value
