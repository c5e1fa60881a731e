"""Dotted keys: those of a schema, and those of nested plain values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, get_args, get_origin

from pydantic.fields import FieldInfo

from genexp.schema import PATH, ByName, Schema


def leaves(
    node: Mapping[str, Any], whole: Callable[[Mapping[str, Any]], bool] = lambda group: False, path: str = ""
) -> Iterator[tuple[str, Any]]:
    """Yield each value of nested mappings with its dotted key; a mapping for which `whole` holds is a value."""
    for key, value in node.items():
        if isinstance(value, Mapping) and not whole(value):
            yield from leaves(value, whole, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def value_at(node: Any, key: str) -> Any:
    """Return the value of a dotted key in nested mappings."""
    for part in key.split("."):
        node = node[part]
    return node


def group_class(field: FieldInfo, name: str | None = None) -> type[Schema] | None:
    """Return the schema class of a group of keys, the one that `name` selects; None for a key that is no group."""
    for mark in _metadata(field):
        if isinstance(mark, ByName):
            chosen = mark.choose(name) if name else None
            return chosen or mark.choose(next(iter(mark.names())))
    kinds = [kind for kind in (field.annotation, *get_args(field.annotation)) if isinstance(kind, type)]
    return next((kind for kind in kinds if issubclass(kind, Schema)), None)


def is_path(field: FieldInfo) -> bool:
    """Tell whether a key is a path."""
    return PATH in _metadata(field)


def is_list(field: FieldInfo) -> bool:
    """Tell whether a key takes a list."""

    def holds_list(kind: Any) -> bool:
        return get_origin(kind) is list or any(map(holds_list, get_args(kind)))

    return holds_list(field.annotation)


def _metadata(field: FieldInfo) -> list[Any]:
    """Return what an annotation was marked with, ``X | None`` included."""
    inner = [mark for kind in get_args(field.annotation) for mark in getattr(kind, "__metadata__", ())]
    return [*field.metadata, *inner]


def fields(schema: type[Schema], names: Mapping[str, str | None], path: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Yield every dotted key of a schema with its field; `names` has the option of groups whose keys depend on it."""
    for name, field in schema.model_fields.items():
        inner = group_class(field, names.get(path + name))
        if inner is None:
            yield path + name, field
        else:
            yield from fields(inner, names, f"{path}{name}.")


def dotted(schema: type[Schema], loc: tuple[int | str, ...], names: Mapping[str, str | None]) -> str:
    """Return the dotted key behind pydantic's location of an error, which also holds positions and types."""
    path, current = "", schema
    for part in loc:
        if isinstance(part, int):
            break
        path = f"{path}.{part}" if path else part
        field = current.model_fields.get(part)
        inner = None if field is None else group_class(field, names.get(path))
        if inner is None:
            break
        current = inner
    return path
