"""Tables that are no text: the one sheet of a workbook as CSV, Parquet and Feather as a frame."""

from __future__ import annotations

import csv
import datetime
import io
import re
import zipfile
import zlib
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from genexp.errors import UserError
from genexp.memory import available
from genexp.prepare.opening import few, first_bytes

if TYPE_CHECKING:
    from python_calamine import CalamineSheet

#: Bytes of a cell in the memory of the reader.
_CELL_BYTES = 32
#: What the parts of a damaged or encrypted archive raise.
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)
_AS_CSV = "save the sheet that holds the table as CSV, and use that"


def is_workbook(path: Path) -> bool:
    """Whether a zip archive is a workbook of Excel or OpenDocument."""
    try:
        with zipfile.ZipFile(path) as archive:
            return not {"[Content_Types].xml", "mimetype"}.isdisjoint(archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return path.suffix.lower() in (".xlsx", ".xlsm", ".xlsb", ".ods")


def sheet_as_csv(path: Path, where: str) -> str:
    """Return the one sheet of a workbook that holds a table, as CSV; line numbers are those of its rows."""
    from python_calamine import CalamineError, CalamineWorkbook, SheetVisibleEnum

    tables: dict[str, list[list[Any]]] = {}
    try:
        _check_area(path, where)
        with CalamineWorkbook.from_path(str(path)) as book:
            hidden = {sheet.name for sheet in book.sheets_metadata if sheet.visible != SheetVisibleEnum.Visible}
            for name in book.sheet_names:
                rows = [] if name in hidden else _rows(book.get_sheet_by_name(name))
                if sum(sum(cell != "" for cell in row) > 1 for row in rows) > 1:
                    tables[name] = rows
    except (CalamineError, *_DAMAGED, OSError, ValueError, OverflowError, MemoryError) as error:
        what, hint = "this workbook cannot be read", "open it in a spreadsheet and save it again, or as CSV"
        raise UserError(what, where=where, received=str(error) or type(error).__name__, hint=hint) from None
    if len(tables) > 1:
        what, expected = "several sheets of this workbook hold tables", "one sheet"
        raise UserError(what, where=where, expected=expected, received=few(tables), hint=_AS_CSV)
    text = io.StringIO()
    for rows in tables.values():
        csv.writer(text, lineterminator="\n").writerows([_cell(cell) for cell in row] for row in rows)
    return text.getvalue()


def _rows(sheet: CalamineSheet) -> list[list[Any]]:
    """Return the rows of a sheet; cells that were merged downwards all have the value of the first."""
    rows = sheet.to_python(skip_empty_area=False)
    for (top, left), (bottom, _) in sheet.merged_cell_ranges or ():
        for row in rows[top + 1 : bottom + 1]:
            if left < len(row):
                row[left] = rows[top][left]
    return rows


def _check_area(path: Path, where: str) -> None:
    """Raise a UserError if a sheet of Excel spans more cells than the memory holds, because of a stray one far away."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if not re.fullmatch(r"xl/worksheets/[^/]+\.xml", name):
                continue
            with archive.open(name) as file:
                found = re.search(rb'<dimension ref="[A-Z]+\d+:([A-Z]+)(\d+)"', file.read(4096))
            if found is None:
                continue
            columns = reduce(lambda number, letter: 26 * number + letter - 64, found[1], 0)
            if columns * int(found[2]) * _CELL_BYTES > available():
                what, received = "a sheet of this workbook spans more cells than the memory holds", found[0].decode()
                hint = "delete the stray cell far from the table, or save the sheet as CSV"
                raise UserError(what, where=where, received=received.split('"')[1], hint=hint)


def _cell(value: Any) -> str:
    """Return a cell of a workbook as text; Excel holds every number as a real one."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float):
        return repr(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    if isinstance(value, datetime.date | datetime.time | datetime.timedelta):
        return str(value)
    return " ".join(str(value).split())


def arrow_frame(path: Path, where: str) -> pd.DataFrame:
    """Read a Parquet or Feather file; names of rows that pandas kept are the first column."""
    import pyarrow as pa
    from pyarrow import feather, parquet

    try:
        parquet_file = first_bytes(path).startswith(b"PAR1")
        found = parquet.ParquetFile(path).read() if parquet_file else feather.read_table(path)
        found.validate(full=True)  # damage may point outside of the file
        index = [n for n in (found.schema.pandas_metadata or {}).get("index_columns", []) if n in found.column_names]
        places = [found.column_names.index(name) for name in index]  # a name may occur twice
        found = found.select([*places, *(n for n in range(found.num_columns) if n not in places)])
        columns = {str(n): _plain_column(found.column(n)) for n in range(found.num_columns)}
    except (pa.ArrowException, ValueError, TypeError, KeyError, AttributeError, OSError, MemoryError) as error:
        what, received = "this Parquet or Feather file cannot be read", " ".join(str(error).split())[:200]
        raise UserError(what, where=where, received=received, hint="copy or download it again") from None
    names = [re.sub("^__index_level_0__$", "", name) for name in found.column_names]
    if not len(found) or not names:
        raise UserError("this table has no rows", where=where, expected="rows", received="none")
    frame = pd.DataFrame(columns)
    frame.columns = pd.Index(names)
    return frame


def _plain_column(column: Any) -> pd.Series[Any]:
    """Return a column of Arrow as numbers or text."""
    import pyarrow as pa

    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_decimal(kind):
        return pd.Series(column.cast(pa.float64()).to_pandas())
    if pa.types.is_boolean(kind) and column.null_count:
        return pd.Series(column.cast(pa.int8()).to_pandas())
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        return pd.Series(column.to_pandas())
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return pd.Series([None if cell is None else cell.decode() for cell in column.to_pylist()], dtype=object)
    return pd.Series([None if cell is None else str(cell) for cell in column.to_pylist()], dtype=object)
