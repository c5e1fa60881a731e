"""Optimizers and losses by name: the only table of each. Keras is imported when an optimizer is built."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras.optimizers import Optimizer

    from genexp.training.config import TrainingConfig

#: Losses by their Keras names.
LOSSES = (
    *("mse", "mae", "mape", "msle", "huber", "log_cosh"),
    *("mean_squared_error", "mean_absolute_error", "mean_absolute_percentage_error", "mean_squared_logarithmic_error"),
)

#: By the name in ``training.optimizer``: from the module `keras.optimizers` and the config to the optimizer.
OPTIMIZERS: dict[str, Callable[[Any, TrainingConfig], Optimizer]] = {
    "sgd": lambda keras, config: keras.SGD(config.learning_rate, momentum=config.momentum),
    "adam": lambda keras, config: keras.Adam(config.learning_rate),
    # Decoupled weight decay (Loshchilov and Hutter 2019, ICLR, arXiv 1711.05101).
    "adamw": lambda keras, config: keras.AdamW(config.learning_rate, weight_decay=config.weight_decay),
    "adadelta": lambda keras, config: keras.Adadelta(config.learning_rate, rho=0.95),
    "adamax": lambda keras, config: keras.Adamax(config.learning_rate),
    # Of the Transformer paper; ``training.learning_rate`` and the milestone have no effect.
    "original": lambda keras, config: keras.Adam(_noam(config), beta_1=0.9, beta_2=0.98, epsilon=1e-9),
}


def _noam(config: TrainingConfig) -> object:
    from genexp.training.schedules import TransformerSchedule

    return TransformerSchedule(config.d_model, config.warmup_steps)


def build_optimizer(config: TrainingConfig) -> Optimizer:
    """Return a new optimizer."""
    from keras import optimizers

    return OPTIMIZERS[config.optimizer](optimizers, config)


def has_schedule(optimizer: Optimizer) -> bool:
    """Return whether the learning rate goes by updates of the weights, so that no epoch may set it."""
    inner = getattr(optimizer, "inner_optimizer", optimizer)  # that of a loss scale, with mixed_float16
    return isinstance(inner.get_config()["learning_rate"], dict)


def epoch_rate(config: TrainingConfig, epochs_done: int) -> float:
    """Return the learning rate after `epochs_done` epochs: from the milestone on, multiplied by its factor."""
    passed = config.milestone is not None and epochs_done >= config.milestone
    return config.learning_rate * (config.milestone_factor if passed else 1.0)
