"""The base of every config class, and the kinds of values that several of them share."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.functional_validators import BeforeValidator


class Schema(BaseModel):
    """A group of config keys: typed, immutable, and without room for unknown keys.

    Types and limits stand here; default values stand in ``conf/`` alone. The text of ``Field(description=...)``
    is what the JSON Schema and the documentation say of a key.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True, protected_namespaces=())


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def repeated(length: int) -> BeforeValidator:
    """Let one number stand for `length` equal ones: ``model.dropout=0.2`` where there are two dropouts."""

    def widen(value: Any) -> Any:
        return [value] * length if isinstance(value, int | float) and not isinstance(value, bool) else value

    return BeforeValidator(widen)


#: A positive integer; a share of one; a rate at which units are dropped.
Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1, strict=False)]
Rate = Annotated[float, Field(ge=0, lt=1, strict=False)]
Positive = Annotated[float, Field(gt=0, strict=False)]
Index = Annotated[int, Field(ge=0)]
#: Half-open slice [left, right).
Window = Annotated[list[Index], Field(min_length=2, max_length=2)]
Lower = BeforeValidator(_lower)
