"""From genes in memory to batches of a tf.data pipeline; the only place that feeds a model.

TensorFlow gathers the rows of a batch itself, from the arrays where they are: no Python runs per batch, and no promoter
is held twice (benchmarks/training_speed.py). A streamed dataset gives the same rows in the same order from disk.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from genexp.blocks import BLOCKS, PROMOTER
from genexp.dataset.genes import Split
from genexp.memory import aligned


class TrainingBatches:
    """The training genes, in an order that depends on nothing but seed and epoch.

    So a resumed run sees the genes in the order of an uninterrupted one: with `shuffle`, that of
    ``numpy.random.default_rng((seed, epoch)).shuffle(rows)``. With `static` every batch has the full size, as TPUs and
    several replicas need it; the genes left over at the end of an epoch, others each time, are skipped. `epoch` is set
    before each epoch; `steps` is the batches per epoch, and `dataset` one epoch of (inputs by name, (batch, labels)).
    """

    def __init__(self, split: Split, batch_size: int, seed: int, *, shuffle: bool, static: bool) -> None:
        self.epoch = 0
        self._genes, self._seed, self._shuffle = len(split), seed, shuffle
        size = min(batch_size, len(split))
        whole, left = divmod(len(split), size)
        self.steps = whole if static or not left else whole + 1

        def batches_of_rows(_: tf.Tensor) -> tf.data.Dataset:
            order = tf.numpy_function(self._order, [], tf.int32)  # the only Python, once an epoch
            order.set_shape((self._genes,))
            steps = tf.data.Dataset.range(self.steps)
            rows = steps.map(lambda step: order[step * size : (step + 1) * size])
            return rows.map(lambda batch: tf.ensure_shape(batch, (size,))) if static else rows

        self.dataset = _gathered(split, tf.data.Dataset.range(1).flat_map(batches_of_rows), self.steps)

    def _order(self) -> np.ndarray:
        order = np.arange(self._genes, dtype=np.int32)
        if self._shuffle:
            np.random.default_rng((self._seed, self.epoch)).shuffle(order)
        return order


def inference_batches(split: Split, batch_size: int) -> tf.data.Dataset:
    """Return the genes of a split in order, in batches of one size; the last is filled up with the first gene."""
    rows = np.arange(len(split), dtype=np.int32)
    padded = np.concatenate([rows, np.zeros(-len(rows) % batch_size, np.int32)]).reshape(-1, batch_size)
    return _gathered(split, tf.data.Dataset.from_tensor_slices(padded), len(padded))


def _gathered(split: Split, batches_of_rows: tf.data.Dataset, steps: int) -> tf.data.Dataset:
    """Turn batches of row numbers into batches of inputs and labels."""
    arrays = {BLOCKS[letter].input: _tensor(array) for letter, array in split.blocks.items()}
    labels = _tensor(split.labels)
    promoter = BLOCKS[PROMOTER].input

    def gather(rows: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        inputs = {name: tf.gather(array, rows) for name, array in arrays.items()}
        # Features of only 0 and 1 rest in memory as bytes; bases and counts stay bytes, which the model encodes.
        floats = {name: x if name == promoter else tf.cast(x, tf.float32) for name, x in inputs.items()}
        return floats, tf.gather(labels, rows)

    return batches_of_rows.map(gather).apply(tf.data.experimental.assert_cardinality(steps)).prefetch(2)


def _tensor(array: np.ndarray) -> tf.Tensor:
    """Return an array as a tensor in main memory, without a copy where its memory is aligned."""
    return tf.experimental.dlpack.from_dlpack(aligned(array).__dlpack__())
