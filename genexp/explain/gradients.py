"""Gradients of a prediction with respect to the bases of a promoter, and integrated gradients."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from genexp.explain.networks import SoftNetwork
from genexp.features.tokens import N_TOKEN

#: Inputs at a time.
ROWS = 10


def one_hot(tokens: np.ndarray) -> np.ndarray:
    """Return (..., length) tokens as (..., length, 4) float32; zeros for N."""
    found: np.ndarray = np.eye(N_TOKEN + 1, N_TOKEN, dtype=np.float32)[tokens]
    return found


def gradients(network: SoftNetwork, tokens: np.ndarray, features: Mapping[str, np.ndarray], label: int) -> np.ndarray:
    """Return the gradient at the bases of one gene, (window, 4) float32."""
    (found,), _ = _gradients(network, one_hot(tokens)[None], features, label)
    return np.asarray(found)


def integrated_gradients(
    network: SoftNetwork, tokens: np.ndarray, features: Mapping[str, np.ndarray], label: int, steps: int
) -> tuple[np.ndarray, float]:
    """Return the mean gradient on the way from unknown bases to those of one gene, and the error of completeness.

    Method of Sundararajan, Taly and Yan 2017 (Axiomatic attribution for deep networks, PMLR 70, 3319-3328), with 1/4 of
    each base at every position as the baseline and the midpoint rule.

    Returns
    -------
    gradients, error
        (window, 4) float32; and the difference between the sum of the contributions and that of the predictions for
        gene and baseline, which more steps make smaller.
    """
    known = one_hot(tokens)
    baseline = known.sum(axis=-1, keepdims=True) / np.float32(N_TOKEN) * np.ones(N_TOKEN, np.float32)
    shares = (np.arange(steps, dtype=np.float32)[:, None, None] + 0.5) / steps
    total = np.zeros(known.shape, np.float64)
    for first in range(0, steps, ROWS):
        way = baseline + shares[first : first + ROWS] * (known - baseline)
        total += _gradients(network, way, features, label)[0].sum(axis=0, dtype=np.float64)
    mean = (total / steps).astype(np.float32)
    _, (end, start) = _gradients(network, np.stack([known, baseline]), features, label)
    return mean, float(((known - baseline) * mean).sum() - (end - start))


def _gradients(
    network: SoftNetwork, shares: np.ndarray, features: Mapping[str, np.ndarray], label: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the gradients, (n, window, 4), and the predictions, (n,), at (n, window, 4) shares of bases."""
    x = tf.constant(shares)
    with tf.GradientTape() as tape:
        tape.watch(x)
        predicted = network(x, features)[:, label]
    return tape.gradient(predicted, x).numpy(), predicted.numpy()
