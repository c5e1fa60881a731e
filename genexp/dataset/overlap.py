"""Which genes a run was trained on, kept as hashes, and how many genes of another dataset are among them."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genexp.blocks import PROMOTER
from genexp.dataset.genes import NUMBERED, Split, digests
from genexp.errors import UserError
from genexp.features.tokens import N_TOKEN
from genexp.files import in_short, open_npz, write_atomically

#: Stands for what cannot be compared: a gene without a name, a promoter without a base.
NOTHING = np.uint64(0)


@dataclass(frozen=True)
class TrainingGenes:
    """Hashes of gene names, and of promoters as the run reads them, each once and sorted, (n,) uint64."""

    names: np.ndarray
    promoters: np.ndarray

    @classmethod
    def of(cls, split: Split, *, named: bool) -> TrainingGenes:
        """Return those of a split; the genes of files without names are not `named`."""
        names, promoters = (np.unique(values) for values in _hashes(split, named=named))
        return cls(names[names != NOTHING], promoters[promoters != NOTHING])

    def __or__(self, other: TrainingGenes) -> TrainingGenes:
        return TrainingGenes(np.union1d(self.names, other.names), np.union1d(self.promoters, other.promoters))

    def among(self, split: Split, *, named: bool) -> dict[str, int]:
        """Return how many genes of a split are among these: by either, by name, by promoter, and of all."""
        names, promoters = _hashes(split, named=named)
        by_name, by_sequence = np.isin(names, self.names), np.isin(promoters, self.promoters)
        found = {"genes": by_name | by_sequence, "by_name": by_name, "by_sequence": by_sequence}
        return {key: int(rows.sum()) for key, rows in found.items()} | {"of": len(split)}

    def save(self, path: Path) -> None:
        """Write a NumPy .npz."""
        content = io.BytesIO()
        np.savez(content, names=self.names, promoters=self.promoters)
        write_atomically(path, content.getvalue())

    @classmethod
    def load(cls, path: Path) -> TrainingGenes:
        """Read a file of `save`."""
        with open_npz(path, lambda error: _damaged(path, error)) as file:
            names, promoters = file["names"], file["promoters"]
            if any(values.dtype != np.uint64 or values.ndim != 1 for values in (names, promoters)):
                raise TypeError("no hashes")
            return cls(names, promoters)


def _hashes(split: Split, *, named: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the hashes of names and promoters, (n,) uint64 each, with `NOTHING` where there is none."""
    names = promoters = np.full(len(split), NOTHING)
    if named:
        names = digests(str(name).encode() for name in split.genes)
        numbered = re.compile(NUMBERED.format("[0-9]+"))
        names[[numbered.fullmatch(str(name)) is not None for name in split.genes]] = NOTHING
    values = split.blocks.get(PROMOTER)
    if values is not None:
        nothing = N_TOKEN if values.ndim == 2 else 0
        promoters = digests(np.ascontiguousarray(row).data if (row != nothing).any() else b"" for row in values)
        promoters[promoters == digests([b""])] = NOTHING
    return names, promoters


def _damaged(path: Path, error: Exception) -> UserError:
    what, hint = "the record of the training genes cannot be read", "copy the run directory again, or delete this file"
    return UserError(what, where=path, received=in_short(error), hint=hint)
