"""What a folder of HDF5 files holds: its layout, sizes, blocks and names, read without reading genes."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py

from genexp.blocks import BLOCKS, PROMOTER, feature_blocks
from genexp.dataset.description import DatasetDescription
from genexp.dataset.genes import SPLITS
from genexp.dataset.hdf5 import Location, open_file
from genexp.dataset.layouts import (
    GENE,
    LABEL,
    MARK,
    SPLIT_NAMES,
    VERSION,
    FoundSet,
    choose_set,
    find_key,
    find_sets,
    keys,
    list_sets,
    named,
)
from genexp.errors import UserError
from genexp.memory import available, in_words

#: Where the promoters of the set beside a token file lie, which must be the same.
ONE_HOT = "one_hot"

#: Bytes that one byte of a gzip file can hold at most, and a few more.
MOST_COMPRESSED = 1100

#: Bytes of a chunk that may be larger than its array.
LARGE_CHUNK = 64 << 20

TOGETHER = "use files that were written together"


@dataclass(frozen=True)
class FileSet:
    """A dataset on disk: what it holds, and where each array lies.

    Attributes
    ----------
    description
        What is known of the dataset.
    arrays
        By split, then by block letter, `LABEL`, `GENE` (missing without gene names) and `ONE_HOT`.
    sets
        Every set that was recognised in the folder, in words.
    layouts
        Blocks of each layout in the folder: ``{"xpresso": "PH", "xpresso_tf": "PHT"}``.
    warnings
        One sentence for each oddity.
    """

    description: DatasetDescription
    arrays: Mapping[str, Mapping[str, Location]]
    sets: str = ""
    layouts: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Array:
    """What a file says of one array."""

    location: Location
    shape: tuple[int, ...]
    kind: str


@dataclass(frozen=True)
class _SplitShape:
    """What the files say of one split."""

    arrays: dict[str, Location]
    genes: int
    widths: dict[str, int]
    promoter: str | None
    promoter_shape: tuple[int, ...]
    attributes: dict[str, Any]


def inspect_files(
    root: str | Path, *, layout: str = "auto", fold: int | None = None, tss: int | None = None, need: str = ""
) -> FileSet:
    """Look at a dataset: reads names, shapes, types and attributes only.

    Parameters
    ----------
    root
        Folder with the files.
    layout
        Name of a layout (`genexp.dataset.layouts.LAYOUTS`), or ``"auto"`` for the first one that has all blocks
        in `need`.
    fold
        Number of a cross-validation fold, for files such as ``3train.h5``.
    tss
        Index of the transcription start site in the promoter, where the files do not say it; the middle otherwise.
    need
        Letters of the blocks that the run wants.

    Raises
    ------
    UserError
        For everything that would keep the dataset from being read, except wrong values.
    """
    root = Path(root).expanduser()
    sets = find_sets(root, fold)
    chosen = choose_set(root, sets, layout, need)
    splits = {split: _look_at(chosen, split) for split in SPLITS}
    _check_agreement(splits)
    train = splits["train"]
    description = DatasetDescription(
        source=str(root),
        layout=chosen.layout,
        genes={split: shape.genes for split, shape in splits.items()},
        promoter=train.promoter,
        promoter_length=train.promoter_shape[0] if train.promoter else None,
        tss=_tss_index(train, tss),
        widths=train.widths,
        feature_names=_feature_names(train),
        embed_dim=train.promoter_shape[-1] if train.promoter == "embedded" else None,
        fold=fold,
        made_from=train.attributes.get("source"),
        scaling=train.attributes.get("scaling"),
    )
    return FileSet(
        description,
        arrays={split: shape.arrays for split, shape in splits.items()},
        sets=list_sets(sets),
        layouts={found.layout: found.blocks for found in sets if found.problem is None},
        warnings=tuple(_oddities(chosen, sets, splits)),
    )


def _oddities(chosen: FoundSet, sets: list[FoundSet], splits: Mapping[str, _SplitShape]) -> list[str]:
    """Return a sentence for a layout that is there twice, and one for missing gene names."""
    sentences = []
    same = [str(other) for other in sets if other.layout == chosen.layout and other is not chosen]
    if same:
        sentences.append(f"Besides {chosen} the folder has another {chosen.layout} set, which is not used: {same[0]}.")
    nameless = [split for split, shape in splits.items() if GENE not in shape.arrays]
    if nameless:
        sentences.append(
            f"The {chosen.layout} set has no gene names in {', '.join(nameless)}: genes are called {nameless[0]}_0, "
            f"{nameless[0]}_1 ..., and genes that are in two splits cannot be found."
        )
    return sentences


def _look_at(found: FoundSet, split: str) -> _SplitShape:
    """Read the shapes of one split and check that its arrays agree with each other."""
    path = found.files[split]
    with open_file(path) as file:
        arrays = {name: _array(file, location) for name, location in _locate(file, path, found).items()}
        attributes = _attributes(file, path)
    locations = {name: array.location for name, array in arrays.items()}
    if found.tokens is not None:
        if PROMOTER in arrays:
            locations[ONE_HOT] = locations[PROMOTER]
        with open_file(found.tokens) as file:
            key = find_key(file, SPLIT_NAMES[split]) or split
            arrays[PROMOTER] = _array(file, Location(found.tokens, key))
        locations[PROMOTER] = arrays[PROMOTER].location
    _check_arrays(arrays)
    promoter: str | None = None
    shape: tuple[int, ...] = ()
    if PROMOTER in arrays:
        embedded = attributes.get("promoter") == "embedded" or (found.embedded and found.tokens is None)
        promoter, shape = _promoter_kind(arrays[PROMOTER], embedded=embedded), arrays[PROMOTER].shape[1:]
    widths = {block: arrays[block].shape[1] for block in feature_blocks() if block in arrays}
    return _SplitShape(locations, arrays[LABEL].shape[0], widths, promoter, shape, attributes)


def _locate(file: h5py.File, path: Path, found: FoundSet) -> dict[str, Location]:
    """Find the key of every array that the set has."""
    arrays = {}
    for name, known in keys().items():
        key = find_key(file, known)
        if key is not None:
            arrays[name] = Location(path, key)
        elif name == LABEL or (name in found.blocks and not (name == PROMOTER and found.tokens)):
            raise UserError(
                f"a file has no key for the {'labels' if name == LABEL else f'block {named(name)}'}",
                where=path,
                expected=" or ".join(known),
                received=", ".join(file) or "no keys",
                hint="add it to the file, or select another set of the folder with dataset.layout",
            )
    return arrays


def _array(file: h5py.File, location: Location) -> _Array:
    """Return shape and kind of values of an array, whose declared size must be possible."""
    array = file[location.key]
    if not isinstance(array, h5py.Dataset) or array.shape is None:
        raise UserError("a key holds no array", where=location, expected="an HDF5 dataset", hint="write one there")
    size, on_disk = math.prod(array.shape), location.path.stat().st_size
    declared = size * array.dtype.itemsize
    chunk = math.prod(array.chunks or (0,)) * array.dtype.itemsize
    if size > available() and declared > MOST_COMPRESSED * on_disk:
        raise _impossible("an array is declared far larger than its file can hold", location, declared, on_disk)
    if chunk > available() // 8 or (chunk > LARGE_CHUNK and chunk > 16 * declared):
        raise _impossible("an array is stored in chunks too large to read", location, chunk, on_disk)
    return _Array(location, array.shape, array.dtype.kind)


def _impossible(what: str, location: Location, declared: int, on_disk: int) -> UserError:
    received = f"{in_words(declared)}, in a file of {in_words(on_disk)}"
    expected = f"a size that fits the file and the memory ({in_words(available())})"
    hint = "write the file again: its header is damaged"
    return UserError(what, where=location, expected=expected, received=received, hint=hint)


def _check_arrays(arrays: Mapping[str, _Array]) -> None:
    """Check ranks, types and row counts of all arrays but the promoter's rank, which `_promoter_kind` checks."""

    def wrong(what: str, array: _Array, expected: str, received: object, hint: str) -> UserError:
        return UserError(what, where=array.location, expected=expected, received=received, hint=hint)

    for name, array in arrays.items():
        shape, column = array.shape, name in (LABEL, GENE)
        right = (len(shape) > 0 and shape[1:] in ((), (1,))) if column else (len(shape) == 2 and shape[1] > 0)
        if name != PROMOTER and not right:
            expected = "(genes,)" if column else "(genes, features)"
            raise wrong("an array has the wrong shape", array, expected, shape, "write it with that shape")
        if name != GENE and array.kind not in "biuf":
            received = "text" if array.kind in "SUO" else f"an array of kind {array.kind}"
            raise wrong("an array holds no numbers", array, "integers or real numbers", received, "write it as numbers")
    genes = arrays[LABEL].shape[0]
    for array in arrays.values():
        rows = array.shape[0] if array.shape else 0
        if rows != genes:
            raise UserError(
                "two arrays of a split disagree about the number of genes",
                where=f"{array.location}; {arrays[LABEL].location}",
                expected=f"{genes:,} rows, one for each label",
                received=f"{rows:,} rows",
                hint=TOGETHER,
            )
    if genes == 0:
        path = arrays[LABEL].location.path
        raise UserError("a split has no genes", where=path, hint="write at least two genes into it")


def _promoter_kind(array: _Array, *, embedded: bool) -> str:
    """Return ``"bases"`` or ``"embedded"``, whichever the shape and type allow."""
    shape = array.shape
    if 0 not in shape:
        if len(shape) == 2 and not embedded:
            return "bases"
        if len(shape) == 3 and shape[2] == 4 and not embedded:
            return "bases"
        if len(shape) == 3 and array.kind == "f" and (embedded or shape[1] != 4):
            return "embedded"
    turned = len(shape) == 3 and shape[1] == 4
    vectors = "(genes, chunks, dimension) float"
    raise UserError(
        "the promoters have the wrong shape",
        where=array.location,
        expected=vectors
        if embedded
        else f"(genes, length, 4) one-hot bases, (genes, length) tokens or {vectors} vectors",
        received=f"{shape} {({'b': 'bool', 'f': 'float'}).get(array.kind, 'integer')}",
        hint="exchange the last two axes: the channels ACGT come last" if turned else "write them with that shape",
    )


def _attributes(file: h5py.File, path: Path) -> dict[str, Any]:
    """Read the root attributes of a file that genexp wrote; an empty dict for any other."""
    if MARK not in file.attrs:
        return {}
    version = file.attrs[MARK]
    if version != VERSION:
        where = f"{path}, attribute '{MARK}'"
        what = "a file has a newer layout than this genexp knows"
        raise UserError(what, where=where, expected=VERSION, received=version, hint="update genexp")
    known = ("promoter", "tss", "feature_names", "source", "scaling")
    values = {name: file.attrs[name] for name in known if name in file.attrs}
    try:
        for name in ("feature_names", "scaling"):
            values[name] = json.loads(values[name]) if name in values else None
            if not isinstance(values[name], dict | None):
                raise TypeError(f"attribute '{name}' is no JSON object")
        values["tss"] = int(values["tss"]) if "tss" in values else None
    except (TypeError, ValueError) as error:
        hint = "write it again with genexp prepare"
        raise UserError("the attributes of a file are damaged", where=path, received=error, hint=hint) from error
    return values


def _check_agreement(splits: Mapping[str, _SplitShape]) -> None:
    """Check that every split has what the training genes have."""
    train = splits["train"]
    for split, other in splits.items():
        for block in BLOCKS:
            if (block in train.arrays) != (block in other.arrays):
                there, lacking = (train, other) if block in train.arrays else (other, train)
                raise UserError(
                    f"block {named(block)} is in one split but not in another",
                    where=lacking.arrays[LABEL].path,
                    expected=f"a key {' or '.join(keys()[block])}, as in {there.arrays[block].path.name}",
                    hint=TOGETHER,
                )
        for what, key, ours, theirs in (
            # One-hot and token promoters of one length are the same.
            ("promoters", PROMOTER, _promoter_in_words(train), _promoter_in_words(other)),
            *((BLOCKS[block].input, block, width, other.widths[block]) for block, width in train.widths.items()),
            ("TSS index", LABEL, train.attributes.get("tss"), other.attributes.get("tss")),
        ):
            if ours != theirs:
                where = f"{train.arrays[key]}; {other.arrays[key]}"
                what = f"the splits 'train' and '{split}' disagree: {what}"
                raise UserError(what, where=where, expected=ours, received=theirs, hint=TOGETHER)
        _check_names(train, other)


def _promoter_in_words(split: _SplitShape) -> str:
    shape = split.promoter_shape if split.promoter == "embedded" else split.promoter_shape[:1]
    return " x ".join(map(str, (split.promoter, *shape)))


def _check_names(train: _SplitShape, other: _SplitShape) -> None:
    """Check that the columns of two splits have the same names in the same order."""
    ours, theirs = (shape.attributes.get("feature_names") or {} for shape in (train, other))
    for block in train.widths:
        first, second = ours.get(block, []), theirs.get(block, [])
        if first == second:
            continue
        ordered = sorted(first) == sorted(second)
        pairs = list(zip(first, second, strict=False))
        column = next((i for i, (a, b) in enumerate(pairs) if a != b), len(pairs))
        expected, received = (names[column] if column < len(names) else "no name" for names in (first, second))
        fix = "put the columns of both files into one order" if ordered else "use files with the same features"
        raise UserError(
            f"the columns of two splits {'come in another order' if ordered else 'differ'}",
            where=f"{train.arrays[block]}; {other.arrays[block]}; column {column}",
            expected=expected,
            received=received,
            hint=f"{fix}; otherwise the values of one column are read as those of another",
        )


def _feature_names(train: _SplitShape) -> dict[str, tuple[str, ...]]:
    """Return the column names that the files bring, else those of a block of exactly that many known columns."""
    given = train.attributes.get("feature_names") or {}
    names = {}
    for block, width in train.widths.items():
        if block in given:
            names[block] = tuple(map(str, given[block]))
            if len(names[block]) != width:
                raise UserError(
                    f"a file names {len(names[block])} columns of block {block}",
                    where=train.arrays[block],
                    expected=f"{width} names, as many as columns",
                    hint="write the file again with genexp prepare",
                )
        elif width == len(BLOCKS[block].features):
            names[block] = BLOCKS[block].features
    return names


def _tss_index(train: _SplitShape, given: int | None) -> int | None:
    """Return the TSS index: the files' own, else the one given, else the middle of the promoter (Xpresso's layout)."""
    where, stored = "dataset.tss", train.attributes.get("tss")
    if train.promoter != "bases":
        if given is not None:
            what = "a TSS index is given, but there are no bases it could count"
            raise UserError(what, where=where, received=given, hint="leave dataset.tss out")
        return None
    length = train.promoter_shape[0]
    if given is None:
        return length // 2 if stored is None else int(stored)
    if stored is not None and stored != given:
        what = "the TSS index given is not the one that the files bring"
        where = f"{where}; {train.arrays[PROMOTER].path}, attribute 'tss'"
        raise UserError(what, where=where, expected=stored, received=given, hint="leave dataset.tss out")
    if not 0 <= given <= length:
        hint = "give the index in promoter coordinates, or leave dataset.tss out for the middle"
        what = "the TSS index lies outside the promoter"
        raise UserError(what, where=where, expected=f"0 to {length:,}", received=given, hint=hint)
    return given
