"""Figures of what a model has learned: contributions along promoters, inserted motifs, permuted features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from genexp.evaluation.plots import BLUE, GREEN, GREY, ORANGE, figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

COLORS = (BLUE, ORANGE, GREEN, GREY)
#: Bases of a sequence logo, and logos of a gene.
LOGO, LOGOS = 80, 2
#: A longer profile is a moving average over a hundredth of its length.
SMOOTH_FROM = 1000
#: Features and motifs that are drawn; the tables have all.
FEATURES, MOTIFS = 30, 8


def plot_profile(path: Path, profile: pd.DataFrame, title: str, formats: Sequence[str]) -> None:
    """Draw the mean absolute contribution at each position, by method; each method relative to its largest value."""
    position, width = profile["position"].to_numpy(), max(1, len(profile) // 100 if len(profile) > SMOOTH_FROM else 1)
    with figure(path, (9, 4), title, formats) as drawn:
        axes = drawn.add_subplot()
        for name, color in zip(profile.columns[1:], cycle(COLORS), strict=False):
            values = np.convolve(profile[name], np.full(width, 1 / width), "same")
            axes.plot(position, values / (values.max() or 1), color=color, linewidth=1.2, label=name.replace("_", " "))
        axes.axvline(0, color="black", linewidth=1, linestyle=":")
        smooth = f", moving average over {width} nt" if width > 1 else ""
        axes.set(xlabel="position relative to the TSS", ylabel=f"mean |contribution|\nrelative to the largest{smooth}")
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(COLORS))


def plot_gene(
    path: Path,
    tokens: np.ndarray,
    contributions: Mapping[str, np.ndarray],
    start: int,
    title: str,
    formats: Sequence[str],
) -> None:
    """Draw the contributions of the bases of one promoter, by method, and logos where they are largest.

    `tokens` are (length,), the contributions (length, 4) of A, C, G and T.
    """
    known = np.eye(5, 4)[tokens]
    every = {name: (values * known) for name, values in contributions.items()}
    places = _largest(np.abs(next(iter(every.values()))).sum(axis=-1))
    rows = len(every) * (1 + len(places))
    with figure(path, (10, 1.1 + 1.35 * rows), title, formats) as drawn:
        axes = drawn.subplots(rows, 1, squeeze=False)[:, 0]
        for number, (name, values) in enumerate(every.items()):
            track, *logos = axes[number * (1 + len(places)) :][: 1 + len(places)]
            track.vlines(
                np.arange(len(tokens)) + start,
                0,
                values.sum(axis=-1),
                color=COLORS[number % len(COLORS)],
                linewidth=0.8,
            )
            track.set_ylabel(name.replace("_", "\n"), fontsize=9)
            track.margins(x=0)
            for place, logo in zip(places, logos, strict=True):
                track.axvspan(place + start, place + start + LOGO, color=GREY, alpha=0.15, linewidth=0)
                if values[place : place + LOGO].any():
                    _draw_logo(logo, values[place : place + LOGO], place + start)
        axes[-1].set_xlabel("position relative to the TSS")


def _largest(size: np.ndarray) -> list[int]:
    """Return the starts of the stretches of `LOGO` bases with the largest sums, apart from each other, in order."""
    sums = np.convolve(size, np.ones(min(LOGO, len(size))), "valid")
    found: list[int] = []
    while len(found) < LOGOS and np.nanmax(sums, initial=0) > 0:
        found.append(int(np.nanargmax(sums)))
        sums[max(found[-1] - LOGO, 0) : found[-1] + LOGO] = np.nan
    return sorted(found)


def _draw_logo(axes: Axes, values: np.ndarray, start: int) -> None:
    import logomaker
    import pandas as pd

    table = pd.DataFrame(values, columns=list("ACGT"), index=np.arange(len(values)) + start)
    logomaker.Logo(table, ax=axes, color_scheme="classic")
    axes.grid(visible=False)


def plot_insertion(path: Path, insertion: pd.DataFrame, title: str, formats: Sequence[str]) -> None:
    """Draw how inserted motifs change the prediction, by position; a panel for each of the strongest motifs."""
    strength = insertion["mean"].abs().groupby(insertion["motif"]).max().sort_values(ascending=False)
    shown = list(strength.index[:MOTIFS])
    more = f", the strongest {MOTIFS} of {len(strength)} motifs" if len(strength) > MOTIFS else ""
    with figure(path, (9, 1 + 2 * len(shown)), title + more, formats) as drawn:
        axes = drawn.subplots(len(shown), 1, squeeze=False, sharex=True)[:, 0]
        for axis, name in zip(axes, shown, strict=True):
            for strand, color in (("+", BLUE), ("-", ORANGE)):
                rows = insertion[(insertion["motif"] == name) & (insertion["strand"] == strand)]
                axis.plot(rows["position"], rows["mean"], color=color, label=f"{name}, strand {strand}")
                axis.fill_between(rows["position"], rows["low"], rows["high"], color=color, alpha=0.2, linewidth=0)
            axis.axhline(0, color="black", linewidth=1)
            axis.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
        axes[0].set_ylabel("change of the prediction")
        axes[-1].set_xlabel("position of the first base relative to the TSS")


def plot_permutation(path: Path, permutation: pd.DataFrame, title: str, formats: Sequence[str]) -> None:
    """Draw the loss of r2 of whole blocks, and of the most important features, with intervals."""
    whole = permutation["feature"] == "(all)"
    rows = [permutation[whole], permutation[~whole].nlargest(FEATURES, "loss")]
    more = f"\nblocks, and {FEATURES} of {(~whole).sum():,} features" if (~whole).sum() > FEATURES else ""
    names = [": ".join(pair) for part in rows for pair in zip(part["block"], part["feature"], strict=True)]
    loss, low, high = (np.concatenate([part[key] for part in rows]) for key in ("loss", "low", "high"))
    with figure(path, (8, 1.6 + 0.28 * len(names)), title + more, formats) as drawn:
        axes = drawn.add_subplot()
        colors = [ORANGE] * len(rows[0]) + [BLUE] * len(rows[1])
        axes.barh(np.arange(len(names)), loss, xerr=[loss - low, high - loss], color=colors, height=0.65)
        axes.set_yticks(np.arange(len(names)), names)
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("loss of Pearson r² when shuffled among the genes")
