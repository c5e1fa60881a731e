"""What is recorded of how a run was made, and reading it back."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

from genexp.errors import UserError
from genexp.run.paths import RunDirectory
from genexp.version import __version__

#: Version of the files in a run directory; later versions of genexp keep opening earlier formats.
FORMAT = 1

STATUSES = ("completed", "interrupted", "collapsed", "failed")
HISTORY_COLUMNS = ("epoch", "loss", "val_loss", "val_r2", "lr", "seconds", "val_seconds")
PACKAGES = (
    *("tensorflow", "keras", "numpy", "scipy", "h5py", "pydantic", "hydra-core", "omegaconf", "gensim"),
    *("matplotlib", "rich"),
)


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

    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=False)
        except FileNotFoundError:
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    commit = git("rev-parse", "HEAD")
    if not commit:
        return None
    return {"commit": commit, "dirty": bool(git("status", "--porcelain", "--untracked-files=no"))}


def read_metrics(run: RunDirectory) -> dict[str, Any] | None:
    """Return the content of metrics.json, or None when the run has written none."""
    return _read_json(run.metrics) if run.metrics.is_file() else None


def read_environment(run: RunDirectory) -> dict[str, Any]:
    """Return the content of environment.json, which holds ``dataset``, the description of the run's dataset.

    Raises
    ------
    UserError
        If it is missing, damaged, or of a format that this version does not know.
    """
    found = _read_json(run.environment)
    if found.get("format") not in range(1, FORMAT + 1):
        expected, received = f"format {FORMAT} or earlier", f"format {found.get('format')}"
        hint = "open the run with the version of genexp that wrote it, or a later one"
        what, where = "this run has an unknown format", run.environment
        raise UserError(what, where=where, expected=expected, received=received, hint=hint)
    if not isinstance(found.get("dataset"), dict):
        raise _damaged(run.environment, "no record of the dataset")
    return found


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _damaged(path, f"{type(error).__name__}: {error}") from None
    if not isinstance(found, dict):
        raise _damaged(path, f"a {type(found).__name__}")
    return found


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the content of config.yaml.

    Raises
    ------
    UserError
        If it is no YAML, or names objects to be made (tags).
    """
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        raise _damaged(path, f"{type(error).__name__}: {' '.join(str(error).split())[:200]}") from None
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise _damaged(path, "no group of keys")
    return found


def _damaged(path: Path, reason: str) -> UserError:
    hint = "copy the run directory again, or train again"
    return UserError("a file of the run directory cannot be read", where=path, received=reason, hint=hint)
