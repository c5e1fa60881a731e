"""Which layer of a checkpoint belongs to which of ours: by what it holds, then by its place in the model."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from genexp.dataset.genes import BLOCKS
from genexp.errors import UserError
from genexp.porting.attention import with_parts
from genexp.porting.graph import ancestors, is_connected, links_of, places, side_by_side
from genexp.porting.joining import row_order
from genexp.porting.weights import ROLES, Checkpoint, LayerWeights

if TYPE_CHECKING:
    import keras

#: Of the token transformer: one layer of ours holds the two embeddings of the original.
TOKEN_LAYER = "token_and_position_embedding"

#: The first dense layer, which the blocks are joined for.
HEAD = "dense_1"

#: By what layers hold: their numbers.
Groups = Mapping[Any, list[int]]


def layers_of(model: keras.Model) -> Checkpoint:
    """Return our own model as if it had been read from a checkpoint, with zeros of the right shapes as weights."""
    layers: dict[str, dict[str, np.ndarray]] = {}
    for variable in sorted(model.variables, key=lambda v: _position(model, v.path)):
        name, _, role = variable.path.rpartition("/")
        if role in ROLES:
            layers.setdefault(name, {})[role] = np.zeros(variable.shape, np.float32)
    found = [LayerWeights(name, arrays, name.split("/")[0]) for name, arrays in layers.items()]
    if TOKEN_LAYER in layers:
        both = layers[TOKEN_LAYER]
        ours = [
            LayerWeights(f"{TOKEN_LAYER}/tokens", {"embeddings": both["kernel"]}, TOKEN_LAYER),
            LayerWeights(f"{TOKEN_LAYER}/positions", {"embeddings": both["bias"]}, TOKEN_LAYER),
        ]
        found = [part for layer in found for part in (ours if layer.name == TOKEN_LAYER else [layer])]
    own = Checkpoint("", "genexp", tuple(found), links=links_of(json.loads(model.to_json())["config"]))
    return with_parts(own, 1)


def _position(model: keras.Model, path: str) -> int:
    """Return the place of a variable's layer in the model: Keras sorts layers by depth, the same in all releases."""
    names = [layer.name for layer in model.layers]
    return names.index(path.split("/")[0]) if path.split("/")[0] in names else len(names)


@dataclass(frozen=True)
class Matched:
    """The value of each variable of our model, by path, and sentences for what had to be guessed."""

    values: dict[str, np.ndarray]
    notes: tuple[str, ...] = ()


def match(checkpoint: Checkpoint, model: keras.Model) -> Matched:
    """Find the value of each variable of our model.

    Layers are paired that hold variables of the same names and shapes. Of several, those come first that have fewer
    layers with weights before them, then in the order in which the model's inputs reach them: so the ten equal parts
    of a model keep their places, whatever their layers are called. Where a checkpoint does not say how its layers are
    connected, its own order counts. The rows of the first dense layer are put in the order in which we join the blocks.

    Raises
    ------
    UserError
        If count or shapes differ, layer by layer.
    """
    ours, theirs = layers_of(model), separate_tokens(checkpoint, model)
    connected = is_connected(theirs)
    expected = by_signature(ours, places(ours if connected else replace(ours, links={})))
    if not connected and not theirs.ordered:  # sorted by name, so by the numbers that Keras gives as layers are made
        _, made = ancestors(ours)
        expected = by_signature(ours, [(made[str(layer.top)], n) for n, layer in enumerate(ours.layers)])
    branched = any(not is_chain(ours, numbers) for numbers in expected.values())
    found = by_signature(theirs, side_by_side(theirs) if branched and not connected else places(theirs))
    if {s: len(n) for s, n in expected.items()} != {s: len(n) for s, n in found.items()}:
        raise mismatch(checkpoint, ours, theirs)
    values: dict[str, np.ndarray] = {}
    notes = [*theirs.notes]
    for signature, numbers in expected.items():
        for own, other in zip(numbers, found[signature], strict=True):
            name = ours.layers[own].name
            values |= {f"{name}/{role}": array for role, array in theirs.layers[other].arrays.items()}
            if name == HEAD:
                rows, told = joined_rows(theirs, theirs.layers[other], model)
                values[f"{HEAD}/kernel"] = values[f"{HEAD}/kernel"][rows]
                notes += told
    notes += guesses(ours, theirs, expected, found)
    for ours_is, theirs_is in (("kernel", "tokens"), ("bias", "positions")):
        if f"{TOKEN_LAYER}/{theirs_is}/embeddings" in values:
            values[f"{TOKEN_LAYER}/{ours_is}"] = values.pop(f"{TOKEN_LAYER}/{theirs_is}/embeddings")
    return Matched(values, tuple(notes))


def joined_rows(theirs: Checkpoint, head: LayerWeights, model: keras.Model) -> tuple[np.ndarray | slice, list[str]]:
    """Return the rows of their first dense layer in our order of blocks, and what of that order had to be guessed."""
    inputs = {tensor.name: tensor.shape[-1] for tensor in model.inputs}
    widths = {block: inputs[name] for block, name in BLOCKS.items() if block != "P" and name in inputs}
    if len(inputs) == 1:
        return slice(None), []
    promoter = ["the promoter"] * (BLOCKS["P"] in inputs)
    rows = row_order(theirs, head.top, len(head.arrays["kernel"]), widths)
    if rows is None:
        order = ", ".join([*promoter, *widths])
        return slice(None), [f"the checkpoint does not say in which order its inputs are joined: taken as {order}"]
    if len(widths) > 1 and len(theirs.inputs) == 1 + len(promoter):
        return rows, [f"the features come in one input: its columns are taken as {', '.join(widths)}"]
    return rows, []


def guesses(ours: Checkpoint, theirs: Checkpoint, expected: Groups, found: Groups) -> list[str]:
    """Return a sentence that names the equal layers whose order rests on the order of the file or on names."""
    doubtful: list[LayerWeights] = []
    for signature, numbers in expected.items():
        group = [theirs.layers[n] for n in found[signature]]
        if len(group) > 1 and not is_connected(theirs) and not (theirs.ordered and is_chain(ours, numbers)):
            doubtful += group
            continue
        hidden = defaultdict(list)  # within one layer of the model, where names alone tell; numbers in them are enough
        for layer in group:
            family, _, own = layer.name.rpartition("/")
            if family and not layer.part:
                hidden[layer.top, family].append((layer, re.search(r"\d", own)))
        for alike in hidden.values():
            doubtful += [layer for layer, _ in alike] if sum(not number for _, number in alike) > 1 else []
    if not doubtful:
        return []
    names = ", ".join(described_name(layer) for layer in doubtful[:6]) + ", ..." * (len(doubtful) > 6)
    return [
        f"{len(doubtful)} layers of equal shapes could change places, and are taken in the order of the file: {names}"
    ]


def separate_tokens(checkpoint: Checkpoint, model: keras.Model) -> Checkpoint:
    """Take apart the joined embeddings of a token transformer that genexp itself has saved."""
    shapes = {v.path: tuple(v.shape) for v in model.variables}
    kernel, bias = shapes.get(f"{TOKEN_LAYER}/kernel"), shapes.get(f"{TOKEN_LAYER}/bias")
    if kernel is None or bias is None:
        return checkpoint
    layers: list[LayerWeights] = []
    for layer in checkpoint.layers:
        if layer.shapes == {"kernel": kernel, "bias": bias}:
            layers += [
                LayerWeights(f"{layer.name} ({r})", {"embeddings": a}, layer.top) for r, a in layer.arrays.items()
            ]
        else:
            layers.append(layer)
    return replace(checkpoint, layers=tuple(layers))


def is_chain(checkpoint: Checkpoint, numbers: list[int]) -> bool:
    """Return whether of any two of these layers one stands before the other."""
    before, _ = ancestors(checkpoint)
    tops = {str(checkpoint.layers[n].top) for n in numbers}
    return all(a == b or a in before[b] or b in before[a] for a in tops for b in tops)


def by_signature(checkpoint: Checkpoint, place: list[tuple[int, ...]]) -> Groups:
    """Return the numbers of the layers that hold the same variables, in the order in which they are paired."""
    groups: dict[Any, list[int]] = defaultdict(list)
    for number in sorted(range(len(checkpoint.layers)), key=place.__getitem__):
        layer = checkpoint.layers[number]
        groups[tuple(sorted(layer.shapes.items())), layer.part].append(number)
    return groups


def mismatch(checkpoint: Checkpoint, ours: Checkpoint, theirs: Checkpoint) -> UserError:
    """Return the error that shows, layer by layer, what was expected and what was found."""
    rest = dict(enumerate(theirs.layers))
    rows, wrong = [], 0
    pairs: list[tuple[LayerWeights, LayerWeights | None]] = []
    for layer in ours.layers:  # first those that fit, so that a row with a difference shows one
        fits = next((n for n, other in rest.items() if (other.shapes, other.part) == (layer.shapes, layer.part)), None)
        pairs.append((layer, None if fits is None else rest.pop(fits)))
    for layer, other in pairs:
        if other is None:
            wrong += 1
            alike = next((n for n, o in rest.items() if _kind(o) == _kind(layer)), None)
            other = None if alike is None else rest.pop(alike)
            shown = "nothing" if other is None else f"{_described(other)}"
            rows.append(f"    {_described(layer)}  |  {shown}   <-- differs")
        else:
            rows.append(f"    {_described(layer)}  |  {_described(other)}")
    rows += [f"    nothing  |  {_described(layer)}   <-- differs" for layer in rest.values()]
    found = sum(array.size for layer in ours.layers for array in layer.arrays.values())
    return UserError(
        "the weights do not fit the model",
        where=f"checkpoint={checkpoint.path} ({checkpoint.kind})",
        expected=f"{len(ours.layers)} layers with {found:,} weights",
        received=f"{len(theirs.layers)} layers with {theirs.parameters:,} weights; {wrong + len(rest)} differ:\n"
        "    expected  |  found\n" + "\n".join(rows),
        do="choose another model= or data=, set the sizes of the model (model.KEY=VALUE), or data.window",
    )


def _kind(layer: LayerWeights) -> Any:
    return sorted((role, len(shape)) for role, shape in layer.shapes.items()), layer.part


def _described(layer: LayerWeights) -> str:
    return f"{described_name(layer)}: " + ", ".join(f"{role} {list(shape)}" for role, shape in layer.shapes.items())


def described_name(layer: LayerWeights) -> str:
    """Return what people may find a layer by: the name of the model's layer that holds it, and its own."""
    top, (_, _, inside) = layer.top or layer.name, layer.name.partition("/")
    return layer.name if layer.name.startswith(top) else f"{top}/{inside}".rstrip("/")
