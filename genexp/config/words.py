"""The words behind a subcommand: flags, and overrides in Hydra's grammar."""

from __future__ import annotations

import argparse
import json
import re
import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override
from hydra.errors import HydraException

from genexp.errors import UserError, nearest

COMMAND_LINE = "the command line"

MULTIRUN = "--multirun"

#: What ``--cfg`` and ``--info`` show, by Hydra's own names.
CFG = ("job", "hydra", "all")
INFO = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")

#: Launchers that are packages of their own, with the extra that installs each.
LAUNCHERS = {
    "joblib": "joblib",
    "submitit_local": "submitit",
    "submitit_slurm": "submitit",
    "slurm": "submitit",
    "ray": "ray",
}

#: The keys that say where runs land.
DIRECTORIES = ("hydra.run.dir", "hydra.sweep.dir", "hydra.sweep.subdir")

#: Keys of Hydra that a run, which is a process of its own, does not honour.
NOT_HONOURED = ("hydra.job.chdir", "hydra.job.env_set", "hydra.callbacks")


@dataclass(frozen=True)
class Words:
    """The words behind a subcommand."""

    #: ``key=value`` words, parsed.
    overrides: tuple[Override, ...]
    multirun: bool = False
    #: What ``--cfg`` is to print, where no other flag changes how.
    cfg: str | None = None
    #: Whether Hydra is to print something by itself (``--info``, ``--cfg`` with ``--resolve``, ...).
    hydra_only: bool = False
    #: A folder with config files of the user's own.
    config_dir: str | None = None
    #: All words in the order that Hydra requires, flags first; and as they were typed.
    raw: tuple[str, ...] = field(default=(), repr=False)
    typed: tuple[str, ...] = field(default=(), repr=False)

    @property
    def keys(self) -> set[str]:
        """The keys and groups that the overrides name."""
        return {override.key_or_group for override in self.overrides}

    def single(self) -> list[str]:
        """Return the overrides, with the first value of each sweep."""
        return [first_value(o) if o.is_sweep_override() else str(o.input_line) for o in self.overrides]

    def values(self, key: str) -> list[str]:
        """Return the values, as text, that overrides give a key: several of a sweep, none where it is not named."""
        mine = [o for o in self.overrides if o.key_or_group == key]
        return [v for o in mine for v in (o.sweep_string_iterator() if o.is_sweep_override() else [str(o.value())])]

    def each_value_once(self) -> Iterator[list[str]]:
        """Yield overrides that try every value of every sweep once, the other sweeps at their first value."""
        single = self.single()
        yield single
        for number, override in enumerate(self.overrides):
            if override.is_sweep_override() and not override.is_interval_sweep():
                values = list(override.sweep_string_iterator())[1:]
                ordered = override.is_range_sweep() and not getattr(override.value(), "shuffle", False)
                for value in values[-1:] if ordered else values:  # what lies between the ends of a range is right too
                    yield [*single[:number], f"{override.get_key_element()}={value}", *single[number + 1 :]]

    def combinations(self) -> Iterator[tuple[str, ...]]:
        """Yield the overrides of each job of a sweep, in the order in which Hydra's own sweeper numbers them."""
        values: dict[str, list[str]] = {}
        for override in self.overrides:
            key, sweep = override.get_key_element(), override.is_sweep_override()
            own = override.sweep_string_iterator() if sweep else [override.get_value_element_as_str()]
            values[key] = [f"{key}={value}" for value in own]
        yield from product(*values.values())

    def changed(self, drop: Collection[str], add: Sequence[str]) -> Words:
        """Return the words of a sweep without some keys, and with other overrides at the end."""
        kept = [override for override in self.overrides if override.key_or_group not in drop]
        overrides = (*kept, *map(parse_override, add))
        flags = [word for word in self.raw if word.startswith("-") and word != MULTIRUN]
        raw = (*flags, MULTIRUN, *(str(override.input_line) for override in overrides))
        return replace(self, overrides=overrides, multirun=True, raw=raw)


def parse(words: Sequence[str], short_forms: Mapping[str, str], implied: Mapping[str, str]) -> Words:
    """Split the words behind a subcommand into flags and overrides.

    `short_forms` are what users type and the keys that they stand for; `implied` maps a key to the ``group=option``
    that it implies where no option of the group is chosen.
    """
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False, allow_abbrev=False)
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--info", "-i", nargs="?", const="all")
    for flag, short in (("--config-dir", "-cd"), ("--cfg", "-c"), ("--package", "-p")):
        parser.add_argument(flag, short)
    for switch in (("--multirun", "-m"), ("--resolve",), ("--hydra-help",)):
        parser.add_argument(*switch, action="store_true")
    try:
        found, unknown = parser.parse_known_intermixed_args(list(words))
    except argparse.ArgumentError as error:
        raise UserError(str(error), where=COMMAND_LINE, hint="see genexp COMMAND --help") from None
    if found.info and "=" in found.info:  # a bare --info before an override
        found.overrides, found.info = [found.info, *found.overrides], "all"
    _check_flags(found, unknown)
    spelled = [_spelled_out(word, short_forms) for word in found.overrides if word != "experiment=null"]
    keys = {word.partition("=")[0].lstrip("+") for word in spelled}
    if not found.config_dir:
        spelled += [word for key, word in implied.items() if key in keys and word.partition("=")[0] not in keys]
    plain_cfg = found.cfg and not (found.package or found.resolve or found.info)
    return Words(
        overrides=tuple(map(parse_override, spelled)),
        multirun=found.multirun,
        cfg=found.cfg if plain_cfg else None,
        hydra_only=bool(found.info or found.hydra_help or (found.cfg and not plain_cfg)),
        config_dir=found.config_dir,
        raw=_for_hydra(found, spelled),
        typed=tuple(words),
    )


def _check_flags(found: argparse.Namespace, unknown: list[str]) -> None:
    if unknown:
        expected = "-m, --cfg job, --info, --config-dir DIR, --help, or key=value"
        hint = "settings are given as key=value, without dashes"
        raise UserError(f"there is no option {unknown[0]}", where=COMMAND_LINE, expected=expected, hint=hint)
    if found.config_dir and not Path(found.config_dir).is_dir():
        expected = "a folder with config files, as in conf/"
        raise UserError("the folder is missing", where="--config-dir", expected=expected, received=found.config_dir)
    for flag, value, choices in (("--cfg", found.cfg, CFG), ("--info", found.info, INFO)):
        if value and value not in choices:
            raise UserError(f"{flag} has no such choice", expected=f"one of {', '.join(choices)}", received=value)
    if (found.resolve or found.package) and not found.cfg:
        flag = "--resolve" if found.resolve else "--package"
        raise UserError(f"{flag} goes with --cfg", where=COMMAND_LINE, hint=f"--cfg job {flag}")


def _for_hydra(found: argparse.Namespace, overrides: Sequence[str]) -> tuple[str, ...]:
    given = {name.replace("_", "-"): value for name, value in vars(found).items() if name != "overrides" and value}
    flags = [f"--{name}" if value is True else f"--{name}={value}" for name, value in given.items()]
    return (*sorted(flags), *overrides)


def _spelled_out(word: str, short_forms: Mapping[str, str]) -> str:
    """Replace a short form by its key, and put quotes around what Hydra's grammar does not accept: paths and names."""
    key, equals, value = word.partition("=")
    key = short_forms.get(key, key)
    group = value[:1] + value[-1:] in ("[]", "{}")
    if group or (value and ("/" in value or Path(value).exists() or not set(value) & set(",[]{}()'\"$"))):
        try:
            parse_override(f"{key}={value}")
        except UserError:
            value = with_quotes(value) if group else quoted(value)
    return key + equals + value


def quoted(text: Path | str, mark: str = "'") -> str:
    """Return a path or a name as a value in Hydra's grammar, in which a backslash counts before a quote alone."""
    escaped = re.sub(rf"(\\*)({mark}|$)", lambda found: found[1] * 2 + (f"\\{mark}" if found[2] else ""), str(text))
    return mark + escaped + mark


#: Values that need no quotes; other words may be numbers, or have a meaning of their own.
_PLAIN = re.compile(r"(?!(?:null|true|false|nan|inf)$)[A-Za-z_][\w.-]*|\.\.\.", re.ASCII | re.IGNORECASE)
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")


def as_value(value: object) -> str:
    """Return names, lists and groups of them in Hydra's grammar, with quotes where they need some."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_as_key(key)}: {as_value(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(as_value, value)) + "]"
    return str(value) if _PLAIN.fullmatch(str(value)) else quoted(str(value), '"')


def word(key: str, value: Any) -> str:
    """Return ``key=value`` in the grammar of the command line."""
    return f"{key}={_in_grammar(value)}"


def _in_grammar(value: Any) -> str:
    """Return a plain value in Hydra's grammar, texts in quotes and with every ``${`` escaped."""
    if isinstance(value, str):
        return quoted(re.sub(r"(\\*)\$\{", r"\1\1\\${", value), '"')
    if isinstance(value, list):
        return f"[{','.join(map(_in_grammar, value))}]"
    return json.dumps(value)


def spelled(key: str, value: object) -> str:
    """Return ``key=value`` as it is typed in a shell; the value is a name, or lists and groups of them."""
    return shlex.quote(f"{key}={as_value(value)}")


def unquoted(word: str) -> str:
    """Return a word without the quotes of Hydra's grammar around its value, where it means the same without them."""
    key, _, value = word.partition("=")
    if value[:1] not in ("'", '"') or value[-1:] != value[:1]:
        return word
    bare = f"{key}={value[1:-1]}"
    try:
        before, after = parse_override(word), parse_override(bare)
    except UserError:
        return word
    same = not after.is_sweep_override() and before.value() == after.value() and "${" not in value
    return bare if same and isinstance(after.value(), str) else word


def _as_key(name: str) -> str:
    """Return the name of a group's key, which Hydra's grammar knows no quotes for."""
    return re.sub(r"([\\()\[\]{}:=,\s])", r"\\\1", name)


def with_quotes(text: str) -> str:
    """Return a list or group with quotes around each name that needs some; a comma or colon ends a name.

    ``[Skin (leg)]`` becomes ``["Skin (leg)"]``. Brackets and commas within a name count as part of it where they are
    in pairs.
    """
    text = text.strip()
    opening = text[:1] + text[-1:]
    if opening == "[]":
        return "[" + ", ".join(map(with_quotes, _cut(text[1:-1], ","))) + "]"
    if opening == "{}":
        pairs = [_cut(item, ":", 1) for item in _cut(text[1:-1], ",")]
        return "{" + ", ".join(": ".join([_as_key(key.strip()), *map(with_quotes, rest)]) for key, *rest in pairs) + "}"
    return text if text[:1] in ("'", '"') or _NUMBER.fullmatch(text) else as_value(text)


def _cut(text: str, at: str, times: int = -1) -> list[str]:
    """Split a text at a character outside quotes and pairs of brackets."""
    parts, depth, quote = [""], 0, ""
    for n, char in enumerate(text):
        if char == at and not (depth or quote) and times:
            parts.append("")
            times -= 1
            continue
        if quote:
            quote = "" if char == quote and text[n - 1] != "\\" else quote
        elif char in "'\"" and not parts[-1].strip():
            quote = char
        elif char in "([{" and any(closing in text[n:] for closing in ")]}"):
            depth += 1
        elif char in ")]}" and depth:
            depth -= 1
        parts[-1] += char
    return parts


def parse_override(word: str) -> Override:
    """Parse one ``key=value`` word in Hydra's grammar."""
    try:
        return OverridesParser.create().parse_overrides([word])[0]
    except HydraException:
        example = "key=value, for example model=xpresso or training.epochs=10; lists as 'data.window=[0,2000]'"
        key, _, value = word.partition("=")
        dots = {"[": "['...']", "{": "{KEY: '...'}"}.get(value[:1], "'...'")
        hint = f'quote a value with spaces or commas within the quotes of the shell: "{key}={dots}"'
        what = "this is no valid key=value"
        raise UserError(what, where=COMMAND_LINE, expected=example, received=word, hint=hint) from None


def first_value(override: Override) -> str:
    """Return a sweep override with its first value only, an interval with its lower end."""
    value = override.value()
    if isinstance(value, IntervalSweep):
        return f"{override.get_key_element()}={value.start}"
    first = next(iter(override.sweep_string_iterator()), None)
    if first is None:
        hint = f"for example {override.key_or_group}=range(3)"
        raise UserError(f"{override.key_or_group} has no value", received=override.input_line, hint=hint)
    return f"{override.get_key_element()}={first}"


def check(
    words: Words,
    options: Mapping[str, Sequence[str]],
    command: str,
    one_value: Collection[str],
    lists: Collection[str],
) -> None:
    """Raise a UserError at the first override that Hydra would not accept, or would accept with another meaning.

    `options` are those of each group, `one_value` the keys of the command that no sweep goes over, and `lists` those
    that take a list.
    """
    for override in words.overrides:
        if override.is_sweep_override():
            _check_sweep(override, words, command, one_value, lists)
        _check_override(override, words, options.get(override.key_or_group))


def _check_sweep(
    override: Override, words: Words, command: str, one_value: Collection[str], lists: Collection[str]
) -> None:
    """Raise a UserError unless a sweep is asked for, of a key that may have several values."""
    key, text = override.key_or_group, str(override.input_line)
    whole = text.partition("=")[2].strip("'\"")
    of_hydra = key.startswith(("hydra.", "hydra/")) and not key.startswith("hydra.sweeper.")
    if of_hydra or key in one_value:
        raise UserError(
            f"{key} has one value", where=COMMAND_LINE, received=text, hint=f"for example {first_value(override)}"
        )
    if words.multirun:
        return
    expected = "one value, or -m for a sweep; a list stands in brackets: key=[a,b]"
    hint = f"genexp {command} -m {text}; a comma within one value is quoted: '{key}=\"{whole}\"'"
    if key in lists:
        hint = f"{key}=[{whole}]"
    raise UserError(f"{key} has several values", where=COMMAND_LINE, expected=expected, received=text, hint=hint)


def _check_override(override: Override, words: Words, options: Sequence[str] | None) -> None:
    key, text, sweep = override.key_or_group, str(override.input_line), override.is_sweep_override()

    def refuse(what: str, expected: str | None = None, hint: str | None = None) -> None:
        raise UserError(what, where=COMMAND_LINE, expected=expected, received=text, hint=hint)

    if override.is_delete():
        refuse(f"{key} cannot be removed", "key=value", "give it another value, or omit it for the default")
    if override.is_interval_sweep() and "hydra/sweeper" not in words.keys:
        hint = f"list the values ({key}=1,2,3), or search for the best ones with genexp tune"
        refuse("an interval needs a sweeper that searches", "values", hint)
    if not sweep and override.value() == "":
        refuse(f"{key} is empty", f"{key}=VALUE", "give it a value, or omit it for the default")
    if key in DIRECTORIES and override.value() is None:
        refuse(f"{key} is empty", "a directory; . for the current one", "omit it: runs then land in outputs/")
    if key.startswith(("hydra.run.", "hydra.sweep.")) and key not in DIRECTORIES:
        refuse(f"there is no key {key}", f"one of {', '.join(DIRECTORIES)}", nearest(key, DIRECTORIES) or None)
    if key.startswith(NOT_HONOURED):
        refuse(f"{key} has no effect on genexp", hint="omit it")
    extra = LAUNCHERS.get(str(override.value())) if key == "hydra/launcher" else None
    if extra and not find_spec(f"hydra_plugins.hydra_{extra}_launcher"):
        refuse("this launcher is a package that is not installed", hint=f"pip install 'genexp[{extra}]'")
    if options is None:
        return
    if text.startswith("+"):
        refuse(f"the group {key} exists already", text.lstrip("+"), "leave the + out")
    for value in override.sweep_string_iterator() if sweep else [override.value()]:
        if str(value) not in options:
            same = next((option for option in options if sorted(option) == sorted(str(value).upper())), None)
            suggestion = f"did you mean '{same}'? " if same else nearest(str(value), options)
            hint = f"{suggestion}config files of your own are found with --config-dir DIR"
            refuse(f"there is no {key} {'null' if value is None else value}", f"one of {', '.join(options)}", hint)
