"""What the user sees of jobs that run: a live table in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from statistics import fmean

from rich.box import SIMPLE_HEAD
from rich.table import Table

from genexp import console
from genexp.api.jobs import Ended, Job, State
from genexp.errors import UserError
from genexp.run import UNUSABLE, RunDirectory, read_config_yaml, read_epochs, read_metrics, seconds_of
from genexp.units import clock, duration

#: Rows of the live table; of more jobs only those that run are shown.
ROWS = 16
#: Seconds between two looks into the run directories.
LOOK_S = 1.0


@dataclass(frozen=True)
class Progress:
    """How far a run is: epochs done and to be done at most, the last validation r2, and the seconds left at most."""

    epoch: int = 0
    epochs: int = 0
    r2: float | None = None
    left: float | None = None

    def __str__(self) -> str:
        r2 = "" if self.r2 is None else f", val r2 {self.r2:.3f}"
        return f"epoch {self.epoch} of {self.epochs}{r2}, ETA {clock(self.left or 0)}"


def progress_of(run: RunDirectory, epochs: int) -> Progress:
    """Return how far a run of at most `epochs` epochs is, from its history."""
    try:
        rows = read_epochs(run)
        return Progress(len(rows), epochs, rows[-1]["val_r2"], seconds_of(rows) / len(rows) * (epochs - len(rows)))
    except (OSError, ValueError, TypeError, LookupError):  # not there yet
        return Progress(0, epochs)


@dataclass
class Board:
    """Shows the jobs of a sweep; to be called with their state as often as one likes."""

    jobs: tuple[Job, ...]
    update: console.Update | None
    reported: int = 0
    looked: float = 0.0
    told: float = field(default_factory=time.monotonic)
    epochs: dict[int, int] = field(default_factory=dict)

    def __call__(self, state: State) -> None:
        for ended in state.ended[self.reported :]:
            if ended.code or ended.seconds is not None:
                console.say(ended_line(ended), style="yellow" if ended.code else "")
        self.reported = len(state.ended)
        now = time.monotonic()
        if self.update is not None and now - self.looked >= LOOK_S:
            self.looked = now
            self.update(self.table(state))
        elif self.update is None and now - self.told >= console.PLAIN_EVERY_S:
            self.told = now
            for job, _ in state.running.values():
                if (found := self.progress(job)).epoch:
                    console.say(f"{job.name}: {found}")
            console.say(self.summary(state))

    def progress(self, job: Job) -> Progress:
        """Return how far a job is."""
        if job.directory is None:
            return Progress()
        run = RunDirectory(job.directory)
        if job.number not in self.epochs and run.config.is_file():
            try:
                self.epochs[job.number] = int(read_config_yaml(run)["training"]["epochs"])
            except (UserError, KeyError, TypeError, ValueError):
                self.epochs[job.number] = 0
        return progress_of(run, self.epochs.get(job.number, 0))

    def summary(self, state: State) -> str:
        """Return the numbers of jobs in one line, with an estimate of the time left."""
        failed = sum(ended.code != 0 for ended in state.ended)
        parts = [f"{len(state.ended)} of {len(self.jobs)} done", f"{failed} failed" if failed else ""]
        parts += [f"{len(state.running)} running", f"{len(state.waiting)} waiting"]
        spent = [ended.seconds for ended in state.ended if ended.seconds is not None]
        if spent:
            at_once = max(1, len(state.running))
            parts.append(f"ETA {clock(fmean(spent) * (len(state.waiting) + len(state.running) / 2) / at_once)}")
        return ", ".join(part for part in parts if part)

    def table(self, state: State) -> Table:
        """Return the live table."""
        table = Table(title=self.summary(state), title_justify="left", box=SIMPLE_HEAD, show_edge=False)
        for column in ("job", "status", "epoch", "val r2", "ETA"):
            table.add_column(column, no_wrap=True, overflow="ellipsis", justify="left" if column < "k" else "right")
        ended = {each.job.number: each.status for each in state.ended}
        running = {job.number: job for job, _ in state.running.values()}
        shown = self.jobs if len(self.jobs) <= ROWS else [*running.values()][:ROWS]
        for job in shown:
            if job.number in running:
                found = self.progress(job)
                r2 = "" if found.r2 is None else f"{found.r2:.3f}"
                left = "" if found.left is None else clock(found.left)
                table.add_row(job.name, "running", f"{found.epoch}/{found.epochs}" if found.epochs else "", r2, left)
            else:
                table.add_row(job.name, ended.get(job.number, "waiting"), "", "", "")
        return table


def ended_line(ended: Ended) -> str:
    """Return a line on a job that has ended: how, after what time, and its validation r2 or its error."""
    when = " before" * (ended.status != UNUSABLE) if ended.seconds is None else f" in {duration(ended.seconds)}"
    line = f"{ended.job.name} {ended.status}{when}"
    if ended.code == 0 and ended.job.directory:
        best = (read_metrics(RunDirectory(ended.job.directory)) or {}).get("best", {})
        found = [f"{split} r2 {best[split]['r2']:.3f}" for split in ("valid", "test") if split in best]
        return ": ".join([line, ", ".join(found)]) if found else line
    return f"{line}: {ended.error.splitlines()[0]}" if ended.error else line
