"""What every checkpoint is once it is read: layers in order, each with named arrays, and the model's description."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from genexp.porting.description import Layer

#: Names of the variables of a layer, in all releases of Keras.
NORM = ("gamma", "beta", "moving_mean", "moving_variance")
ROLES = ("kernel", "recurrent_kernel", "bias", "embeddings", "vectors", *NORM)


@dataclass(frozen=True, eq=False)
class LayerWeights:
    """The variables of one innermost layer.

    `arrays` by role (``kernel``, ``bias``): NumPy arrays, or the variables of our own model. `top`: the layer of the
    model that holds it, as the description calls it. `settings`: its own Keras config, where the file has it apart.
    """

    name: str
    arrays: Mapping[str, Any]
    top: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

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

    @property
    def signature(self) -> tuple[Any, ...]:
        """Equal for layers whose weights can change places."""
        return self.kind, *sorted(self.shapes.items())

    def __str__(self) -> str:
        """Return name and shapes, for messages."""
        name = self.name if self.top is None or self.name.startswith(self.top) else self.top
        return f"{name}: " + ", ".join(f"{role} {list(shape)}" for role, shape in self.shapes.items())


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was read: its path, its format in words, and its layers with weights in the model's order.

    `skipped` counts the variables that are no weights (of the optimiser, say). `described`: all layers of the model by
    name, and `inputs`: shapes of its inputs without the batch axis; both are empty where the file does not say.
    """

    path: str
    kind: str
    layers: tuple[LayerWeights, ...]
    skipped: int = 0
    described: Mapping[str, Layer] = field(default_factory=dict)
    inputs: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return sum(array.size for layer in self.layers for array in layer.arrays.values())

    @property
    def fingerprint(self) -> str:
        """16 hex digits that change when any weight changes."""
        digest = hashlib.blake2b(digest_size=8)
        for layer in self.layers:
            for role, array in layer.arrays.items():
                digest.update(f"{role}{array.shape}".encode())
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


@dataclass(frozen=True)
class Variable:
    """One variable before the variables of its layer are gathered; see `LayerWeights`."""

    layer: str
    name: str
    array: np.ndarray
    top: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


def group_layers(variables: Iterable[Variable]) -> tuple[tuple[LayerWeights, ...], int]:
    """Gather variables into layers, in order of first appearance, and count those that are no weights.

    Variables without a telling name (``0``, ``1``, ...) get their role from the shapes beside them.
    """
    first: dict[tuple[str, str | None], list[tuple[Variable, dict[str, np.ndarray]]]] = {}
    found: list[tuple[Variable, dict[str, np.ndarray]]] = []
    skipped = 0
    for variable in variables:
        role = variable.name.removesuffix(":0").lstrip("_")
        if not (role.isdigit() or role in ROLES) or variable.array.ndim == 0 or variable.array.dtype.kind != "f":
            skipped += 1
            continue
        same = first.setdefault((variable.layer, variable.top), [])
        if not same or role in same[-1][1] or any((role in NORM) != (other in NORM) for other in same[-1][1]):
            same.append((variable, {}))  # another layer of the same name begins
            found.append(same[-1])
        same[-1][1][role] = np.asarray(variable.array, np.float32)
    layers = [LayerWeights(v.layer, _with_roles(arrays), v.top, v.settings) for v, arrays in found]
    return tuple(part for layer in layers for part in split_tables(layer)), skipped


def split_tables(layer: LayerWeights) -> list[LayerWeights]:
    """Return a token and position embedding that was saved as one layer (kernel and bias are tables) as two."""
    if {role: len(shape) for role, shape in layer.shapes.items()} != {"kernel": 2, "bias": 2}:
        return [layer]
    return [LayerWeights(f"{layer.name}/{role}", {"embeddings": a}, layer.top) for role, a in layer.arrays.items()]


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


def natural(text: str) -> list[tuple[int, int, str]]:
    """Return a sort key by which ``conv1d`` comes before ``conv1d_2`` and that before ``conv1d_10``."""
    words = [w for w in re.split(r"(\d+)", text.replace("/", " ")) if w]
    return [(1, int(word), "") if word.isdigit() else (0, 0, word) for word in words]
