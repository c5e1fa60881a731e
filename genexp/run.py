"""The run directory: its paths, its exclusive creation, its lock, and its record."""

from __future__ import annotations

import csv
import json
import os
import secrets
import shlex
import shutil
import string
import subprocess
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zipfile import ZipFile

import yaml
from pydantic import BaseModel, ConfigDict, Field

from genexp.errors import UserError
from genexp.files import damage_reported, in_short, lock, why_not_writable
from genexp.version import __version__

if TYPE_CHECKING:
    import pandas as pd

#: Version of the files in a run directory; later versions of genexp keep opening earlier formats.
FORMAT = 1

#: The record of a sweep, in its directory.
SWEEP = "sweep.yaml"
#: What a run or a sweep writes; a directory with any of it is taken.
CONTENT = (
    *(".hydra", "config.yaml", "environment.json", "train.log", "history.csv", "checkpoints", "metrics.json"),
    *("predictions.csv", "baselines.csv", "plots", "embedding", "training_genes.npz", "training_features.csv"),
    *("tensorboard", "multirun.yaml", SWEEP),
)
#: What may be left of a process that died before it wrote config.yaml; a directory with nothing else is free.
JOB_LOG = "job.log"
LEFT_BEHIND = (".hydra", "train.log", JOB_LOG)
CHECKPOINTS = ("best", "last")
#: The one model of a folder that ``genexp export format=hub`` wrote.
EXPORTED = "model.keras"
#: The splits that metrics.json reports; training genes say nothing about new ones.
HELD_OUT = ("valid", "test")
HISTORY_COLUMNS = ("epoch", "loss", "val_loss", "val_r2", "lr", "seconds", "val_seconds")
PACKAGES = (
    *("tensorflow", "keras", "numpy", "scipy", "scikit-learn", "h5py", "pydantic", "hydra-core", "omegaconf"),
    *("gensim", "matplotlib", "rich"),
)

#: Replaced, at the end of a directory's name, by four characters that no other run has.
TOKEN = "XXXX"
#: The status, among others, of a run that cannot be read, or whose place is taken.
UNUSABLE = "unusable"
COPY_AGAIN = "copy the run directory again, or train again"
UNREADABLE = "a file of the run directory cannot be read"


class SplitMetrics(BaseModel):
    """What metrics.json must say of one split, beside other metrics."""

    model_config = ConfigDict(extra="allow", strict=True)
    __pydantic_extra__: dict[str, float | list[float] | dict[str, Any]]

    r2: float
    mse: float = 0.0
    r2_ci95: Annotated[list[float], Field(min_length=2, max_length=2)] = [0.0, 1.0]
    labels: dict[str, SplitMetrics] = {}


class BaselineResults(BaseModel):
    """What metrics.json must say of a baseline."""

    model_config = ConfigDict(extra="allow", strict=True)

    name: str
    data: str
    best: dict[str, SplitMetrics]


class Results(BaseModel):
    """What is read from metrics.json: of a run, or of an evaluation, which has no status."""

    model_config = ConfigDict(extra="allow", strict=True)

    status: str = ""
    run_dir: str = ""
    best: dict[str, SplitMetrics] = {}
    last: dict[str, SplitMetrics] = {}
    baselines: list[BaselineResults] = []
    former: Results | None = None


@dataclass(frozen=True)
class RunDirectory:
    """The paths of one run."""

    path: Path

    config = property(lambda self: self.path / "config.yaml")
    environment = property(lambda self: self.path / "environment.json")
    log = property(lambda self: self.path / "train.log")
    history = property(lambda self: self.path / "history.csv")
    metrics = property(lambda self: self.path / "metrics.json")
    predictions = property(lambda self: self.path / "predictions.csv")
    baselines = property(lambda self: self.path / "baselines.csv")
    plots = property(lambda self: self.path / "plots")
    checkpoints = property(lambda self: self.path / "checkpoints")
    training_genes = property(lambda self: self.path / "training_genes.npz")
    training_features = property(lambda self: self.path / "training_features.csv")
    state = property(lambda self: self.path / "checkpoints" / "state" / "state.npz")
    vectors = property(lambda self: self.path / "embedding" / "vectors.npz")
    tensorboard = property(lambda self: self.path / "tensorboard")

    def checkpoint(self, name: str) -> Path:
        """Return the path of the ``best`` or ``last`` model; an exported folder holds the best alone."""
        own, exported = self.path / "checkpoints" / f"{name}.keras", self.path / EXPORTED
        return exported if name == "best" and not own.is_file() and exported.is_file() else own


def make_directory(wanted: str | Path) -> Path:
    """Make a directory, with `TOKEN` at the end of its name replaced so that it is new; return its whole path."""
    name = str(wanted)
    try:
        if not name.endswith(TOKEN):
            Path(name).mkdir(parents=True, exist_ok=True)
            return Path(name).resolve()
        stem = name.removesuffix(TOKEN)
        Path(stem).parent.mkdir(parents=True, exist_ok=True)
        while True:
            path = Path(stem + "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in TOKEN))
            try:
                path.mkdir()
            except FileExistsError:
                continue
            return path.resolve()
    except OSError as error:
        raise _not_writable(wanted, str(error.strerror)) from None


@contextmanager
def created(wanted: str | Path) -> Iterator[RunDirectory]:
    """Make a new run directory and be its `sole_writer`; an existing one may hold no run."""
    check_free(wanted)
    left_behind = (Path(wanted) / ".hydra").exists()
    run = RunDirectory(make_directory(wanted))
    with sole_writer(run):
        try:
            # Of several jobs that want the same directory, one gets it: also without locks.
            (run.path / ".hydra").mkdir()
        except FileExistsError:
            if not left_behind or not _is_free(run.path):
                raise _occupied(run.path) from None
        yield run


@contextmanager
def created_whole(wanted: str | Path) -> Iterator[RunDirectory]:
    """Make a new run directory as `created` does; an error or an interrupt removes what is in it."""
    with created(wanted) as run:
        try:
            yield run
        except BaseException:
            for path in (run.path / name for name in CONTENT):
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)
            with suppress(OSError):  # it may hold what is not ours
                run.path.rmdir()
            raise


def check_free(wanted: str | Path) -> None:
    """Raise a UserError if a directory holds a run already or cannot be made."""
    path = Path(wanted)
    if path.exists() and not path.is_dir():
        raise UserError("the run directory is a file", where=wanted, expected="a new or empty directory")
    if not _is_free(path) or is_being_written(RunDirectory(path)):
        raise _occupied(path)
    check_writable(wanted)


def check_writable(wanted: str | Path, kind: str = "run", key: str = "hydra.run.dir") -> None:
    """Raise a UserError if a directory cannot be made or written; `key` is the config key that names it."""
    if reason := why_not_writable(Path(wanted)):
        raise _not_writable(wanted, reason, kind, key)


def _is_free(path: Path) -> bool:
    """Tell whether a directory, which need not exist, holds nothing of a run, or only what is `LEFT_BEHIND`."""
    there = {name for name in CONTENT if (path / name).exists()}
    return not there or (there <= {*LEFT_BEHIND} and all(entry.name in LEFT_BEHIND for entry in path.iterdir()))


def _not_writable(wanted: str | Path, reason: str, kind: str = "run", key: str = "hydra.run.dir") -> UserError:
    hint = f"choose a directory that can be written with {key}=..."
    return UserError(f"the {kind} directory cannot be made", where=wanted, received=reason, hint=hint)


def _occupied(path: Path) -> UserError:
    found = ", ".join(sorted(p.name for p in path.iterdir())[:6])
    run, kind = RunDirectory(path), "sweep" if (path / SWEEP).is_file() else "run"
    resume = f"resume the {kind} ({resume_command(path)}), " * (run.config.is_file() or kind == "sweep")
    hint = f"choose another directory, {resume}or delete it first"
    if run.metrics.is_file() and '"imported"' in run.metrics.read_text("utf-8", "replace"):
        hint = "choose another directory (name=... of genexp import), or delete it first"
    if is_being_written(run):
        found, hint = f"{found}; a process is writing it", "choose another directory, or wait until that run ends"
    what = f"this directory holds a {kind} already; it is not overwritten"
    return UserError(what, where=path, expected="a new or empty directory", received=found, hint=hint)


def find_run(directory: str | Path, key: str = "run_dir") -> RunDirectory:
    """Return the run in a directory, which the user named with config key `key`."""
    run = RunDirectory(Path(directory).expanduser().resolve())
    if not run.config.is_file():
        found = "a directory without config.yaml" if run.path.is_dir() else "no such directory"
        found = "a file" if run.path.is_file() else found
        hint = "runs are written to outputs/DATE/TIME-MODEL-DATA-XXXX unless hydra.run.dir says otherwise"
        if (run.path / "multirun.yaml").is_file():
            found = "a sweep of an earlier version"
            hint = f"give the command of the sweep again, with hydra.sweep.dir={run.path}"
        elif inside := runs_inside(run.path):
            what = f"this directory holds {'several runs' if len(inside) > 1 else 'a run'}, and is none itself"
            hint = f"name one of them: {key}={shlex.quote(str(inside[0]))}"
            raise UserError(what, where=f"{key}={directory}", hint=hint)
        elif (run.path / SWEEP).is_file():
            raise no_run_yet(run.path, f"{key}={directory}")
        raise UserError("this is not a run directory", where=f"{key}={directory}", received=found, hint=hint)
    return run


def no_run_yet(sweep: Path, where: str) -> UserError:
    """Return the error for a sweep none of whose jobs has begun."""
    return UserError("this sweep has no run yet", where=where, hint=resume_command(sweep))


def runs_inside(place: Path) -> list[Path]:
    """Return the run directories that lie up to two levels below a directory, such as that of a sweep."""
    found = (path.parent for level in ("*", "*/*") for path in place.glob(f"{level}/config.yaml"))
    return sorted(path for path in found if path.name != ".hydra")


def check_checkpoint(run: RunDirectory, name: str) -> None:
    """Raise a UserError if a checkpoint is missing or, as far as its checksums tell, damaged; needs no Keras."""
    path = run.checkpoint(name)
    if not path.is_file():
        others = [other for other in CHECKPOINTS if run.checkpoint(other).is_file()]
        status = (read_metrics(run) or {}).get("status", "not finished")
        hint = COPY_AGAIN if status == "completed" else resume_command(run.path)
        hint = f"use checkpoint={others[0]}, or {hint}" if others else hint
        received = f"status of the run: {status}; checkpoints: {', '.join(others) or 'none'}"
        raise UserError(f"the run has no {name} checkpoint", where=path, received=received, hint=hint)
    with damage_reported(lambda error: unreadable_checkpoint(path, in_short(error))), ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged:
        raise unreadable_checkpoint(path, f"{damaged} inside it is damaged")


def unreadable_checkpoint(path: Path, reason: str) -> UserError:
    """Return the error for a checkpoint that exists and cannot be opened."""
    return UserError("the checkpoint cannot be read", where=path, received=reason, hint=COPY_AGAIN)


def resume_command(path: Path | str) -> str:
    """Return the command that resumes a run, as it can be pasted into a shell."""
    return f"genexp train resume={shlex.quote(str(path))}"


@contextmanager
def sole_writer(run: RunDirectory) -> Iterator[RunDirectory]:
    """Hold a lock on the log of a run, which ends with the process; raise a UserError if another process has it."""
    with run.log.open("a", encoding="utf-8") as file:
        if not lock(file):
            raise busy(run)
        yield run


def busy(run: RunDirectory) -> UserError:
    """Return the error for a run that another process is writing."""
    hint = "wait until that process ends, or stop it first"
    return UserError("another process is writing this run", where=run.path, hint=hint)


def is_being_written(run: RunDirectory) -> bool:
    """Tell whether a process is writing the run."""
    if not run.log.is_file() or not os.access(run.log, os.W_OK):
        return False
    try:
        with sole_writer(run):
            return False
    except UserError:
        return True


def provenance(command: str, seed: int, dataset: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """Return the content of environment.json: how, where and with what a run was made."""
    return {
        "format": FORMAT,
        "command": command,
        "directory": str(Path.cwd()),
        "packages": package_versions(),
        "git": git_state(Path(__file__).parent),
        **more,
        "seed": seed,
        "dataset": dict(dataset),
    }


def package_versions() -> dict[str, str]:
    """Return the versions of Python, genexp and what it builds on."""
    found = {"python": sys.version.split()[0], "genexp": __version__}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def git_state(folder: Path) -> dict[str, Any] | None:
    """Return commit and dirty flag of the checkout that holds `folder`, or None outside one."""

    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=True).stdout

    try:
        commit = git("rev-parse", "HEAD").strip()
        return {"commit": commit, "dirty": bool(git("status", "--porcelain", "--untracked-files=no").strip())}
    except (OSError, subprocess.CalledProcessError):
        return None


def read_metrics(run: RunDirectory) -> dict[str, Any] | None:
    """Return the content of metrics.json, or None when the run has written none."""
    found = read_json(run.metrics) if run.metrics.is_file() else None
    with damage_reported(lambda error: unreadable(run.metrics, in_short(error))):
        Results.model_validate(found or {})
    return found


def read_environment(run: RunDirectory) -> dict[str, Any]:
    """Return the content of environment.json, which holds ``dataset``, the description of the run's dataset."""
    found = read_json(run.environment)
    if found.get("format") not in range(1, FORMAT + 1):
        expected, received = f"format {FORMAT} or earlier", f"format {found.get('format')}"
        hint = "open the run with the version of genexp that wrote it, or a later one"
        what, where = "this run has an unknown format", run.environment
        raise UserError(what, where=where, expected=expected, received=received, hint=hint)
    if not isinstance(found.get("dataset"), dict):
        raise unreadable(run.environment, "no record of the dataset")
    return found


def read_json(path: Path) -> dict[str, Any]:
    """Return the content of a JSON file that holds a group of keys."""
    with damage_reported(lambda error: unreadable(path, in_short(error))):
        found = _printable(json.loads(path.read_text(encoding="utf-8")))
    if not isinstance(found, dict):
        raise unreadable(path, f"a {type(found).__name__}")
    return found


def _printable(content: Any) -> Any:
    """Return plain values after a check that they can be written; half of a surrogate pair, say, cannot."""
    json.dumps(content, ensure_ascii=False, default=str).encode("utf-8")
    return content


def read_table(path: Path, names: Collection[str] | None = ("gene", "split"), separator: str = ",") -> pd.DataFrame:
    """Return a table of a run or its dataset.

    Columns of `names`, None for all, are text, in which ``NA`` or ``nan`` is a name like another.
    """
    import pandas as pd

    with damage_reported(lambda error: unreadable(path, in_short(error))):
        columns = list(map(str, pd.read_csv(path, sep=separator, nrows=0).columns))
        text = dict.fromkeys(columns if names is None else names, str)
        missing = {column: ("nan", "") for column in columns if column not in text}
        table: pd.DataFrame = pd.read_csv(path, sep=separator, dtype=text, keep_default_na=False, na_values=missing)
    return table


def read_epochs(run: RunDirectory) -> list[dict[str, float]]:
    """Return the rows of history.csv, with Python's own errors where the file is missing or damaged."""
    with run.history.open(encoding="utf-8", newline="") as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


def seconds_of(epochs: Iterable[Mapping[str, float]]) -> float:
    """Return the time that epochs of a history have taken, with their validation."""
    return sum(row["seconds"] + row["val_seconds"] for row in epochs)


class PlainLoader(yaml.SafeLoader):
    """YAML of plain values: no objects to be made (tags), and no references, which can stand for any size."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Refuse a reference to another node."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("a reference (*) is not allowed")
        return super().compose_node(parent, index)


def read_yaml(path: Path) -> Any:
    """Return the content of a YAML file of a run; raise a UserError if it is none of plain values."""
    with damage_reported(lambda error: unreadable(path, in_short(error)), yaml.YAMLError):
        return _printable(yaml.load(path.read_text(encoding="utf-8"), PlainLoader))


def read_config_yaml(run: RunDirectory) -> dict[str, Any]:
    """Return the content of config.yaml."""
    found = read_yaml(run.config)
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise unreadable(run.config, "no group of keys")
    return found


def read_overrides(directory: Path) -> list[str]:
    """Return the overrides that a run was started with, as ``.hydra/`` holds them; none where that is missing."""
    path = directory / ".hydra" / "overrides.yaml"
    found = (read_yaml(path) or []) if path.is_file() else []
    if not isinstance(found, list) or not all(isinstance(word, str) for word in found):
        raise unreadable(path, "no list of overrides")
    return found


def died_early(directory: str | Path) -> list[str] | None:
    """Return the overrides of a run whose process died before it wrote config.yaml; None of any other directory."""
    path = Path(directory).expanduser()
    run = RunDirectory(path)
    dead = path.is_dir() and any(path.iterdir()) and _is_free(path) and not is_being_written(run)
    return read_overrides(path) or None if dead else None


def unreadable(path: Path, reason: str) -> UserError:
    """Return the error for a damaged file of a run directory."""
    return UserError(UNREADABLE, where=path, received=reason, hint=COPY_AGAIN)


def damage(error: UserError) -> str:
    """Return in short, as the status of a run among others, why it cannot be read."""
    reason = error.received if error.what == UNREADABLE else error.what.splitlines()[0]
    return f"cannot be read ({Path(str(error.where)).name}: {reason})" if error.where else f"cannot be read ({reason})"
