"""How much memory was granted: by control groups of both versions, and by Slurm."""

import os

import pytest

from genexp import memory, resources

GB = 1 << 30


@pytest.fixture
def granted(monkeypatch, tmp_path):
    """Pretend to be in a control group, given as in /proc/self/cgroup, on a machine of 64 GB without Slurm."""
    monkeypatch.setattr(os, "sysconf", {"SC_PHYS_PAGES": 16 << 20, "SC_PAGE_SIZE": 4096}.__getitem__)
    for name in ("SLURM_MEM_PER_NODE", "SLURM_MEM_PER_CPU", "SLURM_CPUS_PER_TASK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(resources, "CGROUPS", tmp_path)
    monkeypatch.setattr(resources, "OWN_CGROUP", tmp_path / "own")

    def put(own, limits):
        (tmp_path / "own").write_text(own)
        for path, text in limits.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(text)

    return put


@pytest.mark.parametrize(
    ("own", "limits", "expected"),
    [
        ("0::/", {}, 64),
        ("0::/", {"memory.max": "max\n"}, 64),
        ("0::/", {"memory.max": f"{3 * GB}\n"}, 3),
        ("0::/slurm/job_7", {"slurm/job_7/memory.max": f"{8 * GB}"}, 8),
        ("0::/slurm/job_7/step", {"slurm/job_7/memory.max": f"{8 * GB}", "slurm/job_7/step/memory.max": "max"}, 8),
        ("0::/user.slice/a", {"user.slice/memory.max": f"{5 * GB}", "user.slice/a/memory.max": f"{6 * GB}"}, 5),
        ("0::/other", {"slurm/job_7/memory.max": f"{8 * GB}"}, 64),
        ("0::/../elsewhere", {"memory.max": f"{4 * GB}"}, 4),
        ("5:cpu,cpuacct:/a\n4:memory:/a/b", {"memory/a/memory.limit_in_bytes": f"{2 * GB}"}, 2),
        ("4:memory:/docker/1", {"memory/memory.limit_in_bytes": f"{7 * GB}"}, 7),
        ("4:memory:/", {"memory/memory.limit_in_bytes": "9223372036854771712"}, 64),
        ("nonsense", {}, 64),
    ],
)
def test_the_smallest_limit_of_the_own_group_and_those_above_it_counts(granted, own, limits, expected):
    granted(own, limits)
    assert memory.available() == expected * GB


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"SLURM_MEM_PER_NODE": "8192"}, 8),
        ({"SLURM_MEM_PER_NODE": "0"}, 20),
        ({"SLURM_MEM_PER_NODE": "all"}, 20),
        ({"SLURM_MEM_PER_CPU": "2048", "SLURM_CPUS_PER_TASK": "4"}, 8),
        ({"SLURM_MEM_PER_CPU": "2048"}, 20),
        ({"SLURM_MEM_PER_NODE": "999999"}, 20),
    ],
)
def test_slurm_limits_too(granted, monkeypatch, variables, expected):
    granted("0::/", {"memory.max": str(20 * GB)})
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert memory.available() == expected * GB
