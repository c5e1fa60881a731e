"""Which genes are trained on, which validate and which test: at random, by chromosome, by group or as a file says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from genexp.dataset.genes import SPLITS
from genexp.dataset.layouts import SPLIT_NAMES
from genexp.errors import UserError, nearest
from genexp.prepare.fasta import plain_name
from genexp.prepare.genes import GeneNames, check_unique, join
from genexp.prepare.opening import few
from genexp.prepare.tables import Table, look_at, numbers_in

if TYPE_CHECKING:
    import pandas as pd

#: Rows of the genes in each split.
Rows = dict[str, np.ndarray]

#: Size of each held-out split by default: of the published split, and as a part of the genes.
PUBLISHED_SIZE = 1000
DEFAULT_PART = 0.1

_SPLIT_OF = {name: split for split, names in SPLIT_NAMES.items() for name in names}
_GROUP_HEADINGS = frozenset(
    {"group", "family", "cluster", "orthogroup", "homology", "paralogs", "chromosome", "chrom", "chr", "seqname"}
)


def rows_of(code: np.ndarray) -> Rows:
    """Return the rows of each split from (n,) codes: 0 train, 1 valid, 2 test."""
    return {name: np.flatnonzero(code == n) for n, name in enumerate(SPLITS)}


def size_of(wanted: object, genes: int, published: bool, key: str) -> int:
    """Return a number of genes from a number, a part below 1, or null; raise a UserError if it is none of these."""
    if wanted is None:
        return PUBLISHED_SIZE if published else round(DEFAULT_PART * genes)
    if isinstance(wanted, bool) or not isinstance(wanted, int | float) or wanted <= 0:
        expected = "a number of genes, a part of them below 1, or with split.by=chromosome a list of chromosomes"
        hint = f"for example {key}=1000 or {key}=0.1"
        raise UserError(f"{key} is impossible", expected=expected, received=wanted, hint=hint)
    return round(wanted * genes) if wanted < 1 else int(wanted)


def _cut(order: np.ndarray, valid: int, test: int) -> Rows:
    """The last genes of an order test, those before them validate; or all that there are."""
    cuts = [max(0, len(order) - valid - test), max(0, len(order) - test)]
    return dict(zip(SPLITS, np.split(order, cuts), strict=True))


def published_split(genes: int, valid: int, test: int, seed: int = 1) -> Rows:
    """Shuffle as pandas' ``sample(frac=1, random_state=seed)`` does; the last test, those before them validate."""
    return _cut(np.random.RandomState(seed).permutation(genes), valid, test)


def published_folds(genes: int, folds: int, valid: int, seed: int = 1) -> list[Rows]:
    """Cut the published order into folds; the first `valid` genes outside a test fold validate (Xpresso's ``--cv``)."""
    order = np.random.RandomState(seed).permutation(genes)
    result = []
    for test in np.array_split(order, folds):
        rest = order[~np.isin(order, test)]
        result.append({"train": rest[valid:], "valid": rest[:valid], "test": test})
    return result


def split_at_random(genes: int, valid: int, test: int, seed: int) -> Rows:
    """Split single genes at random, each split in the order of the genes."""
    order = np.random.default_rng(seed).permutation(genes)
    return {name: np.sort(rows) for name, rows in _cut(order, valid, test).items()}


def split_groups(groups: np.ndarray, valid: int, test: int, seed: int) -> Rows:
    """Share out whole groups of genes, (n,) values, at random until the held-out splits have about their sizes.

    A group is added to a split as long as that brings it nearer to its size.
    """
    names, members, number = np.unique(groups, return_inverse=True, return_counts=True)
    free = list(np.random.default_rng(seed).permutation(len(names)))
    split_of = np.zeros(len(names), int)
    for code, size in ((2, test), (1, valid)):
        have = 0
        for group in list(free):
            if abs(have + number[group] - size) < abs(have - size):
                have += number[group]
                split_of[group] = code
                free.remove(group)
    return rows_of(split_of[members])


def fold_groups(groups: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Return the fold of each gene (n,) from 0, with whole groups in folds of about equal size.

    The largest group is first; each goes to the smallest fold.
    """
    names, members, number = np.unique(groups, return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(names))
    order = order[np.argsort(-number[order], kind="stable")]
    size, fold_of = np.zeros(folds, int), np.zeros(len(names), int)
    for group in order:
        fold_of[group] = int(np.argmin(size))
        size[fold_of[group]] += number[group]
    return np.asarray(fold_of[members])


def rotate(fold_of: np.ndarray, folds: int) -> list[Rows]:
    """Let each fold test once, and the next one validate; genes of no fold (-1) are left out."""
    codes = [np.where(fold_of == n, 2, np.where(fold_of == (n + 1) % folds, 1, 0)) for n in range(folds)]
    return [rows_of(np.where(fold_of < 0, -1, code)) for code in codes]


def split_chromosomes(chromosome: np.ndarray, valid: Sequence[str] | int, test: Sequence[str] | int, seed: int) -> Rows:
    """Split by chromosome: those named, or whole chromosomes at random that hold about a number of genes.

    A UserError is raised if a chromosome is named that no gene lies on, or twice.
    """
    plain = np.array([plain_name(name) for name in chromosome])
    code = np.zeros(len(plain), int)
    wanted = sorted({"test": test, "valid": valid}.items(), key=lambda item: isinstance(item[1], int))
    for split, names in wanted:  # names first
        if isinstance(names, int):
            left = np.flatnonzero(code == 0)
            mine = left[split_groups(plain[left], 0, names, seed)["test"]]
        else:
            mine = _named_chromosomes(chromosome, plain, names, split)
            if (code[mine] > 0).any():
                received = few(np.unique(plain[mine[code[mine] > 0]]))
                raise UserError("a chromosome is in two splits", where="split.valid, split.test", received=received)
        code[mine] = SPLITS.index(split)
    return rows_of(code)


def _named_chromosomes(chromosome: np.ndarray, plain: np.ndarray, names: Sequence[str], split: str) -> np.ndarray:
    wanted = [plain_name(name) for name in names]
    for unknown in sorted(set(wanted) - set(plain))[:1]:
        there = sorted(set(map(str, chromosome)))
        what, hint = f"no gene lies on chromosome {unknown}", nearest(unknown, there) or None
        raise UserError(what, where=f"split.{split}", expected=few(there, 40), hint=hint)
    return np.flatnonzero(np.isin(plain, wanted))


def read_split_file(path: Path, genes: GeneNames, column: str | None, *, folds: int | None) -> tuple[str, np.ndarray]:
    """Return the column and the split (0 train, 1 valid, 2 test) or fold (from 0) of each gene; -1 for none.

    The table has the gene in the first column, and a column with ``train``, ``valid`` and ``test``, or with numbers of
    folds from 1: `column`, or the one that holds nothing else. A UserError is raised if there is none.
    """
    about, rows, row_of = _read(path, genes, column)
    codes = {name: _codes(rows[name], folds) for name in ([column] if column else about.columns[1:])}
    for name, code in codes.items():
        if ((code >= 0) | (_labels(rows[name]) == "")).all() and (code >= 0).any():
            if not folds and name.lower() in _SPLIT_OF:
                raise about.no_header(["gene", "split"])
            return name, np.where(row_of >= 0, code[row_of], -1)
    raise _no_split(about, rows, {name: code >= 0 for name, code in codes.items()}, folds)


def _no_split(about: Table, rows: pd.DataFrame, right: dict[str, np.ndarray], folds: int | None) -> UserError:
    """Name the first invalid split label, in the column that has most splits."""
    best = max(right, key=lambda name: int(right[name].sum()))
    what, hint = "the file does not say which split each gene is in", "name another column with split.column"
    expected = f"numbers 1 to {folds}, or nothing" if folds else f"{', '.join(_SPLIT_OF)}, or nothing"
    if right[best].any():
        row = int(np.flatnonzero(~right[best] & (_labels(rows[best]) != "").to_numpy(bool))[0])
        label, gene = str(rows[best].iloc[row]), rows.iloc[row, 0]
        hint = f"{'' if folds else nearest(label.lower(), _SPLIT_OF)}correct it, or {hint}"
        return about.bad_cell(what, best, row + about.first_line, gene, expected, label, hint)
    received = few(rows[best].unique(), 6) if len(right) == 1 else f"columns {', '.join(right)}"
    return UserError(what, where=about.where, expected=expected, received=received, hint=hint)


def read_groups(path: Path, genes: GeneNames, column: str | None) -> tuple[str, np.ndarray]:
    """Return the column and the group of each gene; a gene that the table lacks is a group of its own.

    The group is in `column`, or in one called group, family, cluster, chromosome ..., else in the second.
    """
    about, rows, row_of = _read(path, genes, column)
    headed = [name for name in about.columns[1:] if name.lower() in _GROUP_HEADINGS]
    chosen = column or (headed or about.columns[1:])[0]
    there = (row_of >= 0) & rows[chosen].notna().to_numpy()[row_of]
    alone = np.array([f"gene {gene} alone" for gene in genes.ids])
    return chosen, np.where(there, rows[chosen].astype(str).to_numpy()[row_of], alone)


def _read(path: Path, genes: GeneNames, column: str | None) -> tuple[Table, pd.DataFrame, np.ndarray]:
    about = look_at(path, "split.file")
    rows, names = about.read(), about.columns
    if genes.is_gene(names[0]):
        raise about.no_header(["gene", "split"])
    if column is not None and column not in names:
        what, where, hint = f"there is no column {column}", f"split.column, {path}", nearest(column, names) or None
        raise UserError(what, where=where, expected=", ".join(names), hint=hint)
    if len(names) < 2:
        what, expected = "the file has one column only", "genes, and their split or group beside them"
        raise UserError(what, where=about.where, expected=expected, received=names[0])
    check_unique(rows[names[0]].tolist(), about.where, about.first_line)
    return about, rows, join(genes, rows[names[0]].tolist(), about.where).rows


def _codes(column: pd.Series[Any], folds: int | None) -> np.ndarray:
    """Return the split or fold of each row, -1 where it names none."""
    if folds:
        numbers = numbers_in(column)
        return numbers.where(numbers.isin(range(1, folds + 1)), 0).to_numpy(int) - 1
    return (
        _labels(column).map({name: SPLITS.index(split) for name, split in _SPLIT_OF.items()}).fillna(-1).to_numpy(int)
    )


def _labels(column: pd.Series[Any]) -> pd.Series[Any]:
    return column.astype(object).fillna("").astype(str).str.strip().str.lower()


def overlapping(rows: Mapping[str, np.ndarray], chromosome: np.ndarray, start: np.ndarray, length: int) -> Rows:
    """Find genes whose promoter window overlaps one of a later split: train with valid or test, valid with test.

    Windows begin at `start` (n,) of `chromosome` (n,) and have `length` bases. For each split a bool array of its genes
    is returned.
    """
    _, place = np.unique(chromosome, return_inverse=True)
    # One line for all chromosomes, far enough apart.
    lowest = int(start.min())
    line = place * (int(start.max()) - lowest + 2 * length + 1) + (start - lowest)
    found = {name: np.zeros(len(mine), bool) for name, mine in rows.items()}
    for name, later in (("train", ("valid", "test")), ("valid", ("test",))):
        others = np.sort(np.concatenate([line[rows[split]] for split in later]))
        mine = line[rows[name]]
        first = np.searchsorted(others, mine - length, "right")
        found[name] = first < np.searchsorted(others, mine + length, "left")
    return found
