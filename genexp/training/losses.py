"""The loss where labels are missing: any loss of Keras, over the labels that are there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

Loss = Callable[[Any, Any], Any]


def loss_of(name: str, labels: np.ndarray) -> str | Loss:
    """Return what `keras.Model.compile` takes as loss for (n, labels) labels: the name, unless any of them is NaN."""
    return masked(name) if np.isnan(labels).any() else name


def masked(name: str) -> Loss:
    """Return a loss, by its Keras name, for (batch, labels) labels with NaN for missing ones.

    It returns (batch, labels) values whose mean, over the batch of all replicas, is the mean loss of the labels that
    are there.
    """
    loss = keras.losses.get(name)

    def of_present(labels: Any, predictions: Any) -> Any:
        present = ops.logical_not(ops.isnan(labels))
        # Replaced before the loss, not after: 0 times NaN is NaN in a gradient. With an axis more, the mean that Keras
        # takes over the last one is over one label.
        pair = [ops.expand_dims(ops.where(present, x, ops.ones_like(x)), -1) for x in (labels, predictions)]
        known = ops.cast(present, predictions.dtype)
        return loss(*pair) * known * _inverse_share(known)

    return of_present


def _inverse_share(present: Any) -> Any:
    """Return the number of labels over the number of those that are there, over the batches of all replicas."""
    number = ops.sum(present)
    size = ops.cast(ops.size(present), present.dtype)
    context = tf.distribute.get_replica_context()  # None while Keras only looks at the shapes
    if context is not None and context.num_replicas_in_sync > 1:
        # The means of all replicas count alike, however many labels are there in each.
        number = context.all_reduce(tf.distribute.ReduceOp.SUM, number)
        size = size * context.num_replicas_in_sync
    return size / ops.maximum(number, 1)
