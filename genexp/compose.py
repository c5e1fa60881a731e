"""From command-line words to a checked config: what Hydra would say late or tersely is said here, first and clearly."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from genexp.arguments import COMMAND_LINE, Arguments
from genexp.conf_files import CONF_DIR, chosen_options, default_options, groups_of
from genexp.config import SCHEMAS, KmerModelConfig, TrainConfig
from genexp.errors import UserError, nearest
from genexp.validation import all_keys, unknown_key, validate

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
