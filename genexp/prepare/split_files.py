"""Splits, folds, groups and chromosomes that a table says."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from genexp.config.words import spelled
from genexp.dataset.genes import SPLITS
from genexp.dataset.layouts import SPLIT_NAMES
from genexp.errors import UserError, nearest
from genexp.prepare.formats import is_id
from genexp.prepare.genes import GeneNames, check_unique, join
from genexp.prepare.opening import few
from genexp.prepare.row_numbers import odd_numbers, without_row_numbers
from genexp.prepare.splits import Rows, rotate, rows_of
from genexp.prepare.tables import MISSING, Table, headings, look_at, numbers_in

if TYPE_CHECKING:
    import pandas as pd

_SPLIT_OF = {name: split for split, names in SPLIT_NAMES.items() for name in names}
_GROUP_HEADINGS = frozenset({"group", "family", "cluster", "orthogroup", "homology", "paralogs"})
_CHROMOSOME_HEADINGS = frozenset({"chromosome", "chrom", "chr", "seqname"})


def read_split_file(path: Path, genes: GeneNames, column: str | None, *, folds: int | None) -> tuple[str, list[Rows]]:
    """Return the column and the rows of each split, of each fold.

    The table has the gene in the first column that does not count the rows, and a column with ``train``, ``valid`` and
    ``test``, or with numbers of folds from 1: `column`, or the one that holds nothing else; or a column of splits for
    each fold, called fold_1, fold_2, ... Genes that have none of these are in no split. A UserError is raised if no
    column fits, or several do.
    """
    about, rows, row_of = _read(path, genes, column)
    if folds and column is None and (names := _fold_columns(about.columns, folds)):
        codes = [_checked(about, rows, [name], None)[1][row_of] for name in names]
        in_fold = [rows_of(np.where(row_of >= 0, code, -1)) for code in codes]
        return _remarked(f"{names[0]} to {names[-1]}", about), in_fold
    name, code = _checked(about, rows, [column] if column else about.columns[1:], folds)
    return _remarked(name, about), in_folds(np.where(row_of >= 0, code[row_of], -1), folds)


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
        hint = f"{close}correct it, or leave it empty"
        if not folds and (code < 0).all():
            hint = f"{close}correct it, or hold out its values by name: {spelled('split.test', [str(found[-1])])}"
        expected = f"{expected_labels(folds)}, or nothing"
        raise UserError(what, where=where, expected=expected, received=received, hint=hint)
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
    cells = about.read([chosen], [chosen])[chosen].loc[rows.index]  # a number is a name here
    there = (row_of >= 0) & ~cells.isin(MISSING).to_numpy()[row_of]
    alone = np.array([f"gene {gene} alone" for gene in genes.ids])
    return _remarked(chosen, about), np.where(there, cells.to_numpy(str)[row_of], alone)


def _remarked(column: str, about: Table) -> str:
    return f"{column} ({'; '.join(about.remarks)})" if about.remarks else column


def _read(path: Path, genes: GeneNames, column: str | None) -> tuple[Table, pd.DataFrame, np.ndarray]:
    about = without_row_numbers(look_at(path, "split.file"), is_id, [column] if column else [])
    if odd_numbers(about, is_id):
        what = "the first column may be ids of genes or numbers of rows"
        received, fix = f"columns {headings(about.columns)}", "remove the one that is not needed"
        raise UserError(what, where=about.where, received=received, hint=fix)
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
