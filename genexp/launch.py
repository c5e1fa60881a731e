"""From a subcommand and its words to one run, or to a sweep of runs in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from genexp import console
from genexp.config.compose import Command, checked_words, compose_parsed, composed, show, store_block_options
from genexp.config.conf import CONF_DIR
from genexp.config.words import Words, quoted
from genexp.errors import UserError
from genexp.files import sigterm_interrupts
from genexp.run import RunDirectory, create, read_metrics, resume_command


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
        if parsed.multirun:
            return sweep(module, command, parsed)
        module.run(compose_parsed(command, parsed))
    return 0


def sweep(module: ModuleType, command: Command[Any], words: Words) -> int:
    """Check every value of the sweep, run each job in a process of its own, and print a table of them all.

    Returns
    -------
    int
        The largest exit code of the jobs.
    """
    _check_targets(words)
    for overrides in words.each_value_once():
        module.check(compose_parsed(command, words, overrides).config)
    makes_runs = getattr(module, "MAKES_RUNS", False)
    whole = composed(command, words.single(), words.config_dir)
    directory = create(whole.hydra.sweep.dir).path if makes_runs else None
    flags = ("--config-dir", words.config_dir) if words.config_dir else ()
    with TemporaryDirectory() as folder:  # what Hydra writes for jobs without a run directory is of no use
        extra = ["hydra.output_subdir=null", f"hydra.sweep.dir={quoted(directory or folder)}"]
        job = Job(command.name, flags, makes_runs, Path(folder))
        try:
            hydra_main(command.name, job.run, [*words.raw, *extra])
        except KeyboardInterrupt:
            if not directory:
                raise
            close_sweep(directory)
            raise KeyboardInterrupt("reported") from None
        codes = [int(path.read_text()) for path in Path(folder).glob("*.code")]
    by_status = close_sweep(directory) if directory else []
    return max(codes if len(codes) >= len(by_status) else [*codes, *by_status], default=0)


def _check_targets(words: Words) -> None:
    """Raise a UserError if the jobs of a sweep would all write to one place."""
    out = next((o for o in words.overrides if o.key_or_group == "out"), None)
    swept = [o for o in words.overrides if o.is_sweep_override()]
    if out and swept and not out.is_sweep_override() and "${" not in str(out.input_line):
        hint = f"make it depend on what is swept: 'out={out.value()}-${{{swept[0].key_or_group}}}'"
        raise UserError("all jobs of this sweep would write to the same place", received=out.input_line, hint=hint)


def close_sweep(directory: Path) -> list[int]:
    """Print a table of the jobs, and how to resume interrupted ones; return the exit code that each status means."""
    from genexp.evaluation.sweep import statuses, sweep_table

    console.table(sweep_table(directory))
    console.say(f"runs: {directory}")
    found = statuses(directory)
    for job, status in found.items():
        if status == "interrupted":
            console.warn(f"interrupted; resume with: {resume_command(job)}")
    return [0 if status == "completed" else 2 for status in found.values()]


@dataclass(frozen=True)
class Job:
    """A job of a sweep: a single run in a process of its own, wherever the launcher runs this object.

    Hydra would run all jobs in one process, where TensorFlow's memory, seeds and policies leak from one to the next.
    A launcher for several jobs at once calls `run` in processes of its own, so exit codes are kept in files.
    """

    command: str
    flags: tuple[str, ...]
    makes_runs: bool
    codes: Path

    def run(self) -> float | None:
        """Run the current job of Hydra's; return the best validation loss, for sweepers that search."""
        job = HydraConfig.get()
        overrides = list(job.overrides.task)
        directory = Path(job.runtime.output_dir)
        if self.makes_runs:
            overrides.append(f"hydra.run.dir={quoted(directory)}")
        console.say(f"job {job.job.num}: genexp {self.command} {' '.join(job.overrides.task)}", style="bold")
        code = run_alone([sys.executable, "-m", "genexp", self.command, *overrides, *self.flags])
        if code == 130:
            raise KeyboardInterrupt
        if self.codes.is_dir():  # not on another machine
            (self.codes / f"{job.job.num}.code").write_text(str(code))
        metrics = read_metrics(RunDirectory(directory)) or {}
        loss: float | None = metrics.get("best", {}).get("valid", {}).get("mse")
        return loss


def run_alone(words: Sequence[str]) -> int:
    """Run a command to its end and return its exit code; an interrupt is passed on once, however it came.

    The child has a session of its own: it would otherwise receive Ctrl-C in a terminal twice.
    """
    with subprocess.Popen(words, start_new_session=True) as child:
        try:
            return child.wait()
        except KeyboardInterrupt:
            child.terminate()  # SIGINT is ignored below a shell's background job
            child.wait()
            raise


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
