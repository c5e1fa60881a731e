"""Search spaces: the keys of a run that are searched, and their values, as plain data in ``conf/tune/``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from genexp.config.keys import leaves, value_at
from genexp.config.validation import unknown_key, validate
from genexp.errors import UserError
from genexp.schema import Schema
from genexp.training.config import RunConfig

if TYPE_CHECKING:
    from optuna.trial import Trial

#: Keys that are not settings: they choose the genes or the task, or make a repeat of the same run.
NOT_SEARCHED = (
    *("seed", "test", "logger", "experiment", "dataset", "hardware"),
    *("model.name", "data.name", "data.labels", "training.start_from"),
)
#: A part of a range of whole numbers that is no whole number.
GOLDEN = (3 - 5**0.5) / 2
EXPECTED = "a list of values, {low: ..., high: ...}, perhaps with log: true, or null"


class RangeConfig(Schema):
    """A range as a search space holds it."""

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True)
class Range:
    """Numbers between two ends, both included; whole ones where the key takes no others."""

    low: float
    high: float
    log: bool
    whole: bool

    def suggest(self, trial: Trial, key: str) -> Any:
        """Return the value of a trial."""
        if self.whole:
            return trial.suggest_int(key, int(self.low), int(self.high), log=self.log)
        return trial.suggest_float(key, self.low, self.high, log=self.log)

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high

    def stored(self, value: Any) -> Any:
        """Return a value as a study stores it."""
        return value

    def value(self, stored: Any) -> Any:
        """Return a value from what a study stores."""
        return stored

    def plain(self) -> Any:
        """Return what a YAML file holds."""
        ends = {"low": int(self.low), "high": int(self.high)} if self.whole else {"low": self.low, "high": self.high}
        return {**ends, "log": self.log}


@dataclass(frozen=True)
class Choices:
    """Values without an order. A study stores a list as its JSON text."""

    values: tuple[Any, ...]

    def suggest(self, trial: Trial, key: str) -> Any:
        """Return the value of a trial."""
        return self.value(trial.suggest_categorical(key, [self.stored(value) for value in self.values]))

    def __contains__(self, value: object) -> bool:
        return any(_same(value, choice) for choice in self.values)

    def stored(self, value: Any) -> Any:
        """Return a value as a study stores it."""
        return json.dumps(value) if isinstance(value, list) else value

    def value(self, stored: Any) -> Any:
        """Return a value from what a study stores."""
        return next(value for value in self.values if _same(self.stored(value), stored))

    def plain(self) -> Any:
        """Return what a YAML file holds."""
        return list(self.values)


Dimension = Range | Choices
Space = Mapping[str, Dimension]


def _same(one: Any, other: Any) -> bool:
    return bool(one == other and isinstance(one, bool) == isinstance(other, bool))


def parse_space(tree: Mapping[str, Any], base: RunConfig) -> dict[str, Dimension]:
    """Return what is searched, by dotted key, after a check of every value against the schema of a run.

    Parameters
    ----------
    tree
        Groups of keys as in a config. A list holds the choices for a key; ``low`` and ``high``, with ``log`` perhaps,
        are a range; null leaves a key out.
    base
        The config that the values are put into.

    Raises
    ------
    UserError
        For a key or value that the schema does not allow.
    """
    found = dict(leaves(tree, _is_range))
    known = [key for key, _ in leaves(base.model_dump(mode="json"))]
    for key, node in found.items():
        if node is None and not any(f"{name}.".startswith(f"{key}.") for name in known):
            raise unknown_key(f"space.{key}", [f"space.{name}" for name in known], "the search space")
    return {key: _dimension(key, node, base) for key, node in found.items() if node is not None}


def _is_range(node: Mapping[str, Any]) -> bool:
    return bool({*node} & {*RangeConfig.model_fields})


def _dimension(key: str, node: Any, base: RunConfig) -> Dimension:
    where = f"space.{key}"
    if key.startswith(NOT_SEARCHED):
        raise UserError(f"{key} is no setting that can be searched", where=where, hint=f"remove it, or {where}=null")
    if isinstance(node, Mapping):
        return _range(key, node, base, where)
    if not isinstance(node, list) or not node:
        raise UserError(f"{key} has no values to search", where=where, expected=EXPECTED, received=repr(node))
    values = tuple(value_of(changed(base, {key: value}, where), key) for value in node)
    return Choices(values)


def _range(key: str, node: Mapping[str, Any], base: RunConfig, where: str) -> Range:
    found = validate(node, RangeConfig, where)
    if not found.low < found.high or (found.log and found.low <= 0):
        expected = "low below high" + ", and above 0 on a log scale" * found.log
        raise UserError(f"the range of {key} is impossible", where=where, expected=expected, received=dict(node))
    ends = [value_of(changed(base, {key: node[end]}, where), key) for end in ("low", "high")]
    if not all(isinstance(end, int | float) and not isinstance(end, bool) for end in ends):
        raise UserError(f"{key} has no range", where=where, expected="a list of values", received=dict(node))
    between = found.low + GOLDEN * (found.high - found.low)
    whole = float(found.low).is_integer() and float(found.high).is_integer() and not _takes(base, key, between)
    return Range(found.low, found.high, found.log, whole)


def _takes(base: RunConfig, key: str, value: Any) -> bool:
    try:
        changed(base, {key: value}, "")
    except UserError:
        return False
    return True


def changed(base: RunConfig, values: Mapping[str, Any], where: str) -> RunConfig:
    """Return a config with other values of some dotted keys, held to its schema; `where` they come from."""
    content = base.model_dump(mode="json")
    for key, value in values.items():
        *groups, last = key.split(".")
        node = content
        for group in groups:
            node = node.setdefault(group, {})
            if not isinstance(node, dict):
                raise UserError(f"there is no key {key}", where=where, hint="correct or remove it")
        node[last] = value
    return validate(content, RunConfig, where)


def value_of(config: RunConfig, key: str) -> Any:
    """Return the plain value of a dotted key."""
    return value_at(config.model_dump(mode="json"), key)
