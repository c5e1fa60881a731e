"""The config files: where they are, and which groups and options they make."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from genexp.blocks import BLOCKS, combinations

#: Inside the installed package, or beside it in a checkout.
CONF_DIR = next(d for d in (Path(__file__).parents[1] / "conf", Path(__file__).parents[2] / "conf") if d.is_dir())

#: The group whose options are made of the table of feature blocks, not of files.
BLOCK_GROUP = "data"


@cache
def load(path: Path) -> Any:
    """Return the content of a config file of the package; an empty mapping where there is none."""
    return yaml.safe_load(path.read_text(encoding="utf-8")) or {} if path.is_file() else {}


def _defaults(path: Path) -> list[tuple[str, str | None]]:
    """Return the defaults list of a file as pairs of group and option; an included file has no group."""
    entries = [entry for entry in load(path).get("defaults", []) if entry != "_self_"]
    return [pair for entry in entries for pair in (entry.items() if isinstance(entry, dict) else [("", entry)])]


def default_options(command: str) -> dict[str, str | None]:
    """Return the groups of a command in the order of its defaults list, each with the option taken by default."""
    pairs = _defaults(CONF_DIR / f"{command}.yaml")
    return {group: option for group, option in pairs if group and not group.startswith(("override ", "optional "))}


def included_files(command: str) -> list[Path]:
    """Return the files that a command's config includes, in conf/base/."""
    return [CONF_DIR / f"{file}.yaml" for group, file in _defaults(CONF_DIR / f"{command}.yaml") if not group]


def groups(command: str, config_dir: str | None = None) -> dict[str, list[str]]:
    """Return the groups of a command with their options: block combinations, or files, also of the user's own."""
    roots = [CONF_DIR, *([Path(config_dir)] if config_dir else [])]
    found = {g: {path.stem for root in roots for path in (root / g).glob("*.yaml")} for g in default_options(command)}
    return {g: [*(combinations() if g == BLOCK_GROUP else ()), *sorted(options)] for g, options in found.items()}


def chosen_options(command: str, words: Mapping[str, str]) -> dict[str, str | None]:
    """Return the option of each group under some ``group=option`` words, also those that a packaged preset chooses.

    Hydra answers the same exactly and slowly; this is for help and completion.
    """
    preset = _defaults(CONF_DIR / "experiment" / f"{words.get('experiment')}.yaml")
    chosen = default_options(command) | {key.removeprefix("override /"): option for key, option in preset}
    chosen |= {group: option for group, option in words.items() if group in chosen}
    return {
        group: chosen[option[2:-1]] if option and option[:2] == "${" else option for group, option in chosen.items()
    }


def option_files(group: str, option: str) -> Iterator[Path]:
    """Yield the files that an option is made of: those that its defaults list names, then its own."""
    path = CONF_DIR / group / f"{option}.yaml"
    for other, file in _defaults(path):
        if not other:
            yield from option_files(group, str(file))
    if path.is_file():
        yield path


def block_options() -> dict[str, str]:
    """Return every option of the block group with what it means in words."""
    return {name: ", ".join(BLOCKS[letter].title for letter in name) for name in combinations()}
