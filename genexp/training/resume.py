"""Going on with an interrupted run, or training a finished one on: its own config, and what forbids it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from omegaconf import OmegaConf

from genexp.config import TrainConfig
from genexp.errors import UserError
from genexp.run.directory import RunDirectory, busy, check_checkpoint, is_being_written, open_run, read_metrics
from genexp.validation import validate


def resumed(directory: str, said: Collection[str], config: TrainConfig) -> tuple[TrainConfig, Path]:
    """Return the config of an interrupted run, with what may be changed, and its directory.

    Parameters
    ----------
    directory
        The run.
    said
        The keys that the command line names.
    config
        The config composed from the command line; epochs, patience and hardware are taken from it if given.
    """
    files = open_run(directory, "resume")
    check_resumable(files, directory, config.training.epochs if "training.epochs" in said else None)
    own = validate(OmegaConf.load(files.config), TrainConfig, str(files.config))  # type: ignore[arg-type]
    training = replace(
        own.training,
        epochs=config.training.epochs if "training.epochs" in said else own.training.epochs,
        patience=config.training.patience if "training.patience" in said else own.training.patience,
    )
    hardware = config.hardware if any(k.startswith("hardware") for k in said) else own.hardware
    return replace(own, training=training, hardware=hardware, resume=directory), files.path


def check_resumable(files: RunDirectory, directory: str, epochs: int | None) -> None:
    """Raise a UserError if a run cannot go on, or has nothing left to do; nothing in it is touched before.

    Parameters
    ----------
    files
        The run.
    directory
        The same, as the user named it.
    epochs
        The new number of epochs, if one is given.
    """
    from genexp.training.state import read_progress

    metrics = read_metrics(files) or {}
    if "imported" in metrics:
        raise UserError(
            "this run was imported, there is nothing to resume",
            where=f"resume={directory}",
            do=f"begin a new run with its weights: genexp train training.start_from={directory} ...",
        )
    if is_being_written(files):
        raise busy(files)
    progress = read_progress(files.state)
    if metrics.get("status") == "completed" and epochs is None:
        raise UserError(
            "this run is complete, there is nothing to resume",
            where=f"resume={directory}",
            do=f"evaluate it (genexp evaluate run_dir={directory}), or train on with training.epochs=N",
        )
    if not files.state.is_file() and (files.history.is_file() or any(files.checkpoints.glob("*.keras"))):
        raise UserError(
            "the saved state of this run is missing, so it cannot go on",
            where=files.state,
            expected="state.npz, which genexp train writes after every epoch",
            received="a run of some epochs without it",
            do="copy it from where the run was made, or start a new run; the checkpoints can still be evaluated",
        )
    if epochs is not None and epochs <= progress.epoch:
        raise UserError(
            "the run has done as many epochs already",
            where="training.epochs",
            expected=f"more than the {progress.epoch} epochs that are done",
            received=epochs,
            do="give a larger number, or evaluate the run as it is",
        )
    if progress.best_epoch and progress.best_epoch != progress.epoch:  # else the saved state has its weights
        check_checkpoint(files, "best")
