"""The simulated genes of ``dataset=demo``, whose noise ceiling is known exactly; docs/simulated.md describes them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from genexp.blocks import PROMOTER
from genexp.errors import UserError
from genexp.simulate.genes import IS_GC, expectations, raw_halflife, simulate
from genexp.simulate.sequence import CORE, PROMOTER_LENGTH, TSS, draw_promoters

#: Recommended window: it contains every signal.
WINDOW = (TSS + CORE[0], TSS + CORE[1])

#: Fewest genes that fill three splits.
MIN_GENES = 50

#: Promoters drawn at a time, to limit memory.
_CHUNK = 4096


class DemoGenes(NamedTuple):
    """Simulated genes in random order.

    `labels` are (n,) float32, log10(expression + 0.1), and standardised on the training genes like the (n, 8) float32
    half-life features. Of the other `blocks`, ``"P"`` is (n, window) uint8 tokens, ``"T"`` (n, 32) and ``"M"`` (n, 48)
    uint8, 0 or 1. `splits` are the rows of the training, validation and test genes, and `ceilings` the noise ceiling on
    the latter, by combination of blocks: ``{"P": 0.55, "PH": 0.62, ...}``.
    """

    names: np.ndarray
    labels: np.ndarray
    blocks: dict[str, np.ndarray]
    splits: tuple[slice, slice, slice]
    ceilings: dict[str, float]


def split_rows(genes: int) -> tuple[slice, slice, slice]:
    """Return the rows of the training, validation and test genes: about 80, 10 and 10 %."""
    if genes < MIN_GENES:
        raise UserError("the demo needs more genes", where="dataset.genes", expected=f">= {MIN_GENES}", received=genes)
    valid, test = genes - 2 * (genes // 10), genes - genes // 10
    return slice(0, valid), slice(valid, test), slice(test, genes)


def simulate_demo(genes: int, seed: int, blocks: str, window: tuple[int, int] = WINDOW) -> DemoGenes:
    """Simulate this many genes: the same whatever `blocks` and the half-open `window` of the promoter are.

    Blocks that are not simulated are left out.
    """
    train, _, test = splits = split_rows(genes)
    left, right = window
    if PROMOTER in blocks and not 0 <= left < right <= PROMOTER_LENGTH:
        what, limits = "the window does not fit the demo promoters", f"0 <= left < right <= {PROMOTER_LENGTH}"
        raise UserError(what, where="data.window", expected=limits, received=[left, right])
    gene_stream, promoter_stream = map(np.random.default_rng, np.random.SeedSequence(seed).spawn(2))
    simulated = simulate(genes, gene_stream)
    raw = raw_halflife(simulated.features)
    arrays = {
        "H": _standardised(np.where(IS_GC, raw, np.log10(raw + 0.1)), train),  # as in Xpresso
        "T": simulated.tf,
        "M": simulated.mirna,
    }
    if PROMOTER in blocks:
        chunks = [simulated.signals.take(slice(i, i + _CHUNK)) for i in range(0, genes, _CHUNK)]
        arrays[PROMOTER] = np.concatenate([draw_promoters(part, promoter_stream)[:, left:right] for part in chunks])
    tested = simulated.take(test)
    return DemoGenes(
        np.array([f"DEMO{i:06d}" for i in range(1, genes + 1)]),
        _standardised(simulated.label, train),
        {letter: arrays[letter] for letter in blocks if letter in arrays},
        splits,
        {name: float(np.corrcoef(x, tested.label)[0, 1] ** 2) for name, x in expectations(tested).items()},
    )


def _standardised(values: np.ndarray, train: slice) -> np.ndarray:
    """Return float32 values with mean 0 and variance 1 over the training genes."""
    scaled: np.ndarray = (values - values[train].mean(axis=0)) / values[train].std(axis=0)
    return scaled.astype(np.float32)
