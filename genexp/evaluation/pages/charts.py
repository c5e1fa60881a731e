"""Charts of the report as plain values in pixels: the templates draw them as SVG, whose colours a page can change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from matplotlib.ticker import MaxNLocator

#: Width of a chart in the unit of its viewBox; text of 12 is legible on a phone.
WIDTH = 420
#: More points than this are drawn paler.
MANY = 2_000
#: Around the field: room for the axes.
LEFT, TOP, RIGHT, BOTTOM = 52, 12, 12, 46


@dataclass(frozen=True)
class Axis:
    """From values to pixels: `low` and `high` are drawn at pixel `start` and `stop`."""

    low: float
    high: float
    start: float
    stop: float
    title: str = ""
    number: int = 6
    whole: bool = False

    def __call__(self, value: float) -> float:
        """Return the pixel of a value."""
        return round(self.start + (value - self.low) / (self.high - self.low) * (self.stop - self.start), 1)

    @cached_property
    def ticks(self) -> list[tuple[float, str]]:
        """Pixel and text of each tick."""
        steps = MaxNLocator(self.number, steps=[1, 2, 5, 10], integer=self.whole)
        values = [v for v in steps.tick_values(self.low, self.high) if self.low <= v <= self.high]
        return [(self(v), f"{v:,.10g}".replace("-", "−")) for v in values]


@dataclass
class Chart:
    """A field with axes and marks.

    `lines` are (class, name, SVG path), `points` (x, y, class, text), `rules` (x1, y1, x2, y2, class), `rows` of a
    forest (y, name, text at the right).
    """

    title: str
    height: float
    x: Axis
    y: Axis | None = None
    lines: list[tuple[str, str, str]] = field(default_factory=list)
    points: list[tuple[float, float, str, str]] = field(default_factory=list)
    rules: list[tuple[float, float, float, float, str]] = field(default_factory=list)
    rows: list[tuple[float, str, str]] = field(default_factory=list)
    legend: list[tuple[str, str]] = field(default_factory=list)
    note: str = ""


@dataclass(frozen=True)
class Row:
    """A row of a forest: its name, a value, an interval, the values behind it, and how it is drawn."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    text: str = ""
    each: Sequence[tuple[float, str]] = ()
    css: str = "c1"


def _range(values: Sequence[float] | np.ndarray, margin: float = 0.05) -> tuple[float, float]:
    low, high = float(np.min(values)), float(np.max(values))
    space = margin * (high - low) or max(0.5, margin * abs(low))
    return low - space, high + space


def curves(
    title: str,
    series: Sequence[tuple[str, str, Sequence[float], Sequence[float]]],
    ylabel: str,
    *,
    mark: tuple[float, float, str] | None = None,
    level: tuple[str, float] | None = None,
    limits: tuple[float, float] | None = None,
) -> Chart:
    """Return lines over the epochs: `series` of class, name, epochs and values.

    `mark` is a point with its text, `level` a line with its name; `limits` cut values off, which the chart says.
    """
    height = 280
    every = np.concatenate([values for *_, values in series])
    low, high = limits or _range([*every, *([level[1]] if level else [])])
    epochs = np.concatenate([x for *_, x, _ in series])
    x = Axis(*_range(epochs, 0.02), LEFT, WIDTH - RIGHT, "epoch", whole=True)
    y = Axis(low, high, height - BOTTOM, TOP, ylabel)
    chart = Chart(title, height, x, y)
    for css, name, over, values in series:
        path = "M" + "L".join(f"{x(a)},{max(y(b), TOP)}" for a, b in zip(over, values, strict=True))
        chart.lines.append((css, name, path))
        if name not in [text for _, text in chart.legend]:
            chart.legend.append((css, name))
    if cut := int((every > high).sum()):
        chart.note = f"{cut:,} values lie above, up to {every.max():,.4g}."
    if level:
        chart.rules.append((LEFT, y(level[1]), WIDTH - RIGHT, y(level[1]), "level"))
        chart.legend.append(("level", level[0]))
    if mark:
        chart.points.append((x(mark[0]), y(mark[1]), "best", mark[2]))
    return chart


def cloud(title: str, labels: np.ndarray, predictions: np.ndarray, texts: Sequence[str], unit: str) -> Chart:
    """Return predictions (n,) over labels (n,) as points with texts, and the identity."""
    height = WIDTH - LEFT - RIGHT + TOP + BOTTOM
    low, high = _range(np.concatenate([labels, predictions]), 0.04)
    x = Axis(low, high, LEFT, WIDTH - RIGHT, f"measured {unit}")
    y = Axis(low, high, height - BOTTOM, TOP, f"predicted {unit}")
    css = "gene many" if len(labels) > MANY else "gene"
    points = [(x(a), y(b), css, text) for a, b, text in zip(labels, predictions, texts, strict=True)]
    return Chart(title, height, x, y, points=points, rules=[(x(low), y(low), x(high), y(high), "level")])


def forest(title: str, rows: Sequence[Row], xlabel: str, *, zero: bool = False, note: str = "") -> Chart:
    """Return values with their intervals below one another; `zero` draws a line at 0."""
    step, top = 26, 6
    height = top + step * len(rows) + BOTTOM
    ends = [end for row in rows for end in (row.low, row.high, row.value, *(v for v, _ in row.each)) if end is not None]
    low, high = _range([*ends, *([0.0] if zero else [])], 0.06)
    x = Axis(low, high, 150, WIDTH - 74, xlabel, number=5)
    chart = Chart(title, height, x, note=note)
    if zero:
        chart.rules.append((x(0), top, x(0), height - BOTTOM, "level"))
    for number, row in enumerate(rows):
        y = top + step * (number + 0.5)
        chart.rows.append((y, row.name, row.text))
        chart.points += [(x(value), y + 7, f"{row.css} run", text) for value, text in row.each]
        if row.low is not None and row.high is not None:
            chart.rules.append((x(row.low), y, x(row.high), y, f"interval {row.css}"))
        chart.points.append((x(row.value), y, f"{row.css} mean", f"{row.name}: {row.text}"))
    return chart
