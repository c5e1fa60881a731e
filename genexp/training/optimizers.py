"""Optimizers and losses by name: the only table of each. Keras is imported when an optimizer is built."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from genexp.training.schedules import SCHEDULES, Noam, schedule_name

if TYPE_CHECKING:
    from keras.optimizers import Optimizer

    from genexp.training.config import TrainingConfig

_LONG = {
    "mse": "mean squared error",
    "mae": "mean absolute error",
    "mape": "mean absolute percentage error",
    "msle": "mean squared logarithmic error",
}
#: Losses by their Keras names, with what figures call them.
LOSSES = {
    **_LONG,
    **{name.replace(" ", "_"): name for name in _LONG.values()},
    "huber": "Huber loss",
    "log_cosh": "log-cosh loss",
}

#: By the name in ``training.optimizer``: from the module `keras.optimizers`, the config, and the arguments that all
#: share (learning rate, clipping, average of the weights) to the optimizer.
OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "sgd": lambda keras, config, **shared: keras.SGD(momentum=config.momentum, **shared),
    # Decoupled weight decay (Loshchilov and Hutter 2019, ICLR, arXiv 1711.05101), of both optimizers of that paper.
    "sgdw": lambda keras, config, **shared: keras.SGD(
        momentum=config.momentum, weight_decay=config.weight_decay, **shared
    ),
    "adam": lambda keras, config, **shared: keras.Adam(**shared),
    "adamw": lambda keras, config, **shared: keras.AdamW(weight_decay=config.weight_decay, **shared),
    "adadelta": lambda keras, config, **shared: keras.Adadelta(rho=0.95, **shared),
    "adamax": lambda keras, config, **shared: keras.Adamax(**shared),
    # Of the Transformer paper, with the Noam schedule unless training.schedule names another.
    "original": lambda keras, config, **shared: keras.Adam(beta_1=0.9, beta_2=0.98, epsilon=1e-9, **shared),
}

#: Names of the variables without weight decay: biases, scales and shifts.
UNDECAYED = ["bias", "gamma", "beta"]


def build_optimizer(config: TrainingConfig, steps: int = 1) -> Optimizer:
    """Return a new optimizer for a loop that calls ``fit`` once for each epoch of `steps` updates."""
    from keras import optimizers

    average = {} if config.ema is None else {"use_ema": True, "ema_momentum": config.ema}
    built = OPTIMIZERS[config.optimizer](
        optimizers, config, learning_rate=_rate(config, steps), global_clipnorm=config.clip_norm, **average
    )
    if built.weight_decay:
        built.exclude_from_weight_decay(var_names=UNDECAYED)
    # Keras would make the averages the weights after every `fit`, and training would go on from there.
    built.finalize_variable_values = lambda variables: None
    if config.clip_norm is not None:
        built._clip_gradients = clipped_over_replicas(built._clip_gradients)
    return built


def _rate(config: TrainingConfig, steps: int) -> Any:
    """Return the learning rate, or the schedule that goes by updates."""
    schedule = SCHEDULES[schedule_name(config)]
    if callable(schedule):
        return config.learning_rate
    from genexp.training import update_schedules as by_update

    if isinstance(schedule, Noam):
        return by_update.TransformerSchedule(config.d_model, config.warmup_steps)
    updates = config.epochs * steps
    return by_update.AnnealingSchedule(
        config.learning_rate, updates, round(config.warmup * updates), **asdict(schedule)
    )


def clipped_over_replicas(clip: Callable[[list[Any]], list[Any]]) -> Callable[[list[Any]], list[Any]]:
    """Return a clipping of the gradient of the whole batch, where Keras clips the part of each replica.

    Keras adds up the parts of the replicas afterwards, so each returns an equal share of the clipped sum.
    """

    def clipped(gradients: list[Any]) -> list[Any]:
        import tensorflow as tf

        context = tf.distribute.get_replica_context()
        if context is None or context.num_replicas_in_sync == 1:
            return clip(gradients)
        whole = clip(context.all_reduce(tf.distribute.ReduceOp.SUM, gradients))
        return [gradient / context.num_replicas_in_sync for gradient in whole]

    return clipped
