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
from genexp.prepare.sources import open_bytes, open_text

#: A number with a decimal comma, or with commas between thousands.
_COMMA = r"\s*[-+]?\d*(,\d+)+\s*"
_QUOTED = re.compile(r'"[^"]*"')
#: Words of headings above genes.
_HEADING_WORDS = frozenset(
    {"gene", "genes", "geneid", "genename", "genesymbol", "id", "ids", "ensid", "ensembl", "name", "names", "symbol"}
    | {"locus", "locustag", "transcript", "transcriptid", "probe", "feature", "target", "row", "rownames", "unnamed"}
)

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
    rows
        How many rows the file says it has, which a GCT does.
    """

    separator: str
    skip: int
    columns: list[str]
    dangling: bool = False
    rows: int | None = None


def look_at(path: Path, key: str) -> Shape:
    """Find separator and header of a table."""
    lines: list[str] = []
    skip, announced = 0, None
    with open_text(path) as file:
        for line in file:
            if not lines and (line.startswith("#") or not line.strip()):
                skip += 1
                if line.startswith("#1.2"):  # GCT: the second line holds the numbers of rows and columns
                    told = next(file, "").split()
                    announced = int(told[0]) if told and told[0].isdigit() else None
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
            expected="each name once",
            received=f"columns {' and '.join(str(n) for n, name in enumerate(header, 1) if name == twice)}",
            do="give each column its own name",
        )
    return Shape(separator, skip, header, dangling, announced)


def _split(line: str, separator: str) -> list[str]:
    cells = line.split() if separator == " " else next(csv.reader([line], delimiter=separator))
    return [name.strip().strip('"') for name in cells]


def first_line(path: Path, key: str) -> int:
    """Return the number of the line with the first row."""
    return look_at(path, key).skip + 2


def check_rows(path: Path, key: str) -> None:
    """See that every row has as many columns as the header, which pandas fills up, and that a GCT is whole.

    Raises
    ------
    UserError
        At the first row that has another number.
    """
    shape = look_at(path, key)
    expected = len(shape.columns)
    allowed = {expected, expected + shape.dangling}
    rows = 0
    with open_text(path) as file:
        for number, line in enumerate(islice(file, shape.skip + 1, None), shape.skip + 2):
            if not line.strip():
                continue
            rows += 1
            plain = _QUOTED.sub("x", line) if '"' in line else line
            found = len(plain.split()) if shape.separator == " " else plain.count(shape.separator) + 1
            if '"' in plain:
                raise UserError(
                    "a quote in this table is not closed in its row",
                    where=f"{key}={path}, line {number:,}",
                    expected="quotes in pairs, or none",
                    received=line.strip()[:60],
                    do="take the quote out, or double it",
                )
            if found not in allowed:
                raise UserError(
                    f"a row of this table has too {'few' if found < expected else 'many'} columns",
                    where=f"{key}={path}, line {number:,}",
                    expected=f"{expected:,} columns, as the header",
                    received=f"{found:,}: {line.strip()[:60]}",
                    do="mend the row, or copy or download the file again",
                )
    if shape.rows is not None and rows != shape.rows:
        raise _other_number(f"{key}={path}", shape.rows, rows)


def _other_number(where: str, announced: int, rows: int) -> UserError:
    return UserError(
        "this GCT file is cut short" if rows < announced else "this GCT file has more rows than it says",
        where=where,
        expected=f"{announced:,} rows, as its second line says",
        received=f"{rows:,}",
        do="copy or download it again, or mend the number",
    )


def is_heading(name: str) -> bool:
    """Tell whether a name is one that people give to a column of genes."""
    return not name.strip() or not _HEADING_WORDS.isdisjoint(re.split(r"[^a-z0-9]+", name.lower()))


def no_header(path: Path, key: str, columns: Sequence[str], example: Sequence[str]) -> UserError:
    """Return the error of a table that begins with data."""
    shape = look_at(path, key)
    separator = {"\t": "<TAB>"}.get(shape.separator, shape.separator)
    few = [*map(str, columns[:6]), *(["..."] if len(columns) > 6 else [])]
    return UserError(
        "this table has no header: its first row holds data",
        where=f"{key}={path}, line {shape.skip + 1:,}",
        expected="one line with the names of the columns, before the first gene",
        received=", ".join(few),
        do=f"add one line at the top: {separator.join([*example[:6], *(['...'] if len(example) > 6 else [])])}",
    )


def read_table(path: Path, key: str) -> pd.DataFrame:
    """Read a whole table; the first column is text, another is a number column if it can be.

    Raises
    ------
    UserError
        If it is not a table.
    """
    check_rows(path, key)
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
    """Return the columns after the first in which no value is a number, not even one written with a comma."""
    return [name for name in table.columns[1:] if not is_number(table[name]) and _is_text(table[name].dropna())]


def _is_text(column: pd.Series) -> bool:
    return numbers_in(column).isna().all() and not column.astype(str).str.fullmatch(_COMMA).all()


def is_number(column: pd.Series) -> bool:
    """Tell whether pandas read a column as numbers."""
    return pd.api.types.is_numeric_dtype(column)


def numbers_in(column: pd.Series) -> pd.Series:
    """Return a column as numbers, NaN where a value is none."""
    return pd.to_numeric(column, errors="coerce")


def number_column(
    table: pd.DataFrame, name: str, where: str, first_line: int = 2, do: str = "mend the value"
) -> np.ndarray:
    """Return a column as float64, NaN where it is empty; `do` is what to do about a value that is no number.

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
        text = str(column.iloc[row])
        comma = re.fullmatch(_COMMA, text) is not None
        raise UserError(
            f"{int(wrong.sum()):,} of {len(values):,} values {'are' if wrong.sum() > 1 else 'is'} no number"
            + (", for it is written with a comma" if comma else ""),
            where=f"{where}, column {name}, row {row + first_line:,} (gene {table.iloc[row, 0]})",
            expected="a point before decimals, and nothing between thousands"
            if comma
            else "a finite number, or nothing where none was measured",
            received=text,
            do="write 1.5 for 1,5 and 1000 for 1,000" if comma else do,
        )
    return values
