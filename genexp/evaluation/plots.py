"""The plots of a run and a study, built without pyplot: no display, no state between calls, no user settings."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.style
import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator
from scipy.ndimage import gaussian_filter, map_coordinates

from genexp.dataset.description import DatasetDescription
from genexp.dataset.scaling import scales_of
from genexp.evaluation.figure_formats import VECTOR_STYLE, encoded
from genexp.evaluation.metrics import TITLES, as_text, is_collapsed
from genexp.files import write_atomically

# Okabe and Ito's colours, which colour-blind readers tell apart.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#666666"
#: Viridis without its palest end, which is lost on white.
_DENSITY_MAP = ListedColormap(colormaps["viridis"](np.linspace(0, 0.93, 256)))

_STYLE: dict[str, Any] = {
    "figure.dpi": 180,
    "savefig.dpi": "figure",
    "font.size": 11,
    "axes.titlesize": 11,
    "figure.titlesize": 13,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 10,
    "legend.borderaxespad": 0.2,
    "figure.constrained_layout.w_pad": 0.12,
    "figure.constrained_layout.h_pad": 0.08,
    "lines.linewidth": 1.8,
    **VECTOR_STYLE,
}

#: From this number of genes on, points would hide one another, and hexagons are counted instead.
_HEXBIN_FROM = 5_000
#: With so few epochs a line alone may be a single invisible point.
_MARKERS_BELOW = 40
#: More changes of the learning rate than this are a schedule: its panel says enough.
_LR_LINES = 6

#: What follows a unit where its values are scaled.
STANDARDISED = ", standardised"

_CONSTANT = "The predictions do not vary: the model has collapsed."
#: More labels than this are not drawn, and the title says so.
MOST_LABELS = 12


Range = tuple[float, float]


@dataclass(frozen=True)
class Panel:
    """What is drawn of one label: its name, labels and predictions (n,) of the genes that have it, and its metrics.

    `unit` is that of the labels; `scale`, mean and sd, takes standardised values back to the unit that they had before.
    """

    name: str
    labels: np.ndarray
    predictions: np.ndarray
    metrics: Mapping[str, Any]
    unit: str | None = None
    scale: tuple[float, float] | None = None

    def checked(self) -> tuple[np.ndarray, np.ndarray, bool]:
        """Return labels and predictions as drawn, float64, and whether the model collapsed; check that both fit."""
        collapsed = is_collapsed(self.predictions, self.labels)
        mean, sd = self.scale or (0.0, 1.0)
        labels, predictions = (np.asarray(x, np.float64) * sd + mean for x in (self.labels, self.predictions))
        return labels, predictions, collapsed

    def quantity(self, kind: str = "", width: int = 48) -> str:
        """Return what is drawn, with its unit as far as the files say, in lines of at most `width` characters."""
        named = self.name != "label"
        unit = self.unit or ("" if named else "unit not stated")
        unit = unit.removesuffix(STANDARDISED) if self.scale else unit
        parts = [f"{kind} {self.name if named else 'expression'}".strip(), *([f"({unit})"] if unit else [])]
        whole = " ".join(parts)
        lines = [line for part in parts for line in textwrap.wrap(part, width)]
        return whole if len(whole) <= width else "\n".join(lines)


def label_scale(description: DatasetDescription, label: str) -> tuple[float, float] | None:
    """Return mean and sd by which a label was standardised, where its unit and its scale are known; else None."""
    scales = scales_of(description, "label", [label])
    known = scales and (description.unit or "").endswith(STANDARDISED)
    return (scales[0].mean, scales[0].sd) if scales and known else None


def plot_history(
    path: str | Path,
    history: Sequence[Mapping[str, Any]],
    best_epoch: int,
    title: str,
    baseline: tuple[str, float] | None = None,
    *,
    loss: str = "loss",
    formats: Sequence[str] = ("png",),
) -> None:
    """Draw losses, validation r2 and, where it changes, the learning rate over the epochs; one epoch is not drawn.

    `baseline` is the name and the validation r2 of a simple model, which is drawn as a line; `loss` names the loss.

    A few huge losses, usually the first ones, are cut off and counted in the picture rather than allowed to flatten
    everything else.
    """
    if len(history) < 2:
        return
    columns = ("epoch", "loss", "val_loss", "val_r2", "lr")
    epoch, train_loss, val_loss, val_r2, lr = (np.array([row[key] for row in history], np.float64) for key in columns)
    # Epochs with another learning rate than the one before; optimizers keep it in float32.
    changes = epoch[1:][~np.isclose(lr[1:], lr[:-1], rtol=1e-6, atol=0)]
    ratios = [3, 2, 1] if changes.size else [3, 2]
    with figure(path, (8, 2.7 + sum(ratios) * 0.7), title, formats) as drawn:
        axes = drawn.subplots(len(ratios), 1, sharex=True, height_ratios=ratios, squeeze=False)[:, 0]
        _draw_losses(axes[0], epoch, train_loss, val_loss)
        axes[0].set_ylabel(loss)
        _draw_curve(axes[1], epoch, val_r2, GREEN)
        if baseline:
            name = f"baseline {baseline[0]}: {baseline[1]:.3f}"
            axes[1].axhline(baseline[1], color=GREY, linestyle="--", label=name)
        top = max(0.1, 1.12 * val_r2.max(), 1.12 * baseline[1] if baseline else 0)
        axes[1].set(ylabel="validation\nPearson r²", ylim=(-0.03 * top, top))
        if changes.size:
            _draw_learning_rate(axes[2], epoch, lr)
        for axis in axes:
            for change in changes if changes.size <= _LR_LINES else ():
                axis.axvline(change - 0.5, color=GREY, linewidth=1, linestyle=":")
        _mark_best(axes, epoch, val_loss, val_r2, best_epoch)
        _legend_above(axes[0])
        axes[-1].set_xlabel("epoch")
        axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
        margin = max(0.5, 0.02 * np.ptp(epoch))
        axes[-1].set_xlim(epoch.min() - margin, epoch.max() + margin)
        drawn.align_ylabels(axes)


def plot_scatter(path: str | Path, panels: Sequence[Panel], title: str, formats: Sequence[str] = ("png",)) -> None:
    """Draw predictions against labels, coloured by density, with their metrics; of several labels a panel for each."""
    shown, title = _shown(panels, title)
    values = [panel.checked() for panel in shown]
    hexagons = any(y.size >= _HEXBIN_FROM for y, *_ in values)
    across = _across(len(shown))
    size, width = ((6.8 if hexagons else 5.9, 6.0), 48) if across == 1 else ((4.6 + 0.6 * hexagons, 4.8), 38)
    with figure(path, (size[0] * across, size[1] * -(-len(shown) // across)), title, formats) as drawn:
        for place, (panel, (y, p, collapsed)) in enumerate(zip(shown, values, strict=True), 1):
            axes = drawn.add_subplot(-(-len(shown) // across), across, place)
            low, high = _limits(y, p)
            _draw_cloud(drawn, axes, y, p, (low, high), (low, high))
            axes.plot([low, high], [low, high], color=ORANGE, linewidth=1.5, linestyle="--", label="identity")
            measured, predicted = (panel.quantity(kind, width) for kind in ("measured", "predicted"))
            axes.set(xlabel=measured, ylabel=predicted, aspect="equal")
            if across > 1:
                axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
            axes.set(xticks=axes.get_yticks(), xlim=(low, high), ylim=(low, high))
            text = _metric_lines(panel.metrics, short=across > 1)
            axes.set_title(text, loc="left")
            if collapsed:
                axes.set_title(f"{text}\n{textwrap.fill(_CONSTANT, 60 // across)}", loc="left", color=ORANGE)
            axes.legend(loc="lower right", frameon=True, edgecolor="none", framealpha=0.85)


def plot_density(path: str | Path, panels: Sequence[Panel], title: str, formats: Sequence[str] = ("png",)) -> None:
    """Draw the distributions of labels and predictions, and the residuals; of several labels a pair for each."""
    shown, title = _shown(panels, title)
    values = [panel.checked() for panel in shown]
    pairs = 2 if len(shown) > 2 else 1
    rows = -(-len(shown) // pairs)
    with figure(path, (11 * pairs, 4.8 * rows), title, formats) as drawn:
        for place, (panel, (y, p, collapsed)) in enumerate(zip(shown, values, strict=True)):
            left, right = (drawn.add_subplot(rows, 2 * pairs, 2 * place + side) for side in (1, 2))
            _draw_distributions(left, y, p, collapsed, panel.quantity())
            low, high = _limits(y, p)
            near = (p >= low) & (p <= high)
            _draw_cloud(drawn, right, p, y - p, _padded(p[near]), _padded((y - p)[near]))
            right.axhline(0, color="black", linewidth=1, linestyle="--")
            right.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
            right.set(xlabel=panel.quantity("predicted"), ylabel="residual: measured − predicted")
            if collapsed:
                right.set_title(_CONSTANT, loc="left", color=ORANGE)
            else:
                _draw_running_median(right, p, y - p)


def _shown(panels: Sequence[Panel], title: str) -> tuple[Sequence[Panel], str]:
    """Return the panels that are drawn, and a title that says how many are not."""
    more = f", the first {MOST_LABELS} of {len(panels)} labels" if len(panels) > MOST_LABELS else ""
    return panels[:MOST_LABELS], title + more


def _across(panels: int) -> int:
    """Return the number of panels side by side."""
    return next(n for n in range(1, MOST_LABELS + 1) if n * n >= panels)


@contextmanager
def figure(
    path: str | Path, size: tuple[float, float], title: str, formats: Sequence[str] = ("png",)
) -> Iterator[Figure]:
    """Yield an empty figure in the common style, `size` inches; when the block ends without an error, write it.

    A file for each of the `formats` (see `genexp.evaluation.figure_formats`): `path` with the suffix of the format.
    """
    with matplotlib.style.context(["default", _STYLE]):
        drawn = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(drawn)
        lines = (textwrap.fill(line, int(size[0] * 9)) for line in title.splitlines())
        drawn.suptitle("\n".join(lines))
        yield drawn
        files = {suffix: encoded(drawn, suffix) for suffix in formats}
    for suffix, content in files.items():
        write_atomically(Path(path).with_suffix(f".{suffix}"), content)


def _metric_lines(metrics: Mapping[str, Any], *, short: bool = False) -> str:
    """Return r2 with its interval, the rank correlation and the number of genes: what no scale changes.

    A `short` text has r2 and the number of genes alone.
    """
    low, high = metrics["r2_ci95"]
    if short:
        return f"{TITLES['r2']} = {metrics['r2']:.3f}, n = {metrics['n']:,}"
    rank = f"Spearman ρ = {as_text(metrics['spearman'])}, " if "spearman" in metrics else ""
    first = f"{TITLES['r2']} = {metrics['r2']:.3f} (95% CI {low:.3f} to {high:.3f})"
    return f"{first}\n{rank}n = {metrics['n']:,} genes"


def _draw_curve(axes: Axes, epoch: np.ndarray, values: np.ndarray, color: str, label: str | None = None) -> None:
    """Draw one value per epoch; a dot for each where there are few."""
    few = epoch.size < _MARKERS_BELOW
    axes.plot(epoch, values, color=color, label=label, marker="o" if few else None, markersize=4)


def _draw_learning_rate(axes: Axes, epoch: np.ndarray, lr: np.ndarray) -> None:
    """Draw the learning rate of each epoch; it changes between epochs, not along them."""
    axes.step(epoch, lr, where="mid", color=GREY)
    values = np.unique(lr)
    if values[0] > 0:
        axes.set_yscale("log")
    axes.set_ylabel("learning\nrate")
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_yticks(values if values.size <= 3 else values[[0, -1]])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.2g}"))
    axes.margins(y=0.15)


def _draw_losses(axes: Axes, epoch: np.ndarray, loss: np.ndarray, val_loss: np.ndarray) -> None:
    """Draw both losses on a scale that shows where training ended, whatever it began or blew up with."""
    _draw_curve(axes, epoch, loss, BLUE, "training")
    _draw_curve(axes, epoch, val_loss, ORANGE, "validation")
    if limits := loss_limits(loss, val_loss):
        axes.set_ylim(*limits)
        cut, high = np.count_nonzero(np.maximum(loss, val_loss) > limits[1]), max(loss.max(), val_loss.max())
        note = f"{cut:,} of {epoch.size:,} epochs lie above, up to {high:,.4g}"
        _note(axes, note, (0.98, 0.95), ha="right", va="top", color=GREY)


def loss_limits(loss: np.ndarray, val_loss: np.ndarray) -> Range | None:
    """Return the range of losses to draw where a few huge ones would flatten all others; else None."""
    both = np.concatenate([loss, val_loss])
    late = np.concatenate([x[len(x) // 10 + 1 :] for x in (loss, val_loss)])
    if late.size < 6:
        return None
    low, high, usual = both.min(), both.max(), np.percentile(late, 95)
    # Not less than a twentieth of the loss, or the rounding error of a flat loss would fill the panel.
    spread = max(usual - low, 0.05 * abs(low))
    # Cut only where most of the training would otherwise be squeezed into the lowest part of the panel.
    return (low - 0.2 * spread, low + 4 * spread) if high - low > 12 * spread > 0 else None


def _mark_best(axes: np.ndarray, epoch: np.ndarray, val_loss: np.ndarray, val_r2: np.ndarray, best_epoch: int) -> None:
    """Mark the epoch whose weights were kept in every panel."""
    rows = np.flatnonzero(epoch == best_epoch)
    if not rows.size:
        return
    row = rows[-1]
    for axis in axes:
        axis.axvline(best_epoch, color="black", linewidth=1, linestyle="--", zorder=1)
    for axis, values, shown in ((axes[0], val_loss, "loss {:.4g}"), (axes[1], val_r2, "Pearson r² {:.3f}")):
        label = f"best epoch {best_epoch}: {shown.format(values[row])}"
        axis.plot([best_epoch], [values[row]], "D", color="black", markersize=6, label=label, zorder=5)
    _legend_above(axes[1])


def _legend_above(axes: Axes) -> None:
    """Put the legend above the panel, where it hides nothing."""
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4)


def _limits(labels: np.ndarray, predictions: np.ndarray, margin: float = 0.04) -> tuple[float, float]:
    """Return the range both axes share: all labels, and the predictions unless a few of them run far away."""
    low, high = labels.min(), labels.max()
    width = high - low
    near = predictions[(predictions >= low - width) & (predictions <= high + width)]
    shown = near if near.size >= 0.95 * predictions.size else predictions
    low, high = min(low, shown.min()), max(high, shown.max())
    return _padded(np.array([low, high]), margin)


def _draw_cloud(figure: Figure, axes: Axes, x: np.ndarray, y: np.ndarray, xlim: Range, ylim: Range) -> None:
    """Draw points coloured by how dense they lie, or counts in hexagons when there are many."""
    axes.grid(False)
    inside = (x >= xlim[0]) & (x <= xlim[1]) & (y >= ylim[0]) & (y <= ylim[1])
    x, y = x[inside], y[inside]
    if x.size >= _HEXBIN_FROM:
        hexagons = axes.hexbin(
            x, y, gridsize=60, extent=(*xlim, *ylim), bins="log", mincnt=1, cmap=_DENSITY_MAP, linewidths=0.1
        )
        figure.colorbar(hexagons, ax=axes, label="genes per hexagon", shrink=0.8, format="{x:,.0f}")
    else:
        density = _density_at(x, y, xlim, ylim)
        order = np.argsort(density, kind="stable")
        size = float(np.clip(500 / np.sqrt(max(x.size, 1)), 8, 60))
        shown: dict[str, Any] = {"c": density[order], "cmap": _DENSITY_MAP, "s": size, "alpha": 0.85, "linewidths": 0}
        axes.scatter(x[order], y[order], rasterized=True, **shown)
    axes.set(xlim=xlim, ylim=ylim)
    if not inside.all():
        _note(axes, f"{np.count_nonzero(~inside):,} genes lie beyond the axes", (0.03, 0.97), va="top", color=GREY)


def _density_at(x: np.ndarray, y: np.ndarray, xlim: Range, ylim: Range, bins: int = 128) -> np.ndarray:
    """Return the density of the cloud at its own points: a smoothed histogram, so linear in the number of points."""
    counts, _, _ = np.histogram2d(x, y, bins=bins, range=(xlim, ylim))
    at = [(v - low) / (high - low) * bins - 0.5 for v, (low, high) in ((x, xlim), (y, ylim))]
    return map_coordinates(gaussian_filter(counts, sigma=3), at, order=1, mode="nearest")


def _draw_distributions(
    axes: Axes, labels: np.ndarray, predictions: np.ndarray, collapsed: bool, quantity: str
) -> None:
    limits = _limits(labels, predictions, margin=0.1)
    edges = np.linspace(*limits, int(np.clip(3 * np.cbrt(labels.size), 10, 60)) + 1)
    heights = []
    for values, name, color in ((labels, "measured", BLUE), (predictions, "predicted", ORANGE)):
        if np.ptp(values) == 0 or (collapsed and values is predictions):
            axes.axvline(values.mean(), color=color, linewidth=2.5, label=f"{name}, all {values.mean():.3g}")
            continue
        counts, _ = np.histogram(values, edges)
        filled: dict[str, Any] = {"fill": True, "alpha": 0.3, "linewidth": 0} if values is labels else {"linewidth": 2}
        axes.stairs(counts, edges, color=color, label=f"{name}, sd {values.std():#.3g}", **filled)
        heights.append(counts.max())
    if len(heights) == 2 and heights[1] > 5 * heights[0]:
        # Hardly any variance: the predictions' peak would flatten the labels into the axis.
        axes.set_ylim(0, 5 * heights[0])
        _note(axes, f"up to {heights[1]:,} predictions in a bin", (0.03, 0.97), va="top", color=GREY)
    axes.set(xlabel=quantity, ylabel="genes", xlim=limits)
    _legend_above(axes)


def _draw_running_median(axes: Axes, predictions: np.ndarray, residuals: np.ndarray) -> None:
    """Draw median and middle 80% of the residuals along the predictions, where there are genes enough."""
    count = min(predictions.size // 100, 20)
    if count < 4:
        return
    parts = np.array_split(np.argsort(predictions, kind="stable"), count)
    centres = [np.median(predictions[part]) for part in parts]
    low, median, high = np.array([np.percentile(residuals[part], [10, 50, 90]) for part in parts]).T
    outline = [withStroke(linewidth=4, foreground="white", alpha=0.8)]
    for band, name in ((low, "middle 80% of genes"), (high, None)):
        axes.plot(centres, band, color=ORANGE, linewidth=1.5, linestyle=":", label=name, path_effects=outline)
    axes.plot(centres, median, color=ORANGE, linewidth=2.2, label="median", path_effects=outline)
    _legend_above(axes)


def _padded(values: np.ndarray, margin: float = 0.04) -> tuple[float, float]:
    """Return the range of `values`, widened on both sides by a part of itself; never too narrow to be divided."""
    low, high = float(values.min()), float(values.max())
    size = max(abs(low), abs(high))
    space = margin * (high - low) if high - low > 1e-6 * size else max(0.5, margin * size)
    return low - space, high + space


def _note(axes: Axes, text: str, at: tuple[float, float], *, color: str = "black", **place: Any) -> None:
    """Write a note into a panel, in fractions of its size, legible over points."""
    box = {"boxstyle": "round", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}
    axes.text(*at, text, transform=axes.transAxes, color=color, bbox=box, zorder=10, **place)


def plot_trials(path: str | Path, trials: Sequence[Mapping[str, Any]], quantity: str, high: bool, title: str) -> None:
    """Draw the value of each trial of a study, and the best so far; fewer than two values are not drawn.

    `trials` have ``trial``, ``value`` and ``state``; a pruned one is drawn at the last value that it reached, one
    without any value is not drawn. `high` says whether a higher value is better.
    """
    shown = [(row["trial"], float(row["value"]), row["state"]) for row in trials if row["value"] is not None]
    if len(shown) < 2:
        return
    complete = [(number, value) for number, value, state in shown if state == "completed"]
    pruned = [(number, value) for number, value, state in shown if state != "completed"]
    number, value = np.array(complete, np.float64).reshape(-1, 2).T
    best = (np.maximum if high else np.minimum).accumulate(value)
    with figure(path, (8, 4.4), title) as drawn:
        axes = drawn.add_subplot()
        axes.step(number, best, where="post", color=ORANGE, label="best so far")
        axes.plot(number, value, "o", color=BLUE, markersize=5, label="completed")
        if pruned:
            axes.plot(*np.transpose(pruned), "x", color=GREY, markersize=5, label="pruned, last value")
        axes.set(xlabel="trial", ylabel=quantity)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
        top = value.min() + 4 * (np.median(value) - value.min())
        if not high and value.max() > top > value.min():  # losses that blew up would flatten the others
            axes.set_ylim(top=top)
            _note(
                axes,
                f"{np.count_nonzero(value > top)} trials lie above",
                (0.98, 0.95),
                ha="right",
                va="top",
                color=GREY,
            )
        _legend_above(axes)


def plot_importance(path: str | Path, importance: Mapping[str, float], title: str) -> None:
    """Draw the share of each key of a search space in how good a trial is, unless all shares are equal."""
    keys = list(importance)[::-1]
    if len({round(share, 2) for share in importance.values()}) < 2:
        return
    with figure(path, (8, 1.4 + 0.42 * len(keys)), title) as drawn:
        axes = drawn.add_subplot()
        bars = axes.barh(keys, [importance[key] for key in keys], color=BLUE, height=0.65)
        axes.bar_label(bars, fmt="{:.2f}", padding=3)
        axes.grid(axis="y", visible=False)
        axes.margins(x=0.1)
        axes.set_xlabel("importance (PED-ANOVA)")
