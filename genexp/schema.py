"""The base of every config class, and the kinds of values that several of them share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic import GetCoreSchemaHandler as CoreHandler
from pydantic import GetJsonSchemaHandler as JsonHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, PydanticKnownError, core_schema

from genexp.errors import nearest


class Schema(BaseModel):
    """A group of config keys: typed, immutable, and without room for unknown keys.

    Types and limits stand here; default values stand in ``conf/`` alone. The text of ``Field(description=...)``
    is what the JSON Schema and the documentation say of a key.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True, protected_namespaces=())


def repeated(length: int, number: Any) -> BeforeValidator:
    """Let one `number` stand for `length` equal ones: ``model.dropout=0.2`` where there are two dropouts."""

    def widen(value: Any) -> Any:
        return [value] * length if isinstance(value, int | float) and not isinstance(value, bool) else value

    several = Annotated[list[number], Field(min_length=length, max_length=length)]
    return BeforeValidator(widen, json_schema_input_type=number | several)


#: A positive integer; a share of one; a rate at which units are dropped.
Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1, strict=False)]
Rate = Annotated[float, Field(ge=0, lt=1, strict=False)]
Positive = Annotated[float, Field(gt=0, strict=False)]
Index = Annotated[int, Field(ge=0)]
#: Half-open slice [left, right).
Window = Annotated[list[Index], Field(min_length=2, max_length=2)]
Lower = BeforeValidator(lambda value: value.lower() if isinstance(value, str) else value)


@dataclass(frozen=True)
class OneOf:
    """One of these words, which are the keys of a table."""

    words: Iterable[str]

    def __hash__(self) -> int:  # a table is a dict, which has none
        return hash(tuple(self.words))

    def __get_pydantic_core_schema__(self, source: object, handler: CoreHandler) -> CoreSchema:
        return core_schema.literal_schema(list(self.words))


@dataclass(frozen=True)
class ByName:
    """A config group whose class depends on its key ``name``; errors are located as in any group.

    The classes are looked up when a config is validated, so that a model is imported only when it is used.
    """

    #: Name of the group, for messages.
    group: str
    choose: Callable[[str], type[Schema] | None]
    #: The names to list: all of them, or one for each class.
    names: Callable[[], Iterable[str]]

    def validate(self, value: Any) -> Schema:
        """Return the group as an instance of the class that belongs to its name."""
        if isinstance(value, Schema):
            return value
        if not isinstance(value, Mapping):
            raise PydanticKnownError("model_type", {"class_name": "group"})
        name = value.get("name")
        if not isinstance(name, str):
            raise PydanticKnownError("missing")
        chosen = self.choose(name)
        if chosen is None:
            known, where = list(self.names()), f"{self.group}.name"
            hint = nearest(name, known).strip() or f"choose one with {self.group}=..."
            raise combination(f"there is no {self.group} {name}", where, f"one of {', '.join(known)}", name, hint)
        return chosen.model_validate(value)

    def __get_pydantic_core_schema__(self, source: object, handler: CoreHandler) -> CoreSchema:
        dump = core_schema.plain_serializer_function_ser_schema(lambda group: group.model_dump(mode="json"))
        return core_schema.no_info_plain_validator_function(self.validate, serialization=dump)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: JsonHandler) -> JsonSchemaValue:
        classes: dict[type[Schema], list[str]] = {}
        for name in self.names():
            if found := self.choose(name):
                classes.setdefault(found, []).append(name)
        closed = self.choose("") is None  # whether there are no other names
        choices = []
        for found, names in classes.items():
            choice = dict(handler.resolve_ref_schema(handler(found.__pydantic_core_schema__)))
            if closed:
                choice["properties"] = {**choice["properties"], "name": {"enum": names}}
            choices.append(choice)
        return {"anyOf": choices}


def combination(what: str, where: str, expected: str, received: object, hint: str) -> PydanticCustomError:
    """Return the error for values that are impossible together; its context holds the parts of a `UserError`."""
    parts = {"what": what, "where": where, "expected": expected, "received": str(received), "hint": hint}
    return PydanticCustomError("combination", "{what}", parts)


#: Marks a text that is a path to read: it is made absolute, so that it is found again from anywhere.
PATH = AfterValidator(lambda path: str(Path(path).expanduser().resolve()) if path else path)
#: A path that a command reads or writes.
PathText = Annotated[str, PATH]


def _as_text(value: object) -> object:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


#: Text that YAML may read as a number: a chromosome, a sample, a label.
Name = Annotated[str, BeforeValidator(_as_text, json_schema_input_type=str | float)]


def listed_text(value: Any) -> Any:
    """Let one text stand for a list of it."""
    return [value] if isinstance(value, str) else value


#: One path or a list of them.
PathTexts = Annotated[
    list[PathText],
    Field(min_length=1),
    BeforeValidator(listed_text, json_schema_input_type=PathText | list[PathText]),
]

#: The keys of commands that use finished runs: which ones, and from which checkpoint of each.
UsedRuns = Annotated[PathTexts, Field(description="the run; a list, or the directory of a sweep, is an ensemble")]
Checkpoint = Annotated[Literal["best", "last"], Field(description="lowest validation loss, or last epoch")]
