"""The search: trials in processes of their own, watched through their histories, and stopped where they are no good."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genexp.api.jobs import POLL_S, Ended, Job, Shares, closed, ended, stop
from genexp.api.tuning.journal import Journal, Trial, Worker
from genexp.errors import UserError
from genexp.run import RunDirectory, read_epochs, read_metrics, seconds_of

#: Trials in a row that may fail before the search ends: something other than the settings is wrong.
FAILURES = 3

#: By objective: the column of history.csv that tells how a trial does, and whether it should be high.
OBJECTIVES = {"r2": ("val_r2", True), "loss": ("val_loss", False)}

Rows = Sequence[Mapping[str, float]]


def history(job: Job) -> Rows:
    """Return the epochs of a run that are complete; none where there is no history yet."""
    run = RunDirectory(place(job))
    try:
        return read_epochs(run)
    except FileNotFoundError:
        return []
    except (ValueError, TypeError) as error:
        what, hint = "the history of a trial is damaged", f"delete {place(job)}, and give the same command again"
        raise UserError(what, where=run.history, received=str(error), hint=hint) from None


def place(job: Job) -> Path:
    """Return the run directory of a trial."""
    if job.directory is None:
        raise TypeError("a trial has a run directory")
    return job.directory


@dataclass
class Running:
    """A trial that this process runs; without a process of its own while another one still writes its directory.

    `judged` is the number of epochs that were looked at, `hopeless` the one after which it was given up, or 0.
    """

    trial: Trial
    job: Job
    process: subprocess.Popen[bytes] | None = None
    judged: int = 0
    hopeless: int = 0


@dataclass
class Search:
    """What is searched by this process, and how.

    Attributes
    ----------
    journal, worker
        The study, and this process as one of those that run its trials.
    job
        Makes the job of a trial from its number and settings.
    check
        Raises a UserError for settings that are impossible together.
    objective
        A key of `OBJECTIVES`.
    shares
        How many trials run at once.
    total
        Number of trials of the study.
    deadline
        When to stop, in seconds of `time.monotonic`.
    show
        Called a few times a second, and with the number of each trial that has ended.
    """

    journal: Journal
    worker: Worker
    job: Callable[[int, Mapping[str, Any]], Job]
    check: Callable[[Mapping[str, Any]], object]
    objective: str
    shares: Shares
    total: int
    deadline: float
    show: Callable[[Search, int | None], None]
    running: dict[int, Running] = field(default_factory=dict)
    failures: int = 0

    def run(self) -> bool:
        """Run trials until there are enough, and return True; False if the time is up.

        Trials that are stopped by an interrupt or the end of the time are resumed when the study is continued.
        """
        try:
            while self._fill() or self.running:
                self.show(self, None)
                time.sleep(POLL_S)
                self.worker.touch()
                if time.monotonic() >= self.deadline:
                    return False
                for slot, each in list(self.running.items()):
                    self._look(slot, each)
            return True
        finally:
            stop([each.process for each in self.running.values() if each.process])
            self.running.clear()

    def _fill(self) -> bool:
        """Begin trials while there is room; return whether one was begun."""
        begun = False
        for slot in (slot for slot in range(self.shares.at_once) if slot not in self.running):
            trial = self.journal.claim(self.worker, self.total, look=not self.running or self.worker.is_due())
            if trial is None:
                break
            begun = True
            try:
                self.check(trial.values)
            except UserError as error:
                trial.prune(f"impossible: {error.what}", 0)
                self.show(self, trial.number)
            else:
                judged = max(trial.reported - 1, 0)  # the last one perhaps without a consequence
                self.running[slot] = Running(trial, self.job(trial.number, trial.values), judged=judged)
        return begun

    def _look(self, slot: int, each: Running) -> None:
        """Take note of the epochs of a trial; start, stop or end it."""
        rows = history(each.job)
        self._judge(each, rows)
        if each.process is None:
            if each.job.is_busy():  # the process that ran it before is ending
                return
            words = None if each.hopeless else each.job.left()
            if words is not None:
                each.process = each.job.start(words, self.shares.variables(slot))
                return
        elif each.process.poll() is None:
            if each.hopeless:
                stop([each.process])
            else:
                return
        del self.running[slot]
        self._end(each)
        self.show(self, each.trial.number)

    def _judge(self, each: Running, rows: Rows) -> None:
        """Report epochs that are new, one after the other; the first that is hopeless decides."""
        column, _ = OBJECTIVES[self.objective]
        for row in rows[each.judged :]:
            if each.hopeless:
                return
            each.judged += 1
            if each.trial.report(int(row["epoch"]), row[column]):
                each.hopeless = int(row["epoch"])

    def _end(self, each: Running) -> None:
        """Record how a trial ended."""
        how = ended(each.job, closed(each.process), 0) if each.process else None
        rows = history(each.job)
        self._judge(each, rows)
        metrics = read_metrics(RunDirectory(place(each.job))) or {}
        status, spent = metrics.get("status"), seconds_of(rows)
        if each.hopeless:
            each.trial.prune(f"hopeless after epoch {each.hopeless}", spent)
        elif status == "completed":
            each.trial.complete(self._value(rows, metrics), spent)
        elif status == "collapsed":
            each.trial.prune("collapsed", spent)
        elif status == "failed" and how and how.code == 2 and "error" not in metrics:  # other settings may not have it
            each.trial.prune(str(metrics["reason"]).splitlines()[0], spent)
        else:
            self._failed(each, how, spent)
            return
        self.failures = 0

    def _value(self, rows: Rows, metrics: Mapping[str, Any]) -> float:
        if self.objective == "r2":
            return float(metrics["best"]["valid"]["r2"])
        return min(row["val_loss"] for row in rows)

    def _failed(self, each: Running, how: Ended | None, spent: float) -> None:
        error = (how.error if how else "") or "the process ended without a result"
        each.trial.fail(error.splitlines()[0], spent)
        self.failures += 1
        if self.failures >= FAILURES:
            where, hint = place(each.job) / "job.log", "correct the cause, and give the same command again"
            raise UserError(f"the last {self.failures} trials failed", where=where, received=error, hint=hint)
