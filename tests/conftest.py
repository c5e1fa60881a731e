"""Fixtures for all tests: small file sets in the published layouts, and the real command line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import settings

# A test machine is busy: what takes long there says nothing about the code.
settings.register_profile("genexp", deadline=None)
settings.load_profile("genexp")

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# Tests look for parts of lines; tests/test_console.py checks that lines wrap at 80 columns.
os.environ["COLUMNS"] = "1000"

# Tests that were started as a shell's background job ignore Ctrl-C, and so would the processes they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

PROMOTER = 400
SPLIT_SIZES = {"train": 96, "valid": 32, "test": 32}


def write_xpresso_set(root: Path, *, length: int = PROMOTER, tf: int = 0, n_every: int = 0, seed: int = 0) -> Path:
    """Write a set in Xpresso's layout whose labels follow from the GC content, one half-life feature and the TFs."""
    rng = np.random.default_rng(seed)
    root.mkdir(parents=True, exist_ok=True)
    first = 0
    for split, genes in SPLIT_SIZES.items():
        tokens = np.where(
            rng.random((genes, length)) < rng.uniform(0.2, 0.8, (genes, 1)),
            rng.integers(1, 3, (genes, length)),
            rng.choice([0, 3], (genes, length)),
        )
        one_hot = np.eye(5, 4, dtype=bool)[tokens]
        if n_every:
            one_hot[::n_every, length // 2] = False
        halflife = rng.normal(size=(genes, 8))
        factors = (rng.random((genes, tf)) < 0.3).astype(np.int64)
        gc = ((tokens == 1) | (tokens == 2)).mean(axis=1)
        label = 4 * (gc - 0.5) + 0.5 * halflife[:, 0] + factors[:, :2].sum(axis=1)
        label = (label - label.mean()) / label.std()
        names = [f"GENE{first + n:05}".encode() for n in range(genes)]
        first += genes
        name = {"valid": "validation"}.get(split, split) + "_tf" if tf else split
        with h5py.File(root / f"{name}.h5", "w") as file:
            file["promoter"] = one_hot
            file["halflife" if tf else "data"] = halflife
            file["label"] = label
            file["gene" if tf else "geneName"] = names
            if tf:
                file["tf"] = factors
    return root


@pytest.fixture(scope="session")
def xpresso_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in Xpresso's layout: 96 / 32 / 32 genes, promoters of 400 nt; not to be written to."""
    return write_xpresso_set(tmp_path_factory.mktemp("xpresso"))


@pytest.fixture
def genexp() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the real command line in a process of its own: ``genexp("train", "model=xpresso", cwd=...)``."""

    def run(*words: str, cwd: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "genexp", *words],
            cwd=cwd,
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run


#: Settings that make a run of seconds on `xpresso_root`.
QUICK = (
    "training.epochs=3",
    "training.batch_size=32",
    "training.learning_rate=0.01",
    "model.pools=[10,4]",
    "model.filters=[8,4]",
    "hardware=cpu",
)
