"""The errors in the files of a dataset, by family."""

from __future__ import annotations

from genexp.errors import UserError

FOR_BASES = "A=0 C=1 G=2 T=3 N=4"


def wrong(what: str, where: object, expected: object, received: object, hint: str) -> UserError:
    """Return the error for values, shapes or settings that are not as they should be."""
    return UserError(what, where=where, expected=expected, received=received, hint=hint)


def misnumbered(numbering: str, where: object) -> UserError:
    """Return the error for bases that are numbered in another way."""
    what = f"the bases seem to be numbered {'from 1' if 'A=1' in numbering else 'in another way'}"
    return wrong(what, where, FOR_BASES, numbering, f"write the tokens as {FOR_BASES}")


def unlike(what: str, where: object, expected: object, received: object = None) -> UserError:
    """Return the error for files that do not belong together."""
    return wrong(what, where, expected, received, "use files that were written together")


def damaged(what: str, where: object, received: object = None) -> UserError:
    """Return the error for a file that cannot be read as it is."""
    return wrong(what, where, None, received, "copy or download the file again, or write it again")
