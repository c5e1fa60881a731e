"""The one exception for every error that a user can correct."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """An error in a config, a file or the hardware asked for; a command ends with exit code 2.

    Parameters
    ----------
    what
        One sentence: what is wrong.
    where
        The file, key, row or setting that holds the error.
    expected, received
        What would have been right, and what was found instead.
    hint
        What the user can do about it.

    Notes
    -----
    A part that would repeat another is left out.
    """

    def __init__(
        self,
        what: str,
        *,
        where: object = None,
        expected: object = None,
        received: object = None,
        hint: str | None = None,
        do: str | None = None,
    ) -> None:
        self.what, self.where, self.received = what, where, received
        parts = {"where": where, "expected": expected, "received": received, "hint": hint or do}
        super().__init__(
            "\n".join([what, *(f"  {name}: {value}" for name, value in parts.items() if value is not None)])
        )


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ``"did you mean 'x'? "`` for the known word most like `word`, or an empty string."""
    match = get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"did you mean '{match[0]}'? " if match else ""
