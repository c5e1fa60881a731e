"""Recognising the sets of HDF5 files that lie in a folder, by their names and by the keys in them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

import h5py

from genexp.dataset.genes import BLOCKS, SPLITS
from genexp.dataset.hdf5 import open_file
from genexp.errors import UserError, nearest

#: Every layout, in the order in which `auto` tries them, and what its files look like.
LAYOUTS: dict[str, str] = {
    "genexp": "train.h5 valid.h5 test.h5, written by genexp prepare",
    "xpresso": "train.h5 valid.h5 test.h5, or 1train.h5 ... for fold 1",
    "xpresso_tf": "train_tf.h5 validation_tf.h5 test_tf.h5",
    "xpresso_mirna": "microRNA_train.h5 microRNA_val.h5 microRNA_test.h5",
    "tokens": "translated_transformers.h5 beside one of the sets above",
    "tokens_tf": "translated_transformers_tf.h5 beside one of the sets above",
    "embedded": "etrain.h5 evalidation.h5 etest.h5",
    "embedded_tf": "etrain_tf.h5 evalidation_tf.h5 etest_tf.h5",
}

#: The keys under which published files hold each block, the labels and the gene names; case does not matter.
KEYS: dict[str, tuple[str, ...]] = {
    "P": ("promoter",),
    "H": ("data", "halflife"),
    "T": ("tf",),
    "M": ("micro", "mirna", "microRNA"),
    "label": ("label",),
    "gene": ("geneName", "gene"),
}

#: The names of each split, in file names and as keys of a token file.
SPLIT_NAMES: dict[str, tuple[str, ...]] = {
    "train": ("train", "training"),
    "valid": ("valid", "validation", "val"),
    "test": ("test",),
}

#: The root attribute that marks a file written by `genexp.dataset.writer`; its value is the version of the layout.
MARK = "genexp_layout"
VERSION = 1

#: The sets whose other blocks a token file goes with, best first.
_COMPANIONS: dict[str, tuple[str, ...]] = {
    "tokens": ("xpresso", "genexp", "embedded", "xpresso_tf", "xpresso_mirna", "embedded_tf"),
    "tokens_tf": ("xpresso_tf", "xpresso_mirna", "genexp", "embedded_tf"),
}

_SUFFIXES = (".h5", ".hdf5")
_SPLIT_FILE = re.compile(
    r"(?P<fold>\d*)(?P<e>e?)(?P<mirna>(?:microrna_)?)"
    rf"(?P<split>{'|'.join(n for names in SPLIT_NAMES.values() for n in sorted(names, key=len, reverse=True))})"
    r"(?P<tf>(?:_tf)?)\.(?:h5|hdf5)",
    re.IGNORECASE,
)
_TOKEN_FILE = re.compile(r"(?P<fold>\d*)translated_transformers.*\.(?:h5|hdf5)", re.IGNORECASE)


class _Affixes(NamedTuple):
    """What stands around the split in a file name, in lower case; files that share it belong together."""

    fold: str
    e: str
    mirna: str
    tf: str


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


def find_key(group: h5py.Group, names: Iterable[str]) -> str | None:
    """Return the key of a file that is one of `names` whatever its case, or None."""
    by_lower = {key.lower(): key for key in group}
    return next((by_lower[name.lower()] for name in names if name.lower() in by_lower), None)


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
    names = _list_files(root)
    groups: dict[_Affixes, dict[str, list[Path]]] = {}
    others = []
    for name in names:
        match = _SPLIT_FILE.fullmatch(name)
        if match is None:
            others.append(name)
            continue
        affixes = _Affixes(*(match[part].lower() for part in _Affixes._fields))
        split = next(split for split, known in SPLIT_NAMES.items() if match["split"].lower() in known)
        groups.setdefault(affixes, {}).setdefault(split, []).append(root / name)
    wanted = "" if fold is None else str(fold)
    sets = [_recognise(root, *group, others) for group in sorted(groups.items()) if group[0].fold == wanted]
    sets += _token_sets(root, others, wanted, sets)
    if not sets:
        raise _no_set(root, names, sorted({int(affixes.fold) for affixes in groups if affixes.fold}), fold)
    order = list(LAYOUTS)
    return sorted(sets, key=lambda found: order.index(found.layout))


def choose_set(root: Path, sets: list[FoundSet], layout: str, need: str) -> FoundSet:
    """Return the set to read: the one of the layout asked for, or the first that has all blocks needed.

    Raises
    ------
    UserError
        If there is none, or if it is incomplete or damaged: another one is never taken in silence.
    """
    if layout != "auto" and layout not in LAYOUTS:
        raise UserError(
            f"there is no layout '{layout}'",
            where="dataset.layout",
            expected=f"auto, {', '.join(LAYOUTS)}",
            do=f"{nearest(layout, LAYOUTS)}dataset.layout=auto looks for itself",
        )
    right = [found for found in sets if layout in ("auto", found.layout)]
    if not right:
        raise UserError(
            f"the folder has no set of the layout '{layout}'",
            where=root,
            expected=LAYOUTS[layout],
            received=list_sets(sets),
            do="set dataset.layout to one of these, or to auto",
        )
    for found in right:
        if set(need) <= set(found.blocks):
            if found.problem is not None:
                raise found.problem
            return found
    raise missing_block(root, need, sets, right[0] if layout != "auto" else None)


def list_sets(sets: Iterable[FoundSet]) -> str:
    """Return the sets in words: ``"xpresso (train.h5 valid.h5 test.h5) with P H"``."""
    return "; ".join(f"{found.layout} ({found}) with {' '.join(found.blocks) or 'no blocks'}" for found in sets)


def missing_block(root: Path, need: str, sets: Iterable[FoundSet], chosen: FoundSet | None) -> UserError:
    """Return the error for blocks that the chosen set, or every set, lacks."""
    sets = list(sets)
    have = set(chosen.blocks) if chosen else {block for found in sets for block in found.blocks}
    lacking = [block for block in BLOCKS if block in need and block not in have]
    named = ", ".join(f"{block} ({BLOCKS[block]})" for block in lacking)
    better = [found.layout for found in sets if set(need) <= set(found.blocks)]
    if chosen and named:
        what = f"the {chosen.layout} set has no block {named}"
    else:
        what = f"no set in the folder has the block {named}" if named else f"no set in the folder has all of {need}"
    do = (
        f"set dataset.layout={better[0]}"
        if better
        else "name a folder that has them, or train on the blocks that are there (data=...)"
    )
    return UserError(what, where=root, expected=f"the blocks of data={need}", received=list_sets(sets), do=do)


def _list_files(root: Path) -> list[str]:
    """Return the names of the HDF5 files in a folder, sorted."""
    if root.is_dir():
        try:
            return sorted(path.name for path in root.iterdir() if path.suffix.lower() in _SUFFIXES)
        except OSError as error:
            raise UserError(
                "the dataset folder cannot be read", where=root, received=error, do="ask for the permission to read it"
            ) from error
    if root.exists():
        raise UserError(
            "the dataset is a file, not a folder",
            where="dataset.root",
            expected="a folder with the HDF5 files of each split",
            received=root,
            do=f"set dataset.root={root.parent}, the folder it is in",
        )
    siblings = [path.name for path in root.parent.iterdir() if path.is_dir()] if root.parent.is_dir() else []
    raise UserError(
        "the dataset folder does not exist",
        where="dataset.root",
        expected="a folder with the HDF5 files of each split",
        received=root,
        do=f"{nearest(root.name, siblings)}set dataset.root to the folder that holds train.h5, valid.h5 and test.h5",
    )


def _recognise(root: Path, affixes: _Affixes, files: Mapping[str, list[Path]], others: list[str]) -> FoundSet:
    """Open one file of a set and tell what set it is."""
    first = {split: files[split][0] for split in SPLITS if split in files}
    promised = ("T" if affixes.tf else "") + ("M" if affixes.mirna else "")
    marked, embedded, present = False, bool(affixes.e), ""
    problem = _wrong_files(root, affixes, files, others)
    try:
        with open_file(next(iter(first.values()))) as file:
            marked = MARK in file.attrs
            present = "".join(block for block in BLOCKS if find_key(file, KEYS[block]))
            embedded = embedded or _looks_embedded(file)
    except UserError as error:
        problem = error
    blocks = "".join(block for block in BLOCKS if block in present + promised)
    layout = "genexp" if marked else "embedded" if embedded else "xpresso"
    if layout == "embedded":
        layout += "_tf" if "T" in blocks else ""
    elif layout == "xpresso":
        layout += "_mirna" if "M" in blocks else "_tf" if "T" in blocks else ""
    if problem is not None and not present:  # unreadable: it may have anything, so nothing is taken in its stead
        blocks = "".join(BLOCKS)
    return FoundSet(layout, first, blocks, embedded=embedded, problem=problem)


def _looks_embedded(file: h5py.File) -> bool:
    """Tell chunk vectors from one-hot bases: floats, and not four channels on either axis."""
    key = find_key(file, KEYS["P"])
    array = file[key] if key else None
    return isinstance(array, h5py.Dataset) and array.ndim == 3 and array.dtype.kind == "f" and 4 not in array.shape[1:]


def _wrong_files(root: Path, affixes: _Affixes, files: Mapping[str, list[Path]], others: list[str]) -> UserError | None:
    """Return the error for a split that has no file, or two."""
    fold, e, mirna, tf = affixes
    for split in SPLITS:
        if len(files.get(split, ())) > 1:
            twice = " and ".join(path.name for path in files[split])
            return UserError(f"the split '{split}' has two files: {twice}", where=root, do="keep one of them")
        if split in files:
            continue
        expected = [f"{fold}{e}{'microRNA_' if mirna else ''}{name}{tf}.h5" for name in SPLIT_NAMES[split]]
        close = [match for name in expected for match in get_close_matches(name, others, n=1, cutoff=0.7)]
        return UserError(
            f"the file of the split '{split}' is missing",
            where=root,
            expected=" or ".join(expected),
            received=", ".join(path.name for paths in files.values() for path in paths),
            do=(f"is it '{close[0]}'? Rename it to '{expected[0]}'" if close else "add the file")
            + ", or name another set of the folder with dataset.layout",
        )
    return None


def _token_sets(root: Path, names: list[str], fold: str, sets: list[FoundSet]) -> list[FoundSet]:
    """Return the sets made of a token file and the files beside it."""
    found = []
    for name in names:
        match = _TOKEN_FILE.fullmatch(name)
        if (match["fold"] if match else "") != fold:
            continue
        layout = "tokens_tf" if Path(name).stem.lower().endswith("_tf") else "tokens"
        problem = _token_problem(root / name)
        if problem is not None and match is None:
            continue  # some other file
        by_layout = {other.layout: other for other in reversed(sets)}
        companion = next((by_layout[name] for name in _COMPANIONS[layout] if name in by_layout), None)
        if companion is None:
            problem = problem or UserError(
                "a token file has no set beside it that brings labels and the other blocks",
                where=root / name,
                expected=LAYOUTS["xpresso_tf" if layout == "tokens_tf" else "xpresso"],
                received=", ".join(names),
                do="put those files into the same folder",
            )
            found.append(FoundSet(layout, {}, "".join(BLOCKS), tokens=root / name, problem=problem))
            continue
        blocks = "P" + companion.blocks.replace("P", "")
        found.append(FoundSet(layout, companion.files, blocks, root / name, problem=problem or companion.problem))
    return found


def _token_problem(path: Path) -> UserError | None:
    """Return what keeps a file from being a token file: it has one (n, length) array per split."""
    try:
        with open_file(path) as file:
            for split, names in SPLIT_NAMES.items():
                key = find_key(file, names)
                if key is None or not isinstance(file[key], h5py.Dataset):
                    return UserError(
                        f"a token file has no key for the split '{split}'",
                        where=path,
                        expected=" or ".join(names),
                        received=", ".join(file) or "no keys",
                        do="write the tokens of each split under such a key",
                    )
    except UserError as error:
        return error
    return None


def _no_set(root: Path, names: list[str], folds: list[int], fold: int | None) -> UserError:
    """Return the error for a folder without any set of the fold asked for."""
    there = ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
    if folds and fold not in folds:
        numbers = ", ".join(map(str, folds))
        return UserError(
            "the folder holds cross-validation folds only" if fold is None else f"the folder has no fold {fold}",
            where=root,
            expected=f"dataset.fold among {numbers}",
            received=there,
            do=f"set dataset.fold={folds[0]}",
        )
    if fold is not None and names:
        return UserError(
            "the folder has no cross-validation folds",
            where=root,
            expected=f"{fold}train.h5 {fold}valid.h5 {fold}test.h5",
            received=there,
            do="leave dataset.fold out",
        )
    if not there:
        there = ", ".join(sorted(path.name for path in root.iterdir())[:12]) or "an empty folder"
    layouts = "\n    ".join(f"{name}: {files}" for name, files in LAYOUTS.items())
    return UserError(
        "the folder holds no set of files that is known",
        where=root,
        expected=f"one of\n    {layouts}",
        received=there,
        do="set dataset.root to the folder that holds the files, or write them with genexp prepare",
    )
