"""The promoter input of the models that read k-mers: chunks as counts or embedded, then normalised.

The model holds the vectors, not the data: the input is the uint8 counts of the k-mers in each chunk (13 KB a gene in
place of 54), and a saved model is complete. Importing this module registers its layer, which
`keras.saving.load_model` needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from genexp.blocks import BLOCKS, PROMOTER
from genexp.models import InputShapes
from genexp.models.layers.kmer_config import KmerConfig


def promoter_input(config: KmerConfig, shapes: InputShapes) -> tuple[Any, Any]:
    """Return the promoter input and its normalised chunks.

    Parameters
    ----------
    config
        The ``model`` group of biolstm or transformer.
    shapes
        The inputs, which have passed `genexp.models.layers.kmer_config.check_promoter`.

    Returns
    -------
    input, chunks
        The input, (batch, chunks, 4**k) counts, uint8, or uint16 where a chunk holds more than 255 k-mers; or
        (batch, chunks, dimension) float32, embedded. The chunks, (batch, chunks, dimension) float32 whatever the
        precision of the model, so that the normalisation sees unrounded means.
    """
    if shapes.promoter_kind == "embedded":
        promoter = embedded = keras.Input(shapes.promoter, dtype="float32", name=BLOCKS[PROMOTER].input)
    else:
        largest = max(config.chunk - config.k + 1, 1)
        promoter = keras.Input(shapes.promoter, dtype=np.min_scalar_type(largest).name, name=BLOCKS[PROMOTER].input)
        embedded = kmer_mean(config, shapes.vectors)(promoter)
    return promoter, layers.BatchNormalization(dtype="float32", name="normalise_chunks")(embedded)


def kmer_mean(config: KmerConfig, vectors: np.ndarray | None) -> KmerMean:
    """Return the layer that ``model.embedding`` asks for."""
    kind, name = config.embedding.kind, "embedding"
    if kind == "counts":
        return KmerMean(None, name=name)
    if vectors is None and kind != "learned":
        raise TypeError(f"model.embedding.kind={kind} is built on vectors, and none were given")
    return KmerMean(
        config.embed_dim, learned=kind == "learned" or config.embedding.trainable, vectors=vectors, name=name
    )


@keras.saving.register_keras_serializable(package="genexp")
class KmerMean(layers.Layer):
    """Mean vector of the k-mers of each chunk: counts / max(total, 1) @ vectors, always in float32.

    A chunk without any k-mer, because of N, has the zero vector.

    Frozen vectors are a constant, not a parameter: no optimiser, no parameter count and no training state sees them.
    They are written to the ``.keras`` file all the same, beside the weights.

    Parameters
    ----------
    dimension
        Length of a vector; None for no vectors: the output is the frequency of each k-mer, (batch, chunks, 4**k).
    learned
        The vectors are a weight, learned with the model.
    vectors : (4**k, dimension) float
        The vectors, or what learned ones start from; None starts these uniformly within +-0.5 / dimension, as Word2Vec
        does. Frozen vectors that are not given are NaN until they are loaded.

    Notes
    -----
    Input (batch, chunks, 4**k) counts of any integer type, k-mers in lexicographic order; output
    (batch, chunks, dimension) float32.
    """

    def __init__(
        self, dimension: int | None, *, learned: bool = False, vectors: np.ndarray | None = None, **options: Any
    ) -> None:
        super().__init__(**{**options, "dtype": "float32"})
        self.dimension, self.learned = dimension, learned
        self.vectors: Any = None
        self._start = None if vectors is None else np.array(vectors, np.float32)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the vectors for (batch, chunks, 4**k) counts."""
        if self.dimension is None:
            return
        shape = (input_shape[-1], self.dimension)
        if self._start is not None and self._start.shape != shape:
            raise ValueError(f"KmerMean needs vectors of shape {shape}, got {self._start.shape}")
        if self.learned:
            self.vectors = self.add_weight(shape=shape, initializer=self._initial, name="vectors")
        else:
            self.vectors = np.full(shape, np.nan, np.float32) if self._start is None else self._start

    def _initial(self, shape: tuple[int, ...], dtype: Any = None) -> Any:
        if self._start is not None:
            return ops.convert_to_tensor(self._start, dtype)
        bound = 0.5 / shape[-1]
        return keras.initializers.RandomUniform(-bound, bound)(shape, dtype)

    def call(self, counts: Any) -> Any:
        """Return the mean vectors, (batch, chunks, dimension) float32."""
        counts = ops.cast(counts, "float32")
        frequencies = counts / ops.maximum(ops.sum(counts, axis=-1, keepdims=True), 1.0)
        if self.vectors is None:
            return frequencies
        # One matrix product over all chunks, where matmul would make one per gene.
        return ops.tensordot(frequencies, self.vectors, axes=1)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return (batch, chunks, dimension)."""
        return (*input_shape[:-1], self.dimension or input_shape[-1])

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds the layer; the vectors are stored with the weights."""
        return {**super().get_config(), "dimension": self.dimension, "learned": self.learned}

    @property
    def _frozen(self) -> bool:
        return self.vectors is not None and not self.learned

    def save_own_variables(self, store: dict[str, Any]) -> None:
        """Store the vectors, frozen or learned."""
        if self._frozen:
            store["vectors"] = self.vectors
        else:
            super().save_own_variables(store)

    def load_own_variables(self, store: Mapping[str, Any]) -> None:
        """Take the vectors from a file.

        Frozen ones may be part of a compiled graph already, so they are set once and never changed.
        """
        if not self._frozen:
            super().load_own_variables(store)
            return
        loaded = np.array(store["vectors"], np.float32)
        if loaded.shape != self.vectors.shape:
            raise ValueError(f"KmerMean has vectors of shape {self.vectors.shape}, and the file {loaded.shape}")
        if not np.isnan(self.vectors).all() and not np.array_equal(loaded, self.vectors):
            raise ValueError("the file holds other frozen k-mer vectors than this model: load the whole model instead")
        self.vectors = loaded
