"""Training: from a config to a finished run, with every check before the work starts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from genexp import console
from genexp.api.seen import SEEN, Seen, count_seen, recorded_genes, training_genes
from genexp.config.compose import Command, Composed
from genexp.config.conf import CONF_DIR
from genexp.config.conf import load as load_conf
from genexp.config.validation import to_yaml, validate
from genexp.config.words import Words
from genexp.dataset.alignment import align
from genexp.dataset.config import DatasetConfig
from genexp.dataset.description import Source
from genexp.dataset.genes import SPLITS, Dataset
from genexp.dataset.labels import choose
from genexp.dataset.overlap import TrainingGenes
from genexp.dataset.ranges import write_ranges
from genexp.dataset.sources import choose_window, inspect, load
from genexp.errors import UserError
from genexp.files import disk_full, is_full, write_atomically, write_json
from genexp.interrupts import was_interrupted
from genexp.models import check_model, inputs
from genexp.resources import threads
from genexp.run import (
    CHECKPOINTS,
    HELD_OUT,
    SWEEP,
    RunDirectory,
    check_free,
    created,
    find_run,
    provenance,
    read_environment,
    read_metrics,
    resume_command,
    sole_writer,
)
from genexp.schema import Count, Index, PathText
from genexp.training.augmentation import check_augmentation, moves
from genexp.training.auto import automatic, described
from genexp.training.config import HardwareConfig, RunConfig, read_config, read_description
from genexp.training.loggers import check_loggers
from genexp.training.optimizers import LOSSES
from genexp.training.schedules import stretched_schedule
from genexp.training.start import KEY, OTHER_DATASET, check_same_dataset, check_start

if TYPE_CHECKING:
    from genexp.evaluation.baselines import Baselines
    from genexp.training.loop import Fitted
    from genexp.training.strategy import Hardware


class TrainConfig(RunConfig):
    """The whole config of ``genexp train``."""

    resume: PathText | None = Field(description="directory of an interrupted run or sweep, which is resumed there")
    repeats: Count | None = Field(description="number of runs that differ in the seed alone; null: one run")
    folds: Count | None = Field(description="number of cross-validation folds, with a run on each; null: no folds")
    jobs: Index | Literal["auto"] = Field(
        description="runs at once; auto: one for each core or GPU that was granted; 0: none, sweep.yaml is written"
    )
    job: Index | None = Field(description="number of the one job of a resumed sweep that is run; null: all")


#: Keys that say how many runs are made, and how; no run has them.
MANY = ("repeats", "folds", "jobs", "job")
#: What may be given beside resume=DIR; everything else is the run's own.
BESIDE_RESUME = ("training.epochs", "training.patience", "hardware", "jobs", "job", "hydra/launcher")


def _check_words(words: Words) -> None:
    """Refuse settings beside ``resume`` that are the run's own, and changes to what a preset records as published."""
    for override in words.overrides:
        if override.key_or_group.startswith("experiment."):
            what, received = f"{override.key_or_group} is what was published, no setting", override.input_line
            raise UserError(what, received=received, hint="leave it out; write a preset of your own (--config-dir)")
    given = {o.key_or_group: o.value() for o in words.overrides if not o.is_sweep_override()}
    for name in words.values("experiment"):
        model = load_conf(CONF_DIR / "experiment" / f"{name}.yaml").get("experiment", {}).get("model")
        if model and given.get("model", model) != model:
            what, received = f"{name} is a result of model={model}", f"model={given['model']}"
            raise UserError(what, where=f"experiment={name}", received=received, hint="leave one of the two out")
    resumed = given.get("resume")
    if resumed in ("", None) or (Path(str(resumed)).expanduser() / SWEEP).is_file():  # sweeps take other keys
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
    settle=automatic,
    one_value=(*MANY, "resume"),
)


def check_one(composed: Composed[TrainConfig]) -> None:
    """Raise a UserError if a key is given that is for several runs, the command line's or a launcher of Hydra's."""
    for override in composed.words.overrides:
        key = override.key_or_group
        if key in ("jobs", "hydra/launcher", "hydra/sweeper") and override.value() != "basic":
            hint = f"add repeats=10 or -m, or leave {key} out"
            raise UserError(f"{key} is for several runs", received=override.input_line, hint=hint)


def without_effect(composed: Composed[TrainConfig]) -> list[str]:
    """Return a sentence for each key given that has no effect."""
    causes = decided(composed).idle(composed.words.keys)
    return [f"{key} has no effect with {cause}" for key, cause in causes.items()]


def decided(composed: Composed[Any]) -> RunConfig:
    """Return the config of a run with every ``auto`` of the model decided by the keys that were given."""
    config: RunConfig = composed.config.run()
    return config.model_copy(update={"model": config.model.decided(composed.words.keys)})


@dataclass(frozen=True)
class Plan:
    """A run that can be started: what is trained, on which dataset and window, and sentences for the user.

    `resumed` is the run directory of a run that is resumed.
    """

    config: RunConfig
    source: Source
    window: tuple[int, int] | None
    notes: tuple[str, ...]
    resumed: RunDirectory | None = None


def check(config: RunConfig, resumed: RunDirectory | None = None) -> Plan:
    """Look at everything that can be looked at quickly: dataset, window, model; no TensorFlow.

    A resumed run uses its own k-mer vectors.
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
    source = choose(inspect(config.dataset, blocks), config.data.labels)
    window, note = choose_window(config.data, config.model.window, config.model.multiple(), source.description)
    if resumed is not None and resumed.environment.is_file():
        source = align(read_description(resumed), source, blocks, OTHER_DATASET, own=True)
    elif config.training.start_from:
        source = check_start(config, source, window)
    own = resumed.vectors if resumed else None
    shapes = inputs.input_shapes(config.model, source.description, blocks, window, own)
    check_model(config.model, shapes)
    check_augmentation(config.training, shapes, source.description)
    source = inputs.with_encoded_size(source, config.model, shapes, _encoded_once(config))
    stretched = resumed and stretched_schedule(read_config(resumed).training, config.training)
    notes += [line for line in (note, stretched, described(config, source.description)) if line]
    return Plan(config, source, window, tuple(notes), resumed)


def _encoded_once(config: RunConfig) -> Sequence[str]:
    """Return the splits that are encoded once; training promoters that move are encoded in each epoch."""
    return HELD_OUT if moves(config.training) else SPLITS


def folder_dataset(**settings: object) -> DatasetConfig:
    """Return the config of a dataset folder: the values of conf/dataset/files.yaml, and these."""
    return validate({**load_conf(CONF_DIR / "dataset" / "files.yaml"), **settings}, DatasetConfig, "dataset")


def read(source: Source, blocks: str, window: tuple[int, int] | None) -> Dataset:
    """Load a dataset with progress, and print what was found."""
    total = sum(source.description.genes.values())
    with console.progress("reading genes", total, "genes") as done:
        dataset = load(source, blocks, window, done)
    console.say(str(dataset))
    for line in source.notes:
        console.say(line)
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
    describe: Callable[[Path], None] = lambda path: None,
) -> RunDirectory:
    """Check, read, make the run directory and train.

    `command` is what environment.json records; `verbose` lets TensorFlow's own messages through; `describe` is called
    with the run directory when it is made.
    """
    check_free(directory)
    plan = check(config)

    @contextmanager
    def new_run() -> Iterator[RunDirectory]:
        with created(directory) as run:
            describe(run.path)
            yield run

    return _train(plan, new_run(), command, verbose)


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

    What is None keeps the run's own setting, except that `patience` of None is no early stopping.
    """
    from genexp.training.state import resumed

    run = find_run(directory, "resume")
    plan = check(resumed(run, epochs, patience, hardware), run)
    return _train(plan, sole_writer(run), command, verbose)


def _train(plan: Plan, directory: AbstractContextManager[RunDirectory], command: str, verbose: bool) -> RunDirectory:
    """Do everything that a user's error can stop before a run directory is made; then train, evaluate and write."""
    from genexp.training.strategy import set_up_hardware

    config = plan.config
    hardware = set_up_hardware(config.hardware, verbose=verbose)
    hardware.batch_size(config.training.batch_size, plan.source.description.genes["train"])  # an error before reading
    read_genes = read(plan.source, config.data.name, plan.window)
    shared = _shared_batch(config, hardware, len(read_genes.splits["train"]))
    record = read_genes.record().model_dump(mode="json")
    if plan.resumed is not None:
        check_same_dataset(plan.resumed, record["fingerprint"])
    inputs.check_vectors(config.model, read_genes)
    for line in plan.notes:
        console.say(line)
    known, seen = _training_genes(plan, read_genes)
    with directory as run, console.log_to(run.log):
        with reported_status(run, config):
            write_atomically(run.config, to_yaml(config))  # first: from here on the run can be resumed
            devices, precision = list(hardware.devices), config.hardware.precision
            strategy = type(hardware.strategy).__name__
            made_with = {"devices": devices, "strategy": strategy, "precision": precision, **shared}
            # The number of threads decides the last digits.
            made = provenance(command, config.seed, record, **made_with, threads=threads(), **seen)
            write_json(run.environment, made)
            known.save(run.training_genes)
            write_ranges(run.training_features, read_genes)
            console.say(f"run directory: {relative(run.path)}")
            baselines = _baselines(config, read_genes, record["fingerprint"], run)
            from genexp.training.loop import train  # imports Keras, so not before config.yaml is written

            with console.progress("Word2Vec", 1, "epochs") as done:
                inputs.vectors_for(config.model, read_genes, run.vectors, console.say, done)
            dataset = inputs.encode(read_genes, config.model, console.warn, _encoded_once(config))
            shapes = inputs.input_shapes(config.model, dataset.description, config.data.name, plan.window, run.vectors)
            training, batch = config.training, shared.get("batch_size", config.training.batch_size)
            console.say(
                f"model: {config.model.name} on {config.data.name}, input: {inputs.describe(config.model, shapes)}; "
                f"{training.optimizer}, learning rate {training.learning_rate:g}, batch {batch}, at most "
                f"{training.epochs} epochs; {', '.join(devices)}, {precision}"
            )
            fitted = train(config, dataset, shapes, hardware, run)
            if fitted.collapsed:
                raise _collapsed(config)
            metrics = _write_results(config, dataset, fitted, run, seen, baselines)
        _show_results(run, metrics)
    return run


def _shared_batch(config: RunConfig, hardware: Hardware, genes: int) -> dict[str, int]:
    """Return what environment.json says of a batch that is smaller, so that all devices get equal shares; print it."""
    wanted, size = min(config.training.batch_size, genes), hardware.batch_size(config.training.batch_size, genes)
    if size == wanted:
        return {}
    each = f"{size // hardware.replicas:,} for each of {hardware.replicas} devices"
    console.say(f"batches of {size:,} genes in place of {wanted:,}: {each}")
    return {"batch_size": size}


def _baselines(config: RunConfig, dataset: Dataset, fingerprint: str, run: RunDirectory) -> Baselines | None:
    """Return the baselines of the genes of a run, and write their predictions; None where none are asked for."""
    if not (config.baseline and config.test):
        return None
    from genexp.api.simple_models import find  # imports SciPy

    found = find(dataset, fingerprint, shuffled=config.baseline == "shuffled", seed=config.seed)
    found.write(run.baselines)
    return found


def _training_genes(plan: Plan, dataset: Dataset) -> tuple[TrainingGenes, dict[str, Seen]]:
    """Return the genes that the weights have seen once the run is trained; and which held-out genes they see before.

    Weights that another run gives have seen the training genes of that run.
    """
    known, other = training_genes(plan.source, dataset), plan.config.training.start_from
    if plan.resumed is not None and plan.resumed.environment.is_file():
        recorded = plan.resumed.training_genes
        seen = {key: read_environment(plan.resumed)[key] for key in (SEEN,) if key in read_environment(plan.resumed)}
        return TrainingGenes.load(recorded) if recorded.is_file() else known, seen
    if not other:
        return known, {}
    run = find_run(other, KEY)
    theirs = recorded_genes(run)
    found = count_seen(run.path.name, theirs, plan.source, dataset, HELD_OUT)
    return known | theirs if theirs else known, {SEEN: found} if found else {}


def _write_results(
    config: RunConfig,
    dataset: Dataset,
    fitted: Fitted,
    run: RunDirectory,
    seen: Mapping[str, Seen],
    baselines: Baselines | None,
) -> dict[str, Any]:
    """Write metrics, predictions and plots of both checkpoints, as read back from disk; return the metrics."""
    from genexp.evaluation.plots import plot_history
    from genexp.evaluation.report import evaluate_checkpoint, tied_predictions, write_report

    progress, batch_size = fitted.progress, config.training.batch_size
    splits = HELD_OUT if config.test else HELD_OUT[:1]
    best, last = (
        evaluate_checkpoint(run, name, dataset, batch_size=batch_size, seed=config.seed, splits=splits)
        for name in CHECKPOINTS
    )
    difference = baselines.difference(best.predictions["test"]) if baselines else None
    ceiling, tied = (dataset.ceiling or {}).get(config.data.name), tied_predictions(best)
    metrics = {
        "status": "completed",
        **identity(config),
        "parameters": fitted.model.count_params(),
        "epochs_run": progress.epoch,
        "best_epoch": progress.best_epoch,
        "train_seconds": round(progress.seconds, 3),
        "attempts": progress.attempt + 1,
        "seed_used": fitted.seed,
        **({} if ceiling is None else {"noise_ceiling_r2": ceiling}),
        **seen,
        **({"warnings": tied} if tied else {}),
        "best": best.metrics,
        "last": last.metrics,
        **({"baselines": baselines.metrics, "above_baseline": difference} if baselines else {}),
    }
    title, loss = f"{config.model.name}, {config.data.name}", LOSSES[config.training.loss]
    level = baselines.level("valid") if baselines else None
    beside = "baseline {}: r² {:.3f}".format(*baselines.level("test")) if baselines else ""
    whole = f"{title}, {dataset.description.name}"
    if config.plots:
        where = run.plots / "history.png"
        plot_history(where, progress.history, progress.best_epoch, whole, level, loss=loss, formats=config.plots)
    write_report(best, run.predictions, run.plots, title, beside, config.plots)
    write_json(run.metrics, metrics)  # last: a run with metrics is complete
    return metrics


def _show_results(run: RunDirectory, metrics: Mapping[str, Any]) -> None:
    """Print what a completed run found."""
    from genexp.api.simple_models import verdict
    from genexp.evaluation.report import results_table

    console.table(results_table(metrics))
    if difference := metrics.get("above_baseline"):
        console.say(verdict(difference, metrics["best"]["test"]["r2"]))
    for line in metrics.get("warnings", ()):
        console.warn(line)
    console.say(f"done in {console.duration(metrics['train_seconds'])}: {relative(run.path)}")


def identity(config: RunConfig) -> dict[str, Any]:
    """Return what every metrics.json says of its run."""
    return {"model": config.model.name, "data": config.data.name, "seed": config.seed}


class Collapsed(UserError):
    """A run in which every attempt collapsed."""


def _collapsed(config: RunConfig) -> Collapsed:
    what = "the network collapsed in every attempt: it predicts the same value for all, or nearly all, genes"
    where = f"model={config.model.name}, training.restarts={config.training.restarts}"
    hint = "lower training.learning_rate, try another seed or model.initializer, widen model.dense, or choose "
    return Collapsed(what, where=where, hint=f"{hint}another model: docs/benchmark.md")


@contextmanager
def reported_status(run: RunDirectory, config: RunConfig) -> Iterator[None]:
    """Leave a metrics.json that holds how the run ended, whatever ends it."""
    from genexp.training.state import read_progress

    before = read_metrics(run) or {}
    former = before if "best" in before else before.get("former")

    def write_status(status: str, reason: str, **more: str) -> None:
        epochs = read_progress(run.state).epoch
        found = {"status": status, **identity(config), "epochs_run": epochs, "reason": reason, **more}
        if former:  # a finished run that was to be trained further: its results stay
            found["former"] = former
        write_json(run.metrics, found)

    try:
        yield
    except (KeyboardInterrupt, Exception) as error:
        if isinstance(error, KeyboardInterrupt) or was_interrupted():
            write_status("interrupted", "stopped by a signal")
            console.warn(f"interrupted; resume with: {resume_command(relative(run.path))}")
            raise KeyboardInterrupt("reported") from None
        if isinstance(error, UserError):
            write_status("collapsed" if isinstance(error, Collapsed) else "failed", str(error))
            raise
        if is_full(error):  # so no status can be written either
            hint = f"free some space, then {resume_command(relative(run.path))}"
            raise disk_full(error, run.path, hint) from None
        write_status("failed", f"{type(error).__name__}: {error}", error=type(error).__name__)
        raise


def relative(path: Path) -> str:
    """Return a path relative to the current folder where it is below it."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
