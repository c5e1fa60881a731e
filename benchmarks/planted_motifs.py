"""What explanations find of the sites that were planted in the demo genes: area under the precision-recall curve.

python benchmarks/planted_motifs.py RUN [RUN ...]; runs on dataset=demo and data with P; several are one ensemble.

A planted position is one whose change destroys a site of a motif, or a counted CpG. The true effects of all changes are
exact: the expectation of the label given the promoter, of the promoter with and without the change.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from scipy.stats import spearmanr
from sklearn.metrics import average_precision_score

import genexp
from genexp.explain.config import PER_BASE
from genexp.simulate.demo import simulate_demo
from genexp.simulate.genes import FEATURE_NAMES, Genes, expectations
from genexp.simulate.sequence import MOTIFS, PROMOTER_LENGTH, TSS, Signals, scan

GENES = 40


def expected(signals: Signals) -> np.ndarray:
    """Return E[sum of all parts | promoter], (n,)."""
    n = len(signals.cpg)
    others = [
        np.zeros((n, len(FEATURE_NAMES[letter])), kind) for letter, kind in (("H", float), ("T", int), ("M", int))
    ]
    return expectations(Genes(signals, *others, np.ones(n)))["P"]


def truth(tokens: np.ndarray, left: int, right: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the effects of all changes in a window of one promoter, (window, 4); its sites, by motif; its CpGs."""
    own, changes = scan(tokens[None]), np.repeat(tokens[None], 4 * (right - left), axis=0)
    rows = np.arange(len(changes))
    changes[rows, left + rows // 4] = rows % 4
    found = scan(changes)
    effects = (expected(found) - expected(own)).reshape(-1, 4)
    lost = own.sites & ~found.sites
    core = own.offsets.shape[1]
    lost[:, :core] |= own.sites[:, :core] & (found.offsets != own.offsets)
    site = lost.reshape(-1, 4, lost.shape[1]).any(axis=1)
    cpg = ((found.cpg < own.cpg) & ~lost.any(axis=1)).reshape(-1, 4).sum(axis=1) >= 3  # every other base
    return effects, site, cpg & ~site.any(axis=1)


def recovery(run: genexp.Run | genexp.Ensemble, genes: int = GENES) -> dict[str, dict[str, float]]:
    """Return the figures by method.

    ``sites``: AUPRC of positions in sites among all without counted CpGs; ``planted``: of both among all positions;
    ``correlation``: rank correlation of predicted and true effects, of all changes of planted positions. By motif:
    AUPRC of its sites in the genes that have one, without other planted positions.
    """
    data: Any = run.config.dataset
    found = run.explain(methods=list(PER_BASE), most=genes, progress=False)
    simulated = simulate_demo(data.genes, data.seed, "P", (0, PROMOTER_LENGTH))
    promoters = simulated.blocks["P"][simulated.splits[2]][:genes]
    left, right = found.start + TSS, found.start + TSS + found.tokens.shape[1]
    np.testing.assert_array_equal(promoters[:, left:right], found.tokens)
    effects, sites, cpg = (np.stack(x) for x in zip(*(truth(one, left, right) for one in promoters), strict=True))
    site = sites.any(axis=-1)
    planted, figures = site | cpg, {}
    for method, contributions in found.contributions.items():
        size = np.abs(found.of_bases(method))
        own = (contributions * found.one_hot()).sum(axis=-1, keepdims=True)
        figures[method] = {
            "sites": average_precision_score(site[~cpg], size[~cpg]),
            "planted": average_precision_score(planted.ravel(), size.ravel()),
            "correlation": spearmanr(effects[planted].ravel(), (contributions - own)[planted].ravel())[0],
            "share of sites": site[~cpg].mean(),
            "share of planted": planted.mean(),
        }
        for number, motif in enumerate(MOTIFS):
            mine = sites[..., number]
            there = mine.any(axis=1)[:, None] & (mine | ~planted)
            if mine.any():
                figures[method][motif.name] = average_precision_score(mine[there], size[there])
    return figures


if __name__ == "__main__":
    opened = genexp.open_ensemble(sys.argv[1:]) if len(sys.argv) > 2 else genexp.open_run(sys.argv[1])
    for name, row in recovery(opened).items():
        print(name, ", ".join(f"{key} {value:.3f}" for key, value in row.items()))
