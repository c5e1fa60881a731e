"""The config of a run: what trains which model on which genes, and where. ``config.yaml`` of a run holds it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, PydanticKnownError, core_schema

from genexp.blocks import BLOCKS, PROMOTER, feature_blocks, in_order
from genexp.dataset.config import DataConfig, DatasetConfig, DemoConfig
from genexp.errors import nearest
from genexp.models import ModelConfig, config_class, names
from genexp.schema import Count, Index, Lower, Positive, Rate, Schema, Share
from genexp.training.loggers import LOGGERS
from genexp.training.optimizers import LOSSES, OPTIMIZERS


@dataclass(frozen=True)
class OneOf:
    """One of these words, which are the keys of a table."""

    words: Iterable[str]

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.literal_schema(list(self.words))


@dataclass(frozen=True)
class ByName:
    """A config group whose class depends on its key ``name``.

    The classes are looked up when a config is validated, so that a model is imported only when it is used. Errors are
    located as those of any other group: ``("model", "dropout")``.

    Attributes
    ----------
    group
        Name of the group, for messages.
    choose
        From a name to its class, or to None when there is none.
    names
        All names, for the JSON Schema and for messages.
    """

    group: str
    choose: Callable[[str], type[Schema] | None]
    names: Callable[[], Iterable[str]]

    def validate(self, value: Any) -> Schema:  # noqa: ANN401 - what a config file holds
        """Return the group as an instance of the class that belongs to its name."""
        if isinstance(value, Schema):
            value = value.model_dump()
        if not isinstance(value, Mapping):
            raise PydanticKnownError("model_type", {"class_name": "group"})
        name = value.get("name")
        if not isinstance(name, str):
            raise PydanticKnownError("missing")
        chosen = self.choose(name)
        if chosen is None:
            known, where = list(self.names()), f"{self.group}.name"
            hint = nearest(name, known).strip() or f"choose one with {self.group}=..."
            raise combination(f"unknown {self.group} {name!r}", where, f"one of {', '.join(known)}", name, hint)
        return chosen.model_validate(value)

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.validate)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        classes = dict.fromkeys(self.choose(name) for name in self.names())
        return {"oneOf": [handler(found.__pydantic_core_schema__) for found in classes if found is not None]}


def combination(what: str, where: str, expected: str, received: object, hint: str) -> PydanticCustomError:
    """Return the error for values that are impossible together; its context holds the parts of a `UserError`."""
    parts = {"what": what, "where": where, "expected": expected, "received": str(received), "hint": hint}
    return PydanticCustomError("combination", "{what}", parts)


def _model_class(name: str) -> type[ModelConfig] | None:
    return config_class(name) if name in names() else None


def _dataset_class(name: str) -> type[DatasetConfig | DemoConfig]:
    return DemoConfig if name == "demo" else DatasetConfig


#: The groups ``model`` and ``dataset`` of a config, as the class that belongs to their name.
AnyModel = Annotated[ModelConfig, ByName("model", _model_class, names)]
AnyDataset = Annotated[DatasetConfig | DemoConfig, ByName("dataset", _dataset_class, lambda: ("demo", "files"))]


class TrainingConfig(Schema):
    """How the model is fitted."""

    epochs: Count = Field(description="epochs at most")
    batch_size: Count = Field(description="genes per update of the weights")
    learning_rate: Positive = Field(description="learning rate; the original optimizer has a schedule instead")
    optimizer: Annotated[str, OneOf(OPTIMIZERS), Lower] = Field(description="name of the optimizer")
    momentum: Rate = Field(description="momentum of sgd")
    warmup_steps: Count = Field(description="warm-up steps of the original schedule")
    d_model: Count = Field(description="width of the embedding in the original schedule")
    loss: Annotated[str, OneOf(LOSSES), Lower] = Field(description="loss, by its Keras name")
    patience: Count | None = Field(description="epochs without a lower validation loss before stopping; null: no limit")
    milestone: Count | None = Field(description="epochs after which the learning rate is multiplied once; null: never")
    milestone_factor: Positive = Field(description="factor of the learning rate after the milestone")
    shuffle: bool = Field(description="a new order of the training genes in every epoch")
    restarts: Index = Field(description="new attempts with another seed when the network collapses")
    start_from: str | None = Field(description="run directory whose best checkpoint gives the initial weights")


class HardwareConfig(Schema):
    """Where and how it is computed."""

    name: Literal["auto", "cpu", "gpu", "tpu"] = Field(description="kind of device")
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = Field(description="Keras dtype policy")
    jit: bool | None = Field(description="compile with XLA; null: as Keras decides")
    deterministic: bool = Field(description="deterministic operations: same seed, same machine, same metrics")
    devices: Count | None = Field(description="number of GPUs; null: all")
    tpu: str = Field(description="name or address of the TPU")


class ExperimentConfig(Schema):
    """A published result, shown beside the measured one: mean test r2 and its 95 % interval."""

    name: str = Field(description="name of the experiment")
    source: str = Field(description="publication of the result")
    r2: Share | None = Field(description="published mean test r2")
    r2_ci95: Annotated[list[Share], Field(min_length=2, max_length=2)] | None = Field(
        description="published 95 % interval of r2"
    )
    repeats: Count | None = Field(description="number of runs behind the mean")


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


Logger = Annotated[str, OneOf(("csv", *LOGGERS))]


class RunConfig(Schema):
    """The whole config of a run."""

    seed: Annotated[int, Field(ge=0, lt=2**31)] = Field(description="governs everything random")
    logger: Annotated[list[Logger], BeforeValidator(_listed, json_schema_input_type=Logger | list[Logger])] | None = (
        Field(description="where each epoch is written beside history.csv")
    )
    experiment: ExperimentConfig | None = Field(default=None, description="a published result to compare with")
    data: DataConfig
    dataset: AnyDataset
    model: AnyModel
    training: TrainingConfig
    hardware: HardwareConfig

    @model_validator(mode="after")
    def _possible_together(self) -> Self:
        check_combination(self.data, self.model)
        return self


def check_combination(data: DataConfig, model: ModelConfig) -> None:
    """Raise a PydanticCustomError where ``data`` and ``model`` are impossible together, whatever the dataset.

    Raises
    ------
    PydanticCustomError
        Of type ``combination``; its context has ``where``, ``expected``, ``received`` and ``hint``.
    """
    name, window = data.name, data.window
    reads = type(model).reads
    letters = ", ".join(f"{letter} ({block.title})" for letter, block in BLOCKS.items())
    if not name or name != in_order(name):
        expected = f"letters of {letters}, each at most once, in this order"
        raise combination("not a combination of blocks", "data.name", expected, repr(name), "for example data=PH")
    if (reads is None) == (PROMOTER in name):
        if reads is None:
            expected, hint = f"blocks of {', '.join(feature_blocks())} only", "leave out P, or choose another model"
        else:
            expected, hint = f"data with {PROMOTER}", f"data={PROMOTER}{name}, or model=fc_net"
        what = f"model={model.name} cannot be trained on data={name}"
        raise combination(what, "model, data", expected, f"data={name}", hint)
    if window and PROMOTER not in name:
        what = f"data.window is given, but data={name} has no promoter"
        raise combination(what, "data.window", "null", window, f"leave it out, or choose data={PROMOTER}{name}")
    if window and window[0] >= window[1]:
        expected = "[left, right) with left < right, in promoter coordinates"
        raise combination("data.window is empty", "data.window", expected, window, "data.window=[3000,13500]")
