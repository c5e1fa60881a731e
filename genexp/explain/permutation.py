"""Permutation importance: how much worse the predictions become when a feature is shuffled among the genes.

Breiman 2001, Random forests, Machine Learning 45, 5-32. Features that say the same share their importance, so whole
blocks are shuffled, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from scipy import stats

from genexp.blocks import BLOCKS, PROMOTER
from genexp.explain.networks import NAME, Network
from genexp.explain.partial import split
from genexp.features.tokens import reverse_complement

#: In place of the name of a feature: the whole block.
ALL = "(all)"


class Importance(NamedTuple):
    """Of one feature, or of a block: the mean loss of r2, and its 95 % interval."""

    block: str
    feature: str
    loss: float
    low: float
    high: float


class Head:
    """What a network computes after the promoter, which is computed once for all permutations of the features."""

    def __init__(self, network: Network, tokens: np.ndarray | None, blocks: Sequence[str]) -> None:
        names = [BLOCKS[letter].input for letter in blocks]
        strands = [tokens] if tokens is None else [tokens, reverse_complement(tokens)][: network.strands]
        first, self._second = split(network.one_strand, names)
        self._promoters = [_encoded(first, network, x) for x in strands]

    def __call__(self, features: Sequence[np.ndarray], rows: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Return the predictions, (n, labels), with these features and the promoters of these rows."""
        each = [self._second.predict_on_batch([*(x[rows] for x in p), *features]) for p in self._promoters]
        found: np.ndarray = np.mean(each, axis=0)
        return found


def _encoded(first: Any, network: Network, tokens: np.ndarray | None, size: int = 32) -> list[np.ndarray]:
    """Return what the first part of a network makes of all promoters."""
    if first is None or tokens is None:
        return []
    batches = (tokens[n : n + size] for n in range(0, len(tokens), size))
    parts = [keras.tree.flatten(first.predict_on_batch({NAME: network.encode(batch)})) for batch in batches]
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


def importance(
    heads: Sequence[Head],
    features: Mapping[str, np.ndarray],
    names: Mapping[str, Sequence[str]],
    measure: Callable[[np.ndarray], float],
    *,
    promoter: bool,
    repeats: int,
    seed: int,
    progress: Callable[[int], None],
) -> list[Importance]:
    """Shuffle every block and every feature of it.

    Parameters
    ----------
    heads
        The members of an ensemble, or one network, for the same genes. Their predictions are averaged.
    features, names
        (n, width) float32 by block letter, and the names of the columns.
    measure
        From (n, labels) predictions to r2.
    promoter
        Whether the networks read promoters.
    repeats
        Permutations of each. The interval is Student's t interval of the mean over them: it tells how exact the mean
        is for these genes, and not how it would be for others.
    progress
        Is called with the number of blocks and features that are done.

    Returns
    -------
    list of Importance
        A block, then its features; in the order of the blocks.
    """
    arrays = list(features.values())
    n, rng = len(arrays[0]), np.random.default_rng(seed)
    orders = [rng.permutation(n) for _ in range(repeats)]
    base = measure(np.mean([head(arrays) for head in heads], axis=0))
    found: list[Importance] = []
    for letter, feature, shuffled in _shuffles(arrays, list(features), promoter=promoter):
        values = [np.mean([head(*shuffled(order)) for head in heads], axis=0) for order in orders]
        losses = np.array([base - measure(x) for x in values])
        half = stats.t.ppf(0.975, repeats - 1) * losses.std(ddof=1) / np.sqrt(repeats) if repeats > 1 else np.nan
        name = ALL if feature is None else names[letter][feature]
        found.append(Importance(letter, name, losses.mean(), losses.mean() - half, losses.mean() + half))
        progress(len(found))
    return found


Shuffled = Callable[[np.ndarray], tuple[list[np.ndarray], np.ndarray]]


def _shuffles(
    arrays: list[np.ndarray], letters: list[str], *, promoter: bool
) -> Iterator[tuple[str, int | None, Shuffled]]:
    """Yield each block and feature with a function from an order of the genes to features, and rows of promoters."""
    still = np.arange(len(arrays[0]))
    if promoter:
        yield PROMOTER, None, lambda order: (arrays, order)
    for place, (letter, values) in enumerate(zip(letters, arrays, strict=True)):
        for column in (None, *range(values.shape[1])):

            def shuffled(order: np.ndarray, place: int = place, column: int | None = column) -> Any:
                columns = slice(None) if column is None else column
                changed = arrays[place].copy()
                changed[:, columns] = changed[order][:, columns]
                return [*arrays[:place], changed, *arrays[place + 1 :]], still

            yield letter, column, shuffled
