"""The run directory: its files, its exclusive creation, and what is recorded of how it was made."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import secrets
import shlex
import string
import subprocess
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

from genexp import __version__
from genexp.errors import UserError
from genexp.files import why_not_writable

TOKEN = "XXXX"
STATUSES = ("completed", "interrupted", "collapsed", "failed")
HISTORY_COLUMNS = ("epoch", "loss", "val_loss", "val_r2", "lr", "seconds", "val_seconds")
PACKAGES = ("tensorflow", "keras", "numpy", "scipy", "h5py", "hydra-core", "omegaconf", "gensim", "matplotlib", "rich")


#: What a run writes; a directory with any of it is taken.
CONTENT = (
    *(".hydra", "config.yaml", "environment.json", "train.log", "history.csv", "checkpoints", "metrics.json"),
    *("predictions.csv", "plots", "embedding", "tensorboard", "multirun.yaml"),
)


@dataclass(frozen=True)
class RunDirectory:
    """The paths of one run."""

    path: Path

    config = property(lambda self: self.path / "config.yaml")
    environment = property(lambda self: self.path / "environment.json")
    log = property(lambda self: self.path / "train.log")
    history = property(lambda self: self.path / "history.csv")
    metrics = property(lambda self: self.path / "metrics.json")
    predictions = property(lambda self: self.path / "predictions.csv")
    plots = property(lambda self: self.path / "plots")
    checkpoints = property(lambda self: self.path / "checkpoints")
    state = property(lambda self: self.path / "checkpoints" / "state" / "state.npz")
    vectors = property(lambda self: self.path / "embedding" / "vectors.npz")
    tensorboard = property(lambda self: self.path / "tensorboard")

    def checkpoint(self, name: str) -> Path:
        """Return the path of the ``best`` or ``last`` model."""
        return self.checkpoints / f"{name}.keras"


def create_exclusively(wanted: str) -> Path:
    """Make a new run directory.

    Parameters
    ----------
    wanted
        The directory; a trailing ``XXXX`` is replaced by four characters that no other run has. Any other name is
        taken as given: it may exist, but not hold a run.

    Raises
    ------
    UserError
        If the directory holds a run already, or cannot be made.
    """
    check_free(wanted)
    try:
        if not wanted.endswith(TOKEN):
            path = Path(wanted)
            path.mkdir(parents=True, exist_ok=True)
            (path / ".hydra").mkdir()  # of several jobs that want the same directory, one gets it
            return path.resolve()
        stem = wanted.removesuffix(TOKEN)
        Path(stem).parent.mkdir(parents=True, exist_ok=True)
        while True:
            path = Path(stem + "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in TOKEN))
            try:
                path.mkdir()
            except FileExistsError:
                continue
            return path.resolve()
    except FileExistsError:
        raise _occupied(wanted) from None
    except OSError as error:
        raise _not_writable(wanted, str(error.strerror)) from None


@contextmanager
def sole_writer(run: RunDirectory) -> Iterator[None]:
    """Hold a lock on the run's log, which ends with the process whatever ends it.

    Raises
    ------
    UserError
        If another process is writing the run.
    """
    with run.log.open("a", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise busy(run) from None
        except OSError as error:  # a network file system without locks is no reason not to run
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
                raise
        yield


def busy(run: RunDirectory) -> UserError:
    """Return the error for a run that another process is writing."""
    return UserError(
        "another process is writing this run",
        where=run.path,
        expected="a run that no process is writing",
        received=f"{run.log.name} is held by a process",
        do="wait until it ends, or stop it first",
    )


def is_being_written(run: RunDirectory) -> bool:
    """Tell whether a process is writing the run."""
    if not run.log.is_file() or not os.access(run.log, os.W_OK):
        return False
    try:
        with sole_writer(run):
            return False
    except UserError:
        return True


def how_to_resume(path: Path | str) -> str:
    """Return the command that goes on with a run, as it can be pasted into a shell."""
    return f"genexp train resume={shlex.quote(str(path))}"


def check_free(wanted: str) -> None:
    """Raise a UserError if a directory holds a run already or cannot be made; worth asking before long work."""
    path = Path(wanted)
    if path.exists() and not path.is_dir():
        raise UserError(
            "this is no directory",
            where=f"the run directory {wanted}",
            expected="a new or empty directory",
            received="a file",
            do="choose another name",
        )
    if any((path / name).exists() for name in CONTENT):
        raise _occupied(wanted)
    reason = why_not_writable(path)
    if reason:
        raise _not_writable(wanted, reason)


def _not_writable(wanted: str, reason: str) -> UserError:
    return UserError(
        "the run directory cannot be made",
        where=f"hydra.run.dir={wanted}",
        received=reason,
        do="choose a directory that can be written with hydra.run.dir=...",
    )


def _occupied(wanted: str) -> UserError:
    found = ", ".join(sorted(p.name for p in Path(wanted).iterdir())[:6])
    run = RunDirectory(Path(wanted))
    do = f"choose another directory, go on with the run ({how_to_resume(wanted)}), or delete it first"
    if run.metrics.is_file() and '"imported"' in run.metrics.read_text("utf-8", "replace"):
        do = "choose another directory (name=... of genexp import), or delete it first"
    if is_being_written(run):
        found, do = f"{found}; a process is writing it", "choose another directory, or wait until that run ends"
    return UserError(
        "this directory holds a run already; it is not written over",
        where=f"the run directory {wanted}",
        expected="a new or empty directory",
        received=found,
        do=do,
    )


def open_run(directory: str, key: str) -> RunDirectory:
    """Return the run in `directory`, which the user named with config key `key`."""
    run = RunDirectory(Path(directory).expanduser().resolve())
    if not run.config.is_file():
        found = "a directory without config.yaml" if run.path.is_dir() else "no such directory"
        found = "a file" if run.path.is_file() else found
        raise UserError(
            "this is no run directory",
            where=f"{key}={directory}",
            expected="a directory that genexp train wrote, with config.yaml, checkpoints/ and metrics.json",
            received=found,
            do="check the path; runs land in outputs/DATE/TIME-MODEL-DATA-XXXX unless told otherwise",
        )
    return run


def check_checkpoint(run: RunDirectory, name: str) -> None:
    """Raise a UserError if a checkpoint is missing or, as far as its checksums tell, damaged; needs no Keras."""
    path = run.checkpoint(name)
    if not path.is_file():
        others = [other for other in ("best", "last") if run.checkpoint(other).is_file()]
        status = (read_metrics(run) or {}).get("status", "not finished")
        mend = "copy the run directory again, or train anew" if status == "completed" else how_to_resume(run.path)
        raise UserError(
            f"the run has no {name} checkpoint",
            where=path,
            expected=f"{name}.keras",
            received=f"status of the run: {status}; checkpoints: {', '.join(others) or 'none'}",
            do=f"evaluate it with checkpoint={others[0]}, or {mend}" if others else mend,
        )
    try:
        with ZipFile(path) as archive:
            damaged = archive.testzip()
    except (BadZipFile, OSError, zlib.error) as error:
        raise unreadable_checkpoint(path, f"{type(error).__name__}: {error}") from None
    if damaged:
        raise unreadable_checkpoint(path, f"{damaged} inside it is damaged")


def unreadable_checkpoint(path: Path, reason: str) -> UserError:
    """Return the error for a checkpoint that is there and cannot be opened."""
    return UserError(
        "the checkpoint cannot be read",
        where=path,
        expected="a model that genexp wrote",
        received=reason,
        do="copy the run directory again, or train anew",
    )


def read_metrics(run: RunDirectory) -> dict[str, Any] | None:
    """Return the content of metrics.json, or None when the run has written none."""
    try:
        return json.loads(run.metrics.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except json.JSONDecodeError as error:
        raise UserError(
            "this file is no JSON",
            where=run.metrics,
            expected="what genexp wrote",
            received=str(error),
            do="copy it again, or delete it: genexp evaluate makes the metrics anew",
        ) from None


_typed: list[str] = []


def remember_command(words: Sequence[str]) -> None:
    """Keep the command line as it was typed; Hydra replaces sys.argv while a job runs."""
    _typed[:] = words


def exact_command() -> str:
    """Return the command line as it can be typed again."""
    return shlex.join(["genexp", *_typed])


def package_versions() -> dict[str, str]:
    """Return the versions of Python, genexp and what it builds on."""
    found = {"python": sys.version.split()[0], "genexp": __version__}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def git_state(folder: Path) -> dict[str, Any] | None:
    """Return commit and dirty flag of the checkout that holds `folder`, or None outside one."""

    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=False)
        except FileNotFoundError:
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    commit = git("rev-parse", "HEAD")
    if not commit:
        return None
    return {"commit": commit, "dirty": bool(git("status", "--porcelain", "--untracked-files=no"))}


def dataset_record(run: RunDirectory) -> dict[str, Any]:
    """Return what environment.json says of the dataset that a run was trained on."""
    try:
        return json.loads(run.environment.read_text(encoding="utf-8"))["dataset"]
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            "the record of the run's dataset cannot be read",
            where=run.environment,
            received=f"{type(error).__name__}: {error}",
            do="copy the run directory again, environment.json included",
        ) from None
