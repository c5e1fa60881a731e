"""The file layouts that are read directly: one table, and how the sets of files in a folder are recognised by it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from genexp.blocks import BLOCKS, PROMOTER, in_order
from genexp.dataset.genes import SPLITS
from genexp.dataset.hdf5 import StoredArray, look_at, open_file
from genexp.dataset.problems import wrong
from genexp.dataset.storage import attribute, check_heaps
from genexp.errors import UserError, nearest


@dataclass(frozen=True)
class Layout:
    """A row of the table of layouts."""

    name: str  # what dataset.layout calls it
    files: str  # what its files are called, for messages
    prefix: str = ""  # what stands around the name of the split in a file name
    suffix: str = ""
    blocks: str = ""  # those that distinguish this layout, and that its file names promise
    embedded: bool = False  # whether its promoters are precomputed embeddings
    marked: bool = False  # whether its files carry the attribute `MARK`
    tokens: bool = False  # whether it is one file with the tokens of all splits, beside a set of another layout


#: Every layout, in the order in which ``dataset.layout=auto`` tries them; later rows are the more special ones.
_TABLE = (
    Layout("genexp", "train.h5 valid.h5 test.h5, written by genexp prepare", marked=True),
    Layout("xpresso", "train.h5 valid.h5 test.h5, or 1train.h5 ... for fold 1"),
    Layout("xpresso_tf", "train_tf.h5 validation_tf.h5 test_tf.h5", suffix="_tf", blocks="T"),
    Layout("xpresso_mirna", "microRNA_train.h5 microRNA_val.h5 microRNA_test.h5", prefix="microRNA_", blocks="M"),
    Layout("tokens", "translated_transformers.h5 beside one of the sets above", tokens=True),
    Layout("tokens_tf", "translated_transformers_tf.h5 beside one of them", suffix="_tf", blocks="T", tokens=True),
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
#: The root attributes that say what the labels are: a JSON list of their names, and their unit.
NAMES, UNIT = OF_LABELS = ("labels", "unit")
#: Those, in JSON, that name the feature columns and say how all values were scaled.
OF_COLUMNS = ("feature_names", "scaling")

#: The root attribute that says how promoters were embedded: vectors, chunks and window.
EMBEDDING = "embedding"

#: The root attribute ``tss`` of sequences without a transcription start site.
NO_TSS = "none"


def keys() -> dict[str, tuple[str, ...]]:
    """Return the keys under which files hold each block, the labels and the gene names; case does not matter."""
    return {letter: block.keys for letter, block in BLOCKS.items()} | _COLUMNS


def named(letters: Iterable[str]) -> str:
    """Return blocks by letter and name: ``"T (tf), M (mirna)"``."""
    return ", ".join(f"{letter} ({BLOCKS[letter].input})" for letter in letters)


@dataclass(frozen=True)
class Contents:
    """What one file holds: all its keys, the arrays under known keys in lower case, and attributes.

    The attributes are those that genexp writes; of a file without `MARK` only those of its labels.
    """

    path: Path
    keys: str
    arrays: Mapping[str, StoredArray]
    attributes: Mapping[str, Any]

    def find(self, names: Iterable[str]) -> StoredArray | None:
        """Return the array under one of these keys, whatever its case."""
        return next((self.arrays[name.lower()] for name in names if name.lower() in self.arrays), None)

    def lacking(self, what: str, names: Iterable[str], hint: str) -> UserError:
        """Return the error for a file without any of these keys."""
        return wrong(what, self.path, " or ".join(names), self.keys or "no keys", hint)


def look_into(path: Path) -> Contents:
    """Read the keys, shapes, types and attributes of a file."""
    known = {name.lower() for names in (*keys().values(), *SPLIT_NAMES.values()) for name in names}
    with open_file(path) as file:
        names = list(map(str, file))  # a damaged name is bytes
        arrays = {name.lower(): look_at(file, path, name) for name in names if name.lower() in known}
        kept = [name for name in file.attrs if MARK in file.attrs or name in (*OF_LABELS, *OF_COLUMNS, EMBEDDING)]
        if any(file.attrs.get_id(name).dtype.kind == "O" for name in kept):
            check_heaps(path)
        return Contents(path, ", ".join(names), arrays, {name: attribute(file, name) for name in kept})


@dataclass(frozen=True)
class FoundSet:
    """A set of files that belong together: its layout, and the file of each split that is there.

    `blocks` are those it has, or should have by its file names; `tokens` is the token file that brings the promoters;
    `problem` is raised when the set is chosen.
    """

    layout: str
    files: Mapping[str, Path]
    blocks: str
    tokens: Path | None = None
    problem: UserError | None = None

    def __str__(self) -> str:
        names = " ".join(path.name for path in self.files.values())
        return f"{self.tokens.name} with {names}" if self.tokens else names


def _any_of(words: Iterable[str]) -> str:
    return "|".join(sorted({*words} - {""}, key=len, reverse=True))


#: Fold, prefix, split and suffix in a file name.
_SPLIT_FILE = re.compile(
    rf"(\d*)((?:{_any_of(row.prefix for row in _TABLE)})*)({_any_of(sum(SPLIT_NAMES.values(), ()))})"
    rf"((?:{_any_of(row.suffix for row in _TABLE)})?)\.(?:h5|hdf5)",
    re.IGNORECASE,
)
_TOKEN_FILE = re.compile(r"(\d*)translated_transformers.*\.(?:h5|hdf5)", re.IGNORECASE)

#: Fold, prefix and suffix, in lower case; files that share them belong together.
_Affixes = tuple[str, str, str]


def find_sets(root: Path, fold: int | None = None) -> list[FoundSet]:
    """Return every set of files (of a cross-validation fold) in a folder, in the order of `LAYOUTS`."""
    names, others = _list_files(root), []
    groups: dict[_Affixes, dict[str, list[Path]]] = {}
    for name in names:
        if match := _SPLIT_FILE.fullmatch(name):
            number, prefix, label, suffix = match[1], match[2].lower(), match[3].lower(), match[4].lower()
            split = next(split for split, known in SPLIT_NAMES.items() if label in known)
            groups.setdefault((number, prefix, suffix), {}).setdefault(split, []).append(root / name)
        else:
            others.append(name)
    wanted = "" if fold is None else str(fold)
    sets = [_recognise(root, *group, others) for group in sorted(groups.items()) if group[0][0] == wanted]
    order = list(LAYOUTS)
    sets.sort(key=lambda found: order.index(found.layout))
    sets += _token_sets(root, others, wanted, sets)
    if sets:
        return sorted(sets, key=lambda found: order.index(found.layout))
    folds = fold_numbers(root)
    hint = "set dataset.root to the folder that holds the files, or write them with genexp prepare"
    if folds and fold not in folds:
        hint = f"set dataset.fold among {', '.join(map(str, folds))}"
    elif fold is not None and names:
        hint = "leave dataset.fold out"
    there = ", ".join((names or sorted(path.name for path in root.iterdir()))[:12]) or "an empty folder"
    expected = "one of" + "".join(f"\n    {layout.name}: {layout.files}" for layout in _TABLE)
    what = f"the folder holds no known set of files{'' if fold is None else f' of fold {fold}'}"
    raise wrong(what, root, expected, there + (f" and {len(names) - 12} more" if len(names) > 12 else ""), hint)


def fold_numbers(root: Path) -> list[int]:
    """Return the numbers of the cross-validation folds that have files in a folder, sorted."""
    found = (_SPLIT_FILE.fullmatch(name) for name in _list_files(root))
    return sorted({int(match[1]) for match in found if match and match[1]})


def choose_set(root: Path, sets: list[FoundSet], layout: str, need: str) -> FoundSet:
    """Return the set of the layout asked for, or the first with all blocks needed; never another than a damaged one."""
    if layout != "auto" and layout not in LAYOUTS:
        hint = f"{nearest(layout, LAYOUTS)}dataset.layout=auto finds the layout by looking"
        raise wrong(f"there is no layout '{layout}'", "dataset.layout", f"auto, {', '.join(LAYOUTS)}", None, hint)
    there = "; ".join(f"{found.layout} ({found}) with {' '.join(found.blocks) or 'no blocks'}" for found in sets)
    right = [found for found in sets if layout in ("auto", found.layout)]
    if not right:
        what, hint = f"the folder has no set of the layout '{layout}'", "set dataset.layout to one of these, or to auto"
        raise wrong(what, root, LAYOUTS[layout].files, there, hint)
    for found in right:
        if set(need) <= set(found.blocks):
            if found.problem is not None:
                raise found.problem
            return found
    lacking = named(letter for letter in in_order(need) if all(letter not in found.blocks for found in right))
    what = f"no set in the folder has {f'the block {lacking}' if lacking else f'all of {need}'}"
    what = f"the {layout} set has no block {lacking}" if lacking and layout != "auto" else what
    better = [f"set dataset.layout={found.layout}" for found in sets if set(need) <= set(found.blocks)]
    hint = better[0] if better else "use a folder that has them, or choose other blocks (data=...)"
    raise wrong(what, root, f"the blocks of data={need}", there, hint)


def _list_files(root: Path) -> list[str]:
    """Return the names of the HDF5 files in a folder, sorted."""
    try:
        return sorted(path.name for path in root.iterdir() if path.suffix.lower() in (".h5", ".hdf5"))
    except NotADirectoryError:
        what, hint = "the dataset is a file, not a folder", f"set dataset.root={root.parent}, the folder it is in"
    except FileNotFoundError:
        siblings = [path.name for path in root.parent.iterdir()] if root.parent.is_dir() else []
        what, files = "the dataset folder does not exist", "train.h5, valid.h5 and test.h5"
        hint = f"{nearest(root.name, siblings)}set dataset.root to the folder that holds {files}"
    except OSError as error:
        what, hint = f"the dataset folder cannot be read: {error.strerror}", "ask for the permission to read it"
    raise wrong(what, "dataset.root", "a folder with the HDF5 files of each split", root, hint)


def _recognise(root: Path, affixes: _Affixes, files: Mapping[str, list[Path]], others: list[str]) -> FoundSet:
    """Open one file of a set and find its layout: by the mark, the kind of its promoters and its blocks."""
    _, prefix, suffix = affixes
    sets = [row for row in _TABLE if not row.tokens]
    hinted = [row for row in sets if row.prefix.lower() in prefix and row.suffix in suffix and row.prefix + row.suffix]
    marked, embedded, present, problem = False, any(row.embedded for row in hinted), "", None
    first = {split: files[split][0] for split in SPLITS if split in files}
    try:
        found = look_into(next(iter(first.values())))
        marked = MARK in found.attributes
        present = "".join(letter for letter, block in BLOCKS.items() if found.find(block.keys))
        promoter = found.find(BLOCKS[PROMOTER].keys)
        if promoter is not None:  # chunk vectors, not one-hot bases, are floats without four channels on either axis
            embedded |= promoter.kind == "f" and len(promoter.shape) == 3 and 4 not in promoter.shape[1:]
        _check_files(root, affixes, files, others)
    except UserError as error:
        problem = error
    blocks = in_order(present + "".join(row.blocks for row in hinted))
    kind = [row for row in sets if row.marked == marked and (marked or row.embedded == embedded)]
    layout = next(row.name for row in reversed(kind) if set(row.blocks) <= set(blocks))
    if problem is not None and not present:  # unreadable: it may have anything, so no other set is used in its place
        blocks = "".join(BLOCKS)
    return FoundSet(layout, first, blocks, problem=problem)


def _check_files(root: Path, affixes: _Affixes, files: Mapping[str, list[Path]], others: list[str]) -> None:
    """Raise an error for a split that has no file, or two."""
    fold, prefix, suffix = affixes
    for split, labels in SPLIT_NAMES.items():
        if len(files.get(split, ())) > 1:
            twice = " and ".join(path.name for path in files[split])
            raise wrong(f"the split '{split}' has two files: {twice}", root, None, None, "keep one of them")
        if split not in files:
            prefix = next((row.prefix for row in _TABLE if row.prefix.lower() == prefix), prefix)
            names = [f"{fold}{prefix}{label}{suffix}.h5" for label in labels]
            close = [match for name in names for match in get_close_matches(name, others, n=1, cutoff=0.7)]
            rename = f"is it '{close[0]}'? Rename it to '{names[0]}'" if close else "add the file"
            there = ", ".join(path.name for paths in files.values() for path in paths)
            what, hint = f"the file of the split '{split}' is missing", f"{rename}, or choose another dataset.layout"
            raise wrong(what, root, " or ".join(names), there, hint)


def _token_sets(root: Path, names: list[str], fold: str, sets: list[FoundSet]) -> list[FoundSet]:
    """Return the sets made of a token file and the files beside it."""
    found = []
    sets = sorted(sets, key=lambda other: len(LAYOUTS[other.layout].blocks))  # the least special first
    for name in names:
        match, path, problem = _TOKEN_FILE.fullmatch(name), root / name, None
        try:
            _check_tokens(path)
        except UserError as error:
            problem = error
        if (match[1] if match else "") != fold or (problem and not match):
            continue  # another fold, or some other file
        row = next(row for row in reversed(_TABLE) if row.tokens and path.stem.lower().endswith(row.suffix))
        companion = next((other for other in sets if set(row.blocks) <= set(other.blocks)), None)
        if companion is None:
            what = "a token file has no set beside it that brings labels and the other blocks"
            files, hint = LAYOUTS[f"xpresso{row.suffix}"].files, "put those files into the same folder"
            problem = problem or wrong(what, path, files, ", ".join(names), hint)
            companion = FoundSet(row.name, {}, "".join(BLOCKS))
        blocks = in_order(PROMOTER + companion.blocks)
        found.append(FoundSet(row.name, companion.files, blocks, path, problem or companion.problem))
    return found


def _check_tokens(path: Path) -> None:
    """Raise an error for a file that is no token file: it has one (n, length) array per split."""
    contents = look_into(path)
    for split, names in SPLIT_NAMES.items():
        array = contents.find(names)
        if array is None or not array.shape:
            what, hint = f"a token file has no key for the split '{split}'", "write its tokens under such a key"
            raise contents.lacking(what, names, hint)
