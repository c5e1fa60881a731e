"""``genexp schema``: the keys of a command as JSON Schema, for editors and documentation."""

from __future__ import annotations

import json
from collections.abc import Sequence

from genexp import commands
from genexp.errors import UserError

ORDER = 90

EXAMPLES = (
    ("genexp schema train", "every key of genexp train with its type and limits"),
    ("genexp schema train model > model.json", "what a file of conf/model may hold"),
    ("genexp schema prepare", "the same of another command"),
)


def run_words(words: Sequence[str]) -> int:
    """Print the JSON Schema of a command's config, or of one of its groups."""
    from genexp.config.json_schema import json_schema

    known = [name for name in commands.summaries() if hasattr(commands.load(name), "Config")]
    if not words or words[0] not in known or len(words) > 2:
        expected = f"genexp schema COMMAND [GROUP], COMMAND one of {', '.join(known)}"
        raise UserError("schema needs a command", expected=expected, received=" ".join(words) or None)
    print(json.dumps(json_schema(commands.load(words[0]).Config, *words[1:]), indent=2))  # noqa: T201
    return 0
