"""``genexp completion``: shell completion for bash, zsh and fish."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from genexp import commands
from genexp.config.conf import chosen_options, groups
from genexp.config.keys import fields, is_path
from genexp.errors import UserError, nearest

ORDER = 80

EXAMPLES = (
    ('eval "$(genexp completion bash)"', "bash: this shell; add it to ~/.bashrc for every shell"),
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


def run_words(words: Sequence[str]) -> int:
    """Print a shell's script, or the words that can complete a command line."""
    if list(words[:2]) == ["words", "--"]:
        print("\n".join(candidates(words[2:])))  # noqa: T201
        return 0
    if len(words) != 1 or words[0] not in SCRIPTS:
        expected = "genexp completion bash, zsh or fish"
        hint = nearest(words[0], SCRIPTS) if words else "for example: genexp completion bash"
        raise UserError("completion needs the name of a shell", expected=expected, hint=hint or None)
    print(SCRIPTS[words[0]], end="")  # noqa: T201
    return 0


def candidates(line: Sequence[str]) -> list[str]:
    """Return the words that can stand at the end of a command line, ``genexp`` first; the last may be empty."""
    if len(line) <= 2:
        return [name for name in commands.summaries() if name.startswith(line[-1])]
    if line[1] not in commands.summaries():
        return []
    module = commands.load(line[1])
    if not hasattr(module, "Config"):
        return [name for name in SCRIPTS if name.startswith(line[-1])] if line[1] == "completion" else []
    words, current = line[2:], line[-1]
    options = groups(line[1])
    typed = dict(word.split("=", 1) for word in words[:-1] if "=" in word)
    keys = dict(fields(module.Config, chosen_options(line[1], typed)))
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
