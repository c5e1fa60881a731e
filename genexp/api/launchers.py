"""Running a sweep: in this process's pool, or through a launcher or sweeper of Hydra's on the same jobs."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from genexp import console
from genexp.api import sweeps
from genexp.api.jobs import Job
from genexp.api.sweeps import Sweep
from genexp.api.training import relative
from genexp.config.compose import store_block_options
from genexp.config.conf import CONF_DIR
from genexp.config.words import quoted
from genexp.errors import UserError
from genexp.run import RunDirectory, read_metrics, resume_command


def run_sweep(many: Sweep) -> tuple[Path, int]:
    """Make many runs, and report what they found; return their directory and the exit code."""
    from genexp.api.results import report  # imports SciPy
    from genexp.evaluation.sweep import jobs_of

    if many.record.raw is None:
        directory, ended = sweeps.run(many)
        return directory, report(directory, many.places(directory), many.command_line, ended)
    with sweeps.opened(many) as directory:
        task = HydraJob(many.record.command, many.flags)
        extra = ["hydra.output_subdir=null", f"hydra.sweep.dir={quoted(directory)}"]
        try:
            hydra_main(many.record.command, task.run, [*many.record.raw, *extra])
        except KeyboardInterrupt:
            console.warn(f"interrupted; resume with: {resume_command(relative(directory))}")
            raise KeyboardInterrupt("reported") from None
        return directory, report(directory, many.places(directory) or jobs_of(directory), many.command_line)


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
