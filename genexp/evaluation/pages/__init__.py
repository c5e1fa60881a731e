"""Pages made from plain values by the templates of this folder: the report and the card of an exported model."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape


def render(template: str, **content: Any) -> str:
    """Return a page; in HTML all text is escaped, in Markdown by the filter ``plain``.

    A name that the content lacks is an error.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["plain"] = lambda text: re.sub(r"([\\`*<>|\[\]])", r"\\\1", text)
    return environment.get_template(template).render(content)
