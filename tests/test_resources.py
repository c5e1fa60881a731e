"""What was granted: affinity, control groups of both versions, Slurm, GPUs."""

import os

import pytest

from genexp import resources


@pytest.fixture
def granted(monkeypatch, tmp_path):
    """Pretend to be in a control group, with 8 cores and no Slurm."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.delenv("SLURM_CPUS_PER_TASK", raising=False)
    monkeypatch.setattr(resources, "CGROUPS", tmp_path)
    monkeypatch.setattr(resources, "OWN_CGROUP", tmp_path / "own")

    def put(own, **limits):
        (tmp_path / "own").write_text(own)
        for name, text in limits.items():
            folder, _, file = name.replace("__", "/").rpartition("/")
            (tmp_path / folder).mkdir(parents=True, exist_ok=True)
            (tmp_path / folder / file.replace("cpu_", "cpu.")).write_text(text)

    return put


@pytest.mark.parametrize(
    ("own", "limits", "expected"),
    [
        ("0::/", {}, 8),
        ("0::/", {"cpu_max": "300000 100000\n"}, 3),
        ("0::/", {"cpu_max": "max 100000\n"}, 8),
        ("0::/", {"cpu_max": "50000 100000"}, 1),
        ("0::/pod/job", {"pod__cpu_max": "200000 100000", "pod__job__cpu_max": "max 100000"}, 2),
        ("0::/../elsewhere", {"cpu_max": "400000 100000"}, 4),
        ("3:cpuset:/\n1:cpu,cpuacct:/", {"cpu__cpu_cfs_quota_us": "500000", "cpu__cpu_cfs_period_us": "100000"}, 5),
        ("1:cpu:/", {"cpu__cpu_cfs_quota_us": "-1", "cpu__cpu_cfs_period_us": "100000"}, 8),
        ("nonsense", {}, 8),
    ],
)
def test_the_smallest_limit_counts(granted, own, limits, expected):
    granted(own, **limits)
    assert resources.cores() == expected


def test_slurm_and_affinity_limit_too(granted, monkeypatch):
    granted("0::/", cpu_max="600000 100000")
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "4")
    assert resources.cores() == 4
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {5}, raising=False)
    assert resources.cores() == 1


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("0,1", ("0", "1")),
        ("", ()),
        ("-1", ()),
        ("2,-1,3", ("2",)),
        ("MIG-1234, GPU-5", ("MIG-1234", "GPU-5")),
        ("NoDevFiles", ()),
        ("0,none,1", ("0",)),
    ],
)
def test_gpus_are_those_that_cuda_is_told(monkeypatch, given, expected):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    resources.gpus.cache_clear()
    assert resources.gpus() == expected
    resources.gpus.cache_clear()


def test_gpus_are_otherwise_those_that_the_driver_lists(monkeypatch, tmp_path):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    resources.gpus.cache_clear()
    assert resources.gpus() == ()
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho 0\necho 1\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    resources.gpus.cache_clear()
    assert resources.gpus() == ("0", "1")
    resources.gpus.cache_clear()


def test_jobs_share_the_cores(monkeypatch):
    for name in resources.THREADS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    found = resources.share(8, 3)
    assert "OMP_NUM_THREADS" not in found
    assert {*found.values()} == {"2"}
    assert {*resources.share(2, 8).values()} == {"1"}
