"""Size of the tests of ``genexp compare``: the share of p < 0.05 where two groups do not differ.

Labels are the sum of two signals and noise. Each run predicts one signal, with an error of its own whose size differs
between runs. Two settings have equal expected r2: both groups predict the same signal, as two groups of one model do;
or each predicts another signal, as different models do. Beside `compare_runs` stand the percentiles of a bootstrap
that resamples genes and runs at once, and a t test over runs, which takes the genes for the whole population. Cross-
validation is that of least squares on one of two equally good halves of the features, few or many for the number of
genes, tested by `compare_folds` and by a t test over folds. All models are made with NumPy: the tests are measured,
not networks.

    python benchmarks/comparison_size.py             # 1,000 simulations each, 10 minutes on one core
    python benchmarks/comparison_size.py --repeats 200
"""

from __future__ import annotations

import argparse
from itertools import product

import numpy as np
from scipy import stats

from genexp.evaluation import comparison
from genexp.evaluation.comparison import compare_folds, compare_runs
from genexp.evaluation.metrics import bootstrap_r2, r2

LEVEL = 0.05
#: Fewer than genexp takes, which saves half of the time and more; docs/compare.md has the shares with both.
comparison.RESAMPLES = 500


def draw(rng: np.random.Generator, kind: str, runs: int, genes: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return labels, (genes, 1), and the predictions of two groups, (runs, genes, 1)."""
    one, other, noise = rng.normal(size=(3, genes))

    def group(signal: np.ndarray) -> np.ndarray:
        sizes = 0.5 + 0.15 * np.abs(rng.normal(size=(runs, 1)))
        return (signal + sizes * rng.normal(size=(runs, genes)))[:, :, None]

    return (one + other + noise)[:, None], [group(one), group(one if kind == "same" else other)]


def percentile_p(labels: np.ndarray, groups: list[np.ndarray], seed: int, resamples: int = 500) -> float:
    """Return p by the percentiles of a bootstrap of genes and runs at once."""
    every = np.concatenate(groups)[:, :, 0]
    there = np.ones((len(labels), len(every)), bool)
    found = bootstrap_r2([(labels[:, 0], values) for values in every], there, seed, resamples)
    rng, runs = np.random.default_rng(seed), len(groups[0])
    means = [
        np.take_along_axis(found, start + rng.integers(runs, size=(resamples, runs)), 1).mean(axis=1)
        for start in (0, runs)
    ]
    above = float((means[0] >= means[1]).mean())
    return min(1.0, 2 * min(above, 1 - above))


def of_runs(kind: str, runs: int, genes: int, repeats: int) -> list[float]:
    """Return the size of each test between two groups of runs."""
    rng, ps = np.random.default_rng(1), []
    for seed in range(repeats):
        labels, groups = draw(rng, kind, runs, genes)
        r2s = [[r2(labels[:, 0], values[:, 0]) for values in group] for group in groups]
        ours = compare_runs(labels, groups)[0, 1][0].p
        ps.append([ours, percentile_p(labels, groups, seed), float(stats.ttest_ind(*r2s, equal_var=False).pvalue)])
    return [float(share) for share in (np.array(ps) < LEVEL).mean(axis=0)]


def of_folds(folds: int, genes: int, width: int, repeats: int) -> list[float]:
    """Return the size of each test over the folds of a cross-validation."""
    rng, ps = np.random.default_rng(2), []
    for _ in range(repeats):
        features = rng.normal(size=(genes, 2 * width))
        labels = features.sum(axis=1) + 3 * rng.normal(size=genes)
        parts, r2s = np.array_split(np.arange(genes), folds), []
        for test in parts:
            train = np.setdiff1d(np.arange(genes), test)
            fits = [
                (half, np.linalg.lstsq(features[train, half], labels[train], rcond=None)[0])
                for half in (slice(0, width), slice(width, None))
            ]
            r2s.append([r2(labels[test], features[test, half] @ weights) for half, weights in fits])
        found = np.array(r2s)
        ours = compare_folds([found[:, :1], found[:, 1:]], 1 / (folds - 1))[0, 1][0].p
        ps.append([ours, float(stats.ttest_rel(*found.T).pvalue)])
    return [float(share) for share in (np.array(ps) < LEVEL).mean(axis=0)]


def main() -> None:
    """Print two Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=1000)
    repeats = parser.parse_args().repeats
    print("| groups predict | runs each | genes | compare_runs | bootstrap percentiles | t test over runs |")
    print("| --- | --- | --- | --- | --- | --- |")
    for kind, genes, runs in product(("same", "other"), (200, 1000), (2, 3, 5, 10)):
        sizes = " | ".join(f"{share:.3f}" for share in of_runs(kind, runs, genes, repeats))
        print(f"| {kind} signal | {runs} | {genes:,} | {sizes} |", flush=True)
    print("\n| folds | genes | features | compare_folds | t test over folds |\n| --- | --- | --- | --- | --- |")
    for folds, genes, width in ((5, 500, 10), (5, 200, 60), (10, 400, 150)):
        sizes = " | ".join(f"{share:.3f}" for share in of_folds(folds, genes, width, repeats))
        print(f"| {folds} | {genes:,} | {width} | {sizes} |", flush=True)


if __name__ == "__main__":
    main()
