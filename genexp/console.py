"""What the user sees: lines, warnings, tables, progress. Every line also goes to the log file of the run."""

from __future__ import annotations

import io
import os
import re
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from pathlib import Path
from typing import TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console, JustifyMethod
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Column, Table
from rich.text import Text

from genexp.units import clock, per_second
from genexp.units import duration as duration

#: They neither wrap nor crop: `wrapped` and `fitted` do.
out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

_quiet = ContextVar("quiet", default=False)
_log_files: list[TextIO] = []
_early: list[str] = []  # what was shown before the run had a directory

#: Columns without a terminal, unless the environment variable COLUMNS has another number.
PLAIN_WIDTH = 80

#: Seconds between two lines of progress without a terminal.
PLAIN_EVERY_S = 15.0

#: Reports that so many items are done; a second number, the total, is allowed and not used.
Report = Callable[..., None]


@contextmanager
def quiet(on: bool = True) -> Iterator[None]:
    """Show nothing but errors, as in library use; log files are still written."""
    token = _quiet.set(on or _quiet.get())
    try:
        yield
    finally:
        _quiet.reset(token)


def say(line: str, style: str = "") -> None:
    """Show one line, and log it."""
    if not _quiet.get():
        out.print(Text(wrapped(line, _width(out)), style=style))
    _log(line)


def warn(line: str) -> None:
    """Show one warning, and log it."""
    say(f"warning: {line}", style="yellow")


def fail(message: str) -> None:
    """Print an error to standard error, and log it."""
    shown = wrapped(f"error: {message}", _width(err)).removeprefix("error: ")
    err.print(Text.assemble(("error: ", "bold red"), shown))
    _log(f"error: {message}")


def table(content: Table) -> None:
    """Show a table, and log it as it is; where the terminal is too narrow, `fitted` narrows it."""
    if not _quiet.get():
        shown, same = fitted(content, _width(out))
        for line in same:
            out.print(Text(wrapped(line, _width(out))))
        Console(highlight=False, width=max(_width(out), natural_width(shown))).print(shown)
    text = io.StringIO()
    Console(file=text, width=natural_width(content)).print(content)
    for line in text.getvalue().splitlines():
        _log(line.rstrip())


def _width(console: Console) -> int:
    columns = os.environ.get("COLUMNS", "")
    return int(columns) if columns.isdigit() else console.width if console.is_terminal else PLAIN_WIDTH


def wrapped(text: str, width: int) -> str:
    """Wrap each line at `width` columns, with an indent; paths, and commands to be copied, stay whole."""
    lines = []
    for line in text.splitlines():
        if len(line) <= width:
            lines.append(line)
            continue
        indent = " " * (len(line) - len(line.lstrip()) + 2)
        # A command at the end of a line gets a line of its own.
        sentence, *command = re.split(r"(?<=:) (?=genexp \w+ )", line, maxsplit=1)
        wrap = textwrap.TextWrapper(width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
        lines += [*wrap.wrap(sentence), *(indent + words for words in command)]
    return "\n".join(lines)


def natural_width(content: Table) -> int:
    """Return the columns that a table needs without wrapping."""
    return Measurement.get(out, out.options.update(max_width=10_000), content).maximum


def fitted(content: Table, width: int) -> tuple[Table, list[str]]:
    """Narrow a table to `width` columns without cutting off anything; a line for each column taken out comes second.

    Column titles are wrapped. If that is not enough, columns that have one value in all rows are taken out, and last,
    left-justified cells are wrapped to 12 characters at least; numbers never are.
    """
    if natural_width(content) <= width:
        return content, []
    columns = [(str(column.header), [str(cell) for cell in column.cells], column.justify) for column in content.columns]
    narrow = _table_of(content, columns)
    if natural_width(narrow) <= width:
        return narrow, []
    alike = [column for column in columns if len(column[1]) > 1 and len(set(column[1])) == 1]
    columns = [column for column in columns if column not in alike]
    narrow = _table_of(content, columns)
    excess = natural_width(narrow) - width
    texts = [column for column in narrow.columns if column.justify == "left"]
    for column in sorted(texts, key=_longest, reverse=True):
        cut = max(0, min(excess, _longest(column) - 12))
        column.width, column.no_wrap, column.overflow = _longest(column) - cut, False, "fold"
        excess -= cut
    return narrow, [f"{title}: {cells[0]} in all rows" for title, cells, _ in alike]


def _longest(column: Column) -> int:
    """Return the number of characters of the longest line of a column."""
    return max(len(line) for cell in (column.header, *column.cells) for line in str(cell).splitlines() or [""])


def _table_of(content: Table, columns: list[tuple[str, list[str], JustifyMethod]]) -> Table:
    """Return a table with the title of `content`, these columns with wrapped titles, and no vertical lines."""
    table = Table(title=content.title, title_justify="left", box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for title, cells, justify in columns:
        lines, longest = [""], max(map(len, cells), default=0)
        for piece in re.split(r"(?<=[ ._])", title):
            if lines[-1] and len(lines[-1]) + len(piece.rstrip()) > longest:
                lines.append("")
            lines[-1] += piece
        table.add_column("\n".join(line.rstrip() for line in lines), justify=justify, no_wrap=True)
    for row in zip(*(cells for _, cells, _ in columns), strict=True):
        table.add_row(*row)
    return table


def _log(line: str) -> None:
    stamped = f"{datetime.now().astimezone().isoformat(timespec='seconds')} {line}\n"
    if not _log_files:
        _early.append(stamped)
    for file in _log_files:
        file.write(stamped)
        file.flush()


@contextmanager
def log_to(path: Path) -> Iterator[None]:
    """Append to `path` every line shown in this context, and those shown since `forget`, with their times."""
    with path.open("a", encoding="utf-8") as file:
        file.writelines(_early)
        forget()
        _log_files.append(file)
        try:
            yield
        finally:
            _log_files.remove(file)


def forget() -> None:
    """Keep the lines shown so far out of the log file of the next run: they belong to other work of this process."""
    _early.clear()


class _Rate(ProgressColumn):
    """Items per second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else per_second(speed, task.fields["unit"]), style="cyan")


@contextmanager
def progress(what: str, total: int, unit: str, *, plain: bool = True) -> Iterator[Report]:
    """Show the progress of a long job; yields a function to be called with the number of items done.

    On a terminal a bar with rate and remaining time, which disappears at the end; elsewhere a plain line every
    ``PLAIN_EVERY_S`` seconds, unless `plain` is False because the job prints its own lines.
    """
    if out.is_terminal and not _quiet.get():
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
        with Progress(*columns, console=out, transient=True) as bar:
            task = bar.add_task(what, total=total, unit=unit)
            yield lambda done, total=total: bar.update(task, completed=done, total=total)
        return
    started = last = time.monotonic()

    def line(done: int, total: int = total) -> None:
        nonlocal last
        now = time.monotonic()
        if plain and now - last >= PLAIN_EVERY_S and 0 < done < total:
            last = now
            rate = done / (now - started)
            eta = clock((total - done) / rate)
            say(f"{what}: {done:,} of {total:,} {unit}, {per_second(rate, unit)}, ETA {eta}")

    yield line
