"""A finished study as an object: the best settings, the trials, and the runs of the best settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from genexp.errors import UserError
from genexp.run import read_json, read_table

if TYPE_CHECKING:
    import pandas as pd

    from genexp.api.results import Runs


#: Files of a finished study.
TRIALS, RESULTS = "trials.csv", "study.json"


def winner(trial: int | str) -> str:
    """Return the name of the folder with the runs of the settings of a trial, which were tested."""
    return f"winner-{trial:0>4}"


class Study:
    """A study directory, which `genexp.tune` or ``genexp tune`` wrote.

    Parameters
    ----------
    path
        The directory.

    Raises
    ------
    UserError
        If it holds no study with a result.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser().resolve()
        if not (self.path / RESULTS).is_file():
            hint = "give the command of the study again: it continues"
            raise UserError("this directory holds no study with a result", where=self.path, hint=hint)

    def __repr__(self) -> str:
        return f"Study({str(self.path)!r})"

    @property
    def results(self) -> dict[str, Any]:
        """The content of study.json."""
        return read_json(self.path / RESULTS)

    @property
    def best(self) -> dict[str, Any]:
        """The best settings, by dotted key."""
        found: dict[str, Any] = self.results["best"]["settings"]
        return found

    @property
    def trials(self) -> pd.DataFrame:
        """The content of trials.csv: a row per trial with its state, value and settings."""
        return read_table(self.path / TRIALS)

    @property
    def winner(self) -> Runs:
        """The runs of the best settings, which were tested."""
        from genexp.api.results import Runs  # imports SciPy

        return Runs(self.path / winner(self.results["best"]["trial"]))
