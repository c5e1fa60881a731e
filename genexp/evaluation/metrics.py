"""How well predictions match labels, computed in float64. A new metric is one more entry of `METRICS`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Vector = NDArray[np.float64]

#: What `metrics` returns: plain numbers, and one interval; of several labels also the metrics of each, by its name.
Metrics = dict[str, Any]

#: Bootstrap resamples held in memory at once: 16 x 18,000 genes are 2.3 MB.
_CHUNK = 16

#: Genes times labels that are resampled at once, as each takes 48 bytes: of more labels, groups.
_MOST_VALUES = 4_000_000

#: A difference smaller than this part of what it was taken from is rounding error.
_ROUNDING = 1e-13

#: A correlation of 1, as far from it as float64 can tell: its artanh is finite.
_BELOW_1 = 1 - 1e-15

#: Predictions collapsed when their sd is below this part of the labels' sd, or of their own size (float32 noise).
_COLLAPSED_TO_LABELS = 1e-4
_COLLAPSED_TO_SELF = 1e-6

#: What `shares` returns.
SHARES = ("common_share", "ceiling_share")

#: A network is nearly constant when at least this share of different inputs get one prediction.
NEARLY_ALL = 0.9
#: A smaller share is reported; so is the share that gets the largest prediction, where as many inputs share it.
MUCH, CEILING, FEWEST_TIED = 0.1, 0.02, 3


def _pearson(x: Vector, y: Vector) -> float:
    """Pearson correlation; 0 when either side is constant."""
    x, y = _centred(x), _centred(y)
    scale = np.sqrt((x @ x) * (y @ y))
    return float(np.clip((x @ y) / scale, -1.0, 1.0)) if scale > 0 else 0.0


def _spearman(labels: Vector, predictions: Vector) -> float:
    """Pearson correlation of the ranks, ties given their mean rank."""
    from scipy import stats  # not at start-up

    return _pearson(stats.rankdata(labels), stats.rankdata(predictions))


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
    "spearman": _spearman,
    "cod": _cod,
    "mse": _mse,
    "mae": lambda labels, predictions: float(np.abs(labels - predictions).mean()),
    "rmse": lambda labels, predictions: _mse(labels, predictions) ** 0.5,
}


def in_all(results: Collection[Mapping[str, Any]]) -> list[str]:
    """Return the names of the metrics that all of these results have; those of earlier versions lack later ones."""
    return [name for name in METRICS if all(name in found for found in results)]


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
        Plain numbers: ``n``, then each of `METRICS` in order, then ``r2_ci95``, the 95% bootstrap interval [low, high]
        of r2 over genes, then the `shares`.

    Notes
    -----
    The interval is that of the correlation r, with its sign: Fisher's z = artanh(r) plus and minus the standard
    deviation of z over the resamples, times the quantile of Student's t with n - 2 degrees of freedom; its ends are
    squared. So it begins at 0 where the correlation may be 0, which percentiles of r2, never negative, cannot show
    (variance-stabilised bootstrap: Tibshirani 1988, Biometrika 75, 433-444, doi 10.1093/biomet/75.3.433).

    The correlations are 0 when labels or predictions are constant, which includes n = 1, and so is ``cod`` when the
    labels are. Otherwise ``cod`` is never above r2, and negative when the mean label would be the better prediction.
    Fewer than three genes say nothing about r2: its interval is then [0, 1].
    """
    pair = _checked(labels, predictions)
    return _described(*pair, _bootstrap([pair], np.ones((pair[0].size, 1), bool), seed, resamples))


def label_metrics(
    labels: np.ndarray, predictions: np.ndarray, names: Sequence[str], *, seed: int = 0, resamples: int = 2000
) -> Metrics:
    """Compare (n, labels) predictions with labels, NaN where they are missing.

    Of one label the result is that of `metrics`. Of several it has the same keys: the number of genes, the mean of
    each metric over the labels, and the interval of the mean r2, for which genes are resampled with all their labels.
    ``labels`` holds, by name, the `metrics` of each label on the genes that have it. The intervals of all labels are
    from the same resamples, in which the number of genes that have a label varies; so that of a label with missing
    values differs a little from that of `metrics`, whose resamples are of the genes that have it.
    """
    if labels.shape[1:] == (1,):
        return metrics(*by_label(labels, predictions)[0], seed=seed, resamples=resamples)
    pairs = [_checked(*pair) for pair in by_label(labels, predictions)]
    resampled = _bootstrap(pairs, ~np.isnan(labels), seed, resamples)
    each = [_described(*pair, own[:, None]) for pair, own in zip(pairs, resampled.T, strict=True)]
    means, tied = ({name: fmean(found[name] for found in each) for name in keys} for keys in (METRICS, SHARES))
    interval = _interval([found["pearson"] for found in each], resampled, min(found["n"] for found in each))
    return {"n": len(labels), **means, "r2_ci95": interval, **tied, "labels": dict(zip(names, each, strict=True))}


def _described(labels: Vector, predictions: Vector, resampled: np.ndarray) -> Metrics:
    """Return all metrics of one label; `resampled` is its correlation in each bootstrap resample, (resamples, 1)."""
    found = {name: metric(labels, predictions) for name, metric in METRICS.items()}
    interval = _interval([found["pearson"]], resampled, labels.size)
    return {"n": labels.size, **found, "r2_ci95": interval, **shares(predictions, labels)}


def _interval(pearson: Sequence[float], resampled: np.ndarray, genes: int) -> list[float]:
    """Return the 95% interval [low, high] of the mean r2 over labels; see `metrics`. [0, 1] for fewer than three genes.

    Of several labels z is that of the square root of the mean r2, where a correlation of the other sign than on all
    genes counts as negative; `resampled` are the correlations, (resamples, labels). If several labels are unrelated to
    their predictions, the interval is still too narrow.
    """
    if genes < 3:
        return [0.0, 1.0]
    from scipy import special  # not at start-up

    squares = np.where(np.asarray(pearson) < 0, -1.0, 1.0) * resampled * np.abs(resampled)
    r2 = fmean(r * r for r in pearson)
    half = float(special.stdtrit(genes - 2, 0.975) * _fisher_z(squares.mean(axis=1)).std())
    z = float(_fisher_z(np.array(r2)))
    return [min(float(np.tanh(max(z - half, 0.0))) ** 2, r2), max(float(np.tanh(z + half)) ** 2, r2)]


def _fisher_z(signed_r2: np.ndarray) -> np.ndarray:
    """Return artanh(r) of squared correlations that carry the sign of r; of 1 a large finite number."""
    r = np.minimum(np.sqrt(np.abs(signed_r2)), _BELOW_1)
    return np.asarray(np.copysign(np.arctanh(r), signed_r2))


def by_label(labels: np.ndarray, predictions: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return labels and predictions, (n, labels) each, as one pair of vectors per label: of the genes that have it."""
    if labels.shape != predictions.shape:
        raise ValueError(f"labels of shape {labels.shape} but predictions of shape {predictions.shape}")
    there = ~np.isnan(labels)
    return [(y[known], p[known]) for y, p, known in zip(labels.T, predictions.T, there.T, strict=True)]


def mean_r2(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Return the mean over labels of the squared Pearson correlation; of (n, labels) arrays, NaN where missing."""
    return fmean(r2(y, p) for y, p in by_label(labels, predictions))


def r2_difference(
    labels: np.ndarray, predictions: np.ndarray, others: np.ndarray, *, seed: int = 0, resamples: int = 2000
) -> tuple[float, list[float]]:
    """Return how much higher the mean r2 of predictions is than that of others, and the 95% bootstrap interval of it.

    The arrays are (n, labels), NaN where a label is missing. Both are resampled with the same genes.
    """
    pairs = [by_label(labels, values) for values in (predictions, others)]
    checked = [_checked(*pair) for both in pairs for pair in both]
    r2s = bootstrap_r2(checked, np.tile(~np.isnan(labels), 2), seed, resamples)
    ours, theirs = (half.mean(axis=1) for half in np.split(r2s, 2, axis=1))
    low, high = np.percentile(ours - theirs, [2.5, 97.5]) if len(labels) > 2 else (-1.0, 1.0)
    return mean_r2(labels, predictions) - mean_r2(labels, others), [float(low), float(high)]


def collapsed_labels(labels: np.ndarray, predictions: np.ndarray) -> list[bool]:
    """Return for which labels a model collapsed; see `is_collapsed`. The arrays are (n, labels), NaN where missing."""
    return [is_collapsed(p, y) for y, p in by_label(labels, predictions)]


def nearly_constant_labels(labels: np.ndarray, predictions: np.ndarray) -> list[bool]:
    """Return for which labels `is_nearly_constant` holds, of (n, labels) arrays with NaN where missing."""
    return [is_nearly_constant(p, y) for y, p in by_label(labels, predictions)]


def r2(labels: ArrayLike, predictions: ArrayLike) -> float:
    """Return the squared Pearson correlation of two (n,) arrays; 0 when either is constant."""
    return _r2(*_checked(labels, predictions))


def is_collapsed(predictions: ArrayLike, labels: ArrayLike) -> bool:
    """Return whether a model predicts the same value for every gene, as a network of dead ReLU units does.

    This holds when the standard deviation of the predictions is at most 1e-4 of the labels', or at most 1e-6 of the
    largest absolute prediction, which is what float32 rounding leaves of a constant. For one gene it is False.
    """
    y, p = _checked(labels, predictions)
    return bool(p.size > 1 and p.std() <= _rounding(y, p))


def _rounding(labels: Vector, predictions: Vector) -> float:
    """Return the difference up to which predictions count as one value."""
    return float(max(_COLLAPSED_TO_LABELS * labels.std(), _COLLAPSED_TO_SELF * np.abs(predictions).max()))


def shares(predictions: ArrayLike, labels: ArrayLike) -> dict[str, float]:
    """Return the share of genes with the most common prediction, and of those with the largest, of (n,) arrays each.

    Predictions are the same within the limits of `is_collapsed`. Without ties both are 1 / n.
    """
    y, p = _checked(labels, predictions)
    ordered, width = np.sort(p), _rounding(y, p)
    common = (np.searchsorted(ordered, ordered + width, side="right") - np.arange(p.size)).max()
    largest = p.size - np.searchsorted(ordered, ordered[-1] - width)
    return dict(zip(SHARES, (float(common / p.size), float(largest / p.size)), strict=True))


def is_nearly_constant(predictions: ArrayLike, labels: ArrayLike) -> bool:
    """Return whether a model predicts one value for nearly all of some different inputs, or for all of them.

    One prediction per different input is expected: equal inputs have equal predictions, from any model.
    """
    common = shares(predictions, labels)["common_share"]
    return is_collapsed(predictions, labels) or (np.size(predictions) > 1 and common >= NEARLY_ALL)


def tied(predictions: ArrayLike, labels: ArrayLike) -> tuple[str, float] | None:
    """Return in words, and as a share, where many different inputs get the same prediction, or the largest one."""
    number, (common, ceiling) = np.size(predictions), shares(predictions, labels).values()
    if common >= NEARLY_ALL and number >= FEWEST_TIED:
        return "nearly collapsed: one value is predicted for", common
    if ceiling >= CEILING and ceiling * number >= FEWEST_TIED:
        return "a ceiling: the largest value is predicted for", ceiling
    if common >= MUCH and common * number >= FEWEST_TIED:
        return "partly collapsed: one value is predicted for", common
    return None


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


def bootstrap_r2(pairs: Sequence[tuple[Vector, Vector]], there: np.ndarray, seed: int, resamples: int) -> np.ndarray:
    """Return r2 of each label in each bootstrap resample of genes, (resamples, labels) float64.

    Resample i holds the genes of the i-th call of ``rng.integers(n, size=n)``. `pairs` are labels and predictions of
    the genes that have a label, which (n, labels) `there` tells.
    """
    return _bootstrap(pairs, there, seed, resamples) ** 2


def _bootstrap(pairs: Sequence[tuple[Vector, Vector]], there: np.ndarray, seed: int, resamples: int) -> np.ndarray:
    """Return the Pearson correlations whose squares `bootstrap_r2` returns.

    How often each gene was drawn is all that a resample changes, so its moments are one product of those counts with
    the genes' own moments.
    """
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1, received {resamples}")
    size = max(_MOST_VALUES // len(there), 1)
    groups = [slice(first, first + size) for first in range(0, len(pairs), size)]
    return np.concatenate([_resampled(pairs[g], there[:, g], seed, resamples) for g in groups], axis=1)


def _resampled(pairs: Sequence[tuple[Vector, Vector]], there: np.ndarray, seed: int, resamples: int) -> np.ndarray:
    """Return what `_bootstrap` does for a group of labels; each group draws the same resamples."""
    n = len(there)
    moments = [_moments(*pair) for pair in pairs]
    known = [None if every.all() else np.flatnonzero(every) for every in there.T]
    rng = np.random.default_rng(seed)
    counts = np.empty((min(_CHUNK, resamples), n))
    means = np.empty((len(pairs), resamples, 5))
    for start in range(0, resamples, _CHUNK):
        rows = counts[: min(_CHUNK, resamples - start)]
        for row in rows:
            row[:] = np.bincount(rng.integers(n, size=n), minlength=n)
        for mean, own, genes in zip(means, moments, known, strict=True):
            mine = rows if genes is None else rows.take(genes, axis=1)
            drawn = n if genes is None else np.maximum(mine.sum(axis=1, keepdims=True), 1)
            mean[start : start + len(rows)] = mine @ own / drawn
    mx, my, mxx, myy, mxy = np.moveaxis(means, 2, 0)
    vx, vy = mxx - mx * mx, myy - my * my
    # A resample may hold one gene only, n times: it is constant, and its variance mere rounding error.
    varied = (vx > _ROUNDING * mxx) & (vy > _ROUNDING * myy)
    pearson = np.zeros(varied.shape)
    np.divide(mxy - mx * my, np.sqrt(vx * vy, where=varied, out=np.ones(varied.shape)), out=pearson, where=varied)
    return np.clip(pearson, -1.0, 1.0).T


def _moments(labels: Vector, predictions: Vector) -> np.ndarray:
    """Return x, y, x^2, y^2 and xy of each gene, centred and scaled, so that their differences lose no digits."""
    x, y = (c / (np.sqrt(c @ c / labels.size) or 1.0) for c in map(_centred, (labels, predictions)))
    return np.stack([x, y, x * x, y * y, x * y], axis=1)
