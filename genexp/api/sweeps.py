"""Sweeps: many runs that one command asks for, in one directory, which records what was asked and can be resumed."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from omegaconf import DictConfig, OmegaConf
from pydantic import AfterValidator, BaseModel, ConfigDict

from genexp import console
from genexp.api.jobs import Ended, Job, Shares, run_jobs
from genexp.api.records import Record
from genexp.api.training import MANY, TRAIN, TrainConfig, relative, without_effect
from genexp.api.watching import Board
from genexp.config.compose import Command, Composed, compose_parsed, compose_words, composed
from genexp.config.conf import groups
from genexp.config.words import Words, quoted
from genexp.dataset.config import DatasetConfig
from genexp.dataset.folds import no_folds, number_of_folds
from genexp.errors import UserError
from genexp.files import lock
from genexp.run import CONTENT, SWEEP, check_writable, make_directory, resume_command

#: The file in a sweep directory that its process has locked.
LOCK = ".lock"

#: What the names of job directories may hold without a composition of the config for each job.
NAMED_BY = {"hydra.job.num", "model.name", "data.name"}


def _is_below(directory: str) -> bool:
    """Tell whether the directory of a job is below that of its sweep; sweep.yaml may come from someone else."""
    return not Path(directory).is_absolute() and ".." not in Path(directory).parts


def _below(directory: str) -> str:
    if not _is_below(directory):
        raise ValueError("a directory outside the sweep")
    return directory


class RecordedJob(BaseModel):
    """A job in sweep.yaml: its directory below that of the sweep, and its overrides."""

    model_config = ConfigDict(extra="forbid", strict=True)

    directory: Annotated[str, AfterValidator(_below)]
    words: list[str]


class SweepRecord(Record):
    """The content of sweep.yaml.

    `raw` are the words for a sweeper of Hydra's that chooses the jobs itself. `at_once` is ``jobs`` as it was given. A
    launcher is not taken up by a resume: it is chosen where the sweep is run, and its keys may hold commands for a
    shell.
    """

    command: Literal["train"]
    raw: list[str] | None
    at_once: int | Literal["auto"] = "auto"
    jobs: list[RecordedJob]


@dataclass(frozen=True)
class Sweep:
    """What is to be run: the jobs, where, and how many at once; `directory` may end with XXXX until it is made.

    `launcher` are the words that choose a launcher of Hydra's, if any. `job` is the number of the one job to be run.
    """

    record: SweepRecord
    directory: str | Path
    shares: Shares
    launcher: tuple[str, ...] = ()
    job: int | None = None

    @property
    def command_line(self) -> str:
        """The command as it can be typed again."""
        return shlex.join(["genexp", self.record.command, *self.record.typed])

    def jobs(self, directory: Path) -> list[Job]:
        """Return the jobs in a directory."""
        cwd, command, places = Path(self.record.cwd), self.record.command, self.places(directory)
        each = enumerate(zip(self.record.jobs, places, strict=True))
        return [Job(n, tuple(job.words), place, command, self.record.flags, cwd) for n, (job, place) in each]

    def places(self, directory: Path) -> list[Path]:
        """Return the run directories of the jobs."""
        return [directory / job.directory for job in self.record.jobs]


def is_sweep(directory: str | Path) -> bool:
    """Tell whether a directory holds a sweep that can be resumed."""
    return (Path(directory).expanduser() / SWEEP).is_file()


def asked(
    composed: Composed[TrainConfig], check: Callable[[TrainConfig], Any], directory: str | Path | None = None
) -> Sweep | None:
    """Return the sweep that ``genexp train`` is to run or to resume; None of a single run.

    `check` looks at a config quickly; `directory` stands in for ``hydra.sweep.dir``.
    """
    config, words = composed.config, composed.words
    if config.resume and words.multirun:
        what, hint = "a sweep cannot resume runs", "leave -m out, and resume a sweep by its directory"
        raise UserError(what, received=f"-m resume={config.resume}", hint=hint)
    if config.resume and is_sweep(config.resume):
        return recorded(composed, config.resume)
    if config.job is not None:
        what, hint = "job is the number of a job in a sweep", "genexp train resume=DIR job=N, where DIR has sweep.yaml"
        raise UserError(what, received=f"job={config.job}", hint=hint)
    if config.resume:
        return None
    words = expanded(composed)
    if words.multirun and "hydra.run.dir" in words.keys:
        what, hint = "a sweep has a directory of its own", f"hydra.sweep.dir={quoted(composed.run_dir)}"
        raise UserError(what, received="hydra.run.dir", hint=hint)
    return plan(composed, words, check, directory) if words.multirun else None


def expanded(composed: Composed[TrainConfig]) -> Words:
    """Return the words of ``genexp train`` with ``repeats`` and ``folds`` as sweeps over seed and fold."""
    config, words, add, drop = composed.config, composed.words, [], list(MANY)
    swept = {override.key_or_group for override in words.overrides if override.is_sweep_override()}
    if config.folds:
        if "dataset.fold" in words.keys:
            raise UserError("folds runs each fold", received="dataset.fold beside folds", hint="leave one of them out")
        _check_folds(config.folds, config)
        add.append(f"dataset.fold={','.join(map(str, range(1, config.folds + 1)))}")
    if config.repeats:
        if "seed" in swept:
            raise UserError("repeats sweeps over the seed", received="several seeds", hint="leave one of them out")
        drop.append("seed")
        add.append(f"seed=range({config.seed},{config.seed + config.repeats})")
    return words.changed(drop, add) if add or words.multirun else words


def _check_folds(folds: int, config: TrainConfig) -> None:
    """Raise a UserError unless the dataset has this number of folds."""
    if not isinstance(config.dataset, DatasetConfig):
        hint = "name a folder with dataset.root=DIR; genexp prepare makes folds with split.folds"
        raise UserError("simulated genes have no folds", where=f"folds={folds}", hint=hint)
    there = number_of_folds(config.dataset)
    if not there:
        raise no_folds(config.dataset)
    if there != folds:
        where = config.dataset.folds or config.dataset.root
        raise UserError("the dataset has another number of folds", where=where, received=folds, hint=f"folds={there}")


def plan(
    composed: Composed[TrainConfig], words: Words, check: Callable[[TrainConfig], Any], directory: str | Path | None
) -> Sweep:
    """Check every value of a sweep of ``genexp train``, and return what is to be run; nothing is written."""
    sentences: dict[str, None] = {}
    for overrides in words.each_value_once():
        one = compose_parsed(TRAIN, words, overrides)
        check(one.config)
        sentences |= dict.fromkeys(without_effect(one))
    for sentence in sentences:
        console.warn(sentence)
    launcher, searches = launcher_words(composed), _choices(composed)["sweeper"] != "basic"
    combinations = [] if any(o.is_interval_sweep() for o in words.overrides) else list(words.combinations())
    if twice := [found for found, times in Counter(combinations).items() if times > 1]:
        what, hint = "two jobs of the sweep would be the same run", "name each value once"
        raise UserError(what, received=" ".join(kept(twice[0])), hint=hint)
    names = _directories(TRAIN, words, combinations)
    jobs = [RecordedJob(directory=name, words=list(kept(c))) for name, c in zip(names, combinations, strict=True)]
    raw = list(words.raw) if searches else None
    at_once, hardware = composed.config.jobs, composed.config.hardware
    record = SweepRecord(**Record.of(words), command="train", raw=raw, at_once=at_once, jobs=jobs)
    shares = Shares.of(len(jobs), at_once, hardware.name, hardware.devices)
    return Sweep(record, directory or str(composed.whole.hydra.sweep.dir), shares, () if searches else launcher)


def runs_here(composed: Composed[Any]) -> bool:
    """Tell whether neither a launcher nor a sweeper of Hydra's was chosen, so that the jobs run in this pool."""
    return set(_choices(composed).values()) == {"basic"}


def _choices(composed: Composed[Any]) -> dict[str, str]:
    """Return which launcher and which sweeper were chosen."""
    choices = composed.whole.hydra.runtime.choices
    return {kind: choices[f"hydra/{kind}"] for kind in ("launcher", "sweeper")}


def launcher_words(composed: Composed[TrainConfig]) -> tuple[str, ...]:
    """Return the words that choose a launcher of Hydra's, its name first; none for the pool of this process."""
    choices, words = _choices(composed), composed.words
    for kind, chosen in choices.items():
        if chosen != "basic" and "jobs" in words.keys:
            hint = f"leave jobs out; the keys of hydra.{kind}: genexp train hydra/{kind}={chosen} --cfg hydra"
            raise UserError(f"jobs has no effect on a {kind} of Hydra's", received=composed.config.jobs, hint=hint)
    if (chosen := choices["launcher"]) == "basic":
        return ()
    own = (str(o.input_line) for o in words.overrides if o.key_or_group.startswith("hydra.launcher."))
    return (f"hydra/launcher={chosen}", *own)


def kept(overrides: Sequence[str]) -> tuple[str, ...]:
    """Return the overrides that a job gets: its own, and hydra.verbose."""
    own = (word for word in overrides if not word.startswith(("hydra.", "hydra/")) or word.startswith("hydra.verbose="))
    return tuple(own)


def _directories(command: Command[Any], words: Words, combinations: Sequence[tuple[str, ...]]) -> list[str]:
    """Return the name of each job's directory, ``hydra.sweep.subdir``; raise a UserError if two are the same.

    A composition takes a third of a second, so jobs that differ in plain values share one.
    """
    known, names = groups(command.name, words.config_dir), []
    found: dict[tuple[str, ...], DictConfig] = {}
    for number, overrides in enumerate(combinations):
        choosing = tuple(word for word in overrides if word.partition("=")[0].lstrip("+") in known)
        whole = found[choosing] if choosing in found else composed(command, list(overrides), words.config_dir)
        pattern = str(OmegaConf.to_container(whole.hydra.sweep, resolve=False)["subdir"])  # type: ignore[index,call-overload]
        if not {*re.findall(r"\$\{([^{}]*)\}", pattern)} <= NAMED_BY:
            whole = composed(command, list(overrides), words.config_dir)
        found[choosing] = whole
        OmegaConf.set_readonly(whole.hydra, False)
        whole.hydra.job.num, whole.hydra.job.id = number, str(number)
        names.append(str(whole.hydra.sweep.subdir))
    if outside := next((name for name in names if not _is_below(name)), None):
        what, hint = "the directory of a job is outside the sweep", "name a directory below hydra.sweep.dir"
        raise UserError(what, where="hydra.sweep.subdir", received=outside, hint=hint)
    twice = next((name for name, times in Counter(names).items() if times > 1), None)
    if twice is not None:
        hint = "begin it with the number of the job: 'hydra.sweep.subdir=${hydra.job.num}-...'"
        raise UserError("two jobs would have one directory", where="hydra.sweep.subdir", received=twice, hint=hint)
    return names


#: What may be given beside the directory of a sweep that is resumed.
BESIDE_RESUME = ("jobs", "job", "hydra/launcher")


def recorded(composed: Composed[TrainConfig], directory: str | Path) -> Sweep:
    """Return a sweep from its directory, to be resumed as the words given now say."""
    keys, config = composed.words.keys, composed.config
    if others := sorted(key for key in keys if key not in ("resume", *BESIDE_RESUME) and not key.startswith("hydra.")):
        expected = f"at most {', '.join(BESIDE_RESUME)} beside resume"
        what, hint = "a resumed sweep keeps its own settings", "leave them out"
        if "repeats" in others:
            hint = f"more repeats: give its own command again, with repeats=N and hydra.sweep.dir={quoted(directory)}"
        raise UserError(what, expected=expected, received=", ".join(others), hint=hint)
    path = Path(directory).expanduser().resolve()
    record = SweepRecord.read(path / SWEEP)
    if record.raw is not None:
        command = shlex.join(["genexp", record.command, *record.typed])
        hint = "give its own command again, with its hydra.sweep.dir; genexp tune can be resumed"
        what = "a sweeper that searches keeps no record of its search"
        raise UserError(what, where=path, received=command, hint=hint)
    if config.job is not None:
        if config.job >= len(record.jobs):
            expected = f"0 to {len(record.jobs) - 1}"
            raise UserError("the sweep has no such job", where=path, expected=expected, received=f"job={config.job}")
        return Sweep(record, path, Shares(1, 1), job=config.job)
    hardware = compose_words(TRAIN, [*record.flags, *(record.jobs[0].words if record.jobs else [])]).config.hardware
    at_once = config.jobs if "jobs" in keys else record.at_once or "auto"  # 0: so far none was to be run
    shares, launcher = Shares.of(len(record.jobs), at_once, hardware.name, hardware.devices), launcher_words(composed)
    theirs = [word for word in record.typed if word.startswith(("hydra/launcher=", "hydra.launcher."))]
    if theirs and not launcher:
        console.warn(f"the jobs run here, not through the launcher first chosen; to use it: {shlex.join(theirs)}")
    return Sweep(record, path, shares, launcher)


@contextmanager
def opened(sweep: Sweep) -> Iterator[Path]:
    """Make the directory of a sweep, or take up the same sweep in it; hold its lock, and write its record."""
    check_writable(sweep.directory, "sweep", "hydra.sweep.dir")
    path = make_directory(sweep.directory)
    taken = [name for name in CONTENT if name not in (".hydra", "multirun.yaml", SWEEP) and (path / name).exists()]
    if taken:
        what, hint = "this directory holds a run; a sweep needs one of its own", "choose another hydra.sweep.dir"
        raise UserError(what, where=path, received=", ".join(taken), hint=hint)
    with (path / LOCK).open("a", encoding="utf-8") as file:
        if not lock(file):
            hint = "wait until that process ends, or stop it first"
            raise UserError("another process is running this sweep", where=path, hint=hint)
        if is_sweep(path):
            _check_same(SweepRecord.read(path / SWEEP), sweep.record, path)
        sweep.record.write(path / SWEEP)
        yield path


def _check_same(theirs: SweepRecord, ours: SweepRecord, directory: Path) -> None:
    """Raise a UserError unless all jobs of the sweep in a directory are jobs of ours; there may be more of them."""
    same = theirs.jobs == ours.jobs[: len(theirs.jobs)] and (theirs.raw is None or theirs.raw == ours.raw)
    if not same:
        what = "this directory holds another sweep"
        hint = f"choose another hydra.sweep.dir, or {resume_command(directory)}"
        expected, received = (" ".join(["genexp", record.command, *record.typed]) for record in (theirs, ours))
        raise UserError(what, where=directory, expected=expected, received=received, hint=hint)


def run(sweep: Sweep) -> tuple[Path, list[Ended]]:
    """Run what is left of a sweep in this process's pool; return its directory, and how each job ended."""
    with opened(sweep) as path:
        jobs = sweep.jobs(path)
        console.say(f"{len(jobs)} jobs, {sweep.shares}: {relative(path)}")
        with console.live() as update:
            try:
                return path, run_jobs(jobs, sweep.shares, Board(tuple(jobs), update))
            except KeyboardInterrupt:
                console.warn(f"interrupted; resume with: {resume_command(relative(path))}")
                raise KeyboardInterrupt("reported") from None
