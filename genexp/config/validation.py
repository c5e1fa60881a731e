"""A config held to its schema once; whatever pydantic finds wrong becomes one message."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from genexp.config.keys import dotted, fields
from genexp.errors import UserError, nearest
from genexp.schema import Schema

S = TypeVar("S", bound=Schema)

#: Errors that are shown in full; a file cut short has dozens.
SHOWN = 8

#: What pydantic's kinds of errors expect, in words; ``{}`` is a value of the error's context.
EXPECTED = {
    "int_type": "an integer",
    "int_from_float": "an integer",
    "int_parsing": "an integer",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "text",
    "list_type": "a list in brackets",
    "dict_type": "a group of keys",
    "model_type": "a group of keys",
    "model_attributes_type": "a group of keys",
    "greater_than": "above {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "below {lt}",
    "less_than_equal": "at most {le}",
    "finite_number": "a finite number",
    "too_short": "a list of at least {min_length}",
    "too_long": "a list of at most {max_length}",
    "literal_error": "one of {expected}",
}


class Missing(UserError):
    """A key that has no default and was not given."""


def validate(values: Mapping[str, Any], schema: type[S], source: str) -> S:
    """Turn plain values, in which ``???`` stands for a missing one, into a config; `source` is where they come from.

    The UserError names every unknown key, wrong type, missing or impossible value and impossible combination.
    """
    try:
        return schema.model_validate(_without_missing(values))
    except ValidationError as error:
        raise _joined(_problems(schema, error, source, values), source) from None


def check_shown(values: Mapping[str, Any], schema: type[Schema], source: str) -> None:
    """Check a config that is only to be shown: as `validate`, but values may be missing."""
    try:
        schema.model_validate(_without_missing(values))
    except ValidationError as error:
        if problems := [p for p in _problems(schema, error, source, values) if not isinstance(p, Missing)]:
            raise _joined(problems, source) from None


def _joined(problems: Sequence[UserError], source: str) -> UserError:
    if len(problems) == 1:
        return problems[0]
    lines = [f"{number}. {problem}" for number, problem in enumerate(problems[:SHOWN], 1)]
    more = [f"... and {len(problems) - SHOWN} more"] * (len(problems) > SHOWN)
    return UserError("\n".join([f"{len(problems)} errors in {source}", *lines, *more]))


def _without_missing(values: Any) -> Any:
    if isinstance(values, Mapping):
        return {key: _without_missing(value) for key, value in values.items() if value != "???"}
    return values


def _problems(schema: type[Schema], error: ValidationError, source: str, values: Mapping[str, Any]) -> list[UserError]:
    """Return one UserError for each key that is wrong."""
    names = {group: inner.get("name") for group, inner in values.items() if isinstance(inner, Mapping)}
    by_key: dict[str, list[ErrorDetails]] = {}
    for found in error.errors(include_url=False):
        by_key.setdefault(dotted(schema, found["loc"], names), []).append(found)
    known = [key for key, _ in fields(schema, names)]
    return [_problem(key, found, known, source) for key, found in by_key.items()]


def _problem(key: str, found: list[ErrorDetails], known: list[str], source: str) -> UserError:
    error = found[0]
    kind, context, received = error["type"], error.get("ctx", {}), error.get("input")
    if kind == "extra_forbidden":
        return unknown_key(key, known, source)
    if kind == "missing":
        return Missing(f"{key} is missing", where=source, hint=f"add {key}=...")
    if kind == "combination":
        parts = {name: context.get(name) for name in ("where", "expected", "received", "hint")}
        return UserError(context["what"], **parts)
    wanted = " or ".join(dict.fromkeys(EXPECTED.get(e["type"], e["msg"]).format(**e.get("ctx", {})) for e in found))
    wrong_type = kind.endswith("_type") or kind == "int_from_float"
    what = f"{key} has the wrong type" if wrong_type else f"{key} is impossible"
    if kind in ("too_short", "too_long"):
        what = f"{key} has {context['actual_length']} values"
    hint = ""
    if kind == "literal_error":
        wanted = f"one of {', '.join(_choices(context['expected']))}"
        hint = nearest(str(received), _choices(context["expected"])).strip()
    shown = f"{received!r} ({type(received).__name__})" if wrong_type else received
    return UserError(what, where=source, expected=wanted, received=shown, hint=hint or None)


def _choices(expected: str) -> list[str]:
    """Return the words of a literal from pydantic's text: ``"'a', 'b' or 'c'"``."""
    return [word.strip("'") for word in expected.replace(" or ", ", ").split(", ")]


def unknown_key(key: str, known: list[str], source: str) -> UserError:
    """Return the error for a key that does not exist, with the nearest right name."""
    group = key.rpartition(".")[0]
    while group and not any(name.startswith(group + ".") for name in known):
        group = group.rpartition(".")[0]
    start = f"{group}." if group else ""
    siblings = {name.removeprefix(start).split(".")[0] for name in known if name.startswith(start)}
    expected = f"one of {', '.join(sorted(siblings))}"
    hint = f"{nearest(key, [*(start + name for name in sorted(siblings)), *known])}correct or remove it"
    return UserError(f"there is no key {key}", where=source, expected=expected, hint=hint)


def to_yaml(config: Schema) -> str:
    """Return a config as YAML text, complete and without interpolations."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
