"""From genes in memory to batches of a tf.data pipeline; the only place that feeds a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from genexp.dataset.genes import BLOCKS, Split

if TYPE_CHECKING:
    import tensorflow as tf


class TrainingBatches:
    """The training genes, in an order that depends on nothing but seed and epoch.

    So an epoch can be repeated, and a resumed run sees the genes in the order of an uninterrupted one.

    Parameters
    ----------
    split
        The training genes.
    batch_size
        Genes per batch, over all replicas.
    seed
        Governs the order.
    shuffle
        False keeps the order of the file.
    static
        Every batch has the full size, as TPUs and several replicas need it; the genes left over at the end of an
        epoch, others each time, are passed over. Otherwise the last batch is smaller.

    Attributes
    ----------
    epoch : int
        Set before each epoch.
    steps : int
        Batches per epoch.
    dataset : tf.data.Dataset
        One epoch: (inputs by name, labels (batch, 1) float32).
    """

    def __init__(self, split: Split, batch_size: int, seed: int, *, shuffle: bool, static: bool) -> None:
        self.epoch = 0
        self._genes, self._seed, self._shuffle = len(split), seed, shuffle
        self._batch_size = min(batch_size, len(split))
        whole, left = divmod(len(split), self._batch_size)
        self.steps = whole if static or not left else whole + 1
        self.dataset = _gathered(split, self._rows, self.steps, self._batch_size if static else None)

    def _rows(self) -> Iterator[np.ndarray]:
        order = np.arange(self._genes, dtype=np.int32)
        if self._shuffle:
            np.random.default_rng((self._seed, self.epoch)).shuffle(order)
        for step in range(self.steps):
            yield order[step * self._batch_size : (step + 1) * self._batch_size]


def inference_batches(split: Split, batch_size: int) -> tf.data.Dataset:
    """Return the genes of a split in order, in batches of one size; the last is filled up with the first gene."""
    rows = np.arange(len(split), dtype=np.int32)
    padded = np.concatenate([rows, np.zeros(-len(rows) % batch_size, np.int32)])
    batches = padded.reshape(-1, batch_size)
    return _gathered(split, lambda: iter(batches), len(batches), batch_size)


def _gathered(split: Split, rows: Callable[[], Iterator[np.ndarray]], steps: int, size: int | None) -> tf.data.Dataset:
    """Turn `steps` batches of row numbers into batches of inputs and labels.

    Only batches are ever copied: TensorFlow would hold the promoters a second time.
    """
    import tensorflow as tf

    arrays = {BLOCKS[b]: x for b, x in split.blocks.items()}
    labels = split.labels[:, None].astype(np.float32)

    def batches() -> Iterator[tuple[dict[str, np.ndarray], np.ndarray]]:
        for selected in rows():
            yield {name: x[selected] for name, x in arrays.items()}, labels[selected]

    def widen(inputs: dict[str, tf.Tensor], y: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        # Features of only 0 and 1 rest in memory as bytes; bases and counts stay bytes, which the model encodes.
        return {name: x if name == BLOCKS["P"] else tf.cast(x, tf.float32) for name, x in inputs.items()}, y

    spec = {name: tf.TensorSpec((size, *x.shape[1:]), x.dtype) for name, x in arrays.items()}
    signature = (spec, tf.TensorSpec((size, 1), tf.float32))
    dataset = tf.data.Dataset.from_generator(batches, output_signature=signature)
    return dataset.apply(tf.data.experimental.assert_cardinality(steps)).map(widen).prefetch(2)
