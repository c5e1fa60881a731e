"""Tables that are no text: the one sheet of a workbook as CSV, Parquet and Feather as a frame."""

from __future__ import annotations

import csv
import datetime
import io
import re
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd

from genexp.errors import UserError
from genexp.prepare.opening import few, first_bytes

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


def arrow_frame(path: Path, where: str) -> pd.DataFrame:
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
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        return pd.Series(column.to_pandas())
    return pd.Series([None if cell is None else str(cell) for cell in column.to_pylist()], dtype=object)
