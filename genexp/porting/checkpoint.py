"""What every checkpoint is once it is read: layers in order, each with named arrays, and the model's description."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from genexp.porting.description import Description, Operation

#: Names of the variables of a layer, in all releases of Keras.
NORM = ("gamma", "beta", "moving_mean", "moving_variance")
ROLES = ("kernel", "recurrent_kernel", "bias", "embeddings", "vectors", *NORM)


@dataclass(frozen=True, eq=False)
class LayerWeights:
    """The variables of one innermost layer.

    `arrays` by role (``kernel``, ``bias``): NumPy arrays, or the variables of our own model. `top`: the layer of the
    model that holds it, as the description calls it. `settings`: its own Keras config. `before`: activations and
    poolings of its input; None for a layer inside another one, or where the file does not say.
    """

    name: str
    arrays: Mapping[str, Any] = field(default_factory=dict)
    top: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    before: list[Operation] | None = None

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each variable."""
        return {role: tuple(array.shape) for role, array in self.arrays.items()}

    @property
    def kind(self) -> str:
        """What the layer is, as its variables tell."""
        ranks = {role: len(shape) for role, shape in self.shapes.items()}
        if "recurrent_kernel" in ranks:
            return "recurrent"
        if "gamma" in ranks:
            return "batch normalization" if "moving_mean" in ranks else "layer normalization"
        if "kernel" not in ranks:
            return "embedding"
        if ranks["kernel"] == 3:  # of a convolution; or of an attention, whose name says the part
            part = re.search("query|key|value|output", self.name.lower().rsplit("/", 1)[-1])
            return f"attention {part[0]}" if part and (ranks.get("bias") == 2 or part[0] == "output") else "convolution"
        return "dense"

    def __str__(self) -> str:
        """Return name and shapes, for messages."""
        name = self.name if self.top is None or self.name.startswith(self.top) else self.top
        return f"{name}: " + ", ".join(f"{role} {list(shape)}" for role, shape in self.shapes.items())


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was read: its path, its format in words, and its layers with weights in the model's order.

    `skipped` counts the variables that are no weights (of the optimiser, say). `output`: activations and poolings
    after the last weights; None where the file does not say. Our own model has this form too; see `gather`.
    """

    path: str
    kind: str
    layers: tuple[LayerWeights, ...]
    description: Description = field(default_factory=Description)
    skipped: int = 0
    output: list[Operation] | None = None

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return sum(int(np.prod(shape)) for layer in self.layers for shape in layer.shapes.values())

    @property
    def fingerprint(self) -> str:
        """16 hex digits that change when any weight changes."""
        digest = hashlib.blake2b(digest_size=8)
        for layer in self.layers:
            for role, array in layer.arrays.items():
                digest.update(f"{role}{array.shape}".encode())
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


def gather(
    path: str, kind: str, layers: Iterable[LayerWeights], description: Description, skipped: int = 0
) -> Checkpoint:
    """Return a checkpoint whose layers have order, settings, and operations before them from the description."""
    found = description.layers
    order: dict[str | None, int] = {name: number for number, name in enumerate(found)}
    parts = [part for layer in layers for part in _split_tables(layer)]
    parts.sort(key=lambda layer: order.get(layer.top, -1))
    weighted = Counter(layer.top for layer in parts)
    for n, layer in enumerate(parts):
        own = found.get(layer.top or "")
        if own and weighted[layer.top] == 1:
            before = description.before(str(layer.top), weighted)
            parts[n] = replace(layer, settings=own.config, before=before)
    last = list(found.values())[-1:]
    # Of a model within the model the output is not described here.
    output = description.output(weighted) if last and "layers" not in last[0].config else None
    return Checkpoint(path, kind, tuple(parts), description, skipped, output)


def _split_tables(layer: LayerWeights) -> list[LayerWeights]:
    """Return a token and position embedding that was saved as one layer (kernel and bias are tables) as two."""
    if {role: len(shape) for role, shape in layer.shapes.items()} != {"kernel": 2, "bias": 2}:
        return [layer]
    return [LayerWeights(f"{layer.name}/{role}", {"embeddings": a}, layer.top) for role, a in layer.arrays.items()]


def group_layers(variables: Iterable[tuple[LayerWeights, str, np.ndarray]]) -> tuple[list[LayerWeights], int]:
    """Gather variables (layer, name, values) into layers, in order, and count those that are no weights.

    Variables without a telling name (``0``, ``1``, ...) get their role from the shapes beside them.
    """
    found: dict[tuple[str, str | None, int], tuple[LayerWeights, dict[str, np.ndarray]]] = {}
    copies: Counter[tuple[str, str | None]] = Counter()
    skipped = 0
    for layer, name, array in variables:
        role, key = name.removesuffix(":0").lstrip("_"), (layer.name, layer.top)
        if not (role.isdigit() or role in ROLES) or array.ndim == 0 or array.dtype.kind != "f":
            skipped += 1
            continue
        _, arrays = found.get((*key, copies[key]), (layer, {}))
        if role in arrays or any((role in NORM) != (other in NORM) for other in arrays):
            copies[key] += 1  # another layer of the same name begins
        found.setdefault((*key, copies[key]), (layer, {}))[1][role] = np.asarray(array, np.float32)
    return [replace(layer, arrays=_with_roles(arrays)) for layer, arrays in found.values()], skipped


def _with_roles(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Replace numbers by roles: Keras 3 stores the variables of a layer in a fixed order, without names."""
    if not all(name.isdigit() for name in arrays):
        return dict(arrays)
    values = [arrays[name] for name in sorted(arrays, key=int)]
    names: tuple[str, ...] = ("kernel", "bias")
    if len(values) == 1:
        names = ("embeddings",)
    elif all(v.ndim == 1 for v in values):
        names = NORM
    elif len(values) == 3:
        names = ("kernel", "recurrent_kernel", "bias")
    return {(names[n] if n < len(names) else str(n)): value for n, value in enumerate(values)}
