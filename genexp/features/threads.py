"""Work on many genes side by side, by threads: NumPy, SciPy and zlib let go of the interpreter while they compute."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache


def processors() -> int:
    """Return the number of processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_threads(work: Callable[[slice], None], n: int, least: int) -> None:
    """Call ``work`` on slices that together are ``slice(0, n)``, one for each core.

    Parameters
    ----------
    work
        Writes its results where they belong; slices do not overlap.
    n
        Number of rows.
    least
        Rows for which a thread of its own pays; fewer than two times as many are worked on right here.
    """
    parts = max(1, min(processors(), n // max(least, 1)))
    first, *others = (slice(n * part // parts, n * (part + 1) // parts) for part in range(parts))
    if not others:
        work(first)
        return
    begun = [_pool(len(others)).submit(work, rows) for rows in others]
    try:
        work(first)
    finally:
        wait(begun)
    for each in begun:
        each.result()


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """Return threads that are kept: to start them takes as long as to count the k-mers of a dozen promoters."""
    return ThreadPoolExecutor(threads)
