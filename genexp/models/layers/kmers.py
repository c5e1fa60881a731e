"""The promoter input of the models that read k-mers: chunks as counts or embedded, then normalised.

The model holds the vectors, not the data: the input is the uint8 counts of the k-mers in each chunk (13 KB a gene in
place of 54). All of it is stock layers and operations, so that a saved model opens in plain Keras.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from genexp.blocks import BLOCKS, PROMOTER
from genexp.models import InputShapes
from genexp.models.layers.kmer_config import CountConfig, KmerConfig


def promoter_input(config: KmerConfig, shapes: InputShapes) -> tuple[Any, Any]:
    """Return the promoter input and its normalised (batch, chunks, dimension) chunks.

    The input is that of `count_input`, or (batch, chunks, dimension) float32, embedded. The chunks are float32 whatever
    the precision of the model, so that the normalisation sees unrounded means.
    """
    if shapes.promoter_kind == "embedded":
        promoter = chunks = keras.Input(shapes.promoter, dtype="float32", name=BLOCKS[PROMOTER].input)
    else:
        promoter = count_input(config, shapes)
        chunks = embedded(config, frequencies(promoter), shapes.vectors)
    return promoter, layers.BatchNormalization(dtype="float32", name="normalise_chunks")(chunks)


def count_input(config: CountConfig, shapes: InputShapes) -> Any:
    """Return the (batch, chunks, 4**k) input of counts: uint8, or uint16 where a chunk holds more than 255 k-mers."""
    dtype = np.min_scalar_type(max(config.chunk - config.k + 1, 1)).name
    return keras.Input(shapes.promoter, dtype=dtype, name=BLOCKS[PROMOTER].input)


def frequencies(counts: Any) -> Any:
    """Return the float32 frequency of each k-mer from (batch, chunks, 4**k) counts; zeros where a chunk has none."""
    counts = ops.cast(counts, "float32")
    return counts / ops.maximum(ops.sum(counts, axis=-1, keepdims=True), 1.0)


def embedded(config: KmerConfig, frequency: Any, vectors: np.ndarray | None) -> Any:
    """Return the (batch, chunks, dimension) float32 mean vector of the k-mers of each chunk, from their frequencies.

    `vectors` (4**k, dimension) are fixed, or what trainable ones start from; None starts learned ones uniformly within
    +-0.5 / dimension, as Word2Vec does. Fixed vectors are a constant of the graph, not a weight: no optimiser, no
    parameter count and no training state contains them, and the config in the ``.keras`` file does.
    """
    kind, dimension = config.embedding.kind, config.embed_dim
    if kind == "counts":
        return frequency
    if vectors is None and kind != "learned":
        raise TypeError(f"model.embedding.kind={kind} needs vectors, and none were given")
    if vectors is not None and not config.embedding.trainable and kind != "learned":
        return ops.tensordot(frequency, np.array(vectors, np.float32), axes=1)
    start = keras.initializers.RandomUniform(-0.5 / dimension, 0.5 / dimension) if vectors is None else "zeros"
    layer = layers.Dense(dimension, use_bias=False, kernel_initializer=start, dtype="float32", name="embedding")
    # One matrix product over all chunks, as tensordot has it, where a Dense layer on chunks makes one per gene.
    chunks, words = frequency.shape[1:]
    means = ops.reshape(layer(ops.reshape(frequency, (-1, words))), (-1, chunks, dimension))
    if vectors is not None:
        layer.kernel.assign(vectors)
    return means
