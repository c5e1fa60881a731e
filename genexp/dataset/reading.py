"""Reading genes from HDF5 files into memory: only the blocks and the window that are needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from threading import Lock

import numpy as np

from genexp.blocks import PROMOTER, feature_blocks, in_order
from genexp.dataset.checks import (
    LOOKED_AT,
    ambiguous_sentence,
    check_bases,
    check_finite,
    check_labels,
    duplicate_sentence,
    few_genes_sentence,
    settle_shared_genes,
    standardised_sentences,
)
from genexp.dataset.genes import Dataset, Split
from genexp.dataset.hdf5 import Location, open_array, read_tiles
from genexp.dataset.inspection import ONE_HOT, FileSet
from genexp.dataset.layouts import GENE, LABEL, named
from genexp.errors import UserError
from genexp.features.tokens import N_TOKEN, rows_with_n, tokens_from_one_hot
from genexp.memory import allocate, available, check_size, in_words

Progress = Callable[[int], None]


#: Share of the memory above which the promoters of a dataset are streamed from disk.
STREAM_ABOVE = 0.5


def load_files(
    fileset: FileSet,
    blocks: str,
    window: tuple[int, int] | None,
    *,
    drop_ambiguous: bool = False,
    shared_genes: str = "error",
    stream: bool | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Dataset:
    """Read the genes of a dataset.

    Parameters
    ----------
    fileset
        What `inspect_files` found.
    blocks
        Letters of the blocks to read.
    window
        Slice [left, right) of the promoter to read; None for all of it. None for embedded promoters.
    drop_ambiguous
        Drop the genes with N in the window, in every split; the bases are looked at even if `blocks` has no P.
    shared_genes
        What to do with genes that are in two splits: ``"error"``; ``"drop"`` them from training, and from validation
        if they are in the test set; ``"keep"`` them.
    stream
        Keep the promoters in a memory-mapped temporary file; None: where they exceed half of the memory. The genes,
        their order and all results are the same either way.
    progress
        Called with the number of genes read and of all genes.

    Raises
    ------
    UserError
        For a block or window that the dataset does not have, for wrong values, and for genes that do not fit.
    """
    description = fileset.description
    _check_blocks(fileset, blocks)
    looked_at = _check_window(
        fileset, window, needed=PROMOTER in blocks or drop_ambiguous, drop_ambiguous=drop_ambiguous
    )
    on_disk = _streams(fileset, blocks, looked_at, stream)
    total = sum(description.genes.values())
    splits: dict[str, Split] = {}
    ambiguous: dict[str, np.ndarray] = {}
    done = 0
    for name in fileset.arrays:
        report = _counter(progress, done, total)
        splits[name], ambiguous[name] = _read_split(fileset, name, blocks, looked_at, report, on_disk=on_disk)
        if drop_ambiguous and ambiguous[name].any():
            splits[name] = splits[name].take(~ambiguous[name])
        done += description.genes[name]
        report(description.genes[name])
    warnings = list(fileset.warnings)
    if on_disk and stream is None:
        warnings.append(f"The promoters exceed half of the memory ({in_words(available())}): they stream from disk.")
    with_n = {name: int(rows.sum()) for name, rows in ambiguous.items()}
    warnings += ambiguous_sentence(with_n, looked_at, drop_ambiguous)
    warnings += duplicate_sentence(splits)
    splits, sentences = settle_shared_genes(splits, shared_genes, description.source)
    for name, split in splits.items():
        check_labels(split.labels, name, fileset.arrays[name][LABEL])
    warnings += few_genes_sentence(splits)
    warnings += sentences + standardised_sentences(splits["train"], description.feature_names)
    loaded = description.model_copy(update={"window": looked_at if PROMOTER in blocks else None})
    return Dataset(loaded, _one_type_per_block(splits), tuple(warnings))


def _streams(fileset: FileSet, blocks: str, window: tuple[int, int] | None, stream: bool | None) -> bool:
    """Return whether the promoters go to disk; refuse what fits neither there nor into memory."""
    description = fileset.description
    genes = sum(description.genes.values())
    features = genes * sum(4 * width for block, width in description.widths.items() if block in blocks)
    promoters = 0
    if window is not None:
        promoters = genes * (window[1] - window[0])
    elif PROMOTER in blocks:
        promoters = genes * 4 * (description.promoter_length or 0) * (description.embed_dim or 0)
    on_disk = bool(promoters) and (features + promoters > STREAM_ABOVE * available() if stream is None else stream)
    hint = "use fewer blocks or genes, or a machine with more memory"
    if promoters and not on_disk:
        hint = "set dataset.stream=true, or choose a shorter data.window"
    check_size(features + (0 if on_disk else promoters), description.source, hint)
    return on_disk


def _counter(progress: Callable[[int, int], None] | None, done: int, total: int) -> Progress:
    """Return a callback that takes the genes done in one split and reports those done in all."""
    return (lambda genes: progress(done + genes, total)) if progress else (lambda genes: None)


def _check_blocks(fileset: FileSet, blocks: str) -> None:
    """Check that the dataset has the blocks."""
    description = fileset.description
    lacking = [block for block in in_order(blocks) if block not in description.blocks]
    if lacking:
        better = [layout for layout, has in fileset.layouts.items() if set(blocks) <= set(has)]
        raise UserError(
            f"the {description.layout} set has no block {named(lacking)}",
            where=description.source,
            expected=f"the blocks of data={blocks}",
            received=fileset.sets or " ".join(description.blocks),
            hint=f"set dataset.layout={better[0]}" if better else "choose data=... among the blocks that are there",
        )


def _check_window(
    fileset: FileSet, window: tuple[int, int] | None, *, needed: bool, drop_ambiguous: bool
) -> tuple[int, int] | None:
    """Return the slice of the promoter to look at, or None where there are no bases to look at."""
    found = fileset.description
    if drop_ambiguous and found.promoter != "bases":
        raise UserError(
            "genes with N cannot be found: the dataset has no bases",
            where=f"dataset.drop_ambiguous; {found.source}, {found.layout} set",
            hint="set dataset.drop_ambiguous=false, or use a dataset with bases",
        )
    if not needed:
        return None
    if found.promoter == "embedded":
        if window is None:
            return None
        what = "a window cannot be cut from precomputed promoter embeddings"
        hint = "leave data.window out, or use a dataset with bases"
        raise UserError(what, where="data.window", received=list(window), hint=hint)
    length = found.promoter_length or 0
    left, right = (0, length) if window is None else window
    if not 0 <= left < right <= length:
        raise UserError(
            "the window lies outside the promoter, or is empty",
            where="data.window",
            expected=f"[left,right) with 0 <= left < right <= {length:,}, the promoter length in {found.source}",
            received=[left, right],
            hint="give a slice in promoter coordinates, or leave data.window out",
        )
    return left, right


def _read_split(
    fileset: FileSet, name: str, blocks: str, window: tuple[int, int] | None, report: Progress, *, on_disk: bool
) -> tuple[Split, np.ndarray]:
    """Read one split; also tell which of its genes have N in the window."""
    arrays, description = fileset.arrays[name], fileset.description
    size = description.genes[name]
    genes = read_names(arrays[GENE]) if GENE in arrays else np.array([f"{name}_{row}" for row in range(size)])
    labels = _read_floats(arrays[LABEL], genes, None).reshape(-1)
    values: dict[str, np.ndarray] = {}
    # The promoters come last: they are largest, and what reading the others takes is free again by then.
    for block in (block for block in feature_blocks() if block in blocks):
        values[block] = _read_floats(arrays[block], genes, description.feature_names.get(block))
        if ((values[block] == 0) | (values[block] == 1)).all():
            values[block] = values[block].astype(np.uint8)
    ambiguous = np.zeros(size, bool)
    if window is not None:
        tokens, ambiguous = _read_tokens(arrays[PROMOTER], genes, window, report, on_disk=on_disk)
        if ONE_HOT in arrays:
            _check_same_bases(arrays, tokens, genes, window, description.promoter_length)
        check_bases(tokens, arrays[PROMOTER])
        values[PROMOTER] = tokens
    elif PROMOTER in blocks:
        values[PROMOTER] = _read_floats(arrays[PROMOTER], genes, None, report, on_disk=on_disk)
        looked_at = values[PROMOTER][:LOOKED_AT]
        if looked_at.any() and ((looked_at == 0) | (looked_at == 1)).all():
            raise UserError(
                "the promoters have the shape of embeddings, but hold only 0 and 1",
                where=arrays[PROMOTER],
                expected="(genes, length, 4) one-hot bases, or vectors of real numbers",
                received=values[PROMOTER].shape,
                hint="write one-hot bases with the four channels ACGT last",
            )
    return Split(genes, labels, {block: values[block] for block in in_order(blocks)}), ambiguous


def read_names(location: Location) -> np.ndarray:
    """Read gene names, whatever kind of string (or number) they are stored as."""
    with open_array(location) as array:
        raw = array[()].reshape(-1)
    names = [name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name) for name in raw.tolist()]
    return np.array([name.strip() for name in names])


def _read_floats(
    location: Location,
    genes: np.ndarray,
    columns: tuple[str, ...] | None,
    report: Progress | None = None,
    *,
    on_disk: bool = False,
) -> np.ndarray:
    """Read an array as float32 and check that all of it is finite."""
    with open_array(location) as array:
        if array.ndim == 1:
            values = _to_float32(array[()])
        else:
            values = allocate(array.shape, np.float32, on_disk=on_disk)

            def store(rows: slice, cols: slice, tile: np.ndarray) -> None:
                values[rows, cols] = _to_float32(tile)

            read_tiles(array, slice(0, array.shape[1]), store, report)
    check_finite(values, location, genes, columns)
    return values


def _to_float32(values: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # becomes inf, which is reported with its gene
        return values.astype(np.float32)


def _read_tokens(
    location: Location, genes: np.ndarray, window: tuple[int, int], report: Progress, *, on_disk: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Read the window of every promoter as (n, window) tokens, and tell which genes have N in it."""
    tokens = allocate((len(genes), window[1] - window[0]), np.uint8, on_disk=on_disk)
    malformed, ambiguous = np.zeros((2, len(genes)), bool)
    lock = Lock()

    def store(rows: slice, columns: slice, tile: np.ndarray) -> None:
        if tile.ndim == 3:
            tile_tokens, wrong = tokens_from_one_hot(tile)
        else:
            tile_tokens, wrong = _checked_tokens(tile)
        tokens[rows, columns] = tile_tokens
        has_n = rows_with_n(tile_tokens)
        with lock:  # tiles side by side share their rows
            malformed[rows] |= wrong
            ambiguous[rows] |= has_n

    with open_array(location) as array:
        one_hot = array.ndim == 3
        read_tiles(array, slice(*window), store, report)
    if malformed.any():
        row = int(np.flatnonzero(malformed)[0])
        raise UserError(
            f"{malformed.sum():,} promoters hold positions that are not " + ("one-hot" if one_hot else "tokens"),
            where=f"{location}, row {row} (gene {genes[row]})",
            expected="one channel 1 and the others 0, or all 0 for N" if one_hot else "A=0 C=1 G=2 T=3 N=4",
            received=_first_wrong(location, row, window),
            hint="write the bases in that way",
        )
    return tokens, ambiguous


def _checked_tokens(raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return tokens as uint8, and the rows with a value that is none."""
    if raw.dtype == np.uint8:
        return raw, np.logical_or.reduce(raw > N_TOKEN, axis=1)
    with np.errstate(invalid="ignore"):  # NaN is no token, whatever it is cast to
        tokens = raw.astype(np.uint8)
    wrong = (tokens != raw) | (tokens > N_TOKEN)
    return tokens, np.logical_or.reduce(wrong, axis=1)


def _first_wrong(location: Location, row: int, window: tuple[int, int]) -> str:
    """Describe the first position of a promoter that is not a base."""
    with open_array(location) as array:
        values = array[row, slice(*window)]
    # Here positions take the place of genes.
    _, wrong = tokens_from_one_hot(values[:, None]) if values.ndim == 2 else _checked_tokens(values[:, None])
    first = int(np.flatnonzero(wrong)[0])
    return f"{values[first].tolist()} at position {first + window[0]:,}"


def _check_same_bases(
    arrays: Mapping[str, Location], tokens: np.ndarray, genes: np.ndarray, window: tuple[int, int], length: int | None
) -> None:
    """Check a few genes of a token file against the one-hot bases of the set it goes with."""
    with open_array(arrays[ONE_HOT]) as array:
        if array.shape[1:] != (length, 4):
            return
        for row in sorted({0, len(genes) // 2, len(genes) - 1}):
            bases, _ = tokens_from_one_hot(array[row : row + 1, slice(*window)])
            if (bases[0] != tokens[row]).any():
                position = int(np.flatnonzero(bases[0] != tokens[row])[0])
                raise UserError(
                    "a token file and the set beside it hold different promoters",
                    where=f"{arrays[PROMOTER]}; {arrays[ONE_HOT]}; row {row} (gene {genes[row]})",
                    expected=f"token {bases[0][position]} at position {position + window[0]:,}",
                    received=f"token {tokens[row][position]}",
                    hint="use files that were written together, with A=0 C=1 G=2 T=3 N=4 and genes in the same order",
                )


def _one_type_per_block(splits: Mapping[str, Split]) -> dict[str, Split]:
    """Make a block float32 in every split where it is not 0 and 1 in all of them."""
    mixed = {
        block for block in splits["train"].blocks if len({split.blocks[block].dtype for split in splits.values()}) > 1
    }
    return {
        name: replace(split, blocks={b: x.astype(np.float32) if b in mixed else x for b, x in split.blocks.items()})
        for name, split in splits.items()
    }


def describe(dataset: Dataset | FileSet) -> str:
    """Return one line that describes what was found."""
    found = dataset.description
    fold = f", fold {found.fold}" if found.fold is not None else ""
    counts = " / ".join(f"{genes:,}" for genes in found.genes.values())
    parts = [f"{found.layout} layout in {Path(found.source)}{fold}: {counts} genes"]
    if found.promoter == "bases":
        parts.append(f"promoter {found.promoter_length:,} nt (TSS at {found.tss:,})")
    elif found.promoter == "embedded":
        parts.append(f"promoter embedded in {found.promoter_length:,} chunks")
    blocks = [f"{block}({found.widths[block]:,})" if block in found.widths else block for block in found.blocks]
    parts.append(f"blocks {' '.join(blocks)}")
    if isinstance(dataset, Dataset) and dataset.window is not None:
        with_n = sum(int(rows_with_n(split.blocks[PROMOTER]).sum()) for split in dataset.splits.values())
        parts.append(f"{with_n:,} gene{'' if with_n == 1 else 's'} with N")
    return ", ".join(parts)
