"""Which genes are trained on, which validate and which test: at random, by chromosome, by group or as a file says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from genexp.dataset.genes import SPLITS
from genexp.dataset.layouts import SPLIT_NAMES
from genexp.errors import UserError, nearest
from genexp.prepare.fasta import plain_name
from genexp.prepare.names import GeneNames, check_unique, is_gene, join
from genexp.prepare.tables import bad_cell, first_line, no_header, numbers_in, read_table

if TYPE_CHECKING:
    import pandas as pd

#: Rows of the genes in each split.
Rows = dict[str, np.ndarray]

#: Sizes of the published split.
PUBLISHED_SIZE = 1000
#: Part of the genes that validates, and that tests, by default.
DEFAULT_PART = 0.1

_SPLIT_OF = {name: split for split, names in SPLIT_NAMES.items() for name in names}
_GROUP_HEADINGS = frozenset(
    {"group", "family", "cluster", "orthogroup", "homology", "paralogs", "chromosome", "chrom", "chr", "seqname"}
)


@dataclass(frozen=True)
class Sizes:
    """How many genes validate and test."""

    valid: int
    test: int


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


def sizes(valid: object, test: object, genes: int, *, published: bool) -> Sizes:
    """Return the sizes of both held-out splits, or raise a UserError if a split, or what is left, would be empty."""
    found = Sizes(size_of(valid, genes, published, "split.valid"), size_of(test, genes, published, "split.test"))
    if found.valid < 1 or found.test < 1 or found.valid + found.test >= genes:
        default = f"; recipe=published holds out {PUBLISHED_SIZE:,} in each by default" if published else ""
        raise UserError(
            "the splits leave no genes to train on" if found.valid and found.test else "a split would be empty",
            expected=f"fewer than the {genes:,} genes, and at least 1 in each",
            received=f"{found.valid:,} to validate and {found.test:,} to test",
            hint=f"set split.valid and split.test{default}",
        )
    return found


def published_split(genes: int, wanted: Sizes, seed: int = 1) -> Rows:
    """Shuffle as pandas' ``sample(frac=1, random_state=seed)`` does; the last test, those before them validate."""
    order = np.random.RandomState(seed).permutation(genes)
    return dict(zip(SPLITS, np.split(order, [genes - wanted.valid - wanted.test, genes - wanted.test]), strict=True))


def published_folds(genes: int, folds: int, valid: int, seed: int = 1) -> list[Rows]:
    """Cut the published order into folds; the first `valid` genes outside a test fold validate (Xpresso's ``--cv``)."""
    order = np.random.RandomState(seed).permutation(genes)
    result = []
    for test in np.array_split(order, folds):
        rest = order[~np.isin(order, test)]
        result.append({"train": rest[valid:], "valid": rest[:valid], "test": test})
    return result


def split_at_random(genes: int, wanted: Sizes, seed: int) -> Rows:
    """Split single genes at random, each split in the order of the genes."""
    order = np.random.default_rng(seed).permutation(genes)
    cuts = np.split(order, [genes - wanted.valid - wanted.test, genes - wanted.test])
    return {name: np.sort(rows) for name, rows in zip(SPLITS, cuts, strict=True)}


def split_groups(groups: np.ndarray, wanted: Sizes, seed: int) -> Rows:
    """Share out whole groups of genes, (n,) values, at random until the held-out splits have about their sizes.

    A group is added to a split as long as that brings it nearer to its size.
    """
    names, members, number = np.unique(groups, return_inverse=True, return_counts=True)
    free = list(np.random.default_rng(seed).permutation(len(names)))
    split_of = np.zeros(len(names), int)
    for code, size in ((2, wanted.test), (1, wanted.valid)):
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
    result = []
    for fold in range(folds):
        code = np.where(fold_of == fold, 2, np.where(fold_of == (fold + 1) % folds, 1, 0))
        result.append(rows_of(np.where(fold_of < 0, -1, code)))
    return result


def split_chromosomes(chromosome: np.ndarray, valid: Sequence[str] | int, test: Sequence[str] | int, seed: int) -> Rows:
    """Split by chromosome: those named, or for a number whole chromosomes at random until there are about so many.

    A UserError is raised if a chromosome is named that no gene lies on, or twice.
    """
    plain = np.array([plain_name(name) for name in chromosome])
    wanted = {"test": test, "valid": valid}
    named: dict[str, set[str]] = {}
    for key, names in wanted.items():
        if not isinstance(names, int):
            named[key] = {plain_name(name) for name in names}
            unknown = sorted(named[key] - set(plain))
            if unknown:
                there = sorted(set(map(str, chromosome)))
                what, hint = f"no gene lies on chromosome {unknown[0]}", nearest(unknown[0], there) or None
                raise UserError(what, where=f"split.{key}", expected=", ".join(there[:40]), hint=hint)
    both = named.get("valid", set()) & named.get("test", set())
    if both:
        received = ", ".join(both)
        raise UserError("a chromosome is in two splits", where="split.valid, split.test", received=received)
    code = np.zeros(len(plain), int)
    for key, members in named.items():
        code[np.isin(plain, list(members))] = SPLITS.index(key)
    for key, number in wanted.items():
        if isinstance(number, int):
            left = np.flatnonzero(code == 0)
            code[left[split_groups(plain[left], Sizes(0, number), seed)["test"]]] = SPLITS.index(key)
    return rows_of(code)


def read_split_file(path: Path, genes: GeneNames, column: str | None, *, folds: int | None) -> tuple[str, np.ndarray]:
    """Return the column and the split (0 train, 1 valid, 2 test) or fold (from 0) of each gene; -1 for none.

    The table has the gene in the first column, and a column with ``train``, ``valid`` and ``test``, or with numbers of
    folds from 1: `column`, or the one that holds nothing else. A UserError is raised if there is none.
    """
    table = _table(path, column, genes)
    columns = [column] if column else list(table.columns[1:])
    codes = {name: _codes(table[name], folds) for name in columns}
    fitting = {name: code for name, code in codes.items() if code is not None}
    if any(not folds and str(name).lower() in _SPLIT_OF for name in fitting):
        raise no_header(path, "split.file", list(table.columns), ["gene", "split"])
    if not fitting:
        raise _no_split(table, path, columns, folds)
    name, code = next(iter(fitting.items()))
    rows = _rows_in(table, genes, path)
    return str(name), np.where(rows >= 0, code[rows], -1)


def _no_split(table: pd.DataFrame, path: Path, columns: list[str], folds: int | None) -> UserError:
    """Name the first invalid split label, in the column that has most splits."""
    right = {name: _is_code(table[name], folds) for name in columns}
    best = max(right, key=lambda name: int(right[name].sum()))
    what, where = "the file does not say which split each gene is in", f"split.file={path}"
    expected = f"numbers 1 to {folds}, or nothing" if folds else f"{', '.join(_SPLIT_OF)}, or nothing"
    hint = "name another column with split.column"
    if right[best].any():
        row = int(np.flatnonzero(~right[best] & (_labels(table[best]) != "").to_numpy(bool))[0])
        label, gene = str(table[best].iloc[row]), table.iloc[row, 0]
        hint = f"{'' if folds else nearest(label.lower(), _SPLIT_OF)}correct it, or {hint}"
        return bad_cell(what, where, best, row + first_line(path, "split.file"), gene, expected, label, hint)
    received = f"columns {', '.join(map(str, columns))}"
    if len(columns) == 1:
        received = ", ".join(map(str, table[best].unique()[:6]))
    return UserError(what, where=where, expected=expected, received=received, hint=hint)


def read_groups(path: Path, genes: GeneNames, column: str | None) -> tuple[str, np.ndarray]:
    """Return the column and the group of each gene; a gene that the table lacks is a group of its own.

    The group is in `column`, or in one called group, family, cluster, chromosome ..., else in the second.
    """
    table = _table(path, column, genes)
    headed = [name for name in table.columns[1:] if str(name).lower() in _GROUP_HEADINGS]
    chosen = column or (headed or list(table.columns[1:]))[0]
    rows = _rows_in(table, genes, path)
    groups = table[chosen].astype(str).to_numpy()
    there = (rows >= 0) & table[chosen].notna().to_numpy()[rows]
    alone = np.array([f"gene {gene} alone" for gene in genes.ids])
    return str(chosen), np.where(there, groups[rows], alone)


def _table(path: Path, column: str | None, genes: GeneNames) -> pd.DataFrame:
    table, where = read_table(path, "split.file"), f"split.file={path}"
    names = list(map(str, table.columns))
    if is_gene(names[0], genes):
        raise no_header(path, "split.file", names, ["gene", "split"])
    if column is not None and column not in names:
        hint = nearest(column, names) or None
        raise UserError(
            f"there is no column {column}", where=f"split.column, {path}", expected=", ".join(names), hint=hint
        )
    if len(names) < 2:
        expected = "genes, and their split or group beside them"
        raise UserError("the file has one column only", where=where, expected=expected, received=names[0])
    check_unique([str(name) for name in table.iloc[:, 0]], where, first_line(path, "split.file"))
    return table


def _rows_in(table: pd.DataFrame, genes: GeneNames, path: Path) -> np.ndarray:
    return join(genes, [str(name) for name in table.iloc[:, 0]], f"split.file={path}").rows


def _codes(column: pd.Series[Any], folds: int | None) -> np.ndarray | None:
    """Return the split or fold of each row, -1 for none, or None if the column holds something else."""
    empty = (_labels(column) == "").to_numpy(bool)
    if not (_is_code(column, folds) | empty).all() or empty.all():
        return None
    if folds:
        return numbers_in(column).fillna(0).to_numpy(int) - 1
    return (
        _labels(column).map({name: SPLITS.index(split) for name, split in _SPLIT_OF.items()}).fillna(-1).to_numpy(int)
    )


def _is_code(column: pd.Series[Any], folds: int | None) -> np.ndarray:
    """Return for each row whether it names a split or fold."""
    codes = numbers_in(column).isin(range(1, folds + 1)) if folds else _labels(column).isin(list(_SPLIT_OF))
    return codes.to_numpy(bool)


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
