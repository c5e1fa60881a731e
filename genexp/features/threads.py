"""Threads for work on many genes: NumPy, SciPy and zlib release the GIL while they compute."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache

from genexp.resources import cores


def processors() -> int:
    """Return the number of threads that are of use: the cores granted, and no more than OMP_NUM_THREADS allows."""
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return min(cores(), int(limit)) if limit.isdigit() and int(limit) else cores()


def in_threads(work: Callable[[slice], None], n: int, least: int) -> None:
    """Call ``work`` on slices that together are ``slice(0, n)``, one per core but each of at least `least` rows.

    An exception of any slice is raised when all slices have ended.
    """
    parts = max(1, min(processors(), n // max(least, 1)))
    slices = [slice(n * part // parts, n * (part + 1) // parts) for part in range(parts)]
    if parts == 1:
        work(slices[0])
        return
    begun = [_pool(parts).submit(work, rows) for rows in slices]
    wait(begun)
    for each in begun:
        each.result()


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """Return a pool that is kept: starting threads takes as long as counting the k-mers of a dozen promoters."""
    return ThreadPoolExecutor(threads)
