"""From genes in memory to batches of a tf.data pipeline; the only place that feeds a model.

TensorFlow gathers the rows of a batch itself, from the arrays where they are: no Python runs per batch, and no promoter
is held twice (benchmarks/training_speed.py). A streamed dataset gives the same rows in the same order from disk.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from genexp.blocks import BLOCKS, PROMOTER
from genexp.dataset.genes import Split
from genexp.features.tokens import COMPLEMENT, N_TOKEN
from genexp.memory import aligned

#: Numbers that are drawn at a time where they are not kept.
SCRATCH = 2**16


@dataclass(frozen=True)
class Augmentation:
    """How the training genes differ from epoch to epoch.

    Attributes
    ----------
    noise
        Standard deviation of Gaussian noise on each label, in units of that of the label over the training genes.
    shift
        Bases by which a promoter moves at most, in either direction; N moves in from the end of the window.
    reverse
        Whether each promoter is read from a strand that is drawn.
    encode
        From augmented (batch, window) uint8 tokens to what the model is fed, of this dtype; None for tokens.
    """

    noise: float = 0.0
    shift: int = 0
    reverse: bool = False
    encode: Callable[[np.ndarray], np.ndarray] | None = None

    def draws(self, labels: np.ndarray, seed: int, epoch: int) -> list[np.ndarray]:
        """Return the noise (n, labels) float32, shifts (n,) int32 and strands (n,) bool of an epoch.

        They follow from seed and epoch alone, and are drawn by gene, whatever the order of the genes. Without noise
        there are only shifts and strands.
        """
        random, n = np.random.default_rng((seed, epoch, 1)), len(labels)
        noise = []
        if self.noise:
            drawn = random.standard_normal(labels.shape)
            drawn *= self.noise
            drawn *= np.nanstd(labels, axis=0)
            noise.append(drawn.astype(np.float32))
        else:  # as many numbers are drawn, so that shifts and strands are the same with and without noise
            scratch = np.empty(min(labels.size, SCRATCH))
            for first in range(0, labels.size, SCRATCH):
                random.standard_normal(out=scratch[: labels.size - first])
        shifts = random.integers(-self.shift, self.shift, n, np.int32, endpoint=True)
        return [*noise, shifts, random.random(n) < self.reverse / 2]

    @property
    def types(self) -> list[tf.DType]:
        """The types of what is drawn."""
        return [*([tf.float32] if self.noise else []), tf.int32, tf.bool]


class TrainingBatches:
    """The training genes, in an order that depends on nothing but seed and epoch.

    So a resumed run sees the genes in the order of an uninterrupted one: with `shuffle`, that of
    ``numpy.random.default_rng((seed, epoch)).shuffle(rows)``. With `static` every batch has the full size, as TPUs and
    several replicas need it; the genes left over at the end of an epoch, others each time, are skipped: without
    `shuffle` the next epoch begins with them. `epoch` is set before each epoch; `steps` is the batches per epoch, and
    `dataset` one epoch of (inputs by name, (batch, labels)).
    """

    def __init__(
        self,
        split: Split,
        batch_size: int,
        seed: int,
        *,
        shuffle: bool,
        static: bool,
        augmentation: Augmentation | None = None,
    ) -> None:
        self.epoch = 0
        self._genes, self._seed, self._shuffle = len(split), seed, shuffle
        size = min(batch_size, len(split))
        self.steps = steps_per_epoch(len(split), batch_size, static=static)
        self._seen = self.steps * size if static else len(split)

        def draws() -> list[np.ndarray]:
            drawn = augmentation.draws(split.labels, self._seed, self.epoch) if augmentation else []
            return [self._order(), *drawn]

        def batches_of_rows(_: tf.Tensor) -> tf.data.Dataset:
            types = [tf.int32, *(augmentation.types if augmentation else [])]
            order, *drawn = tf.numpy_function(draws, [], types)  # the only Python, once an epoch
            order.set_shape((self._genes,))
            for array in drawn:
                array.set_shape(split.labels.shape if array.dtype == tf.float32 else (self._genes,))
            steps = tf.data.Dataset.range(self.steps)
            rows = steps.map(lambda step: order[step * size : (step + 1) * size])
            rows = rows.map(lambda batch: tf.ensure_shape(batch, (size,))) if static else rows
            return rows.map(lambda batch: (batch, *(tf.gather(array, batch) for array in drawn)))

        rows = tf.data.Dataset.range(1).flat_map(batches_of_rows)
        self.dataset = _gathered(split, rows, self.steps, augmentation)

    def _order(self) -> np.ndarray:
        order = np.arange(self._genes, dtype=np.int32)
        if self._shuffle:
            np.random.default_rng((self._seed, self.epoch)).shuffle(order)
            return order
        return np.roll(order, -self.epoch * self._seen)


def steps_per_epoch(genes: int, batch_size: int, *, static: bool) -> int:
    """Return the number of batches of an epoch; with `static` none is smaller than the others."""
    whole, left = divmod(genes, min(batch_size, genes))
    return whole if static or not left else whole + 1


def inference_batches(split: Split, batch_size: int) -> tf.data.Dataset:
    """Return the genes of a split in order, in batches of one size; the last is filled up with the first gene."""
    rows = np.arange(len(split), dtype=np.int32)
    padded = np.concatenate([rows, np.zeros(-len(rows) % batch_size, np.int32)]).reshape(-1, batch_size)
    return _gathered(split, tf.data.Dataset.from_tensor_slices(padded), len(padded))


def _gathered(
    split: Split, batches_of_rows: tf.data.Dataset, steps: int, augmentation: Augmentation | None = None
) -> tf.data.Dataset:
    """Turn batches of row numbers, and of what was drawn for them, into batches of inputs and labels."""
    arrays = {BLOCKS[letter].input: _tensor(array) for letter, array in split.blocks.items()}
    labels = _tensor(split.labels)
    promoter = BLOCKS[PROMOTER].input

    def gather(rows: tf.Tensor, *drawn: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        inputs = {name: tf.gather(array, rows) for name, array in arrays.items()}
        # Features of only 0 and 1 rest in memory as bytes; bases and counts stay bytes, which the model encodes.
        floats = {name: x if name == promoter else tf.cast(x, tf.float32) for name, x in inputs.items()}
        known = tf.gather(labels, rows)
        if augmentation is None:
            return floats, known
        *noise, shifts, strands = drawn
        if augmentation.shift or augmentation.reverse:
            floats[promoter] = _augmented(floats[promoter], shifts, strands, augmentation)
        return floats, known + noise[0] if noise else known

    batches = batches_of_rows.map(gather).apply(tf.data.experimental.assert_cardinality(steps)).prefetch(2)
    # Autotuning has nothing to tune here, and its thread sleeps up to a minute at a time: the end of an epoch may wait
    # for it (TensorFlow 2.21, on one core in most epochs).
    options = tf.data.Options()
    options.autotune.enabled = False
    return batches.with_options(options)


def _augmented(tokens: tf.Tensor, shifts: tf.Tensor, strands: tf.Tensor, augmentation: Augmentation) -> tf.Tensor:
    """Move (batch, window) promoters by their shifts, (batch,), and reverse those on the other strand; encode them."""
    window, most = tokens.shape[1], augmentation.shift
    padded = tf.pad(tokens, [[0, 0], [most, most]], constant_values=N_TOKEN)
    moved = tf.gather(padded, tf.range(window) + most - shifts[:, None], batch_dims=1)
    other = tf.gather(tf.constant(COMPLEMENT), tf.cast(moved[:, ::-1], tf.int32))
    tokens = tf.where(strands[:, None], other, moved)
    if augmentation.encode is None:
        return tokens
    example = augmentation.encode(np.full((1, window), N_TOKEN, np.uint8))
    encoded = tf.numpy_function(augmentation.encode, [tokens], example.dtype)
    encoded.set_shape((tokens.shape[0], *example.shape[1:]))
    return encoded


def _tensor(array: np.ndarray) -> tf.Tensor:
    """Return an array as a tensor in main memory, without a copy where its memory is aligned."""
    return tf.experimental.dlpack.from_dlpack(aligned(array).__dlpack__())
