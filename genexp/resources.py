"""What this process was really granted of the machine: processor cores and GPUs."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from itertools import takewhile
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
    for folder, version in own_cgroups("cpu"):
        with suppress(OSError, ValueError):
            if version == 1:
                quota, period = ((folder / f"cpu.cfs_{x}_us").read_text() for x in ("quota", "period"))
            else:
                quota, period = (folder / "cpu.max").read_text().split()
            if quota != "max" and int(quota) > 0:
                yield int(quota) / int(period)


def own_cgroups(controller: str) -> Iterator[tuple[Path, int]]:
    """Yield the folders of this process's control group and of those above it, with their version, 1 or 2."""
    with suppress(OSError, ValueError):
        for line in OWN_CGROUP.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers and controller not in controllers.split(","):
                continue
            root = CGROUPS / controller if controllers else CGROUPS
            own = root / path.lstrip("/")
            for folder in (own, *own.parents):  # inside a container, its own group is the root
                yield folder, 1 if controllers else 2
                if folder == root:
                    break


@cache
def gpus() -> tuple[str, ...]:
    """Return the GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them; without TensorFlow."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        names = [name.strip() for name in given.split(",")]
        # CUDA itself ignores what follows a name that is none, such as -1, or NoDevFiles in jobs of Slurm without GPUs.
        return tuple(takewhile(lambda name: name.isdecimal() or name.startswith(("GPU-", "MIG-")), names))
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
