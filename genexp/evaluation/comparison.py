"""Whether two groups of runs differ in r2: tests on the same genes, across genes and runs. Plain values only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from genexp.evaluation.metrics import bootstrap_r2, r2

#: Bootstrap resamples of the genes, and their seed: the same runs always give the same p.
RESAMPLES, SEED = 2000, 0
#: A smaller difference of r2 is rounding error: predictions that differ in scale alone have one.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Difference:
    """Mean r2 of one group minus that of another, its 95 % interval, and the two-sided p that it is 0."""

    difference: float
    low: float
    high: float
    p: float


def compare_runs(labels: np.ndarray, groups: Sequence[np.ndarray]) -> dict[tuple[int, int], list[Difference]]:
    """Compare each two groups of runs that predict the same genes.

    Parameters
    ----------
    labels : (n, labels) floats
        NaN where missing.
    groups : sequence of (runs, n, labels) floats
        The predictions of each group. Of a group of one run the test covers the genes alone: it says nothing of other
        seeds. That is right for a model without random numbers.

    Returns
    -------
    dict
        For each pair of groups, by position: of one label its difference; of several that of the mean over labels,
        then that of each label.

    Notes
    -----
    Runs and genes are both samples, and each run predicts each gene. The variance of the difference is the sum of

    - the variance between the runs of a group, over the number of runs, for both groups: what a bootstrap over runs
      gives for a mean, with n - 1 in place of n;
    - the variance from the choice of the genes that runs have in common: the mean covariance of r2 between different
      runs, over a bootstrap of the genes in which all runs are resampled alike. Covariances within groups count
      positive, those between groups negative. A negative sum counts as 0.

    The degrees of freedom are Satterthwaite's. This is the analysis of variance of Obuchowski and Rockette 1995,
    Communications in Statistics - Simulation and Computation 24, 285-308, doi 10.1080/03610919508813243, for runs that
    are nested in groups: Hillis 2014, Statistics in Medicine 33, 330-360, doi 10.1002/sim.5926. Percentiles of a
    bootstrap that resamples genes and runs at once count twice what a run and a gene have together (Owen 2007, Annals
    of Applied Statistics 1, 386-411, doi 10.1214/07-AOAS122).
    """
    ends = np.cumsum([0, *(len(group) for group in groups)])
    every = np.concatenate(groups)
    found, resampled = _r2(labels, every)
    results: dict[tuple[int, int], list[Difference]] = {pair: [] for pair in combinations(range(len(groups)), 2)}
    known = (~np.isnan(labels)).sum(axis=0)
    genes = [*known] if len(known) == 1 else [known.min(), *known]
    for quantity, number in enumerate(genes):
        covariance = np.atleast_2d(np.cov(resampled[:, :, quantity], rowvar=False))
        for pair, differences in results.items():
            rows = [np.arange(ends[place], ends[place + 1]) for place in pair]
            differences.append(_difference(found[:, quantity], rows, covariance, int(number)))
    return results


def _r2(labels: np.ndarray, predictions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return r2 of each run, (runs, quantities), and of each resample of the genes, (resamples, runs, quantities).

    Quantities are the one label; or the mean over labels, then each label.
    """
    runs, _, number = predictions.shape
    there = np.tile(~np.isnan(labels), runs)
    pairs = [
        (y[known], p[known].astype(np.float64))
        for run in predictions
        for y, p, known in zip(labels.astype(np.float64).T, run.T, ~np.isnan(labels).T, strict=True)
    ]
    resampled = bootstrap_r2(pairs, there, SEED, RESAMPLES).reshape(RESAMPLES, runs, number)
    found = np.array([r2(*pair) for pair in pairs]).reshape(runs, number)
    if number == 1:
        return found, resampled
    one, several = (np.concatenate([x.mean(axis=-1, keepdims=True), x], axis=-1) for x in (found, resampled))
    return one, several


def _difference(r2s: np.ndarray, rows: Sequence[np.ndarray], covariance: np.ndarray, genes: int) -> Difference:
    """Compare the runs of two groups, whose places in `r2s` and `covariance` are `rows`."""
    one, other = rows
    within = sum(_mean_between(covariance[np.ix_(own, own)]) for own in rows)
    shared = max(0.0, within - 2 * float(covariance[np.ix_(one, other)].mean()))
    parts = [(shared, genes - 1)]
    parts += [(float(r2s[own].var(ddof=1)) / len(own), len(own) - 1) for own in rows if len(own) > 1]
    return _tested(float(r2s[one].mean() - r2s[other].mean()), parts)


def _mean_between(covariance: np.ndarray) -> float:
    """Return the mean covariance of different runs; of one run its variance."""
    runs = len(covariance)
    return float(covariance.sum() - np.trace(covariance)) / (runs * (runs - 1)) if runs > 1 else float(covariance[0, 0])


def compare_folds(groups: Sequence[np.ndarray], held_out: float) -> dict[tuple[int, int], list[Difference]]:
    """Compare each two groups of runs by the folds of a cross-validation.

    Parameters
    ----------
    groups : sequence of (folds, quantities) floats
        r2 of each group in each fold, the mean of its runs there; the folds in one order.
    held_out
        Number of test genes of a fold, over the number of genes that its runs were trained on.

    Returns
    -------
    dict
        As of `compare_runs`.

    Notes
    -----
    A paired t test over folds. The variance between folds is multiplied by 1 / folds + `held_out` in place of
    1 / folds, as folds share training genes: Nadeau and Bengio 2003, Machine Learning 52, 239-281,
    doi 10.1023/A:1024068626366.
    """
    results = {}
    for one, other in combinations(range(len(groups)), 2):
        paired = groups[one] - groups[other]
        folds = len(paired)
        variances = paired.var(axis=0, ddof=1) * (1 / folds + held_out)
        results[one, other] = [
            _tested(float(mean), [(float(variance), folds - 1)])
            for mean, variance in zip(paired.mean(axis=0), variances, strict=True)
        ]
    return results


def _tested(difference: float, parts: Sequence[tuple[float, int]]) -> Difference:
    """Return the t test of a difference whose variance is the sum of `parts`, each with its degrees of freedom.

    The degrees of freedom of the sum: Satterthwaite 1946, Biometrics Bulletin 2, 110-114, doi 10.2307/3002019.
    """
    variance = sum(part for part, _ in parts)
    difference = difference if abs(difference) > _ROUNDING else 0.0
    if variance <= _ROUNDING**2:  # the same predictions, up to scale
        return Difference(difference, difference, difference, 1.0 if difference == 0 else 0.0)
    freedom = variance**2 / sum(part**2 / degrees for part, degrees in parts)
    from scipy import special  # not at start-up; stats.t takes ten times as long

    half = float(special.stdtrit(freedom, 0.975)) * variance**0.5
    p = 2 * float(special.stdtr(freedom, -abs(difference) / variance**0.5))
    return Difference(difference, difference - half, difference + half, p)


def holm(ps: Sequence[float]) -> list[float]:
    """Return p values adjusted for their number: Holm 1979, Scandinavian Journal of Statistics 6, 65-70."""
    adjusted, largest = [0.0] * len(ps), 0.0
    for rank, place in enumerate(np.argsort(ps, kind="stable")):
        largest = max(largest, min(1.0, (len(ps) - rank) * ps[place]))
        adjusted[place] = largest
    return adjusted
