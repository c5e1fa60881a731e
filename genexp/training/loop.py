"""The fit loop: one epoch after the other, until the last one, early stopping, or a collapse."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import keras
import numpy as np

from genexp.config import TrainConfig, TrainingConfig
from genexp.console import duration, progress, say, warn
from genexp.dataset.batches import TrainingBatches, inference_batches
from genexp.dataset.genes import Dataset
from genexp.errors import UserError
from genexp.evaluation.metrics import is_collapsed, r2
from genexp.evaluation.predict import predict
from genexp.files import write_csv
from genexp.models import InputShapes, build_model
from genexp.run.directory import HISTORY_COLUMNS, RunDirectory
from genexp.training.loggers import Log, open_loggers
from genexp.training.optimizers import OPTIMIZERS, epoch_rate
from genexp.training.start import take_weights
from genexp.training.state import Progress, read_progress, restore_variables, save_state
from genexp.training.strategy import Hardware

#: Epochs in a row with constant validation predictions after which a network counts as dead. A dead ReLU layer
#: passes no gradient, so it does not come back; the few epochs spare a network that only starts slowly.
DEAD_AFTER = 3

#: Distance of the seeds of two attempts, so that a retried run is not the same as its neighbour in a seed sweep.
SEED_STEP = 1_000_003


@dataclass(frozen=True)
class Fitted:
    """What training leaves behind, apart from the files."""

    model: keras.Model
    progress: Progress
    seed: int
    collapsed: bool


def train(config: TrainConfig, dataset: Dataset, shapes: InputShapes, hardware: Hardware, run: RunDirectory) -> Fitted:
    """Train one model, again with another seed when the network collapses.

    Picks up where the run directory's saved state left off. Writes ``history.csv``, ``checkpoints/best.keras``,
    ``checkpoints/last.keras`` and ``checkpoints/state/`` as it goes.

    Raises
    ------
    UserError
        If the loss becomes infinite or NaN.
    """
    state = read_progress(run.state)
    while True:
        seed = (config.seed + state.attempt * SEED_STEP) % 2**31
        model = compiled_model(config, shapes, hardware, seed)
        say(f"{model.count_params():,} parameters in {len(model.layers)} layers, seed {seed}")
        if config.training.start_from and not state.epoch:
            take_weights(model, config.training.start_from, shapes.vectors)
        if state.epoch:
            restore_variables(run.state, model)
            say(f"going on after epoch {state.epoch}")
            if state.best_epoch == state.epoch:  # the crash may have come between state and checkpoint
                save_model(model, run, "best")
        with open_loggers(config, run, state.attempt) as log:
            fit(model, config.training, dataset, hardware, run, state, seed, log)
        save_model(model, run, "last")
        collapsed = state.flat > 0
        if not collapsed or state.attempt >= config.training.restarts:
            return Fitted(model, state, seed, collapsed)
        state = Progress(attempt=state.attempt + 1, seconds=state.seconds)
        warn(
            f"the network collapsed: it predicts the same value for every validation gene (seed {seed}). "
            f"Starting again, attempt {state.attempt + 1} of {config.training.restarts + 1}"
        )


def compiled_model(config: TrainConfig, shapes: InputShapes, hardware: Hardware, seed: int) -> keras.Model:
    """Build and compile the model inside the strategy's scope, from a fresh session and seed."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
    with hardware.strategy.scope():
        model = build_model(config.model, shapes)
        model.compile(
            OPTIMIZERS[config.training.optimizer](config.training), loss=config.training.loss, jit_compile=hardware.jit
        )
        # Made now, so that every replica has them before the first step.
        model.optimizer.build(model.trainable_variables)
    return model


def fit(
    model: keras.Model,
    training: TrainingConfig,
    dataset: Dataset,
    hardware: Hardware,
    run: RunDirectory,
    state: Progress,
    seed: int,
    log: Log,
) -> None:
    """Run the epochs that are left, updating `state` and the run directory after each."""
    valid = dataset.splits["valid"]
    batches = TrainingBatches(
        dataset.splits["train"],
        training.batch_size,
        seed,
        shuffle=training.shuffle,
        static=hardware.static_batches,
    )
    valid_batches = inference_batches(valid, min(training.batch_size, len(valid)))
    loss_of = keras.losses.get(training.loss)
    with progress("epochs", training.epochs, "epochs", plain=False) as epochs_done:
        while state.epoch < training.epochs and state.flat < DEAD_AFTER:
            if training.patience is not None and state.waited >= training.patience:
                say(f"stopped early: no lower validation loss for {training.patience} epochs")
                break
            batches.epoch = state.epoch
            rate = epoch_rate(training, state.epoch)
            if training.optimizer != "original":  # whose schedule goes by updates, not epochs
                model.optimizer.learning_rate = rate

            started = time.perf_counter()
            result = model.fit(batches.dataset, shuffle=False, verbose=0)
            trained = time.perf_counter()
            predictions = predict(model, valid_batches, len(valid))
            val_loss = float(np.mean(loss_of(valid.labels[:, None], predictions[:, None])))
            seconds, val_seconds = trained - started, time.perf_counter() - trained

            loss = float(result.history["loss"][0])
            if training.optimizer == "original":
                rate = float(model.optimizer.learning_rate)
            if not (math.isfinite(loss) and math.isfinite(val_loss)):
                raise diverged(state.epoch + 1, loss, val_loss, rate)
            row = (state.epoch + 1, loss, val_loss, r2(valid.labels, predictions), rate, seconds, val_seconds)
            state.flat = state.flat + 1 if is_collapsed(predictions, valid.labels) else 0
            advance(state, dict(zip(HISTORY_COLUMNS, row, strict=True)))

            save_state(run.state, state, model)
            if state.waited == 0:
                save_model(model, run, "best")
            write_csv(run.history, HISTORY_COLUMNS, [list(r.values()) for r in state.history])
            log(state.history[-1])
            say(epoch_line(state, training.epochs, len(dataset.splits["train"])))
            epochs_done(state.epoch)


def advance(state: Progress, row: dict[str, float]) -> None:
    """Count one epoch; the first epoch with the lowest validation loss is the best."""
    state.epoch += 1
    state.history.append(row)
    state.seconds += row["seconds"] + row["val_seconds"]
    if row["val_loss"] < state.best_loss:
        state.best_epoch, state.best_loss, state.waited = state.epoch, row["val_loss"], 0
    else:
        state.waited += 1


def save_model(model: keras.Model, run: RunDirectory, name: str) -> None:
    """Write a checkpoint so that readers see the old one or the new one.

    It is not compiled: the optimiser is in checkpoints/state, and its schedule could not be read without genexp.
    """
    path = run.checkpoint(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{name}.tmp.keras")
    keras.Model(model.input, model.output, name=model.name).save(temporary)
    temporary.replace(path)


def epoch_line(state: Progress, epochs: int, genes: int) -> str:
    """Return the line that people watch: losses, r2, speed, time left if all epochs are run."""
    row = state.history[-1]
    recent = state.history[-10:]
    left = sum(r["seconds"] + r["val_seconds"] for r in recent) / len(recent) * (epochs - state.epoch)
    return (
        f"epoch {state.epoch:>3}/{epochs}  loss {row['loss']:.4f}  val_loss {row['val_loss']:.4f}  "
        f"val_r2 {row['val_r2']:.3f}  {genes / row['seconds']:>6,.0f} genes/s  at most {duration(left)} left"
        f"{'  best' if state.waited == 0 else ''}"
    )


def diverged(epoch: int, loss: float, val_loss: float, rate: float) -> UserError:
    """Return the error for a loss that is no number any more."""
    return UserError(
        "training diverged",
        where=f"epoch {epoch}",
        expected="a finite loss",
        received=f"loss {loss}, validation loss {val_loss}, at learning rate {rate:g}",
        do="lower training.learning_rate, or take hardware.precision=float32 if it was mixed_float16",
    )
