"""The model of a run as the methods of this package use it: on bases, whatever the model makes of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from genexp.blocks import BLOCKS, PROMOTER
from genexp.explain.partial import Partial, recorded
from genexp.features.kmers import chunk_counts
from genexp.features.tokens import N_TOKEN, reverse_complement
from genexp.models import ModelConfig
from genexp.models.layers.kmer_config import CountConfig
from genexp.models.layers.strands import one_strand

#: Positions whose changes are computed together, unless a chunk of k-mers is longer.
BLOCK = 96
#: Changes of a promoter whose predictions are compared with those of the whole model.
CHECKED = 4

NAME = BLOCKS[PROMOTER].input


class Network:
    """A model, and the gene whose changes it predicts.

    Parameters
    ----------
    model
        With an input of bases, or of counts of k-mers.
    config
        Its ``model`` group.
    """

    def __init__(self, model: keras.Model, config: ModelConfig) -> None:
        self.model, self._config = model, config
        self.one_strand, self.strands = one_strand(model)
        self._partials = [Partial(self.one_strand) for _ in range(self.strands)]
        #: Length in nt that what is encoded together must divide.
        self._unit = config.chunk if isinstance(config, CountConfig) else 1
        self._tokens = np.zeros((1, 0), np.uint8)

    def encode(self, tokens: np.ndarray) -> np.ndarray:
        """Return (n, length) tokens as the model is fed with them."""
        kmers = self._config
        return chunk_counts(tokens, kmers.k, kmers.chunk) if isinstance(kmers, CountConfig) else tokens

    def inputs(self, tokens: np.ndarray, features: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the inputs of the model by name, from (n, window) tokens and (n, width) features by block letter."""
        return {NAME: self.encode(tokens)} | {BLOCKS[b].input: x.astype(np.float32) for b, x in features.items()}

    def fix(self, tokens: np.ndarray, features: Mapping[str, np.ndarray]) -> np.ndarray:
        """Choose the gene, (window,) tokens and (width,) features by block letter; return its (labels,) prediction."""
        self._tokens, self._features = tokens[None], {letter: x[None] for letter, x in features.items()}
        both = (self._tokens, reverse_complement(self._tokens))
        each = [p.fix(self.inputs(x, self._features)) for p, x in zip(self._partials, both, strict=False)]
        #: The prediction of the gene, (labels,).
        self.prediction: np.ndarray = np.mean(each, axis=0)
        return np.asarray(self.prediction)

    def with_pieces(self, starts: np.ndarray, pieces: np.ndarray) -> np.ndarray:
        """Predict the gene with other bases: (n, labels) float32, for (n, width) tokens in place of those at `starts`.

        Only what the change of the bases changes in the network is computed; see `genexp.explain.partial`.
        """
        step, length = -(-BLOCK // self._unit) * self._unit, len(self._tokens[0])
        found = np.zeros((len(starts), self.model.output_shape[-1]), np.float32)
        for rows in _groups(starts // step):
            left = int(starts[rows[0]]) // step * step
            right = int(starts[rows].max()) + pieces.shape[1]
            right = min(-(-right // self._unit) * self._unit, length)
            tokens = np.repeat(self._tokens[:, left:right], len(rows), axis=0)
            tokens[np.arange(len(rows))[:, None], starts[rows, None] - left + np.arange(pieces.shape[1])] = pieces[rows]
            both = ((tokens, left), (reverse_complement(tokens), length - right))
            each = [
                p(NAME, self.encode(x), start // self._unit)
                for p, (x, start) in zip(self._partials, both, strict=False)
            ]
            found[rows] = np.mean(each, axis=0)
        return found

    def check(self, starts: np.ndarray, pieces: np.ndarray, found: np.ndarray) -> float:
        """Return how far `with_pieces` is from the whole model at a few changes; raise a RuntimeError if too far."""
        rows = np.unique(np.linspace(0, len(starts) - 1, CHECKED).astype(int))
        tokens = np.repeat(self._tokens, len(rows), axis=0)
        tokens[np.arange(len(rows))[:, None], starts[rows, None] + np.arange(pieces.shape[1])] = pieces[rows]
        features = {letter: np.repeat(x, len(rows), axis=0) for letter, x in self._features.items()}
        whole = np.asarray(self.model(self.inputs(tokens, features), training=False), np.float32)
        difference = float(np.abs(whole - found[rows]).max())
        exact = {layer.compute_dtype for layer in self.model.layers} == {"float32"}
        if difference > (1e-4 if exact else 0.05) * max(1.0, float(np.abs(whole).max())):
            raise RuntimeError(f"a change of the promoter is predicted {difference:.2g} off by partial computation")
        return difference


def _groups(numbers: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the rows with each of these numbers."""
    order = np.argsort(numbers, kind="stable")
    yield from np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1) if len(order) else ()


class SoftNetwork:
    """A network that takes (n, window, 4) float32 shares of A, C, G, T at each position, and has a gradient there.

    With shares that are 0 or 1, it predicts what the network does; a position of N has zeros. The counts of k-mers are
    the products of the shares of their bases, summed over the positions of a chunk.
    """

    def __init__(self, network: Network) -> None:
        inputs, steps, output = recorded(network.one_strand)
        first = next(step.output for step in steps if any(x is inputs[NAME] for x in step.inputs()))
        self._config, self._strands, self._channels = network._config, network.strands, first.shape[-1]
        self._names = [name for name in inputs if name != NAME]
        self._model = keras.Model([first, *(inputs[name] for name in self._names)], output)

    def __call__(self, shares: Any, features: Mapping[str, np.ndarray]) -> Any:
        """Return the (n, labels) predictions; `features` are (width,) by block letter, of one gene."""
        known = {BLOCKS[b].input: ops.broadcast_to(x[None], (len(shares), len(x))) for b, x in features.items()}
        shares = ops.convert_to_tensor(shares)
        both = (shares, ops.flip(shares, axis=(1, 2)))[: self._strands]  # the complement of A, C, G, T: T, G, C, A
        each = [self._model([self._encoded(x), *(known[name] for name in self._names)]) for x in both]
        return sum(each) / len(each)

    def _encoded(self, shares: Any) -> Any:
        """Return the shares as the network has them after its first operation."""
        if not isinstance(self._config, CountConfig):
            unknown = 1 - ops.sum(shares, axis=-1, keepdims=True)
            return ops.concatenate([shares, unknown], axis=-1) if self._channels > N_TOKEN else shares
        k, chunk = self._config.k, self._config.chunk
        chunks = ops.reshape(shares, (len(shares), -1, chunk, N_TOKEN))
        words, ends = chunks[:, :, : chunk - k + 1], chunk - k + 1
        for n in range(1, k):
            words = words[..., :, None] * chunks[:, :, n : n + ends, None, :]
            words = ops.reshape(words, (*words.shape[:3], -1))
        return ops.sum(words, axis=2)
