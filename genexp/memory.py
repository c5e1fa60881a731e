"""Arrays that TensorFlow reads without a copy: in memory, or mapped from a file where they are too large for it."""

from __future__ import annotations

import errno
import math
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
from numpy.typing import DTypeLike
from rich.filesize import decimal

from genexp.errors import UserError
from genexp.resources import own_cgroups

#: Bytes at whose multiples an array has to begin for TensorFlow to use its memory in place.
ALIGNMENT = 64


def allocate(shape: tuple[int, ...], dtype: DTypeLike, *, on_disk: bool = False) -> np.ndarray:
    """Return an array of arbitrary values whose memory TensorFlow can use in place.

    On disk it is mapped from a file without a name in ``TMPDIR`` (or else /var/tmp, which is on a disk); the operating
    system keeps as much of it in memory as there is space for, and removes it with the array.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if not on_disk or size == 0:
        raw = np.empty(size + ALIGNMENT, np.uint8)
        start = -raw.ctypes.data % ALIGNMENT
        return raw[start : start + size].view(dtype).reshape(shape)
    with _unnamed(size, "streamed genes") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)  # an error now, in place of a crash when it is written
        return np.memmap(file, dtype, "r+", shape=shape)


def written(parts: Iterable[np.ndarray], size: int, what: str) -> np.ndarray:
    """Return (size,) uint8 arrays one behind the other, read-only, mapped as by `allocate`; `what` they are."""
    with _unnamed(size, what) as file:
        for part in parts:
            file.write(part)
        file.flush()
        return np.memmap(file, np.uint8, "r", shape=(size,))


@contextmanager
def _unnamed(size: int, what: str) -> Iterator[Any]:
    """Open a file without a name; a UserError is raised if it cannot have `size` bytes."""
    folder = os.environ.get("TMPDIR") or ("/var/tmp" if os.access("/var/tmp", os.W_OK) else tempfile.gettempdir())
    try:
        if size > shutil.disk_usage(folder).free:  # which allocating would fill up first
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        with tempfile.TemporaryFile(prefix="genexp-", dir=folder) as file:
            yield file
    except OSError as error:
        message, hint = f"no space for {decimal(size)} of {what}", "set TMPDIR to a folder with more space"
        raise UserError(message, where=folder, received=error, hint=hint) from error


def is_on_disk(array: np.ndarray) -> bool:
    """Return whether an array was allocated on disk."""
    return isinstance(array, np.memmap)


def aligned(array: np.ndarray) -> np.ndarray:
    """Return the array itself if TensorFlow can use its memory in place, otherwise a copy."""
    if array.flags.c_contiguous and array.flags.writeable and array.ctypes.data % ALIGNMENT == 0:
        return array
    copy = allocate(array.shape, array.dtype, on_disk=is_on_disk(array))
    copy[...] = array
    return copy


def available() -> int:
    """Return the bytes of memory that this process may use.

    The smallest of the memory of the machine, the limits of its control group and those above it, and what Slurm
    granted.
    """
    return min([os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), *_limits(), *_granted_by_slurm()])


def _limits() -> Iterator[int]:
    """Yield the limits of this process's control group and of those above it."""
    for folder, version in own_cgroups("memory"):
        with suppress(OSError, ValueError):  # not there, or "max": no limit
            yield int((folder / ("memory.max" if version == 2 else "memory.limit_in_bytes")).read_text())


def _granted_by_slurm() -> Iterator[int]:
    """Yield the memory that Slurm granted on this machine, and to each task; it gives MB, and 0 for all there is."""
    for names in (("SLURM_MEM_PER_NODE",), ("SLURM_MEM_PER_CPU", "SLURM_CPUS_PER_TASK")):
        with suppress(KeyError, ValueError):
            if (megabytes := math.prod(int(os.environ[name]) for name in names)) > 0:
                yield megabytes << 20


def check_size(size: int, where: object, hint: str) -> None:
    """Raise a UserError if arrays of this size do not fit into memory."""
    if size > (limit := available()):
        what, expected = "the genes do not fit into memory", f"at most {decimal(limit)}"
        raise UserError(what, where=where, expected=expected, received=decimal(size), hint=hint)
