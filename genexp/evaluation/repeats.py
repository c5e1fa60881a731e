"""What repeats of one run say together: mean, standard deviation and t interval of each metric; plain values only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from genexp.evaluation.metrics import in_all


@dataclass(frozen=True)
class Summary:
    """Mean, sd (n - 1) and 95 % interval of the mean of `n` values; what one value cannot tell is None."""

    n: int
    mean: float
    sd: float | None
    low: float | None
    high: float | None


def summary(values: Iterable[float], level: float = 0.95) -> Summary:
    """Return mean, standard deviation and t interval of the mean of some numbers.

    Parameters
    ----------
    values
        At least one finite number.
    level
        Coverage of the interval.

    Raises
    ------
    ValueError
        If there is no value, or one that is not finite.

    Notes
    -----
    The interval is mean +- t(n - 1) sd / sqrt(n): Student 1908, Biometrika 6, 1-25, doi 10.1093/biomet/6.1.1. It holds
    for independent values. Folds share training genes, so that their interval is too narrow: Bengio and Grandvalet
    2004, Journal of Machine Learning Research 5, 1089-1105.
    """
    x = np.asarray(list(values), np.float64)
    if not x.size or not np.isfinite(x).all():
        raise ValueError(f"a mean needs finite values, received {x.tolist()}")
    mean = float(x.mean())
    if x.size == 1:
        return Summary(1, mean, None, None, None)
    sd = float(x.std(ddof=1))
    from scipy import stats  # not at start-up

    half = float(stats.t.ppf((1 + level) / 2, x.size - 1)) * sd / x.size**0.5
    return Summary(x.size, mean, sd, mean - half, mean + half)


def summaries(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Summarise the metrics of one split in several runs, as metrics.json has them.

    Returns
    -------
    dict
        A `Summary` for each of `METRICS` that all runs have; of several labels also ``labels``, with the same by label.
    """
    result: dict[str, Any] = {name: summary(each[name] for each in found) for name in in_all(found)}
    labels = [name for name in found[0].get("labels", {}) if all(name in each.get("labels", {}) for each in found)]
    if labels:
        result["labels"] = {name: summaries([each["labels"][name] for each in found]) for name in labels}
    return result


def means(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the mean of each metric of one split over several runs, also by label."""

    def mean_of(every: Any) -> Any:
        return every.mean if isinstance(every, Summary) else {name: mean_of(each) for name, each in every.items()}

    result: dict[str, Any] = mean_of(summaries(found))
    return result


def over_folds(found: Sequence[Mapping[str, Any]], folds: Sequence[int | None]) -> list[Mapping[str, Any]]:
    """Return the metrics of each run; of a cross-validation, where runs have several folds, the means of each fold."""
    of_fold: dict[int, list[Mapping[str, Any]]] = {}
    for metrics, fold in zip(found, folds, strict=True):
        if fold is None:
            return list(found)
        of_fold.setdefault(fold, []).append(metrics)
    return [means(of_fold[fold]) for fold in sorted(of_fold)] if len(of_fold) > 1 else list(found)


def plain(found: Any) -> Any:
    """Return nested mappings, such as `summaries` returns, with each `Summary` as a dict."""
    if isinstance(found, Summary):
        return asdict(found)
    return {name: plain(each) for name, each in found.items()} if isinstance(found, Mapping) else found


def mean_and_sd(predictions: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation over members, computed in float64, as float32."""
    values = np.stack(list(predictions)).astype(np.float64)
    return values.mean(axis=0).astype(np.float32), values.std(axis=0, ddof=1).astype(np.float32)
