"""The figure of a scan: predictions of both strands along a chromosome, and where genes begin."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.ticker import FuncFormatter, MaxNLocator

from genexp.evaluation.plots import BLUE, GREY, ORANGE, figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

#: More genes than this have marks without names, as those would hide one another.
MOST_NAMES = 25
#: What a letter of a name takes of the height of a panel.
LETTER = 0.03


def plot_scan(
    path: Path,
    table: pd.DataFrame,
    shown: str,
    genes: Sequence[tuple[str, int, str]],
    title: str,
    unit: str,
    formats: Sequence[str] = ("png",),
) -> None:
    """Draw the predictions of a scan, a panel for each strand.

    `table` is that of `genexp.api.Run.scan`, and `shown` its column of predictions, with a band of one standard
    deviation where it has that, too; `genes` have name, TSS (from 0) and strand.
    """
    with figure(path, (11, 5.6), title, formats) as drawn:
        panels = drawn.subplots(2, 1, sharex=True, sharey=True)
        named: list[str] = []
        for axes, strand, color in zip(panels, "+-", (BLUE, ORANGE), strict=True):
            rows = table[table["strand"] == strand]
            position, value = rows["start"].to_numpy() + 1, rows[shown].to_numpy()
            axes.plot(position, value, color=color, linewidth=1, marker="" if len(rows) > 1 else "o")
            if (spread := shown.replace("prediction", "sd", 1)) in rows:
                sd = rows[spread].to_numpy()
                axes.fill_between(position, value - sd, value + sd, color=color, alpha=0.2, linewidth=0)
            own = [(name, tss + 1) for name, tss, side in genes if side == strand]
            axes.set_ylabel(f"strand {strand}")
            _mark(axes, own)
            named += [name for name, _ in own] if len(own) <= MOST_NAMES else []
        if named:  # above the curves
            low, high = panels[0].get_ylim()
            share = min(0.45, 0.06 + LETTER * max(map(len, named)))
            panels[0].set_ylim(low, low + (high - low) / (1 - share))
        panels[-1].set_xlabel("position (nt)")
        panels[-1].xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
        panels[-1].xaxis.set_major_locator(MaxNLocator(6, integer=True))
        panels[-1].set_xlim(table["start"].min() + 0.5, table["start"].max() + 1.5)
        drawn.supylabel(f"predicted expression ({unit})", fontsize=11)


def _mark(axes: Axes, genes: Sequence[tuple[str, int]]) -> None:
    """Mark where genes begin, with their names if these are few."""
    for name, tss in genes:
        axes.axvline(tss, color=GREY, linewidth=0.6, alpha=0.6, zorder=0)
        if len(genes) <= MOST_NAMES:
            axes.annotate(
                name,
                (tss, 1),
                (-1, -4),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                rotation=90,
                fontsize=7,
                va="top",
                ha="right",
            )
    if genes:
        what = "grey lines: TSSs" if len(genes) > MOST_NAMES else f"{len(genes)} TSSs"
        axes.set_title(what, loc="right", fontsize=8, color=GREY)
