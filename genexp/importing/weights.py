"""What every checkpoint looks like once it is read, whatever wrote it: layers in order, each with named arrays."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

#: What a variable of a layer is called, in all releases of Keras.
ROLES = (
    *("kernel", "recurrent_kernel", "bias", "embeddings", "vectors"),
    *("gamma", "beta", "moving_mean", "moving_variance"),
)

#: Layers of an attention, which have equal shapes and are told apart by name alone.
PARTS = ("query", "key", "value", "output")


@dataclass(frozen=True)
class LayerWeights:
    """The variables of one innermost layer.

    Attributes
    ----------
    name
        As the checkpoint calls it, for people.
    arrays
        By role: ``{"kernel": (6, 4, 128), "bias": (128,)}``.
    top
        The layer of the model that holds it, as `Checkpoint.links` calls it; None if unknown.
    """

    name: str
    arrays: Mapping[str, np.ndarray]
    top: str | None = None

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each variable."""
        return {role: tuple(array.shape) for role, array in self.arrays.items()}

    @property
    def part(self) -> str:
        """``query``, ``key``, ``value`` or ``output`` within an attention, else an empty string."""
        last = self.name.rstrip("/").rsplit("/", 1)[-1]
        words = last.strip("_").split("_")
        return next((p for p in PARTS if p in words), "")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was read.

    Attributes
    ----------
    path, kind
        The file or folder, and its format in words.
    layers
        All layers with weights, in the order of the model.
    skipped
        Number of variables left out because they are no weights: those of the optimiser, counters, random seeds.
    links
        By layer of the model, those that feed it, in order; empty where the checkpoint does not say.
    inputs
        Shapes of the model's inputs without the batch axis, by name, in order; empty where the checkpoint does not say.
    """

    path: str
    kind: str
    layers: tuple[LayerWeights, ...]
    skipped: int = 0
    links: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    inputs: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return sum(array.size for layer in self.layers for array in layer.arrays.values())


@dataclass(frozen=True)
class Variable:
    """One variable before it is known to which layer it belongs: the layer's name, its own name, and its value."""

    layer: str
    name: str
    array: np.ndarray
    top: str | None = None


def group_layers(variables: Iterable[Variable]) -> tuple[tuple[LayerWeights, ...], int]:
    """Gather variables into layers, in order of first appearance, and count those that are no weights.

    Variables without a telling name (``0``, ``1``, ...) get their role from the shapes beside them.
    """
    layers: list[tuple[str, str | None, dict[str, np.ndarray]]] = []
    open_layers: dict[tuple[str, str | None], dict[str, np.ndarray]] = {}
    skipped = 0
    for variable in variables:
        role = variable.name.removesuffix(":0").lstrip("_")
        if not (role.isdigit() or role in ROLES) or variable.array.ndim == 0 or variable.array.dtype.kind != "f":
            skipped += 1
            continue
        key = variable.layer, variable.top
        if key not in open_layers or role in open_layers[key]:  # two layers of one name: the second begins
            open_layers[key] = {}
            layers.append((variable.layer, variable.top, open_layers[key]))
        open_layers[key][role] = np.asarray(variable.array, np.float32)
    return tuple(LayerWeights(name, with_roles(arrays), top) for name, top, arrays in layers), skipped


def with_roles(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Replace numbers by roles: Keras 3 stores the variables of a layer in a fixed order, without names."""
    if not all(name.isdigit() for name in arrays):
        return dict(arrays)
    values = [arrays[name] for name in sorted(arrays, key=int)]
    if len(values) == 1:
        return {"embeddings": values[0]}
    if all(v.ndim == 1 for v in values):
        names: tuple[str, ...] = ("gamma", "beta", "moving_mean", "moving_variance")
    elif len(values) == 3:
        names = ("kernel", "recurrent_kernel", "bias")
    else:
        names = ("kernel", "bias")
    return {(names[n] if n < len(names) else str(n)): value for n, value in enumerate(values)}


def links_of(config: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return which layers feed each layer, from the config of a functional or sequential Keras model (2 or 3)."""
    layers = [layer for layer in config.get("layers", []) if isinstance(layer, dict)]
    names = {name_of(layer) for layer in layers}
    if not any(layer.get("inbound_nodes") for layer in layers):  # sequential: each feeds the next
        order = [name_of(layer) for layer in layers]
        return {name: tuple(order[max(n - 1, 0) : n]) for n, name in enumerate(order)}
    return {name_of(layer): tuple(_references(layer.get("inbound_nodes"), names)) for layer in layers}


def name_of(layer: Mapping[str, Any]) -> str:
    """Return the name of a layer in a model's config."""
    return str(layer.get("name") or layer.get("config", {}).get("name"))


def _references(node: Any, names: set[str]) -> Iterator[str]:
    """Yield every ``[layer, node, tensor]`` in the description of a call."""
    if isinstance(node, list):
        if len(node) >= 3 and isinstance(node[0], str) and node[0] in names and isinstance(node[1], int):
            yield node[0]
            node = node[3:]
        for item in node:
            yield from _references(item, names)
    elif isinstance(node, dict):
        for item in node.values():
            yield from _references(item, names)


def inputs_of(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a model's inputs, in the order of the model, from its config."""
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in config.get("layers", []):
        own = layer.get("config", {}) if isinstance(layer, dict) else {}
        shape = own.get("batch_input_shape") or own.get("batch_shape")
        if isinstance(shape, dict):  # a tuple, as TensorFlow 2.4 and later write it
            shape = shape.get("items")
        if layer.get("class_name") == "InputLayer" and isinstance(shape, list) and all(shape[1:]):
            shapes[name_of(layer)] = tuple(int(n) for n in shape[1:])
    named = [name for name in _input_names(config.get("input_layers")) if name in shapes]
    return {name: shapes[name] for name in (named if len(named) == len(shapes) else shapes)}


def _input_names(node: Any) -> Iterator[str]:
    if isinstance(node, list) and node and isinstance(node[0], str):
        yield node[0]
    elif isinstance(node, list | dict):
        for item in node.values() if isinstance(node, dict) else node:
            yield from _input_names(item)


def natural(text: str) -> list[tuple[int, int, str]]:
    """Return a sort key by which ``conv1d`` comes before ``conv1d_2`` and that before ``conv1d_10``."""
    words = [w for w in re.split(r"(\d+)", text.replace("/", " ")) if w]
    return [(1, int(word), "") if word.isdigit() else (0, 0, word) for word in words]
