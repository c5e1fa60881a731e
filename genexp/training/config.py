"""The config of a run: what trains which model on which genes, and where. ``config.yaml`` of a run holds it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from genexp.blocks import BLOCKS, PROMOTER, feature_blocks, in_order
from genexp.config.conf import CONF_DIR, load
from genexp.config.validation import validate
from genexp.dataset.config import DataConfig, DatasetConfig, DemoConfig
from genexp.dataset.description import DatasetDescription
from genexp.evaluation.figure_formats import Formats
from genexp.files import damage_reported, in_short
from genexp.models import ModelConfig, config_class, names
from genexp.run import RunDirectory, read_config_yaml, read_environment, unreadable
from genexp.schema import ByName, Count, Index, Lower, OneOf, PathText, Positive, Rate, Schema, Share, combination
from genexp.training.loggers import LOGGERS
from genexp.training.optimizers import LOSSES, OPTIMIZERS
from genexp.training.schedules import ANNEALED, SCHEDULES, schedule_name

#: The groups ``model`` and ``dataset`` of a config, as the class that belongs to their name.
AnyModel = Annotated[ModelConfig, ByName("model", lambda name: config_class(name) if name in names() else None, names)]
AnyDataset = Annotated[
    DatasetConfig | DemoConfig,
    ByName("dataset", lambda name: DemoConfig if name == "demo" else DatasetConfig, lambda: ("demo", "files")),
]


class TrainingConfig(Schema):
    """How the model is fitted."""

    epochs: Count = Field(description="epochs at most")
    batch_size: Count = Field(description="genes per update of the weights")
    learning_rate: Positive = Field(description="learning rate; the original optimizer has a schedule instead")
    optimizer: Annotated[str, OneOf(OPTIMIZERS), Lower] = Field(description="name of the optimizer")
    momentum: Rate = Field(description="momentum of sgd")
    weight_decay: Share = Field(description="weight decay of adamw and sgdw")
    clip_norm: Positive | None = Field(description="largest norm of the gradient of all weights; null: any")
    ema: Rate | None = Field(
        description="decay, per update, of the average of the weights that is evaluated and saved; null: no average"
    )
    schedule: Annotated[str, OneOf(tuple(SCHEDULES))] | None = Field(
        description="schedule of the learning rate; null: noam for the original optimizer, else milestone"
    )
    warmup: Rate = Field(description=f"share of all updates in which the rate of {' and '.join(ANNEALED)} rises")
    plateau_patience: Count = Field(description="epochs without a lower validation loss before plateau lowers the rate")
    plateau_factor: Rate = Field(description="factor of the learning rate at each plateau")
    warmup_steps: Count = Field(description="warm-up steps of the noam schedule")
    d_model: Count = Field(description="width of the embedding in the noam schedule")
    loss: Annotated[str, OneOf(LOSSES), Lower] = Field(description="loss, by its Keras name")
    patience: Count | None = Field(description="epochs without a lower validation loss before stopping; null: no limit")
    milestone: Count | None = Field(description="epochs after which the learning rate is multiplied once; null: never")
    milestone_factor: Positive = Field(description="factor of the learning rate after the milestone")
    shuffle: bool = Field(description="a new order of the training genes in every epoch")
    label_noise: Annotated[float, Field(ge=0, strict=False)] = Field(
        description="noise of the training labels, new in every epoch, in standard deviations"
    )
    shift: Index = Field(description="nt by which a training promoter moves at most, at random, in every epoch")
    reverse_complement: bool = Field(description="train on a random strand of each sequence; only without a TSS")
    both_strands: bool = Field(description="predict the mean over both strands of a sequence; only without a TSS")
    restarts: Index = Field(description="new attempts with another seed when the network collapses")
    start_from: PathText | None = Field(description="run directory whose best checkpoint gives the initial weights")

    def idle(self, given: Collection[str]) -> dict[str, str]:
        """Return those of the dotted keys given that have no effect, each with the setting that it does not go with."""
        schedule = schedule_name(self)
        of_schedule = {
            **dict.fromkeys(("milestone", "milestone_factor"), schedule == "milestone"),
            **dict.fromkeys(("plateau_patience", "plateau_factor"), schedule == "plateau"),
            **dict.fromkeys(("warmup_steps", "d_model"), schedule == "noam"),
            "warmup": schedule in ANNEALED,
            "learning_rate": schedule != "noam",
        }
        of_optimizer = {
            "momentum": self.optimizer in ("sgd", "sgdw"),
            "weight_decay": self.optimizer in ("adamw", "sgdw"),
        }
        causes = {f"schedule={schedule}": of_schedule, f"optimizer={self.optimizer}": of_optimizer}
        idle = {
            f"training.{k}": f"training.{cause}" for cause, of in causes.items() for k, read in of.items() if not read
        }
        return {key: cause for key, cause in idle.items() if key in given}


class HardwareConfig(Schema):
    """Where and how it is computed."""

    name: Literal["auto", "cpu", "gpu", "tpu"] = Field(description="kind of device")
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = Field(description="Keras dtype policy")
    jit: bool | None = Field(description="compile with XLA; null: as Keras decides")
    deterministic: bool = Field(description="deterministic operations: same seed, same machine, same metrics")
    devices: Count | None = Field(description="number of GPUs; null: all")
    tpu: str = Field(description="name or address of the TPU")

    def idle(self, given: Collection[str]) -> dict[str, str]:
        """Return those of the dotted keys given that have no effect, each with the kind of device that ignores it."""
        # XLA compiles every step on a TPU, to a program that is deterministic.
        of_kind = {"cpu": ("tpu",), "gpu": ("tpu",), "tpu": ("jit", "deterministic")}
        keys = (f"hardware.{key}" for key in of_kind.get(self.name, ()))
        return {key: f"hardware={self.name}" for key in keys if key in given}


class ExperimentConfig(Schema):
    """A published result, shown beside the measured one: mean test r2 and its 95 % interval."""

    name: str = Field(description="name of the experiment")
    model: str = Field(description="the model of the result")
    data: str = Field(description="the blocks of the result")
    source: str = Field(description="publication of the result")
    r2: Share | None = Field(description="published mean test r2")
    r2_ci95: Annotated[list[Share], Field(min_length=2, max_length=2)] | None = Field(
        description="published 95 % interval of r2"
    )
    repeats: Count | None = Field(description="number of runs behind the mean")


Logger = Annotated[str, OneOf(("csv", *LOGGERS))]
Loggers = Annotated[
    list[Logger],
    BeforeValidator(lambda x: [x] if isinstance(x, str) else x, json_schema_input_type=Logger | list[Logger]),
]


class RunConfig(Schema):
    """The whole config of a run."""

    seed: Annotated[int, Field(ge=0, lt=2**31)] = Field(description="governs everything random")
    # With a default, as the config.yaml of the first runs has no such key.
    test: bool = Field(default=True, description="evaluate the test genes at the end; false while settings are chosen")
    settings: Literal["published", "auto"] | None = Field(
        default=None, description="the model's published settings, or those for this dataset; null: as the layout is"
    )
    logger: Loggers | None = Field(description="where each epoch is written beside history.csv")
    experiment: ExperimentConfig | None = Field(default=None, description="a published result to compare with")
    # With a default, as the config.yaml of earlier runs has no such key.
    baseline: bool | Literal["shuffled"] = Field(
        default=False,
        description="ridge regression and boosting on the same genes; shuffled: on shuffled training labels too",
    )
    # With a default, as the config.yaml of earlier runs has no such key.
    plots: Formats = Field(
        default=["png"], description="file formats of the plots: png, pdf, svg; one or a list; []: no plots"
    )
    data: DataConfig
    dataset: AnyDataset | None = Field(description="where the genes come from; null in an imported run")
    model: AnyModel
    training: TrainingConfig
    hardware: HardwareConfig

    def run(self) -> RunConfig:
        """Return what ``config.yaml`` of the run holds, without the keys that a command adds."""
        return RunConfig.model_validate({name: getattr(self, name) for name in RunConfig.model_fields})

    def idle(self, given: Collection[str]) -> dict[str, str]:
        """Return those of the dotted keys given that have no effect, each with the setting that it does not go with."""
        untested = {"baseline": "test=false"} if "baseline" in given and self.baseline and not self.test else {}
        return {**self.model.idle(given), **self.training.idle(given), **self.hardware.idle(given), **untested}

    @model_validator(mode="after")
    def _possible_together(self) -> Self:
        check_combination(self.data, self.model)
        return self


def check_combination(data: DataConfig, model: ModelConfig) -> None:
    """Raise the error of `combination` where ``data`` and ``model`` are impossible together, whatever the dataset."""
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


def read_description(run: RunDirectory) -> DatasetDescription:
    """Return the description of the dataset that a run was trained on, as its ``environment.json`` holds it."""
    with damage_reported(lambda error: unreadable(run.environment, in_short(error))):
        return DatasetDescription.model_validate(read_environment(run)["dataset"])


#: Keys of ``training`` that the first runs did not have; by default they change nothing.
LATER = (
    *("clip_norm", "ema", "schedule", "warmup", "plateau_patience", "plateau_factor"),
    *("label_noise", "shift", "reverse_complement", "both_strands"),
)


def read_config(run: RunDirectory) -> RunConfig:
    """Return the config of a run, as its ``config.yaml`` holds it."""
    content = read_config_yaml(run)
    if isinstance(training := content.get("training"), dict):
        defaults = load(CONF_DIR / "base" / "training.yaml")["training"]
        content["training"] = {key: defaults[key] for key in LATER} | training
    return validate(content, RunConfig, str(run.config))
