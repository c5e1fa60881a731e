"""The numbers of rows that pandas, R and databases write as the first column of a table: they are no data."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import replace

import pandas as pd

from genexp.prepare.tables import Table, shown

#: What such a column is called: nothing, or ``Unnamed: 0`` (pandas), ``X`` and ``V1`` (R), ``...1`` (readr), ``id``.
_HEADING = re.compile(
    r"|unnamed: ?\d+(\.\d+)*|column \d+|x(\.\d+)?|v1|\.\.\.\d+|index|level_0|id|rn|row"
    r"|row[._ ]?(name|number|num|id|nr)s?",
    re.IGNORECASE,
)


def without_row_numbers(table: Table, is_id: Callable[[str], bool], named: Collection[str] = ()) -> Table:
    """Return the table without first columns that count its rows, from 0 or 1, beside a column of ids.

    `is_id` tells whether a heading is that of a column of ids; columns that a command has `named` are kept. What is
    left out is among the remarks of the table.
    """
    while _may_count(table, is_id, named) and _counts(table):
        table.remarks.append(f"column {shown(table.columns[0])} counts the rows and is left out")
        table = replace(table, columns=table.columns[1:], numbering=table.numbering + 1)
    return table


def odd_numbers(table: Table, is_id: Callable[[str], bool]) -> list[str]:
    """Return the first column if it is called as one of row numbers, and has other whole numbers, each once.

    Those of a table of which rows were left out look so: nothing tells that they are no values.
    """
    if not _may_count(table, is_id, ()):
        return []
    cells = _cells(table)
    return table.columns[:1] if cells.str.fullmatch(r"\d+").all() and cells.is_unique else []


def _may_count(table: Table, is_id: Callable[[str], bool], named: Collection[str]) -> bool:
    first, *others = table.columns
    free = first not in named and first not in others
    return free and _HEADING.fullmatch(first) is not None and any(map(is_id, others))


def _counts(table: Table) -> bool:
    for rows in (50, None):  # most tables need not be read for this
        cells = _cells(table, rows)
        start = {"0": 0, "1": 1}.get(next(iter(cells), ""))
        if start is None or cells.tolist() != [str(n) for n in range(start, start + len(cells))]:
            return False
    return True


def _cells(table: Table, rows: int | None = None) -> pd.Series[str]:
    first = table.columns[:1]
    return next(table.chunks(rows, first, first))[1][first[0]]
