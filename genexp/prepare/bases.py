"""What is read last, in the final order of the genes: their bases."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from genexp.features.tokens import ALPHABET


@dataclass(frozen=True)
class Bases:
    """What is known once the bases are read: (n, length) uint8 promoters, the TSS in them, (n, 8) half-life with GC.

    `tss` is None for promoters without a TSS; `halflife` is None where the bases add nothing to it.
    """

    promoters: np.ndarray | None = None
    tss: int | None = None
    halflife: np.ndarray | None = None

    def take(self, rows: np.ndarray) -> Bases:
        """Return the genes selected by an index array."""
        promoters, halflife = (None if x is None else x[rows] for x in (self.promoters, self.halflife))
        return Bases(promoters, self.tss, halflife)

    @cached_property
    def composition(self) -> np.ndarray:
        """How many promoters have each token at each position, (length, 5) int64."""
        promoters = np.empty((0, 0), np.uint8) if self.promoters is None else self.promoters
        counts = np.zeros((promoters.shape[1], len(ALPHABET)), np.int64)
        for first in range(0, len(promoters), 256):  # a few at a time: no second array of that size
            for token in range(len(ALPHABET)):
                counts[:, token] += (promoters[first : first + 256] == token).sum(axis=0)
        return counts
