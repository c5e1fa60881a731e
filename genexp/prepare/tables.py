"""Reading any table: text with any separator and encoding, plain or gzip; Excel, OpenDocument, Parquet and Feather."""

from __future__ import annotations

import csv
import datetime
import io
import re
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pandas as pd

from genexp.errors import UserError
from genexp.prepare.opening import bad_line, few, first_bytes, open_text

#: Words that occur in headings of gene columns.
_HEADING_WORDS = frozenset(
    {"gene", "genes", "geneid", "genename", "genesymbol", "id", "ids", "ensid", "ensembl", "name", "names", "symbol"}
    | {"locus", "locustag", "transcript", "transcriptid", "probe", "feature", "target", "row", "rownames", "unnamed"}
)
MISSING = ("", "NA", "N/A", "#N/A", "na", "nan", "NaN", "null", "NULL", "None", "-nan")
#: A number with a decimal comma; with commas between thousands; with either.
_DECIMAL = r"[-+]?\d*,\d+([eE][-+]?\d+)?"
_THOUSANDS = r"[-+]?\d{1,3}(,\d{3})+"
_COMMA = r"[-+]?[\d.]*(,\d+)+(\.\d+)?([eE][-+]?\d+)?"
_COPY_AGAIN = "correct the row, or copy or download the file again"
_AS_CSV = "save the sheet that holds the table as CSV, and use that"
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
class Table:
    """A table in a file: how it is written, and ways to read it.

    The header is line `skip` + 1; `between` lines follow before the first row; rows end with up to `dangling` empty
    cells more than the header. `mark` is the first line where it is a comment; a GCT file says how many `rows` it has,
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
    mark: str = ""
    rows: int | None = None
    metadata: int = 0
    content: str | None = field(default=None, repr=False)
    frame: pd.DataFrame | None = field(default=None, repr=False)
    remarks: list[str] = field(default_factory=list)

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
            return len(_split(re.sub('"[^"]*"', "x", line.rstrip("\r\n")), " "))
        if '"' not in line:
            return line.count(self.separator) + 1
        try:
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
        rows, width = 0, len(self.columns)
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

        `columns` are those to read, null for all. Rows without any value are left out.
        """
        wanted = list(columns or self.columns)
        texts = [name for name in wanted if name in texts or (columns is None and name == wanted[0])]
        for chunk in self._frames(rows, texts, wanted):
            line = self.first_line + int(chunk.index[0]) if len(chunk) else self.first_line
            for name in texts:
                chunk[name] = chunk[name].astype(str).str.strip()
            if len(wanted) > len(texts) and (empty := (chunk[texts] == "").all(axis=1)).any():
                chunk = chunk[~(empty & chunk.drop(columns=texts).isna().all(axis=1))]
            yield line, chunk

    def _frames(self, rows: int | None, texts: list[str], columns: list[str]) -> Iterator[pd.DataFrame]:
        if self.frame is not None:
            found = self.frame[columns]
            for start in range(0, len(found), rows or max(1, len(found))):
                part = found.iloc[start : start + (rows or len(found))].copy()
                yield part.assign(**{name: _as_text(part[name]) for name in texts})
            return
        nameless = [f"\0{n}" for n in range(self.dangling)]
        options: dict[str, Any] = {
            "sep": r"\s+" if self.separator == " " else self.separator,
            "header": None,
            "names": [*self.columns, *nameless],
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
        return self.bad_cell(what, len(self.columns) + 1, line, chunk.iloc[row, 0], "an empty cell", value, hint)

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
            wrong = np.isnan(found) & asked.notna().to_numpy()
            if wrong.any():
                self._read_commas(table, names, found, wrong)
            wrong |= np.isinf(found)
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
        texts = {n: table[names[n]].astype(str).str.strip() for n in np.flatnonzero(wrong.any(axis=0)).tolist()}
        commas = np.concatenate([text[wrong[:, n]].to_numpy(str) for n, text in texts.items()])
        points = any(text.str.contains(".", regex=False).any() for text in texts.values())
        others = np.delete(found, list(texts), axis=1)
        points |= bool((others[np.isfinite(others)] % 1 != 0).any())
        matches = [re.compile(pattern).fullmatch for pattern in (_DECIMAL, _THOUSANDS)]
        decimal, thousands = (np.array([bool(match(text)) for text in commas]) for match in matches)
        if self.separator in ";\t " and decimal.all() and not thousands.all() and not points:
            for n, text in texts.items():
                found[:, n] = numbers_in(text.str.replace(",", ".", regex=False)).to_numpy(np.float64)
                wrong[:, n] = False
            if "decimal commas" not in self.remarks:
                self.remarks.append("decimal commas")

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
        return _arrow(path, key)
    table = Table(path, key, [])
    if head.startswith(_OLE) or (head.startswith(_ZIP) and _is_book(path)):
        table = Table(path, key, [], content=_sheet(path, where))
    with table._open() as file:
        lines, about = _first_lines(file)
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


#: A line with its number.
_Line = tuple[int, str]


def _first_lines(file: TextIO) -> tuple[list[_Line], dict[str, Any]]:
    """Return header and first rows, and what the lines before them say: fields of a Table."""
    about: dict[str, Any] = {}
    lines, comment = enumerate(file, 1), (0, "")
    start: list[_Line] = []
    for number, line in lines:
        text = line.rstrip("\r\n")
        if text.startswith("#"):
            comment = number, text
            about.setdefault("mark", text)
            if re.match(r"#1\.[23]\b", text):  # GCT: the second line holds the numbers of rows and columns
                words = next(lines, (0, ""))[1].split()
                counts = [int(word) if re.fullmatch("[0-9]{1,9}", word) else 0 for word in words]
                about["rows"] = next(iter(counts), 0) or None
                if text.startswith("#1.3"):
                    about |= dict(zip(("metadata", "between"), [*counts[2:4], 0, 0], strict=False))
        elif _is_filled(text):
            start = [(number, text), *((n, more.rstrip("\r\n")) for n, more in islice(lines, 60))]
            break
    found = _joined(start)
    if _is_commented_header(comment[1], found):
        found = [(comment[0], comment[1].lstrip("# ")), *found]
    return found, about


def _is_filled(line: str) -> bool:
    """Whether a line holds more than separators, as spreadsheets write empty rows."""
    return bool(line.strip(" \t,;"))


def _joined(lines: list[_Line]) -> list[_Line]:
    """Return the first rows; a row goes on where a quoted cell holds a line end."""
    rows: list[_Line] = []
    while lines and len(rows) < 4:
        number = 1
        if lines[0][1].count('"') % 2:
            number += next((n for n, (_, text) in enumerate(lines[1:], 1) if text.count('"') % 2), 0)
        row = " ".join(text for _, text in lines[:number])
        rows += [(lines[0][0], row)] if _is_filled(row) else []
        lines = lines[number:]
    return rows


def _is_commented_header(comment: str, lines: list[_Line]) -> bool:
    """Whether the header stands behind a #: a comment has as many cells as the line after it, which is no header."""
    separator = next((s for s in "\t,;" if lines and s in lines[0][1]), None)
    if separator is None or is_heading(_split(lines[0][1], separator)[0]):
        return False
    return len(_split(comment, separator)) == len(_split(lines[0][1], separator)) > 1


def _is_titled(lines: Sequence[str]) -> bool:
    """Whether the first line is a title: one cell above rows of several, and not the one sample of R's header."""
    own, below = _separator(lines), _separator(lines[1:]) if len(lines) > 2 else " "
    if below == " " or len(_split(lines[0], own)) == len(_split(lines[1], own)) == len(_filled(lines[0], own)):
        return False
    title, header, row = (_filled(line, below) for line in lines[:3])
    return len(title) == 1 < len(header) == len(row) and (len(header) > 2 or " " in lines[0].strip())


def _filled(line: str, separator: str) -> list[str]:
    return [cell for cell in _split(line, separator) if cell]


def _with_header(table: Table, numbered: list[_Line], about: dict[str, Any]) -> Table:
    """Return the table with separator and columns, from its header and first rows."""
    if _is_titled([line for _, line in numbered]):
        table.remarks.append(f"line {numbered[0][0]} is a title")
        numbered = numbered[1:]
    numbers, lines = zip(*numbered, strict=True)
    found = _separator(lines)
    header, *rows = (_split(line, found) for line in lines)
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
    rest = {name: getattr(table, name) for name in ("path", "key", "content", "remarks")}
    return Table(columns=columns, separator=found, skip=numbers[0] - 1, dangling=dangling, **rest, **about)


def _separator(lines: Sequence[str]) -> str:
    """Return the separator that gives header and first row as many cells; a header may lack one name."""
    counts = {s: [len(_split(line, s)) for line in lines[:2]] for s in "\t;,"}
    for separator, (header, row) in counts.items():
        if header == row > 1:
            return separator
    for separator, (header, row) in counts.items():
        if row == header + 1 and not (header == 1 and re.search(r"[\s,;]", lines[0].strip())):
            return separator
    words = [len(_split(line, " ")) for line in lines[:2]]
    if not any("\t" in line for line in lines) and 0 <= words[1] - words[0] <= 1 < words[1]:
        return " "
    return next((s for line in lines[:2] for s in "\t,;" if s in line), " ")


def _split(line: str, separator: str) -> list[str]:
    try:
        blank = separator == " "  # as pandas, which knows no other white space than blanks and tabs
        cells = re.split("[ \t]+", line.strip(" \t")) if blank else next(csv.reader([line], delimiter=separator))
    except csv.Error:  # a cell longer than any heading
        cells = line.split(separator)
    return [name.strip().strip('"') for name in cells]


def _is_book(path: Path) -> bool:
    """Whether a zip archive is a workbook of Excel or OpenDocument."""
    try:
        with zipfile.ZipFile(path) as archive:
            return not {"[Content_Types].xml", "mimetype"}.isdisjoint(archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return path.suffix.lower() in (".xlsx", ".xlsm", ".xlsb", ".ods")


def _sheet(path: Path, where: str) -> str:
    """Return the one sheet of a workbook that holds a table, as CSV; line numbers are those of its rows."""
    from python_calamine import CalamineError, CalamineWorkbook, SheetVisibleEnum

    tables: dict[str, list[list[Any]]] = {}
    try:
        with CalamineWorkbook.from_path(str(path)) as book:
            hidden = {sheet.name for sheet in book.sheets_metadata if sheet.visible != SheetVisibleEnum.Visible}
            for name in book.sheet_names:
                rows = [] if name in hidden else book.get_sheet_by_name(name).to_python(skip_empty_area=False)
                if sum(sum(cell != "" for cell in row) > 1 for row in rows) > 1:
                    tables[name] = rows
    except (CalamineError, OSError, ValueError, OverflowError, MemoryError) as error:
        what, hint = "this workbook cannot be read", "open it in a spreadsheet and save it again, or as CSV"
        raise UserError(what, where=where, received=str(error) or type(error).__name__, hint=hint) from None
    if len(tables) > 1:
        what, expected = "several sheets of this workbook hold tables", "one sheet"
        raise UserError(what, where=where, expected=expected, received=few(tables), hint=_AS_CSV)
    text = io.StringIO()
    for rows in tables.values():
        csv.writer(text, lineterminator="\n").writerows([_cell(cell) for cell in row] for row in rows)
    return text.getvalue()


def _cell(value: Any) -> str:
    """Return a cell of a workbook as text; Excel holds every number as a real one."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float):
        return repr(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    if isinstance(value, datetime.date | datetime.time | datetime.timedelta):
        return str(value)
    return " ".join(str(value).split())


def _arrow(path: Path, key: str) -> Table:
    """Read a Parquet or Feather file; names of rows that pandas kept are the first column."""
    import pyarrow as pa
    from pyarrow import feather, parquet

    try:
        parquet_file = first_bytes(path).startswith(b"PAR1")
        found = parquet.read_table(path) if parquet_file else feather.read_table(path)
        found.validate(full=True)  # damage may point outside of the file
        index = [n for n in (found.schema.pandas_metadata or {}).get("index_columns", []) if n in found.column_names]
        found = found.select([*index, *(name for name in found.column_names if name not in index)])
        columns = {str(n): _plain_column(found.column(n)) for n in range(found.num_columns)}
    except (pa.ArrowException, ValueError, TypeError, KeyError, AttributeError, OSError, MemoryError) as error:
        what, received = "this Parquet or Feather file cannot be read", " ".join(str(error).split())[:200]
        raise UserError(what, where=f"{key}={path}", received=received, hint="copy or download it again") from None
    names = [re.sub("^__index_level_0__$", "", name) for name in found.column_names]
    if not len(found) or not names:
        raise UserError("this table has no rows", where=f"{key}={path}", expected="rows", received="none")
    frame = pd.DataFrame(columns)
    frame.columns = pd.Index(names)
    return Table(path, key, names, skip=-1, frame=frame)


def _plain_column(column: Any) -> pd.Series[Any]:
    """Return a column of Arrow as numbers or text."""
    import pyarrow as pa

    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_decimal(kind):
        return pd.Series(column.cast(pa.float64()).to_pandas())
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        return pd.Series(column.to_pandas())
    return pd.Series([None if cell is None else str(cell) for cell in column.to_pylist()], dtype=object)


def _as_text(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return a column as text; whole numbers, such as Entrez ids, without a point."""
    if pd.api.types.is_float_dtype(column) and (column.dropna() % 1 == 0).all():
        column = column.astype("Int64")
    return column.astype(object).where(column.notna(), "").astype(str)


def is_numeric(values: pd.Series[Any]) -> bool:
    """Return whether a column has numbers, perhaps with commas, and not only text, or true and false."""
    if pd.api.types.is_numeric_dtype(values):
        return not pd.api.types.is_bool_dtype(values)
    return bool(values.dropna().astype(str).str.fullmatch(r"\s*[-+]?[\d.,]+([eE][-+]?\d+)?\s*").any())


def is_heading(name: str) -> bool:
    """Return whether a name is one that is given to columns of genes."""
    return not name.strip() or not _HEADING_WORDS.isdisjoint(re.split(r"[^a-z0-9]+", name.lower()))


def text_columns(table: pd.DataFrame) -> list[str]:
    """Return the columns in which no value is a number, or true or false."""
    return [n for n in table.columns if not (is_numeric(table[n]) or pd.api.types.is_bool_dtype(table[n]))]


def numbers_in(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return a column as numbers, NaN where a value is none."""
    return pd.to_numeric(column, errors="coerce")
