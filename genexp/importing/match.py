"""Which layer of a checkpoint belongs to which of ours: by what it holds, then by its place in the model."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from genexp.errors import UserError
from genexp.importing.weights import ROLES, Checkpoint, LayerWeights, links_of

if TYPE_CHECKING:
    import keras

#: Of the token transformer: one layer of ours holds the two embeddings of the original.
TOKEN_LAYER = "token_and_position_embedding"


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
    return Checkpoint("", "genexp", tuple(found), links=links_of(json.loads(model.to_json())["config"]))


def _position(model: keras.Model, path: str) -> int:
    """Return the place of a variable's layer in the model: Keras sorts layers by depth, the same in all releases."""
    names = [layer.name for layer in model.layers]
    return names.index(path.split("/")[0]) if path.split("/")[0] in names else len(names)


def match(checkpoint: Checkpoint, model: keras.Model) -> dict[str, np.ndarray]:
    """Find the value of each variable of our model.

    Layers are paired that hold variables of the same names and shapes. Of several, those come first that have fewer
    layers with weights before them, then in the order in which the model's inputs reach them: so the ten equal parts
    of a model keep their places, whatever their layers are called. Where a checkpoint does not say how its layers are
    connected, its own order counts.

    Returns
    -------
    dict
        By path: ``{"dense_1/kernel": array}``.

    Raises
    ------
    UserError
        If count or shapes differ, layer by layer.
    """
    ours, theirs = layers_of(model), separate_tokens(checkpoint, model)
    if theirs.links and not all(layer.top in theirs.links for layer in theirs.layers):
        theirs = Checkpoint(theirs.path, theirs.kind, theirs.layers, theirs.skipped)
    connected = bool(theirs.links)
    expected, found = by_signature(ours, connected), by_signature(theirs, connected)
    if {s: len(n) for s, n in expected.items()} != {s: len(n) for s, n in found.items()}:
        raise mismatch(checkpoint, ours, theirs)
    values: dict[str, np.ndarray] = {}
    for signature, numbers in expected.items():
        for own, other in zip(numbers, found[signature], strict=True):
            name = ours.layers[own].name
            values |= {f"{name}/{role}": array for role, array in theirs.layers[other].arrays.items()}
    for ours_is, theirs_is in (("kernel", "tokens"), ("bias", "positions")):
        if f"{TOKEN_LAYER}/{theirs_is}/embeddings" in values:
            values[f"{TOKEN_LAYER}/{ours_is}"] = values.pop(f"{TOKEN_LAYER}/{theirs_is}/embeddings")
    return values


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
    return Checkpoint(
        checkpoint.path, checkpoint.kind, tuple(layers), checkpoint.skipped, checkpoint.links, checkpoint.inputs
    )


def by_signature(checkpoint: Checkpoint, connected: bool) -> Mapping[Any, list[int]]:
    """Return the numbers of the layers that hold the same variables, in the order in which they are paired."""
    before, reached = upstream(checkpoint) if connected else ({}, {})
    groups: dict[Any, list[int]] = defaultdict(list)
    for number, layer in enumerate(checkpoint.layers):
        groups[tuple(sorted(layer.shapes.items())), layer.part].append(number)
    for numbers in groups.values():
        tops = [str(checkpoint.layers[n].top) for n in numbers]
        place = {n: (before.get(top, 0), reached.get(top, 0), n) for n, top in zip(numbers, tops, strict=True)}
        numbers.sort(key=place.__getitem__)
    return groups


def upstream(checkpoint: Checkpoint) -> tuple[dict[str, int], dict[str, int]]:
    """Return how many layers with weights stand before each layer, and when the way back from the output meets it."""
    links = checkpoint.links
    weighted = {layer.top for layer in checkpoint.layers}
    ancestors: dict[str, frozenset[str]] = {}
    reached: dict[str, int] = {}
    fed = {name for sources in links.values() for name in sources}
    stack = [(name, False) for name in reversed([n for n in links if n not in fed])]
    while stack:
        name, done = stack.pop()
        if done:
            sources = [s for s in links[name] if s in ancestors]
            ancestors[name] = frozenset().union(*(ancestors[s] | ({s} & weighted) for s in sources))
            reached.setdefault(name, len(reached))
        elif name not in ancestors:
            ancestors[name] = frozenset()
            stack.append((name, True))
            stack += [(s, False) for s in reversed(links[name]) if s in links and s not in ancestors]
    return {name: len(found) for name, found in ancestors.items()}, reached


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
    top, (_, _, inside) = layer.top or layer.name, layer.name.partition("/")
    where = layer.name if layer.name.startswith(top) else f"{top}/{inside}".rstrip("/")
    return f"{where}: " + ", ".join(f"{role} {list(shape)}" for role, shape in layer.shapes.items())
