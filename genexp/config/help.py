"""The help texts; they need neither Hydra nor TensorFlow."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from genexp.config import conf
from genexp.version import __version__

WIDTH = 80


def overview(commands: Mapping[str, str]) -> str:
    """Return what ``genexp --help`` prints, from the commands with one line each."""
    return f"""genexp {__version__}: predict gene expression from DNA

Usage
  genexp COMMAND [GROUP=OPTION ...] [KEY=VALUE ...]

Commands
{columns(commands)}

Groups of genexp train
{group_lines("train")}

Examples
  genexp train                                  # the demo genes, end to end
  genexp train model=divide_et_impera data=PHT  # another model and more blocks
  genexp evaluate run_dir=outputs/DATE/RUN      # its metrics and plots again

genexp COMMAND --help describes a command; genexp --version prints the version."""


def command_help(
    command: str, summary: str, examples: Sequence[tuple[str, str]], words: Sequence[str], *, makes_runs: bool
) -> str:
    """Return what ``genexp COMMAND --help`` prints; `words` may choose the groups whose keys are shown."""
    lines = [f"{_broken(example)}\n      # {meaning}" for example, meaning in examples]
    parts = [textwrap.fill(f"genexp {command}: {summary}", WIDTH), "\n".join(["Examples", *lines])]
    path = conf.CONF_DIR / f"{command}.yaml"
    if path.is_file():
        chosen = conf.chosen_options(command, dict(word.split("=", 1) for word in words if "=" in word))
        if chosen:
            parts.append(f"Groups (GROUP=OPTION)\n{group_lines(command)}")
        if keys := "\n\n".join(filter(None, map(_keys, [path, *conf.included_files(command)]))):
            parts.append(f"Keys (KEY=VALUE), as in conf/{command}.yaml\n{keys}")
        parts += [_group_keys(group, option) for group, option in chosen.items() if option]
        settings = conf.CONF_DIR / "auto" / f"{chosen.get('model')}.yaml"
        if "experiment" in chosen and settings.is_file():
            parts.append(f"What settings=auto changes for this model\n{_keys(settings)}")
        parts.append(f"Flags\n{columns(_flags(command, makes_runs=makes_runs, sweeps=_makes_sweeps(path)))}")
    return "\n\n".join(part for part in parts if part)


def _flags(command: str, *, makes_runs: bool, sweeps: bool) -> dict[str, str]:
    """Return the flags of a command, and keys of Hydra's own, with their meaning."""
    run_dir = "the directory of the study" if command == "tune" else "the run directory"
    launcher = "joblib, slurm or ray runs the jobs (keys: --cfg hydra)"
    return {
        "-m, --multirun": "a sweep: each combination of comma-separated values",
        "--cfg job": "print the config that would be used, and stop",
        "--config-dir DIR": "config files of your own: DIR/model/mine.yaml: model=mine",
        **({"hydra.run.dir=DIR": run_dir} if makes_runs else {}),
        **({"hydra.sweep.dir=DIR": "the directory of a sweep", "hydra/launcher=NAME": launcher} if sweeps else {}),
        "hydra.verbose=true": "tracebacks, and TensorFlow's own messages",
        "--help": "this text",
    }


def _makes_sweeps(path: Path) -> bool:
    """Tell whether a command, given by its config file, has a directory for sweeps."""
    return "sweep" in (yaml.safe_load(path.read_text(encoding="utf-8")).get("hydra") or {})


def _broken(example: str) -> str:
    """Return a command line broken at words, as a shell takes it."""
    wrapper = textwrap.TextWrapper(WIDTH - 4, "  ", "    ", break_long_words=False, break_on_hyphens=False)
    return " \\\n".join(wrapper.wrap(example))


def columns(rows: Mapping[str, str]) -> str:
    """Return names and texts in two columns that fit the width."""
    width = max(map(len, rows), default=0)
    indent = " " * (width + 4)
    wrapped = (textwrap.fill(text, WIDTH, initial_indent=indent, subsequent_indent=indent) for text in rows.values())
    return "\n".join(f"  {name:<{width}}{text[width + 2 :]}" for name, text in zip(rows, wrapped, strict=True))


def group_lines(command: str) -> str:
    """Return the groups of a command with their options."""
    return columns({group: ", ".join(options) for group, options in conf.groups(command).items()})


def _group_keys(group: str, option: str) -> str:
    """Return the keys of one option with their comments."""
    files = list(conf.option_files(group, option))
    if group == conf.BLOCK_GROUP and not files:
        return f"Keys of {group}={option}\n  {conf.block_options()[option]}"
    keys = "\n".join(_keys(path) for path in files)
    if not any(path.read_text(encoding="utf-8").startswith("# @package _global_") for path in files):
        keys = f"  {group}:\n{textwrap.indent(keys, '  ')}"
    return f"Keys of {group}={option}\n{keys}"


def _keys(path: Path) -> str:
    """Return a config file with its comments, without what is Hydra's own."""
    text = path.read_text(encoding="utf-8")
    root = yaml.compose(text)
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    hidden: set[int] = set()
    for key, value in pairs:
        if key.value in ("defaults", "hydra"):
            hidden.update(range(key.start_mark.line, value.end_mark.line + (value.end_mark.column > 0)))
    if pairs and pairs[0][0].value == "defaults":  # what stands above is about the file, not a key
        hidden.update(range(pairs[0][0].start_mark.line))
    lines = enumerate(text.splitlines())
    kept = [
        f"  {line}".rstrip()
        for n, line in lines
        if n not in hidden and not line.startswith(("# @package", "# yaml-language-server"))
    ]
    return "\n".join(kept).strip("\n")
