"""The config of ``genexp tune``: that of a run, what is searched, and for how long."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from genexp.api.training import TRAIN
from genexp.config.compose import Command
from genexp.config.words import Words
from genexp.errors import UserError
from genexp.schema import Count, Index, Share, combination
from genexp.training.auto import automatic
from genexp.training.config import RunConfig

#: Seconds of each unit of ``time_limit``.
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SPAN = re.compile(rf"(\d+(?:\.\d+)?)([{''.join(UNITS)}])")


def seconds(span: str) -> float:
    """Return the seconds of a time span such as ``90m``."""
    found = _SPAN.fullmatch(span)
    if not found:
        expected = f"a number and one of the units {', '.join(UNITS)}"
        raise combination("time_limit is impossible", "time_limit", expected, span, "time_limit=8h")
    return float(found[1]) * UNITS[found[2]]


def _checked(span: object) -> object:
    """Refuse what is no time span; a number alone has no unit."""
    if span is not None:
        seconds(str(span))
    return span


class TuneConfig(RunConfig):
    """The whole config of ``genexp tune``."""

    trials: Count = Field(description="number of settings that are tried, by all processes together")
    time_limit: Annotated[str | None, BeforeValidator(_checked, json_schema_input_type=str | None)] = Field(
        description="time after which this process begins no trial and stops those that run: 30m, 8h, 2d; null: none"
    )
    jobs: Count | Literal["auto"] = Field(description="trials at once; auto: one for each core or GPU that was granted")
    objective: Literal["r2", "loss"] = Field(
        description="what is optimised on the validation genes: r2 of the best epoch, or the lowest loss"
    )
    prune_after: Share | None = Field(
        description="share of training.epochs after which a trial below the median is stopped; null: never"
    )
    repeats: Index = Field(description="runs of the best settings at the end, on new seeds; 0: none")
    space: dict[str, Any] = Field(description="what is searched: for each key a list of values, or low, high and log")


#: Keys and groups that a run does not have.
OWN = (*(name for name in TuneConfig.model_fields if name not in RunConfig.model_fields), "tune")


def _check_words(words: Words) -> None:
    """Refuse what `genexp.api.training.TRAIN` refuses, and one directory for several studies."""
    if "resume" in words.keys:
        hint = "give its own command again, with the same hydra.run.dir"
        raise UserError("a study is continued by its own command", received="resume", hint=hint)
    TRAIN.before(words)
    if words.multirun and "hydra.run.dir" in words.keys:
        hint = "leave it out, or give one command for each study"
        raise UserError("the studies of a sweep land in outputs/", received="hydra.run.dir beside -m", hint=hint)


#: How the words of ``genexp tune`` become a config.
TUNE = Command(
    "tune",
    TuneConfig,
    short_forms=TRAIN.short_forms,
    implied=TRAIN.implied,
    before=_check_words,
    settle=automatic,
    replaced="space",
)


def is_own(key: str) -> bool:
    """Tell whether a key of the command line is the search's, or Hydra's, and not a run's."""
    return key.split(".")[0] in OWN or key.startswith(("hydra.", "hydra/"))
