"""What every dataset looks like in memory, wherever its genes come from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from genexp.blocks import PROMOTER
from genexp.dataset.description import DatasetDescription
from genexp.features.tokens import rows_with_n
from genexp.memory import allocate, is_on_disk

if TYPE_CHECKING:
    from genexp.arrays import Embedded, Features, KmerCounts, Names, PerLabel, Tokens

SPLITS: tuple[str, ...] = ("train", "valid", "test")

#: What rows without an id are called: their number is no name, by which other files could be compared.
NUMBERED = "seq{}"

#: Rows that are copied or hashed at a time.
ROWS_AT_ONCE = 1024


def digests(rows: Iterable[bytes | memoryview]) -> np.ndarray:
    """Return a hash of 64 bits for each row, (n,) uint64."""
    numbers = (int.from_bytes(hashlib.blake2b(row, digest_size=8).digest(), "little") for row in rows)
    return np.fromiter(numbers, np.uint64)


@dataclass(frozen=True)
class Split:
    """The genes of one split; every array has one row per gene.

    Attributes
    ----------
    genes : (n,) array of str
    labels : (n, labels) float32
        A column for each of `DatasetDescription.labels`; NaN where a gene has no value of a label.
    blocks
        Arrays by block letter. Promoters: (n, window) uint8 tokens, or (n, chunks, dimension) float32 for precomputed
        embeddings; every other block: (n, width) float32, or uint8 when all values are 0 or 1. A streamed dataset
        has its promoters on disk (`genexp.memory.allocate`).
    """

    genes: Names
    labels: PerLabel
    blocks: Mapping[str, Tokens | Embedded | KmerCounts | Features]

    def __len__(self) -> int:
        return len(self.genes)

    def distinct_labels(self) -> np.ndarray:
        """Return the labels, (n, labels), but NaN where an earlier gene with the same input has the label too.

        Equal inputs have equal predictions, so that each different prediction counts once for each label.
        """
        rows = (b"".join(values[row].tobytes() for values in self.blocks.values()) for row in range(len(self)))
        inputs = np.unique(digests(rows), return_inverse=True)[1]
        labels = np.full_like(self.labels, np.nan)
        for own, every in zip(labels.T, self.labels.T, strict=True):
            known = np.flatnonzero(~np.isnan(every))
            first = known[np.unique(inputs[known], return_index=True)[1]]
            own[first] = every[first]
        return labels

    def take(self, rows: np.ndarray) -> Split:
        """Return the genes selected by an index or boolean array; what is on disk stays there."""
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows
        blocks = {}
        for block, values in self.blocks.items():
            blocks[block] = allocate((len(rows), *values.shape[1:]), values.dtype, on_disk=is_on_disk(values))
            for first in range(0, len(rows), ROWS_AT_ONCE):
                blocks[block][first : first + ROWS_AT_ONCE] = values[rows[first : first + ROWS_AT_ONCE]]
        return Split(self.genes[rows], self.labels[rows], blocks)


@dataclass(frozen=True)
class Dataset:
    """The genes of a run, in memory, with only the blocks and the window that the run needs.

    Attributes
    ----------
    description
        The whole dataset as found, and the window of the promoters that are in memory.
    splits
        ``train``, ``valid`` and ``test``.
    warnings
        One sentence for each oddity that does not make a run wrong, with its count.
    ceiling
        Noise ceiling of the test r2 by data name (``{"PH": 0.58, ...}``) where the generator knows it, else None.
    """

    description: DatasetDescription
    splits: Mapping[str, Split]
    warnings: tuple[str, ...] = ()
    ceiling: Mapping[str, float] | None = None

    @property
    def window(self) -> tuple[int, int] | None:
        """Half-open slice [left, right) of the promoter, in promoter coordinates, or None without bases."""
        return self.description.window

    def record(self) -> DatasetDescription:
        """Return the description of what is in memory: its genes, its blocks and their fingerprint."""
        found, blocks = self.description, self.splits["train"].blocks
        by_block = {
            name: {block: value for block, value in getattr(found, name).items() if block in blocks}
            for name in ("widths", "feature_names")
        }
        genes = {name: len(split) for name, split in self.splits.items()}
        return found.model_copy(update={"genes": genes, **by_block, "fingerprint": self.fingerprint()})

    def fingerprint(self) -> str:
        """Return 16 hex digits that change when any gene, label, base or feature in memory changes."""
        digest = hashlib.blake2b(digest_size=8)
        for name, split in self.splits.items():
            digest.update(name.encode())
            digest.update("\n".join(map(str, split.genes)).encode())
            several = split.labels.shape[1] > 1
            if several:
                digest.update("\n".join(self.description.labels).encode())
            for array in (split.labels if several else split.labels[:, 0], *split.blocks.values()):
                digest.update(f"{array.dtype}{array.shape}".encode())
                for first in range(0, len(array), ROWS_AT_ONCE):
                    digest.update(np.ascontiguousarray(array[first : first + ROWS_AT_ONCE]).data)
        return digest.hexdigest()

    def __str__(self) -> str:
        if self.window is None:
            return str(self.description)
        with_n = sum(int(rows_with_n(split.blocks[PROMOTER]).sum()) for split in self.splits.values())
        return f"{self.description}, {with_n:,} gene{'' if with_n == 1 else 's'} with N"
