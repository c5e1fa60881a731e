"""Optimisers and learning-rate schedules by name."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops, optimizers

from genexp.config import TrainingConfig


def build_optimizer(config: TrainingConfig) -> keras.optimizers.Optimizer:
    """Return the optimiser of a run.

    Notes
    -----
    ``original`` is the optimiser of the Transformer paper (Vaswani et al. 2017): Adam(0.9, 0.98, 1e-9), whose
    learning rate the schedule alone decides; ``training.learning_rate`` and the milestone do not touch it.
    """
    rate = config.learning_rate
    if config.optimizer == "sgd":
        return optimizers.SGD(rate, momentum=config.momentum)
    if config.optimizer == "adam":
        return optimizers.Adam(rate)
    if config.optimizer == "adadelta":
        return optimizers.Adadelta(rate, rho=0.95)
    if config.optimizer == "adamax":
        return optimizers.Adamax(rate)
    schedule = TransformerSchedule(config.d_model, config.warmup_steps)
    return optimizers.Adam(schedule, beta_1=0.9, beta_2=0.98, epsilon=1e-9)


@keras.saving.register_keras_serializable("genexp")
class TransformerSchedule(optimizers.schedules.LearningRateSchedule):
    """Learning rate of the Transformer paper: d_model^-0.5 * min(step^-0.5, step * warmup_steps^-1.5).

    `step` is 1 at the first update, as in the paper.
    """

    def __init__(self, d_model: int, warmup_steps: int) -> None:
        self.d_model, self.warmup_steps = d_model, warmup_steps

    def __call__(self, iterations: Any) -> Any:
        step = ops.cast(iterations, "float32") + 1.0
        return self.d_model**-0.5 * ops.minimum(step**-0.5, step * self.warmup_steps**-1.5)

    def get_config(self) -> dict[str, int]:
        """Return what `from_config` needs."""
        return {"d_model": self.d_model, "warmup_steps": self.warmup_steps}


def epoch_rate(config: TrainingConfig, epochs_done: int) -> float:
    """Return the learning rate after `epochs_done` epochs: from the milestone on, multiplied by its factor."""
    passed = config.milestone is not None and epochs_done >= config.milestone
    return config.learning_rate * (config.milestone_factor if passed else 1.0)
