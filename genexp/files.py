"""Whole files: what is written appears whole or not at all, and a damaged file that is read is one error."""

from __future__ import annotations

import csv
import errno
import fcntl
import io
import json
import os
import secrets
import shutil
import struct
import time
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from genexp.errors import UserError
from genexp.interrupts import sigterm_interrupts

#: What libraries raise when they read a damaged file: each of these was met in a file with a few bytes changed.
DAMAGE: tuple[type[Exception], ...] = (
    *(OSError, EOFError, ValueError, TypeError, KeyError, IndexError, AttributeError, RuntimeError, OverflowError),
    *(MemoryError, SystemError, SyntaxError, tokenize.TokenError, struct.error, zlib.error, zipfile.BadZipFile),
)


@contextmanager
def damage_reported(report: Callable[[Exception], UserError], *more: type[Exception]) -> Iterator[None]:
    """Raise the UserError that `report` makes of an error of `DAMAGE`, or `more`, where a file is read."""
    try:
        yield
    except (UserError, BrokenPipeError):  # a pipe that is shown progress, and closed
        raise
    except (*DAMAGE, *more) as error:
        raise report(error) from error


@contextmanager
def open_npz(path: Path, report: Callable[[Exception], UserError]) -> Iterator[Mapping[str, Any]]:
    """Open a NumPy .npz without pickles; all damage, also what is found later, is the error of `report`."""
    import numpy as np

    with damage_reported(report), warnings.catch_warnings():
        # A damaged header may look as if Python 2 had written it.
        warnings.filterwarnings("ignore", "Reading `.npy` or `.npz` file required additional header parsing")
        # NumPy leaves a file open that it opened itself and cannot read.
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            yield file


#: How often a lock is tried, and the seconds in between.
LOCK_TRIES, LOCK_WAIT_S = 5, 0.05


def lock(file: TextIO, tries: int = LOCK_TRIES) -> bool:
    """Lock an open file until it is closed, or the process ends; return False if another process has the lock."""
    for left in reversed(range(tries)):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):  # the latter of a lock on NFS; perhaps one that only looks has it
            time.sleep(LOCK_WAIT_S if left else 0)
        except OSError as error:  # a network file system without locks is no reason not to run
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
                raise
            return True
        else:
            return True
    return False


def in_short(error: Exception) -> str:
    """Return an error in one line of at most 200 characters."""
    return f"{type(error).__name__}: {error}".replace("\n", " ")[:200]


def _own_name() -> str:
    """Return a part of a name that no other process has: containers that share a folder may have equal process ids."""
    return f"{os.getpid()}.{secrets.token_hex(4)}"


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file so that readers see the old content or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{_own_name()}.tmp")
    try:
        if isinstance(content, str):
            temporary.write_text(content, encoding="utf-8")
        else:
            temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file atomically."""
    write_atomically(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def write_csv(path: Path, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Write a CSV file atomically; numbers keep all their digits."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    write_atomically(path, text.getvalue())


def is_full(error: BaseException) -> bool:
    """Tell whether an error means that no space is left; HDF5 has it in the text of the error only."""
    number = getattr(error, "errno", None)
    return number in (errno.ENOSPC, errno.EDQUOT) or "No space left on device" in str(error)


def unwritable(error: BaseException) -> UserError | None:
    """Return the error for a place that is full, or must not be read or written; None for any other error."""
    reason = getattr(error, "strerror", None)
    if is_full(error) or getattr(error, "errno", None) in (errno.EROFS, errno.EACCES, errno.EPERM):
        denied = getattr(error, "errno", None) in (errno.EACCES, errno.EPERM)
        what = "a file cannot be read or written" if denied else "a file cannot be written"
        hint = "change its permissions, or choose another place" if denied else "make room, or choose another place"
        return UserError(what, where=getattr(error, "filename", None), received=reason, hint=hint)
    return None


def disk_full(error: BaseException, place: Path, hint: str) -> UserError:
    """Return the error for a disk or quota that is full."""
    return UserError("no space left to write to", where=getattr(error, "filename", None) or place, hint=hint)


def why_not_writable(path: Path) -> str | None:
    """Return why nothing can be written at `path`, whose parents need not exist; None if it can."""
    existing = next(p for p in (path, *path.absolute().parents) if p.exists())
    if existing != path and not existing.is_dir():
        return f"{existing} is a file"
    return None if os.access(existing, os.W_OK | os.X_OK) else f"{existing} cannot be written"


def free_folder(wanted: str) -> Path:
    """Return the folder to write, after a check that it is new or empty and can be made."""
    out = Path(wanted).expanduser().resolve()
    longest, limit = max(len(os.fsencode(name)) for name in (*out.parts, _partial(out).name)), _name_limit(out)
    found: object = None
    if longest > limit:
        what, found = "the name of the folder is too long", f"{longest:,} bytes, the limit is {limit:,}"
    elif out.exists() and not out.is_dir():
        what = "this is a file, not a folder"
    elif out.is_dir() and any(out.iterdir()):
        what = "the folder already contains a dataset" if any(out.glob("*.h5")) else "the folder is not empty"
        found = ", ".join(sorted(path.name for path in out.iterdir())[:6])
    elif found := why_not_writable(out):
        what = "the folder cannot be written"
    else:
        return out
    hint = "choose another folder with out=DIR, or move this one away; existing files are not overwritten"
    raise UserError(what, where=f"out={wanted}", received=found, hint=hint)


def _name_limit(path: Path) -> int:
    """Return how many bytes a name may have in the folder that will contain `path`."""
    for parent in path.parents:
        with suppress(OSError):  # it does not exist yet, or its own name is too long
            return os.pathconf(parent, "PC_NAME_MAX")
    return 255


def _partial(out: Path) -> Path:
    """Return where something is written until it is complete."""
    return out.with_name(f".{out.name}.{_own_name()}.partial")


@contextmanager
def whole_or_nothing(out: Path) -> Iterator[Path]:
    """Yield a path in a temporary folder beside `out`; the file or folder made there becomes `out` at the end.

    After an error nothing is left behind.
    """
    partial = _partial(out)
    made = [parent for parent in out.parents if not parent.exists()]
    try:
        with sigterm_interrupts():
            partial.mkdir(parents=True)
            yield partial / out.name
            if out.is_dir():
                out.rmdir()  # `free_folder` found it empty
            (partial / out.name).rename(out)
    except OSError as error:
        taken = error.errno in (errno.ENOTEMPTY, errno.EEXIST)
        what = f"another process has written {out.name}" if taken else f"{out.name} cannot be written"
        hint = "choose another place with out=...; no partial files were left"
        reason = None if taken else error.strerror or error
        raise UserError(what, where=f"out={out}", received=reason, hint=hint) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        if not out.exists():
            with suppress(OSError):  # another process has written into it
                for parent in made:
                    parent.rmdir()
