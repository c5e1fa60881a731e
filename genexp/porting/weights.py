"""What every checkpoint looks like once it is read, whatever wrote it: layers in order, each with named arrays."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

#: What a variable of a layer is called, in all releases of Keras.
ROLES = (
    *("kernel", "recurrent_kernel", "bias", "embeddings", "vectors"),
    *("gamma", "beta", "moving_mean", "moving_variance"),
)


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
    part
        ``query``, ``key``, ``value`` or ``output`` within an attention, else an empty string.
    """

    name: str
    arrays: Mapping[str, np.ndarray]
    top: str | None = None
    part: str = ""

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each variable."""
        return {role: tuple(array.shape) for role, array in self.arrays.items()}


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
    heads
        Of its attentions, where a config says it.
    ordered
        Whether the layers of a chain are known to stand in its order; otherwise they are sorted by name.
    notes
        Sentences for what the checkpoint does not say and had to be guessed.
    """

    path: str
    kind: str
    layers: tuple[LayerWeights, ...]
    skipped: int = 0
    links: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    inputs: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    heads: int | None = None
    ordered: bool = True
    notes: tuple[str, ...] = ()

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
        if key not in open_layers or not _belongs(role, open_layers[key]):  # layers of one name: the next begins
            open_layers[key] = {}
            layers.append((variable.layer, variable.top, open_layers[key]))
        open_layers[key][role] = np.asarray(variable.array, np.float32)
    return tuple(LayerWeights(name, with_roles(arrays), top) for name, top, arrays in layers), skipped


def _belongs(role: str, layer: Mapping[str, np.ndarray]) -> bool:
    """Return whether a layer that holds these variables can hold one more."""
    norm = ROLES[ROLES.index("gamma") :]
    return role not in layer and all((role in norm) == (other in norm) for other in layer)


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


def natural(text: str) -> list[tuple[int, int, str]]:
    """Return a sort key by which ``conv1d`` comes before ``conv1d_2`` and that before ``conv1d_10``."""
    words = [w for w in re.split(r"(\d+)", text.replace("/", " ")) if w]
    return [(1, int(word), "") if word.isdigit() else (0, 0, word) for word in words]
