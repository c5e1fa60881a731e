"""Reading any table: text with any separator and encoding, plain or gzip; Excel, OpenDocument, Parquet and Feather."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pandas as pd

from genexp.errors import UserError
from genexp.prepare.opening import bad_line, few, first_bytes, open_text
from genexp.prepare.table_lines import Line, cells_of, first_lines, is_heading, long_cells, separator_of, titles_in
from genexp.prepare.workbooks import arrow_frame, is_workbook, sheet_as_csv

MISSING = (
    *("", "NA", "N/A", "#N/A", "#NA", "<NA>", "n/a", "na", "nan", "NaN", "null", "NULL", "None", "-nan", "-NaN"),
)
#: What a spreadsheet shows where a formula failed.
SPREADSHEET_ERRORS = ("#REF!", "#NAME?", "#VALUE!", "#DIV/0!", "#NULL!", "#NUM!")
#: A number with a decimal comma; with commas between thousands; with either.
_DECIMAL = re.compile(r"[-+]?\d*,\d+([eE][-+]?\d+)?")
_THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2}(,\d{3})+")
#: A number that does not show whether its point, if it has one, is a decimal sign or separates thousands.
_UNCLEAR = re.compile(r"[-+]?([1-9]\d{0,2}(\.\d{3})?|0)")
_COMMA = r"[-+]?[\d.]*(,\d+)+(\.\d+)?([eE][-+]?\d+)?"
_COPY_AGAIN = "correct the row, or copy or download the file again"
#: How Parquet, Feather and two kinds of workbooks begin.
_ARROW = (b"PAR1", b"ARROW1", b"FEA1")
_OLE, _ZIP = b"\xd0\xcf\x11\xe0", b"PK\x03\x04"
#: How files begin that are no tables, and what they are.
_NO_TABLES = {
    "<": "a web page or XML, not a table",
    "{": "JSON, not a table",
    ">": "FASTA, not a table",
    "%PDF": "a PDF, not a table",
    "%%MatrixMarket": "a sparse matrix (Matrix Market), not a table",
    "\u2030HDF": "an HDF5 file, not a table",
    "SQLite format": "a database, not a table",
    "RDX": "an R data file, not a table",
    "X\n": "an R data file, not a table",
    "!Series_": "a GEO series matrix, whose rows are probes of an array and no genes",
    "^": "a GEO SOFT file, not a table of genes",
}


@dataclass(frozen=True)
class _Signs:
    """How the numbers of some columns are written.

    `decimal` tells whether every comma is a decimal sign, `points` has examples of cells with a point, and `unclear`
    whether each point may separate thousands.
    """

    decimal: bool
    points: list[str]
    unclear: bool


@dataclass(frozen=True)
class Table:
    """A table in a file: how it is written, and ways to read it.

    The header is line `skip` + 1; `between` lines follow before the first row; rows end with up to `dangling` empty
    cells more than the header, and begin with `numbering` cells, numbers of rows or empty, that are none of `columns`.
    `mark` is the first line where it is a comment; a GCT file says how many `rows` it has,
    and in version 1.3 how many columns of `metadata` follow the first. A spreadsheet is held as CSV in `content`,
    Parquet in `frame`. `remarks` are what was decided when it was read.
    """

    path: Path
    key: str
    columns: list[str]
    separator: str = ","
    skip: int = 0
    between: int = 0
    dangling: int = 0
    numbering: int = 0
    mark: str = ""
    rows: int | None = None
    metadata: int = 0
    content: str | None = field(default=None, repr=False)
    frame: pd.DataFrame | None = field(default=None, repr=False)
    remarks: list[str] = field(default_factory=list)
    #: What is known of the numbers of some columns.
    signs: dict[tuple[str, ...], _Signs] = field(default_factory=dict, repr=False)

    @property
    def where(self) -> str:
        """The file, for messages."""
        return f"{self.key}={self.path}"

    @property
    def first_line(self) -> int:
        """Number of the line with the first row."""
        return self.skip + self.between + 2

    @contextmanager
    def _open(self) -> Iterator[TextIO]:
        if self.content is not None:
            yield io.StringIO(self.content)
            return
        with open_text(self.path) as file:
            yield file

    def _lines(self) -> Iterator[tuple[int, str, int]]:
        """Yield number, text and number of cells of each row; a row goes on where a quoted cell holds a line end."""
        with self._open() as file:
            lines = enumerate(file, 1)
            for number, line in islice(lines, self.first_line - 1, None):
                if line.strip() or (self.separator in line and self.separator != " "):
                    yield number, line, self._cells(number, line, (text for _, text in lines))

    def _cells(self, number: int, line: str, more: Iterator[str]) -> int:
        if self.separator == " ":
            return len(cells_of(re.sub('"[^"]*"', "x", line.rstrip("\r\n")), " "))
        if '"' not in line:
            return line.count(self.separator) + 1
        try:
            with long_cells():
                return len(next(csv.reader(chain([line], more), delimiter=self.separator, strict=True)))
        except csv.Error:
            what, hint = "a quote in this table is not closed in its row", "remove the quote, or double it"
            raise bad_line(what, self.where, number, "quotes in pairs, or none", line, hint) from None

    def check_rows(self) -> None:
        """Raise a UserError unless headings differ, rows have as many columns as the header, and a GCT is whole."""
        twice = next((name for n, name in enumerate(self.columns) if name in self.columns[:n]), None)
        if twice is not None:
            found = "columns " + " and ".join(str(n) for n, name in enumerate(self.columns, 1) if name == twice)
            what, expected = f"column {twice!r} occurs twice", "each name once"
            raise bad_line(what, self.where, self.skip + 1, expected, found, "rename one")
        if self.frame is not None:
            return
        rows, width = 0, self.numbering + len(self.columns)
        for number, line, cells in self._lines():
            rows += 1
            if not width <= cells <= width + self.dangling:
                what = f"a row of this table has too {'few' if cells < width else 'many'} columns"
                received = f"{cells:,}: {line.strip()[:60]}"
                raise bad_line(what, self.where, number, f"{width:,} columns", received, _COPY_AGAIN)
        if self.rows is not None and rows != self.rows:
            what = f"this GCT file {'is cut short' if rows < self.rows else 'has more rows than it says'}"
            hint = "copy or download it again, or correct the number in its second line"
            raise UserError(what, where=self.where, expected=f"{self.rows:,} rows", received=f"{rows:,}", hint=hint)

    def read(self, texts: Sequence[str] = (), columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Read all rows; the first column and `texts` are text, another is a number column if it can be."""
        self.check_rows()
        return next(self.chunks(None, texts, columns))[1]

    def chunks(
        self, rows: int | None = 2000, texts: Sequence[str] = (), columns: Sequence[str] | None = None
    ) -> Iterator[tuple[int, pd.DataFrame]]:
        """Yield the line of the first row, and `rows` rows, None for all; their index counts from 0.

        `columns` are those to read, null for all. Rows without any value in several columns are left out.
        """
        wanted = list(columns or self.columns)
        texts = [name for name in wanted if name in texts or (columns is None and name == wanted[0])]
        for chunk in self._frames(rows, texts, wanted):
            line = self.first_line + int(chunk.index[0]) if len(chunk) else self.first_line
            for name in texts:
                chunk[name] = _without_points(chunk[name].astype(str).str.strip())
            if len(wanted) > 1 and (empty := (chunk[texts] == "").all(axis=1)).any():
                chunk = chunk[~(empty & chunk.drop(columns=texts).isna().all(axis=1))]
            yield line, chunk

    def _frames(self, rows: int | None, texts: list[str], columns: list[str]) -> Iterator[pd.DataFrame]:
        if self.frame is not None:
            found = self.frame[columns]
            for start in range(0, len(found), rows or max(1, len(found))):
                part = found.iloc[start : start + (rows or len(found))].copy()
                for name in texts:
                    part[name] = _as_text(part[name])
                yield part
            return
        numbering, nameless = [f"\0row{n}" for n in range(self.numbering)], [f"\0{n}" for n in range(self.dangling)]
        options: dict[str, Any] = {
            "sep": r"\s+" if self.separator == " " else self.separator,
            "header": None,
            "names": [*numbering, *self.columns, *nameless],
            "usecols": [*columns, *nameless],
            "dtype": dict.fromkeys(texts, str),
            "keep_default_na": False,
            "na_values": {name: list(MISSING) for name in [*columns, *nameless] if name not in texts},
            "low_memory": False,
            "chunksize": rows,
            "iterator": True,
        }
        try:
            with self._open() as file:
                for _ in range(self.first_line - 1):  # pandas' skiprows would look for quotes in them
                    file.readline()
                with pd.read_csv(file, **options) as reader:
                    for chunk in [reader.read()] if rows is None else reader:
                        for row in np.flatnonzero(chunk[nameless].notna().any(axis=1))[:1]:
                            raise self._no_heading(chunk, int(row), nameless)
                        yield chunk[columns]
        except (ValueError, OverflowError) as error:  # pandas' own errors among them
            what, received = "this table cannot be read", str(error).split("C error: ")[-1]
            raise UserError(what, where=self.where, received=received, hint=_COPY_AGAIN) from None

    def _no_heading(self, chunk: pd.DataFrame, row: int, nameless: list[str]) -> UserError:
        value = next(cell for cell in chunk[nameless].iloc[row] if not pd.isna(cell))
        what, line = "a value stands in a column without a heading", int(chunk.index[row]) + self.first_line
        hint = "give each column a heading"
        column = self.numbering + len(self.columns) + 1
        return self.bad_cell(what, column, line, chunk.iloc[row, 0], "an empty cell", value, hint)

    def numbers(
        self, table: pd.DataFrame, names: Sequence[str], line: int | None = None, hint: str = "correct the value"
    ) -> np.ndarray:
        """Return columns as (n, columns) float64, NaN where empty, or raise a UserError.

        Decimal commas are read where every number of a semicolon- or tab-separated table has one, or none at all.
        """
        asked = table[list(names)]
        if all(dtype.kind in "biuf" for dtype in asked.dtypes):
            found = asked.to_numpy(np.float64)
            wrong = np.isinf(found)
        else:
            found = np.stack([numbers_in(asked[name]).to_numpy(np.float64) for name in names], axis=1)
            wrong = np.isnan(found) & np.stack([_is_filled(asked[name]) for name in names], axis=1)
            if wrong.any():
                self._read_commas(table, names, found, wrong)
            wrong |= np.isinf(found)
        if not wrong.any():
            self._check_points(names, found)
        for row, column in np.argwhere(wrong)[:1].tolist():
            values, text = wrong[:, column], str(table[names[column]].iloc[row])
            number = int(values.sum())
            what = f"{number:,} of {len(values):,} values {'are' if number > 1 else 'is'} not a number"
            if re.fullmatch(_COMMA, text):
                what += f": {text} is written with a comma, which may be a decimal sign or separate thousands"
                hint = "write 1.5 for 1,5 and 1000 for 1,000"
            nominal = int(table.index[row]) + self.first_line
            raise self.bad_cell(what, names[column], nominal, table.iloc[row, 0], "a number", text, hint)
        return found

    def _read_commas(self, table: pd.DataFrame, names: Sequence[str], found: np.ndarray, wrong: np.ndarray) -> None:
        """Read decimal commas, in place; leave numbers as they are where commas may separate thousands."""
        signs = self._signs(names)
        if self.separator not in ";\t " or not signs.decimal or signs.points:
            return
        for n in np.flatnonzero(wrong.any(axis=0)).tolist():
            text = table[names[n]].astype(str).str.strip()
            found[:, n] = numbers_in(text.str.replace(",", ".", regex=False)).to_numpy(np.float64)
            wrong[:, n] = np.isnan(found[:, n]) & _is_filled(table[names[n]])
        if "decimal commas" not in self.remarks:
            self.remarks.append("decimal commas")

    def _check_points(self, names: Sequence[str], found: np.ndarray) -> None:
        """Raise a UserError if points may separate thousands, as in CSV of a German spreadsheet."""
        values = np.abs(found[~np.isnan(found)])
        whole = values % 1 == 0
        if self.separator != ";" or whole.all() or values.max() >= 1000 or values[~whole].min() < 1:
            return
        if not np.isclose(values * 1000, np.round(values * 1000)).all():
            return
        signs = self._signs(names)
        if signs.points and signs.unclear:
            what = "three digits follow each point, which may be a decimal sign or separate thousands"
            whole_number = signs.points[0].replace(".", "")
            hint = f"write {whole_number} for a thousand or more; else separate columns by commas or tabs"
            raise UserError(what, where=self.where, received=few(signs.points, 4), hint=hint)

    def _signs(self, names: Sequence[str]) -> _Signs:
        """Look once at every cell of some columns: the numbers of a chunk alone do not show what a comma means."""
        known = self.signs.get(tuple(names))
        if known is None:
            commas = decimal = thousands = 0
            points: list[str] = []
            unclear = True
            for _, chunk in self.chunks(2000, names, names):
                cells = chunk.to_numpy(str).ravel()
                cells = cells[~np.isin(cells, MISSING)]
                comma = np.char.find(cells, ",") >= 0
                commas += int(comma.sum())
                decimal += sum(map(bool, map(_DECIMAL.fullmatch, cells[comma])))
                thousands += sum(map(bool, map(_THOUSANDS.fullmatch, cells[comma])))
                points += cells[np.char.find(cells, ".") >= 0][: 4 - len(points)].tolist()
                unclear = unclear and all(map(_UNCLEAR.fullmatch, cells[~comma]))
            known = _Signs(decimal=0 < commas == decimal > thousands, points=points, unclear=unclear)
            self.signs[tuple(names)] = known
        return known

    def line_of(self, row: int) -> int:
        """Return the line of a row, counted from 0 without empty lines and line ends within quotes."""
        lines = self._lines() if self.frame is None else iter(())
        return next((number for number, _, _ in islice(lines, int(row), None)), int(row) + self.first_line)

    def bad_cell(
        self, what: str, column: object, line: int, gene: object, expected: str, received: object, hint: str
    ) -> UserError:
        """Return the error for one cell; `line` is that of the table's first row and the rows up to this one."""
        line = self.line_of(line - self.first_line)
        where = f"{self.where}, column {column}, row {line:,} (gene {gene})"
        return UserError(what, where=where, expected=expected, received=str(received)[:80], hint=hint)

    def no_header(self, example: Sequence[str]) -> UserError:
        """Return the error for a table that begins with data, with the header that it could have."""
        what, separator = "this table has no header: its first row holds data", self.separator.replace("\t", "<TAB>")
        hint = f"add one line at the top: {separator.join([*example[:6], *['...'] * (len(example) > 6)])}"
        return bad_line(what, self.where, self.skip + 1, "names of columns", few(self.columns, 6), hint)


def is_text(path: Path) -> bool:
    """Return whether a file is text, by its first bytes, and neither a workbook nor Parquet or Feather."""
    return not first_bytes(path).startswith((*_ARROW, _OLE, _ZIP))


def look_at(path: Path, key: str) -> Table:
    """Find separator and header of a table, or raise a UserError if it has no rows, or the first does not fit."""
    where, head = f"{key}={path}", first_bytes(path)
    if head.startswith(_ARROW):
        frame = arrow_frame(path, where)
        return Table(path, key, [str(name) for name in frame.columns], skip=-1, frame=frame)
    table = Table(path, key, [])
    if head.startswith(_OLE) or (head.startswith(_ZIP) and is_workbook(path)):
        table = Table(path, key, [], content=sheet_as_csv(path, where))
    with table._open() as file:
        lines, about = first_lines(file)
    first = lines[0][1] if lines else ""
    kind = next((what for begin, what in _NO_TABLES.items() if first.startswith(begin)), None)
    if kind or any("\0" in line for _, line in lines):
        received = kind or "bytes that are no text (or UTF-16 without its byte order mark)"
        expected = "CSV, TSV, Excel or Parquet"
        raise UserError("this file is no table", where=where, expected=expected, received=received)
    if len(lines) < 2:
        received = "a header only" if lines else "an empty file"
        raise UserError("this table has no rows", where=where, expected="a header and rows", received=received)
    return _with_header(table, lines, about)


def _with_header(table: Table, numbered: list[Line], about: dict[str, Any]) -> Table:
    """Return the table with separator and columns, from its header and first rows."""
    if titles := titles_in([line for _, line in numbered]):
        first, last = numbered[0][0], numbered[titles - 1][0]
        table.remarks.append(f"line {first} is a title" if titles == 1 else f"lines {first} to {last} are a title")
        numbered = numbered[titles:]
    numbers, lines = zip(*numbered[:4], strict=True)
    found = about.pop("separator", None) or separator_of(lines)
    header, *rows = (cells_of(line, found) for line in lines)
    longer = len(rows[0]) == len(header) + 1
    if longer and any(row[-1] for row in rows) and not is_heading(header[0]):
        header = ["gene", *header]  # R names no column for the names of rows
    dangling = int(longer and not rows[0][-1] and len(header) < len(rows[0]))
    while len(header) > 1 and not header[-1]:
        header.pop()
        dangling += 1
    if not len(header) <= len(rows[0]) <= len(header) + dangling and not about.get("between"):
        what = "the first row of this table has another number of columns than its header"
        where = f"{table.where}, lines {numbers[0]} and {numbers[1]}"
        raise UserError(what, where=where, expected=len(header), received=len(rows[0]), hint="correct the header")
    columns = [name or f"column {n}" if n > 1 else name for n, name in enumerate(header, 1)]
    about.setdefault("between", numbers[1] - numbers[0] - 1)  # a heading may hold line ends
    rest = {name: getattr(table, name) for name in ("path", "key", "content", "remarks")}
    table = Table(columns=columns, separator=found, skip=numbers[0] - 1, dangling=dangling, **rest, **about)
    return _without_margin(table) if not any(row[0] for row in rows) else table


def _without_margin(table: Table) -> Table:
    """Return a table without empty columns before its first one, as those of sheets that begin in column B."""
    while len(table.columns) > 1 and table.columns[0] in ("", f"column {table.numbering + 1}"):
        first = table.columns[:1]
        if any((chunk[first[0]] != "").any() for _, chunk in table.chunks(2000, first, first)):
            break
        table = replace(table, columns=table.columns[1:], numbering=table.numbering + 1)
    return table


def shown(name: object) -> str:
    """Return the name of a column for a message."""
    return str(name) or "(no heading)"


def headings(names: Iterable[object], number: int = 12) -> str:
    """Return the first of many names of columns, as text."""
    return few(map(shown, names), number)


def _as_text(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return a column as text; whole numbers, such as Entrez ids, without a point."""
    if pd.api.types.is_float_dtype(column) and (column.dropna() % 1 == 0).all():
        column = column.astype("Int64")
    return column.astype(object).where(column.notna(), "").astype(str)


def _without_points(names: pd.Series[str]) -> pd.Series[str]:
    """Return names as text; ``.0`` behind every one is what pandas writes behind numbers beside empty cells."""
    numbers = names.str.fullmatch(r"\d+\.0")
    whole = numbers.any() and bool((numbers | names.isin(MISSING)).all())
    return names.str.removesuffix(".0") if whole else names


def _is_filled(column: pd.Series[Any]) -> np.ndarray:
    """Return whether each cell holds something, (n,) bool, white space aside."""
    filled = column.notna().to_numpy(bool)
    if not pd.api.types.is_numeric_dtype(column):
        filled = filled & ~column.astype(str).str.strip().isin(MISSING).to_numpy(bool)
    return filled


def nameless(names: pd.Series[str]) -> np.ndarray:
    """Return which names of genes are none: missing values, and errors of a spreadsheet, (n,) bool.

    Flies have genes called ``na`` and ``nan``; those that occur once are names.
    """
    alone = names.isin(("na", "nan")) & ~names.duplicated(keep=False)
    return (names.isin((*MISSING, *SPREADSHEET_ERRORS)) & ~alone).to_numpy(bool)


def is_numeric(values: pd.Series[Any]) -> bool:
    """Return whether a column has numbers, perhaps with commas, and not only text, or true and false."""
    if pd.api.types.is_numeric_dtype(values):
        return not pd.api.types.is_bool_dtype(values)
    return bool(values.dropna().astype(str).str.fullmatch(r"\s*[-+]?[\d.,]+([eE][-+]?\d+)?\s*").any())


def text_columns(table: pd.DataFrame) -> list[str]:
    """Return the columns in which no value is a number, or true or false."""
    return [n for n in table.columns if not (is_numeric(table[n]) or pd.api.types.is_bool_dtype(table[n]))]


def numbers_in(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return a column as numbers, NaN where a value is none."""
    return pd.to_numeric(column, errors="coerce")
