"""How labels and features were scaled, as a dataset records it, and the way from one scale to another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from genexp.blocks import BLOCKS
from genexp.dataset.description import DatasetDescription

#: Means or standard deviations that differ by less than this part are the same.
SAME = 1e-9

Finite = Annotated[float, Field(allow_inf_nan=False)]


class Scale(BaseModel):
    """The scale of one label or feature: ``(log10(raw + log10_offset) - mean) / sd``, without offset no logarithm."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    log10_offset: Finite | None
    mean: Finite
    sd: Annotated[Finite, Field(gt=0)]

    def of_raw(self, raw: np.ndarray) -> np.ndarray:
        """Scale raw (n,) values; one below 0 counts as 0 where a logarithm is taken."""
        values = raw if self.log10_offset is None else np.log10(np.maximum(raw, 0) + self.log10_offset)
        return np.asarray((values - self.mean) / self.sd, np.float32)

    def is_like(self, other: Scale) -> bool:
        """Tell whether another scale is the same."""
        pairs = ((self.mean, other.mean), (self.sd, other.sd), (self.log10_offset or 0, other.log10_offset or 0))
        return self.can_become(other) and all(np.isclose(a, b, rtol=SAME, atol=0) for a, b in pairs)

    def can_become(self, other: Scale) -> bool:
        """Tell whether both have a logarithm, or both none: values without one may be logarithms already."""
        return (self.log10_offset is None) == (other.log10_offset is None)


@dataclass(frozen=True)
class Conversion:
    """From the scale of a dataset to that of a run."""

    theirs: Scale
    ours: Scale

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Convert (n,) values; a raw value below 0, as an intron length may be, counts as 0."""
        if self.theirs.is_like(self.ours):
            return values
        found = values.astype(np.float64) * self.theirs.sd + self.theirs.mean
        offset = self.theirs.log10_offset
        if offset is None or offset == self.ours.log10_offset:
            return np.asarray((found - self.ours.mean) / self.ours.sd, np.float32)
        with np.errstate(over="ignore", divide="ignore"):  # what is not finite is refused later
            return self.ours.of_raw(10**found - offset)


def scales_of(found: DatasetDescription, part: str, names: Sequence[str]) -> list[Scale] | None:
    """Return the scale of each named column of a block, or of each label (part ``label``); None where it is unknown."""
    record: Any = found.scaling or {}
    if part == "label":
        each = record.get("labels") or ({found.labels[0]: record.get("label")} if len(found.labels) == 1 else None)
    else:
        each = record.get(BLOCKS[part].input)
    try:
        return [Scale.model_validate(each[name]) for name in names] if each else None
    except (ValidationError, KeyError, TypeError, AttributeError):
        return None
