"""The JSON Schema of a config, for editors that complete and check YAML."""

from __future__ import annotations

from typing import Any

from genexp.config.keys import group_class
from genexp.errors import UserError, nearest
from genexp.schema import Schema

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema(schema: type[Schema], group: str | None = None, *, partial: bool = False) -> dict[str, Any]:
    """Return the JSON Schema of a config class, or of one of its groups such as ``model``.

    `partial` is for the files of ``conf/``, each of which holds some of the keys: no key is required, and Hydra's own
    keys ``defaults`` and ``hydra`` are allowed.
    """
    found: dict[str, Any] = schema.model_json_schema(mode="validation")
    if group is not None:
        groups = [name for name, field in schema.model_fields.items() if group_class(field)]
        if group not in groups:
            expected = f"one of {', '.join(groups)}"
            raise UserError(f"there is no group {group}", expected=expected, hint=nearest(group, groups) or None)
        found = {**found["properties"][group], "$defs": found.get("$defs", {})}
    if partial:
        found = _relaxed(found)
        for top in _objects(found, found.get("$defs", {})):
            top["properties"] |= {"defaults": {"type": "array"}, "hydra": {"type": "object"}}
    return {"$schema": DIALECT, **found}


def _objects(node: dict[str, Any], definitions: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the objects that a schema stands for: itself, what it refers to, or its alternatives."""
    if "$ref" in node:
        return _objects(definitions[node["$ref"].rpartition("/")[2]], definitions)
    inner = [found for choice in node.get("anyOf", []) for found in _objects(choice, definitions)]
    return [*([node] if "properties" in node else []), *inner]


def _relaxed(node: Any) -> Any:
    """Return a schema without required keys; an interpolation may stand for any value."""
    if isinstance(node, dict):
        kept = {key: _relaxed(value) for key, value in node.items() if key != "required" or not isinstance(value, list)}
        if kept.get("type") in ("integer", "number", "boolean") or "enum" in kept or "const" in kept:
            return {"anyOf": [kept, {"type": "string", "pattern": r"^\?\?\?$|\$\{.*\}"}]}
        return kept
    return [_relaxed(value) for value in node] if isinstance(node, list) else node
