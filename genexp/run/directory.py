"""The one way to make the directory of a run, and to find it again."""

from __future__ import annotations

import secrets
import shlex
import string
import zlib
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from genexp.errors import UserError
from genexp.files import why_not_writable
from genexp.run.lock import is_being_written
from genexp.run.paths import CHECKPOINTS, CONTENT, RunDirectory
from genexp.run.record import read_metrics

#: Replaced, at the end of a directory's name, by four characters that no other run has.
TOKEN = "XXXX"


def create(wanted: str | Path) -> RunDirectory:
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
    name = str(wanted)
    try:
        if not name.endswith(TOKEN):
            path = Path(name)
            path.mkdir(parents=True, exist_ok=True)
            (path / ".hydra").mkdir()  # of several jobs that want the same directory, one gets it
            return RunDirectory(path.resolve())
        stem = name.removesuffix(TOKEN)
        Path(stem).parent.mkdir(parents=True, exist_ok=True)
        while True:
            path = Path(stem + "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in TOKEN))
            try:
                path.mkdir()
            except FileExistsError:
                continue
            return RunDirectory(path.resolve())
    except FileExistsError:
        raise _occupied(Path(name)) from None
    except OSError as error:
        raise _not_writable(wanted, str(error.strerror)) from None


def check_free(wanted: str | Path) -> None:
    """Raise a UserError if a directory holds a run already or cannot be made."""
    path = Path(wanted)
    if path.exists() and not path.is_dir():
        raise UserError("the run directory is a file", where=wanted, expected="a new or empty directory")
    if any((path / name).exists() for name in CONTENT):
        raise _occupied(path)
    reason = why_not_writable(path)
    if reason:
        raise _not_writable(wanted, reason)


def _not_writable(wanted: str | Path, reason: str) -> UserError:
    hint = "choose a directory that can be written with hydra.run.dir=..."
    return UserError("the run directory cannot be made", where=wanted, received=reason, hint=hint)


def _occupied(path: Path) -> UserError:
    found = ", ".join(sorted(p.name for p in path.iterdir())[:6])
    run = RunDirectory(path)
    hint = f"choose another directory, resume the run ({resume_command(path)}), or delete it first"
    if run.metrics.is_file() and '"imported"' in run.metrics.read_text("utf-8", "replace"):
        hint = "choose another directory (name=... of genexp import), or delete it first"
    if is_being_written(run):
        found, hint = f"{found}; a process is writing it", "choose another directory, or wait until that run ends"
    what = "this directory holds a run already; it is not overwritten"
    return UserError(what, where=path, expected="a new or empty directory", received=found, hint=hint)


def find_run(directory: str | Path, key: str = "run_dir") -> RunDirectory:
    """Return the run in a directory, which the user named with config key `key`."""
    run = RunDirectory(Path(directory).expanduser().resolve())
    if not run.config.is_file():
        found = "a directory without config.yaml" if run.path.is_dir() else "no such directory"
        found = "a file" if run.path.is_file() else found
        hint = "runs are written to outputs/DATE/TIME-MODEL-DATA-XXXX unless hydra.run.dir says otherwise"
        raise UserError("this is not a run directory", where=f"{key}={directory}", received=found, hint=hint)
    return run


def check_checkpoint(run: RunDirectory, name: str) -> None:
    """Raise a UserError if a checkpoint is missing or, as far as its checksums tell, damaged; needs no Keras."""
    path = run.checkpoint(name)
    if not path.is_file():
        others = [other for other in CHECKPOINTS if run.checkpoint(other).is_file()]
        status = (read_metrics(run) or {}).get("status", "not finished")
        hint = "copy the run directory again, or train again" if status == "completed" else resume_command(run.path)
        hint = f"use checkpoint={others[0]}, or {hint}" if others else hint
        received = f"status of the run: {status}; checkpoints: {', '.join(others) or 'none'}"
        raise UserError(f"the run has no {name} checkpoint", where=path, received=received, hint=hint)
    try:
        with ZipFile(path) as archive:
            damaged = archive.testzip()
    except (BadZipFile, OSError, zlib.error) as error:
        raise unreadable_checkpoint(path, f"{type(error).__name__}: {error}") from None
    if damaged:
        raise unreadable_checkpoint(path, f"{damaged} inside it is damaged")


def unreadable_checkpoint(path: Path, reason: str) -> UserError:
    """Return the error for a checkpoint that exists and cannot be opened."""
    hint = "copy the run directory again, or train again"
    return UserError("the checkpoint cannot be read", where=path, received=reason, hint=hint)


def resume_command(path: Path | str) -> str:
    """Return the command that resumes a run, as it can be pasted into a shell."""
    return f"genexp train resume={shlex.quote(str(path))}"
