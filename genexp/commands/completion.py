"""``genexp completion``: a script for the shell, which asks genexp itself for the words that can follow."""

from __future__ import annotations

import os
from pathlib import Path

from genexp.conf_files import CONF_DIR, chosen_options, groups_of
from genexp.errors import UserError, nearest

EXAMPLES = (
    ('eval "$(genexp completion bash)"', "bash: in this shell; add the line to ~/.bashrc for all"),
    ('eval "$(genexp completion zsh)"', "zsh: likewise, in ~/.zshrc after compinit"),
    ("genexp completion fish | source", "fish: likewise, in ~/.config/fish/config.fish"),
)

# bash breaks words at '=': the line is split at blanks instead, and what stands before the last '=' is cut off again.
BASH = """_genexp() {
    local line="${COMP_LINE:0:COMP_POINT}"
    local -a words=($line)
    [[ $line == *' ' ]] && words+=("")
    local last="${words[${#words[@]}-1]}" IFS=$'\\n'
    COMPREPLY=($(genexp completion words -- "${words[@]}"))
    [[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace
    if [[ $last == *=* ]]; then COMPREPLY=("${COMPREPLY[@]#"${last%%=*}"=}"); fi
}
complete -o default -F _genexp genexp
"""

ZSH = """_genexp() {
    local -a found
    found=(${(f)"$(genexp completion words -- ${words[1,CURRENT]})"})
    compadd -S '' -- $found
}
compdef _genexp genexp
"""

FISH = """function __genexp_words
    genexp completion words -- (commandline -opc) (commandline -ct | string collect --allow-empty)
end
complete -c genexp -f -a '(__genexp_words)'
"""

SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}


def run(words: list[str]) -> int:
    """Print a shell's script, or the words that can complete a command line."""
    if words[:2] == ["words", "--"]:
        print("\n".join(candidates(words[2:])))  # noqa: T201
        return 0
    if len(words) != 1 or words[0] not in SCRIPTS:
        raise UserError(
            "completion needs the name of a shell",
            where="the command line",
            expected="genexp completion bash, zsh or fish",
            received=" ".join(words) or "nothing",
            do=nearest(words[0], SCRIPTS) if words else "for example: genexp completion bash",
        )
    print(SCRIPTS[words[0]], end="")  # noqa: T201
    return 0


def candidates(line: list[str]) -> list[str]:
    """Return the words that can stand at the end of a command line.

    Parameters
    ----------
    line
        The words so far, ``genexp`` first; the last is the one to be completed, perhaps empty.
    """
    from genexp.cli import COMMANDS

    current = line[-1]
    if len(line) <= 2:
        return [name for name in COMMANDS if name.startswith(current)]
    command = line[1]
    if command == "completion":
        return [name for name in SCRIPTS if name.startswith(current)]
    if not (CONF_DIR / f"{command}.yaml").is_file():
        return []
    options = groups_of(command)
    if "=" in current:
        key, _, value = current.partition("=")
        if key in options:
            return [f"{key}={option}" for option in options[key] if option.startswith(value)]
        return directories(key, value) if key.endswith(("root", "dir", "run_dir", "resume", "out")) else []
    return sorted(word for word in [*(f"{g}=" for g in options), *keys(command, line)] if word.startswith(current))


def keys(command: str, line: list[str]) -> list[str]:
    """Return the keys of a subcommand, of the model and dataset chosen so far, by a preset too."""
    from genexp.config import SCHEMAS
    from genexp.validation import all_keys

    choices = chosen_options(command, line)
    return [f"{key}=" for key in all_keys(SCHEMAS[command], choices) if not key.endswith(".name")]


def directories(key: str, start: str) -> list[str]:
    """Return the folders that begin with `start`, as values of `key`."""
    head, tail = os.path.split(start)
    try:
        found = [entry.name for entry in os.scandir(head or ".") if entry.is_dir() and entry.name.startswith(tail)]
    except OSError:  # no such folder: nothing to offer
        return []
    return sorted(f"{key}={Path(head, name)}/" for name in found)
