"""Reading tables: CSV or TSV, plain or gzip, GTEx's GCT, and those that R writes with a header one name too short."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genexp.errors import UserError
from genexp.prepare.sources import open_bytes, open_text

MISSING = ("", "NA", "N/A", "na", "nan", "NaN", "null", "None", "-nan")


@dataclass(frozen=True)
class Shape:
    """How a table is written.

    Attributes
    ----------
    separator
        Between columns.
    skip
        Lines before the header, which is line `skip` + 1.
    columns
        Names of the columns, the gene's first.
    dangling
        True when each row ends with a separator.
    """

    separator: str
    skip: int
    columns: list[str]
    dangling: bool = False


def look_at(path: Path, key: str) -> Shape:
    """Find separator and header of a table."""
    lines: list[str] = []
    skip = 0
    with open_text(path) as file:
        for line in file:
            if not lines and (line.startswith("#") or not line.strip()):
                skip += 1
                if line.startswith("#1.2"):  # GCT: the second line holds the numbers of rows and columns
                    next(file, "")
                    skip += 1
                continue
            lines.append(line.rstrip("\r\n"))
            if len(lines) == 2:
                break
    if len(lines) < 2:
        raise UserError(
            "this table has no rows",
            where=f"{key}={path}",
            expected="a header and a row for each gene",
            received=f"{len(lines)} line" if lines else "an empty file",
            do="check the file",
        )
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
        raise UserError(
            "the first row of this table has another number of columns than its header",
            where=f"{key}={path}, line {skip + 2}",
            expected=len(header),
            received=len(row),
            do="mend the header",
        )
    twice = next((name for n, name in enumerate(header) if name in header[:n]), None)
    if twice is not None:
        raise UserError(
            f"column {twice!r} is there twice",
            where=f"{key}={path}, line {skip + 1}",
            do="give each column its own name",
        )
    return Shape(separator, skip, header, dangling)


def _split(line: str, separator: str) -> list[str]:
    return [name.strip().strip('"') for name in (line.split() if separator == " " else line.split(separator))]


def read_table(path: Path, key: str) -> pd.DataFrame:
    """Read a whole table; the first column is text, another is a number column if it can be.

    Raises
    ------
    UserError
        If it is not a table.
    """
    return pd.concat(list(read_chunks(path, key, rows=None)), ignore_index=True)


def read_chunks(path: Path, key: str, rows: int | None = 2000) -> Iterator[pd.DataFrame]:
    """Yield a table so many rows at a time; None yields it whole."""
    shape = look_at(path, key)
    names = [*shape.columns, *([""] if shape.dangling else [])]
    options: dict[str, Any] = {
        "sep": r"\s+" if shape.separator == " " else shape.separator,
        "skiprows": shape.skip + 1,
        "header": None,
        "names": names,
        "dtype": {shape.columns[0]: str},
        "keep_default_na": False,
        "na_values": {name: list(MISSING) for name in shape.columns[1:]},
        "low_memory": False,
        "skip_blank_lines": True,
    }
    with (
        _errors_in_words(path, key),
        open_bytes(path) as file,
        pd.read_csv(file, chunksize=rows, iterator=True, **options) as reader,
    ):
        for chunk in [reader.read()] if rows is None else reader:
            chunk[shape.columns[0]] = chunk[shape.columns[0]].str.strip()
            yield chunk[shape.columns]


@contextmanager
def _errors_in_words(path: Path, key: str) -> Iterator[None]:
    try:
        yield
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError, ValueError) as error:
        raise UserError(
            "this table cannot be read",
            where=f"{key}={path}",
            expected="rows with as many columns as the header",
            received=str(error).replace("Error tokenizing data. C error: ", ""),
            do="mend the row, or copy or download the file again",
        ) from None


def text_columns(table: pd.DataFrame) -> list[str]:
    """Return the columns after the first in which no value is a number."""
    return [name for name in table.columns[1:] if not is_number(table[name]) and numbers_in(table[name]).isna().all()]


def is_number(column: pd.Series) -> bool:
    """Tell whether pandas read a column as numbers."""
    return pd.api.types.is_numeric_dtype(column)


def numbers_in(column: pd.Series) -> pd.Series:
    """Return a column as numbers, NaN where a value is none."""
    return pd.to_numeric(column, errors="coerce")


def number_column(table: pd.DataFrame, name: str, where: str, first_line: int = 2) -> np.ndarray:
    """Return a column as float64, NaN where it is empty.

    Raises
    ------
    UserError
        At the first value that is text or infinite.
    """
    column = table[name]
    values = numbers_in(column).to_numpy(np.float64)
    wrong = (np.isnan(values) & column.notna().to_numpy()) | np.isinf(values)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise UserError(
            f"{int(wrong.sum()):,} of {len(values):,} values {'are' if wrong.sum() > 1 else 'is'} no number",
            where=f"{where}, column {name}, row {row + first_line:,} (gene {table.iloc[row, 0]})",
            expected="a finite number, or nothing where none was measured",
            received=column.iloc[row],
            do="mend the value, or name the columns that hold numbers with 'samples=[NAME,...]'",
        )
    return values
