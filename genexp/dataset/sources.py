"""One way to every dataset: look at it, choose the window, read it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from genexp.blocks import PROMOTER
from genexp.dataset.alignment import converted
from genexp.dataset.config import DataConfig, DatasetConfig, DemoConfig
from genexp.dataset.description import DatasetDescription, Source
from genexp.dataset.genes import Dataset
from genexp.dataset.problems import wrong
from genexp.run import read_table

if TYPE_CHECKING:
    import pandas as pd

Progress = Callable[[int, int], None]


def ignore(done: int, total: int) -> None:
    """Report no progress."""


def inspect(config: DatasetConfig | DemoConfig, blocks: str) -> Source:
    """Look at a dataset that must have these blocks: layout, sizes, names; fast, and reads no gene."""
    if isinstance(config, DemoConfig):
        from genexp.dataset.demo import inspect_demo

        return inspect_demo(config, blocks)
    from genexp.dataset.inspection import inspect_files

    return inspect_files(config, blocks)


def load(source: Source, blocks: str, window: tuple[int, int] | None, progress: Progress = ignore) -> Dataset:
    """Read the genes that `inspect` found: only these blocks, and the slice of the promoter from `choose_window`.

    `progress` is called with the number of genes read and of all genes.
    """
    config = source.config
    if isinstance(config, DemoConfig):
        from genexp.dataset.demo import load_demo

        return load_demo(source, config, blocks, window)
    from genexp.dataset.reading import load_files

    return converted(load_files(source, config, blocks, window, progress), source.conversions)


def choose_window(
    data: DataConfig,
    published: Sequence[int] | None,
    parts: int,
    found: DatasetDescription,
    shorter: str = "lower model.chunk or model.parts, or set model=legnet",
) -> tuple[tuple[int, int] | None, str | None]:
    """Return the window that a model sees, and a sentence where it is not just what was asked for.

    A window that is given must fit. Otherwise it is the `published` window around the TSS (or the whole promoter, as it
    is without a TSS), clipped to the promoters and, at its upstream end, to a length in nt that `parts` divides.
    `shorter` is the hint where `parts` is longer than the promoters.
    """
    length, tss, given = found.promoter_length, found.tss, data.window
    if PROMOTER not in data.name or found.promoter is None:
        return None, None
    if length is None or found.promoter == "embedded":
        if given is not None:
            what, hint = "a window cannot be cut from precomputed promoter embeddings", "leave data.window out"
            raise wrong(what, f"data.window, {found.source}", None, given, hint)
        return None, None
    whole = published is None or tss is None
    left, right = wanted = tuple(given or ((0, length) if whole else ((tss or 0) + edge for edge in published or ())))
    if given is not None:
        if not left < right <= length:
            expected = f"[left, right) with left < right <= {length:,}, the promoter length of {found.source}"
            what, hint = "the window does not fit the promoters, or is empty", "change data.window, or leave it out"
            raise wrong(what, "data.window", expected, given, hint)
        return (left, right), None
    left, right = max(left, 0), min(right, length)
    if right <= left:
        what, hint = "the model's published window lies outside the promoters", "give data.window=[left,right)"
        raise wrong(what, "model.window", f"a slice of [0, {length}) around the TSS at {tss}", list(wanted), hint)
    if right - left < parts:
        what = "the window is shorter than the parts that the model cuts it into"
        hint = f"give a longer data.window, {shorter}"
        raise wrong(what, "data.window", f"at least {parts:,} nt", f"[{left}, {right}) of {found.source}", hint)
    reasons = [] if (left, right) == wanted else [f"the promoters have {length:,} nt, with the TSS at {tss:,}"]
    unplaced = f"the sequences have no TSS: the window is all of them, [0, {length:,})"
    if (right - left) % parts:
        left += (right - left) % parts
        reasons.append(f"it is cut into parts of {parts:,} nt")
    clipped = f"the window [{wanted[0]}, {wanted[1]}) is clipped to [{left}, {right}): {'; '.join(reasons)}"
    sentences = [unplaced] * (tss is None and published is not None) + [clipped] * bool(reasons)
    return (left, right), "; ".join(sentences) or None


def gene_table(described: DatasetDescription) -> pd.DataFrame:
    """Return names and chromosomes of the genes, by gene, as far as genes.tsv of the dataset has them."""
    import pandas as pd

    path = Path(described.source) / "genes.tsv"
    if not path.is_file():
        return pd.DataFrame(index=pd.Index([], name="gene"))
    found = read_table(path, None, "\t").rename(columns={"Name": "gene_name"})
    if "gene" not in found:  # somebody else's table
        return pd.DataFrame(index=pd.Index([], name="gene"))
    wanted = [column for column in ("gene_name", "chromosome") if column in found]
    return found.drop_duplicates("gene").set_index("gene")[wanted]
