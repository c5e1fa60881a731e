"""Predictions of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from genexp.dataset.batches import inference_batches
from genexp.dataset.genes import Split

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


def predict(model: keras.Model, batches: tf.data.Dataset, genes: int) -> np.ndarray:
    """Return the predictions for the first `genes` genes of `inference_batches`, (genes,) float32."""
    return np.asarray(model.predict(batches, verbose=0), np.float32)[:genes, 0]


def predict_split(model: keras.Model, split: Split, batch_size: int) -> np.ndarray:
    """Return the predictions for a split, (n,) float32.

    Batches are always full and have the size of training, or of a smaller split: the same model on the same machine
    always gives the same digits, and a TPU compiles one shape.
    """
    return predict(model, inference_batches(split, min(batch_size, len(split))), len(split))
