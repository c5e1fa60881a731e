"""A finished study as an object: the best settings, the trials, and the runs of the best settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from genexp.errors import UserError
from genexp.files import damage_reported, in_short
from genexp.run import read_json, unreadable

if TYPE_CHECKING:
    import pandas as pd

    from genexp.api.results import Runs


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
        if not (self.path / "study.json").is_file():
            hint = "give the command of the study again: it continues"
            raise UserError("this directory holds no study with a result", where=self.path, hint=hint)

    def __repr__(self) -> str:
        return f"Study({str(self.path)!r})"

    @property
    def results(self) -> dict[str, Any]:
        """The content of study.json."""
        return read_json(self.path / "study.json")

    @property
    def best(self) -> dict[str, Any]:
        """The best settings, by dotted key."""
        found: dict[str, Any] = self.results["best"]["settings"]
        return found

    @property
    def trials(self) -> pd.DataFrame:
        """The content of trials.csv: a row per trial with its state, value and settings."""
        import pandas as pd

        path = self.path / "trials.csv"
        with damage_reported(lambda error: unreadable(path, in_short(error))):
            return pd.read_csv(path)

    @property
    def winner(self) -> Runs:
        """The runs of the best settings, which were tested."""
        from genexp.api.results import Runs  # imports SciPy

        return Runs(self.path / f"winner-{self.results['best']['trial']:04}")
