"""From command-line words to a checked config: what Hydra would say late or tersely is said here, first and clearly."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from genexp.conf_files import CONF_DIR, chosen_options, default_options, groups_of
from genexp.config import SCHEMAS, KmerModelConfig, TrainConfig
from genexp.errors import UserError, nearest
from genexp.validation import all_keys, unknown_key, validate

COMMAND_LINE = "the command line"

#: What ``--info`` shows, by Hydra's own names.
INFO = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")


@dataclass(frozen=True)
class Arguments:
    """The words behind a subcommand.

    Attributes
    ----------
    overrides
        ``key=value`` words, parsed.
    multirun
        Whether ``-m`` was given.
    shows
        Whether Hydra is only to print something (``--cfg``, ``--info``, ...).
    only_config
        What ``--cfg`` is to print, when no flag of Hydra's goes with it.
    config_dir
        A folder with config files of the user's own.
    words
        All words, flags first: Hydra understands them in no other order.
    """

    overrides: tuple[Override, ...]
    multirun: bool
    shows: bool
    only_config: str | None
    config_dir: str | None
    words: tuple[str, ...] = field(repr=False)

    @property
    def single(self) -> list[str]:
        """The overrides, with the first value of each sweep."""
        return [first_value(o) if o.is_sweep_override() else str(o.input_line) for o in self.overrides]


def parse(words: Sequence[str]) -> Arguments:
    """Split the words behind a subcommand into flags and overrides.

    Raises
    ------
    UserError
        At a flag that does not exist, or a word that is no override.
    """
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False, allow_abbrev=False)
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--multirun", "-m", action="store_true")
    parser.add_argument("--config-dir", "-cd")
    parser.add_argument("--cfg", "-c")
    parser.add_argument("--info", "-i", nargs="?", const="all")
    parser.add_argument("--package", "-p")
    parser.add_argument("--resolve", action="store_true")
    parser.add_argument("--hydra-help", action="store_true")
    try:
        found, unknown = parser.parse_known_intermixed_args(list(words))
    except argparse.ArgumentError as error:
        raise UserError(str(error), where=COMMAND_LINE, do="see genexp COMMAND --help") from None
    if unknown:
        raise UserError(
            f"there is no option {unknown[0]}",
            where=COMMAND_LINE,
            expected="-m, --cfg job, --info, --config-dir DIR, --help, or key=value",
            received=unknown[0],
            do="settings are given as key=value, without dashes",
        )
    if found.config_dir and not Path(found.config_dir).is_dir():
        raise UserError(
            "there is no such folder",
            where="--config-dir",
            expected="a folder with config files, as conf/ has them",
            received=found.config_dir,
            do="check the path",
        )
    if found.cfg and found.cfg not in ("job", "hydra", "all"):
        raise UserError(
            "--cfg shows one of three", where="--cfg", expected="job, hydra or all", received=found.cfg, do="--cfg job"
        )
    if found.info and "=" in found.info:  # a bare --info before an override
        found.overrides, found.info = [found.info, *found.overrides], "all"
    if found.info and found.info not in INFO:
        expected = " or ".join((", ".join(INFO[:-1]), INFO[-1]))
        raise UserError(
            "there is no such information", where="--info", expected=expected, received=found.info, do="--info defaults"
        )
    shows = bool(found.cfg or found.info or found.hydra_help)
    overrides = tuple(map(parse_override, found.overrides))
    only_config = found.cfg if not (found.package or found.resolve or found.info) else None
    if (found.resolve or found.package) and not found.cfg:
        flag = "--resolve" if found.resolve else "--package"
        raise UserError(f"{flag} goes with --cfg", where=COMMAND_LINE, received=flag, do=f"--cfg job {flag}")
    return Arguments(overrides, found.multirun, shows, only_config, found.config_dir, words_for_hydra(found))


def words_for_hydra(found: argparse.Namespace) -> tuple[str, ...]:
    """Return the command line as Hydra understands it: flags first, each with its value in one word."""
    values = {"config-dir": found.config_dir, "cfg": found.cfg, "info": found.info, "package": found.package}
    switches = {"multirun": found.multirun, "resolve": found.resolve, "hydra-help": found.hydra_help}
    flags = [f"--{name}={value}" for name, value in values.items() if value]
    return (*flags, *(f"--{name}" for name, on in switches.items() if on), *found.overrides)


def parse_override(word: str) -> Override:
    """Parse one ``key=value`` word in Hydra's grammar."""
    try:
        return OverridesParser.create().parse_overrides([word])[0]
    except HydraException:
        key = word.partition("=")[0]
        raise UserError(
            "this word cannot be understood",
            where=COMMAND_LINE,
            expected="key=value, for example model=xpresso or training.epochs=10; lists as 'data.window=[0,2000]'",
            received=word,
            do=f"""put a value with spaces or commas in quotes within those of the shell: "{key}='...'\"""",
        ) from None


def first_value(override: Override) -> str:
    """Return a sweep override with its first value only."""
    first = next(iter(override.sweep_string_iterator()), None)
    if first is None:
        raise UserError(
            f"{override.key_or_group} has no value at all",
            where=COMMAND_LINE,
            expected="a sweep over at least one value",
            received=override.input_line,
            do=f"for example {override.key_or_group}=range(3)",
        )
    return f"{override.get_key_element()}={first}"


#: The keys of Hydra that say where runs land; a mistake in them would be noticed too late.
HYDRA_DIRECTORIES = ("hydra.run.dir", "hydra.sweep.dir", "hydra.sweep.subdir")


def check_overrides(command: str, arguments: Arguments) -> None:
    """Raise a UserError at the first override that names no group, option or key, with the nearest right name."""
    options = groups_of(command, arguments.config_dir)
    check_beside_resume(command, arguments)
    for override in arguments.overrides:
        check_form(override, arguments.multirun)
        check_not_empty(override)
        if override.key_or_group in options:
            check_option(override, options[override.key_or_group])
    check_preset(command, arguments)
    for choices in chosen_names(command, arguments):
        known = sorted(all_keys(SCHEMAS[command], choices))
        for override in arguments.overrides:
            group = override.key_or_group.split(".")[0]
            where = f"{COMMAND_LINE}, with {group}={choices[group]}" if group in choices else COMMAND_LINE
            check_key(override, known, list(options), where)


#: What may be said beside resume=DIR; everything else is the run's own.
RESUME_OVERRIDES = ("training.epochs", "training.patience", "hardware")


def check_beside_resume(command: str, arguments: Arguments) -> None:
    """Raise a UserError if a run that goes on is given settings that are its own."""
    keys = {o.key_or_group: str(o.input_line) for o in arguments.overrides}
    if command != "train" or keys.get("resume", "").partition("=")[2] in ("", "null"):
        return
    refused = [key for key in keys if not key.startswith((*RESUME_OVERRIDES, "resume", "hydra."))]
    if refused:
        raise UserError(
            "a resumed run keeps its own settings",
            where=keys["resume"],
            expected=f"at most {', '.join(RESUME_OVERRIDES)} beside resume",
            received=", ".join(refused),
            do="leave them out, or start a new run with them",
        )


def check_preset(command: str, arguments: Arguments) -> None:
    """Raise a UserError if a packaged preset is given another model than the one it is a result of."""
    said = {o.key_or_group: o for o in arguments.overrides if not o.is_sweep_override()}
    if not {"experiment", "model"} <= said.keys():
        return
    name, model = said["experiment"].value(), said["model"].value()
    own = chosen_options(command, [f"experiment={name}"])["model"]
    if (CONF_DIR / "experiment" / f"{name}.yaml").is_file() and model != own:
        raise UserError(
            f"experiment={name} is a result of model={own}",
            where=COMMAND_LINE,
            expected=f"model={own}, or no model=",
            received=said["model"].input_line,
            do="leave one of the two out",
        )


def chosen_names(command: str, arguments: Arguments) -> list[dict[str, str]]:
    """Return the names of the model and the dataset of every job of the command line; their keys differ by name."""
    options = default_options(command)
    deciding = [o for o in arguments.overrides if o.key_or_group in {"model", "dataset", "experiment"} & set(options)]
    values = [
        [str(v) for v in o.sweep_string_iterator()] if o.is_sweep_override() else [str(o.value())] for o in deciding
    ]
    jobs = [dict(zip((o.key_or_group for o in deciding), job, strict=True)) for job in product(*values)]
    if arguments.config_dir or any("experiment" in job for job in jobs):
        # A preset, or a file of the user's own, may choose what its name does not tell.
        whole = [composed(command, [f"{k}={v}" for k, v in job.items()], arguments.config_dir) for job in jobs]
        names = [{k: str(w[k].get("name")) for k in ("model", "dataset") if w.get(k)} for w in whole]
    else:
        names = [{k: (options | job)[k] for k in ("model", "dataset") if k in options} for job in jobs]
    return [n for number, n in enumerate(names) if n not in names[:number]]


def check_key(override: Override, known: list[str], groups: list[str], where: str) -> None:
    """Raise a UserError if an override names none of the known keys, nor a group."""
    key = override.key_or_group
    if key.startswith(("hydra.run.", "hydra.sweep.")) and key not in HYDRA_DIRECTORIES:
        raise unknown_key(key, sorted(HYDRA_DIRECTORIES), where)
    if key in HYDRA_DIRECTORIES and override.value() is None:
        raise UserError(
            f"{key} is empty",
            where=where,
            expected="a directory; . for the current one",
            received=override.input_line,
            do="name a directory, or leave the word out: runs then land in outputs/",
        )
    if key.startswith("experiment."):
        raise UserError(
            f"{key} is what was published, and no setting",
            where=where,
            expected="experiment=NAME, and settings such as training.epochs=10",
            received=override.input_line,
            do="leave it out; a result of your own belongs into an experiment/ file of your own (--config-dir)",
        )
    if key.startswith(("hydra.", "hydra/")) or key in known or key in groups:
        return
    below = [k for k in known if k.startswith(key + ".")]
    if not below:
        raise unknown_key(key, sorted({*known, *groups}), where)
    raise UserError(
        f"{key} is a group of keys",
        where=where,
        expected=f"one of its keys: {', '.join(below)}",
        received=override.input_line,
        do=f"name the key, for example {below[0]}=...",
    )


def check_form(override: Override, multirun: bool) -> None:
    """Raise a UserError at several values without ``-m``, and at the removal of a key."""
    word = str(override.input_line)
    if override.is_delete():
        raise UserError(
            f"{override.key_or_group} cannot be removed",
            where=COMMAND_LINE,
            expected="key=value; null where a key may be empty",
            received=word,
            do="give it another value, or leave the word out for the default",
        )
    if override.is_sweep_override() and not multirun:
        raise UserError(
            f"{override.key_or_group} has several values",
            where=COMMAND_LINE,
            expected="one value, or -m for a sweep over all of them; a list stands in brackets: key=[a,b]",
            received=word,
            do=f"genexp COMMAND -m {word}",
        )


def check_not_empty(override: Override) -> None:
    """Raise a UserError at ``key=`` without a value, as a shell variable that is not set leaves it."""
    if not override.is_sweep_override() and override.value() == "":
        raise UserError(
            f"{override.key_or_group} is empty",
            where=COMMAND_LINE,
            expected=f"{override.key_or_group}=VALUE",
            received=override.input_line,
            do="give it a value, or leave the word out for the default",
        )


def check_option(override: Override, options: list[str]) -> None:
    """Raise a UserError if a group has no such option, or is to be added though it is there."""
    group, word = override.key_or_group, str(override.input_line)
    if word.startswith("+"):
        raise UserError(
            f"the group {group} is there already, it cannot be added",
            where=COMMAND_LINE,
            expected=word.lstrip("+"),
            received=word,
            do="leave the + out",
        )
    values = list(override.sweep_string_iterator()) if override.is_sweep_override() else [override.value()]
    for value in values:
        if str(value) not in options:
            raise UserError(
                f"there is no {group} {'null' if value is None else value}",
                where=f"{COMMAND_LINE}, {override.input_line}",
                expected=f"one of {', '.join(options)}",
                received=override.input_line,
                do=f"{same_letters(str(value), options) or nearest(str(value), options)}choose one of these, or write "
                "conf files of your own and name their folder with --config-dir",
            )


def same_letters(word: str, options: list[str]) -> str:
    """Suggest the option of the same letters: PH for HP."""
    match = next((option for option in options if sorted(option) == sorted(word.upper())), None)
    return f"did you mean '{match}'? " if match else ""


def composed(command: str, overrides: list[str], config_dir: str | None) -> DictConfig:
    """Compose a config with Hydra, its own node included.

    Raises
    ------
    UserError
        For whatever Hydra finds wrong.
    """
    if config_dir:
        overrides = [*overrides, f"hydra.searchpath=['file://{Path(config_dir).resolve()}']"]
    try:
        with initialize_config_dir(str(CONF_DIR), version_base="1.3", job_name=command):
            return compose(command, overrides, return_hydra_config=True)
    except yaml.YAMLError as error:
        raise UserError(
            "a config file is no YAML",
            where=" ".join(str(getattr(error, "problem_mark", "")).split()) or "the config files",
            expected="key: value lines, as in conf/",
            received=getattr(error, "problem", None) or str(error).splitlines()[0],
            do="correct the file",
        ) from None
    except (HydraException, OmegaConfBaseException) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise UserError(
            lines[0] if lines else type(error).__name__,
            where=COMMAND_LINE,
            received=" ".join(overrides),
            do=" ".join(lines[1:6]) or f"see genexp {command} --help",
        ) from None


def checked_config(
    command: str, overrides: list[str], config_dir: str | None, *, to_show: bool = False
) -> tuple[Any, DictConfig]:
    """Return the validated config of a subcommand, and the config as Hydra composed it.

    One that is only to be shown may lack values, and then only the second is of use.
    """
    whole = composed(command, overrides, config_dir)
    forbid_targets(whole)
    own = whole.copy()
    with open_dict(own):
        del own["hydra"]
    config: Any = validate(own, SCHEMAS[command], source_of(overrides), to_show=to_show)
    return decided(config, overrides) if isinstance(config, TrainConfig) else config, whole


def decided(config: TrainConfig, overrides: list[str]) -> TrainConfig:
    """Return the config of a run with what is left to decide, or no longer true, by what the command line says."""
    said = keys_of(overrides)
    if isinstance(config.model, KmerModelConfig):
        config = replace(config, model=config.model.decided(said))
    if config.experiment and "data" in said:
        name = config.experiment.name
        packaged = (CONF_DIR / "experiment" / f"{name}.yaml").is_file()
        if packaged and chosen_options("train", [f"experiment={name}"])["data"] != config.data.name:
            config = replace(config, experiment=None)  # its published r2 is that of other blocks
    return config


def keys_of(overrides: Iterable[str]) -> set[str]:
    """Return the keys that overrides name."""
    return {word.lstrip("+").partition("=")[0] for word in overrides}


def without_effect(config: TrainConfig, overrides: Iterable[str]) -> list[str]:
    """Return a sentence for each word of the command line that has no effect, or less than one may think."""
    said, sentences = keys_of(overrides), []
    if isinstance(config.model, KmerModelConfig):
        instead = config.model.embedding.vectors or config.model.embedding.kind
        sentences = [f"{key} has no effect: the embedding is {instead}" for key in config.model.idle(said)]
    if "experiment" in said and config.experiment is None:
        sentences.append(f"with data={config.data.name} this is no repeat of a published result, whose r2 is left out")
    return sentences


def source_of(overrides: list[str]) -> str:
    """Return words that tell where a config came from."""
    experiment = next((o for o in overrides if o.lstrip("+").startswith("experiment=")), None)
    return f"the command line and {experiment}" if experiment else "the command line and conf/"


#: Hydra makes objects of what these name, so they may name nothing but Hydra's own and its plugins'.
TARGET_PREFIXES = ("hydra._internal.core_plugins.", "hydra_plugins.", "logging.", "hydra.")


def forbid_targets(whole: DictConfig) -> None:
    """Raise a UserError if merged YAML names something to be called: a config never executes code."""
    plain = OmegaConf.to_container(whole, resolve=False)
    for path, value in walk(plain):
        name = path.rsplit(".", 1)[-1]
        outside = path.split(".")[0] != "hydra" or path.startswith("hydra.callbacks")
        if name in ("_target_", "()") and (outside or not str(value).startswith(TARGET_PREFIXES)):
            raise UserError(
                "a config must not name code to be called",
                where=path,
                expected="no _target_; models, datasets and hardware are chosen by plain names",
                received=value,
                do="remove it from your config files or the command line",
            )


def walk(node: Any, path: str = "") -> list[tuple[str, Any]]:
    """Return the dotted path and value of every leaf."""
    if isinstance(node, dict):
        return [leaf for key, value in node.items() for leaf in walk(value, f"{path}.{key}" if path else str(key))]
    if isinstance(node, list):
        return [leaf for n, value in enumerate(node) for leaf in walk(value, f"{path}.{n}")]
    return [(path, node)]
