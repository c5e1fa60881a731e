"""What a person sees: lines, warnings, progress bars; all lines also go to the run's log file."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

_log_files: list[TextIO] = []
_early: list[str] = []  # what was said before the run had a directory

#: Without a terminal a running bar is a plain line, at most one in so many seconds.
PLAIN_EVERY_S = 15.0


def say(line: str, style: str | None = None) -> None:
    """Print one line, and log it."""
    out.print(Text(line, style=style or ""))
    _log(line)


def warn(line: str) -> None:
    """Print one warning, and log it."""
    out.print(Text(f"warning: {line}", style="yellow"))
    _log(f"warning: {line}")


def fail(message: str) -> None:
    """Print an error to standard error, and log it."""
    err.print(Text.assemble(("error: ", "bold red"), message))
    _log(f"error: {message}")


def table(content: Table) -> None:
    """Print a table, and log it; whole: where the terminal is too narrow its lines wrap, and no number is cut off."""
    needed = Measurement.get(out, out.options.update(max_width=1000), content).maximum
    Console(highlight=False, width=max(out.width, needed)).print(content)
    text = io.StringIO()
    Console(file=text, width=needed).print(content)
    for line in text.getvalue().splitlines():
        _log(line.rstrip())


def _log(line: str) -> None:
    stamped = f"{datetime.now().astimezone().isoformat(timespec='seconds')} {line}\n"
    if not _log_files:
        _early.append(stamped)
    for file in _log_files:
        file.write(stamped)
        file.flush()


@contextmanager
def log_to(path: Path) -> Iterator[None]:
    """Append to `path` every line printed before and meanwhile, with its time."""
    with path.open("a", encoding="utf-8") as file:
        file.writelines(_early)
        _early.clear()
        _log_files.append(file)
        try:
            yield
        finally:
            _log_files.remove(file)


class _Rate(ProgressColumn):
    """Items per second."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self.unit = unit

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else per_second(speed, self.unit), style="cyan")


@contextmanager
def progress(what: str, total: int, unit: str, *, plain: bool = True) -> Iterator[Callable[[int], None]]:
    """Show how far a long job is; yields a function that takes the number of items done so far.

    On a terminal a bar with rate and time left, which disappears when done; elsewhere a plain line now and then,
    unless `plain` is False because the job prints lines of its own.
    """
    if out.is_terminal:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(unit))
        with Progress(*columns, TimeRemainingColumn(), console=out, transient=True) as bar:
            task = bar.add_task(what, total=total)
            yield lambda done: bar.update(task, completed=done)
        return
    started = last = time.monotonic()

    def line(done: int) -> None:
        nonlocal last
        now = time.monotonic()
        if plain and now - last >= PLAIN_EVERY_S and 0 < done < total:
            last = now
            rate = done / (now - started)
            left = duration((total - done) / rate)
            say(f"{what}: {done:,} of {total:,}, {per_second(rate, unit)}, {left} left")

    yield line


def per_second(rate: float, unit: str) -> str:
    """Return a rate as people write it: ``"1,234 genes/s"``, ``"0.4 epochs/s"``."""
    return f"{rate:,.0f} {unit}/s" if rate >= 10 else f"{rate:.1f} {unit}/s"


def duration(seconds: float) -> str:
    """Return a time span as people write it: ``"4 s"``, ``"2:05"`` (minutes), ``"1:02:05"`` (hours)."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"
