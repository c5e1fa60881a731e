"""The fit loop: one epoch after the other, until the last one, early stopping, or a collapse."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import keras
import numpy as np

from genexp.console import progress, say, warn
from genexp.dataset.batches import Augmentation, TrainingBatches, inference_batches, steps_per_epoch
from genexp.dataset.description import listed
from genexp.dataset.genes import Dataset, Split
from genexp.errors import UserError
from genexp.evaluation.metrics import collapsed_labels, mean_r2, nearly_constant_labels
from genexp.evaluation.report import predict
from genexp.files import write_csv
from genexp.models import InputShapes, build_model
from genexp.models.layers.strands import both_strands
from genexp.run import HISTORY_COLUMNS, RunDirectory
from genexp.training.augmentation import augmentation_of
from genexp.training.averages import Averages
from genexp.training.loggers import Log, open_loggers
from genexp.training.losses import Loss, loss_of
from genexp.training.optimizers import build_optimizer
from genexp.training.schedules import epoch_rate
from genexp.training.start import take_weights
from genexp.training.state import Progress, read_progress, restore_variables, save_state
from genexp.training.strategy import Hardware
from genexp.units import clock, duration

if TYPE_CHECKING:
    import tensorflow as tf

    from genexp.training.config import RunConfig, TrainingConfig

#: Epochs in a row with constant validation predictions after which a network counts as dead. A dead ReLU layer
#: passes no gradient, so it does not come back; the few epochs spare a network that only starts slowly.
DEAD_AFTER = 3
#: The same for nearly constant ones: the few genes that still have a gradient may revive the others.
NEARLY_DEAD_AFTER = 10

#: Distance of the seeds of two attempts, so that a retried run is not the same as its neighbour in a seed sweep.
SEED_STEP = 1_000_003

#: Updates that TensorFlow makes in one call, where an update takes less than this number of seconds: calls from
#: Python cost as much as the updates of a small model. The digits are the same; an interrupt waits until the call
#: returns.
FUSED_STEPS, FUSED_BELOW_S = 8, 0.1
#: Steps that must be left for it, since the step is compiled a second time.
FUSED_FROM = 5_000


#: Seconds of training from which the running time is estimated.
ESTIMATE_AFTER_S = 3.0


@dataclass(frozen=True)
class Fitted:
    """The model after the last epoch, the progress, the seed of the last attempt, and whether it collapsed too."""

    model: keras.Model
    progress: Progress
    seed: int
    collapsed: bool


def train(config: RunConfig, dataset: Dataset, shapes: InputShapes, hardware: Hardware, run: RunDirectory) -> Fitted:
    """Train one model from the saved state of its run, if any; again with another seed when the network collapses."""
    state = read_progress(run.state)
    while True:
        seed = (config.seed + state.attempt * SEED_STEP) % 2**31
        genes = dataset.splits["train"]
        loss = loss_of(config.training.loss, genes.labels)
        size = hardware.batch_size(config.training.batch_size, len(genes))
        steps = steps_per_epoch(len(genes), size, static=hardware.static_batches)
        model = compiled_model(config, shapes, hardware, seed, loss, steps)
        with hardware.strategy.scope():  # so that validation runs on all devices too
            predictor = both_strands(model) if config.training.both_strands else model
        say(f"{model.count_params():,} parameters in {len(model.layers)} layers, seed {seed}")
        if config.training.start_from and not state.epoch:
            origin, initial = take_weights(model, config, shapes.vectors, dataset.description.labels)
            anew = f"; the outputs of other labels start anew: {listed(initial)}" if initial else ""
            say(f"starting from the weights of {origin}{anew}")
        if state.epoch:
            restore_variables(run.state, model)
            say(f"resuming after epoch {state.epoch}")
        augmentation = augmentation_of(config, shapes)
        with open_loggers(config, run, state.attempt) as log:
            fit(model, config.training, dataset, hardware, run, state, seed, log, predictor, augmentation)
        collapsed = state.collapsed
        if not collapsed or state.attempt >= config.training.restarts:
            return Fitted(model, state, seed, collapsed)
        state = Progress(attempt=state.attempt + 1, seconds=state.seconds)
        warn(
            f"the network collapsed: it predicts the same value for (nearly) every validation gene (seed {seed}). "
            f"Starting again, attempt {state.attempt + 1} of {config.training.restarts + 1}"
        )


def compiled_model(
    config: RunConfig,
    shapes: InputShapes,
    hardware: Hardware,
    seed: int,
    loss: str | Loss | None = None,
    steps: int = 1,
) -> keras.Model:
    """Build and compile the model inside the strategy's scope, from a fresh session and seed.

    `loss` is the config's unless it is given; `steps` are the updates of an epoch.
    """
    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
    with hardware.strategy.scope():
        model = build_model(config.model, shapes)
        optimizer = build_optimizer(config.training, steps)
        model.compile(optimizer, loss=loss or config.training.loss, jit_compile=hardware.jit)
        # Its variables are made now, so that every replica has them before the first step.
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
    predictor: keras.Model | None = None,
    augmentation: Augmentation | None = None,
) -> None:
    """Run the epochs that are left, updating `state` and the run directory after each, and save the last model.

    `predictor` has the weights of `model`, and predicts and is saved in its place.
    """
    predictor = predictor or model
    genes, valid, static = dataset.splits["train"], dataset.splits["valid"], hardware.static_batches
    size = hardware.batch_size(training.batch_size, len(genes))
    batches = TrainingBatches(genes, size, seed, shuffle=training.shuffle, static=static, augmentation=augmentation)
    valid_batches = inference_batches(valid, hardware.inference_batch_size(training.batch_size, len(valid)))
    batches.epoch = max(state.epoch - 1, 0)  # whose batches the averages are measured on
    averages = Averages(model, batches.dataset, hardware.strategy)
    first, distinct = state.epoch, valid.distinct_labels()
    if first and state.best_epoch == first:  # the crash may have come between state and checkpoint
        with averages.used():
            save_model(predictor, run, "best")
    if first:  # nor is the history written, perhaps, and there may be no epoch left
        write_csv(run.history, HISTORY_COLUMNS, [list(r.values()) for r in state.history])
    with progress("epochs", training.epochs, "epochs", plain=False) as epochs_done:
        while state.epoch < training.epochs and state.flat < DEAD_AFTER and state.nearly_flat < NEARLY_DEAD_AFTER:
            if training.patience is not None and state.waited >= training.patience:
                say(f"stopped early: no lower validation loss for {training.patience} epochs")
                break
            batches.epoch = state.epoch
            estimate = Estimate(training.epochs - first, batches.steps, len(valid) / len(genes))
            callbacks = [estimate] if state.epoch == first else []
            trained = train_epoch(model, training, batches.dataset, state.history, callbacks)
            with averages.used():
                row, predictions = validated(predictor, training, valid, valid_batches, trained, state.epoch + 1)
            nearly = nearly_constant_labels(distinct, predictions)
            state.watch(all(collapsed_labels(valid.labels, predictions)), all(nearly))
            state.advance(row)

            save_state(run.state, state, model)
            if state.waited == 0:
                with averages.used():
                    save_model(predictor, run, "best")
            write_csv(run.history, HISTORY_COLUMNS, [list(r.values()) for r in state.history])
            log(row)
            say(epoch_line(state, training.epochs, len(genes)))
            epochs_done(state.epoch)
            steps_left = batches.steps * (training.epochs - state.epoch)
            # The first epoch compiles the model, so that the second tells how long a step takes. Not on TPUs, nor with
            # several replicas.
            fast = row["seconds"] < FUSED_BELOW_S * batches.steps and steps_left >= FUSED_FROM
            if state.epoch - first == 2 and fast and not static:
                loss, jit = loss_of(training.loss, genes.labels), hardware.jit
                model.compile(model.optimizer, loss=loss, jit_compile=jit, steps_per_execution=FUSED_STEPS)
    with averages.used():
        save_model(predictor, run, "last")


def train_epoch(
    model: keras.Model,
    training: TrainingConfig,
    batches: tf.data.Dataset,
    history: Sequence[Mapping[str, float]],
    callbacks: list[keras.callbacks.Callback],
) -> tuple[float, float, float]:
    """Train for one epoch; return the loss, the learning rate and the seconds."""
    rate = epoch_rate(training, [row["val_loss"] for row in history])
    if rate is not None:
        model.optimizer.learning_rate = rate
    started = time.perf_counter()
    loss = float(model.fit(batches, shuffle=False, verbose=0, callbacks=callbacks).history["loss"][0])
    seconds = time.perf_counter() - started
    return loss, float(model.optimizer.learning_rate) if rate is None else rate, seconds


def validated(
    model: keras.Model,
    training: TrainingConfig,
    valid: Split,
    batches: tf.data.Dataset,
    trained: tuple[float, float, float],
    epoch: int,
) -> tuple[dict[str, float], np.ndarray]:
    """Validate after an epoch; return its row of the history and the predictions, (n, labels) float32."""
    loss, rate, seconds = trained
    started = time.perf_counter()
    predictions = predict(model, batches, len(valid))
    validation_loss = keras.losses.get(loss_of(training.loss, valid.labels))
    val_loss = float(np.mean(validation_loss(valid.labels, predictions)))
    val_seconds = time.perf_counter() - started
    if not (math.isfinite(loss) and math.isfinite(val_loss)):
        received = f"loss {loss}, validation loss {val_loss}, at learning rate {rate:g}"
        hint = "lower training.learning_rate, or use hardware.precision=float32 if it was mixed_float16"
        raise UserError("training diverged", where=f"epoch {epoch}", received=received, hint=hint)
    row = (epoch, loss, val_loss, mean_r2(valid.labels, predictions), rate, seconds, val_seconds)
    return dict(zip(HISTORY_COLUMNS, row, strict=True)), predictions


class Estimate(keras.callbacks.Callback):
    """Prints how long a run takes at most, from the updates of its first epoch, once they have taken long enough.

    The first update is left out, as it compiles the model. Validation counts as a third of training, per gene.
    """

    def __init__(self, epochs: int, steps: int, validation: float) -> None:
        super().__init__()
        self.epochs, self.steps, self.validation = epochs, steps, validation
        self.started, self.said = 0.0, False

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        if batch == 0:
            self.started = self._now()
        elif not self.said and (batch + 1 == self.steps or time.perf_counter() - self.started > ESTIMATE_AFTER_S):
            each = (self._now() - self.started) / batch
            total = each * self.steps * self.epochs * (1 + self.validation / 3)
            say(f"about {duration(total)} for {self.epochs} epochs at most ({self.steps} updates of {each:.3f} s each)")
            self.said = True

    def _now(self) -> float:
        np.asarray(self.model.optimizer.iterations)  # waits for the device
        return time.perf_counter()


def save_model(model: keras.Model, run: RunDirectory, name: str) -> None:
    """Write a checkpoint atomically: the model alone, without optimizer, so that plain Keras opens it anywhere."""
    path = run.checkpoint(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{name}.tmp.keras")
    keras.Model(model.input, model.output, name=model.name).save(temporary)
    temporary.replace(path)


def epoch_line(state: Progress, epochs: int, genes: int) -> str:
    """Return one line of at most 80 columns: losses, r2, speed, time left if all epochs are run; * for the best."""
    row, recent = state.history[-1], state.history[-10:]
    left = sum(r["seconds"] + r["val_seconds"] for r in recent) / len(recent) * (epochs - state.epoch)
    best, speed = "*" if state.waited == 0 else " ", f"{genes / row['seconds']:,.0f}"
    losses = f"loss {row['loss']:.4f}  val {row['val_loss']:.4f} {best}  r2 {row['val_r2']:.3f}"
    return f"epoch {state.epoch:>3}/{epochs}  {losses}  {speed:>6} genes/s  ETA {clock(left)}"
