"""Running a sweep: in this process's pool, or through a launcher or sweeper of Hydra's on the same jobs."""

from __future__ import annotations

import os
import secrets
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hydra
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.experimental.callback import Callback
from hydra.types import HydraContext
from omegaconf import DictConfig

from genexp import console, resources
from genexp.api import sweeps
from genexp.api.jobs import DONE, INTERRUPTED, Job, Shares, ended, import_paths, outcome_of
from genexp.api.sweeps import Sweep, SweepRecord
from genexp.api.training import relative
from genexp.api.watching import ended_line
from genexp.config.compose import store_block_options
from genexp.config.conf import CONF_DIR
from genexp.config.words import quoted
from genexp.errors import UserError
from genexp.files import in_short
from genexp.run import SWEEP, RunDirectory, read_metrics, resume_command


def run_sweep(many: Sweep) -> tuple[Path, int]:
    """Make many runs, or the one of them that is asked for; return their directory and the exit code."""
    from genexp.api.results import report  # imports SciPy

    if many.job is not None:
        return Path(many.directory), run_one(Path(many.directory), many.job)
    if not many.shares.at_once:
        with sweeps.opened(many) as directory:
            console.say(_recorded_line(len(many.record.jobs), resume_command(relative(directory))))
        return directory, 0
    if many.launcher:
        with _environment(import_paths()):  # launchers start processes with python -m
            return _launched(many)
    if many.record.raw is None:
        directory, ended = sweeps.run(many)
        return directory, report(directory, many.places(directory), many.command_line, ended)
    with _environment(import_paths()):
        return _searched(many)


def _recorded_line(jobs: int, resume: str) -> str:
    """Return what is said of a sweep that was only recorded."""
    if jobs == 1:
        return f"1 job is recorded, and not run; {resume} job=0 runs it"
    return f"{jobs} jobs are recorded, and none is run; {resume} job=N runs one, N from 0 to {jobs - 1}"


def run_one(directory: Path, number: int, at_once: int = 1) -> int:
    """Run one job of a recorded sweep, in whatever process or machine; return the exit code.

    `at_once` jobs share the cores that this process was granted.
    """
    job = Sweep(SweepRecord.read(directory / SWEEP), directory, Shares(at_once, at_once)).jobs(directory)[number]
    console.say(f"job {number}: {job.name}: {' '.join(job.words)}", style="bold")
    began = time.monotonic()
    found = ended(job, job.run(resources.share(resources.cores(), at_once)), time.monotonic() - began)
    console.say(ended_line(found), style="yellow" if found.code else "")
    return found.code


@dataclass(frozen=True)
class OneJob:
    """What a launcher of Hydra's runs for each job, which it tells by its number; can be pickled.

    The job has a process of its own: launchers run several in one, where TensorFlow's memory, seeds and policies leak
    from one to the next.
    """

    directory: Path
    at_once: int

    def __call__(self, config: DictConfig) -> str | None:
        """Run the job; return the error, if it could not be run."""
        try:
            code = run_one(self.directory, config.job, self.at_once)
        except Exception as error:  # noqa: BLE001 - launchers report errors of jobs in ways of their own
            return f"job {config.job}: {error if isinstance(error, UserError) else in_short(error)}"
        if code == INTERRUPTED and "SUBMITIT_EXECUTOR" in os.environ:
            raise SystemExit(code)  # without a result, so that the command waits for the requeued job
        return None


def _launched(many: Sweep) -> tuple[Path, int]:
    """Run what is left of a sweep through a launcher of Hydra's, each job by its number."""
    from genexp.api.results import report  # imports SciPy

    with sweeps.opened(many) as directory:
        left = [n for n, place in enumerate(many.places(directory)) if outcome_of(place)[0] not in DONE]
        resume = shlex.join([*shlex.split(resume_command(relative(directory))), *many.launcher])
        console.say(f"{len(left)} of {len(many.record.jobs)} jobs to {many.launcher[0]}: {relative(directory)}")
        try:
            if left:
                _launch(many, directory, left)
        except KeyboardInterrupt:
            console.warn(f"interrupted; jobs that a cluster has taken go on there; resume with: {resume}")
            raise KeyboardInterrupt("reported") from None
        except Exception as error:
            settings = shlex.join(["genexp", many.record.command, *many.launcher, "--cfg", "hydra"])
            what, hint = "the launcher stopped", f"its settings: {settings}; when no job runs any more: {resume}"
            failed = UserError(what, where=many.launcher[0], received=in_short(error), hint=hint)
            if not any(place.exists() for place in many.places(directory)):
                raise failed from error
            console.warn(str(failed))
        return directory, report(directory, many.places(directory), many.command_line, resume=resume)


def _launch(many: Sweep, directory: Path, numbers: Sequence[int]) -> None:
    """Hand jobs, by their numbers, to the launcher of a sweep, and wait for them.

    ``hydra.main`` would compose the whole config of each job here, one after the other, which takes minutes for 1,000.
    """
    place = ["hydra.sweep.subdir=.", "hydra.output_subdir=null", f"hydra.sweep.dir={quoted(directory)}"]
    words = [*many.launcher, *place, "hydra/job_logging=none", "hydra/hydra_logging=none"]
    words += [f"hydra.searchpath=[{quoted(f'file://{folder}')}]" for folder in many.record.flags[1:]]
    with initialize_config_dir(str(CONF_DIR), version_base="1.3", job_name="genexp"):
        config = compose(overrides=words, return_hydra_config=True)
        own = config.hydra.launcher
        if "submitit_folder" in own and not any(
            word.startswith("hydra.launcher.submitit_folder") for word in many.launcher
        ):
            # A new folder each time: submitit opens the pickles that it finds in it.
            own.submitit_folder = str(directory / ".submitit" / secrets.token_hex(4) / "%j")
        task = OneJob(directory, _at_once(own, len(numbers)))
        context = HydraContext(GlobalHydra.instance().config_loader(), Callback())  # type: ignore[arg-type]  # its no-ops
        plugin = Plugins.instance().instantiate_launcher(context, task, config)
        for each in plugin.launch([[f"+job={number}"] for number in numbers], 0):
            if each.return_value:
                console.warn(str(each.return_value))


def _at_once(launcher: DictConfig, jobs: int) -> int:
    """Return how many jobs share the cores of a machine."""
    if "n_jobs" in launcher:  # joblib: -1 is one for each core
        return min(jobs, launcher.n_jobs if launcher.n_jobs > 0 else resources.cores())
    if "ray" in launcher:
        return max(1, round(resources.cores() / (launcher.ray.remote.get("num_cpus") or 1)))
    return jobs if launcher.get("_target_", "").endswith(".LocalLauncher") else 1


def _searched(many: Sweep) -> tuple[Path, int]:
    """Make the runs of a sweeper of Hydra's that chooses them itself."""
    from genexp.api.results import report  # imports SciPy
    from genexp.evaluation.sweep import jobs_of

    with sweeps.opened(many) as directory:
        task = HydraJob(many.record.command, many.record.flags)
        extra = ["hydra.output_subdir=null", f"hydra.sweep.dir={quoted(directory)}"]
        try:
            hydra_main(many.record.command, task.run, [*(many.record.raw or ()), *extra])
        except KeyboardInterrupt:
            console.warn(f"interrupted; give the same command again, with hydra.sweep.dir={relative(directory)}")
            raise KeyboardInterrupt("reported") from None
        return directory, report(directory, jobs_of(directory), many.command_line)


@dataclass(frozen=True)
class HydraJob:
    """What a sweeper of Hydra's that searches runs: the job in the directory that Hydra names."""

    command: str
    flags: tuple[str, ...]

    def run(self) -> float | None:
        """Run the current job of Hydra's; return the best validation loss."""
        job = HydraConfig.get()
        directory, words = Path(job.runtime.output_dir), tuple(job.overrides.task)
        console.say(f"job {job.job.num}: {' '.join(words)}", style="bold")
        with suppress(UserError):  # the report says what failed
            Job(job.job.num, words, directory, self.command, self.flags).run()
        metrics = read_metrics(RunDirectory(directory)) or {}
        loss: float | None = metrics.get("best", {}).get("valid", {}).get("mse")
        return loss


def hydra_main(command: str, task: Callable[[], Any], words: Sequence[str]) -> None:
    """Run `task` under ``hydra.main`` with these command-line words; its exceptions are raised here unchanged."""
    raised: list[BaseException] = []

    def job(config: DictConfig) -> Any:
        if raised:  # of a sweep that was interrupted, no further job begins
            return None
        try:
            return task()
        except SystemExit:  # of a launcher that stops this process to start it again elsewhere
            raise
        except BaseException as error:  # noqa: BLE001 - raised again below, past Hydra's own reporting
            raised.append(error)
            return None

    store_block_options()
    app = hydra.main(version_base="1.3", config_path=str(CONF_DIR), config_name=command)(job)
    with _command_line([*words, f"hydra.job.name={command}"]):
        app()
    if raised:
        raise raised[0]


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for a while."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _command_line(words: Sequence[str]) -> Iterator[None]:
    """Let Hydra, which reads sys.argv, see these words; and let errors arrive unchanged."""
    before = sys.argv
    sys.argv = ["genexp", *words]
    try:
        with _environment({"HYDRA_FULL_ERROR": "1"}):
            yield
    finally:
        sys.argv = before
