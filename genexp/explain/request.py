"""What is asked of every promoter; imports no TensorFlow."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np


@dataclass(frozen=True)
class Request:
    """What is asked of every gene.

    Attributes
    ----------
    output
        The output of the model that is explained.
    length
        Length of the promoters in nt.
    region
        Slice of them in which bases are replaced.
    steps
        Gradients on the way of integrated gradients.
    motifs
        Motifs to insert, as tokens.
    positions
        Where each motif is inserted: the same of all.
    """

    output: int
    length: int
    region: tuple[int, int]
    steps: int
    motifs: Sequence[np.ndarray]
    positions: np.ndarray

    def digest(self) -> bytes:
        """Return a hash of all of it."""
        parts = [part.tobytes() if isinstance(part, np.ndarray) else repr(part).encode() for part in astuple(self)]
        return hashlib.blake2b(b"/".join(parts)).digest()
