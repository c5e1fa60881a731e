"""The journal of a study: its trials on disk, shared by all processes that run them. Optuna keeps it; no pickles."""

from __future__ import annotations

import math
import os
import secrets
import socket
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genexp.api.tuning.space import Space
from genexp.errors import UserError
from genexp.files import damage_reported, in_short, lock

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

JOURNAL, CLAIMS, WORKERS, STUDY = "journal.log", "claims", "workers", "tune"
#: Attributes of a trial: the process that runs it, why it was stopped, and the seconds that it took.
WORKER, REASON, SECONDS = "worker", "reason", "seconds"
#: Seconds without a touch of its file after which a process of another machine is dead, and those between two
#: touches.
DEAD_AFTER_S, TOUCH_EVERY_S = 120.0, 15.0
#: Seconds between two looks of a process with trials of its own for others that have died.
LOOK_EVERY_S = 5.0
#: Completed trials before the first is judged by them.
JUDGED_FROM = 4


def import_optuna() -> Any:
    """Return the package, without its messages; raise a UserError where it is not installed."""
    try:
        import optuna
    except ImportError:
        hint = "install it: pip install 'genexp[tune]'"
        raise UserError("genexp tune needs Optuna", expected="the package optuna", hint=hint) from None
    if not hasattr(optuna.storages, "journal"):
        hint = "update it: pip install --upgrade 'genexp[tune]'"
        raise UserError("this version of Optuna is too old", received=optuna.__version__, hint=hint)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


@contextmanager
def alone(directory: Path) -> Iterator[None]:
    """Keep all other processes of a study waiting; for a process that died here, they wait half a minute."""
    mutex = import_optuna().storages.journal.JournalFileOpenLock(str(directory / CLAIMS))
    mutex.acquire()
    try:
        yield
    finally:
        mutex.release()


class Journal:
    """The trials of a study directory, as one process sees them.

    Parameters
    ----------
    directory
        The directory of the study.
    space
        What is searched.
    maximize
        Whether a higher value is better.
    seed
        Of the search: the settings of a trial follow from it, the number of the trial and the trials before.
    warmup
        Epochs before a trial can be stopped; None for never.
    first
        Stored values of the first trial; the others of its keys are sampled.

    Raises
    ------
    UserError
        If the journal is damaged.
    """

    study: optuna.Study

    def __init__(
        self,
        directory: Path,
        space: Space,
        *,
        maximize: bool,
        seed: int,
        warmup: int | None,
        first: Mapping[str, Any],
    ) -> None:
        optuna, self.directory, self.space = import_optuna(), directory, space
        self.states = optuna.trial.TrialState
        self.path = directory / JOURNAL
        with self._damage_reported():
            self.storage = self._opened()
            median = optuna.pruners.MedianPruner(n_startup_trials=JUDGED_FROM, n_warmup_steps=warmup or 0)
            self.study = optuna.create_study(
                study_name=STUDY,
                storage=self.storage,
                direction="maximize" if maximize else "minimize",
                sampler=_sampler(seed),
                pruner=optuna.pruners.NopPruner() if warmup is None else median,
                load_if_exists=True,
            )
            with alone(self.directory):
                if first:
                    self.study.enqueue_trial(dict(first), skip_if_exists=True)

    def _opened(self) -> Any:
        """Open the file; what a process was writing when it was killed is cut off: nothing had been done with it."""
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock

        mutex = JournalFileSymlinkLock(str(self.path))
        if self.path.is_file():
            mutex.acquire()
            try:
                with self.path.open("r+b") as file:
                    content = file.read()
                    file.truncate(content.rfind(b"\n") + 1)
            finally:
                mutex.release()
        return JournalStorage(JournalFileBackend(str(self.path), lock_obj=mutex))

    @contextmanager
    def _damage_reported(self) -> Iterator[None]:
        def error(found: Exception) -> UserError:
            hint = "copy the study again, or start another one with hydra.run.dir=DIR; its runs are in trials/"
            return UserError(
                "the journal of the study cannot be read", where=self.path, received=in_short(found), hint=hint
            )

        with damage_reported(error, AssertionError, import_optuna().exceptions.OptunaError):
            yield

    @contextmanager
    def worker(self) -> Iterator[Worker]:
        """Be one of the processes that run trials."""
        with Worker(self.directory / WORKERS) as worker:
            yield worker

    def claim(self, worker: Worker, total: int, *, look: bool = True) -> Trial | None:
        """Return a trial to be run: that of a dead process, or a new one; None if there are `total` trials.

        Trials are numbered from 0, and each is run by one process at a time. Without `look`, processes that have died
        since the last look are not found, and where there is nothing to be run, no other process has to wait.
        """
        from optuna.trial import Trial as Asked

        if not look and not self._has_room(worker, total):
            return None
        with alone(self.directory):
            if look:
                worker.look(self._workers())
            if not self._has_room(worker, total):
                return None
            left = self._left(worker)
            asked = Asked(self.study, self._id(left.number)) if left else self.study.ask()
            values = {key: dimension.suggest(asked, key) for key, dimension in self.space.items()}
            asked.set_user_attr(WORKER, worker.name)
            return Trial(self, asked, values)

    def _id(self, number: int) -> int:
        """Return by what the storage knows a trial."""
        study = self.storage.get_study_id_from_name(STUDY)
        return int(self.storage.get_trial_id_from_study_id_trial_number(study, number))

    def _has_room(self, worker: Worker, total: int) -> bool:
        """Tell whether a trial can be begun or taken over; one that failed tells nothing, and is replaced."""
        trials = self.trials()
        waiting = any(trial.state == self.states.WAITING for trial in trials)
        counted = sum(trial.state != self.states.FAIL for trial in trials)
        return counted < total or waiting or self._left(worker) is not None

    def _running(self) -> list[FrozenTrial]:
        return [trial for trial in self.trials() if trial.state == self.states.RUNNING]

    def _workers(self) -> set[str]:
        """Return the processes that run trials, or ran them when they died."""
        return {trial.user_attrs[WORKER] for trial in self._running() if WORKER in trial.user_attrs}

    def _left(self, worker: Worker) -> FrozenTrial | None:
        """Return the first trial of a process that is known to be dead, or that died before it wrote its name."""
        left = (trial for trial in self._running() if trial.user_attrs.get(WORKER, "") in {"", *worker.dead})
        return next(left, None)

    def others(self, worker: Worker) -> int:
        """Return the number of trials that other processes run."""
        with alone(self.directory):  # else a trial may be there whose process has not written its name yet
            worker.look(self._workers())
            nobodys = {"", worker.name, *worker.dead}
            return sum(trial.user_attrs.get(WORKER, "") not in nobodys for trial in self._running())

    def done(self) -> int:
        """Return the number of trials that tell something of their settings: completed, or pruned."""
        return sum(trial.state in (self.states.COMPLETE, self.states.PRUNED) for trial in self.trials())

    def trials(self) -> list[FrozenTrial]:
        """Return all trials by number, as they are now."""
        return self.study.get_trials(deepcopy=False)

    def values(self, trial: FrozenTrial) -> dict[str, Any]:
        """Return the settings of a trial by key."""
        return {key: self.space[key].value(stored) for key, stored in trial.params.items()}

    def best(self) -> FrozenTrial | None:
        """Return the best completed trial, the first of equal ones."""
        completed = [trial for trial in self.trials() if trial.state == self.states.COMPLETE]
        sign = -1 if self.study.direction.name == "MAXIMIZE" else 1
        return min(completed, key=lambda trial: (sign * float(trial.value or 0), trial.number), default=None)

    def importances(self) -> dict[str, float]:
        """Return the share of each key in how good a trial is; empty where there are too few trials to tell.

        PED-ANOVA: Watanabe, Bansal and Hutter 2023, IJCAI, arXiv 2304.10255.
        """
        from optuna.importance import get_param_importances

        if sum(trial.state == self.states.COMPLETE for trial in self.trials()) < JUDGED_FROM:
            return {}
        with warnings.catch_warnings(action="ignore"):  # of few trials
            return get_param_importances(self.study)


class Trial:
    """A trial that this process runs.

    Attributes
    ----------
    number
        From 0; it names the run directory.
    values
        The settings, by dotted key.
    reported
        The last epoch whose value is recorded; 0 if there is none.
    """

    def __init__(self, journal: Journal, asked: optuna.Trial, values: dict[str, Any]) -> None:
        self._journal, self._asked, self.number, self.values = journal, asked, asked.number, values
        self.reported = journal.trials()[self.number].last_step or 0

    def report(self, epoch: int, value: float) -> bool:
        """Record the value after an epoch, and tell whether the trial is to be stopped as hopeless."""
        if epoch > self.reported:
            self._asked.report(value, epoch)
            self.reported = epoch
        return self._asked.should_prune()

    def complete(self, value: float, seconds: float) -> None:
        """Record the result."""
        self._end("COMPLETE", "", seconds, value)

    def prune(self, reason: str, seconds: float) -> None:
        """Record that the settings are no good: hopeless, collapsed, diverged or impossible."""
        self._end("PRUNED", reason, seconds)

    def fail(self, reason: str, seconds: float) -> None:
        """Record that nothing is known of the settings, for a reason that lies elsewhere."""
        self._end("FAIL", reason, seconds)

    def _end(self, state: str, reason: str, seconds: float, value: float | None = None) -> None:
        self._asked.set_user_attr(SECONDS, round(seconds, 1))
        if reason:
            self._asked.set_user_attr(REASON, reason)
        self._journal.study.tell(self._asked, value, self._journal.states[state])


class Worker:
    """A process of a study: a locked file, whose lock ends with the process.

    The lock tells living from dead processes of one machine. Where the file system has no locks that reach other
    machines, the time at which the file was last touched tells it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.host = folder, socket.gethostname().replace("_", "-")
        self.name = f"{self.host}_{os.getpid()}_{secrets.token_hex(2)}"
        self.dead: set[str] = set()
        self._looked = -math.inf

    def __enter__(self) -> Worker:
        self.folder.mkdir(exist_ok=True)
        self._file = (self.folder / self.name).open("a", encoding="utf-8")
        lock(self._file)
        with (self.folder / self.name).open("a", encoding="utf-8") as again:
            self.has_locks = not lock(again)
        self._touched = time.monotonic()
        return self

    def __exit__(self, *error: object) -> None:
        (self.folder / self.name).unlink(missing_ok=True)
        self._file.close()

    def touch(self) -> None:
        """Show that this process lives; to be called often."""
        if time.monotonic() - self._touched > TOUCH_EVERY_S:
            self._touched = time.monotonic()
            os.utime(self.folder / self.name)

    def is_due(self) -> bool:
        """Tell whether it is time to `look` again."""
        return time.monotonic() - self._looked > LOOK_EVERY_S

    def look(self, names: Iterable[str]) -> None:
        """Find out which processes are `dead`; to be called under the study's mutex."""
        self._looked = time.monotonic()
        self.dead = {name for name in names if name != self.name and self.is_dead(name)}

    def is_dead(self, name: str) -> bool:
        """Tell whether another process of the study has ended."""
        path = self.folder / name
        try:
            with path.open("r+", encoding="utf-8") as file:
                if not lock(file, tries=1):  # nobody else looks at the same time, and there may be hundreds of files
                    return False
        except FileNotFoundError:  # removed by the process when it ended
            return True
        if self.has_locks and name.partition("_")[0] == self.host:
            return True
        os.utime(self.folder / self.name)  # so that both times are those of the file server
        return (self.folder / self.name).stat().st_mtime - path.stat().st_mtime > DEAD_AFTER_S


def _sampler(seed: int) -> Any:
    """Return TPE with a random state that follows from the seed and the trial's number alone.

    So a study that was killed and continued tries what an uninterrupted one tries. TPE: Bergstra, Bardenet, Bengio and
    Kegl 2011, NeurIPS 24; its multivariate form: Falkner, Klein and Hutter 2018, ICML, arXiv 1807.01774.
    """
    import numpy as np
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler, TPESampler

    class ByNumber(BaseSampler):
        number, sampler = -1, TPESampler(seed=seed)

        def of(self, trial: FrozenTrial) -> TPESampler:
            if trial.number != self.number:
                own = int(np.random.SeedSequence([seed, trial.number]).generate_state(1)[0])
                self.number, self.sampler = trial.number, TPESampler(seed=own)
            return self.sampler

        def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
            return self.of(trial).infer_relative_search_space(study, trial)

        def sample_relative(
            self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
        ) -> dict[str, Any]:
            return self.of(trial).sample_relative(study, trial, search_space)

        def sample_independent(
            self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
        ) -> Any:
            return self.of(trial).sample_independent(study, trial, param_name, param_distribution)

    return ByNumber()
