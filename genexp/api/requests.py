"""What a notebook asks of a run, held to the schema of the command that does the same."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from genexp.config import conf
from genexp.config.validation import validate
from genexp.schema import Schema

S = TypeVar("S", bound=Schema)


def requested(command: str, schema: type[S], given: Mapping[str, Any]) -> S:
    """Return the keys of a command as a config: those given, and for others the defaults of its file in ``conf/``.

    A UserError is raised for an unknown key, a wrong type and a missing or impossible value.
    """
    keys: dict[str, Any] = {}
    for file in (*conf.included_files(command), conf.CONF_DIR / f"{command}.yaml"):
        keys |= {key: value for key, value in conf.load(file).items() if key in schema.model_fields}
    for key, value in given.items():
        group = isinstance(value, Mapping) and isinstance(keys.get(key), dict)
        keys[key] = {**keys[key], **value} if group else str(value) if isinstance(value, Path) else value
    return validate(keys, schema, f"the keys of genexp {command}")
