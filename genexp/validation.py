"""The one place where a config is validated: types, limits, unknown keys and impossible combinations."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, get_type_hints

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from genexp.config import (
    BLOCK_LETTERS,
    MODELS,
    DatasetConfig,
    DemoConfig,
    ExperimentConfig,
    ImportConfig,
    ModelConfig,
    TrainConfig,
)
from genexp.errors import UserError, nearest

C = TypeVar("C")

#: Mistakes that are shown in full; a file cut short has dozens.
SHOWN = 8


class Missing(UserError):
    """A key that has no default and was not given."""


def validate(
    config: Mapping[str, Any] | DictConfig, schema: type[C], source: str = "the config", *, to_show: bool = False
) -> C:
    """Turn a composed config into its dataclass.

    Parameters
    ----------
    config
        The config as Hydra composed it, or as a file holds it.
    schema
        `TrainConfig`, `EvaluateConfig`, ...
    source
        Where the config comes from, for messages.
    to_show
        The config is only to be shown, so it may lack values; then what is returned is of no use.

    Raises
    ------
    UserError
        Naming every unknown key, wrong type, missing or impossible value, and impossible combination.
    """
    node = config if isinstance(config, DictConfig) else OmegaConf.create(dict(config))
    problems: list[UserError] = []
    built = _build(schema, node, "", source, problems)
    if not problems and isinstance(built, TrainConfig | ImportConfig):
        problems += _combinations(built, source)
    if to_show:
        problems = [problem for problem in problems if not isinstance(problem, Missing)]
    if len(problems) == 1:
        raise problems[0]
    if problems:
        rest = "\n".join(f"{n}. {p}" for n, p in enumerate(problems[:SHOWN], 1))
        if len(problems) > SHOWN:
            rest += f"\n... and {len(problems) - SHOWN} more"
        raise UserError(f"{len(problems)} mistakes in {source}\n{rest}", where=None, do=None)
    return built


def _build(schema: type[C], node: DictConfig, path: str, source: str, problems: list[UserError]) -> C:
    """Fill one dataclass from one config node, noting every problem."""
    known = {f.name: f for f in fields(schema)}  # type: ignore[arg-type]
    names = sorted(path + k for k in known)
    problems.extend(unknown_key(path + str(name), names, source) for name in node if name not in known)
    typed = OmegaConf.structured(schema)
    values: dict[str, Any] = {}
    for name, spec in known.items():
        inner = sub_schema(schema, name, node)
        dotted = path + name
        try:
            if inner is not None:
                if name in getattr(schema, "optional", ()) and node.get(name) is None:
                    values[name] = None
                    continue
                if not isinstance(node.get(name), DictConfig):
                    problems.append(_missing(dotted, source))
                    continue
                values[name] = _build(inner, node[name], dotted + ".", source, problems)
                continue
            if name in node and not OmegaConf.is_missing(node, name):
                typed[name] = _widen(node[name], spec.metadata.get("length"), name)
            if OmegaConf.is_missing(typed, name):
                problems.append(_missing(dotted, source))
                continue
            value = OmegaConf.to_container(typed, resolve=True)[name]  # type: ignore[index, call-overload]
        except OmegaConfBaseException as error:
            problems.append(_wrong_value(dotted, source, type_name(schema, name), node, name, error))
            continue
        values[name] = value
        problems += _out_of_limits(dotted, value, spec.metadata, source)
    return schema(**{**dict.fromkeys(known), **values}) if not problems else None  # type: ignore[return-value]


def sub_schema(schema: type, name: str, node: Mapping[str, Any] | DictConfig) -> type | None:
    """Return the dataclass of a nested group, chosen by its content for ``model`` and ``dataset``."""
    hint = get_type_hints(schema)[name]
    if is_dataclass(hint):
        return hint  # type: ignore[return-value]
    if hint is Any and name in ("model", "dataset"):
        inner = node.get(name)
        chosen = inner.get("name") if isinstance(inner, Mapping | DictConfig) else None
        if name == "dataset":
            return DemoConfig if chosen == "demo" else DatasetConfig
        return MODELS.get(str(chosen), ModelConfig)
    return ExperimentConfig if hint is Any and name == "experiment" else None


def _widen(value: Any, length: int | None, name: str) -> Any:
    """Let one number stand for a list of equal numbers: ``model.dropout=0.2`` where there are two dropouts."""
    if length and name == "dropout" and isinstance(value, int | float) and not isinstance(value, bool):
        return [float(value)] * length
    if name in ("loss", "optimizer") and isinstance(value, str):
        return value.lower()
    return value


def type_name(schema: type, name: str) -> str:
    """Return the type of a key in words: ``"int or null"``, ``"list of int"``."""
    text = (
        str(fields_of(schema)[name].type).replace("list[", "list of ").replace("]", "").replace(" | None", " or null")
    )
    for code, word in (("int", "integer"), ("float", "number"), ("bool", "true or false"), ("str", "text")):
        text = " ".join(word if t == code else t for t in text.split())
    return text


def fields_of(schema: type) -> dict[str, Any]:
    """Return the dataclass fields of a schema by name."""
    return {f.name: f for f in fields(schema)}


def _out_of_limits(dotted: str, value: Any, metadata: Mapping[str, Any], source: str) -> list[UserError]:
    if value is None:
        return []
    problems = []
    length, items = metadata.get("length"), value if isinstance(value, list) else [value]
    if length and len(items) != length:
        problems.append(
            UserError(
                f"{dotted} has {len(items)} values",
                where=source,
                expected=f"{length} values",
                received=value,
                do=f"give {dotted}=[{','.join('abc'[:length])}]",
            )
        )
    limits = metadata.get("limits", {})
    if any(isinstance(v, float) and not math.isfinite(v) for v in items):
        problems.append(
            UserError(
                f"{dotted} is impossible",
                where=source,
                expected="a finite number",
                received=value,
                do=f"change {dotted}",
            )
        )
        return problems
    tests: dict[str, tuple[Callable[[Any, Any], bool], str]] = {
        "choices": (lambda v, limit: v in limit, "one of {}"),
        "at_least": (lambda v, limit: v >= limit, "at least {}"),
        "above": (lambda v, limit: v > limit, "above {}"),
        "at_most": (lambda v, limit: v <= limit, "at most {}"),
        "below": (lambda v, limit: v < limit, "below {}"),
        "count_or": (lambda v, words: v in words or (type(v) is int and v > 0), "a positive integer, or {}"),
    }
    for name, limit in limits.items():
        test, words = tests[name]
        bad = [v for v in items if not test(v, limit)]
        if bad:
            shown = ", ".join(map(str, limit)) if isinstance(limit, tuple) else limit
            hint = nearest(str(bad[0]), map(str, limit)) if name == "choices" else ""
            problems.append(
                UserError(
                    f"{dotted} is impossible",
                    where=source,
                    expected=words.format(shown),
                    received=bad[0],
                    do=f"{hint}change {dotted}",
                )
            )
    return problems


def _missing(dotted: str, source: str) -> Missing:
    return Missing(f"{dotted} is missing", where=source, expected="a value", received="none", do=f"add {dotted}=...")


def _wrong_value(dotted: str, source: str, expected: str, node: Any, name: str, error: Exception) -> UserError:
    try:
        received = node[name]
    except OmegaConfBaseException:  # an interpolation that leads nowhere
        return UserError(
            f"{dotted} cannot be resolved",
            where=source,
            expected=f"{expected}, or ${{KEY}} with the name of another key",
            received=str(error).splitlines()[0],
            do=f"change {dotted}",
        )
    shown = list(received) if isinstance(received, ListConfig) else received
    kind = type(shown).__name__
    return UserError(
        f"{dotted} has the wrong type",
        where=source,
        expected=expected,
        received=f"{shown!r} ({kind})",
        do=f"change {dotted}",
    )


def unknown_key(dotted: str, known: list[str], source: str) -> UserError:
    """Return the error for a key that does not exist, with the nearest right name."""
    hint = nearest(dotted, known)
    group = dotted.rpartition(".")[0]
    while group and not any(k.startswith(group + ".") for k in known):
        group = group.rpartition(".")[0]
    siblings = sorted(
        {k for k in known if k.rpartition(".")[0] == group} if group else {k.split(".")[0] for k in known}
    )
    return UserError(
        f"there is no key {dotted}",
        where=source,
        expected=f"one of {', '.join(siblings)}",
        received=dotted,
        do=f"{hint}correct or remove it; an unknown key would have no effect",
    )


def all_keys(schema: type, choices: Mapping[str, str], path: str = "") -> Iterator[str]:
    """Yield every dotted key of a schema; `choices` says which model and dataset are meant."""
    for spec in fields(schema):
        node = {g: {"name": choices.get(g)} for g in ("model", "dataset")}
        inner = sub_schema(schema, spec.name, node)
        if inner is None:
            yield path + spec.name
        else:
            yield from all_keys(inner, choices, f"{path}{spec.name}.")


def _combinations(config: TrainConfig | ImportConfig, source: str) -> list[UserError]:
    """Check what only several keys together can get wrong, as far as it needs no data."""
    problems = []
    name, model = config.data.name, config.model
    if config.model.name not in MODELS:
        return [
            UserError(
                f"there is no model {model.name}",
                where=f"model.name in {source}",
                expected=f"one of {', '.join(MODELS)}",
                received=model.name,
                do=f"{nearest(model.name, MODELS)}choose one with model=...",
            )
        ]
    if not name or name != "".join(b for b in BLOCK_LETTERS if b in name):
        problems.append(
            UserError(
                f"data.name {name!r} is no combination of blocks",
                where=f"data.name in {source}",
                expected="letters of P (promoter), H (half-life), T (TF), M (miRNA), each at most once, in this order",
                received=name,
                do="choose one with data=PH, data=PHT, ...",
            )
        )
    elif (model.reads is None) == ("P" in name):
        problems.append(_model_cannot_read(name, model))
    window = config.data.window
    if window and window[0] >= window[1]:
        problems.append(
            UserError(
                "data.window is empty",
                where=f"data.window in {source}",
                expected="[left, right) with left < right, in promoter coordinates",
                received=window,
                do="for example data.window=[3000,13500]",
            )
        )
    if window and "P" not in name:
        problems.append(
            UserError(
                f"data.window is given, but data={name} has no promoter",
                where=f"data.window in {source}",
                expected="null",
                received=window,
                do=f"leave data.window out, or choose data=P{name}",
            )
        )
    return problems


def _model_cannot_read(name: str, model: ModelConfig) -> UserError:
    if model.reads is None:
        expected = "feature blocks only: H, T, M, HT, HM, TM or HTM"
        do = "leave P out (data=T), or choose a model with a promoter encoder (model=xpresso)"
    else:
        expected = "data with a promoter: P, PH, PT, PM, PHT, PHM, PTM or PHTM"
        do = f"add P (data=P{name}), or choose model=fc_net, which reads feature blocks only"
    return UserError(
        f"model={model.name} cannot be trained on data={name}",
        where="model and data together",
        expected=expected,
        received=f"data={name}",
        do=do,
    )


def to_yaml(config: Any) -> str:
    """Return a validated config as YAML text, complete and without interpolations."""
    return OmegaConf.to_yaml(OmegaConf.structured(config))
