"""Writing so that readers see all of a file or folder or nothing of it, and looking beforehand whether it can be."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import shutil
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from genexp.errors import UserError


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file so that readers see the old content or the new, and never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
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
    """Tell whether an error means that there is no space left; HDF5 says it in words alone."""
    number = getattr(error, "errno", None)
    return number in (errno.ENOSPC, errno.EDQUOT) or "No space left on device" in str(error)


def disk_full(error: BaseException, place: Path, do: str) -> UserError:
    """Return the error for a disk or quota that is full."""
    where = getattr(error, "filename", None) or place
    return UserError("there is no space left to write to", where=where, expected="free space", received="none", do=do)


def why_not_writable(path: Path) -> str | None:
    """Return why nothing can be written at `path`, whose parents need not exist; None when it can."""
    existing = next(p for p in (path, *path.absolute().parents) if p.exists())
    if existing != path and not existing.is_dir():
        return f"{existing} is a file"
    return None if os.access(existing, os.W_OK | os.X_OK) else f"{existing} cannot be written"


def free_folder(wanted: str) -> Path:
    """Return the folder to write, after a look that it holds nothing and can be made.

    Raises
    ------
    UserError
        If it holds files already, is a file, or its parent cannot be written.
    """
    out = Path(wanted).expanduser().resolve()
    longest, limit = max(len(os.fsencode(name)) for name in (*out.parts, _partial(out).name)), _name_limit(out)
    if longest > limit:
        raise _not_free("this name is too long for a folder", wanted, f"{longest:,} bytes, {limit:,} at most")
    if out.exists() and not out.is_dir():
        raise _not_free("this is no folder", wanted, "a file")
    if out.is_dir() and any(out.iterdir()):
        dataset = any(out.glob("*.h5"))
        what = "the folder holds a dataset already" if dataset else "the folder is not empty"
        raise _not_free(what, wanted, ", ".join(sorted(path.name for path in out.iterdir())[:6]))
    reason = why_not_writable(out)
    if reason:
        raise _not_free("the folder cannot be written", wanted, reason)
    return out


def _name_limit(path: Path) -> int:
    """Return how many bytes a name may have where `path` is to be."""
    for parent in path.parents:
        with suppress(OSError):  # it is not there yet, or its own name is too long
            return os.pathconf(parent, "PC_NAME_MAX")
    return 255


def _partial(out: Path) -> Path:
    """Return where something is written before it is whole."""
    return out.with_name(f".{out.name}.{os.getpid()}.partial")


def _not_free(what: str, wanted: str, received: str) -> UserError:
    return UserError(
        f"{what}; nothing is written over",
        where=f"out={wanted}",
        expected="a new or empty folder",
        received=received,
        do="choose another folder with out=DIR, or move this one away",
    )


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """Let SIGTERM, which Slurm and Kubernetes send before they kill, end the work as Ctrl-C does.

    So does SIGHUP, when a terminal is closed, unless ``nohup`` has it ignored. Only the first signal counts: some send
    it to a process and then to its group, and the second would end what the first has begun to tell.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    for number, handler in before.items():
        if handler != signal.SIG_IGN:
            signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if _interrupt not in before.values():
            _INTERRUPTED.clear()


_INTERRUPTED = threading.Event()


def _interrupt(signum: int, frame: object) -> None:
    if not _INTERRUPTED.is_set():
        _INTERRUPTED.set()
        raise KeyboardInterrupt


@contextmanager
def whole_or_nothing(out: Path) -> Iterator[Path]:
    """Yield a path in a folder beside `out`; the file or folder made there becomes `out` at the end.

    If anything goes wrong, nothing is left behind.
    """
    partial = _partial(out)
    made = [parent for parent in out.parents if not parent.exists()]
    try:
        with sigterm_interrupts():
            partial.mkdir(parents=True)
            yield partial / out.name
            if out.is_dir():
                out.rmdir()  # an empty one was seen to be free
            (partial / out.name).rename(out)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise UserError(
                f"another process has written {out.name} in the meantime",
                where=f"out={out}",
                expected="a new name",
                received="a folder that is not empty any more",
                do="use what is there, or choose another place with out=...; nothing of this run was left behind",
            ) from error
        raise UserError(
            f"{out.name} cannot be written",
            where=f"out={out}",
            received=error.strerror or error,
            do="see that there is space and permission, or choose another place with out=...; nothing was left behind",
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        if not out.exists():
            with suppress(OSError):  # not empty: somebody else's work has come in between
                for parent in made:
                    parent.rmdir()
