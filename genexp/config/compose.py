"""One composition: from the words of a command line to a validated config."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from genexp.blocks import combinations
from genexp.config.conf import BLOCK_GROUP, CONF_DIR, groups
from genexp.config.keys import fields, is_list
from genexp.config.validation import check_shown, unknown_key, validate
from genexp.config.words import COMMAND_LINE, Words, check, parse, parse_override, quoted
from genexp.errors import UserError, nearest
from genexp.schema import Schema

S = TypeVar("S", bound=Schema)


@dataclass(frozen=True)
class Command(Generic[S]):
    """What the machinery must know of a subcommand: its name, also that of its file in ``conf/``, and its schema.

    For `short_forms` and `implied` see `genexp.config.words.parse`. `before` is called with the parsed words before
    anything is composed; it may raise a UserError. `settle` returns values, by dotted key, that follow from a
    config and the words, and replace its own. Below the key `replaced`, an override replaces a value of any type. No
    sweep goes over the keys `one_value`.
    """

    name: str
    schema: type[S]
    short_forms: Mapping[str, str] = field(default_factory=dict)
    implied: Mapping[str, str] = field(default_factory=dict)
    before: Callable[[Words], None] = lambda words: None
    settle: Callable[[S, Words], Mapping[str, Any]] = lambda config, words: {}
    replaced: str | None = None
    one_value: Collection[str] = ()


@dataclass(frozen=True)
class Composed(Generic[S]):
    """A config held to its schema, the words it was made from, and all that Hydra composed, its own node included."""

    name: str
    config: S
    words: Words
    whole: DictConfig

    @property
    def run_dir(self) -> str:
        """Where the run lands (``hydra.run.dir``)."""
        return str(self.whole.hydra.run.dir)

    def run_dir_of(self, model: str, data: str) -> str:
        """Return where a run of another model and other blocks lands."""
        names = OmegaConf.create({"model": {"name": model}, "data": {"name": data}})
        return str(OmegaConf.merge(self.whole, names).hydra.run.dir)

    @property
    def command(self) -> str:
        """The command line as it can be typed again."""
        return shlex.join(["genexp", self.name, *self.words.typed])

    @property
    def verbose(self) -> bool:
        """Whether ``hydra.verbose=true`` was given."""
        return self.whole.hydra.verbose is True

    def write_hydra(self, directory: Path) -> None:
        """Write what was typed and composed into ``.hydra/``, as Hydra itself does."""
        folder = self.whole.hydra.output_subdir
        if folder is None:
            return
        (directory / folder).mkdir(exist_ok=True)
        own = OmegaConf.masked_copy(self.whole, [str(key) for key in self.whole if key != "hydra"])
        hydra = OmegaConf.masked_copy(self.whole, ["hydra"])
        for name, node in (("config", own), ("hydra", hydra)):
            OmegaConf.save(node, directory / folder / f"{name}.yaml")
        typed = OmegaConf.create([str(override.input_line) for override in self.words.overrides])
        OmegaConf.save(typed, directory / folder / "overrides.yaml")


def compose_words(command: Command[S], words: Sequence[str]) -> Composed[S]:
    """Turn overrides into a config; flags are for the command line alone."""
    parsed = checked_words(command, words)
    if parsed.multirun or parsed.cfg or parsed.hydra_only:
        flags = " ".join(word for word in words if word.startswith("-"))
        raise UserError(
            "a flag is for the command line", received=flags, hint="loop over the values, one call for each"
        )
    return compose_parsed(command, parsed)


def checked_words(command: Command[Any], words: Sequence[str]) -> Words:
    """Parse the words behind a subcommand, and check what can be checked before composing."""
    parsed = parse(words, command.short_forms, command.implied)
    command.before(parsed)
    lists = [key for key, field in fields(command.schema, {}) if is_list(field)]
    check(parsed, groups(command.name, parsed.config_dir), command.name, command.one_value, lists)
    return parsed


def compose_parsed(command: Command[S], words: Words, overrides: Sequence[str] | None = None) -> Composed[S]:
    """Compose and validate; `overrides` stand in for those of `words`, whose sweeps are taken at their first value."""
    chosen = words.single() if overrides is None else list(overrides)
    whole = composed(command, chosen, words.config_dir)
    return Composed(command.name, _settled(command, words, whole, _source(chosen)), words, whole)


def _settled(command: Command[S], words: Words, whole: DictConfig, source: str) -> S:
    """Validate what was composed, put what `Command.settle` returns into it, and return the config."""
    config = validate(_plain(whole), command.schema, source)
    if settled := command.settle(config, words):
        for key, value in settled.items():
            OmegaConf.update(whole, key, value, force_add=True)
        config = validate(_plain(whole), command.schema, source)
    return config


def composed(command: Command[Any], overrides: Sequence[str], config_dir: str | None) -> DictConfig:
    """Compose a config with Hydra, its own node included.

    A key is set whether it exists or not (``++``): an unknown one is found by the schema, which knows its neighbours.
    """
    known = groups(command.name, config_dir)
    replaced = [word for word in overrides if word.lstrip("+").startswith(f"{command.replaced}.")]
    overrides = [word for word in overrides if word not in replaced]
    keys = [word.partition("=")[0].lstrip("+") for word in overrides]
    own = [key not in known and not key.startswith(("hydra.", "hydra/")) for key in keys]
    forced = ["++" + word.lstrip("+") if is_own else word for word, is_own in zip(overrides, own, strict=True)]
    if config_dir:
        forced.append(f"hydra.searchpath=[{quoted(f'file://{Path(config_dir).resolve()}')}]")
    store_block_options()
    try:
        with initialize_config_dir(str(CONF_DIR), version_base="1.3", job_name=command.name):
            whole = compose(command.name, forced, return_hydra_config=True)
    except yaml.YAMLError as error:
        mark = " ".join(str(getattr(error, "problem_mark", None) or "the config files").split())
        reason = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise UserError("a config file is not valid YAML", where=mark, received=reason) from None
    except (HydraException, OmegaConfBaseException) as error:
        raise _explained(error, command, list(overrides), known) from None
    for override in map(parse_override, replaced):
        OmegaConf.update(whole, override.key_or_group, override.value(), merge=False, force_add=True)
    _forbid_targets(whole)
    return whole


def store_block_options() -> None:
    """Let Hydra know the options of the block group, which have no files."""
    for name in combinations():
        ConfigStore.instance().store(group=BLOCK_GROUP, name=name, node={"name": name})


def _explained(
    error: Exception, command: Command[Any], overrides: list[str], known_groups: Collection[str]
) -> UserError:
    """Return what Hydra found wrong; it stops at a group of keys that is given one value."""
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options:
        group, _, option = error.missing_cfg_file.rpartition("/")
        received = next((word for word in overrides if word.startswith(f"{group}=")), option)
        what, expected = f"there is no {group} {option}", f"one of {', '.join(error.options)}"
        hint = nearest(option, error.options).strip() or None
        return UserError(what, where=COMMAND_LINE, expected=expected, received=received, hint=hint)
    known = [key for key, _ in fields(command.schema, {})]
    for word in overrides:
        key = word.partition("=")[0].lstrip("+")
        below = [name for name in known if name.startswith(key + ".")]
        if below and key not in known_groups:
            expected = f"one of its keys: {', '.join(below)}"
            return UserError(f"{key} is a group of keys", where=COMMAND_LINE, expected=expected, received=word)
        parent = key.rpartition(".")[0]
        if parent in known:
            return unknown_key(key, known, COMMAND_LINE)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return UserError(lines[0], where=COMMAND_LINE, received=" ".join(overrides), hint=" ".join(lines[1:6]) or None)


def _plain(whole: DictConfig) -> dict[str, Any]:
    """Return our part of a composed config as plain values, interpolations resolved."""
    try:
        plain = {str(key): whole[key] for key in whole if key != "hydra" and not OmegaConf.is_missing(whole, key)}
        return {k: OmegaConf.to_container(v, resolve=True) if OmegaConf.is_config(v) else v for k, v in plain.items()}
    except OmegaConfBaseException as error:
        key, reason = getattr(error, "full_key", None), str(error).splitlines()[0]
        expected = "a value, or ${KEY} with the name of another key"
        raise UserError(f"{key} cannot be resolved", where=COMMAND_LINE, expected=expected, received=reason) from None


def _source(overrides: Sequence[str]) -> str:
    """Return where a config came from, in words."""
    experiment = next((word for word in overrides if word.lstrip("+").startswith("experiment=")), "conf/")
    return f"the command line and {experiment}"


#: Hydra makes objects of what these name, so they may name nothing but Hydra's own and its plugins'.
TARGETS = ("hydra._internal.core_plugins.", "hydra_plugins.", "logging.", "hydra.", "optuna.samplers.")


def _forbid_targets(whole: DictConfig) -> None:
    """Raise a UserError if YAML names something to be called: a config never executes code."""
    for path, value in _leaves(OmegaConf.to_container(whole, resolve=False)):
        outside = path.split(".")[0] != "hydra" or path.startswith("hydra.callbacks")
        if path.rsplit(".", 1)[-1] in ("_target_", "()") and (outside or not str(value).startswith(TARGETS)):
            expected = "no _target_; models, datasets and hardware are chosen by plain names"
            raise UserError("a config must not name code to be called", where=path, expected=expected, received=value)


def _leaves(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else None
    if children is None:
        yield path, node
        return
    for key, value in children:
        yield from _leaves(value, f"{path}.{key}" if path else str(key))


def show(command: Command[Any], words: Words) -> str:
    """Return what ``--cfg`` prints: the composed config as YAML, which may lack values but must not be wrong."""
    whole = composed(command, words.single(), words.config_dir)
    check_shown(_plain(whole), command.schema, _source(words.single()))
    with suppress(UserError):  # a value is missing
        _settled(command, words, whole, _source(words.single()))
    keys = [str(key) for key in whole]
    part = {"job": [key for key in keys if key != "hydra"], "hydra": ["hydra"], "all": keys}[str(words.cfg)]
    return OmegaConf.to_yaml(OmegaConf.masked_copy(whole, part))
