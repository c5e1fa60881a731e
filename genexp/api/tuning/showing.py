"""What the user sees of a search: the best so far, the trials that run, and how each trial ended."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from genexp import console
from genexp.api.jobs import Job
from genexp.api.tuning.journal import REASON, SECONDS, Journal
from genexp.api.tuning.search import Search, place
from genexp.api.watching import LOOK_S, Progress, progress_of
from genexp.run import RunDirectory
from genexp.units import clock, duration

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

NAMES = {"r2": "val r2", "loss": "val loss"}


def in_short(values: Mapping[str, Any]) -> str:
    """Return settings as they are read: few digits, without the groups of the keys."""
    return ", ".join(f"{key.partition('.')[2]}={_text(value)}" for key, value in values.items())


def _text(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def ended_line(trial: FrozenTrial, objective: str) -> str:
    """Return how a trial ended."""
    time_spent = f"in {duration(trial.user_attrs.get(SECONDS, 0))}"
    if trial.state.name == "COMPLETE":
        return f"trial {trial.number}: {NAMES[objective]} {trial.value:.4f} {time_spent}"
    kind = {"PRUNED": "pruned", "FAIL": "failed"}[trial.state.name]
    return f"trial {trial.number}: {kind} {time_spent}: {trial.user_attrs.get(REASON, '')}"


def best_line(journal: Journal, objective: str) -> str:
    """Return the best trial so far with its settings."""
    best = journal.best()
    if best is None:
        return "no trial is complete yet"
    return f"best: trial {best.number}, {NAMES[objective]} {best.value:.4f}: {in_short(journal.values(best))}"


@dataclass
class Board:
    """Shows a search: a live table in a terminal, plain lines elsewhere."""

    update: console.Update | None
    epochs: int
    best: int | None = None
    shown: float = field(default_factory=time.monotonic)

    def __call__(self, search: Search, number: int | None) -> None:
        journal = search.journal
        if number is not None:
            console.say(ended_line(journal.trials()[number], search.objective))
            best = journal.best()
            if best is not None and best.number != self.best:
                self.best = best.number
                console.say(best_line(journal, search.objective), style="bold")
        every = LOOK_S if self.update else console.PLAIN_EVERY_S
        if time.monotonic() - self.shown < every:
            return
        self.shown = time.monotonic()
        if self.update:
            self.update(self.table(search))
            return
        for each in search.running.values():
            if (found := self._progress(each.job)).epoch:
                console.say(f"trial {each.trial.number}: {found}")
        console.say(self.counts(search))

    def _progress(self, job: Job) -> Progress:
        return progress_of(RunDirectory(place(job)), self.epochs)

    def counts(self, search: Search) -> str:
        """Return the numbers of trials, with an estimate of the time left."""
        trials = search.journal.trials()
        by_state = {state: [t for t in trials if t.state.name == state] for state in ("COMPLETE", "PRUNED", "FAIL")}
        done = len(by_state["COMPLETE"]) + len(by_state["PRUNED"])
        parts = [f"{done} of {search.total} trials", f"{len(by_state['PRUNED'])} pruned"]
        parts += [f"{len(by_state['FAIL'])} failed"] * bool(by_state["FAIL"])
        spent = [t.duration.total_seconds() for state in ("COMPLETE", "PRUNED") for t in by_state[state] if t.duration]
        if spent and done < search.total:  # the median, as a trial that was resumed has waited for it
            parts.append(f"ETA {clock(median(spent) * (search.total - done) / search.shares.at_once)}")
        return ", ".join(parts)

    def table(self, search: Search) -> Table:
        """Return the live table."""
        title = f"{self.counts(search)}\n{best_line(search.journal, search.objective)}"
        table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, show_edge=False)
        for column in ("trial", "progress", "settings"):
            table.add_column(column, overflow="fold")
        for each in search.running.values():
            found = self._progress(each.job)
            table.add_row(str(each.trial.number), str(found) if found.epoch else "", in_short(each.trial.values))
        return table
