"""One page that shows what is in a dataset."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from genexp.dataset.genes import SPLITS, Dataset
from genexp.features.tokens import ALPHABET
from genexp.files import write_atomically
from genexp.prepare.assemble import Plan
from genexp.prepare.gather import Bases
from genexp.prepare.ledger import Ledger

# Okabe and Ito's colours, which colour-blind readers tell apart.
_SPLIT_COLOURS = {"train": "#0072B2", "valid": "#E69F00", "test": "#D55E00"}
_BASE_COLOURS = {"A": "#009E73", "C": "#0072B2", "G": "#E69F00", "T": "#D55E00", "N": "#999999"}
_GREY = "#8a8a8a"
#: More chromosomes than this are scaffolds, mostly.
_CHROMOSOMES = 30

_STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
}

Draw = Callable[[Axes], None]


def draw_dataset(path: Path, title: str, dataset: Dataset, plan: Plan, bases: Bases, ledger: Ledger) -> None:
    """Draw genes at each step, labels, features, base composition, places and targets, as far as they are there.

    Parameters
    ----------
    path
        The PNG to write.
    dataset
        The only fold, or the first.
    """
    panels: list[Draw] = [lambda ax: _steps(ax, ledger), lambda ax: _labels(ax, dataset)]
    if bases.promoters is not None:
        panels.append(lambda ax: _composition(ax, bases))
    if bases.halflife is not None:
        panels.append(lambda ax: _features(ax, dataset))
    if plan.genes.chromosome is not None:
        panels.append(lambda ax: _places(ax, plan))
    panels += [
        lambda ax, block=block: _targets(ax, plan, block)  # type: ignore[misc]
        for block, found in plan.genes.targets.items()
        if found.values.dtype == np.uint8
    ]
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


def _labels(ax: Axes, dataset: Dataset) -> None:
    every = np.concatenate([split.labels for split in dataset.splits.values()])
    bins = np.linspace(every.min(), every.max(), 41).tolist()
    for name, split in dataset.splits.items():
        ax.hist(
            split.labels,
            bins,
            density=True,
            histtype="step",
            lw=1.6,
            color=_SPLIT_COLOURS[name],
            label=f"{name}, {len(split):,} genes",
        )
    ax.legend()
    ax.set(xlabel="label: log10 expression, standardised", ylabel="density")
    ax.set_title("Labels")


def _composition(ax: Axes, bases: Bases) -> None:
    if bases.promoters is None or bases.tss is None:
        return
    counts = bases.composition
    width = max(1, len(counts) // 200)
    whole = counts[: len(counts) // width * width].reshape(-1, width, len(ALPHABET)).sum(axis=1)
    parts = whole / np.maximum(whole.sum(axis=1, keepdims=True), 1)
    position = (np.arange(len(parts)) + 0.5) * width - bases.tss
    for token, base in enumerate(ALPHABET):
        ax.plot(position, parts[:, token], color=_BASE_COLOURS[base], label=base, lw=1.2)
    ax.axvline(0, color=_GREY, lw=0.8)
    ax.legend(ncols=5, loc="lower left", columnspacing=1, handlelength=1)
    ax.set(xlabel="position from the TSS (nt)", ylabel="part of the promoters", ylim=(0, None))
    ax.set_title(f"Bases along the promoter (means of {width} nt)")


def _features(ax: Axes, dataset: Dataset) -> None:
    names = dataset.description.feature_names["H"]
    for n, split in enumerate(SPLITS):
        values = dataset.splits[split].blocks["H"]
        low, middle, high = np.percentile(values, [5, 50, 95], axis=0)
        place = np.arange(len(names)) + (n - 1) * 0.22
        ax.errorbar(
            middle,
            place,
            xerr=[middle - low, high - middle],
            fmt="o",
            ms=4,
            lw=1.6,
            label=split,
            color=_SPLIT_COLOURS[split],
        )
    ax.set_yticks(range(len(names)), names)
    ax.invert_yaxis()
    ax.legend()
    ax.set_xlabel("standardised: median, 5% to 95%")
    ax.set_title("Half-life features")


def _places(ax: Axes, plan: Plan) -> None:
    chromosome = plan.genes.chromosome
    if chromosome is None:
        return
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
    ax.set(xlabel="factors that target a gene" if block == "T" else "microRNAs that target a gene", ylabel="genes")
    ax.set_title(f"Block {block}: {len(found.names):,} columns, genes without any: {(per_gene == 0).sum():,}")
