"""Which genes are trained on, which validate and which test: at random, by chromosome, by group or as a file says."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from genexp.dataset.genes import SPLITS
from genexp.dataset.layouts import SPLIT_NAMES
from genexp.errors import UserError, nearest
from genexp.config.words import spelled
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
_GROUP_HEADINGS = frozenset({"group", "family", "cluster", "orthogroup", "homology", "paralogs"})
_CHROMOSOME_HEADINGS = frozenset({"chromosome", "chrom", "chr", "seqname"})


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
    free = np.random.default_rng(seed).permutation(len(names)).tolist()
    split_of = np.zeros(len(names), int)
    for code, size in ((2, test), (1, valid)):
        have, rest = 0, []
        for group in free:
            if abs(have + number[group] - size) < abs(have - size):
                have += number[group]
                split_of[group] = code
            else:
                rest.append(group)
        free = rest
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
    names = [[plain_name(name) for name in wanted] if not isinstance(wanted, int) else wanted for wanted in (valid, test)]
    return split_named(plain, plain, names[0], names[1], seed, "chromosome", sorted(set(map(str, chromosome))))


def split_named(
    values: np.ndarray,
    groups: np.ndarray,
    valid: Sequence[str] | int,
    test: Sequence[str] | int,
    seed: int,
    kind: str,
    there: Sequence[str] | None = None,
) -> Rows:
    """Hold out the genes with the values that are named, or about a number of the others, whole groups at random.

    `values` and `groups` are (n,); `kind` is what a value is, and `there` are the values as messages name them.
    """
    code = np.zeros(len(values), int)
    wanted = sorted({"test": test, "valid": valid}.items(), key=lambda item: isinstance(item[1], int))  # names first
    for split, names in wanted:
        if isinstance(names, int):
            left = np.flatnonzero((code == 0) & ~np.isin(groups, groups[code > 0]))
            mine = left[split_groups(groups[left], 0, names, seed)["test"]]
        else:
            for unknown in sorted(set(names) - set(values))[:1]:
                known = there or sorted({str(value) for value in values} - {""})
                hint = nearest(unknown, known) or None
                what = f"no gene lies on chromosome {unknown}" if kind == "chromosome" else f"there is no {kind} {unknown}"
                raise UserError(what, where=f"split.{split}", expected=few(known, 40), hint=hint)
            mine = np.flatnonzero(np.isin(values, names))
            if (code[mine] > 0).any():
                received = few(np.unique(values[mine[code[mine] > 0]]))
                raise UserError(f"a {kind} is in two splits", where="split.valid, split.test", received=received)
        code[mine] = SPLITS.index(split)
    return rows_of(code)


def separated(rows: Rows, groups: np.ndarray) -> int:
    """Return how many genes have another of their group (n,) in another split."""
    code = np.full(len(groups), -1)
    for n, name in enumerate(SPLITS):
        code[rows[name]] = n
    used = np.flatnonzero(code >= 0)
    _, group = np.unique(groups[used], return_inverse=True)
    inside = np.zeros((group.max(initial=-1) + 1, len(SPLITS)), bool)
    inside[group, code[used]] = True
    return int((inside.sum(axis=1) > 1)[group].sum())


def read_split_file(path: Path, genes: GeneNames, column: str | None, *, folds: int | None) -> tuple[str, list[Rows]]:
    """Return the column and the rows of each split, of each fold.

    The table has the gene in the first column, and a column with ``train``, ``valid`` and ``test``, or with numbers of
    folds from 1: `column`, or the one that holds nothing else; or a column of splits for each fold, called fold_1,
    fold_2, ... Genes that have none of these are in no split. A UserError is raised if no column fits, or several do.
    """
    about, rows, row_of = _read(path, genes, column)
    if folds and column is None and (names := _fold_columns(about.columns, folds)):
        codes = [_checked(about, rows, [name], None)[1][row_of] for name in names]
        return f"{names[0]} to {names[-1]}", [rows_of(np.where(row_of >= 0, code, -1)) for code in codes]
    name, code = _checked(about, rows, [column] if column else about.columns[1:], folds)
    return name, in_folds(np.where(row_of >= 0, code[row_of], -1), folds)


def in_folds(code: np.ndarray, folds: int | None) -> list[Rows]:
    """Return the rows of each split, of each fold, from (n,) splits (0 train, 1 valid, 2 test) or folds from 0."""
    return rotate(code, folds) if folds else [rows_of(code)]


def _fold_columns(columns: Sequence[str], folds: int) -> list[str]:
    """Return the columns fold_1, fold_2, ..., one for each fold, or none of them."""
    plain = {re.sub(r"[^a-z0-9]", "", name.lower()): name for name in columns}
    return [plain[f"fold{n}"] for n in range(1, folds + 1)] if f"fold{folds}" in plain and "fold1" in plain else []


def _checked(about: Table, rows: pd.DataFrame, names: Sequence[str], folds: int | None) -> tuple[str, np.ndarray]:
    """Return the one of the columns that says the split or fold of each row, and its codes, or raise a UserError."""
    codes = {name: codes_of(rows[name], folds) for name in names}
    fit = [n for n, code in codes.items() if ((code >= 0) | (labels_in(rows[n]) == "")).all() and (code >= 0).any()]
    if not fit:
        raise _no_split(about, rows, {name: code >= 0 for name, code in codes.items()}, folds)
    if not folds and fit[0].lower() in _SPLIT_OF:
        raise about.no_header(["gene", "split"])
    if any((codes[name] != codes[fit[0]]).any() for name in fit):
        what, hint = "several columns say a split or fold, not the same", f"choose one: split.column={fit[0]}"
        raise UserError(what, where=about.where, received=few(fit), hint=hint)
    return fit[0], codes[fit[0]]


def _no_split(about: Table, rows: pd.DataFrame, right: dict[str, np.ndarray], folds: int | None) -> UserError:
    """Name the first invalid split label, in the column that has most splits."""
    best = max(right, key=lambda name: int(right[name].sum()))
    what, hint = "the file does not say which split each gene is in", "name another column with split.column"
    expected = f"{expected_labels(folds)}, or nothing"
    if right[best].any():
        row = int(np.flatnonzero(~right[best] & (labels_in(rows[best]) != "").to_numpy(bool))[0])
        label, gene = str(rows[best].iloc[row]), rows.iloc[row, 0]
        hint = f"{'' if folds else nearest(label.lower(), _SPLIT_OF)}correct it, or {hint}"
        return about.bad_cell(what, best, row + about.first_line, gene, expected, label, hint)
    received = few(rows[best].unique(), 6) if len(right) == 1 else f"columns {', '.join(right)}"
    return UserError(what, where=about.where, expected=expected, received=received, hint=hint)


def codes_given(values: np.ndarray, folds: int | None, column: str, where: str) -> np.ndarray:
    """Return the split or fold of each row, -1 where (n,) text is empty; raise a UserError if it is anything else."""
    import pandas as pd

    texts = pd.Series(values, dtype=object)
    code = codes_of(texts, folds)
    wrong = np.flatnonzero((code < 0) & (labels_in(texts) != ""))
    if len(wrong):
        found = texts.iloc[wrong].unique()
        what, received = f"column {column} does not say which split each sequence is in", few(found, 6)
        close = "" if folds else nearest(str(found[0]).lower(), _SPLIT_OF)
        hint = f"{close}correct it, or hold out its values by name: {spelled('split.test', [str(found[-1])])}"
        raise UserError(what, where=where, expected=f"{expected_labels(folds)}, or nothing", received=received, hint=hint)
    return code


def expected_labels(folds: int | None) -> str:
    """Return what a column of splits or folds may hold."""
    return f"numbers 1 to {folds}" if folds else ", ".join(_SPLIT_OF)


def read_groups(path: Path, genes: GeneNames, column: str | None, by: str) -> tuple[str, np.ndarray]:
    """Return the column and the group of each gene; a gene that the table lacks is a group of its own.

    The group is in `column`, or in the one whose heading says so: chromosome, chrom ..., or family, cluster ...; a
    table of two columns needs no heading.
    """
    about, rows, row_of = _read(path, genes, column)
    headings = _CHROMOSOME_HEADINGS if by == "chromosome" else _GROUP_HEADINGS
    fit = [name for name in about.columns[1:] if name.lower() in headings]
    if not column and len(fit) != 1 and len(about.columns) > 2:
        what = f"{'several columns say' if fit else 'no column says'} which {by} each gene is of"
        expected = f"one column called {', '.join(sorted(headings))}, or split.column"
        hint = f"name it: split.column={fit[0] if fit else 'NAME'}"
        raise UserError(what, where=about.where, expected=expected, received=few(about.columns), hint=hint)
    chosen = column or (fit or about.columns[1:])[0]
    cells = rows[chosen]
    if cells.dtype.kind == "f":  # whole numbers, and empty cells
        cells = cells.map("{:g}".format, na_action="ignore")
    there = (row_of >= 0) & cells.notna().to_numpy()[row_of]
    alone = np.array([f"gene {gene} alone" for gene in genes.ids])
    return chosen, np.where(there, cells.astype(str).to_numpy()[row_of], alone)


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


def codes_of(column: pd.Series[Any], folds: int | None) -> np.ndarray:
    """Return the split or fold of each row, -1 where it names none."""
    if folds:
        numbers = numbers_in(column)
        return numbers.where(numbers.isin(range(1, folds + 1)), 0).to_numpy(int) - 1
    return (
        labels_in(column).map({name: SPLITS.index(split) for name, split in _SPLIT_OF.items()}).fillna(-1).to_numpy(int)
    )


def labels_in(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return a column as text in lower case, "" where it is empty."""
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
