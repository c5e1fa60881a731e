"""What this process was really granted of the machine: processor cores and GPUs."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

#: Where control groups are mounted, and which of them this process is in.
CGROUPS, OWN_CGROUP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")

#: Environment variables that hold the number of threads of a library; a job that shares the machine gets all of them.
THREADS = (
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"),
    *("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"),
)


def cores() -> int:
    """Return the number of cores that this process may use.

    The smallest of its affinity, the quota of its control group and what Slurm granted to each task.
    """
    found = [len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1]
    found += [max(1, round(quota)) for quota in _quotas()]
    with suppress(KeyError, ValueError):
        found.append(max(1, int(os.environ["SLURM_CPUS_PER_TASK"])))
    return min(found)


def _quotas() -> Iterator[float]:
    """Yield the limits, in cores, of this process's control group (version 2, then 1) and of those above it."""
    with suppress(OSError, ValueError):
        for line in OWN_CGROUP.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers and "cpu" not in controllers.split(","):
                continue
            root = CGROUPS / "cpu" if controllers else CGROUPS
            own = root / path.lstrip("/")
            for folder in (own, *own.parents):  # inside a container, its own group is the root
                with suppress(OSError, ValueError):
                    if controllers:
                        quota, period = ((folder / f"cpu.cfs_{x}_us").read_text() for x in ("quota", "period"))
                    else:
                        quota, period = (folder / "cpu.max").read_text().split()
                    if quota != "max" and int(quota) > 0:
                        yield int(quota) / int(period)
                if folder == root:
                    break


@cache
def gpus() -> tuple[str, ...]:
    """Return the GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them; without TensorFlow."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        names = [name.strip() for name in given.split(",")]
        # CUDA itself ignores what follows a number below zero.
        return tuple(names[: next((n for n, name in enumerate(names) if name in ("", "-1")), len(names))])
    with suppress(OSError, subprocess.SubprocessError):
        command = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
        listed = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
        return tuple(line.strip() for line in listed.splitlines() if line.strip().isdigit())
    return ()


def threads() -> int:
    """Return the number of threads on which TensorFlow computes one operation."""
    given = os.environ.get("TF_NUM_INTRAOP_THREADS", "")
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return int(given) if given.isdigit() and int(given) else affinity


def share(cores: int, jobs: int) -> dict[str, str]:
    """Return the environment variables that give one of several jobs at once its share of the cores.

    What the user has set stays.
    """
    threads = str(max(1, cores // jobs))
    return {name: threads for name in THREADS if name not in os.environ}
