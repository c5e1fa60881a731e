"""What is left of expression when a prediction is subtracted: by group of genes, and by feature."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

#: Fewer genes give a correlation no interval.
FEWEST = 10


def by_group(groups: np.ndarray, residuals: np.ndarray) -> list[tuple[str, int, float, float, float]]:
    """Return name, number, first quartile, median and third quartile of each group, the largest group first.

    Parameters
    ----------
    groups, residuals
        (n,) text and (n,) numbers.
    """
    names, counts = np.unique(groups, return_counts=True)
    found = []
    for place in np.argsort(-counts, kind="stable"):
        low, middle, high = np.percentile(residuals[groups == names[place]], [25, 50, 75])
        found.append((str(names[place]), int(counts[place]), float(low), float(middle), float(high)))
    return found


def by_feature(features: pd.DataFrame, residuals: np.ndarray) -> list[tuple[str, float, float, float]]:
    """Return the Spearman correlation of residuals with each feature, with its interval, the largest first.

    Parameters
    ----------
    features
        (n, features) numbers; those that do not vary are left out.
    residuals
        (n,) numbers.

    Notes
    -----
    The intervals hold together at 95 % (Bonferroni). That of one correlation is Fisher's, with the variance
    (1 + rho² / 2) / (n - 3): Bonett and Wright 2000, Psychometrika 65, 23-28, doi 10.1007/BF02294183.
    """
    from scipy import stats

    varied = features.loc[:, (features != features.iloc[0]).any()]
    if varied.shape[1] == 0 or len(varied) < FEWEST or np.ptp(residuals) == 0:
        return []
    ranks = stats.rankdata(varied.to_numpy(float), axis=0)
    ranks -= ranks.mean(axis=0)
    other = stats.rankdata(residuals) - (len(residuals) + 1) / 2
    rho = ranks.T @ other / np.sqrt((ranks**2).sum(axis=0) * (other @ other))
    half = stats.norm.ppf(1 - 0.025 / len(rho)) * np.sqrt((1 + rho**2 / 2) / (len(other) - 3))
    middle = np.arctanh(np.clip(rho, -1 + 1e-12, 1 - 1e-12))
    low, high = np.tanh(middle - half), np.tanh(middle + half)
    order = np.argsort(-np.abs(rho), kind="stable")
    names = [str(name) for name in varied.columns]
    return [(names[n], float(rho[n]), float(low[n]), float(high[n])) for n in order]
