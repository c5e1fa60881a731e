"""Resuming an interrupted run, or training a finished one for more epochs: its own config, and what forbids it."""

from __future__ import annotations

from typing import Literal

from genexp.config.validation import validate
from genexp.errors import UserError
from genexp.run import RunDirectory, busy, check_checkpoint, is_being_written, read_metrics
from genexp.training.config import HardwareConfig, RunConfig, read_config
from genexp.training.state import read_progress


def resumed(
    run: RunDirectory, epochs: int | None, patience: int | Literal["unchanged"] | None, hardware: HardwareConfig | None
) -> RunConfig:
    """Return the config with which a run is resumed; None keeps its own epochs or hardware."""
    content = read_config(run).model_dump(mode="json")
    if epochs is not None:
        content["training"]["epochs"] = epochs
    if patience != "unchanged":
        content["training"]["patience"] = patience
    if hardware is not None:
        content["hardware"] = hardware.model_dump(mode="json")
    config = validate(content, RunConfig, "resume")
    check_resumable(run, epochs)
    return config


def check_resumable(run: RunDirectory, epochs: int | None) -> None:
    """Raise a UserError if a run cannot be resumed, or has nothing left to do with these `epochs`."""
    metrics, where = read_metrics(run) or {}, run.path
    if "imported" in metrics:
        hint = f"start a new run with its weights: genexp train training.start_from={run.path} ..."
        raise UserError("this run was imported, there is nothing to resume", where=where, hint=hint)
    if is_being_written(run):
        raise busy(run)
    progress = read_progress(run.state)
    if metrics.get("status") == "completed" and epochs is None:
        hint = f"evaluate it (genexp evaluate run_dir={run.path}), or train on with training.epochs=N"
        raise UserError("this run is complete, there is nothing to resume", where=where, hint=hint)
    if not run.state.is_file() and (run.history.is_file() or any(run.checkpoints.glob("*.keras"))):
        hint = "copy it from where the run was made, or start a new run; the checkpoints can still be evaluated"
        raise UserError("the saved state of this run is missing, so it cannot be resumed", where=run.state, hint=hint)
    if epochs is not None and epochs <= progress.epoch:
        expected = f"more than the {progress.epoch} epochs that are completed"
        what = "the run has completed as many epochs already"
        raise UserError(what, where="training.epochs", expected=expected, received=epochs)
    if progress.best_epoch and progress.best_epoch != progress.epoch:  # else the saved state has its weights
        check_checkpoint(run, "best")
