"""``genexp train``: one run, end to end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genexp import console
from genexp.config import KmerModelConfig, TrainConfig
from genexp.dataset.genes import Dataset
from genexp.dataset.sources import Source, choose_window, inspect, load
from genexp.errors import UserError
from genexp.files import disk_full, is_full, sigterm_interrupts, write_atomically, write_json
from genexp.models import check_model
from genexp.run.directory import (
    RunDirectory,
    exact_command,
    git_state,
    how_to_resume,
    package_versions,
    read_metrics,
    sole_writer,
)
from genexp.training.inputs import actual_shapes, check_vectors, encode, expected_shapes, vectors_for
from genexp.training.loggers import check_loggers
from genexp.training.start import check_start
from genexp.validation import to_yaml

if TYPE_CHECKING:
    from genexp.models import InputShapes
    from genexp.training.loop import Fitted
    from genexp.training.strategy import Hardware

EXAMPLES = (
    ("genexp train", "the demo genes, two minutes on a laptop"),
    (
        "genexp train model=divide_et_impera data=PHT dataset=xpresso_tf dataset.root=DIR",
        "published settings on published data",
    ),
    ("genexp train -m model=xpresso,divide_et_impera seed=0,1", "four isolated runs and a closing table"),
)


@dataclass(frozen=True)
class Checked:
    """A run that can be started, as far as that can be told without reading genes."""

    config: TrainConfig
    source: Source
    window: tuple[int, int] | None
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Prepared:
    """A run with its genes in memory and its devices found."""

    config: TrainConfig
    dataset: Dataset
    hardware: Hardware


def check(config: TrainConfig) -> Checked:
    """Look at everything that can be looked at quickly: dataset, window, model; no TensorFlow.

    Raises
    ------
    UserError
        If the run cannot be right.
    """
    blocks = config.data.name
    check_loggers(config.logger)
    source = inspect(config.dataset, blocks)
    missing = [b for b in blocks if b not in source.description.blocks]
    if missing:
        raise UserError(
            f"the dataset has no block {', '.join(missing)}",
            where=f"data={blocks}, {source.description.source}",
            expected=f"a combination of {source.description.blocks}",
            received=blocks,
            do="choose other blocks with data=..., or another dataset",
        )
    window, note = choose_window(config.data, config.model, source.description)
    check_what_the_model_reads(config, source)
    if config.training.start_from and not config.resume:
        check_start(config, source, window)
    own = RunDirectory(Path(config.resume)).vectors if config.resume else None
    check_model(config.model, expected_shapes(config.model, source.description, blocks, window, own))
    return Checked(config, source, window, (note,) if note else ())


def check_what_the_model_reads(config: TrainConfig, source: Source) -> None:
    """Refuse promoters that are embedded already where the model wants bases, or a window of them is wanted."""
    if source.description.promoter != "embedded" or "P" not in config.data.name:
        return
    if config.data.window is not None:
        raise UserError(
            "a window cannot be cut from promoters that are embedded already",
            where=f"data.window and dataset.root={source.description.source}",
            expected="null",
            received=config.data.window,
            do="leave data.window out, or use a dataset of bases",
        )
    if config.model.reads == "bases":
        raise UserError(
            f"model={config.model.name} reads bases, and these promoters are embedded already",
            where=f"model and dataset.root={source.description.source}",
            expected="a dataset of bases (one-hot or tokens)",
            received=f"{source.description.promoter_length} chunks of {source.description.embed_dim} numbers",
            do="choose model=biolstm or model=transformer, or a dataset of bases",
        )


def prepare(config: TrainConfig, *, verbose: bool = False) -> Prepared:
    """Do everything that can fail by a user's mistake, before a run directory is made."""
    checked = check(config)
    from genexp.training.strategy import set_up_hardware

    hardware = set_up_hardware(config.hardware, verbose=verbose)
    dataset = load(checked.source, config.data.name, checked.window)
    report_dataset(dataset, config.data.name)
    check_vectors(config.model, dataset)
    for line in checked.lines:
        console.say(line)
    return Prepared(config, dataset, hardware)


def report_dataset(dataset: Dataset, blocks: str) -> None:
    """Say what was found, and warn of what is odd."""
    info = dataset.description
    genes = " / ".join(f"{len(split):,}" for split in dataset.splits.values())
    promoter = ""
    if info.promoter == "bases" and info.tss is not None:
        promoter = f", promoters of {info.promoter_length:,} nt with the TSS at {info.tss:,}"
        if dataset.window:
            promoter += f", window [{dataset.window[0]}, {dataset.window[1]})"
    elif info.promoter == "embedded":
        promoter = f", promoters of {info.promoter_length:,} chunks of {info.embed_dim:,} numbers"
    widths = ", ".join(f"{b} ({w:,})" for b, w in info.widths.items())
    console.say(f"dataset: {info.layout}, {info.source}: {genes} genes (train / valid / test){promoter}; {widths}")
    for line in dataset.warnings:
        console.warn(line)
    if dataset.ceiling and blocks in dataset.ceiling:
        console.say(f"attainable test r2 with data={blocks}: {dataset.ceiling[blocks]:.3f}, as the generator knows")


def run(prepared: Prepared, directory: Path) -> None:
    """Train, evaluate and write everything into the run directory."""
    files = RunDirectory(directory)
    config = prepared.config
    with sole_writer(files), console.log_to(files.log), reported_status(files, config):
        write_atomically(files.config, to_yaml(replace(config, resume=None)))
        write_json(files.environment, environment(prepared))
        console.say(f"run directory: {display(directory)}")
        from genexp.training.loop import train

        vectors = vectors_for(config.model, prepared.dataset, files.vectors)
        dataset = encode(prepared.dataset, config.model)
        shapes = actual_shapes(config.model, dataset, vectors)
        report_model(prepared, shapes)
        fitted = train(config, dataset, shapes, prepared.hardware, files)
        if fitted.collapsed:
            raise collapsed(config)
        write_results(replace(prepared, dataset=dataset), fitted, files)


def report_model(prepared: Prepared, shapes: InputShapes) -> None:
    """Say what is trained, on what."""
    config, hardware = prepared.config, prepared.hardware
    training = config.training
    console.say(
        f"model: {config.model.name} on {config.data.name}, fed with {fed_with(config, shapes)}; "
        f"{training.optimizer}, learning rate {training.learning_rate:g}, batch {training.batch_size}, "
        f"at most {training.epochs} epochs; {', '.join(hardware.devices)}, {config.hardware.precision}"
    )


def fed_with(config: TrainConfig, shapes: InputShapes) -> str:
    """Say what the model sees of a promoter."""
    model = config.model
    if shapes.promoter and shapes.promoter_kind == "kmers" and isinstance(model, KmerModelConfig):
        vectors = model.embedding.vectors or model.embedding.kind
        return f"promoters as k-mer counts of chunks, {shapes.promoter[0]} of {model.chunk} nt (embedding: {vectors})"
    if shapes.promoter_kind == "embedded":
        return "promoters that come embedded (model.k, model.chunk and model.embedding play no part)"
    return "promoters as bases" if shapes.promoter else "no promoters"


def write_results(prepared: Prepared, fitted: Fitted, files: RunDirectory) -> None:
    """Write metrics, predictions and plots of the best and the last checkpoint, as read back from disk."""
    from genexp.evaluation.report import evaluate_checkpoint, plot_history_of, results_table, write_report

    config, progress = prepared.config, fitted.progress
    best = evaluate_checkpoint(files, "best", prepared.dataset, config)
    last = evaluate_checkpoint(files, "last", prepared.dataset, config)
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
    ceiling = (prepared.dataset.ceiling or {}).get(config.data.name)
    if ceiling is not None:
        metrics["attainable_r2"] = ceiling
    metrics |= {"best": best.metrics, "last": last.metrics}
    title = f"{config.model.name}, {config.data.name}"
    plot_history_of(files, progress, title)
    write_report(best, files.predictions, files.plots, title)
    write_json(files.metrics, metrics)  # last: a run with metrics is complete
    console.table(results_table(metrics))
    console.say(f"done in {console.duration(progress.seconds)}: {display(files.path)}")


def identity(config: TrainConfig) -> dict[str, Any]:
    """Return what every metrics.json says of its run."""
    return {"model": config.model.name, "data": config.data.name, "seed": config.seed}


@contextmanager
def reported_status(files: RunDirectory, config: TrainConfig) -> Iterator[None]:
    """Leave a metrics.json that says how the run ended, whatever ends it."""
    from genexp.training.state import read_progress

    before = read_metrics(files) or {}
    former = before if "best" in before else before.get("former")

    def write_status(status: str, reason: str) -> None:
        epochs = read_progress(files.state).epoch
        found = {"status": status, **identity(config), "epochs_run": epochs, "reason": reason}
        if former:  # a finished run that was to be trained on: its results stay
            found["former"] = former
        write_json(files.metrics, found)

    try:
        with sigterm_interrupts():
            yield
    except KeyboardInterrupt:
        write_status("interrupted", "stopped by a signal")
        console.warn(f"interrupted; go on with: {how_to_resume(display(files.path))}")
        raise KeyboardInterrupt("said") from None
    except UserError as error:
        write_status("collapsed" if error.what.startswith("the network collapsed") else "failed", str(error))
        raise
    except Exception as error:
        if is_full(error):  # so no status can be written either
            raise disk_full(error, files.path, f"free some space, then {how_to_resume(display(files.path))}") from None
        write_status("failed", f"{type(error).__name__}: {error}")
        raise


def collapsed(config: TrainConfig) -> UserError:
    """Return the error for a run in which every attempt collapsed."""
    return UserError(
        "the network collapsed in every attempt: it predicts the same value for all genes, so there is no result",
        where=f"model={config.model.name}, training.restarts={config.training.restarts}",
        expected="validation predictions that vary",
        received="r2 0.000",
        do="lower training.learning_rate, try another seed or model.initializer, or widen model.dense",
    )


def environment(prepared: Prepared) -> dict[str, Any]:
    """Return what environment.json holds."""
    config, dataset = prepared.config, prepared.dataset
    return {
        "command": exact_command(),
        "directory": str(Path.cwd()),
        "packages": package_versions(),
        "git": git_state(Path(__file__).parent),
        "devices": list(prepared.hardware.devices),
        "strategy": type(prepared.hardware.strategy).__name__,
        "precision": config.hardware.precision,
        "seed": config.seed,
        "dataset": dataset.record().model_dump(mode="json"),
    }


def display(path: Path) -> str:
    """Return a path relative to the current folder where that is shorter."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
