"""What every dataset looks like in memory, wherever its genes come from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from genexp.blocks import BLOCKS as _BLOCKS
from genexp.blocks import HALFLIFE_FEATURES as HALFLIFE_FEATURES
from genexp.dataset.description import DatasetDescription
from genexp.memory import allocate, is_on_disk

#: The name of each block's model input; new code reads `genexp.blocks.BLOCKS`.
BLOCKS: dict[str, str] = {letter: block.input for letter, block in _BLOCKS.items()}

SPLITS: tuple[str, ...] = ("train", "valid", "test")

#: Rows that are copied or hashed at a time.
ROWS_AT_ONCE = 1024


@dataclass(frozen=True)
class Split:
    """The genes of one split; every array has one row per gene.

    Attributes
    ----------
    genes : (n,) array of str
    labels : (n,) float32
        log10(median expression + 0.1), standardised.
    blocks
        Arrays by block letter. Promoters: (n, window) uint8 tokens, or (n, chunks, dimension) float32 for precomputed
        embeddings; every other block: (n, width) float32, or uint8 when all values are 0 or 1. A streamed dataset
        has its promoters on disk (`genexp.memory.allocate`).
    """

    genes: np.ndarray
    labels: np.ndarray
    blocks: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.genes)

    def take(self, rows: np.ndarray) -> Split:
        """Return the genes selected by an index or boolean array."""
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows
        return Split(self.genes[rows], self.labels[rows], {b: _rows(x, rows) for b, x in self.blocks.items()})


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
        changes = {
            "genes": {name: len(split) for name, split in self.splits.items()},
            "widths": {block: width for block, width in found.widths.items() if block in blocks},
            "feature_names": {block: names for block, names in found.feature_names.items() if block in blocks},
            "fingerprint": self.fingerprint(),
        }
        return found.model_copy(update=changes)

    def fingerprint(self) -> str:
        """Return 16 hex digits that change when any gene, label, base or feature in memory changes."""
        digest = hashlib.blake2b(digest_size=8)
        for name, split in self.splits.items():
            digest.update(name.encode())
            digest.update("\n".join(map(str, split.genes)).encode())
            for array in (split.labels, *split.blocks.values()):
                digest.update(f"{array.dtype}{array.shape}".encode())
                for first in range(0, len(array), ROWS_AT_ONCE):
                    digest.update(np.ascontiguousarray(array[first : first + ROWS_AT_ONCE]).data)
        return digest.hexdigest()


def _rows(array: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return some rows of an array, on disk if the array is."""
    taken = allocate((len(rows), *array.shape[1:]), array.dtype, on_disk=is_on_disk(array))
    for first in range(0, len(rows), ROWS_AT_ONCE):
        taken[first : first + ROWS_AT_ONCE] = array[rows[first : first + ROWS_AT_ONCE]]
    return taken
