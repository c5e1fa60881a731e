"""How well predictions match labels, computed in float64. A new metric is one more entry of `METRICS`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

Vector = NDArray[np.float64]

#: What `metrics` returns: plain numbers, and one interval.
Metrics = dict[str, float | int | list[float]]

#: Bootstrap resamples held in memory at once: 16 x 18,000 genes are 2.3 MB.
_CHUNK = 16

#: A difference smaller than this part of what it was taken from is rounding error.
_ROUNDING = 1e-13

#: Predictions collapsed when their sd is below this part of the labels' sd, or of their own size (float32 noise).
_COLLAPSED_TO_LABELS = 1e-4
_COLLAPSED_TO_SELF = 1e-6


def _pearson(x: Vector, y: Vector) -> float:
    """Pearson correlation; 0 when either side is constant."""
    x, y = _centred(x), _centred(y)
    scale = np.sqrt((x @ x) * (y @ y))
    return float(np.clip((x @ y) / scale, -1.0, 1.0)) if scale > 0 else 0.0


def _r2(labels: Vector, predictions: Vector) -> float:
    return _pearson(labels, predictions) ** 2


def _cod(labels: Vector, predictions: Vector) -> float:
    """Coefficient of determination, 1 - SSE / SST; 0 when the labels are constant."""
    error, variation = labels - predictions, _centred(labels)
    total = float(variation @ variation)
    return 1.0 - float(error @ error) / total if total > 0 else 0.0


def _mse(labels: Vector, predictions: Vector) -> float:
    error = labels - predictions
    return float(error @ error) / labels.size


#: Every metric, by its name in metrics.json: from labels and predictions, (n,) float64 each, to one number.
METRICS: dict[str, Callable[[Vector, Vector], float]] = {
    "r2": _r2,
    "pearson": _pearson,
    # Of the ranks, ties given their mean rank.
    "spearman": lambda labels, predictions: _pearson(stats.rankdata(labels), stats.rankdata(predictions)),
    "cod": _cod,
    "mse": _mse,
    "mae": lambda labels, predictions: float(np.abs(labels - predictions).mean()),
    "rmse": lambda labels, predictions: _mse(labels, predictions) ** 0.5,
}

#: Names as a reader of tables and plots knows them, where they differ from those in metrics.json.
TITLES = {"r2": "Pearson r²", "cod": "R² (determination)"}


def as_text(value: float) -> str:
    """Return a metric with three decimals, or four digits where it is large."""
    return f"{value:.3f}" if abs(value) < 10_000 else f"{value:.4g}"


def metrics(labels: ArrayLike, predictions: ArrayLike, *, seed: int = 0, resamples: int = 2000) -> Metrics:
    """Compare predictions with labels, (n,) numbers each; raise a ValueError if they do not fit or are not finite.

    Returns
    -------
    dict
        Plain numbers: ``n``, then each of `METRICS` in order, then ``r2_ci95``, the 95% percentile bootstrap interval
        [low, high] of r2 over genes.

    Notes
    -----
    The correlations are 0 when labels or predictions are constant, which includes n = 1, and so is ``cod`` when the
    labels are. Otherwise ``cod`` is never above r2, and negative when the mean label would be the better prediction.
    Fewer than three genes say nothing about r2: its interval is then [0, 1].
    """
    y, p = _checked(labels, predictions)
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1, received {resamples}")
    low, high = np.percentile(_bootstrap_r2(y, p, seed, resamples), [2.5, 97.5]) if y.size > 2 else (0.0, 1.0)
    found = {name: metric(y, p) for name, metric in METRICS.items()}
    return {"n": y.size, **found, "r2_ci95": [float(low), float(high)]}


def r2(labels: ArrayLike, predictions: ArrayLike) -> float:
    """Return the squared Pearson correlation of two (n,) arrays; 0 when either is constant."""
    return _r2(*_checked(labels, predictions))


def is_collapsed(predictions: ArrayLike, labels: ArrayLike) -> bool:
    """Return whether a model predicts the same value for every gene, as a network of dead ReLU units does.

    This holds when the standard deviation of the predictions is at most 1e-4 of the labels', or at most 1e-6 of the
    largest absolute prediction, which is what float32 rounding leaves of a constant. For one gene it is False.
    """
    y, p = _checked(labels, predictions)
    threshold = max(_COLLAPSED_TO_LABELS * y.std(), _COLLAPSED_TO_SELF * np.abs(p).max())
    return bool(p.size > 1 and p.std() <= threshold)


def _checked(labels: ArrayLike, predictions: ArrayLike) -> tuple[Vector, Vector]:
    """Return both as float64 after checking that they can be compared gene by gene."""
    y, p = _finite("labels", labels), _finite("predictions", predictions)
    if y.size != p.size:
        raise ValueError(f"{y.size:,} labels but {p.size:,} predictions")
    return y, p


def _finite(name: str, values: ArrayLike) -> Vector:
    """Return `values` as a float64 vector; raise ValueError when it is empty, not a vector or not finite."""
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or not x.size:
        # (n, 1) beside (n,) would broadcast to (n, n) further down.
        raise ValueError(f"{name} must be one number per gene, shape (n,), received shape {x.shape}")
    bad = int(np.count_nonzero(~np.isfinite(x)))
    if bad:
        raise ValueError(f"{bad:,} of {x.size:,} {name} are not finite ({int(np.isnan(x).sum()):,} NaN)")
    return x


def _centred(x: Vector) -> Vector:
    """Return `x` minus its mean; exactly zeros where what is left is rounding error."""
    centred = x - x.mean()
    return centred if np.linalg.norm(centred) > _ROUNDING * np.linalg.norm(x) else np.zeros_like(x)


def _bootstrap_r2(labels: Vector, predictions: Vector, seed: int, resamples: int) -> Vector:
    """Return r2 of each bootstrap resample of genes, (resamples,) float64.

    How often each gene was drawn is all that a resample changes, so its moments are one product of those counts with
    the genes' own moments. Resample i holds the genes of the i-th call of ``rng.integers(n, size=n)``.
    """
    n = labels.size
    # Centred and scaled, so that a difference of moments below loses no digits.
    x, y = (c / (np.sqrt(c @ c / n) or 1.0) for c in map(_centred, (labels, predictions)))
    moments = np.stack([x, y, x * x, y * y, x * y], axis=1)
    rng = np.random.default_rng(seed)
    counts = np.empty((min(_CHUNK, resamples), n))
    means = np.empty((resamples, 5))
    for start in range(0, resamples, _CHUNK):
        rows = counts[: min(_CHUNK, resamples - start)]
        for row in rows:
            row[:] = np.bincount(rng.integers(n, size=n), minlength=n)
        means[start : start + len(rows)] = rows @ moments / n
    mx, my, mxx, myy, mxy = means.T
    vx, vy = mxx - mx * mx, myy - my * my
    # A resample may hold one gene only, n times: it is constant, and its variance mere rounding error.
    varied = (vx > _ROUNDING * mxx) & (vy > _ROUNDING * myy)
    r2s = np.zeros(resamples)
    np.divide((mxy - mx * my) ** 2, vx * vy, out=r2s, where=varied)
    return np.minimum(r2s, 1.0)
