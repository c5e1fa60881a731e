"""Logarithms and standardisation, their unit in words, and the way back.

``honest``: standardised with mean and standard deviation of the training genes. ``published``: over all genes before
they are split, as Xpresso's ``setup_training_files.py`` does (a leak, if a small one).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from genexp.blocks import HALFLIFE_FEATURES
from genexp.errors import UserError

#: Added before the logarithm.
OFFSET = 0.1

#: Half-life features that are logarithms; the three GC contents are not.
LOGGED = tuple(not name.endswith("GC") for name in HALFLIFE_FEATURES)


@dataclass(frozen=True)
class Scaler:
    """Mean and standard deviation (the population's) of each column; a column that does not vary has sd 1."""

    mean: np.ndarray
    sd: np.ndarray

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Standardise (n, columns) values, as float32."""
        return np.asarray((values - self.mean) / self.sd, np.float32)


def fit(values: np.ndarray) -> Scaler:
    """Fit a scaler to (n, columns) values; NaN, a missing label, does not count."""
    if np.isnan(values).any():
        columns = [fit(column[~np.isnan(column), None]) for column in values.T]
        return Scaler(*(np.concatenate([getattr(c, name) for c in columns]) for name in ("mean", "sd")))
    mean, sd = values.mean(axis=0, dtype=np.float64), values.std(axis=0, dtype=np.float64)
    constant = sd <= 1e-12 * np.maximum(1, np.abs(mean))
    return Scaler(mean, np.where(constant, 1.0, sd))


def log_label(expression: np.ndarray, scale: str, pseudocount: float | None = None) -> np.ndarray:
    """Return labels before standardisation: log10(x + pseudocount), or logarithms as they are."""
    return np.log10(expression + offset(pseudocount)) if scale == "raw" else expression.astype(np.float64)


def offset(pseudocount: float | None) -> float:
    """Return what is added to raw expression before the logarithm."""
    return OFFSET if pseudocount is None else pseudocount


def unit_text(unit: str | None, scale: str | None, pseudocount: float | None = None) -> str:
    """Return the unit of labels in words: ``"log10(TPM + 0.1), standardised"``.

    `unit` is what was measured, before any logarithm; without a `scale` there is none.
    """
    measured = unit or "expression"
    if scale == "raw":
        measured = f"log10({measured} + {offset(pseudocount):g})"
    elif scale is not None:
        measured = f"{scale} {measured}" if pseudocount is None else f"{scale}({measured} + {pseudocount:g})"
    return f"{measured}, standardised"


def log_halflife(values: np.ndarray, logged: Sequence[bool] = LOGGED) -> np.ndarray:
    """Return (n, features) before standardisation: log10(x + 0.1) of those that are `logged`."""
    # A published intron length can be below zero by a base or two; its logarithm must exist.
    return np.where(logged, np.log10(np.maximum(values, 0) + OFFSET), values)


def scaling_record(
    recipe: str,
    scale: str,
    label: Scaler,
    halflife: Scaler | None = None,
    *,
    pseudocount: float | None = None,
    labels: Sequence[str] = ("expression",),
    features: Sequence[str] = HALFLIFE_FEATURES,
    logged: Sequence[bool] = LOGGED,
    targets: Mapping[str, tuple[Scaler, Sequence[str]]] | None = None,
) -> dict[str, Any]:
    """Return what the files say of the scaling, enough to turn it back.

    Several `labels` have a group each; `features` are the names of the half-life features, `logged` those that are
    logarithms; `targets` are blocks of real values, by their input, with the names of their columns.
    """

    def column(scaler: Scaler, n: int, added: float | None) -> dict[str, float | None]:
        return {"log10_offset": added, "mean": float(scaler.mean[n]), "sd": float(scaler.sd[n])}

    record: dict[str, Any] = {
        "recipe": recipe,
        "fitted_on": "training genes" if recipe == "honest" else "all genes",
        "inverse": "raw = 10 ** (value * sd + mean) - log10_offset; without log10_offset: value * sd + mean",
    }
    added = offset(pseudocount) if scale == "raw" else None
    found = {name: column(label, n, added) for n, name in enumerate(labels)}
    record |= {"label": found[labels[0]]} if len(labels) == 1 else {"labels": found}
    if halflife is not None:
        offsets = [OFFSET if taken else None for taken in logged]
        record["halflife"] = {name: column(halflife, n, offsets[n]) for n, name in enumerate(features)}
    for block, (scaler, names) in (targets or {}).items():
        record[block] = {name: column(scaler, n, None) for n, name in enumerate(names)}
    return record


def truncated_svd(matrix: np.ndarray, train: np.ndarray, components: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Reduce (n, width) to its strongest components, fitted on some rows, not centred (as scikit-learn's TruncatedSVD).

    Returns (n, components) float32 scores, (components, width) float64 directions, whose largest entry is positive, and
    the part of the training rows' sum of squares that they keep. Components are fewer if the rows to fit on have fewer:
    directions beyond their rank would be noise.
    """
    from scipy.linalg import eigh
    from scipy.sparse import csr_array
    from scipy.sparse.linalg import eigsh

    sparse = csr_array(matrix.astype(np.float64))
    fitted = sparse[train]
    gram = (fitted.T @ fitted).toarray()
    width, total = len(gram), float(np.trace(gram))
    if not total:
        what, received = "no training gene is a target, so there are no components", f"zeros for {len(train):,} genes"
        raise UserError(what, where="svd, mirna", received=received, hint="use another mirna=FILE, or leave svd out")
    if components < width // 2:  # Lanczos is many times faster where few of many are wanted
        values, vectors = eigsh(gram, components, v0=np.ones(width))
    else:
        values, vectors = eigh(gram, subset_by_index=[max(0, width - components), width - 1])
    strongest = np.argsort(-values)
    # Squares of singular values, whose rounding errors are of this size.
    strongest = strongest[values[strongest] > np.finfo(float).eps * max(fitted.shape) * values.max()]
    values, directions = values[strongest], vectors.T[strongest]
    largest = np.abs(directions).argmax(axis=1)
    directions = directions * np.sign(directions[np.arange(len(directions)), largest])[:, None]
    return (sparse @ directions.T).astype(np.float32), directions, float(values.sum() / total)
