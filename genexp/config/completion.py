"""The words that can stand at the end of a command line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from genexp.config.conf import chosen_options, groups
from genexp.config.keys import fields, is_path
from genexp.schema import Schema


def candidates(command: str, schema: type[Schema], words: Sequence[str]) -> list[str]:
    """Return the words that can complete the last of `words`, which stand behind the command and may be empty."""
    current = words[-1]
    options = groups(command)
    typed = dict(word.split("=", 1) for word in words[:-1] if "=" in word)
    keys = dict(fields(schema, chosen_options(command, typed)))
    if "=" in current:
        key, _, value = current.partition("=")
        if key in options:
            return [f"{key}={option}" for option in options[key] if option.startswith(value)]
        return list(_paths(key, value)) if key in keys and is_path(keys[key]) else []
    names = [*(f"{group}=" for group in options), *(f"{key}=" for key in keys)]
    return sorted({name for name in names if name.startswith(current)})


def _paths(key: str, value: str) -> Iterator[str]:
    head, _, start = value.rpartition("/")
    folder = Path(value[: len(head) + 1] or ".").expanduser()
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.name.startswith(start) and not path.name.startswith("."):
            yield f"{key}={value[: len(value) - len(start)]}{path.name}{'/' if path.is_dir() else ''}"
