"""The first lines of a text table: which of them is the header, and what separates its cells."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, TextIO

#: Words that occur in headings of gene columns.
_HEADING_WORDS = frozenset(
    {"gene", "genes", "geneid", "genename", "genesymbol", "id", "ids", "ensid", "ensembl", "name", "names", "symbol"}
    | {"locus", "locustag", "transcript", "transcriptid", "probe", "feature", "target", "row", "rownames", "unnamed"}
)

#: The first line with which Excel says what separates the cells of a CSV file.
_SEPARATOR = re.compile(r'"?sep=([,;\t]|\\t)"?[,;\t]*', re.IGNORECASE)

#: A cell that begins with a quote; quotes within cells, as those of inches, are text.
_QUOTED = re.compile(r'(?:^|[\t,;])\s*"')
_NUMBER = re.compile(r"[-+]?[\d.,]+([eE][-+]?\d+)?")
_ABSENT = ("", "NA", "NaN", "nan")

#: A line with its number.
Line = tuple[int, str]


def first_lines(file: TextIO) -> tuple[list[Line], dict[str, Any]]:
    """Return header and first rows, and what the lines before them say: fields of a `Table`."""
    about: dict[str, Any] = {}
    lines, comment = enumerate(file, 1), (0, "")
    start: list[Line] = []
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
        elif declared := _SEPARATOR.fullmatch(text):
            about["separator"] = declared[1].replace("\\t", "\t")
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


def _joined(lines: list[Line]) -> list[Line]:
    """Return the first rows; a row goes on where a quoted cell holds a line end."""
    rows: list[Line] = []
    while lines and len(rows) < 12:
        number = 1
        if lines[0][1].count('"') % 2 and _QUOTED.search(lines[0][1]):
            number += next((n for n, (_, text) in enumerate(lines[1:], 1) if text.count('"') % 2), 0)
        row = " ".join(text for _, text in lines[:number])
        rows += [(lines[0][0], row)] if _is_filled(row) else []
        lines = lines[number:]
    return rows


def _is_commented_header(comment: str, lines: list[Line]) -> bool:
    """Whether the header stands behind a #: a comment has as many cells as the line after it, which is no header."""
    separator = next((s for s in "\t,;" if lines and s in lines[0][1]), None)
    if separator is None or is_heading(cells_of(lines[0][1], separator)[0]):
        return False
    first, *rows = (cells_of(text, separator) for _, text in lines)
    if any(_names_numbers(name, below) for name, *below in zip(first, *rows, strict=False)):
        return False
    return len(cells_of(comment, separator)) == len(first) > 1


def _names_numbers(name: str, below: Sequence[str]) -> bool:
    """Whether a cell is no number, and each below it is one, if anything."""
    cells = [cell for cell in below if cell not in _ABSENT]
    return name not in _ABSENT and not _NUMBER.fullmatch(name) and bool(cells) and all(map(_NUMBER.fullmatch, cells))


def titles_in(lines: Sequence[str]) -> int:
    """Return how many of the first lines are titles: one cell each above rows of several.

    One line may be the header in which R names the only sample, and no column of names.
    """
    for titles in range(1, len(lines) - 1):
        below = separator_of(lines[titles:])
        if below == " " or any(len(_filled(line, below)) > 1 for line in lines[:titles]):
            return 0
        header, row = (_filled(line, below) for line in lines[titles : titles + 2])
        if len(header) > 1:
            break
    else:
        return 0
    own = separator_of(lines)
    if len(cells_of(lines[0], own)) == len(cells_of(lines[1], own)) == len(_filled(lines[0], own)):
        return 0
    width = len(header) + (not cells_of(lines[titles], below)[0])  # pandas names no column for the names of rows
    wide = width > 2 or titles > 1
    alike = len(row) == width or (wide and 1 < len(row) <= width + 1)
    return titles if alike and (wide or " " in lines[0].strip()) else 0


@contextmanager
def long_cells() -> Iterator[None]:
    """Let the csv module read cells of any length for a while, such as sequences in quotes."""
    before = csv.field_size_limit(2**31 - 1)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _filled(line: str, separator: str) -> list[str]:
    return [cell for cell in cells_of(line, separator) if cell]


def separator_of(lines: Sequence[str]) -> str:
    """Return the separator that gives header and first row as many cells; a header may lack one name."""
    counts = {s: [len(cells_of(line, s)) for line in lines[:2]] for s in "\t;,"}
    for separator, (header, row) in counts.items():
        if header == row > 1:
            return separator
    for separator, (header, row) in counts.items():
        if row == header + 1 and not (header == 1 and re.search(r"[\s,;]", lines[0].strip())):
            return separator
    words = [len(cells_of(line, " ")) for line in lines[:2]]
    if not any("\t" in line for line in lines) and 0 <= words[1] - words[0] <= 1 < words[1]:
        return " "
    return next((s for line in lines[:2] for s in "\t,;" if s in line), " ")


def cells_of(line: str, separator: str) -> list[str]:
    """Return the cells of a line, without quotes and white space around them."""
    try:
        blank = separator == " "  # as pandas, which knows no other white space than blanks and tabs
        with long_cells():
            cells = re.split("[ \t]+", line.strip(" \t")) if blank else next(csv.reader([line], delimiter=separator))
    except csv.Error:  # a line end within
        cells = line.split(separator)
    return [name.strip().strip('"') for name in cells]


def is_heading(name: str) -> bool:
    """Return whether a name is one that is given to columns of genes."""
    return not name.strip() or not _HEADING_WORDS.isdisjoint(re.split(r"[^a-z0-9]+", name.lower()))
