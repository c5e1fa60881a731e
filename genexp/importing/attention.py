"""The four layers of an attention: finding them, and giving those that were written by hand the shapes of Keras.

Keras holds queries as (width, heads, key); layers written by hand, as tutorials have them, are plain dense layers of
(width, heads * key) units, often without telling names.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from genexp.importing.graph import is_connected, places
from genexp.importing.weights import Checkpoint, LayerWeights

PARTS = ("query", "key", "value", "output")

#: Words in the name of a layer that tell its part.
WORDS = {
    **dict.fromkeys(("query", "queries", "q", "wq"), "query"),
    **dict.fromkeys(("key", "keys", "k", "wk"), "key"),
    **dict.fromkeys(("value", "values", "v", "wv"), "value"),
    **dict.fromkeys(("output", "out", "combine", "o", "wo", "proj", "projection"), "output"),
}


def with_parts(checkpoint: Checkpoint, heads: int) -> Checkpoint:
    """Return a checkpoint whose attentions are told apart part by part, and have the shapes of Keras.

    Parameters
    ----------
    checkpoint
        As it was read.
    heads
        Number of heads where neither shapes nor config say it.
    """
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


def _attentions(checkpoint: Checkpoint) -> Iterator[tuple[list[int], bool]]:
    """Yield the numbers of the four layers of each attention, and whether something tells which is which."""
    layers, place = checkpoint.layers, places(checkpoint)
    families = defaultdict(list)
    for number in sorted(range(len(layers)), key=place.__getitem__):
        if set(layers[number].arrays) == {"kernel", "bias"}:
            families[layers[number].name.rpartition("/")[0]].append(number)
    for family in families.values():
        named = [[n for n in family if _part_in(layers[n].name) == part] for part in PARTS]
        triples = list(zip(*named[:3], strict=True)) if len({len(n) for n in named[:3]}) == 1 else []
        told = bool(triples)
        if not triples:
            triples = [(a, b, c) for a, b, c in zip(family, family[1:], family[2:], strict=False)]
            told = is_connected(checkpoint) and len({layers[n].top for n in family}) == len(family)
        used: set[int] = set()
        for triple in triples:
            if used.isdisjoint(triple) and _are_equal([layers[n] for n in triple]):
                rest = [n for n in family if n not in used | set(triple)]
                fits = [n for n in rest if _is_output(layers[n], layers[triple[0]])]
                best = [n for n in fits if n in named[3]] or [n for n in fits if n > triple[2]] or fits
                if best:
                    used |= {*triple, best[0]}
                    yield [*triple, best[0]], told


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
