"""What every dataset looks like in memory, wherever its genes come from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

#: One letter per block, in the order in which blocks are joined, and the name of its model input.
BLOCKS: dict[str, str] = {"P": "promoter", "H": "halflife", "T": "tf", "M": "mirna"}

SPLITS: tuple[str, ...] = ("train", "valid", "test")

#: Features of the half-life block as Xpresso orders them.
HALFLIFE_FEATURES: tuple[str, ...] = (
    "UTR5LEN",
    "CDSLEN",
    "INTRONLEN",
    "UTR3LEN",
    "UTR5GC",
    "CDSGC",
    "UTR3GC",
    "ORFEXONDENSITY",
)


@dataclass(frozen=True)
class DatasetInfo:
    """What is known of a dataset before its genes are read.

    Attributes
    ----------
    source
        Where the genes come from: a folder, or ``"demo"``.
    layout
        Name of the file layout that was recognised, for people.
    genes
        Number of genes per split.
    promoter
        ``"bases"`` (one-hot or tokens on disk), ``"embedded"`` (chunk vectors), or None without promoters.
    promoter_length
        Length of the promoter on disk, in nt; for embedded promoters the number of chunks.
    tss
        Index of the transcription start site in the promoter, or None for embedded promoters.
    widths
        Width of each feature block present: ``{"H": 8, "T": 181}``.
    feature_names
        Column names of each block whose names the data brings.
    embed_dim
        Length of the vector of a chunk, for embedded promoters.
    """

    source: str
    layout: str
    genes: Mapping[str, int]
    promoter: str | None
    promoter_length: int | None
    tss: int | None
    widths: Mapping[str, int]
    feature_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    embed_dim: int | None = None

    @property
    def blocks(self) -> str:
        """Letters of the blocks present, in joining order: ``"PHT"``."""
        return "".join(b for b in BLOCKS if b in self.widths or (b == "P" and self.promoter))


@dataclass(frozen=True)
class Split:
    """The genes of one split; every array has one row per gene.

    Attributes
    ----------
    genes : (n,) array of str
    labels : (n,) float32
        log10(median expression + 0.1), standardised.
    blocks
        Arrays by block letter. ``"P"``: (n, window) uint8 tokens, or (n, chunks, dimension) float32 when the
        promoters come embedded; ``"H"``, ``"T"``, ``"M"``: (n, width) float32, or uint8 when all values are 0 or 1.
    """

    genes: np.ndarray
    labels: np.ndarray
    blocks: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.genes)

    def take(self, rows: np.ndarray) -> Split:
        """Return the genes selected by an index or boolean array."""
        return Split(self.genes[rows], self.labels[rows], {b: x[rows] for b, x in self.blocks.items()})


@dataclass(frozen=True)
class Dataset:
    """The genes of a run, in memory, with only the blocks and the window that the run needs.

    Attributes
    ----------
    info
        The whole dataset as found.
    window
        Half-open slice [left, right) of the promoter, in promoter coordinates, or None without bases.
    splits
        ``train``, ``valid`` and ``test``.
    warnings
        One sentence for each thing that is odd but leaves a run right, with its count.
    ceiling
        Attainable test r2 by data name (``{"PH": 0.58, ...}``) where the generator knows it, else None.
    """

    info: DatasetInfo
    window: tuple[int, int] | None
    splits: Mapping[str, Split]
    warnings: tuple[str, ...] = ()
    ceiling: Mapping[str, float] | None = None

    def fingerprint(self) -> str:
        """Return 16 hex digits that change when any gene, label, base or feature in memory changes."""
        digest = hashlib.blake2b(digest_size=8)
        for name, split in self.splits.items():
            digest.update(name.encode())
            digest.update("\n".join(map(str, split.genes)).encode())
            for array in (split.labels, *split.blocks.values()):
                digest.update(f"{array.dtype}{array.shape}".encode())
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()
