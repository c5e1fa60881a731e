"""Training: from a config to a finished run, with every check before the work starts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from genexp import console
from genexp.blocks import PROMOTER
from genexp.config.compose import Command, Composed
from genexp.config.conf import CONF_DIR
from genexp.config.conf import load as load_conf
from genexp.config.validation import to_yaml, validate
from genexp.config.words import Words
from genexp.dataset.config import DatasetConfig
from genexp.dataset.genes import Dataset
from genexp.dataset.sources import Source, choose_window, inspect, load
from genexp.errors import UserError
from genexp.files import disk_full, is_full, write_atomically, write_json
from genexp.models import check_model, inputs
from genexp.run import (
    CHECKPOINTS,
    RunDirectory,
    check_free,
    create,
    find_run,
    provenance,
    read_metrics,
    resume_command,
    sole_writer,
)
from genexp.schema import PathText
from genexp.training.config import HardwareConfig, RunConfig
from genexp.training.loggers import check_loggers
from genexp.training.start import check_start

if TYPE_CHECKING:
    from genexp.training.loop import Fitted
    from genexp.training.strategy import Hardware


class TrainConfig(RunConfig):
    """The whole config of ``genexp train``."""

    resume: PathText | None = Field(description="directory of an interrupted run, which is resumed there")

    def run(self) -> RunConfig:
        """Return what ``config.yaml`` of the run holds."""
        return RunConfig.model_validate({name: getattr(self, name) for name in RunConfig.model_fields})


#: What may be given beside resume=DIR; everything else is the run's own.
BESIDE_RESUME = ("training.epochs", "training.patience", "hardware")


def _check_words(words: Words) -> None:
    """Refuse settings beside ``resume`` that are the run's own, and changes to what a preset records as published."""
    for override in words.overrides:
        if override.key_or_group.startswith("experiment."):
            what, received = f"{override.key_or_group} is what was published, no setting", override.input_line
            raise UserError(what, received=received, hint="leave it out; write a preset of your own (--config-dir)")
    given = {o.key_or_group: o.value() for o in words.overrides if not o.is_sweep_override()}
    preset = CONF_DIR / "experiment" / f"{given.get('experiment')}.yaml"
    model = load_conf(preset)["experiment"]["model"] if preset.is_file() else None
    if model and given.get("model", model) != model:
        what, received = f"{preset.stem} is a result of model={model}", f"model={given['model']}"
        raise UserError(what, where=f"experiment={preset.stem}", received=received, hint="leave one of the two out")
    if given.get("resume") in ("", None):
        return
    refused = sorted(key for key in words.keys if not key.startswith((*BESIDE_RESUME, "resume", "hydra.")))
    if refused:
        expected = f"at most {', '.join(BESIDE_RESUME)} beside resume"
        what, received = "a resumed run keeps its own settings", ", ".join(refused)
        raise UserError(what, expected=expected, received=received, hint="leave them out, or start a new run")


#: How the words of ``genexp train`` become a config.
TRAIN = Command(
    "train",
    TrainConfig,
    short_forms={"model.embedding": "model.embedding.kind"},
    implied={"dataset.root": "dataset=files"},
    before=_check_words,
)


def decided(composed: Composed[TrainConfig]) -> RunConfig:
    """Return the config of a run with every ``auto`` of the model decided by the keys that were given."""
    config = composed.config.run()
    return config.model_copy(update={"model": config.model.decided(composed.words.keys)})


@dataclass(frozen=True)
class Plan:
    """A run that can be started, as far as that can be known without reading genes.

    Attributes
    ----------
    config, source
        What is trained, on which dataset.
    window
        Slice of the promoter that the model sees, or None without bases.
    notes
        Sentences for the user.
    """

    config: RunConfig
    source: Source
    window: tuple[int, int] | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Prepared:
    """A run with its genes in memory and its devices found."""

    config: RunConfig
    dataset: Dataset
    hardware: Hardware


def check(config: RunConfig, resumed: RunDirectory | None = None) -> Plan:
    """Look at everything that can be looked at quickly: dataset, window, model; no TensorFlow.

    Parameters
    ----------
    config
        What is to be trained.
    resumed
        The run, where one is resumed: its own k-mer vectors are used.

    Raises
    ------
    UserError
        If the run cannot be right.
    """
    blocks, notes = config.data.name, []
    published = config.experiment
    if published and published.data != blocks:
        notes.append(f"not a replication of {published.name}, a result on data={published.data}; its r2 is not shown")
        config = config.model_copy(update={"experiment": None})
    if config.dataset is None:
        hint = "choose one with dataset= or dataset.root="
        raise UserError("this run was imported, and has no dataset to train on", where="dataset", hint=hint)
    check_loggers(config.logger)
    source = inspect(config.dataset, blocks)
    description = source.description
    missing = [letter for letter in blocks if letter not in description.blocks]
    if missing:
        where, expected = f"data={blocks}, {description.source}", f"a combination of {description.blocks}"
        raise UserError(f"the dataset has no block {', '.join(missing)}", where=where, expected=expected)
    if description.promoter == "embedded" and PROMOTER in blocks and config.data.window is not None:
        what = "a window cannot be cut from precomputed promoter embeddings"
        raise UserError(what, where=f"data.window, {description.source}", hint="leave data.window out")
    window, note = choose_window(config.data, config.model, description)
    if config.training.start_from and resumed is None:
        check_start(config, source, window)
    own = resumed.vectors if resumed else None
    check_model(config.model, inputs.input_shapes(config.model, description, blocks, window, own))
    return Plan(config, source, window, (*notes, *([note] if note else ())))


def prepare(plan: Plan, *, verbose: bool = False) -> Prepared:
    """Do everything that a user's error can stop, before a run directory is made."""
    from genexp.training.strategy import set_up_hardware

    config = plan.config
    hardware = set_up_hardware(config.hardware, verbose=verbose)
    dataset = read(plan.source, config.data.name, plan.window)
    inputs.check_vectors(config.model, dataset)
    for line in plan.notes:
        console.say(line)
    return Prepared(config, dataset, hardware)


def folder_dataset(**settings: object) -> DatasetConfig:
    """Return the config of a dataset folder: the values of conf/dataset/files.yaml, and these."""
    return validate({**load_conf(CONF_DIR / "dataset" / "files.yaml"), **settings}, DatasetConfig, "dataset")


def read(source: Source, blocks: str, window: tuple[int, int] | None) -> Dataset:
    """Load a dataset with progress, and print what was found."""
    from genexp.dataset.reading import describe

    total = sum(source.description.genes.values())
    with console.progress("reading genes", total, "genes") as done:
        dataset = load(source, blocks, window, lambda genes, _: done(genes))
    console.say(describe(dataset))
    for line in dataset.warnings:
        console.warn(line)
    ceiling = (dataset.ceiling or {}).get(blocks)
    if ceiling is not None:
        console.say(f"noise ceiling with data={blocks}: test r2 {ceiling:.3f} (known exactly for simulated genes)")
    return dataset


def start(
    config: RunConfig,
    directory: str | Path,
    *,
    command: str,
    verbose: bool = False,
    created: Callable[[Path], None] = lambda path: None,
) -> RunDirectory:
    """Check, read, make the run directory and train.

    Parameters
    ----------
    config
        What is trained.
    directory
        Where the run lands; a trailing ``XXXX`` makes the name unique.
    command
        The command or call that environment.json records.
    verbose
        Let TensorFlow's own messages through.
    created
        Called with the run directory when it is made.

    Raises
    ------
    UserError
        For whatever the user can correct.
    """
    check_free(directory)
    prepared = prepare(check(config), verbose=verbose)
    run = create(directory)
    created(run.path)
    write(prepared, run, command)
    return run


def write(prepared: Prepared, run: RunDirectory, command: str) -> None:
    """Train, evaluate and write everything into the run directory."""
    from genexp.training.loop import train

    config = prepared.config
    with sole_writer(run), console.log_to(run.log), reported_status(run, config):
        write_atomically(run.config, to_yaml(config))
        write_json(run.environment, _environment(prepared, command))
        console.say(f"run directory: {relative(run.path)}")
        with console.progress("Word2Vec", 1, "epochs") as done:
            inputs.vectors_for(config.model, prepared.dataset, run.vectors, console.say, done)
        dataset = inputs.encode(prepared.dataset, config.model, console.warn)
        seen = dataset.description
        shapes = inputs.input_shapes(config.model, seen, config.data.name, seen.window, run.vectors)
        console.say(_what_is_trained(prepared, inputs.describe(config.model, shapes)))
        fitted = train(config, dataset, shapes, prepared.hardware, run)
        if fitted.collapsed:
            raise _collapsed(config)
        _write_results(config, dataset, fitted, run)


def _environment(prepared: Prepared, command: str) -> dict[str, Any]:
    config, hardware = prepared.config, prepared.hardware
    return provenance(
        command,
        config.seed,
        prepared.dataset.record().model_dump(mode="json"),
        devices=list(hardware.devices),
        strategy=type(hardware.strategy).__name__,
        precision=config.hardware.precision,
    )


def _what_is_trained(prepared: Prepared, fed: str) -> str:
    config, training = prepared.config, prepared.config.training
    return (
        f"model: {config.model.name} on {config.data.name}, input: {fed}; {training.optimizer}, learning rate "
        f"{training.learning_rate:g}, batch {training.batch_size}, at most {training.epochs} epochs; "
        f"{', '.join(prepared.hardware.devices)}, {config.hardware.precision}"
    )


def _write_results(config: RunConfig, dataset: Dataset, fitted: Fitted, run: RunDirectory) -> None:
    """Write metrics, predictions and plots of the best and the last checkpoint, as read back from disk."""
    from genexp.evaluation.plots import plot_history
    from genexp.evaluation.report import evaluate_checkpoint, results_table, write_report

    progress = fitted.progress
    best, last = (
        evaluate_checkpoint(run, name, dataset, batch_size=config.training.batch_size, seed=config.seed)
        for name in CHECKPOINTS
    )
    metrics = {
        "status": "completed",
        **identity(config),
        "parameters": fitted.model.count_params(),
        "epochs_run": progress.epoch,
        "best_epoch": progress.best_epoch,
        "train_seconds": round(progress.seconds, 3),
        "attempts": progress.attempt + 1,
        "seed_used": fitted.seed,
    }
    ceiling = (dataset.ceiling or {}).get(config.data.name)
    if ceiling is not None:
        metrics["noise_ceiling_r2"] = ceiling
    metrics |= {"best": best.metrics, "last": last.metrics}
    title = f"{config.model.name}, {config.data.name}"
    plot_history(run.plots / "history.png", progress.history, progress.best_epoch, title)
    write_report(best, run.predictions, run.plots, title)
    write_json(run.metrics, metrics)  # last: a run with metrics is complete
    console.table(results_table(metrics))
    console.say(f"done in {console.duration(progress.seconds)}: {relative(run.path)}")


def identity(config: RunConfig) -> dict[str, Any]:
    """Return what every metrics.json says of its run."""
    return {"model": config.model.name, "data": config.data.name, "seed": config.seed}


@contextmanager
def reported_status(run: RunDirectory, config: RunConfig) -> Iterator[None]:
    """Leave a metrics.json that holds how the run ended, whatever ends it."""
    from genexp.training.state import read_progress

    before = read_metrics(run) or {}
    former = before if "best" in before else before.get("former")

    def write_status(status: str, reason: str) -> None:
        epochs = read_progress(run.state).epoch
        found = {"status": status, **identity(config), "epochs_run": epochs, "reason": reason}
        if former:  # a finished run that was to be trained further: its results stay
            found["former"] = former
        write_json(run.metrics, found)

    try:
        yield
    except KeyboardInterrupt:
        write_status("interrupted", "stopped by a signal")
        console.warn(f"interrupted; resume with: {resume_command(relative(run.path))}")
        raise KeyboardInterrupt("reported") from None
    except UserError as error:
        write_status("collapsed" if isinstance(error, Collapsed) else "failed", str(error))
        raise
    except Exception as error:
        if is_full(error):  # so no status can be written either
            hint = f"free some space, then {resume_command(relative(run.path))}"
            raise disk_full(error, run.path, hint) from None
        write_status("failed", f"{type(error).__name__}: {error}")
        raise


class Collapsed(UserError):
    """A run in which every attempt collapsed."""


def _collapsed(config: RunConfig) -> Collapsed:
    return Collapsed(
        "the network collapsed in every attempt: it predicts the same value for all genes, so there is no result",
        where=f"model={config.model.name}, training.restarts={config.training.restarts}",
        hint="lower training.learning_rate, try another seed or model.initializer, or widen model.dense",
    )


def resume(
    directory: str | Path,
    *,
    epochs: int | None = None,
    patience: int | Literal["unchanged"] | None = "unchanged",
    hardware: HardwareConfig | None = None,
    command: str,
    verbose: bool = False,
) -> RunDirectory:
    """Resume an interrupted run in its own directory, or train a finished one for more epochs.

    Parameters
    ----------
    directory
        The run.
    epochs, hardware
        What replaces the run's own settings; None keeps them.
    patience
        Likewise; None is no early stopping.
    command, verbose
        As in `start`.

    Raises
    ------
    UserError
        If the run cannot be resumed, or has nothing left to do.
    """
    from genexp.training.resume import resumed

    run = find_run(directory, "resume")
    config = resumed(run, epochs=epochs, patience=patience, hardware=hardware)
    write(prepare(check(config, run), verbose=verbose), run, command)
    return run


def relative(path: Path) -> str:
    """Return a path relative to the current folder where that is shorter."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
