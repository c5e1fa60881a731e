"""The one exception for everything that the user can mend."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """A mistake in a config, a file or the hardware asked for; ends the command with exit code 2.

    Parameters
    ----------
    what
        One sentence: what is wrong.
    where
        The file, key, row or setting that holds the mistake; None where `what` is a list of complete messages.
    do
        What the user can do about it; None likewise.
    expected, received
        What would have been right, and what was found instead.
    """

    def __init__(
        self,
        what: str,
        *,
        where: object,
        do: str | None,
        expected: object = None,
        received: object = None,
    ) -> None:
        self.what = what
        parts = {"where": where, "expected": expected, "received": received, "what to do": do}
        lines = [f"  {name}: {value}" for name, value in parts.items() if value is not None]
        super().__init__("\n".join([what, *lines]))


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ``"did you mean 'x'? "`` for the known word most like `word`, or an empty string."""
    match = get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"did you mean '{match[0]}'? " if match else ""
