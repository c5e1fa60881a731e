"""The run directories below what a user names: directories, sweeps of them, and patterns."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator
from pathlib import Path

from genexp import console
from genexp.errors import UserError
from genexp.prepare.opening import few
from genexp.run import LEFT_BEHIND, SWEEP, no_run_yet


def find_runs(named: str | Path | Iterable[str | Path], key: str = "runs") -> tuple[list[Path], list[Path]]:
    """Return the run directories below some places, and the directories of runs that ended before they had a config.

    A run that is named twice counts once, with a warning.

    Parameters
    ----------
    named
        A run directory, a directory that holds some at any depth, a pattern (``outputs/*/*-xpresso-*``), or several.
    key
        The config key by which the user named them, for messages.

    Raises
    ------
    UserError
        If a place does not exist or holds no run.
    """
    runs: dict[Path, None] = {}
    begun: dict[Path, None] = {}
    again: list[Path] = []
    for given in [named] if isinstance(named, str | Path) else named:
        places = _places(str(given), key)
        found = [(path, is_run) for place in places for path, is_run in _below(place, set())]
        if not any(is_run for _, is_run in found):
            if waiting := next((place for place in places if (place / SWEEP).is_file()), None):
                raise no_run_yet(waiting, f"{key}={given}")
            expected = "a run directory, or a directory with some in it"
            hint = "runs are written to outputs/DATE/TIME-MODEL-DATA-XXXX unless hydra.run.dir says otherwise"
            what = "there is no run here" if places else "nothing matches this pattern"
            raise UserError(what, where=f"{key}={given}", expected=expected, hint=hint)
        for path, is_run in found:
            again += [path] if path in runs else []
            (runs if is_run else begun)[path] = None
    if again:
        console.warn(f"runs that are named twice, and count once: {few(again, 3)}")
    return list(runs), list(begun)


def _places(given: str, key: str) -> list[Path]:
    """Return the directories that a path or pattern names, in the order of their numbers."""
    path = Path(given).expanduser().absolute()
    if path.exists():
        return [path.resolve()]
    if not glob.has_magic(given):
        raise UserError("this directory does not exist", where=f"{key}={given}")
    matches = Path(path.anchor).glob(str(path.relative_to(path.anchor)))
    shown = (match for match in matches if match.is_dir() and (path.name[0] == "." or match.name[0] != "."))
    return sorted((match.resolve() for match in shown), key=_natural)


def _natural(path: Path) -> tuple[list[tuple[int, str]], ...]:
    """Return a key that sorts numbers at the beginning of names by their value."""
    return tuple([(int(head) if (head := part.split("-")[0]).isdigit() else -1, part)] for part in path.parts)


def _below(place: Path, above: set[Path]) -> Iterator[tuple[Path, bool]]:
    """Yield the run directories at or below a place, and whether each has a config.

    Links are followed, but to none of the directories `above`.
    """
    place = place.resolve()
    if (place / "config.yaml").is_file():
        yield place, True
        return
    if place in above:
        return
    folders = [path for path in place.iterdir() if path.is_dir()] if place.is_dir() else []
    inside = [
        found
        for folder in sorted(folders, key=_natural)
        if not folder.name.startswith(".")
        for found in _below(folder, above | {place})
    ]
    if inside or not any((place / name).exists() for name in LEFT_BEHIND):
        yield from inside
    else:
        yield place, False
