"""Which settings a run gets: the published ones, or those of the first row that fits the dataset (``conf/auto/``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Field, JsonValue, model_validator

from genexp.blocks import PROMOTER
from genexp.config.conf import CONF_DIR, load
from genexp.config.keys import leaves, value_at
from genexp.config.validation import validate
from genexp.config.words import Words
from genexp.dataset.description import DatasetDescription
from genexp.dataset.sources import inspect
from genexp.errors import UserError
from genexp.run import find_run
from genexp.schema import Index, Schema, combination

if TYPE_CHECKING:
    from genexp.training.config import RunConfig

#: Layouts of the user's own genes; all others are those of published sets.
OWN_LAYOUTS = ("genexp", "simulated genes")

#: Half-open range; null for no limit.
Range = Annotated[list[Index | None], Field(min_length=2, max_length=2)]


class Row(Schema):
    """Settings, and the data that they are for."""

    name: str = Field(description="what the row is for, in words")
    dataset: str | None = Field(default=None, description="name of the dataset")
    genes: Range = Field(default=[None, None], description="training genes: from, and below")
    promoter: Range = Field(default=[None, None], description="nt of promoter: from, and below; not without P")
    tss: bool | None = Field(default=None, description="whether the promoters have a TSS; not without P")
    blocks: str = Field(default="", description="blocks that the model sees, at least")
    without: str = Field(default="", description="blocks that the model does not see")
    model: dict[str, JsonValue] = Field(default={}, description="keys of the model")
    training: dict[str, JsonValue] = Field(default={}, description="keys of training")

    def fits(self, facts: Facts) -> bool:
        """Return whether the row is for these data."""
        return (
            self.dataset in (None, facts.dataset)
            and _within(facts.genes, self.genes)
            and _within(facts.promoter, self.promoter)
            and self.tss in (None, facts.tss)
            and set(self.blocks) <= set(facts.blocks)
            and not set(self.without) & set(facts.blocks)
        )

    def values(self) -> dict[str, JsonValue]:
        """Return the settings by their dotted keys."""
        return dict(leaves({"model": self.model, "training": self.training}))


class Table(Schema):
    """The rows of one model; the first that fits applies, on top of the model's published settings."""

    rows: Annotated[list[Row], Field(min_length=1)]

    @model_validator(mode="after")
    def _has_an_end(self) -> Self:
        if self.rows[-1].model_fields_set - {"name", "model", "training"}:
            expected = "a row without conditions"
            raise combination("the last row must fit all data", "rows", expected, self.rows[-1].name, "add one")
        return self


@dataclass(frozen=True)
class Facts:
    """What the rows ask of a dataset: its name, training genes, nt of promoter, blocks seen, and if there is a TSS.

    Nt of promoter and TSS are None without promoters.
    """

    dataset: str
    genes: int
    promoter: int | None
    blocks: str
    tss: bool | None = None

    def __str__(self) -> str:
        promoter = "" if self.promoter is None else f", promoters of {self.promoter:,} nt"
        promoter += " without a TSS" if self.tss is False else ""
        return f"{self.genes:,} training genes{promoter}, data={self.blocks}"


def facts_of(config: RunConfig, found: DatasetDescription) -> Facts:
    """Return what the rows ask of a dataset."""
    seen = PROMOTER in config.data.name and found.promoter == "bases"
    name = config.dataset.name if config.dataset else ""
    length, tss = (found.promoter_length, found.tss is not None) if seen else (None, None)
    return Facts(name, found.genes["train"], length, config.data.name, tss)


def row_for(model: str, facts: Facts) -> Row:
    """Return the first row of ``conf/auto/MODEL.yaml`` that fits."""
    path = CONF_DIR / "auto" / f"{model}.yaml"
    return next(row for row in validate(load(path), Table, str(path)).rows if row.fits(facts))


def automatic(config: RunConfig, words: Words) -> dict[str, JsonValue]:
    """Return the settings, by dotted key, that are chosen for a config, ``settings`` among them.

    A key that the words give is theirs. A dataset that cannot be read is reported by whoever reads it: its settings
    stay the published ones.
    """
    if config.dataset is None or config.settings == "published":
        return {}
    try:
        found = inspect(config.dataset, config.data.name).description
    except UserError:
        return {}
    own_model = not (CONF_DIR / "model" / f"{_chosen(words, 'model', config.model.name)}.yaml").is_file()
    preset = "experiment" in words.keys  # perhaps one of the user's own, which records no published result
    published = preset or own_model or found.layout not in OWN_LAYOUTS or _starts_from_published(config)
    if config.settings is None and published:
        return {"settings": "published"}
    row = row_for(config.model.name, facts_of(config, found))
    return {"settings": "auto"} | {key: value for key, value in row.values().items() if key not in _given(words)}


def described(config: RunConfig, found: DatasetDescription) -> str | None:
    """Return a sentence on the settings that were chosen, and on those of them that the user changed."""
    if config.settings != "auto":
        return config.settings and f"settings=published: those of model={config.model.name}"
    facts = facts_of(config, found)
    row, content = row_for(config.model.name, facts), config.model_dump(mode="json")
    have = {key: value_at(content, key) for key in row.values()}
    changed = [key for key, value in row.values().items() if _same(value) != _same(have[key])]
    kept = ", ".join(f"{key}={_shown(value)}" for key, value in have.items() if key not in changed)
    return f"settings=auto for {facts} ({row.name}): {kept}" + (f"; given: {', '.join(changed)}" if changed else "")


def _starts_from_published(config: RunConfig) -> bool:
    """Tell whether the run to start from, whose sizes its weights have, was made with the published settings."""
    if not config.training.start_from:
        return False
    from genexp.training.config import read_config

    try:
        return read_config(find_run(str(config.training.start_from), "training.start_from")).settings != "auto"
    except UserError:  # which is reported where the weights are read
        return False


def _given(words: Words) -> set[str]:
    """Return the dotted keys that words give, those of a group in braces among them."""
    groups = {o.key_or_group: o.value() for o in words.overrides if not o.is_sweep_override()}
    return words.keys | {key for key, _ in leaves(groups)}


def _chosen(words: Words, group: str, default: str) -> str:
    return next((str(o.value()) for o in words.overrides if o.key_or_group == group), default)


def _within(number: int | None, limits: Range) -> bool:
    if number is None:
        return limits == [None, None]
    low, high = limits
    return (low is None or number >= low) and (high is None or number < high)


def _same(value: Any) -> list[Any]:
    """Return a value so that one number equals the list of equal ones that it stands for."""
    values = value if isinstance(value, list) else [value]
    return values[:1] if len(set(map(str, values))) == 1 else values


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return f"[{','.join(map(_shown, value))}]"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
