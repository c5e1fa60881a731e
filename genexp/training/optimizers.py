"""Optimizers and losses by name: the only table of each. Keras is imported when an optimizer is built."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keras.optimizers import Optimizer

    from genexp.training.config import TrainingConfig

#: Losses by their Keras names.
LOSSES = (
    *("mse", "mae", "mape", "msle", "huber", "log_cosh"),
    *("mean_squared_error", "mean_absolute_error", "mean_absolute_percentage_error", "mean_squared_logarithmic_error"),
)


def _sgd(config: TrainingConfig) -> Optimizer:
    from keras.optimizers import SGD

    return SGD(config.learning_rate, momentum=config.momentum)


def _adam(config: TrainingConfig) -> Optimizer:
    from keras.optimizers import Adam

    return Adam(config.learning_rate)


def _adadelta(config: TrainingConfig) -> Optimizer:
    from keras.optimizers import Adadelta

    return Adadelta(config.learning_rate, rho=0.95)


def _adamax(config: TrainingConfig) -> Optimizer:
    from keras.optimizers import Adamax

    return Adamax(config.learning_rate)


def _original(config: TrainingConfig) -> Optimizer:
    """Adam and schedule of the Transformer paper; ``training.learning_rate`` and the milestone have no effect."""
    from keras.optimizers import Adam

    from genexp.training.schedules import TransformerSchedule

    schedule = TransformerSchedule(config.d_model, config.warmup_steps)
    return Adam(schedule, beta_1=0.9, beta_2=0.98, epsilon=1e-9)


def _adamw(config: TrainingConfig) -> Optimizer:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019, ICLR, arXiv 1711.05101)."""
    from keras.optimizers import AdamW

    return AdamW(config.learning_rate, weight_decay=config.weight_decay)


#: By the name in ``training.optimizer``.
OPTIMIZERS: dict[str, Callable[[TrainingConfig], Optimizer]] = {
    "sgd": _sgd,
    "adam": _adam,
    "adamw": _adamw,
    "adadelta": _adadelta,
    "adamax": _adamax,
    "original": _original,
}


def has_schedule(optimizer: Optimizer) -> bool:
    """Return whether the learning rate goes by updates of the weights, so that no epoch may set it."""
    inner = getattr(optimizer, "inner_optimizer", optimizer)  # that of a loss scale, with mixed_float16
    return isinstance(inner.get_config()["learning_rate"], dict)


def epoch_rate(config: TrainingConfig, epochs_done: int) -> float:
    """Return the learning rate after `epochs_done` epochs: from the milestone on, multiplied by its factor."""
    passed = config.milestone is not None and epochs_done >= config.milestone
    return config.learning_rate * (config.milestone_factor if passed else 1.0)
