"""Reading genes from HDF5 files into memory: only the blocks and the window that are needed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from threading import Lock

import numpy as np
from rich.filesize import decimal

from genexp.blocks import PROMOTER, feature_blocks, in_order
from genexp.dataset import checks
from genexp.dataset.config import DatasetConfig
from genexp.dataset.description import Source
from genexp.dataset.folds import Marked, refold
from genexp.dataset.genes import Dataset, Split
from genexp.dataset.hdf5 import StoredArray, open_array, read_column, read_names, read_tiles
from genexp.dataset.inspection import ONE_HOT
from genexp.dataset.layouts import GENE, LABEL
from genexp.dataset.problems import FOR_BASES, unlike, wrong
from genexp.features.tokens import N_TOKEN, numbering_of, rows_with_n, tokens_from_one_hot
from genexp.memory import allocate, available, check_size

Progress = Callable[[int], None]
Window = tuple[int, int]

#: Share of the memory above which the promoters of a dataset are streamed from disk.
STREAM_ABOVE = 0.5


def load_files(
    source: Source, config: DatasetConfig, blocks: str, window: Window | None, progress: Callable[[int, int], None]
) -> Dataset:
    """Read the genes; see `genexp.dataset.sources.load`."""
    found = source.description
    looked_at = None
    if found.promoter == "bases" and found.promoter_length and (PROMOTER in blocks or config.drop_ambiguous):
        looked_at = window or (0, found.promoter_length)
    on_disk = _streams(source, blocks, looked_at, config.stream)
    read: dict[str, Marked] = {}
    splits: dict[str, Split] = {}
    with_n: dict[str, int] = {}
    without_label: dict[str, int] = {}
    done, total = 0, genes_in(source)

    def report(rows: int) -> None:
        progress(done + rows, total)

    for name in source.arrays:
        read[name] = _read_split(source, name, blocks, looked_at, report, on_disk=on_disk)
        done += genes_in(source, name)
        report(0)
    if source.folds and config.fold:
        read = refold(read, source.folds, config.fold)
    for name, (split, ambiguous) in read.items():
        splits[name] = split
        lost = np.isnan(splits[name].labels).all(axis=1)  # of the labels that were chosen
        without_label[name], with_n[name] = int(lost.sum()), int((ambiguous & ~lost).sum())
        if config.drop_ambiguous:
            lost |= ambiguous
        if lost.any():
            splits[name] = split.take(~lost)
    kept, sentences = checks.settle_shared_genes(splits, config.shared_genes, found.source)
    for name, split in kept.items():
        checks.check_labels(split.labels, name, source.arrays[name][LABEL], found.labels)
    warnings = [*source.warnings, *checks.unlabelled_sentence(without_label, found.labels)]
    warnings += [*checks.ambiguous_sentence(with_n, looked_at, config.drop_ambiguous), *sentences]
    if on_disk and config.stream is None:
        what = "The promoters and their k-mer counts" if source.encoded else "The promoters"
        warnings.append(f"{what} exceed half of the memory ({decimal(available())}): they stream from disk.")
    warnings += checks.oddities(kept, found.feature_names, found.labels)
    loaded = found.model_copy(update={"window": looked_at if PROMOTER in blocks else None})
    return Dataset(loaded, _one_type_per_block(kept), tuple(warnings))


def _streams(source: Source, blocks: str, window: Window | None, stream: bool | None) -> bool:
    """Return whether the promoters go to disk; refuse what fits neither there nor into memory."""
    found = source.description
    genes = genes_in(source) * (2 if source.folds else 1)  # which are copied into other splits
    features = genes * sum(4 * width for block, width in found.widths.items() if block in blocks)
    floats = 4 * (found.promoter_length or 0) * (found.embed_dim or 0) if PROMOTER in blocks else 0
    encoded = sum(found.genes[split] * size for split, size in source.encoded.items())
    promoters = genes * (window[1] - window[0] if window else floats) + encoded
    on_disk = bool(promoters) and (features + promoters > STREAM_ABOVE * available() if stream is None else stream)
    fewer, shorter = "use fewer blocks or genes, or a machine with more memory", "choose a shorter data.window"
    shorter += " or a smaller model.k" if encoded else ""
    hint = f"set dataset.stream=true, or {shorter}" if promoters and not on_disk else fewer
    columns = sum(map(_column_bytes, source.arrays.values()))
    check_size(columns + features + (0 if on_disk else promoters), found.source, hint)
    return on_disk


def genes_in(source: Source, split: str | None = None) -> int:
    """Return how many genes are stored, of one split or in all; a table of folds may leave some out."""
    return sum(arrays[LABEL].shape[0] for name, arrays in source.arrays.items() if split in (None, name))


def _column_bytes(arrays: Mapping[str, StoredArray]) -> int:
    """Return the bytes that labels and gene names take: as stored, and then as float32, and as text of NumPy's."""
    labels, names = arrays[LABEL], arrays.get(GENE)
    texts = 6 * math.prod(names.shape) * names.itemsize if names else 0
    return math.prod(labels.shape) * (labels.itemsize + 4) + texts


def _read_split(
    source: Source, name: str, blocks: str, window: Window | None, report: Progress, *, on_disk: bool
) -> tuple[Split, np.ndarray]:
    """Read one split; also return which of its genes have N in the window."""
    arrays, size = source.arrays[name], genes_in(source, name)
    genes = read_names(arrays[GENE]) if GENE in arrays else np.array([f"{name}_{row}" for row in range(size)])
    labels = _read_labels(source, name, genes)
    values: dict[str, np.ndarray] = {}
    # The promoters come last: they are largest, and what reading the others takes is free again by then.
    for block in (block for block in feature_blocks() if block in blocks):
        names, columns = source.description.feature_names.get(block, ()), source.columns.get(block)
        values[block] = _read_floats(arrays[block], genes, names, None, columns)
        if _zeros_and_ones(values[block]):
            values[block] = values[block].astype(np.uint8)
    ambiguous = np.zeros(size, bool)
    if window is not None:
        values[PROMOTER], ambiguous = _read_tokens(arrays[PROMOTER], genes, window, report, on_disk=on_disk)
        _check_same_bases(arrays, values[PROMOTER], genes, window)
        checks.check_bases(values[PROMOTER], arrays[PROMOTER])
    elif PROMOTER in blocks:
        values[PROMOTER] = _read_floats(arrays[PROMOTER], genes, (), report, None, on_disk=on_disk)
        looked_at = values[PROMOTER][: checks.LOOKED_AT]
        if looked_at.any() and _zeros_and_ones(looked_at):
            what, shape = "the promoters have the shape of embeddings, but hold only 0 and 1", values[PROMOTER].shape
            expected = "(genes, length, 4) one-hot bases, or vectors of real numbers"
            raise wrong(what, arrays[PROMOTER], expected, shape, "write the four channels ACGT last")
    return Split(genes, labels, {block: values[block] for block in in_order(blocks)}), ambiguous


def _zeros_and_ones(values: np.ndarray) -> bool:
    return bool(((values == 0) | (values == 1)).all())


def _read_labels(source: Source, split: str, genes: np.ndarray) -> np.ndarray:
    """Read the labels that were chosen as (n, labels) float32, after a check of all that the file has."""
    array, columns = source.arrays[split][LABEL], source.label_columns
    with np.errstate(over="ignore"):
        labels = read_column(array).reshape(len(genes), -1).astype(np.float32)
    names = source.description.labels if columns is None else [str(n) for n in range(labels.shape[1])]
    checks.check_values(labels, array, genes, names)
    return labels if columns is None else np.ascontiguousarray(labels[:, columns])


def _read_floats(
    array: StoredArray,
    genes: np.ndarray,
    names: Sequence[str],
    report: Progress | None,
    columns: Sequence[int] | None,
    *,
    on_disk: bool = False,
) -> np.ndarray:
    """Read an array as float32, or these columns of it, and check that all of it is finite."""
    values = allocate(array.shape, np.float32, on_disk=on_disk)

    def store(rows: slice, part: slice, tile: np.ndarray) -> None:
        with np.errstate(over="ignore"):  # becomes inf, which is reported with its gene
            values[rows, part] = tile

    with open_array(array) as stored:
        read_tiles(stored, slice(0, array.shape[1]), store, report)
    if columns is not None:
        values = np.take(values, columns, axis=1)
    checks.check_finite(values, array, genes, names)
    return values


def _read_tokens(
    array: StoredArray, genes: np.ndarray, window: Window, report: Progress, *, on_disk: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Read the window of every promoter as (n, window) uint8 tokens, and which genes have N in it."""
    tokens = allocate((len(genes), window[1] - window[0]), np.uint8, on_disk=on_disk)
    malformed, ambiguous = np.zeros((2, len(genes)), bool)
    lock = Lock()

    def store(rows: slice, columns: slice, tile: np.ndarray) -> None:
        encoded, wrong_rows = _encode(tile)
        tokens[rows, columns], has_n = encoded, rows_with_n(encoded)
        with lock:  # tiles side by side share their rows
            malformed[rows] |= wrong_rows
            ambiguous[rows] |= has_n

    with open_array(array) as stored:
        read_tiles(stored, slice(*window), store, report)
        if not malformed.any():
            return tokens, ambiguous
        row = int(malformed.argmax())
        values = stored[row, slice(*window)]
        numbering = numbering_of(stored[row : row + checks.LOOKED_AT, slice(*window)]) if values.ndim == 1 else None
    position = int(_encode(values[:, None])[1].argmax())  # here positions take the place of genes
    kind, expected = "tokens", FOR_BASES
    if values.ndim == 2:
        kind, expected = "one-hot", "one channel 1 and the others 0, or all 0 for N"
    what = f"{malformed.sum():,} promoters hold positions that are not {kind}"
    numbered = f", as if the bases were {numbering}" if numbering else ""
    where, received = f"{array}, row {row} (gene {genes[row]})", f"{values[position].tolist()} at position "
    raise wrong(what, where, expected, f"{received}{position + window[0]:,}{numbered}", "write the bases in that way")


def _encode(tile: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return one-hot bases or numbers as uint8 tokens, and the rows with a value that is none."""
    if tile.ndim == 3:
        return tokens_from_one_hot(tile)
    with np.errstate(invalid="ignore"):  # NaN is no token, whatever it is cast to
        tokens = tile.astype(np.uint8, copy=False)
    wrong_values = tokens > N_TOKEN
    if tokens is not tile:
        wrong_values |= tokens != tile
    return tokens, np.logical_or.reduce(wrong_values, axis=1)


def _check_same_bases(arrays: Mapping[str, StoredArray], tokens: np.ndarray, genes: np.ndarray, window: Window) -> None:
    """Check a few genes of a token file against the one-hot bases, if any, of the set it goes with."""
    own, other = arrays[PROMOTER], arrays.get(ONE_HOT)
    if other is None or other.shape[1:] != (own.shape[1], 4):
        return
    with open_array(other) as array:
        for row in sorted({0, len(genes) // 2, len(genes) - 1}):
            bases, _ = tokens_from_one_hot(array[row : row + 1, slice(*window)])
            if (bases[0] != tokens[row]).any():
                position = int((bases[0] != tokens[row]).argmax())
                what = "a token file and the set beside it hold different promoters"
                where = f"{own}; {other}; row {row} (gene {genes[row]})"
                expected = f"token {bases[0][position]} at position {position + window[0]:,}, {FOR_BASES}"
                raise unlike(what, where, expected, f"token {tokens[row][position]}")


def _one_type_per_block(splits: Mapping[str, Split]) -> dict[str, Split]:
    """Make a block float32 in every split where it is not 0 and 1 in all of them."""
    types = [{block: x.dtype for block, x in split.blocks.items()} for split in splits.values()]
    common = {block: np.result_type(*(each[block] for each in types)) for block in types[0]}
    return {
        name: replace(split, blocks={b: x.astype(common[b], copy=False) for b, x in split.blocks.items()})
        for name, split in splits.items()
    }
