"""Prediction from both strands of a sequence, as part of a model, so that whoever opens it predicts the same."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from genexp.blocks import BLOCKS, PROMOTER
from genexp.features.tokens import N_TOKEN, reverse_complement

NAME = BLOCKS[PROMOTER].input


def both_strands(model: keras.Model) -> keras.Model:
    """Return a model that predicts the mean of what `model` predicts for the two strands of a promoter.

    It has the weights of `model`. The mean after training is the better choice for most networks (Zhou, Shrikumar and
    Kundaje 2022, Towards a better understanding of reverse-complement equivariance for deep learning models in
    genomics, Machine Learning in Computational Biology, PMLR 165).
    """
    inputs = {name: keras.Input(x.shape[1:], dtype=x.dtype, name=name) for name, x in model.input.items()}
    other = {**inputs, NAME: reversed_strand(inputs[NAME])}
    network = keras.Model(model.input, model.output, name=model.name)  # else a file would hold the optimizer of `model`
    return keras.Model(inputs, (network(inputs) + network(other)) / 2, name=model.name)


def reversed_strand(promoter: Any) -> Any:
    """Return the other strand of (batch, window) tokens, or of (batch, chunks, 4**k) counts of k-mers.

    The chunks of a promoter come in reverse order, and each k-mer of a chunk is counted as its reverse complement.
    """
    flipped = ops.flip(promoter, axis=1)
    if len(promoter.shape) == 2:
        return ops.where(flipped < N_TOKEN, 3 - flipped, flipped)
    return ops.take(flipped, other_kmers(promoter.shape[-1]), axis=-1)


def other_kmers(words: int) -> np.ndarray:
    """Return the index of the reverse complement of each of 4**k k-mers, (4**k,)."""
    k = round(np.log(words) / np.log(4))
    digits = np.array(np.unravel_index(np.arange(words), (4,) * k), np.uint8).T
    return np.asarray(np.ravel_multi_index(tuple(reverse_complement(digits).T.astype(np.intp)), (4,) * k))


def one_strand(model: keras.Model) -> tuple[keras.Model, int]:
    """Return the network of a model, and of how many strands it predicts the mean: 2 after `both_strands`, else 1."""
    network = next((layer for layer in model.layers if isinstance(layer, keras.Model)), None)
    return (model, 1) if network is None else (network, 2)
