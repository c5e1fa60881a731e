"""Throw-away."""

from __future__ import annotations

import numpy as np

from genexp.dataset.description import DatasetDescription
from genexp.dataset.scaling import scales_of


def in_label_units(values: np.ndarray, trained_on: DatasetDescription, label: str) -> dict[str, np.ndarray]:
    """Return the predictions in the unit of a label before scaling, where the dataset says how it was scaled."""
    scales = scales_of(trained_on, "label", [label])
    if scales is None:
        return {}
    unscaled = values.astype(float) * scales[0].sd + scales[0].mean
    offset = scales[0].log10_offset
    return {"unscaled": unscaled} if offset is None else {"log10": unscaled, "raw": 10**unscaled - offset}


def features_of_genes(run, ids, features, scaled):  # type: ignore[no-untyped-def]
    widths = run.dataset.widths
    return {x: np.zeros((len(ids), widths[x]), np.float32) for x in run.config.data.name if x != "P"}
