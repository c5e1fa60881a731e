"""The figure of a comparison of runs, for a paper: width of two columns, text as text, no date in the file."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from genexp.evaluation.figure_formats import VECTOR_STYLE, encoded
from genexp.evaluation.plots import BLUE, GREY, MOST_LABELS, ORANGE

Content = Mapping[str, Any]

#: Inches: two columns of a journal; the height of a group, and of what stands around the groups of a panel.
_WIDTH, _ROW, _AROUND = 7.2, 0.24, 0.75
#: Characters of a line of a name, and of a title.
_NAME, _TITLE = 34, 90

_STYLE: dict[str, Any] = {
    "font.size": 8,
    "axes.titlesize": 8,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "axes.grid.axis": "x",
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "ytick.left": False,
    "savefig.dpi": 300,
    **VECTOR_STYLE,
}


def draw(content: Content, suffix: str) -> bytes:
    """Return the figure of a comparison in one of `FIGURES`: a panel for each set, and for each label."""
    panels = [(each, label) for each in content["sets"] for label in _labels(each)]
    heights = [_AROUND + _ROW * _lines(each) for each, _ in panels]
    with matplotlib.style.context(["default", _STYLE]):
        figure = Figure(figsize=(_WIDTH, sum(heights) + 0.35), layout="constrained")
        FigureCanvasAgg(figure)
        shown = figure.subplots(len(panels), 1, height_ratios=heights, squeeze=False)[:, 0]
        for axes, (each, label) in zip(shown, panels, strict=True):
            _panel(axes, each, label, len(content["sets"]) > 1)
        figure.legend(handles=_legend(content), loc="outside lower center", ncols=3)
        return encoded(figure, suffix)


def _labels(of_set: Content) -> list[str | None]:
    """Return what has a panel: None for r2 of the one label, or for the mean of several, and each of these."""
    labels = of_set["labels"]
    return [None, *(labels[: MOST_LABELS - 1] if len(labels) > 1 else ())]


def _name(group: Content) -> str:
    return textwrap.fill(group["name"], _NAME, break_long_words=True)


def _lines(of_set: Content) -> float:
    """Return the height of all groups, in that of a group whose name has one line."""
    return sum(1 + 0.6 * float(_name(group).count("\n")) for group in of_set["groups"])


def _panel(axes: Axes, of_set: Content, label: str | None, several: bool) -> None:
    """Draw the groups of a set below one another: their runs, mean, interval, and what they are to be compared with."""
    groups, several_labels = of_set["groups"], len(of_set["labels"]) > 1
    values = []
    for place, group in enumerate(groups):
        metrics = group["metrics"] if label is None else group["metrics"]["labels"][label]
        r2s = [run["r2"] if label is None else run["labels"][label] for run in group["runs"]]
        values += [*r2s, metrics["r2"]["mean"]]
        ensemble = group["ensemble_r2"] if label is None else group["ensemble_labels"].get(label)
        values += _draw_group(axes, place, group, metrics["r2"], r2s, ensemble, whole=label is None)
    alone = next((group for group in groups if group["name"] == of_set["T_alone"]), None)
    if alone:
        found = alone["metrics"] if label is None else alone["metrics"]["labels"][label]
        axes.axvline(found["r2"]["mean"], color=ORANGE, linewidth=0.9, linestyle="--", zorder=1)
    margin = max(0.01, 0.08 * float(np.ptp(values)))
    axes.set_xlim(max(-0.02, min(values) - margin), min(1.02, max(values) + margin))
    axes.set_ylim(len(groups) - 0.4, -0.6)
    axes.set_yticks(range(len(groups)), [_name(group) for group in groups])
    quantity = "mean of the labels" if label is None and several_labels else label or ""
    axes.set_xlabel("Pearson r² on the test genes")
    titles = [f"set {of_set['set']}: {of_set['dataset']}"] * several + [quantity] * bool(quantity)
    axes.set_title(textwrap.fill(", ".join(titles), _TITLE), loc="left")


def _draw_group(
    axes: Axes, place: int, group: Content, found: Content, r2s: Sequence[float], ensemble: float | None, *, whole: bool
) -> list[float]:
    """Draw one group; return the values that the axis must hold beside its runs and mean."""
    baseline, published, more = group["kind"] == "baseline", group["published"], []
    color = GREY if baseline else BLUE
    if published and published["r2"] is not None and whole:
        low, high = published["r2_ci95"] or (published["r2"],) * 2
        axes.barh(place, high - low, left=low, height=0.62, color="#cccccc", zorder=1)
        axes.plot([published["r2"]] * 2, [place - 0.31, place + 0.31], color=GREY, linewidth=1.2, zorder=2)
        more += [low, high]
    if len(r2s) > 1:
        axes.plot(r2s, [place + 0.22] * len(r2s), "o", color=color, alpha=0.4, markersize=3, markeredgewidth=0)
    if found["low"] is not None:
        axes.plot([found["low"], found["high"]], [place] * 2, color=color, linewidth=1.2, zorder=4)
        more += [max(0, found["low"]), min(1, found["high"])]
    axes.plot(found["mean"], place, "s" if baseline else "o", color=color, markersize=4.6, zorder=5)
    if ensemble is not None:
        axes.plot(ensemble, place, "D", markerfacecolor="white", color=BLUE, markersize=4, zorder=4)
        more.append(ensemble)
    return more


def _legend(content: Content) -> list[Line2D]:
    """Return the legend of what is there."""
    groups = [group for of_set in content["sets"] for group in of_set["groups"]]
    plain: dict[str, Any] = {"linestyle": "none"}
    hollow = {"marker": "D", "color": BLUE, "markerfacecolor": "white"} | plain
    entries = [
        (True, "mean and 95 % interval over runs", {"marker": "o", "color": BLUE, "markersize": 4.6}),
        (any(len(g["runs"]) > 1 for g in groups), "runs", {"marker": "o", "color": BLUE, "alpha": 0.4} | plain),
        (any(g["ensemble_r2"] is not None for g in groups), "ensemble of the runs", hollow),
        (any(g["kind"] == "baseline" for g in groups), "baseline", {"marker": "s", "color": GREY} | plain),
        (
            any(g["published"] and g["published"]["r2"] is not None for g in groups),
            "published, 95 % interval",
            {"color": "#cccccc", "linewidth": 5},
        ),
        (any(s["T_alone"] for s in content["sets"]), "T alone", {"color": ORANGE, "linestyle": "--", "linewidth": 0.9}),
    ]
    return [Line2D([], [], label=label, **{"markersize": 4, **style}) for shown, label, style in entries if shown]
