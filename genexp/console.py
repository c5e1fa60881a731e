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
from functools import partial
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from genexp.units import clock, per_second
from genexp.units import duration as duration

#: Names of labels, genes and files are printed as they are: "[/min]" is no markup, and ":dna:" no emoji.
_AsIs = partial(Console, highlight=False, markup=False, emoji=False)

#: They neither wrap nor crop: `wrapped` does.
out = _AsIs(soft_wrap=True)
err = _AsIs(stderr=True, soft_wrap=True)

_quiet = ContextVar("quiet", default=False)
_log_files: list[TextIO] = []
_early: list[str] = []  # what was shown before the run had a directory

#: Columns without a terminal, unless the environment variable COLUMNS has another number.
PLAIN_WIDTH = 80

#: Seconds between two lines of progress without a terminal.
PLAIN_EVERY_S = 15.0

#: Reports the number of items that are done; a second number, the total, is allowed and not used.
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
    """Show a table, and log it; a terminal that is too narrow for it breaks its lines, but nothing is cut off."""
    width = Measurement.get(out, out.options.update(max_width=10_000), content).maximum
    text = io.StringIO()
    for file in (None, text) if not _quiet.get() else (text,):
        _AsIs(file=file, width=width).print(content)
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
        # A command, or a quoted key=value of one, at the end of a line gets a line of its own.
        sentence, *command = re.split(r"(?<=:) (?=genexp \w+ |'\w+=[\[{])", line, maxsplit=1)
        wrap = textwrap.TextWrapper(width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
        lines += [*wrap.wrap(sentence), *(indent + words for words in command)]
    return "\n".join(lines)


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


#: Shows a table in place of the one shown before.
Update = Callable[[Table], None]


@contextmanager
def live() -> Iterator[Update | None]:
    """Show a table that changes, until the context ends; yields what updates it, or None without a terminal."""
    if not out.is_terminal or _quiet.get():
        yield None
        return
    with Live(console=out, transient=True, auto_refresh=False) as shown:
        yield lambda content: shown.update(content, refresh=True)


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
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=out, transient=True) as bar:
            task = bar.add_task(what, total=total, unit=unit)
            yield lambda done, total=total: bar.update(task, completed=done, total=total)
        return
    last, before = time.monotonic(), 0

    def line(done: int, total: int = total) -> None:
        nonlocal last, before
        now = time.monotonic()
        if plain and now - last >= PLAIN_EVERY_S and before < done < total:
            # Since the last line: a command that is resumed has many items at once.
            rate = (done - before) / (now - last)
            last, before = now, done
            eta = clock((total - done) / rate)
            say(f"{what}: {done:,} of {total:,} {unit}, {per_second(rate, unit)}, ETA {eta}")

    yield line
