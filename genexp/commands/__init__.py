"""The subcommands, one file each; a new file here is a new command.

A command's file has a docstring whose first line is ````genexp NAME``: summary``, and ``ORDER``, its place in the help;
``EXAMPLES``, command lines with their meaning; ``Config``, the schema of ``conf/NAME.yaml``; ``check(config)``, a quick
look at everything that can be wrong, without TensorFlow; and ``run(composed)``, which may return an exit code. A
command without a config has ``run_words(words)`` instead. Optional: ``SHORT_FORMS``, ``IMPLIED``, ``REPLACED``,
``ONE_VALUE``, ``before`` and ``settle`` (`genexp.config.compose.Command`), and ``MAKES_RUNS`` where its jobs have run
directories.
"""

from __future__ import annotations

import ast
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from genexp.errors import UserError, nearest


@cache
def summaries() -> dict[str, str]:
    """Return every command with its summary, in the order of the help; imports none of them."""
    found = []
    for path in Path(__file__).parent.glob("[!_]*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        summary = (ast.get_docstring(tree) or "").partition("\n")[0].partition("``: ")[2].rstrip(".")
        names = {getattr(n.targets[0], "id", ""): n.value for n in tree.body if isinstance(n, ast.Assign)}
        found.append((ast.literal_eval(names["ORDER"]), path.stem.rstrip("_"), summary))
    return {name: summary for _, name, summary in sorted(found)}


def load(name: str) -> ModuleType:
    """Return the module of a command."""
    if name not in summaries():
        expected = f"one of {', '.join(summaries())}"
        hint = f"{nearest(name, summaries())}see genexp --help"
        raise UserError(f"there is no command {name}", where="the command line", expected=expected, hint=hint)
    file = f"{name}_" if name == "import" else name  # a keyword of Python
    return import_module(f"genexp.commands.{file}")


def command_of(name: str) -> Any:
    """Return what the config machinery must know of a command (`genexp.config.compose.Command`)."""
    from genexp.config.compose import Command

    module = load(name)
    names = {name: name.upper() for name in ("short_forms", "implied", "replaced", "one_value")} | {
        "before": "before",
        "settle": "settle",
    }
    given = {key: getattr(module, name) for key, name in names.items() if hasattr(module, name)}
    return Command(name, module.Config, **given)
