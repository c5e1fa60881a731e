"""Reading tables: CSV or TSV, plain or gzip, GTEx's GCT, and those that R writes with a header one name too short."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genexp.errors import UserError
from genexp.prepare.sources import bad_line, open_bytes, open_text

#: A number with a decimal comma, or with commas between thousands.
_COMMA = r"\s*[-+]?\d*(,\d+)+\s*"
_QUOTED = re.compile(r'"[^"]*"')
#: Words that occur in headings of gene columns.
_HEADING_WORDS = frozenset(
    {"gene", "genes", "geneid", "genename", "genesymbol", "id", "ids", "ensid", "ensembl", "name", "names", "symbol"}
    | {"locus", "locustag", "transcript", "transcriptid", "probe", "feature", "target", "row", "rownames", "unnamed"}
)

MISSING = ("", "NA", "N/A", "na", "nan", "NaN", "null", "None", "-nan")


@dataclass(frozen=True)
class Shape:
    """How a table is written; its header is line `skip` + 1.

    `columns` are the names, the gene's first; `dangling` is True when each row ends with a separator; `rows` is the
    number of rows that a GCT says it has.
    """

    separator: str
    skip: int
    columns: list[str]
    dangling: bool = False
    rows: int | None = None


def look_at(path: Path, key: str) -> Shape:
    """Return separator and header of a table, or raise a UserError if it has no rows, or the first does not fit."""
    file = f"{key}={path}"
    lines, skip, announced = _first_lines(path)
    if len(lines) < 2:
        received = "a header only" if lines else "an empty file"
        raise UserError("this table has no rows", where=file, expected="a header and rows", received=received)
    separator = next((s for s in "\t,;" if s in lines[0]), next((s for s in "\t,;" if s in lines[1]), " "))
    header, row = (_split(line, separator) for line in lines)
    dangling = False
    if len(row) == len(header) + 1:
        dangling = not row[-1]
        header = header if dangling else ["gene", *header]
    while len(header) > 1 and not header[-1]:
        header.pop()
        dangling = True
    if len(row) != len(header) + dangling and not (dangling and len(row) == len(header)):
        what = "the first row of this table has another number of columns than its header"
        raise bad_line(what, file, skip + 2, len(header), len(row), "correct the header")
    twice = next((name for n, name in enumerate(header) if name in header[:n]), None)
    if twice is not None:
        found = "columns " + " and ".join(str(n) for n, name in enumerate(header, 1) if name == twice)
        raise bad_line(f"column {twice!r} occurs twice", file, skip + 1, "each name once", found, "rename one")
    return Shape(separator, skip, header, dangling, announced)


def _first_lines(path: Path) -> tuple[list[str], int, int | None]:
    """Return header and first row, the number of lines before them, and how many rows a GCT says it has."""
    lines: list[str] = []
    skip, announced = 0, None
    with open_text(path) as file:
        for line in file:
            if lines or not (line.startswith("#") or not line.strip()):
                lines.append(line.rstrip("\r\n"))
                if len(lines) == 2:
                    break
                continue
            skip += 1
            if line.startswith("#1.2"):  # GCT: the second line holds the numbers of rows and columns
                counts = next(file, "").split()
                announced = int(counts[0]) if counts and counts[0].isdigit() else None
                skip += 1
    return lines, skip, announced


def _split(line: str, separator: str) -> list[str]:
    cells = line.split() if separator == " " else next(csv.reader([line], delimiter=separator))
    return [name.strip().strip('"') for name in cells]


def first_line(path: Path, key: str) -> int:
    """Return the number of the line with the first row."""
    return look_at(path, key).skip + 2


def check_rows(path: Path, key: str) -> None:
    """Raise a UserError unless every row has as many columns as the header (pandas fills it up), and a GCT is whole."""
    shape, where = look_at(path, key), f"{key}={path}"
    expected = len(shape.columns)
    rows = 0
    with open_text(path) as file:
        for number, line in enumerate(islice(file, shape.skip + 1, None), shape.skip + 2):
            if not line.strip():
                continue
            rows += 1
            plain = _QUOTED.sub("x", line) if '"' in line else line
            if '"' in plain:
                what = "a quote in this table is not closed in its row"
                raise bad_line(what, where, number, "quotes in pairs, or none", line, "remove the quote, or double it")
            found = len(plain.split()) if shape.separator == " " else plain.count(shape.separator) + 1
            if found not in (expected, expected + shape.dangling):
                what = f"a row of this table has too {'few' if found < expected else 'many'} columns"
                hint = "correct the row, or copy or download the file again"
                raise bad_line(what, where, number, f"{expected:,} columns", f"{found:,}: {line.strip()[:60]}", hint)
    if shape.rows is not None and rows != shape.rows:
        what = f"this GCT file {'is cut short' if rows < shape.rows else 'has more rows than it says'}"
        hint = "copy or download it again, or correct the number in its second line"
        raise UserError(what, where=where, expected=f"{shape.rows:,} rows", received=f"{rows:,}", hint=hint)


def is_heading(name: str) -> bool:
    """Return whether a name is one that is given to columns of genes."""
    return not name.strip() or not _HEADING_WORDS.isdisjoint(re.split(r"[^a-z0-9]+", name.lower()))


def no_header(path: Path, key: str, columns: Sequence[str], example: Sequence[str]) -> UserError:
    """Return the error for a table that begins with data."""
    shape = look_at(path, key)
    separator = "<TAB>" if shape.separator == "\t" else shape.separator
    few, line = ([*map(str, names[:6]), *["..."] * (len(names) > 6)] for names in (columns, example))
    what, hint = (
        "this table has no header: its first row holds data",
        f"add one line at the top: {separator.join(line)}",
    )
    return bad_line(what, f"{key}={path}", shape.skip + 1, "names of columns", ", ".join(few), hint)


def read_table(path: Path, key: str) -> pd.DataFrame:
    """Read a whole table, or raise a UserError; the first column is text, another is a number column if it can be."""
    check_rows(path, key)
    return pd.concat(list(read_chunks(path, key, rows=None)), ignore_index=True)


def read_chunks(path: Path, key: str, rows: int | None = 2000) -> Iterator[pd.DataFrame]:
    """Yield a table so many rows at a time; None yields it whole."""
    shape = look_at(path, key)
    gene = shape.columns[0]
    options: dict[str, Any] = {
        "sep": r"\s+" if shape.separator == " " else shape.separator,
        "skiprows": shape.skip + 1,
        "header": None,
        "names": [*shape.columns, *([""] if shape.dangling else [])],
        "dtype": {gene: str},
        "keep_default_na": False,
        "na_values": {name: list(MISSING) for name in shape.columns[1:]},
        "low_memory": False,
        "skip_blank_lines": True,
    }
    with (
        _pandas_errors(f"{key}={path}"),
        open_bytes(path) as file,
        pd.read_csv(file, chunksize=rows, iterator=True, **options) as reader,
    ):
        for chunk in [reader.read()] if rows is None else reader:
            chunk[gene] = chunk[gene].str.strip()
            yield chunk[shape.columns]


@contextmanager
def _pandas_errors(where: str) -> Iterator[None]:
    try:
        yield
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError, ValueError) as error:
        received, hint = str(error).split("C error: ")[-1], "correct the row, or copy or download the file again"
        raise UserError("this table cannot be read", where=where, received=received, hint=hint) from None


def text_columns(table: pd.DataFrame) -> list[str]:
    """Return the columns after the first in which no value is a number, not even one written with a comma."""
    others = [name for name in table.columns[1:] if not is_number(table[name])]
    return [name for name in others if _is_text(table[name].dropna().drop_duplicates())]


def _is_text(column: pd.Series[Any]) -> bool:
    return bool(numbers_in(column).isna().all()) and not column.astype(str).str.fullmatch(_COMMA).all()


def is_number(column: pd.Series[Any]) -> bool:
    """Return whether pandas read a column as numbers."""
    return pd.api.types.is_numeric_dtype(column)


def numbers_in(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return a column as numbers, NaN where a value is none."""
    return pd.to_numeric(column, errors="coerce")


def bad_cell(
    what: str, where: str, column: object, row: int, gene: object, expected: str, received: object, hint: str
) -> UserError:
    """Return the error for one cell of a table; `row` is its line in the file."""
    place = f"{where}, column {column}, row {row:,} (gene {gene})"
    return UserError(what, where=place, expected=expected, received=received, hint=hint)


def number_column(
    table: pd.DataFrame, name: str, where: str, first_line: int = 2, hint: str = "correct the value"
) -> np.ndarray:
    """Return a column as float64, NaN where it is empty.

    At the first value that is text or infinite a UserError is raised; `hint` is what to do about it.
    """
    column = table[name]
    values = numbers_in(column).to_numpy(np.float64)
    wrong = (np.isnan(values) & column.notna().to_numpy()) | np.isinf(values)
    if wrong.any():
        row, number = int(np.argmax(wrong)), int(wrong.sum())
        text = str(column.iloc[row])
        what, expected = (
            f"{number:,} of {len(values):,} values {'are' if number > 1 else 'is'} not a number",
            "a number",
        )
        if re.fullmatch(_COMMA, text):
            what, hint = f"{what}: it is written with a comma", "write 1.5 for 1,5 and 1000 for 1,000"
        raise bad_cell(what, where, name, row + first_line, table.iloc[row, 0], expected, text, hint)
    return values
