"""Jobs: runs in processes of their own, several at a time within the cores and GPUs that were granted.

A job needs nothing but its directory. It looks there and decides what is left to do, so that it may be called again
after its process, or its machine, was lost; a launcher of Hydra's, in whatever process, calls the same `Job.run`.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal

from genexp import memory, resources
from genexp.config.words import quoted
from genexp.errors import UserError
from genexp.run import JOB_LOG, UNUSABLE, RunDirectory, busy, check_free, is_being_written, read_metrics, read_overrides

#: Tells a job that its standard input ends with the process that started it.
PARENT = "GENEXP_PARENT"
#: Seconds between two looks at the jobs, and those for which a job waits for another process that writes its run.
POLL_S, WAIT_S = 0.2, 60.0
#: Lines of an error message that are shown.
ERROR_LINES = 12
#: Memory in bytes that a job is taken to need, where nobody says how many jobs run at once.
JOB_BYTES = 2 << 30

#: How runs end that give the same result again.
DONE = ("completed", "collapsed")
#: Exit code of a job that was interrupted.
INTERRUPTED = 130
#: The line in ``job.log`` before the output of each process, with the time of metrics.json before that process.
STARTED = re.compile(r"^started .* \(metrics\.json: (\d+|none)\)$", re.MULTILINE)


@dataclass(frozen=True)
class Job:
    """A command with its overrides, to be run in a process of its own; can be pickled.

    Attributes
    ----------
    number
        Its place in the sweep, from 0.
    words
        The overrides, without those of Hydra itself.
    directory
        Its run directory; None of a command that makes no runs, whose output is shown as it comes.
    command, flags
        The subcommand, and what stands before its overrides (``--config-dir DIR``).
    cwd
        The folder that relative paths start from.
    """

    number: int
    words: tuple[str, ...]
    directory: Path | None = None
    command: str = "train"
    flags: tuple[str, ...] = ()
    cwd: Path = field(default_factory=Path.cwd)

    @property
    def name(self) -> str:
        """What tables call it."""
        return self.directory.name if self.directory else str(self.number)

    def left(self) -> list[str] | None:
        """Return the overrides of what is left to do: all, or to resume; None if the run has its result.

        A UserError is raised if the directory holds another run, or something else, or if a process is writing it.
        """
        if self.directory is None:
            return list(self.words)
        run = RunDirectory(self.directory)
        if is_being_written(run):
            raise busy(run)
        if not run.config.is_file():
            check_free(run.path)
            return [*self.words, f"hydra.run.dir={quoted(run.path)}"]
        self._check_same(run)
        if (read_metrics(run) or {}).get("status") in DONE:
            return None
        return [f"resume={quoted(run.path)}", *(word for word in self.words if word.startswith("hydra."))]

    def _check_same(self, run: RunDirectory) -> None:
        both = read_overrides(run.path), self.words
        theirs, ours = ({word for word in words if not word.startswith("hydra.")} for words in both)
        if theirs and theirs != ours:
            expected, received = (" ".join(sorted(words)) or None for words in (ours - theirs, theirs - ours))
            what, hint = "the directory of this job holds another run", "choose another hydra.sweep.dir"
            raise UserError(what, where=run.path, expected=expected, received=received, hint=hint)

    def start(self, words: Sequence[str], variables: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Start its process on what is `left`; its output goes to ``job.log`` in its directory.

        The process has a session of its own, as it would otherwise receive Ctrl-C in a terminal twice. It ends with
        this one, however that ends: its standard input is a pipe that nothing else keeps open. It imports nothing from
        `cwd`, which is that of sweep.yaml, perhaps by someone else (`import_paths`).
        """
        command = [sys.executable, "-m", "genexp", self.command, *words, *self.flags]
        cwd = self.cwd if self.cwd.is_dir() else None
        environment = {**os.environ, **(variables or {}), **import_paths(), PARENT: "1"}
        if self.directory is None:
            return subprocess.Popen(command, stdin=subprocess.PIPE, env=environment, cwd=cwd, start_new_session=True)
        self.directory.mkdir(parents=True, exist_ok=True)
        with (self.directory / JOB_LOG).open("ab", buffering=0) as log:
            written, blank = _written(RunDirectory(self.directory)), "\n" * (log.tell() > 0)
            with suppress(OSError):  # on a full disk the job itself fails, and no other one
                log.write(f"{blank}started {datetime.now():%Y-%m-%d %H:%M:%S} (metrics.json: {written})\n".encode())
            streams = {"stdout": log, "stderr": subprocess.STDOUT, "stdin": subprocess.PIPE}
            return subprocess.Popen(command, env=environment, cwd=cwd, start_new_session=True, **streams)  # type: ignore[call-overload,no-any-return]

    def run(self, variables: Mapping[str, str] | None = None) -> int:
        """Do what an earlier process has left, and return the exit code; an interrupt is passed on."""
        until = time.monotonic() + WAIT_S
        while self.is_busy() and time.monotonic() < until:
            time.sleep(POLL_S)
        words = self.left()
        if words is None:
            return 0 if self.directory and outcome_of(self.directory)[0] == "completed" else 2
        with self.start(words, variables) as process, _terminated_with_this(process):
            try:
                return process.wait()
            except BaseException:  # a launcher may stop this process by any
                process.terminate()  # SIGINT is ignored below a shell's background job
                process.wait()
                raise

    def is_busy(self) -> bool:
        """Tell whether another process, such as one of an earlier sweep that is ending, is writing the run."""
        return self.directory is not None and is_being_written(RunDirectory(self.directory))


def import_paths() -> dict[str, str]:
    """Return the environment variables with which Python imports in any folder what this process does.

    ``python -m`` and ``python -c`` would otherwise import first from the folder that they are started in, and relative
    entries of PYTHONPATH would be looked for there.
    """
    given, root = os.environ.get("PYTHONPATH"), Path(__file__).parents[2]
    folders = [Path(entry).absolute() for entry in given.split(os.pathsep)] if given else []
    if root.name not in ("site-packages", "dist-packages"):  # a checkout, perhaps one that is not installed
        folders.append(root)
    path = {"PYTHONPATH": os.pathsep.join(map(str, dict.fromkeys(folders)))} if folders else {}
    return {"PYTHONSAFEPATH": "1", **path}


@contextmanager
def _terminated_with_this(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Pass SIGTERM on to a process; submitit, for one, only notes that it came."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda number, frame: process.terminate())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def outcome_of(directory: Path, code: int | None = None) -> tuple[str, str]:
    """Return how a run ended, and the message of one that failed, from its metrics.json or else its log.

    The status is "not started" where nothing says more, and `UNUSABLE` of a run that cannot be read. What metrics.json
    says does not count if it is older than the latest process of the job, and that one has failed: its log has an error
    message, or `code`, its exit code where that is known, is not 0.
    """
    run = RunDirectory(directory)
    try:
        found = read_metrics(run) or {}
    except UserError as error:
        return UNUSABLE, str(error)
    printed = ""
    if found.get("status") not in DONE:
        before, output = _latest(directory / JOB_LOG)
        printed = last_error(output)
        if before == _written(run) and (printed or code):
            found = {}
    message = str(found.get("reason") or "") or printed
    status = str(found.get("status") or ("failed" if message else "not started"))
    return status, "" if status == "completed" else message


def _written(run: RunDirectory) -> str:
    """Return when metrics.json was written, or "none"; each time it is written, it is a new file."""
    return str(run.metrics.stat().st_mtime_ns) if run.metrics.is_file() else "none"


def _latest(log: Path) -> tuple[str, str]:
    """Return what `_written` said before the latest process of a job, and the output of that process.

    The first is empty, and the output is the whole log, where the log does not tell its processes apart.
    """
    text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    starts = [*STARTED.finditer(text)]
    return (starts[-1][1], text[starts[-1].end() :]) if starts else ("", text)


def last_error(output: str) -> str:
    """Return the error message at the end of the output of a process, or an empty string."""
    lines = output.splitlines()
    starts = [n for n, line in enumerate(lines) if line.startswith("error: ")]
    return "\n".join(lines[starts[-1] :][:ERROR_LINES]).removeprefix("error: ") if starts else ""


@dataclass(frozen=True)
class Shares:
    """How many jobs run at once, and what each of them gets: a share of the cores, and GPUs of its own, if any."""

    at_once: int
    cores: int
    gpus: tuple[tuple[str, ...], ...] = ()

    @classmethod
    def of(cls, jobs: int, wanted: int | Literal["auto"], hardware: str, devices: int | None) -> Shares:
        """Choose for a number of jobs on some hardware, each on `devices` GPUs (None: one).

        ``"auto"`` is one job for each GPU, or for each set of them; on the CPU one for each core, as far as the memory
        goes. 0 is none: the jobs are to be run elsewhere.
        """
        cores, each = resources.cores(), devices or 1
        gpus = resources.gpus() if hardware in ("auto", "gpu") else ()
        groups = tuple(gpus[n : n + each] for n in range(0, len(gpus) - each + 1, each)) or ((gpus,) if gpus else ())
        room = min(cores, max(1, memory.available() // JOB_BYTES))
        on_tpu = hardware == "tpu" or (hardware == "auto" and not gpus and "TPU_NAME" in os.environ)
        at_once = wanted if wanted != "auto" else 1 if on_tpu else len(groups) or room
        return cls(max(1, min(at_once, jobs)) if at_once else 0, cores, groups)

    def variables(self, slot: int) -> dict[str, str]:
        """Return the environment variables of a job, by its slot from 0; what the user has set stays."""
        gpu = {"CUDA_VISIBLE_DEVICES": ",".join(self.gpus[slot % len(self.gpus)])} if self.gpus else {}
        return {**resources.share(self.cores, self.at_once), **gpu}

    def __str__(self) -> str:
        share = max(1, self.cores // self.at_once)
        cores = f"{share} core{'s' * (share > 1)} each"
        gpus = f"GPU {'; '.join(map(','.join, self.gpus))}"
        return f"{self.at_once} at a time, {gpus if self.gpus else cores}"


@dataclass
class State:
    """The jobs of a pool: those that wait, those that run, with the times they began, and those that have ended."""

    waiting: deque[Job]
    running: dict[int, tuple[Job, float]] = field(default_factory=dict)
    ended: list[Ended] = field(default_factory=list)


@dataclass(frozen=True)
class Ended:
    """A job that has ended: exit code, status, error message and seconds, None where nothing was left to do."""

    job: Job
    code: int
    status: str
    error: str = ""
    seconds: float | None = None


def run_jobs(jobs: Sequence[Job], shares: Shares, watch: Callable[[State], None] = lambda state: None) -> list[Ended]:
    """Run jobs to their ends, several at a time; one that fails neither stops nor hides the others.

    `watch` is called a few times a second. An interrupt is passed on to the jobs that run, and then raised.
    """
    state = State(deque(jobs))
    processes: dict[int, subprocess.Popen[bytes]] = {}
    busy_until = {job.number: time.monotonic() + WAIT_S for job in jobs}
    try:
        while state.waiting or processes:
            for slot in [slot for slot in range(shares.at_once) if slot not in processes]:
                while state.waiting and _ends_at_once(slot, state, processes, shares, busy_until):
                    pass
            watch(state)
            time.sleep(POLL_S)
            for slot in [slot for slot, process in processes.items() if process.poll() is not None]:
                _end(slot, state, processes)
        watch(state)
    except BaseException:
        stop(list(processes.values()))
        raise
    return state.ended


def _ends_at_once(
    slot: int,
    state: State,
    processes: dict[int, subprocess.Popen[bytes]],
    shares: Shares,
    busy_until: Mapping[int, float],
) -> bool:
    """Start the first job that waits, or let it wait for another process; tell whether nothing was left of it."""
    job = state.waiting.popleft()
    try:
        if job.is_busy() and time.monotonic() < busy_until[job.number]:
            state.waiting.append(job)
            return False
        words = job.left()
        if words is None and job.directory:
            status, error = outcome_of(job.directory)
            state.ended.append(Ended(job, 0 if status == "completed" else 2, status, error))
            return True
        processes[slot] = job.start(words or [], shares.variables(slot))
        state.running[slot] = job, time.monotonic()
    except UserError as error:
        state.ended.append(Ended(job, 2, "failed" if job.is_busy() else UNUSABLE, str(error)))
        return True
    return False


def _end(slot: int, state: State, processes: dict[int, subprocess.Popen[bytes]]) -> None:
    """Move a job whose process has ended to those that have ended."""
    job, began = state.running.pop(slot)
    state.ended.append(ended(job, closed(processes.pop(slot)), time.monotonic() - began))


def closed(process: subprocess.Popen[bytes]) -> int:
    """Wait for a process that `Job.start` started, and return its exit code."""
    code = process.wait()
    if process.stdin:
        process.stdin.close()
    return code


def ended(job: Job, code: int, seconds: float) -> Ended:
    """Return how a job ended whose process had this exit code, or was killed by the signal -code."""
    status, error = outcome_of(job.directory, code) if job.directory else ("done", "")
    if code < 0:
        status, error = "killed", f"killed by {signal.Signals(-code).name}; perhaps there was not enough memory"
    elif code == INTERRUPTED:
        status, error = "interrupted", "stopped by a signal"
    elif code and status != "collapsed":
        status, error = "failed", error or f"exit code {code}"
    return Ended(job, code if code >= 0 else 1, status, error, seconds)


def stop(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Interrupt processes, and wait until they have written how far they came."""
    for process in processes:
        process.terminate()
    for process in processes:
        closed(process)


def end_with_parent() -> None:
    """Interrupt this process when the one that started it as a job has ended; its standard input ends then."""

    def watch() -> None:
        while os.read(0, 1024):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    if os.environ.pop(PARENT, None):
        threading.Thread(target=watch, daemon=True).start()
