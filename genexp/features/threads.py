"""Threads for work on many genes: NumPy, SciPy and zlib release the GIL while they compute."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


def processors() -> int:
    """Return the number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_threads(work: Callable[[slice], None], n: int, least: int) -> None:
    """Call `work` on slices that together are ``slice(0, n)``, one per core but each of at least `least` rows."""
    parts = max(1, min(processors(), n // max(least, 1)))
    slices = [slice(n * part // parts, n * (part + 1) // parts) for part in range(parts)]
    with ThreadPoolExecutor(parts) as pool:
        list(pool.map(work, slices))
