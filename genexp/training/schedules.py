"""Learning-rate schedules that go by updates of the weights."""

from __future__ import annotations

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
