"""One way to every dataset: look at it, choose the window, read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from genexp.config import DataConfig, DatasetConfig, DemoConfig, ModelConfig
from genexp.console import progress
from genexp.dataset.description import DatasetDescription
from genexp.dataset.genes import Dataset
from genexp.errors import UserError


@dataclass(frozen=True)
class Source:
    """A dataset that was looked at but not read."""

    description: DatasetDescription
    config: DatasetConfig | DemoConfig
    files: Any = None


def inspect(config: DatasetConfig | DemoConfig, blocks: str) -> Source:
    """Look at a dataset: its layout, sizes and blocks; fast, and reads no gene.

    Raises
    ------
    UserError
        If it is not there, is not a dataset, or lacks one of the blocks.
    """
    if isinstance(config, DemoConfig):
        from genexp.dataset.demo import demo_info

        return Source(demo_info(config.genes), config)
    from genexp.dataset.inspection import inspect_files

    files = inspect_files(config.root, layout=config.layout, fold=config.fold, tss=config.tss, need=blocks)
    return Source(files.description, config, files)


def check_inputs(trained_on: Mapping[str, Any], blocks: str, info: DatasetDescription, do: str) -> None:
    """Refuse a dataset whose promoters or features are not of the kind and width that a model was trained on.

    Parameters
    ----------
    trained_on
        What environment.json says of the dataset of training: promoter, widths, and of embedded promoters their size.
    blocks
        Those that the model reads.
    info
        The other dataset.
    do
        What the user can do about it.
    """
    kinds = {"bases": "bases (one-hot or tokens)", "embedded": "promoters that come embedded"}
    differ: list[tuple[str, str | None, str | None]] = []
    if "P" in blocks:
        promoter = trained_on.get("promoter", info.promoter)
        differ.append(("promoters", kinds.get(str(promoter)), kinds.get(str(info.promoter))))
        if promoter == info.promoter == "embedded" and trained_on.get("embed_dim"):
            size = _chunks_in_words(trained_on["promoter_length"], trained_on["embed_dim"])
            differ.append(("promoters", size, _chunks_in_words(info.promoter_length, info.embed_dim)))
    for block, width in trained_on.get("widths", {}).items():
        differ.append((f"block {block}", f"{width:,} features", f"{info.widths.get(block, 0):,} features"))
    for what, wanted, found in differ:
        if wanted != found:
            raise UserError(
                "the model cannot read this dataset",
                where=f"{what} of {info.source}",
                expected=wanted,
                received=found,
                do=do,
            )


def _chunks_in_words(chunks: int | None, numbers: int | None) -> str:
    return f"{chunks or 0:,} chunks of {numbers or 0:,} numbers"


def choose_window(
    data: DataConfig, model: ModelConfig, info: DatasetDescription
) -> tuple[tuple[int, int] | None, str | None]:
    """Return the window that the model sees, and a sentence where it is not just what was asked for.

    A window that is given must fit. Otherwise it is the model's published window around the TSS, clipped to the
    promoters and, at its upstream end, to a length that the model can cut into equal parts.
    """
    if "P" not in data.name or info.promoter != "bases":
        return None, None
    length, tss = info.promoter_length, info.tss
    if length is None or tss is None:
        raise TypeError(f"a dataset of bases without length or TSS: {info}")
    if data.window is not None:
        left, right = data.window
        if right > length:
            raise UserError(
                "the window does not fit the promoters",
                where="data.window",
                expected=f"[left, right) within [0, {length}], the promoters of {info.source}",
                received=data.window,
                do="change data.window, or leave it out for the model's published window around the TSS",
            )
        return (left, right), None
    wanted = (0, length) if model.window is None else (tss + model.window[0], tss + model.window[1])
    left, right = max(wanted[0], 0), min(wanted[1], length)
    if 0 < right - left < model.multiple():
        raise UserError(
            "the window is shorter than the parts that the model cuts it into",
            where="data.window",
            expected=f"at least {model.multiple():,} nt",
            received=f"[{left}, {right}), {right - left:,} nt of the promoters of {info.source}",
            do="give a longer data.window=[left,right), or smaller parts",
        )
    left += (right - left) % model.multiple()
    if right <= left:
        raise UserError(
            "the model's published window lies outside the promoters",
            where="model.window",
            expected=f"a slice of [0, {length}) around the TSS at {tss}",
            received=f"{list(wanted)} in promoter coordinates",
            do="give data.window=[left,right)",
        )
    if (left, right) == wanted:
        return (left, right), None
    reasons = []
    if wanted[0] < 0 or wanted[1] > length:
        reasons.append(f"the promoters have {length:,} nt, with the TSS at {tss:,}")
    if left > max(wanted[0], 0):
        reasons.append(f"it is cut into parts of {model.multiple():,} nt")
    return (left, right), f"the window [{wanted[0]}, {wanted[1]}) is clipped to [{left}, {right}): {'; '.join(reasons)}"


def load(source: Source, blocks: str, window: tuple[int, int] | None) -> Dataset:
    """Read the genes: only the blocks and the window that are needed."""
    config = source.config
    if isinstance(config, DemoConfig):
        from genexp.dataset.demo import load_demo

        return load_demo(config.genes, config.seed, blocks, window)
    from genexp.dataset.reading import load_files

    with progress("reading genes", sum(source.description.genes.values()), "genes") as done:
        return load_files(
            source.files,
            blocks,
            window,
            drop_ambiguous=config.drop_ambiguous,
            shared_genes=config.shared_genes,
            progress=lambda genes, _: done(genes),
        )
