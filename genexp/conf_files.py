"""Where the config files are, and which groups and options they make."""

from __future__ import annotations

from pathlib import Path

#: Inside the installed package, or beside it in a checkout.
CONF_DIR = next(d for d in (Path(__file__).parent / "conf", Path(__file__).parents[1] / "conf") if d.is_dir())

#: Folders of conf/ that nobody chooses from: what a dataset needs with a model is found by its name.
NOT_GROUPS = ("settings", "hydra")


def groups(config_dir: str | None = None) -> dict[str, list[str]]:
    """Return the config groups with their options, the user's own folder included."""
    found: dict[str, set[str]] = {}
    for root in (CONF_DIR, *([Path(config_dir)] if config_dir else [])):
        for folder in sorted(p for p in root.iterdir() if p.is_dir() and p.name not in NOT_GROUPS):
            found.setdefault(folder.name, set()).update(p.stem for p in folder.glob("*.yaml"))
    return {name: sorted(options) for name, options in found.items() if options}


def default_options(command: str) -> dict[str, str]:
    """Return the option of each config group that a subcommand takes when none is chosen."""
    lines = (CONF_DIR / f"{command}.yaml").read_text(encoding="utf-8").splitlines()
    named = [line.strip()[2:].split("#")[0].partition(": ") for line in lines if line.startswith("  - ")]
    return {group: option.strip() for group, _, option in named if option.strip()}


def chosen_options(command: str, words: list[str]) -> dict[str, str]:
    """Return the option of each config group that a line of words chooses, itself or by a packaged preset.

    Hydra would say it exactly and slowly; this is for help and completion.
    """
    chosen = dict(word.split("=", 1) for word in words if "=" in word)
    preset = CONF_DIR / "experiment" / f"{chosen.get('experiment')}.yaml"
    lines = preset.read_text(encoding="utf-8").splitlines() if preset.is_file() else []
    named = [line.removeprefix("  - override /").split(": ") for line in lines if line.startswith("  - override /")]
    return default_options(command) | dict(named) | chosen


def groups_of(command: str, config_dir: str | None = None) -> dict[str, list[str]]:
    """Return the config groups that a subcommand has, in the order of its defaults list, with their options."""
    lines = (CONF_DIR / f"{command}.yaml").read_text(encoding="utf-8").splitlines()
    named = [line.strip()[2:].split(":")[0] for line in lines if line.startswith("  - ")]
    found = groups(config_dir)
    return {name: found[name] for name in named if name in found}
