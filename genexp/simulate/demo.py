"""The simulated genes of ``dataset=demo``, whose noise ceiling is known exactly.

How genes are drawn
-------------------
The blocks of a gene depend on each other through one number: k, the number of CpGs in the core of its promoter,
[TSS - 400, TSS + 200). 67 % of the genes have a CpG island (k about 44), the others have none (k about 5). Given k,
binding sites, distal binding and half-life features are independent.

P
    2,000 nt, TSS at index 1,000. Markov background; CpG islands of varying strength and width (core: GC 0.64, CpG
    observed/expected 0.8; without an island 0.42 and 0.25); TATA box, initiator, DPE; sites of 12 transcription
    factors. TATA boxes are mostly found without an island, most other sites with one. See `genexp.simulate.sequence`.
H
    8 half-life features: lengths and exon density log-normal, GC fractions logit-normal, correlated with each other
    and with k (UTR5GC most). Preprocessed as in Xpresso: log10(x + 0.1) except for GC fractions, then standardised.
T
    32 factors. A factor is bound where the promoter has its site; otherwise it may be bound through a distal enhancer,
    which the promoter does not contain, with a probability that depends on k. So T also informs about the promoter.
M
    48 miRNAs that each target 1 to 18 % of the genes, 2.8 per gene, independent of the other blocks.

log10(expression + 0.1) is a sum. Shares of its variance:

=============================================  =====
linear in k                                    0.181
core elements, by offset from the TSS          0.017
sites, beyond the binding of their factor      0.006
bound factors                                  0.301
half-life features, linear                     0.070
miRNAs, each lowers expression                 0.052
noise, Gaussian                                0.153
covariances: islands go with bound factors     0.220
=============================================  =====

The promoter explains 0.548 of the variance: 0.487 through k (0.403 by island or not), 0.061 through elements and sites.

Noise ceiling
-------------
The noise ceiling of a combination of blocks is the squared Pearson correlation of E[label | blocks] with the label.
The expectation is exact, not fitted: the promoter determines k, elements, offsets and sites; without the promoter,
Bayes' rule gives the distribution of k given T and H. Over 2 million genes (seeds 1000 to 1019, standard error below
0.001) the ceiling is:

====  =====  ====  =====  ====  =====  ====  =====  ====  =====
P     0.548  PH    0.617  PHT   0.795  PHM   0.670  PHTM  0.847
T     0.689  PT    0.725  HT    0.757  PTM   0.778  HTM   0.809
H     0.153  M     0.052  HM    0.205  PM    0.600  TM    0.741
====  =====  ====  =====  ====  =====  ====  =====  ====  =====

It holds for every window that covers the core, which is ``WINDOW``; a smaller window cannot reach it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from genexp.blocks import PROMOTER
from genexp.errors import UserError
from genexp.simulate.genes import IS_GC, noise_ceilings, raw_halflife, simulate
from genexp.simulate.sequence import CORE, PROMOTER_LENGTH, TSS, Signals, draw_promoters

#: Recommended window: it contains every signal.
WINDOW = (TSS + CORE[0], TSS + CORE[1])

#: Fewest genes that fill three splits.
MIN_GENES = 50

#: Promoters drawn at a time, to limit memory.
_CHUNK = 4096


class DemoGenes(NamedTuple):
    """Simulated genes in random order.

    Attributes
    ----------
    names : (n,) str
    labels : (n,) float32
        log10(expression + 0.1), standardised on the training genes.
    blocks
        By letter. ``"P"``: (n, window) uint8 tokens; ``"H"``: (n, 8) float32, standardised on the training genes;
        ``"T"`` (n, 32) and ``"M"`` (n, 48) uint8, 0 or 1.
    splits
        Rows of the training, validation and test genes.
    ceilings
        Noise ceiling on the test genes, by combination of blocks: ``{"P": 0.55, "PH": 0.62, ...}``.
    """

    names: np.ndarray
    labels: np.ndarray
    blocks: dict[str, np.ndarray]
    splits: tuple[slice, slice, slice]
    ceilings: dict[str, float]


def split_rows(genes: int) -> tuple[slice, slice, slice]:
    """Return the rows of the training, validation and test genes: about 80, 10 and 10 %.

    Raises
    ------
    UserError
        If there are fewer than ``MIN_GENES`` genes.
    """
    if genes < MIN_GENES:
        raise UserError("the demo needs more genes", where="dataset.genes", expected=f">= {MIN_GENES}", received=genes)
    valid, test = genes - 2 * (genes // 10), genes - genes // 10
    return slice(0, valid), slice(valid, test), slice(test, genes)


def simulate_demo(genes: int, seed: int, blocks: str, window: tuple[int, int] = WINDOW) -> DemoGenes:
    """Simulate the demo genes.

    Parameters
    ----------
    genes
        Number of genes in all splits together.
    seed
        The same number and seed give the same genes, whatever `blocks` and `window` are.
    blocks
        Letters of the blocks to return, such as ``"PH"``. Blocks that are not simulated are left out.
    window
        Half-open slice of the promoter. Not used without ``"P"``.

    Raises
    ------
    UserError
        If there are too few genes, or the window does not fit the promoter.
    """
    train, _, test = splits = split_rows(genes)
    left, right = window
    if PROMOTER in blocks and not 0 <= left < right <= PROMOTER_LENGTH:
        limits = f"0 <= left < right <= {PROMOTER_LENGTH}"
        raise UserError(
            "the window does not fit the demo promoters", where="data.window", expected=limits, received=[left, right]
        )
    gene_stream, promoter_stream = map(np.random.default_rng, np.random.SeedSequence(seed).spawn(2))
    simulated = simulate(genes, gene_stream)
    arrays = {
        "H": _standardised(_preprocessed(raw_halflife(simulated.features)), train),
        "T": simulated.tf,
        "M": simulated.mirna,
    }
    if PROMOTER in blocks:
        arrays[PROMOTER] = _promoters(simulated.signals, slice(left, right), promoter_stream)
    return DemoGenes(
        np.array([f"DEMO{i:06d}" for i in range(1, genes + 1)]),
        _standardised(simulated.label, train),
        {letter: arrays[letter] for letter in blocks if letter in arrays},
        splits,
        noise_ceilings(simulated.take(test)),
    )


def _promoters(signals: Signals, window: slice, rng: np.random.Generator) -> np.ndarray:
    """Return (n, window) tokens, drawn chunk by chunk."""
    chunks = [slice(i, i + _CHUNK) for i in range(0, len(signals.cpg), _CHUNK)]
    return np.concatenate([draw_promoters(signals.take(chunk), rng)[:, window] for chunk in chunks])


def _preprocessed(raw: np.ndarray) -> np.ndarray:
    """Return the features as in Xpresso before standardisation: log10(x + 0.1) except for GC fractions."""
    return np.where(IS_GC, raw, np.log10(raw + 0.1))


def _standardised(values: np.ndarray, train: slice) -> np.ndarray:
    """Return float32 values with mean 0 and variance 1 over the training genes."""
    scaled: np.ndarray = (values - values[train].mean(axis=0)) / values[train].std(axis=0)
    return scaled.astype(np.float32)
