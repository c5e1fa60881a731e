"""Fixtures for all tests: small file sets in the published layouts, finished runs, and the command line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import settings
from unit_rule import unit_tests

from genexp import console

# A test machine is busy: a test that takes long there does not show a defect.
settings.register_profile("genexp", deadline=None)
settings.load_profile("genexp")

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# Tests look for parts of lines; tests/test_console.py checks that lines wrap at 80 columns.
console.PLAIN_WIDTH = 1000
os.environ.pop("COLUMNS", None)  # pytest-xdist sets it

# Tests that were started as a shell's background job ignore Ctrl-C, and so would the processes they start.
signal.signal(signal.SIGINT, signal.default_int_handler)


# --- `pytest -m unit`: see unit_rule.py ---


def is_unit_run(config: pytest.Config) -> bool:
    """Tell whether this is ``pytest -m unit``."""
    return config.option.markexpr == "unit"


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave files without unit tests unread by ``pytest -m unit``."""
    is_test = collection_path.name.startswith("test_") and collection_path.suffix == ".py"
    return True if is_test and is_unit_run(config) and not unit_tests(collection_path) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the unit tests."""
    for item in items:
        name = item.nodeid.split("::")[1].split("[")[0]
        excluded = item.get_closest_marker("integration") or item.get_closest_marker("slow")
        if not excluded and name in unit_tests(item.path):
            item.add_marker(pytest.mark.unit)


class NoTensorFlow:
    """An import hook that holds ``pytest -m unit`` to its rule."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name in ("tensorflow", "keras"):
            pytest.fail(f"a unit test imports {name}: mark it with @pytest.mark.integration")


def pytest_configure(config: pytest.Config) -> None:
    """Refuse to import TensorFlow in ``pytest -m unit``."""
    if is_unit_run(config):
        sys.meta_path.insert(0, NoTensorFlow())


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object | None:
    """Give each worker neighbouring tests, so that the fixtures of a module are made once, not once a worker."""
    if config.option.dist != "load":
        return None
    from xdist.scheduler import WorkStealingScheduling

    return WorkStealingScheduling(config, log)


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache of the session's own, which its workers share."""
    own = tmp_path_factory.getbasetemp()
    os.environ["GENEXP_CACHE"] = str((own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "cache")
    yield
    del os.environ["GENEXP_CACHE"]


# --- datasets ---

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
    """A folder in Xpresso's layout: 96 / 32 / 32 genes, promoters of 400 nt; read-only by agreement."""
    return write_xpresso_set(tmp_path_factory.mktemp("xpresso"))


#: Settings that make a run of seconds on `xpresso_root`.
QUICK = (
    "training.epochs=3",
    "training.batch_size=32",
    "training.learning_rate=0.01",
    "model.pools=[10,4]",
    "model.filters=[8,4]",
    "hardware=cpu",
    "baseline=false",
)


# --- the command line ---

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run the command line in this process: ``cli("train", "model=xpresso", cwd=...)``.

    Takes and returns what `genexp` does, without the seconds that a new process needs. For tests of signals, of
    start-up and of isolation use `genexp`.
    """
    from genexp.cli import main

    def run(*words: str, cwd: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
        capsys.readouterr()
        with monkeypatch.context() as patch:
            if cwd is not None:
                patch.chdir(cwd)
            for name, value in variables.items():
                patch.setenv(name, value)
            code = main(list(words))
        return subprocess.CompletedProcess(words, code, *capsys.readouterr())

    return run


@pytest.fixture
def genexp() -> Command:
    """Run the real command line in a process of its own: ``genexp("train", "model=xpresso", cwd=...)``."""

    def run(*words: str, cwd: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "genexp", *words],
            cwd=cwd,
            env={"COLUMNS": "1000", **os.environ, **variables},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def finished_run(xpresso_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A completed run of three epochs of ``model=xpresso data=PH`` on `xpresso_root`; copy it to change it."""
    from genexp.cli import main

    out = tmp_path_factory.mktemp("runs") / "run"
    words = [
        "train",
        "dataset=xpresso",
        f"dataset.root={xpresso_root}",
        f"hydra.run.dir={out}",
        *QUICK,
        "baseline=true",
    ]
    assert main(words) == 0
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    yield out
    changed = [str(path) for path, content in before.items() if not path.exists() or path.read_bytes() != content]
    assert not changed, f"a test changed the shared run: {changed}"
