"""One page that shows what is in a dataset."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from io import BytesIO
from pathlib import Path

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from genexp.blocks import BLOCKS
from genexp.dataset.genes import SPLITS, Dataset
from genexp.features.tokens import ALPHABET
from genexp.files import write_atomically
from genexp.prepare.assemble import LETTERS
from genexp.prepare.bases import Bases
from genexp.prepare.ledger import Ledger
from genexp.prepare.planning import Plan

# Okabe and Ito's colours, which colour-blind readers can distinguish.
_SPLIT_COLOURS = {"train": "#0072B2", "valid": "#E69F00", "test": "#D55E00"}
_BASE_COLOURS = {"A": "#009E73", "C": "#0072B2", "G": "#E69F00", "T": "#D55E00", "N": "#999999"}
_GREY = "#8a8a8a"
#: More chromosomes than this are scaffolds, mostly.
_CHROMOSOMES = 30
#: Labels and features that are drawn.
_LABELS, _FEATURES = 6, 20

_STYLE = {"font.size": 9, "axes.titlesize": 10, "axes.titlelocation": "left", "legend.frameon": False}
_STYLE |= {"text.parse_math": False, "axes.spines.top": False, "axes.spines.right": False}


def draw_dataset(path: Path, title: str, dataset: Dataset, plan: Plan, bases: Bases, ledger: Ledger) -> None:
    """Draw genes at each step, labels, features, base composition, places and targets, as far as they are there.

    `dataset` is the only fold, or the first; the others are what it was made from.
    """
    counts = [step["genes"] for step in ledger.steps]
    # Bars of one length say nothing that the card does not say; neither does one chromosome.
    panels: list[Callable[[Axes], None]] = [partial(_steps, ledger=ledger)] * (min(counts) < 0.98 * max(counts))
    panels += [partial(_label, dataset=dataset, number=n) for n in range(min(_LABELS, len(plan.genes.label_names)))]
    if bases.promoters is not None:
        panels.append(partial(_composition, counts=bases.composition, tss=bases.tss))
    if len(plan.genes.halflife):
        panels.append(partial(_features, dataset=dataset))
    if len(set(plan.genes.chromosome)) > 1:
        panels.append(partial(_places, chromosome=plan.genes.chromosome, plan=plan))
    targets = plan.genes.targets
    panels += [partial(_targets, plan=plan, block=b) for b in targets if targets[b].values.dtype == np.uint8]
    with matplotlib.style.context(["default", _STYLE]):
        rows = -(-len(panels) // 2)
        figure = Figure(figsize=(11, 3.6 * rows), dpi=150, layout="constrained")
        FigureCanvasAgg(figure)
        figure.suptitle(title)
        for n, draw in enumerate(panels):
            draw(figure.add_subplot(rows, 2, n + 1))
        image = BytesIO()
        figure.savefig(image, format="png", metadata={"Software": None})
    write_atomically(path, image.getvalue())


def _steps(ax: Axes, ledger: Ledger) -> None:
    names = [step["step"] for step in ledger.steps]
    counts = [step["genes"] for step in ledger.steps]
    ax.barh(range(len(names)), counts, color=_GREY)
    ax.set_yticks(range(len(names)), names)
    ax.invert_yaxis()
    for n, count in enumerate(counts):
        ax.text(count, n, f" {count:,}", va="center")
    ax.set_xlim(0, max(counts) * 1.18)
    ax.set_title("Genes at each step")


def _label(ax: Axes, dataset: Dataset, number: int) -> None:
    names = dataset.description.labels
    values = {name: split.labels.reshape(len(split), -1)[:, number] for name, split in dataset.splits.items()}
    values = {name: known[~np.isnan(known)] for name, known in values.items()}
    every = np.concatenate(list(values.values()))
    bins = np.linspace(every.min(), every.max(), 41).tolist()
    for name, known in values.items():
        label, colour = f"{name}, {len(known):,} genes", _SPLIT_COLOURS[name]
        ax.hist(known, bins, density=True, histtype="step", lw=1.6, color=colour, label=label)
    ax.legend()
    ax.set(xlabel=f"{names[number]}: {dataset.description.unit or 'standardised'}", ylabel="density")
    ax.set_title("Labels" if len(names) == 1 else f"Label {number + 1} of {len(names):,}: {names[number]}")


def _composition(ax: Axes, counts: np.ndarray, tss: int | None) -> None:
    width = max(1, len(counts) // 200)
    whole = counts[: len(counts) // width * width].reshape(-1, width, len(ALPHABET)).sum(axis=1)
    parts = whole / np.maximum(whole.sum(axis=1, keepdims=True), 1)
    position = (np.arange(len(parts)) + 0.5) * width - (tss or 0)
    for token, base in enumerate(ALPHABET):
        ax.plot(position, parts[:, token], color=_BASE_COLOURS[base], label=base, lw=1.2)
    if tss is not None:
        ax.axvline(0, color=_GREY, lw=0.8)
    ax.legend(ncols=5, loc="lower left", columnspacing=1, handlelength=1)
    sequences = "sequence" if tss is None else "promoter"
    place = "position (nt)" if tss is None else "position from the TSS (nt)"
    ax.set(xlabel=place, ylabel=f"part of the {sequences}s", ylim=(0, None))
    ax.set_title(f"Bases along the {sequences} (means of {width} nt)")


def _features(ax: Axes, dataset: Dataset) -> None:
    every = dataset.description.feature_names[LETTERS["halflife"]]
    names = every[:_FEATURES]
    for n, split in enumerate(SPLITS):
        values = dataset.splits[split].blocks[LETTERS["halflife"]][:, :_FEATURES]
        low, middle, high = np.percentile(values, [5, 50, 95], axis=0)
        place = np.arange(len(names)) + (n - 1) * 0.22
        error, colour = [middle - low, high - middle], _SPLIT_COLOURS[split]
        ax.errorbar(middle, place, xerr=error, fmt="o", ms=4, lw=1.6, label=split, color=colour)
    ax.set_yticks(range(len(names)), names)
    ax.invert_yaxis()
    ax.legend()
    ax.set_xlabel("standardised: median, 5% to 95%")
    more = f" (the first {_FEATURES} of {len(every):,})" if len(every) > _FEATURES else ""
    ax.set_title(f"Features of block H{more}")


def _places(ax: Axes, chromosome: np.ndarray, plan: Plan) -> None:
    names, counts = np.unique(chromosome, return_counts=True)
    names = names[np.argsort(-counts, kind="stable")][:_CHROMOSOMES]
    bottom = np.zeros(len(names))
    for split in SPLITS:
        mine = chromosome[plan.folds[0][split]]
        number = np.array([(mine == name).sum() for name in names])
        ax.bar(range(len(names)), number, bottom=bottom, color=_SPLIT_COLOURS[split], label=split)
        bottom += number
    ax.set_xticks(range(len(names)), names, rotation=90)
    ax.legend()
    ax.set_ylabel("genes")
    ax.set_title("Chromosomes" + (f" (the {_CHROMOSOMES} with most genes)" if len(counts) > _CHROMOSOMES else ""))


def _targets(ax: Axes, plan: Plan, block: str) -> None:
    found = plan.genes.targets[block]
    per_gene = found.values.sum(axis=1)
    ax.hist(per_gene, 40, color=_GREY)
    ax.set(xlabel=f"{BLOCKS[block].title} per gene", ylabel="genes")
    ax.set_title(f"Block {block}: {len(found.names):,} columns, genes without any: {(per_gene == 0).sum():,}")
