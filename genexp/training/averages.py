"""The average of the weights over the updates (``training.ema``), which is evaluated and saved in their place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf

#: Batches from which batch normalisation takes the statistics of averaged weights.
BATCHES = 32


class Averages:
    """The averages of a compiled model's weights, where its optimizer keeps any.

    Batch normalisation needs the mean and variance of what the averaged weights give; those of the weights at the last
    updates may be far off. They are measured on training batches, as after stochastic weight averaging (Izmailov,
    Podoprikhin, Garipov, Vetrov and Wilson 2018, Uncertainty in Artificial Intelligence, arXiv 1803.05407).
    """

    def __init__(self, model: keras.Model, batches: tf.data.Dataset, strategy: tf.distribute.Strategy) -> None:
        self._model, self._strategy = model, strategy
        self._optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)  # that of a loss scale
        self._norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
        self._values: list[np.ndarray] = []
        self._updates = 0  # after which these are the values
        if self._optimizer.use_ema and self._norms:
            self._batches = strategy.experimental_distribute_dataset(batches.take(BATCHES))
            self._forward = tf.function(self._on_replicas, input_signature=[self._batches.element_spec])

    @contextmanager
    def used(self) -> Iterator[None]:
        """Give the model its averages for a while; afterwards it is as before, random seeds included."""
        updates = int(np.asarray(self._optimizer.iterations))
        if not self._optimizer.use_ema or not updates:
            yield
            return
        before = _values(self._model.variables)
        try:
            if updates == self._updates:
                _assign(self._model.variables, self._values)
            else:
                _assign(self._model.trainable_variables, _values(self._optimizer._model_variables_moving_average))
                self._measure()
                self._values, self._updates = _values(self._model.variables), updates
            yield
        finally:
            _assign(self._model.variables, before)

    def _measure(self) -> None:
        """Set the statistics of batch normalisation to means over batches, the later ones with more weight.

        Keras moves them towards those of each batch. So they start from 0, and are divided by the sum of the weights.
        """
        if not self._norms:
            return
        statistics = [v for norm in self._norms for v in (norm.moving_mean, norm.moving_variance)]
        _assign(statistics, [np.zeros(v.shape, np.float32) for v in statistics])
        count = 0
        for count, batch in enumerate(self._batches, 1):  # noqa: B007
            self._forward(batch)
        for norm in self._norms:
            for variable in (norm.moving_mean, norm.moving_variance):
                variable.assign(np.array(variable) / (1 - norm.momentum**count))

    def _on_replicas(self, batch: Any) -> None:
        self._strategy.run(lambda inputs, labels: self._model(inputs, training=True), args=batch)


def _values(variables: Sequence[Any]) -> list[np.ndarray]:
    return [np.array(variable) for variable in variables]


def _assign(variables: Sequence[Any], values: Sequence[np.ndarray]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
