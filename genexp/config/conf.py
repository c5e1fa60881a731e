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

#: Folders of conf/ that are no groups: their files are chosen by others, never on the command line.
NOT_GROUPS = ("base", "settings", "schema", "hydra")

#: The group whose options are made of the table of feature blocks, not of files.
BLOCK_GROUP = "data"


def has_config(command: str) -> bool:
    """Tell whether a command has a config, ``conf/COMMAND.yaml``."""
    return (CONF_DIR / f"{command}.yaml").is_file()


@cache
def load(path: Path) -> Any:
    """Return the content of a config file of the package."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def default_options(command: str) -> dict[str, str | None]:
    """Return the groups of a command in the order of its defaults list, each with the option taken by default."""
    entries = [entry for entry in load(CONF_DIR / f"{command}.yaml").get("defaults", []) if isinstance(entry, dict)]
    pairs = [pair for entry in entries for pair in entry.items()]
    return {group: option for group, option in pairs if not group.startswith(("override ", "optional "))}


def included_files(command: str) -> list[Path]:
    """Return the files that a command's config includes, in conf/base/."""
    entries = load(CONF_DIR / f"{command}.yaml").get("defaults", [])
    return [CONF_DIR / f"{entry}.yaml" for entry in entries if isinstance(entry, str) and entry != "_self_"]


def options(group: str, config_dir: str | None = None) -> list[str]:
    """Return the options of a group: its files, also those in a folder of the user's own, or block combinations."""
    roots = [CONF_DIR, *([Path(config_dir)] if config_dir else [])]
    found = sorted({path.stem for root in roots for path in (root / group).glob("*.yaml")})
    return [*(combinations() if group == BLOCK_GROUP else ()), *found]


def groups(command: str, config_dir: str | None = None) -> dict[str, list[str]]:
    """Return the groups of a command with their options."""
    return {group: options(group, config_dir) for group in default_options(command)}


def chosen_options(command: str, words: Mapping[str, str]) -> dict[str, str | None]:
    """Return the option of each group under some ``group=option`` words, also those that a packaged preset chooses.

    Hydra answers the same exactly and slowly; this is for help and completion.
    """
    chosen: dict[str, str | None] = {**default_options(command)}
    preset = CONF_DIR / "experiment" / f"{words.get('experiment')}.yaml"
    for entry in load(preset).get("defaults", []) if preset.is_file() else []:
        for key, option in entry.items() if isinstance(entry, dict) else ():
            chosen[key.removeprefix("override /")] = option
    return chosen | {group: option for group, option in words.items() if group in chosen}


def option_files(group: str, option: str) -> Iterator[Path]:
    """Yield the files that an option is made of: those that its defaults list names, then its own."""
    path = CONF_DIR / group / f"{option}.yaml"
    if not path.is_file():
        return
    for entry in (load(path) or {}).get("defaults", []):
        if isinstance(entry, str) and entry != "_self_":
            yield from option_files(group, entry)
    yield path


def block_options() -> Iterator[tuple[str, str]]:
    """Yield every option of the block group with what it means in words."""
    for name in combinations():
        yield name, ", ".join(BLOCKS[letter].title for letter in name)
