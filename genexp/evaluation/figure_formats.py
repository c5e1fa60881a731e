"""The file formats of figures. This file imports no matplotlib, so that configs can name them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator

from genexp.errors import UserError
from genexp.schema import OneOf, listed_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Formats of figures, with what keeps dates and versions out of the file.
FIGURES: dict[str, dict[str, None]] = {
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "svg": {"Date": None},
}

_Format = Annotated[str, OneOf(tuple(FIGURES))]
#: One format or a list of them; an empty list draws nothing.
Formats = Annotated[
    list[_Format],
    BeforeValidator(listed_text, json_schema_input_type=_Format | list[_Format]),
]

#: Text as text, names with $ included, in fonts that journals and editors of figures can read; the same data give the
#: same bytes.
VECTOR_STYLE: dict[str, Any] = {
    "text.parse_math": False,
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "svg.hashsalt": "genexp",
}


def known(formats: str | Sequence[str]) -> list[str]:
    """Return one format, or several, as a list; raise a UserError for one that is none of `FIGURES`."""
    found = [formats] if isinstance(formats, str) else list(formats)
    if set(found) - set(FIGURES):
        raise UserError("these are no formats of figures", expected=f"of {', '.join(FIGURES)}", received=formats)
    return found


def encoded(figure: Figure, suffix: str) -> bytes:
    """Return a figure as a file of one of `FIGURES`."""
    from io import BytesIO

    file = BytesIO()
    figure.savefig(file, format=suffix, metadata=FIGURES[suffix])
    return file.getvalue()
