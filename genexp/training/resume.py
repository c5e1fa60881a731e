"""Going on with an interrupted run, or training a finished one on: its own config, and what forbids it."""

from __future__ import annotations

from typing import Any, Literal

from genexp.errors import UserError
from genexp.run.directory import RunDirectory, busy, check_checkpoint, is_being_written, read_metrics
from genexp.training.config import HardwareConfig, RunConfig, read_config


def resumed(
    run: RunDirectory,
    *,
    epochs: int | None = None,
    patience: int | Literal["unchanged"] | None = "unchanged",
    hardware: HardwareConfig | None = None,
) -> RunConfig:
    """Return the config of a run to be resumed, with what may be changed.

    Parameters
    ----------
    run
        The run.
    epochs, hardware
        What replaces its own; None keeps it.
    patience
        Likewise; None is no early stopping.

    Raises
    ------
    UserError
        If it cannot be resumed, or has nothing left to do.
    """
    check_resumable(run, str(run.path), epochs)
    own = read_config(run)
    changed: dict[str, Any] = {} if patience == "unchanged" else {"patience": patience}
    if epochs is not None:
        changed["epochs"] = epochs
    training = own.training.model_copy(update=changed)
    return own.model_copy(update={"training": training, "hardware": hardware or own.hardware})


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
