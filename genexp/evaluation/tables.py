"""Predictions of genes as a CSV table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np

from genexp.dataset.genes import Dataset
from genexp.files import write_csv


def write_predictions(
    path: Path, columns: Sequence[str], dataset: Dataset, predictions: Mapping[str, np.ndarray]
) -> None:
    """Write a table: gene, split, its labels, and predictions, (n, any number) by split; `columns` are but the first.

    A label that is missing is an empty cell.
    """
    rows: list[list[Any]] = []
    for split, values in predictions.items():
        genes = dataset.splits[split]
        each = zip(genes.genes, genes.labels.tolist(), values.tolist(), strict=True)
        rows += [[gene, split, *("" if isnan(x) else x for x in label), *value] for gene, label, value in each]
    write_csv(path, ("gene", "split", *columns), rows)


def prediction_columns(labels: Sequence[str], kinds: Sequence[str] = ("label", "prediction")) -> list[str]:
    """Return a column for each kind and label, as in predictions.csv; those of several labels have their names."""
    names = [""] if len(labels) == 1 else [f"_{name}" for name in labels]
    return [kind + name for kind in kinds for name in names]
