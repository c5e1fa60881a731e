"""``genexp schema``: the keys of a command as JSON Schema, for editors and documentation."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from genexp import commands
from genexp.errors import UserError
from genexp.files import write_atomically

ORDER = 90

EXAMPLES = (
    ("genexp schema train", "every key of genexp train with its type and limits"),
    ("genexp schema train model > model.json", "the keys of one group"),
    ("genexp schema write conf/schema", "what the files in conf/ refer to, for editors that check YAML"),
)


def run_words(words: Sequence[str]) -> int:
    """Print the JSON Schema of a command's config or of one of its groups, or write those of all files in conf/."""
    from genexp.config.json_schema import json_schema

    known = [name for name in commands.summaries() if hasattr(commands.load(name), "Config")]
    if len(words) == 2 and words[0] == "write":
        for name, content in files().items():
            write_atomically(Path(words[1]) / name, content)
        return 0
    if not words or words[0] not in known or len(words) > 2:
        expected = f"one of {', '.join(known)}, and perhaps a group"
        raise UserError("schema needs a command", expected=expected, received=" ".join(words) or None)
    print(json.dumps(json_schema(commands.load(words[0]).Config, *words[1:]), indent=2))  # noqa: T201
    return 0


def files() -> dict[str, str]:
    """Return the content of each file in conf/schema/: one per command, and those of groups with files of their own."""
    from genexp.config.json_schema import json_schema
    from genexp.training.auto import Table

    found = {}
    for name in commands.summaries():
        module = commands.load(name)
        if hasattr(module, "Config"):
            found[name] = json_schema(module.Config, partial=True)
    train = commands.load("train").Config
    found |= {group: json_schema(train, group, partial=True) for group in ("dataset", "hardware")}
    found["settings"] = json_schema(Table)
    return {f"{name}.json": json.dumps(content, indent=1) + "\n" for name, content in found.items()}
