"""What the features of the training genes are like: kept with a run, since other genes may be unlike them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from genexp.blocks import PROMOTER
from genexp.dataset.genes import Dataset
from genexp.errors import UserError
from genexp.files import damage_reported, in_short, write_csv

#: A feature is far outside the training range from this many standard deviations beyond it.
MARGIN = 1.0


@dataclass(frozen=True)
class Ranges:
    """Mean, standard deviation, smallest and largest value of each feature of a block, (width,) float64, as scaled."""

    mean: np.ndarray
    sd: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def outside(self, values: np.ndarray) -> np.ndarray:
        """Return which of (n, width) values are far outside the range, (n, width) bool."""
        margin = MARGIN * self.sd
        return np.asarray((values < self.low - margin) | (values > self.high + margin))


_STATISTICS = tuple(each.name for each in fields(Ranges))


def write_ranges(path: Path, dataset: Dataset) -> None:
    """Write the ranges of the training features as CSV: block, feature, mean, sd, low, high."""
    rows: list[Sequence[object]] = []
    for letter, values in dataset.splits["train"].blocks.items():
        if letter != PROMOTER:
            names = dataset.description.feature_names.get(letter) or range(1, values.shape[1] + 1)
            for name, column in zip(names, (np.asarray(x, np.float64) for x in values.T), strict=True):
                rows.append([letter, name, *map(float, (column.mean(), column.std(), column.min(), column.max()))])
    if rows:
        write_csv(path, ("block", "feature", *_STATISTICS), rows)


def read_ranges(path: Path, widths: Mapping[str, int]) -> dict[str, Ranges]:
    """Return the ranges by block letter, from a file of `write_ranges`; empty where there is none, as of imports.

    `widths` are the blocks that the run reads, with their widths.
    """
    import pandas as pd

    if not path.is_file():
        return {}
    hint = "copy the run directory again, or delete this file"
    what = "the record of the training features cannot be read"
    with damage_reported(lambda error: UserError(what, where=path, received=in_short(error), hint=hint)):
        text = {"feature": str, "block": str}  # a feature may be called NA
        table = pd.read_csv(path, dtype={**text, **dict.fromkeys(_STATISTICS, np.float64)}, keep_default_na=False)
        found = {letter: table.loc[table["block"] == letter, list(_STATISTICS)].to_numpy() for letter in widths}
        if any(found[letter].shape[0] != width or np.isnan(found[letter]).any() for letter, width in widths.items()):
            raise ValueError("not the features of the run")
        return {letter: Ranges(*values.T) for letter, values in found.items()}


def common_ranges(each: Sequence[dict[str, Ranges]]) -> dict[str, Ranges]:
    """Return the ranges of several runs together, with the mean of their means; empty where one is unknown."""
    if not all(each):
        return {}
    found = {}
    for letter in each[0]:
        own = [ranges[letter] for ranges in each]
        mean, sd = np.mean([x.mean for x in own], axis=0), np.max([x.sd for x in own], axis=0)
        found[letter] = Ranges(mean, sd, np.min([x.low for x in own], axis=0), np.max([x.high for x in own], axis=0))
    return found
