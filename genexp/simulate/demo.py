"""The genes of ``dataset=demo``: simulated, small, and with an exactly known attainable r2.

The generator
-------------
One number per gene drives all that its blocks share: k, the number of CpGs in the core of its promoter, [TSS - 400,
TSS + 200). 67 % of genes have a CpG island (k about 44), the others have none (k about 5). Given k, sites, distal
binding and half-life features are drawn independently.

P
    2,000 nt, TSS at index 1,000. Markov background; CpG islands of any strength and reach (core: GC 0.64, CpG observed
    over expected 0.8; without island 0.42 and 0.25); TATA box, initiator, DPE; sites of 12 transcription factors.
    TATA boxes come mostly without an island, most sites with one. Details in :mod:`genexp.simulate.sequence`.
H
    8 half-life features: lengths and density log-normal, GC fractions logit-normal, correlated among themselves and
    with k (UTR5GC most). Prepared as Xpresso does: log10(x + 0.1) of all but GC fractions, then standardised.
T
    32 factors. A factor is bound where the promoter has its site; otherwise it may be bound through a distal enhancer,
    which the promoter does not show, with a probability that depends on k. So T also tells about the promoter.
M
    48 miRNAs that target from 1 to 18 % of the genes, 2.8 per gene, independent of the other blocks.

log10(expression + 0.1) is a sum. Shares of its variance:

=============================================  =====
linear in k                                    0.181
core elements, by offset from the TSS          0.017
sites, beyond the binding of their factor      0.006
bound factors                                  0.301
half-life features, linear                     0.070
miRNAs, each lowers expression                 0.052
noise, Gaussian                                0.153
covariances: islands bring factors             0.220
=============================================  =====

Of the 0.548 that a promoter tells, k is 0.487 (0.403 of it: island or not), elements and sites are 0.061.

The ceiling
-----------
The attainable r2 of a combination of blocks is the squared Pearson correlation of E[label | blocks] with the label.
That expectation is exact, not fitted. The promoter shows k, elements, offsets and sites without error; without it,
Bayes' rule gives the law of k from T and H as a sum over the values of k. ``Dataset.ceiling`` is measured on the test
genes. Over 2 million genes (seeds 1000 to 1019, standard error below 0.001) it is:

====  =====  ====  =====  ====  =====  ====  =====  ====  =====
P     0.548  PH    0.617  PHT   0.795  PHM   0.670  PHTM  0.847
T     0.689  PT    0.725  HT    0.757  PTM   0.778  HTM   0.809
H     0.153  M     0.052  HM    0.205  PM    0.600  TM    0.741
====  =====  ====  =====  ====  =====  ====  =====  ====  =====

It holds for any window that covers ``WINDOW``, the recommended one, which is the core; for less it is out of reach.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from genexp.dataset.description import DatasetDescription
from genexp.dataset.genes import BLOCKS, HALFLIFE_FEATURES, SPLITS, Dataset, Split
from genexp.errors import UserError
from genexp.simulate.genes import FACTORS, IS_GC, MIRNAS, attainable_r2, raw_halflife, simulate
from genexp.simulate.sequence import CORE, PROMOTER_LENGTH, TSS, Signals, draw_promoters

__all__ = ["PROMOTER_LENGTH", "TSS", "WINDOW", "demo_info", "load_demo"]

#: Recommended window: it holds every signal.
WINDOW = (TSS + CORE[0], TSS + CORE[1])

#: Fewest genes that fill three splits.
MIN_GENES = 50

#: Promoters drawn at a time, to bound memory.
_CHUNK = 4096


def demo_info(genes: int) -> DatasetDescription:
    """Describe the demo genes without simulating them.

    Parameters
    ----------
    genes
        Number of genes in all splits together.

    Returns
    -------
    DatasetDescription
        With splits of about 80, 10 and 10 %.

    Raises
    ------
    UserError
        With too few genes for three splits.
    """
    if genes < MIN_GENES:
        raise UserError(
            "the demo needs more genes",
            where="dataset.genes",
            expected=f"{MIN_GENES} or more",
            received=genes,
            do=f"set dataset.genes={MIN_GENES} or more",
        )
    tenth = genes // 10
    return DatasetDescription(
        source="demo",
        layout="simulated genes",
        genes=dict(zip(SPLITS, (genes - 2 * tenth, tenth, tenth), strict=True)),
        promoter="bases",
        promoter_length=PROMOTER_LENGTH,
        tss=TSS,
        widths={"H": len(HALFLIFE_FEATURES), "T": len(FACTORS), "M": len(MIRNAS)},
        feature_names={"H": HALFLIFE_FEATURES, "T": tuple(FACTORS), "M": MIRNAS},
    )


def load_demo(genes: int, seed: int, blocks: str, window: tuple[int, int] | None) -> Dataset:
    """Simulate the demo genes.

    Parameters
    ----------
    genes
        Number of genes in all splits together.
    seed
        The same genes and seed give the same genes, whatever `blocks` and `window` are.
    blocks
        Letters of the blocks to hold in memory, such as ``"PH"``.
    window
        Half-open slice of the promoter; None for ``WINDOW``. Of no effect without ``"P"``.

    Returns
    -------
    Dataset
        Its ``ceiling`` is the attainable r2 on the test genes for all 15 combinations of blocks.

    Raises
    ------
    UserError
        With too few genes, an unknown block, or a window outside the promoter.
    """
    info = demo_info(genes)
    _check_blocks(blocks)
    bounds = _checked_window(window) if "P" in blocks else None
    gene_stream, promoter_stream = map(np.random.default_rng, np.random.SeedSequence(seed).spawn(2))
    simulated = simulate(genes, gene_stream)
    train, valid, test = _rows(info)
    arrays = {
        "H": _standardised(_preprocessed(raw_halflife(simulated.features)), train),
        "T": simulated.tf,
        "M": simulated.mirna,
    }
    if bounds:
        arrays["P"] = _promoters(simulated.signals, bounds, promoter_stream)
    everything = Split(
        genes=np.array([f"DEMO{i:06d}" for i in range(1, genes + 1)]),
        labels=_standardised(simulated.label, train),
        blocks={block: arrays[block] for block in BLOCKS if block in blocks},
    )
    splits = {
        name: everything.take(np.arange(genes)[rows]) for name, rows in zip(SPLITS, (train, valid, test), strict=True)
    }
    return Dataset(info.model_copy(update={"window": bounds}), splits, ceiling=attainable_r2(simulated.take(test)))


def _promoters(signals: Signals, window: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Return (n, window) tokens, drawn chunk by chunk."""
    chunks = [slice(i, i + _CHUNK) for i in range(0, len(signals.cpg), _CHUNK)]
    return np.concatenate([draw_promoters(signals.take(chunk), rng)[:, slice(*window)] for chunk in chunks])


def _preprocessed(raw: np.ndarray) -> np.ndarray:
    """Return the features as Xpresso has them before standardising: log10(x + 0.1) of all but GC fractions."""
    return np.where(IS_GC, raw, np.log10(raw + 0.1))


def _standardised(values: np.ndarray, train: slice) -> np.ndarray:
    """Return float32 values with mean 0 and variance 1 over the training genes."""
    return ((values - values[train].mean(axis=0)) / values[train].std(axis=0)).astype(np.float32)


def _rows(info: DatasetDescription) -> list[slice]:
    """Return the rows of each split: the genes come in random order already."""
    ends = np.cumsum([0, *(info.genes[name] for name in SPLITS)])
    return [slice(left, right) for left, right in pairwise(ends)]


def _check_blocks(blocks: str) -> None:
    if not blocks or set(blocks) - set(BLOCKS):
        known = ", ".join(BLOCKS)
        raise UserError(
            "the demo has no such block", where="data", expected=f"of {known}", received=blocks, do="choose among these"
        )


def _checked_window(window: tuple[int, int] | None) -> tuple[int, int]:
    left, right = window or WINDOW
    if not 0 <= left < right <= PROMOTER_LENGTH:
        raise UserError(
            "the window does not lie in the demo's promoters",
            where="data.window",
            expected=f"0 <= left < right <= {PROMOTER_LENGTH}",
            received=[left, right],
            do="change data.window, or leave it out",
        )
    return left, right
