"""What a folder of HDF5 files holds: its layout, sizes, blocks and names, read without reading genes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py

from genexp.dataset.description import DatasetDescription
from genexp.dataset.genes import BLOCKS, HALFLIFE_FEATURES, SPLITS
from genexp.dataset.hdf5 import Location, open_file
from genexp.dataset.layouts import (
    KEYS,
    MARK,
    SPLIT_NAMES,
    VERSION,
    FoundSet,
    choose_set,
    find_key,
    find_sets,
    list_sets,
)
from genexp.errors import UserError


@dataclass(frozen=True)
class FileSet:
    """A dataset on disk: what it holds, and where each array lies.

    Attributes
    ----------
    description
        What is known of the dataset.
    arrays
        By split, then by block letter, ``"label"``, ``"gene"`` (missing without gene names) and ``"one_hot"`` (the
        promoters of the set beside a token file, which must be the same).
    sets
        Every set that was recognised in the folder, in words.
    layouts
        Blocks of each layout in the folder: ``{"xpresso": "PH", "xpresso_tf": "PHT"}``.
    warnings
        One sentence for each thing that is odd.
    """

    description: DatasetDescription
    arrays: Mapping[str, Mapping[str, Location]]
    sets: str = ""
    layouts: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


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
    length = train.promoter_shape[0] if train.promoter else None
    description = DatasetDescription(
        source=str(root),
        layout=chosen.layout,
        genes={split: shape.genes for split, shape in splits.items()},
        promoter=train.promoter,
        promoter_length=length,
        tss=_tss_index(train, tss),
        widths=train.widths,
        feature_names=_feature_names(train),
        embed_dim=train.promoter_shape[-1] if train.promoter == "embedded" else None,
        fold=fold,
        made_from=train.attributes.get("source"),
        scaling=train.attributes.get("scaling"),
    )
    return FileSet(
        description=description,
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
    nameless = [split for split, shape in splits.items() if "gene" not in shape.arrays]
    if nameless:
        sentences.append(
            f"The {chosen.layout} set has no gene names in {', '.join(nameless)}: genes are called {nameless[0]}_0, "
            f"{nameless[0]}_1 ..., and genes that are in two splits cannot be told."
        )
    return sentences


def _look_at(found: FoundSet, split: str) -> _SplitShape:
    """Read the shapes of one split and check that its arrays agree with each other."""
    path = found.files[split]
    with open_file(path) as file:
        arrays = _locate(file, path, found)
        shapes = {name: _shape(file, location) for name, location in arrays.items()}
        attributes = _attributes(file, path)
    if found.tokens is not None:
        if "P" in arrays:
            arrays["one_hot"], _ = arrays["P"], shapes.pop("P")
        with open_file(found.tokens) as file:
            arrays["P"] = Location(found.tokens, find_key(file, SPLIT_NAMES[split]) or split)
            shapes["P"] = _shape(file, arrays["P"])
    _check_rows(arrays, shapes)
    promoter = None
    if "P" in arrays:
        embedded = attributes.get("promoter") == "embedded" or (found.embedded and found.tokens is None)
        promoter = _promoter_kind(arrays["P"], *shapes["P"], embedded=embedded)
    widths = {block: shapes[block][0][1] for block in "HTM" if block in shapes}
    genes = shapes["label"][0][0]
    return _SplitShape(arrays, genes, widths, promoter, shapes["P"][0][1:] if promoter else (), attributes)


def _locate(file: h5py.File, path: Path, found: FoundSet) -> dict[str, Location]:
    """Find the key of every array that the set has."""
    arrays = {}
    for name, known in KEYS.items():
        key = find_key(file, known)
        if key is not None:
            arrays[name] = Location(path, key)
        elif name == "label" or (name in found.blocks and not (name == "P" and found.tokens)):
            what = "labels" if name == "label" else f"block {name} ({BLOCKS[name]})"
            raise UserError(
                f"a file has no key for the {what}",
                where=path,
                expected=" or ".join(known),
                received=", ".join(file) or "no keys",
                do="add it to the file, or name another set of the folder with dataset.layout",
            )
    return arrays


def _shape(file: h5py.File, location: Location) -> tuple[tuple[int, ...], str]:
    """Return shape and kind of values of an array."""
    array = file[location.key]
    if not isinstance(array, h5py.Dataset) or array.shape is None:
        raise UserError("a key holds no array", where=location, expected="an HDF5 dataset", do="write one there")
    return array.shape, array.dtype.kind


def _check_rows(arrays: Mapping[str, Location], shapes: Mapping[str, tuple[tuple[int, ...], str]]) -> None:
    """Check ranks, types and row counts of all arrays but the promoter's, which `_promoter_kind` does."""
    for name, (shape, kind) in shapes.items():
        column = name in ("label", "gene")
        right = (len(shape) > 0 and shape[1:] in ((), (1,))) if column else (len(shape) == 2 and shape[1] > 0)
        if name != "P" and not right:
            raise UserError(
                "an array has the wrong shape",
                where=arrays[name],
                expected="(genes,)" if column else "(genes, features)",
                received=shape,
                do="write it with that shape",
            )
        if name != "gene" and kind not in "biuf":
            raise UserError(
                "an array holds no numbers",
                where=arrays[name],
                expected="integers or real numbers",
                received="text" if kind in "SUO" else f"an array of kind {kind}",
                do="write it as numbers",
            )
    genes = shapes["label"][0][0]
    for name, (shape, _) in shapes.items():
        if not shape or shape[0] != genes:
            raise UserError(
                "two arrays of a split disagree about the number of genes",
                where=f"{arrays[name]}; {arrays['label']}",
                expected=f"{genes:,} rows, one for each label",
                received=f"{shape[0] if shape else 0:,} rows",
                do="use files that were written together",
            )
    if genes == 0:
        raise UserError("a split has no genes", where=arrays["label"].path, do="write at least two genes into it")


def _promoter_kind(location: Location, shape: tuple[int, ...], kind: str, *, embedded: bool) -> str:
    """Return ``"bases"`` or ``"embedded"``, whichever the shape and type allow."""
    if 0 not in shape:
        if len(shape) == 2 and not embedded:
            return "bases"
        if len(shape) == 3 and shape[2] == 4 and not embedded:
            return "bases"
        if len(shape) == 3 and kind == "f" and (embedded or shape[1] != 4):
            return "embedded"
    turned = len(shape) == 3 and shape[1] == 4
    raise UserError(
        "the promoters have the wrong shape",
        where=location,
        expected="(genes, chunks, dimension) float"
        if embedded
        else "(genes, length, 4) one-hot bases, (genes, length) tokens or (genes, chunks, dimension) float vectors",
        received=f"{shape} {({'b': 'bool', 'f': 'float'}).get(kind, 'integer')}",
        do="exchange the last two axes: the channels ACGT come last" if turned else "write them with that shape",
    )


def _attributes(file: h5py.File, path: Path) -> dict[str, Any]:
    """Read the root attributes of a file that genexp wrote; an empty dict for any other."""
    if MARK not in file.attrs:
        return {}
    version = file.attrs[MARK]
    if version != VERSION:
        raise UserError(
            "a file has a newer layout than this genexp knows",
            where=f"{path}, attribute '{MARK}'",
            expected=VERSION,
            received=version,
            do="update genexp",
        )
    known = ("promoter", "tss", "feature_names", "source", "scaling")
    values = {name: file.attrs[name] for name in known if name in file.attrs}
    try:
        for name in ("feature_names", "scaling"):
            values[name] = json.loads(values[name]) if name in values else None
        values["tss"] = int(values["tss"]) if "tss" in values else None
    except (TypeError, ValueError) as error:
        raise UserError(
            "the attributes of a file are damaged", where=path, received=error, do="write it again with genexp prepare"
        ) from error
    return values


def _check_agreement(splits: Mapping[str, _SplitShape]) -> None:
    """Check that every split has what the training genes have."""
    train = splits["train"]
    for split, other in splits.items():
        for block in BLOCKS:
            if (block in train.arrays) == (block in other.arrays):
                continue
            there, lacking = (train, other) if block in train.arrays else (other, train)
            raise UserError(
                f"block {block} ({BLOCKS[block]}) is in one split but not in another",
                where=lacking.arrays["label"].path,
                expected=f"a key {' or '.join(KEYS[block])}, as in {there.arrays[block].path.name}",
                do="use files that were written together",
            )
        for what, key, ours, theirs in (
            ("promoters", "P", (train.promoter, *train.promoter_shape), (other.promoter, *other.promoter_shape)),
            *((BLOCKS[block], block, (width,), (other.widths[block],)) for block, width in train.widths.items()),
            ("TSS index", "label", train.attributes.get("tss"), other.attributes.get("tss")),
        ):
            if not _same_layout(ours, theirs):
                raise UserError(
                    f"the splits 'train' and '{split}' disagree: {what}",
                    where=f"{train.arrays[key]}; {other.arrays[key]}",
                    expected=_in_words(ours),
                    received=_in_words(theirs),
                    do="use files that were written together",
                )
        _check_names(train, other)


def _same_layout(ours: Any, theirs: Any) -> bool:
    """Compare shapes; one-hot and token promoters of one length are the same."""
    if isinstance(ours, tuple) and ours[0] == theirs[0] == "bases":
        return ours[1] == theirs[1]
    return ours == theirs


def _in_words(shape: Any) -> str:
    """Write a width, a promoter's kind and shape, or a TSS index for people."""
    return " x ".join(map(str, shape)) if isinstance(shape, tuple) else str(shape)


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
        raise UserError(
            f"the columns of two splits {'come in another order' if ordered else 'differ'}",
            where=f"{train.arrays[block]}; {other.arrays[block]}; column {column}",
            expected=expected,
            received=received,
            do=("put the columns of both files into one order" if ordered else "use files with the same features")
            + "; values of one column would otherwise be taken for another's",
        )


def _feature_names(train: _SplitShape) -> dict[str, tuple[str, ...]]:
    """Return the column names that the files bring; eight half-life columns without names are Xpresso's."""
    names = {block: tuple(map(str, given)) for block, given in (train.attributes.get("feature_names") or {}).items()}
    for block, given in names.items():
        if block in train.widths and len(given) != train.widths[block]:
            raise UserError(
                f"a file names {len(given)} columns of block {block}",
                where=train.arrays[block],
                expected=f"{train.widths[block]} names, as many as columns",
                do="write the file again with genexp prepare",
            )
    if "H" not in names and train.widths.get("H") == len(HALFLIFE_FEATURES):
        names["H"] = HALFLIFE_FEATURES
    return {block: names[block] for block in train.widths if block in names}


def _tss_index(train: _SplitShape, given: int | None) -> int | None:
    """Return the TSS index: the files' own, else the one given, else the middle of the promoter (Xpresso's layout)."""
    if train.promoter != "bases":
        if given is not None:
            raise UserError(
                "a TSS index is given, but there are no bases it could count",
                where="dataset.tss",
                received=given,
                do="leave dataset.tss out",
            )
        return None
    length = train.promoter_shape[0]
    stored = train.attributes.get("tss")
    if given is None:
        return length // 2 if stored is None else stored
    if stored is not None and stored != given:
        raise UserError(
            "the TSS index given is not the one that the files bring",
            where=f"dataset.tss; {train.arrays['P'].path}, attribute 'tss'",
            expected=stored,
            received=given,
            do="leave dataset.tss out",
        )
    if not 0 <= given <= length:
        raise UserError(
            "the TSS index lies outside the promoter",
            where="dataset.tss",
            expected=f"0 to {length:,}",
            received=given,
            do="give the index in promoter coordinates, or leave dataset.tss out for the middle",
        )
    return given
