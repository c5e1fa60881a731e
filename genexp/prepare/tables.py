"""Reading tables: CSV or TSV, plain or gzip, GTEx's GCT, and those that R writes with a header one name too short."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genexp.errors import UserError
from genexp.prepare.opening import bad_line, few, open_bytes, open_text

#: A number with a decimal comma, or with commas between thousands.
_COMMA = r"\s*[-+]?\d*(,\d+)+\s*"
_QUOTED = re.compile(r'"[^"]*"')
#: Words that occur in headings of gene columns.
_HEADING_WORDS = frozenset(
    {"gene", "genes", "geneid", "genename", "genesymbol", "id", "ids", "ensid", "ensembl", "name", "names", "symbol"}
    | {"locus", "locustag", "transcript", "transcriptid", "probe", "feature", "target", "row", "rownames", "unnamed"}
)
_MISSING = ("", "NA", "N/A", "na", "nan", "NaN", "null", "None", "-nan")
_COPY_AGAIN = "correct the row, or copy or download the file again"


@dataclass(frozen=True)
class Table:
    """A table in a file: how it is written, and ways to read it; the first of `columns` holds the genes.

    The header is line `skip` + 1; rows end with a separator if `dangling`; `rows` is how many a GCT says it has.
    """

    path: Path
    key: str
    separator: str
    skip: int
    columns: list[str]
    dangling: bool
    rows: int | None

    @property
    def where(self) -> str:
        """The file, for messages."""
        return f"{self.key}={self.path}"

    @property
    def first_line(self) -> int:
        """Number of the line with the first row."""
        return self.skip + 2

    def check_rows(self) -> None:
        """Raise a UserError unless rows have as many columns as the header (pandas fills up), and a GCT is whole."""
        rows, expected = 0, len(self.columns)
        with open_text(self.path) as file:
            for number, line in enumerate(islice(file, self.skip + 1, None), self.first_line):
                if not line.strip():
                    continue
                rows += 1
                plain = _QUOTED.sub("x", line) if '"' in line else line
                if '"' in plain:
                    what, hint = "a quote in this table is not closed in its row", "remove the quote, or double it"
                    raise bad_line(what, self.where, number, "quotes in pairs, or none", line, hint)
                found = len(plain.split()) if self.separator == " " else plain.count(self.separator) + 1
                if found not in (expected, expected + self.dangling):
                    what = f"a row of this table has too {'few' if found < expected else 'many'} columns"
                    received = f"{found:,}: {line.strip()[:60]}"
                    raise bad_line(what, self.where, number, f"{expected:,} columns", received, _COPY_AGAIN)
        if self.rows is not None and rows != self.rows:
            what = f"this GCT file {'is cut short' if rows < self.rows else 'has more rows than it says'}"
            hint = "copy or download it again, or correct the number in its second line"
            raise UserError(what, where=self.where, expected=f"{self.rows:,} rows", received=f"{rows:,}", hint=hint)

    def read(self) -> pd.DataFrame:
        """Read the whole table; the first column is text, another is a number column if it can be."""
        self.check_rows()
        return next(self.chunks(None))[1]

    def chunks(self, rows: int | None = 2000, texts: Sequence[str] = ()) -> Iterator[tuple[int, pd.DataFrame]]:
        """Yield the line of the first row, and `rows` rows, None for all; `texts` are columns that are not numbers."""
        gene, line = self.columns[0], self.first_line
        options: dict[str, Any] = {
            "sep": r"\s+" if self.separator == " " else self.separator,
            "skiprows": self.skip + 1,
            "header": None,
            "names": [*self.columns, *([""] if self.dangling else [])],
            "dtype": dict.fromkeys([gene, *texts], str),
            "keep_default_na": False,
            "na_values": {name: list(_MISSING) for name in self.columns[1:]},
            "low_memory": False,
            "chunksize": rows,
            "iterator": True,
        }
        try:
            with open_bytes(self.path) as file, pd.read_csv(file, **options) as reader:
                for chunk in [reader.read()] if rows is None else reader:
                    chunk[gene] = chunk[gene].str.strip()
                    yield line, chunk[self.columns]
                    line += len(chunk)
        except ValueError as error:  # pandas' own errors among them, and UnicodeDecodeError
            what, received = "this table cannot be read", str(error).split("C error: ")[-1]
            raise UserError(what, where=self.where, received=received, hint=_COPY_AGAIN) from None

    def numbers(
        self, table: pd.DataFrame, names: Sequence[str], line: int | None = None, hint: str = "correct the value"
    ) -> np.ndarray:
        """Return columns as (n, columns) float64, NaN where empty, or raise a UserError; the first row is on `line`."""
        found = np.empty((len(table), len(names)))
        for column, name in enumerate(names):
            values = found[:, column] = numbers_in(table[name]).to_numpy(np.float64)
            wrong = np.flatnonzero((np.isnan(values) & table[name].notna().to_numpy()) | np.isinf(values))
            if len(wrong):
                text, gene = str(table[name].iloc[wrong[0]]), table.iloc[wrong[0], 0]
                what = f"{len(wrong):,} of {len(values):,} values {'are' if len(wrong) > 1 else 'is'} not a number"
                if re.fullmatch(_COMMA, text):
                    what, hint = f"{what}: it is written with a comma", "write 1.5 for 1,5 and 1000 for 1,000"
                row = int(wrong[0]) + (line or self.first_line)
                raise self.bad_cell(what, name, row, gene, "a number", text, hint)
        return found

    def bad_cell(
        self, what: str, column: object, line: int, gene: object, expected: str, received: object, hint: str
    ) -> UserError:
        """Return the error for one cell."""
        where = f"{self.where}, column {column}, row {line:,} (gene {gene})"
        return UserError(what, where=where, expected=expected, received=received, hint=hint)

    def no_header(self, example: Sequence[str]) -> UserError:
        """Return the error for a table that begins with data, with the header that it could have."""
        what, separator = "this table has no header: its first row holds data", self.separator.replace("\t", "<TAB>")
        hint = f"add one line at the top: {separator.join([*example[:6], *['...'] * (len(example) > 6)])}"
        return bad_line(what, self.where, self.skip + 1, "names of columns", few(self.columns, 6), hint)


def look_at(path: Path, key: str) -> Table:
    """Find separator and header of a table, or raise a UserError if it has no rows, or the first does not fit."""
    where = f"{key}={path}"
    lines, skip, rows = _first_lines(path)
    if len(lines) < 2:
        received = "a header only" if lines else "an empty file"
        raise UserError("this table has no rows", where=where, expected="a header and rows", received=received)
    separator = next((s for line in lines for s in "\t,;" if s in line), " ")
    header, row = (_split(line, separator) for line in lines)
    dangling = len(row) == len(header) + 1 and not row[-1]
    if len(row) == len(header) + 1 and not dangling:
        header = ["gene", *header]
    while len(header) > 1 and not header[-1]:
        header.pop()
        dangling = True
    if len(row) not in (len(header), len(header) + dangling):
        what = "the first row of this table has another number of columns than its header"
        raise bad_line(what, where, skip + 2, len(header), len(row), "correct the header")
    twice = next((name for n, name in enumerate(header) if name in header[:n]), None)
    if twice is not None:
        found = "columns " + " and ".join(str(n) for n, name in enumerate(header, 1) if name == twice)
        raise bad_line(f"column {twice!r} occurs twice", where, skip + 1, "each name once", found, "rename one")
    return Table(path, key, separator, skip, header, dangling, rows)


def _first_lines(path: Path) -> tuple[list[str], int, int | None]:
    """Return header and first row, the number of lines before them, and how many rows a GCT says it has."""
    lines: list[str] = []
    skip, rows = 0, None
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
                rows = int(counts[0]) if counts and counts[0].isdigit() else None
                skip += 1
    return lines, skip, rows


def _split(line: str, separator: str) -> list[str]:
    cells = line.split() if separator == " " else next(csv.reader([line], delimiter=separator))
    return [name.strip().strip('"') for name in cells]


def is_heading(name: str) -> bool:
    """Return whether a name is one that is given to columns of genes."""
    return not name.strip() or not _HEADING_WORDS.isdisjoint(re.split(r"[^a-z0-9]+", name.lower()))


def text_columns(table: pd.DataFrame) -> list[str]:
    """Return the columns after the first in which no value is a number, not even one written with a comma."""
    others = [name for name in table.columns[1:] if not pd.api.types.is_numeric_dtype(table[name])]
    return [name for name in others if _is_text(table[name].dropna().drop_duplicates())]


def _is_text(column: pd.Series[Any]) -> bool:
    return bool(numbers_in(column).isna().all()) and not column.astype(str).str.fullmatch(_COMMA).all()


def numbers_in(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return a column as numbers, NaN where a value is none."""
    return pd.to_numeric(column, errors="coerce")
