"""The file layouts that are read directly: one table, and how the sets of files in a folder are recognised by it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import h5py

from genexp.blocks import BLOCKS, PROMOTER, in_order
from genexp.dataset.genes import SPLITS
from genexp.dataset.hdf5 import open_file
from genexp.errors import UserError, nearest


@dataclass(frozen=True)
class Layout:
    """One file layout.

    Attributes
    ----------
    name
        What ``dataset.layout`` calls it.
    files
        What its files are called, for messages.
    prefix, suffix
        What stands around the name of the split in a file name.
    blocks
        Letters of the blocks that distinguish this layout, and that its file names promise.
    embedded, marked
        Whether its promoters are precomputed embeddings, and whether its files carry the attribute `MARK`.
    beside
        For one file with the tokens of all splits: the layouts whose other blocks it completes, best first.
    """

    name: str
    files: str
    prefix: str = ""
    suffix: str = ""
    blocks: str = ""
    embedded: bool = False
    marked: bool = False
    beside: tuple[str, ...] = ()


_TOKENS = ("xpresso", "genexp", "embedded", "xpresso_tf", "xpresso_mirna", "embedded_tf")
_TOKENS_TF = ("xpresso_tf", "xpresso_mirna", "genexp", "embedded_tf")

#: Every layout, in the order in which ``dataset.layout=auto`` tries them; later rows are the more special ones.
_TABLE = (
    Layout("genexp", "train.h5 valid.h5 test.h5, written by genexp prepare", marked=True),
    Layout("xpresso", "train.h5 valid.h5 test.h5, or 1train.h5 ... for fold 1"),
    Layout("xpresso_tf", "train_tf.h5 validation_tf.h5 test_tf.h5", suffix="_tf", blocks="T"),
    Layout("xpresso_mirna", "microRNA_train.h5 microRNA_val.h5 microRNA_test.h5", prefix="microRNA_", blocks="M"),
    Layout("tokens", "translated_transformers.h5 beside one of the sets above", beside=_TOKENS),
    Layout("tokens_tf", "translated_transformers_tf.h5 beside one of them", suffix="_tf", beside=_TOKENS_TF),
    Layout("embedded", "etrain.h5 evalidation.h5 etest.h5", prefix="e", embedded=True),
    Layout("embedded_tf", "etrain_tf.h5 evalidation_tf.h5 etest_tf.h5", "e", "_tf", blocks="T", embedded=True),
)
LAYOUTS: dict[str, Layout] = {layout.name: layout for layout in _TABLE}

#: The names of each split, in file names and as keys of a token file.
SPLIT_NAMES: dict[str, tuple[str, ...]] = {
    "train": ("train", "training"),
    "valid": ("valid", "validation", "val"),
    "test": ("test",),
}

#: Keys of the labels and of the gene names; those of the blocks stand in `genexp.blocks`.
LABEL, GENE = "label", "gene"
_COLUMNS = {LABEL: ("label",), GENE: ("geneName", "gene")}

#: The root attribute that marks a file written by `genexp.dataset.writer`; its value is the version of the layout.
MARK = "genexp_layout"
VERSION = 1

_SUFFIXES = (".h5", ".hdf5")
_TOKEN_FILE = re.compile(r"(?P<fold>\d*)translated_transformers.*\.(?:h5|hdf5)", re.IGNORECASE)


def keys() -> dict[str, tuple[str, ...]]:
    """Return the keys under which files hold each block, the labels and the gene names; case does not matter."""
    return {letter: block.keys for letter, block in BLOCKS.items()} | _COLUMNS


def find_key(group: h5py.Group, names: Iterable[str]) -> str | None:
    """Return the key of a file that is one of `names` whatever its case, or None."""
    by_lower = {key.lower(): key for key in group}
    return next((by_lower[name.lower()] for name in names if name.lower() in by_lower), None)


@dataclass(frozen=True)
class FoundSet:
    """A set of files that belong together.

    Attributes
    ----------
    layout
        Its name in `LAYOUTS`.
    files
        The file of each split that is there.
    blocks
        Letters of the blocks it has, or should have by its file names.
    tokens
        The token file that brings the promoters, or None.
    embedded
        True when the file names say that the promoters are embedded.
    problem
        What keeps the set from being used, raised when it is chosen.
    """

    layout: str
    files: Mapping[str, Path]
    blocks: str
    tokens: Path | None = None
    embedded: bool = False
    problem: UserError | None = None

    def __str__(self) -> str:
        names = " ".join(path.name for path in self.files.values())
        return f"{self.tokens.name} with {names}" if self.tokens else names


#: Fold, prefix and suffix around the split in file names, in lower case; files that share them belong together.
_Affixes = tuple[str, str, str]


def find_sets(root: Path, fold: int | None = None) -> list[FoundSet]:
    """Return every set of files in a folder, in the order of `LAYOUTS`; opens one file of each.

    Parameters
    ----------
    root
        The folder.
    fold
        Number of a cross-validation fold: only its files count. None: only files without a number do.

    Raises
    ------
    UserError
        If the folder is missing, holds no set, or holds only folds while none was asked for, or the other way round.
    """
    names, others, pattern = _list_files(root), [], _file_pattern()
    groups: dict[_Affixes, dict[str, list[Path]]] = {}
    for name in names:
        if match := pattern.fullmatch(name):
            affixes = match["fold"], match["prefix"].lower(), match["suffix"].lower()
            split = next(split for split, known in SPLIT_NAMES.items() if match["split"].lower() in known)
            groups.setdefault(affixes, {}).setdefault(split, []).append(root / name)
        else:
            others.append(name)
    wanted = "" if fold is None else str(fold)
    sets = [_recognise(root, *group, others) for group in sorted(groups.items()) if group[0][0] == wanted]
    sets += _token_sets(root, others, wanted, sets)
    if not sets:
        raise _no_set(root, names, sorted({int(affixes[0]) for affixes in groups if affixes[0]}), fold)
    return sorted(sets, key=lambda found: list(LAYOUTS).index(found.layout))


def _file_pattern() -> re.Pattern[str]:
    """Return the pattern of the file names of all layouts."""

    def any_of(words: Iterable[str]) -> str:
        return "|".join(re.escape(word) for word in sorted(set(words) - {""}, key=len, reverse=True))

    splits = any_of(name for names in SPLIT_NAMES.values() for name in names)
    prefixes, suffixes = any_of(row.prefix for row in _TABLE), any_of(row.suffix for row in _TABLE)
    name = rf"(?P<fold>\d*)(?P<prefix>(?:{prefixes})*)(?P<split>{splits})(?P<suffix>(?:{suffixes})?)\.(?:h5|hdf5)"
    return re.compile(name, re.IGNORECASE)


def choose_set(root: Path, sets: list[FoundSet], layout: str, need: str) -> FoundSet:
    """Return the set to read: the one of the layout asked for, or the first that has all blocks needed.

    Raises
    ------
    UserError
        If there is none, or if it is incomplete or damaged: another one is never used without a message.
    """
    if layout != "auto" and layout not in LAYOUTS:
        hint = f"{nearest(layout, LAYOUTS)}dataset.layout=auto finds the layout by looking"
        expected = f"auto, {', '.join(LAYOUTS)}"
        raise UserError(f"there is no layout '{layout}'", where="dataset.layout", expected=expected, hint=hint)
    right = [found for found in sets if layout in ("auto", found.layout)]
    if not right:
        what, hint = f"the folder has no set of the layout '{layout}'", "set dataset.layout to one of these, or to auto"
        raise UserError(what, where=root, expected=LAYOUTS[layout].files, received=list_sets(sets), hint=hint)
    for found in right:
        if set(need) <= set(found.blocks):
            if found.problem is not None:
                raise found.problem
            return found
    raise _missing_block(root, need, sets, right[0] if layout != "auto" else None)


def list_sets(sets: Iterable[FoundSet]) -> str:
    """Return the sets in words: ``"xpresso (train.h5 valid.h5 test.h5) with P H"``."""
    return "; ".join(f"{found.layout} ({found}) with {' '.join(found.blocks) or 'no blocks'}" for found in sets)


def named(letters: Iterable[str]) -> str:
    """Return blocks by letter and name: ``"T (tf), M (mirna)"``."""
    return ", ".join(f"{letter} ({BLOCKS[letter].input})" for letter in letters)


def _missing_block(root: Path, need: str, sets: list[FoundSet], chosen: FoundSet | None) -> UserError:
    """Return the error for blocks that the chosen set, or every set, lacks."""
    have = set(chosen.blocks) if chosen else {block for found in sets for block in found.blocks}
    lacking = named(block for block in in_order(need) if block not in have)
    if chosen and lacking:
        what = f"the {chosen.layout} set has no block {lacking}"
    else:
        what = f"no set in the folder has the block {lacking}" if lacking else f"no set in the folder has all of {need}"
    better = [found.layout for found in sets if set(need) <= set(found.blocks)]
    hint = (
        f"set dataset.layout={better[0]}" if better else "use a folder that has them, or choose other blocks (data=...)"
    )
    return UserError(what, where=root, expected=f"the blocks of data={need}", received=list_sets(sets), hint=hint)


def _list_files(root: Path) -> list[str]:
    """Return the names of the HDF5 files in a folder, sorted."""
    if root.is_dir():
        try:
            return sorted(path.name for path in root.iterdir() if path.suffix.lower() in _SUFFIXES)
        except OSError as error:
            hint = "ask for the permission to read it"
            raise UserError("the dataset folder cannot be read", where=root, received=error, hint=hint) from error
    expected = "a folder with the HDF5 files of each split"
    if root.exists():
        what, hint = "the dataset is a file, not a folder", f"set dataset.root={root.parent}, the folder it is in"
    else:
        siblings = [path.name for path in root.parent.iterdir() if path.is_dir()] if root.parent.is_dir() else []
        what = "the dataset folder does not exist"
        hint = f"{nearest(root.name, siblings)}set dataset.root to the folder that holds train.h5, valid.h5 and test.h5"
    raise UserError(what, where="dataset.root", expected=expected, received=root, hint=hint)


def _recognise(root: Path, affixes: _Affixes, files: Mapping[str, list[Path]], others: list[str]) -> FoundSet:
    """Open one file of a set and find its layout: by the mark, the kind of its promoters and its blocks."""
    _, prefix, suffix = affixes
    sets = [row for row in _TABLE if not row.beside]
    hinted = [row for row in sets if row.prefix.lower() in prefix and row.suffix in suffix and row.prefix + row.suffix]
    marked, embedded, present = False, any(row.embedded for row in hinted), ""
    first = {split: files[split][0] for split in SPLITS if split in files}
    problem = _wrong_files(root, affixes, files, others)
    try:
        with open_file(next(iter(first.values()))) as file:
            marked = MARK in file.attrs
            present = "".join(letter for letter, block in BLOCKS.items() if find_key(file, block.keys))
            embedded = embedded or _looks_embedded(file)
    except UserError as error:
        problem = error
    blocks = in_order(present + "".join(row.blocks for row in hinted))
    kind = [row for row in sets if row.marked == marked and (marked or row.embedded == embedded)]
    layout = next(row.name for row in reversed(kind) if set(row.blocks) <= set(blocks))
    if problem is not None and not present:  # unreadable: it may have anything, so no other set is used in its place
        blocks = "".join(BLOCKS)
    return FoundSet(layout, first, blocks, embedded=embedded, problem=problem)


def _looks_embedded(file: h5py.File) -> bool:
    """Tell chunk vectors from one-hot bases: floats, and not four channels on either axis."""
    key = find_key(file, BLOCKS[PROMOTER].keys)
    array = file[key] if key else None
    return isinstance(array, h5py.Dataset) and array.ndim == 3 and array.dtype.kind == "f" and 4 not in array.shape[1:]


def _wrong_files(root: Path, affixes: _Affixes, files: Mapping[str, list[Path]], others: list[str]) -> UserError | None:
    """Return the error for a split that has no file, or two."""
    fold, prefix, suffix = affixes
    there = ", ".join(path.name for paths in files.values() for path in paths)
    for split in SPLITS:
        if len(files.get(split, ())) > 1:
            twice = " and ".join(path.name for path in files[split])
            return UserError(f"the split '{split}' has two files: {twice}", where=root, hint="keep one of them")
        if split not in files:
            prefix = next((row.prefix for row in _TABLE if row.prefix.lower() == prefix), prefix)
            names = [f"{fold}{prefix}{name}{suffix}.h5" for name in SPLIT_NAMES[split]]
            close = [match for name in names for match in get_close_matches(name, others, n=1, cutoff=0.7)]
            rename = f"is it '{close[0]}'? Rename it to '{names[0]}'" if close else "add the file"
            what, hint = f"the file of the split '{split}' is missing", f"{rename}, or choose another dataset.layout"
            return UserError(what, where=root, expected=" or ".join(names), received=there, hint=hint)
    return None


def _token_sets(root: Path, names: list[str], fold: str, sets: list[FoundSet]) -> list[FoundSet]:
    """Return the sets made of a token file and the files beside it."""
    found = []
    by_layout = {other.layout: other for other in reversed(sets)}
    for name in names:
        match, path = _TOKEN_FILE.fullmatch(name), root / name
        if (match["fold"] if match else "") != fold:
            continue
        problem = _token_problem(path)
        if problem is not None and match is None:
            continue  # some other file
        row = next(row for row in reversed(_TABLE) if row.beside and path.stem.lower().endswith(row.suffix))
        companion = next((by_layout[other] for other in row.beside if other in by_layout), None)
        if companion is None:
            what = "a token file has no set beside it that brings labels and the other blocks"
            files, hint = LAYOUTS[row.beside[0]].files, "put those files into the same folder"
            problem = problem or UserError(what, where=path, expected=files, received=", ".join(names), hint=hint)
            companion = FoundSet(row.name, {}, "".join(BLOCKS))
        blocks = in_order(PROMOTER + companion.blocks)
        found.append(FoundSet(row.name, companion.files, blocks, path, problem=problem or companion.problem))
    return found


def _token_problem(path: Path) -> UserError | None:
    """Return what keeps a file from being a token file: it has one (n, length) array per split."""
    try:
        with open_file(path) as file:
            for split, names in SPLIT_NAMES.items():
                key = find_key(file, names)
                if key is None or not isinstance(file[key], h5py.Dataset):
                    what, there = f"a token file has no key for the split '{split}'", ", ".join(file) or "no keys"
                    hint = "write the tokens of each split under such a key"
                    return UserError(what, where=path, expected=" or ".join(names), received=there, hint=hint)
    except UserError as error:
        return error
    return None


def _no_set(root: Path, names: list[str], folds: list[int], fold: int | None) -> UserError:
    """Return the error for a folder without any set of the fold asked for."""
    there = ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
    if folds and fold not in folds:
        what = "the folder holds cross-validation folds only" if fold is None else f"the folder has no fold {fold}"
        expected = f"dataset.fold among {', '.join(map(str, folds))}"
        hint = f"set dataset.fold={folds[0]}"
    elif fold is not None and names:
        what = "the folder has no cross-validation folds"
        expected = f"{fold}train.h5 {fold}valid.h5 {fold}test.h5"
        hint = "leave dataset.fold out"
    else:
        there = there or ", ".join(sorted(path.name for path in root.iterdir())[:12]) or "an empty folder"
        what = "the folder holds no known set of files"
        expected = "one of" + "".join(f"\n    {layout.name}: {layout.files}" for layout in LAYOUTS.values())
        hint = "set dataset.root to the folder that holds the files, or write them with genexp prepare"
    return UserError(what, where=root, expected=expected, received=there, hint=hint)
