"""Saturation mutagenesis: every base of a promoter replaced by each of the others, and motifs put in its place."""

from __future__ import annotations

import numpy as np

from genexp.explain.networks import Network
from genexp.features.tokens import N_TOKEN, reverse_complement

BASES = np.arange(N_TOKEN, dtype=np.uint8)


def substitutions(network: Network, tokens: np.ndarray, region: tuple[int, int]) -> tuple[np.ndarray, float]:
    """Predict all single-base changes of the gene that a network was fixed at.

    Parameters
    ----------
    network
        The model; see `Network.fix`.
    tokens
        (window,) uint8, the bases of the gene.
    region
        Half-open slice of the window in which bases are changed.

    Returns
    -------
    predictions, difference
        (right - left, 4, labels) float32, with A, C, G and T at each position, the known base among them; and the
        largest difference from the whole model at some of them.
    """
    left, right = region
    starts, pieces = np.repeat(np.arange(left, right), N_TOKEN), np.tile(BASES, right - left)[:, None]
    found = np.broadcast_to(network.prediction, (len(starts), len(network.prediction))).copy()
    other = pieces[:, 0] != tokens[starts]
    found[other] = network.with_pieces(starts[other], pieces[other])
    return found.reshape(right - left, N_TOKEN, -1), network.check(starts, pieces, found)


def insertions(network: Network, motif: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, float]:
    """Predict the gene that a network was fixed at with a motif, (width,) tokens, in place of its bases at `starts`.

    Returns (2, len(starts), labels) float32, of the motif and its reverse complement; and the largest difference from
    the whole model at some of them.
    """
    pieces = np.concatenate([np.repeat(x[None], len(starts), axis=0) for x in (motif, reverse_complement(motif))])
    found = network.with_pieces(np.tile(starts, 2), pieces)
    return found.reshape(2, len(starts), -1), network.check(np.tile(starts, 2), pieces, found)
