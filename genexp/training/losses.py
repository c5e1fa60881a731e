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
        # NaN is replaced before the loss, not after: 0 times NaN is NaN in a gradient.
        filled = ops.where(present, labels, ops.ones_like(labels))
        # With an axis more, the mean over the last axis that Keras takes is over one label.
        each = loss(ops.expand_dims(filled, -1), ops.expand_dims(predictions, -1))
        return ops.where(present, each, ops.zeros_like(each)) * _inverse_share(ops.cast(present, each.dtype))

    return of_present


def _inverse_share(present: Any) -> Any:
    """Return the number of labels over the number of those that are there, over the batches of all replicas."""
    number = ops.sum(present)
    strategy = tf.distribute.get_strategy()
    if strategy.num_replicas_in_sync > 1:
        # Each replica's mean counts alike, however many of its labels are there.
        number = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, number)
    size = ops.cast(ops.size(present), present.dtype)
    return size * strategy.num_replicas_in_sync / ops.maximum(number, 1)
