"""Results that many runs share: files in one folder of the user, each computed once, under a lock."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TextIO, TypeVar

from genexp.errors import UserError
from genexp.files import lock, write_atomically

T = TypeVar("T")

#: Seconds between two attempts to get a lock, and those after which the work is done without it: whoever holds it may
#: be suspended.
POLL_S, PATIENCE_S = 0.2, 3600.0


def folder() -> Path:
    """Return the folder of the cache: ``GENEXP_CACHE``, or genexp/ in ``XDG_CACHE_HOME``, or in ~/.cache."""
    own, shared = os.environ.get("GENEXP_CACHE"), os.environ.get("XDG_CACHE_HOME")
    return Path(own or Path(shared or "~/.cache") / "genexp").expanduser().resolve()


def once(
    name: str,
    compute: Callable[[], T],
    *,
    read: Callable[[Path], T],
    encode: Callable[[T], bytes],
    say: Callable[[str], None],
    warn: Callable[[str], None],
) -> T:
    """Return what the file `name` of the cache holds; where it is missing or damaged, compute and write it.

    Of several processes one computes, and the others wait for it. `read` raises a UserError for a damaged file. A cache
    that cannot be written, or a file system without locks, only means that more is computed.
    """
    try:
        path = folder() / name
        if path.is_file() and (found := _whole(path, read)) is not None:
            return found
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.with_suffix(".lock").open("a", encoding="utf-8")
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home directory
        warn(f"the cache cannot be used ({error}); GENEXP_CACHE names another folder for it")
        return compute()
    with file:
        _wait(file, lambda: say(f"waiting for another process that computes {name}"))
        if path.is_file():
            if (found := _whole(path, read)) is not None:
                return found
            warn(f"a damaged file of the cache is replaced: {path}")
        found = compute()
        try:
            write_atomically(path, encode(found))
        except OSError as error:
            warn(f"the cache cannot be written ({error}); GENEXP_CACHE names another folder for it")
    return found


def _whole(path: Path, read: Callable[[Path], T]) -> T | None:
    """Return the content of a file, None if it is damaged."""
    try:
        return read(path)
    except UserError:
        return None


def _wait(file: TextIO, waiting: Callable[[], None]) -> None:
    """Wait for a lock, which ends with `file` or its process; `waiting` is called once where another one has it."""
    end = time.monotonic() + PATIENCE_S
    with suppress(OSError):  # of a file system without locks
        while not lock(file) and time.monotonic() <= end:
            waiting()
            waiting = _ignore
            time.sleep(POLL_S)


def _ignore() -> None:
    """Say nothing again."""
