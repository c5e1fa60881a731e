"""The learning-rate schedules that go by updates of the weights, as Keras has them."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import KerasTensor, ops


@keras.saving.register_keras_serializable("genexp")
class TransformerSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """Learning rate of the Transformer paper: d_model^-0.5 * min(step^-0.5, step * warmup_steps^-1.5).

    `step` is 1 at the first update, as in the paper (Vaswani et al. 2017, Attention is all you need, NeurIPS 30).
    """

    def __init__(self, d_model: int, warmup_steps: int) -> None:
        self.d_model, self.warmup_steps = d_model, warmup_steps

    def __call__(self, iterations: KerasTensor) -> KerasTensor:
        step = ops.cast(iterations, "float32") + 1.0
        return self.d_model**-0.5 * ops.minimum(step**-0.5, step * self.warmup_steps**-1.5)

    def get_config(self) -> dict[str, int]:
        return {"d_model": self.d_model, "warmup_steps": self.warmup_steps}


@keras.saving.register_keras_serializable("genexp")
class AnnealingSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """Learning rate that rises to `peak` over the first `warmup` of `updates`, and falls along half a cosine.

    At update n, from 1: the rise is from ``start * peak`` (n = 0) to `peak` (n = warmup); the fall begins at `peak`
    (n = warmup + 1) and would reach ``end * peak`` one update after the last.
    """

    def __init__(self, peak: float, updates: int, warmup: int, start: float, end: float, cosine_rise: bool) -> None:
        self.peak, self.updates, self.warmup = peak, updates, warmup
        self.start, self.end, self.cosine_rise = start, end, cosine_rise

    def __call__(self, iterations: KerasTensor) -> KerasTensor:
        done = ops.cast(iterations, "float32")
        risen = ops.minimum((done + 1.0) / max(self.warmup, 1), 1.0)
        if self.cosine_rise:
            risen = (1.0 - ops.cos(math.pi * risen)) / 2.0
        fallen = ops.clip((done - self.warmup) / max(self.updates - self.warmup, 1), 0.0, 1.0)
        left = (1.0 + ops.cos(math.pi * fallen)) / 2.0
        rising, falling = self.start + (1.0 - self.start) * risen, self.end + (1.0 - self.end) * left
        return self.peak * ops.where(done < self.warmup, rising, falling)

    def get_config(self) -> dict[str, Any]:
        return dict(vars(self))
