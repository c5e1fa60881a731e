"""One writer per run: a lock on its log, which ends with the process whatever ends it."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from genexp.errors import UserError
from genexp.run.paths import RunDirectory


@contextmanager
def sole_writer(run: RunDirectory) -> Iterator[None]:
    """Hold the lock.

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
    hint = "wait until that process ends, or stop it first"
    return UserError("another process is writing this run", where=run.path, hint=hint)


def is_being_written(run: RunDirectory) -> bool:
    """Tell whether a process is writing the run."""
    if not run.log.is_file() or not os.access(run.log, os.W_OK):
        return False
    try:
        with sole_writer(run):
            return False
    except UserError:
        return True
