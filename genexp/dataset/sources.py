"""One way to every dataset: look at it, choose the window, read it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from genexp.blocks import BLOCKS, PROMOTER
from genexp.dataset.config import DatasetConfig, DemoConfig
from genexp.dataset.description import DatasetDescription
from genexp.dataset.genes import Dataset
from genexp.errors import UserError
from genexp.memory import check_size

if TYPE_CHECKING:
    from genexp.dataset.inspection import FileSet

#: Bytes that simulating one gene takes at most, beside its promoter.
DEMO_GENE_BYTES = 4000


class WindowModel(Protocol):
    """What the choice of the window needs of a model's config."""

    @property
    def window(self) -> list[int] | None:
        """The published window, relative to the TSS; None for the whole promoter."""

    def multiple(self) -> int:
        """Return the length in nt that must divide the window."""


class WindowData(Protocol):
    """What the choice of the window needs of the ``data`` group."""

    @property
    def name(self) -> str:
        """Letters of the blocks."""

    @property
    def window(self) -> list[int] | None:
        """The window asked for, in promoter coordinates."""


@dataclass(frozen=True)
class Source:
    """A dataset that was inspected but not read."""

    description: DatasetDescription
    config: DatasetConfig | DemoConfig
    files: FileSet | None = None


def inspect(config: DatasetConfig | DemoConfig, blocks: str) -> Source:
    """Look at a dataset: its layout, sizes and blocks; fast, and reads no gene.

    Raises
    ------
    UserError
        If it is not there, is not a dataset, or lacks one of the blocks.
    """
    if isinstance(config, DemoConfig):
        from genexp.dataset.demo import demo_info

        found = demo_info(config.genes)
        size = config.genes * (DEMO_GENE_BYTES + (found.promoter_length or 0) * (PROMOTER in blocks))
        check_size(size, f"dataset.genes={config.genes}", "set a smaller dataset.genes")
        return Source(found, config)
    from genexp.dataset.inspection import inspect_files

    files = inspect_files(config.root, layout=config.layout, fold=config.fold, tss=config.tss, need=blocks)
    return Source(files.description, config, files)


def load(
    source: Source,
    blocks: str,
    window: tuple[int, int] | None,
    progress: Callable[[int, int], None] | None = None,
) -> Dataset:
    """Read the genes: only the blocks and the window that are needed.

    Parameters
    ----------
    source
        What `inspect` found.
    blocks, window
        Letters of the blocks, and the slice of the promoter from `choose_window`.
    progress
        Called with the number of genes read and of all genes.
    """
    config = source.config
    if isinstance(config, DemoConfig):
        from genexp.dataset.demo import load_demo

        return load_demo(config.genes, config.seed, blocks, window)
    from genexp.dataset.reading import load_files

    if source.files is None:
        raise TypeError(f"files that were not inspected: {source}")
    return load_files(
        source.files,
        blocks,
        window,
        drop_ambiguous=config.drop_ambiguous,
        shared_genes=config.shared_genes,
        stream=config.stream,
        progress=progress,
    )


def check_inputs(trained_on: DatasetDescription, blocks: str, found: DatasetDescription, hint: str) -> None:
    """Refuse a dataset whose promoters or features are not of the kind and width that a model was trained on.

    Parameters
    ----------
    trained_on
        The dataset of training.
    blocks
        Those that the model reads.
    found
        The other dataset.
    hint
        What the user can do about it.
    """
    for block in blocks:
        expected, received = (_in_words(block, description) for description in (trained_on, found))
        if expected != received:
            where = f"{BLOCKS[block].title} of {found.source}"
            what = "the model cannot read this dataset"
            raise UserError(what, where=where, expected=expected, received=received, hint=hint)


def _in_words(block: str, description: DatasetDescription) -> str:
    """Return the kind and size of a block, as far as a model depends on it."""
    if block != PROMOTER:
        return f"{description.widths.get(block, 0):,} features"
    if description.promoter == "embedded":
        return f"{description.promoter_length:,} chunks of {description.embed_dim:,} numbers (precomputed embeddings)"
    return "no promoters" if description.promoter is None else "bases (one-hot or tokens)"


def choose_window(
    data: WindowData, model: WindowModel, found: DatasetDescription
) -> tuple[tuple[int, int] | None, str | None]:
    """Return the window that the model sees, and a sentence where it is not just what was asked for.

    A window that is given must fit. Otherwise it is the model's published window around the TSS, clipped to the
    promoters and, at its upstream end, to a length that the model can cut into equal parts.
    """
    if PROMOTER not in data.name or found.promoter != "bases":
        return None, None
    length, tss = found.promoter_length, found.tss
    if length is None or tss is None:
        raise TypeError(f"a dataset of bases without length or TSS: {found}")
    if data.window is not None:
        left, right = data.window
        if right > length:
            raise UserError(
                "the window does not fit the promoters",
                where="data.window",
                expected=f"[left, right) within [0, {length}], the promoters of {found.source}",
                received=data.window,
                hint="change data.window, or leave it out for the model's published window around the TSS",
            )
        return (left, right), None
    wanted = (0, length) if model.window is None else (tss + model.window[0], tss + model.window[1])
    left, right = max(wanted[0], 0), min(wanted[1], length)
    parts = model.multiple()
    if right - left < max(parts, 1):
        short = right > left
        raise UserError(
            "the window is shorter than the parts that the model cuts it into"
            if short
            else "the model's published window lies outside the promoters",
            where="data.window" if short else "model.window",
            expected=f"at least {parts:,} nt" if short else f"a slice of [0, {length}) around the TSS at {tss}",
            received=f"[{left}, {right}), {right - left:,} nt" if short else f"{list(wanted)} in promoter coordinates",
            hint="give a longer data.window=[left,right), or smaller parts"
            if short
            else "give data.window=[left,right)",
        )
    left += (right - left) % parts
    if (left, right) == wanted:
        return (left, right), None
    reasons = []
    if wanted[0] < 0 or wanted[1] > length:
        reasons.append(f"the promoters have {length:,} nt, with the TSS at {tss:,}")
    if left > max(wanted[0], 0):
        reasons.append(f"it is cut into parts of {parts:,} nt")
    return (left, right), f"the window [{wanted[0]}, {wanted[1]}) is clipped to [{left}, {right}): {'; '.join(reasons)}"
