"""A study: its directory, its record, the search for the best settings, and what is made of them."""

from __future__ import annotations

import math
import shlex
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from genexp import console
from genexp.api import training
from genexp.api.jobs import Job, Shares
from genexp.api.records import Record
from genexp.api.training import relative
from genexp.api.tuning.config import TuneConfig, is_own, seconds
from genexp.api.tuning.journal import CLAIMS, Journal, Worker, alone, import_optuna
from genexp.api.tuning.search import OBJECTIVES, Search
from genexp.api.tuning.showing import Board
from genexp.api.tuning.space import Space, changed, parse_space, value_of
from genexp.config.compose import Composed
from genexp.config.keys import leaves
from genexp.config.words import unquoted, word
from genexp.errors import UserError
from genexp.files import write_json
from genexp.run import check_writable, make_directory, provenance
from genexp.training.config import RunConfig

#: What a study directory holds, beside its journal.
RECORD, TRIALS, LOG, LOCK, ENVIRONMENT = "study.yaml", "trials", "tune.log", ".lock", "environment.json"
#: What a process writes before the record, and leaves where it is killed.
BEGUN = (LOG, ENVIRONMENT, f"{CLAIMS}.lock*", ".*.tmp")
#: What each trial is given: no second attempt after a collapse, and no look at the test genes.
OF_TRIALS = ("training.restarts=0", "test=false")
#: Keys of the record that two commands must share to mean the same study.
SAME = ("fingerprint", "objective", "prune_after", "space", "config")


class StudyRecord(Record):
    """The content of study.yaml: what makes one study of the trials. Another process must say the same.

    `words` are the overrides of every run; `typed` is the command as it was given first.
    """

    words: list[str]
    objective: str
    prune_after: float | None
    fingerprint: str
    space: dict[str, Any]
    config: dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """A study that can be started or continued.

    Attributes
    ----------
    composed
        The command.
    base
        The config of its runs, to be changed by the trials.
    space
        What is searched.
    run
        A look at a run of `base`.
    directory
        Where the study lands; it may end with XXXX.
    """

    composed: Composed[TuneConfig]
    base: RunConfig
    space: Space
    run: training.Plan
    directory: str | Path

    @property
    def config(self) -> TuneConfig:
        """The config of the command."""
        return self.composed.config

    def record(self, fingerprint: str) -> StudyRecord:
        """Return what the directory says of the study."""
        words, config = self.composed.words, self.config
        kept = (override for override in words.overrides if not is_own(override.key_or_group))
        return StudyRecord(
            **Record.of(words),
            words=[str(override.input_line) for override in kept],
            objective=config.objective,
            prune_after=config.prune_after,
            fingerprint=fingerprint,
            space={key: dimension.plain() for key, dimension in self.space.items()},
            config=self.base.model_dump(mode="json"),
        )


def plan(composed: Composed[TuneConfig], directory: str | Path | None = None) -> Plan:
    """Look at everything that can be looked at quickly: packages, space, dataset, model, directory; no TensorFlow."""
    import_optuna()
    config, given = composed.config, composed.words.keys
    base = training.decided(composed)
    whole = parse_space(config.space, base)
    space = {key: found for key, found in whole.items() if key not in given or f"space.{key}" in given}
    if fixed := [key for key in whole if key not in space]:
        console.say(f"given, so not searched: {', '.join(fixed)}")
    if not space:
        hint = "name a key and its values: 'space.training.learning_rate={low: 1e-4, high: 1e-2, log: true}'"
        raise UserError("nothing is left to be searched", where="space", hint=hint)
    if config.objective == "loss" and "training.loss" in space:
        what, hint = "losses of different kinds cannot be compared", "objective=r2, or space.training.loss=null"
        raise UserError(what, where="objective=loss", received="training.loss in the search space", hint=hint)
    place = directory or composed.run_dir
    _check_directory(Path(place))
    found = Plan(composed, base, space, training.check(base), place)
    if (Path(place) / RECORD).is_file():
        theirs = StudyRecord.read(Path(place) / RECORD)
        _check_same(theirs, found.record(theirs.fingerprint), Path(place))
    return found


def _check_directory(path: Path) -> None:
    """Raise a UserError if a directory cannot hold a study."""
    check_writable(path, "study")
    there = sorted(found.name for found in path.iterdir()) if path.is_dir() else []
    others = [name for name in there if not any(fnmatch(name, pattern) for pattern in BEGUN)]
    begun = LOG in there and not others
    if there and not begun and not (path / RECORD).is_file():  # looked for last: another process may be writing it
        received = ", ".join((others or there)[:6])
        hint = "choose a new one with hydra.run.dir=..."
        raise UserError("the directory holds something that is no study", where=path, received=received, hint=hint)


def _check_same(theirs: StudyRecord, ours: StudyRecord, directory: Path) -> None:
    """Raise a UserError unless another command means the same study."""
    both = (theirs.model_dump(), ours.model_dump())
    ones, others = (dict(leaves({key: found[key] for key in SAME}, lambda group: not group)) for found in both)
    for key in [*ones, *(key for key in others if key not in ones)]:
        if ones.get(key) != others.get(key):
            name = key.removeprefix("config.")
            what = "the dataset of this study has changed" if key == "fingerprint" else f"this study has another {name}"
            hint = "give the command of the study again, or start another study with hydra.run.dir=..."
            expected, received = (found.get(key, "nothing") for found in (ones, others))
            raise UserError(what, where=directory / RECORD, expected=expected, received=received, hint=hint)


@dataclass(frozen=True)
class Study:
    """A study that this process has opened: its directory, record, journal and plan."""

    path: Path
    record: StudyRecord
    journal: Journal
    plan: Plan

    def run_dir(self, number: int) -> Path:
        """Return the run directory of a trial."""
        return self.path / TRIALS / f"{number:04}"

    def job(self, number: int, values: Mapping[str, Any]) -> Job:
        """Return the run of a trial."""
        words = (*self.record.words, *OF_TRIALS, *(word(key, value) for key, value in values.items()))
        return Job(number, words, self.run_dir(number), flags=self.record.flags, cwd=Path(self.record.cwd))

    def check(self, values: Mapping[str, Any]) -> None:
        """Raise a UserError if a run with these settings is impossible."""
        training.check(changed(self.plan.base, values, "the search space"))


@contextmanager
def opened(plan: Plan) -> Iterator[Study]:
    """Read the dataset, and make the directory of the study or take up the study in it."""
    source, window = plan.run.source, plan.run.window
    described = training.read(source, plan.base.data.name, window).record().model_dump(mode="json")
    path = make_directory(plan.directory)
    with console.log_to(path / LOG):
        record = plan.record(described["fingerprint"])
        with alone(path):
            if (path / RECORD).is_file():
                theirs = StudyRecord.read(path / RECORD)
                _check_same(theirs, record, path)
                record = theirs
            else:
                write_json(path / ENVIRONMENT, provenance(plan.composed.command, plan.base.seed, described))
                record.write(path / RECORD)
        yield Study(path, record, _journal(path, plan), plan)


def _journal(path: Path, plan: Plan) -> Journal:
    """Return the journal; its first trial has the settings given, as far as the space holds them."""
    config, base, first = plan.config, plan.base, {}
    for key, dimension in plan.space.items():
        if (value := value_of(base, key)) in dimension:
            first[key] = dimension.stored(value)
        else:
            console.say(f"{key}={value} is outside the search space, so trial 0 has another value")
    _, high = OBJECTIVES[config.objective]
    warmup = None if config.prune_after is None else max(1, round(config.prune_after * base.training.epochs))
    return Journal(path, plan.space, maximize=high, seed=base.seed, warmup=warmup, first=first)


def search(study: Study) -> bool:
    """Run trials in this process until there are enough or the time is up; return whether no other process runs any."""
    total = study.plan.config.trials
    with study.journal.worker() as worker:
        if (done := study.journal.done()) < total:
            _search(study, worker)
        else:
            console.say(f"nothing is searched: {done} trials are done, and trials={total}; raise it to search on")
        return not study.journal.others(worker)


def _search(study: Study, worker: Worker) -> None:
    config = study.plan.config
    hardware = study.plan.base.hardware
    shares = Shares.of(config.trials, config.jobs, hardware.name, hardware.devices)
    limit = seconds(config.time_limit) if config.time_limit else math.inf
    console.say(f"study: {relative(study.path)}")
    console.say(f"{config.trials} trials, {shares}; searched: {', '.join(study.plan.space)}")
    with console.live() as update:
        board = Board(update, study.plan.base.training.epochs)
        deadline, objective = time.monotonic() + limit, config.objective
        run = Search(study.journal, worker, study.job, study.check, objective, shares, config.trials, deadline, board)
        try:
            whole = run.run()
        except KeyboardInterrupt:
            console.warn(f"interrupted; continue with: {again(study)}")
            raise KeyboardInterrupt("reported") from None
        if not whole:
            reached = f"the time limit of {config.time_limit} is reached after {study.journal.done()} trials"
            console.say(f"{reached}; search on with: {again(study)}")


def again(study: Study, trials: int | None = None) -> str:
    """Return the command that continues a study, perhaps with another number of trials."""
    other = {"hydra.run.dir": unquoted(word("hydra.run.dir", relative(study.path)))}
    if trials is not None:
        other["trials"] = f"trials={trials}"
    typed = [each for each in study.plan.composed.words.typed if each.partition("=")[0].lstrip("+") not in other]
    return shlex.join(["genexp", "tune", *typed, *other.values()])
