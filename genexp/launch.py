"""From a subcommand and its words to one run, or to a sweep of runs in processes of their own."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from genexp import console
from genexp.api import sweeps
from genexp.api.jobs import Job, Shares, State, end_with_parent, run_jobs
from genexp.api.sweeps import Sweep
from genexp.api.training import relative
from genexp.config.compose import Command, Composed, checked_words, compose_parsed, show, store_block_options
from genexp.config.conf import CONF_DIR
from genexp.config.words import Words, quoted
from genexp.errors import UserError
from genexp.files import sigterm_interrupts
from genexp.run import RunDirectory, read_metrics, resume_command


def launch(module: ModuleType, command: Command[Any], words: Sequence[str]) -> int:
    """Run a subcommand, a module of `genexp.commands`, and return its exit code."""
    parsed = checked_words(command, words)
    if parsed.cfg:
        sys.stdout.write(show(command, parsed))
        return 0
    if parsed.hydra_only:
        hydra_main(command.name, lambda: None, parsed.raw)
        return 0
    with sigterm_interrupts():
        end_with_parent()
        composed = compose_parsed(command, parsed)
        many = module.many(composed) if hasattr(module, "many") else None
        if many is not None:
            return sweep(many)
        if parsed.multirun:
            return one_after_the_other(module, command, parsed, composed)
        return module.run(composed) or 0


def sweep(many: Sweep) -> int:
    """Make many runs, in this process's pool or through a launcher or sweeper of Hydra's; return the exit code."""
    from genexp.api.results import report  # imports SciPy
    from genexp.evaluation.sweep import jobs_of

    if many.record.raw is None:
        directory, ended = sweeps.run(many)
        return report(directory, many.places(directory), many.command_line, ended)
    with sweeps.opened(many) as directory:
        task = HydraJob(many.record.command, many.flags)
        extra = ["hydra.output_subdir=null", f"hydra.sweep.dir={quoted(directory)}"]
        try:
            hydra_main(many.record.command, task.run, [*many.record.raw, *extra])
        except KeyboardInterrupt:
            console.warn(f"interrupted; resume with: {resume_command(relative(directory))}")
            raise KeyboardInterrupt("reported") from None
        return report(directory, many.places(directory) or jobs_of(directory), many.command_line)


def one_after_the_other(module: ModuleType, command: Command[Any], words: Words, composed: Composed[Any]) -> int:
    """Run a command that makes no runs once for each combination of values, after a check of every value."""
    _check_targets(words)
    if not sweeps.runs_here(composed):
        what, hint = f"genexp {command.name} has no launcher", "leave hydra/launcher and hydra/sweeper out"
        raise UserError(what, where="the command line", hint=hint)
    for overrides in words.each_value_once():
        module.check(compose_parsed(command, words, overrides).config)
    flags = ("--config-dir", words.config_dir) if words.config_dir else ()
    jobs = [Job(n, own, None, command.name, flags) for n, own in enumerate(map(sweeps.kept, words.combinations()))]

    def tell(state: State) -> None:
        for job, began in state.running.values():
            if began not in told:
                told.add(began)
                console.say(f"job {job.number}: genexp {job.command} {' '.join(job.words)}", style="bold")

    told: set[float] = set()
    return max((ended.code for ended in run_jobs(jobs, Shares(1, 1), tell)), default=0)


def _check_targets(words: Words) -> None:
    """Raise a UserError if the jobs of a sweep would all write to one place."""
    out = next((o for o in words.overrides if o.key_or_group == "out"), None)
    swept = [o for o in words.overrides if o.is_sweep_override()]
    if out and swept and not out.is_sweep_override() and "${" not in str(out.input_line):
        hint = f"make it depend on what is swept: 'out={out.value()}-${{{swept[0].key_or_group}}}'"
        raise UserError("all jobs of this sweep would write to the same place", received=out.input_line, hint=hint)


@dataclass(frozen=True)
class HydraJob:
    """What a launcher of Hydra's runs, in whatever process or machine: the job in the directory that Hydra names.

    Hydra would run all jobs in one process, where TensorFlow's memory, seeds and policies leak from one to the next.
    """

    command: str
    flags: tuple[str, ...]

    def run(self) -> float | None:
        """Run the current job of Hydra's; return the best validation loss, for sweepers that search."""
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
def _command_line(words: Sequence[str]) -> Iterator[None]:
    """Let Hydra, which reads sys.argv, see these words; and let errors arrive unchanged."""
    before = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    sys.argv, os.environ["HYDRA_FULL_ERROR"] = ["genexp", *words], "1"
    try:
        yield
    finally:
        sys.argv = before[0]
        if before[1] is None:
            del os.environ["HYDRA_FULL_ERROR"]
