"""The help texts; they need neither Hydra nor TensorFlow."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from genexp import __version__
from genexp.commands import module_of
from genexp.conf_files import CONF_DIR, chosen_options, groups_of

FLAGS = """Flags
  -m, --multirun         a sweep: every combination of comma-separated values, one isolated run each
  --cfg job              print the config that would be used, and stop
  --config-dir DIR       config files of your own: DIR/model/mine.yaml is then model=mine
  hydra.run.dir=DIR      where the run lands
  hydra.verbose=true     tracebacks, and TensorFlow's own messages
  --help                 this text"""


def overview(commands: dict[str, str]) -> str:
    """Return what ``genexp --help`` prints."""
    width = max(map(len, commands))
    lines = "\n".join(f"  {name:<{width}}  {line}" for name, line in commands.items())
    return f"""genexp {__version__}: predict gene expression from DNA, one command and one run directory per experiment

Usage
  genexp COMMAND [GROUP=OPTION ...] [KEY=VALUE ...]

Commands
{lines}

Groups of genexp train
{group_lines("train")}

Examples
  genexp train                                      # the demo genes, end to end
  genexp train model=divide_et_impera data=PHT      # another architecture, with transcription factors
  genexp evaluate run_dir=outputs/DATE/RUN          # its metrics and plots again

genexp COMMAND --help says more of a command; genexp --version names the version."""


def command_help(command: str, line: str, words: list[str]) -> str:
    """Return what ``genexp COMMAND --help`` prints; `words` may choose the groups whose keys are shown."""
    module = import_module(module_of(command))
    width = max(len(example) for example, _ in module.EXAMPLES)
    examples = "\n".join(f"  {example:<{width}}  # {words}" for example, words in module.EXAMPLES)
    head = f"genexp {command}: {line}\n\nExamples\n{examples}"
    if not (CONF_DIR / f"{command}.yaml").is_file():
        return head
    groups = group_lines(command)
    return "\n\n".join(
        [
            head,
            *([f"Groups (GROUP=OPTION)\n{groups}"] if groups else []),
            f"Keys (KEY=VALUE), as in conf/{command}.yaml\n{indented(CONF_DIR / f'{command}.yaml')}",
            *group_keys(command, words),
            FLAGS,
        ]
    )


def group_lines(command: str) -> str:
    """Return one line per config group with its options."""
    found = groups_of(command)
    width = max((len(name) for name in found), default=0)
    return "\n".join(f"  {name:<{width}}  {', '.join(options)}" for name, options in found.items())


def group_keys(command: str, words: list[str]) -> list[str]:
    """Return the keys of each group's option, the one that `words` choose or else the default, with their comments."""
    chosen, shown = chosen_options(command, words), []
    for group, options in groups_of(command).items():
        option = chosen.get(group)
        if option in options:
            lines = (CONF_DIR / group / f"{option}.yaml").read_text(encoding="utf-8").splitlines()
            whole = lines[0] == "# @package _global_"  # the file says itself which group its keys belong to
            keys = "\n".join(f"  {'' if whole else '  '}{line}".rstrip() for line in lines[whole:])
            other = f"; genexp {command} {group}=OPTION --help shows another's" if group == "model" else ""
            shown.append(f"Keys of {group}={option}{other}\n" + ("" if whole else f"  {group}:\n") + keys)
    return shown


def indented(path: Path) -> str:
    """Return the keys of a config file with their comments, without its head and Hydra's part."""
    lines = path.read_text(encoding="utf-8").split("\nhydra:")[0].splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("defaults:"))
    body = "\n".join(lines[start:]).split("\n\n", 1)[1].strip()
    return "\n".join(f"  {line}".rstrip() for line in body.splitlines())
