"""Resuming a run exactly: what it needs, in one file that is replaced atomically, and what forbids it."""

from __future__ import annotations

import io
import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import TypeAdapter

from genexp.config.validation import validate
from genexp.errors import UserError
from genexp.files import in_short, open_npz, write_atomically
from genexp.run import HISTORY_COLUMNS, RunDirectory, busy, check_checkpoint, is_being_written, read_metrics
from genexp.training.config import HardwareConfig, RunConfig, read_config

if TYPE_CHECKING:
    import keras


@dataclass
class Progress:
    """How far a run is; all of it is restored on resume."""

    #: How often the run was started again with another seed after a collapse.
    attempt: int = 0
    #: Epochs completed in this attempt.
    epoch: int = 0
    #: Epoch with the lowest validation loss, from 1, that loss, and the epochs since.
    best_epoch: int = 0
    best_loss: float = math.inf
    waited: int = 0
    #: Epochs in a row with constant validation predictions, and with constant or nearly constant ones.
    flat: int = 0
    nearly_flat: int = 0
    #: Whether those of the best epoch are constant or nearly constant.
    best_is_flat: bool = False
    #: Spent in training epochs and their validation, over all attempts and interruptions.
    seconds: float = 0.0
    #: One row per epoch; see `genexp.run.HISTORY_COLUMNS`.
    history: list[dict[str, float]] = field(default_factory=list)

    def watch(self, constant: bool, nearly: bool) -> None:
        """Count an epoch, before `advance`, by whether its validation predictions are constant, or nearly so."""
        self.flat = self.flat + 1 if constant else 0
        self.nearly_flat = self.nearly_flat + 1 if nearly else 0

    @property
    def collapsed(self) -> bool:
        """Whether the network is of no use: dead in the last epoch, or in the one whose checkpoint is the best."""
        return self.nearly_flat > 0 or self.best_is_flat

    def advance(self, row: dict[str, float]) -> None:
        """Count one epoch; the first epoch with the lowest validation loss is the best."""
        self.epoch += 1
        self.history.append(row)
        self.seconds += row["seconds"] + row["val_seconds"]
        if row["val_loss"] < self.best_loss:
            self.best_epoch, self.best_loss, self.waited = self.epoch, row["val_loss"], 0
            self.best_is_flat = self.nearly_flat > 0
        else:
            self.waited += 1


def save_state(path: Path, progress: Progress, model: keras.Model) -> None:
    """Write progress, weights, optimizer and random state atomically."""
    arrays = {f"variable_{n:05}": np.asarray(v) for n, v in enumerate(_variables(model))}
    arrays["progress"] = np.array(json.dumps(asdict(progress)))
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]  # numpy's stub takes the names for its own options
    write_atomically(path, buffer.getvalue())


def read_progress(path: Path) -> Progress:
    """Return the progress of a run; that of a new one where nothing is saved."""
    if not path.exists():
        return Progress()
    with open_npz(path, lambda error: _unreadable(path, error)) as file:
        text = str(file["progress"])
        TypeAdapter(Progress).validate_json(text, strict=True)  # which would make the epochs in the history floats
        found = Progress(**json.loads(text))
        rows = [set(row) == set(HISTORY_COLUMNS) for row in found.history]
        if not all(rows) or not 0 <= found.best_epoch <= found.epoch == len(rows) or found.attempt < 0:
            raise ValueError("its epochs do not add up")
        return found


def _unreadable(path: Path, error: Exception) -> UserError:
    what, hint = "the saved state of this run cannot be read", "copy the run directory again, or start a new run"
    return UserError(what, where=path, received=in_short(error), hint=hint)


def restore_variables(path: Path, model: keras.Model) -> None:
    """Set weights, optimizer and random state of a compiled model to the saved ones."""
    variables = _variables(model)
    with open_npz(path, lambda error: _unreadable(path, error)) as file:
        saved = [np.asarray(file[name]) for name in sorted(file) if name != "progress"]
    forms, expected = ([(x.dtype, x.shape) for x in map(np.asarray, arrays)] for arrays in (saved, variables))
    if forms != expected:
        differ = next(((a, b) for a, b in zip(forms, expected, strict=False) if a != b), (len(forms), len(expected)))
        received = f"{len(forms)} variables for {len(expected)}; first difference: {differ[0]} for {differ[1]}"
        hint = "resume the run with the config it was started with"
        raise UserError("the saved state belongs to another model", where=path, received=received, hint=hint)
    for variable, value in zip(variables, saved, strict=True):
        variable.assign(value)


def _variables(model: keras.Model) -> list[keras.Variable]:
    """Return all variables of a model (with its random seeds) and of its optimizer, in a fixed order."""
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    own = [v for v in model.variables if all(v is not m for m in model.metrics_variables)]
    return [*own, *model.optimizer.variables]


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
