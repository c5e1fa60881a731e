"""The four layers of an attention: finding them, and giving those that were written by hand the shapes of Keras.

Keras holds queries as (width, heads, key); layers written by hand, as tutorials have them, are plain dense layers of
(width, heads * key) units, often without telling names.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from genexp.porting.graph import is_connected, places
from genexp.porting.weights import Checkpoint, LayerWeights

PARTS = ("query", "key", "value", "output")

#: Words in the name of a layer that tell its part.
WORDS = {
    **dict.fromkeys(("query", "queries", "q", "wq"), "query"),
    **dict.fromkeys(("key", "keys", "k", "wk"), "key"),
    **dict.fromkeys(("value", "values", "v", "wv"), "value"),
    **dict.fromkeys(("output", "out", "combine", "o", "wo", "proj", "projection"), "output"),
}


def with_parts(checkpoint: Checkpoint, heads: int | None) -> Checkpoint:
    """Return a checkpoint whose attentions are told apart part by part, and have the shapes of Keras.

    Parameters
    ----------
    checkpoint
        As it was read.
    heads
        Number of heads where neither shapes nor config say it; None for models without attention.
    """
    if heads is None:
        return checkpoint
    layers, notes = list(checkpoint.layers), []
    heads = checkpoint.heads or heads
    for numbers, named in _attentions(checkpoint):
        for part, number in zip(PARTS, numbers, strict=True):
            layers[number] = _in_keras_shape(layers[number], part, heads)
        if not named:
            names = ", ".join(checkpoint.layers[n].name for n in numbers)
            notes.append(f"query, key, value and output are taken in this order, as no name tells them apart: {names}")
        if layers[numbers[0]].arrays is not checkpoint.layers[numbers[0]].arrays and checkpoint.heads is None:
            notes.append(f"nothing tells the number of heads of a hand-written attention: model.heads={heads} is taken")
    return replace(checkpoint, layers=tuple(layers), notes=(*checkpoint.notes, *dict.fromkeys(notes)))


def _attentions(checkpoint: Checkpoint) -> list[tuple[list[int], bool]]:
    """Return the numbers of the four layers of each attention, and whether something tells which is which."""
    layers, place = checkpoint.layers, places(checkpoint)
    families = defaultdict(list)
    for number in sorted(range(len(layers)), key=place.__getitem__):
        if set(layers[number].arrays) == {"kernel", "bias"}:
            families[layers[number].name.rpartition("/")[0]].append(number)
    named = [
        (found, True) for family in families.values() for found in _fours(layers, family, _by_name(layers, family))
    ]
    if named:  # whatever else has equal shapes is no attention
        return named
    unnamed = []
    for family in families.values():
        told = is_connected(checkpoint) and len({layers[n].top for n in family}) == len(family)
        unnamed += [
            (found, told) for found in _fours(layers, family, zip(family, family[1:], family[2:], strict=False))
        ]
    return unnamed


def _by_name(layers: Sequence[LayerWeights], family: list[int]) -> Iterator[tuple[int, ...]]:
    """Yield queries, keys and values that are called so, in order."""
    yield from zip(*([n for n in family if _part_in(layers[n].name) == part] for part in PARTS[:3]), strict=False)


def _fours(
    layers: Sequence[LayerWeights], family: list[int], triples: Iterable[tuple[int, ...]]
) -> Iterator[list[int]]:
    """Yield the triples that may be query, key and value, each with the layer that takes their heads back."""
    used: set[int] = set()
    for triple in triples:
        if used.isdisjoint(triple) and _are_equal([layers[n] for n in triple]):
            rest = [n for n in family if n not in used | set(triple) and _is_output(layers[n], layers[triple[0]])]
            called = [n for n in rest if _part_in(layers[n].name) == "output"]
            after = [n for n in rest if n > triple[2]]
            if rest:
                found = (called or after or rest)[0]
                used |= {*triple, found}
                yield [*triple, found]


def _part_in(name: str) -> str:
    """Return which part of an attention the last word of a path names, or an empty string."""
    words = re.split(r"[_\d]+", name.rsplit("/", 1)[-1].lower())
    return next((WORDS[word] for word in words if word in WORDS), "")


def _are_equal(layers: list[LayerWeights]) -> bool:
    """Return whether three layers have equal shapes, those of queries, keys and values."""
    first = layers[0].shapes
    return all(layer.shapes == first for layer in layers) and first["bias"] == first["kernel"][1:]


def _is_output(layer: LayerWeights, query: LayerWeights) -> bool:
    """Return whether a layer takes what an attention with such queries makes back to their width."""
    width, *inner = query.shapes["kernel"]
    return layer.shapes == {"kernel": (*inner, width), "bias": (width,)}


def _in_keras_shape(layer: LayerWeights, part: str, heads: int) -> LayerWeights:
    kernel, bias = layer.arrays["kernel"], layer.arrays["bias"]
    units = kernel.shape[0 if part == "output" else 1]
    if kernel.ndim != 2 or units % heads:
        return replace(layer, part=part)
    split = (heads, units // heads)
    shaped: dict[str, np.ndarray] = {"kernel": kernel.reshape(*split, -1), "bias": bias}
    if part != "output":
        shaped = {"kernel": kernel.reshape(-1, *split), "bias": bias.reshape(split)}
    return replace(layer, arrays=shaped, part=part)
