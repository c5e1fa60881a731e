"""Which layer of a checkpoint is which of ours, and whether both compute the same.

Our own model is the map of its family: layers of one kind and shape stand in its order, which is the order of Keras
(layers by depth) in every file, whatever the layers are called.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest
from math import prod
from typing import TYPE_CHECKING, Any

from genexp.errors import UserError
from genexp.models import names
from genexp.porting.checkpoint import ROLES, Checkpoint, LayerWeights, split_tables
from genexp.porting.description import (
    HARMLESS,
    SETTINGS,
    Layer,
    Operation,
    activation_of,
    describe,
    joined,
    operations_before,
    plain,
)

if TYPE_CHECKING:
    import keras

#: The first dense layer, whose input the blocks are joined to.
HEAD = "dense_1"

Pair = tuple[LayerWeights, LayerWeights]


@dataclass(frozen=True)
class Side:
    """A model, ours or the checkpoint's: its layers with weights, and the description of all."""

    layers: tuple[LayerWeights, ...]
    described: Mapping[str, Layer]

    def own(self, layer: LayerWeights) -> Layer | None:
        """Return the description of the layer of the model that is this layer and no more; None if there is none."""
        alone = sum(other.top == layer.top for other in self.layers) == 1 or "/" not in layer.name.strip("/")
        return self.described.get(layer.top or "") if alone else None

    def operations(self, name: str) -> list[Operation]:
        """Return activations and poolings between a layer and the layers with weights before it."""
        return operations_before(self.described, {layer.top for layer in self.layers}, name)

    def output(self) -> list[Operation]:
        """Return activations and poolings between the last weights and the output."""
        last = list(self.described.values())[-1]
        found = activation_of(last)
        return self.operations(last.name) + [Operation(f"activation {found}", last.name)] * bool(found)


def our_side(model: keras.Model) -> Side:
    """Return our own model in the form of a checkpoint, with its variables as arrays."""
    described, _ = describe(json.loads(model.to_json())["config"])
    order = {name: number for number, name in enumerate(described)}
    arrays: dict[str, dict[str, Any]] = defaultdict(dict)
    for variable in model.weights:
        name, _, role = variable.path.rpartition("/")
        if role in ROLES:
            arrays[name][role] = variable
    names = sorted(arrays, key=lambda name: order.get(name.split("/")[0], len(order)))
    layers = [LayerWeights(name, arrays[name], name.split("/")[0]) for name in names]
    return Side(tuple(part for layer in layers for part in split_tables(layer)), described)


def pair(ours: Side, theirs: Side) -> tuple[list[Pair], list[LayerWeights], list[LayerWeights]]:
    """Return the pairs of equal layers, and what is left of ours and of theirs.

    Of equal layers those come first whose input was pooled alike, then those that come first in the file.
    """
    groups: dict[Any, list[LayerWeights]] = defaultdict(list)
    for layer in theirs.layers:
        groups[layer.signature].append(layer)
    pairs, missing = [], []
    for layer in ours.layers:
        group = groups[layer.signature]
        if not group:
            missing.append(layer)
            continue
        wanted = _inputs(ours, layer) if len(group) > 1 else []
        chosen = next((x for x in group if _inputs(theirs, x) == wanted), group[0]) if wanted else group[0]
        group.remove(chosen)
        pairs.append((layer, chosen))
    return pairs, missing, [layer for layer in theirs.layers if layer in groups[layer.signature]]


def _inputs(side: Side, layer: LayerWeights) -> list[str]:
    own = side.own(layer)
    return [operation.what for operation in side.operations(own.name)] if own else []


def spare_rows(ours: Side, theirs: Side) -> int:
    """Return how many more inputs their first dense layer has than ours; a large number below 0 if no layer can be it.

    It is the layer of the same units that is left when all other layers have found their like.
    """
    head = next(layer for layer in ours.layers if layer.name == HEAD)
    _, _, rest = pair(Side(tuple(x for x in ours.layers if x is not head), ours.described), theirs)
    rows, units = head.shapes["kernel"]
    found = [x.shapes["kernel"][0] for x in rest if x.kind == "dense" and x.shapes["kernel"][1] == units]
    return max(found, default=-(2**40)) - rows


def joined_inputs(side: Side, top: str | None) -> list[str]:
    """Return the inputs that reach a layer, in order; ``""`` is the encoded promoter."""
    weighted = {layer.top for layer in side.layers}
    return list(dict.fromkeys(joined(side.described, weighted, top))) if top and top in side.described else []


def set_weights(pairs: list[Pair], rows: Any) -> None:
    """Set our variables, with these rows of their first dense layer."""
    for own, other in pairs:
        for role, variable in own.arrays.items():
            value = other.arrays[role]
            variable.assign(value[rows] if (own.name, role) == (HEAD, "kernel") else value)


def check_order(checkpoint: Checkpoint, pairs: list[Pair]) -> None:
    """Refuse parallel convolutions that are in models of their own: the file does not say the order of these."""
    parents = defaultdict(set)
    for own, other in pairs:
        parents[own.signature].add(other.name.rpartition("/")[0])
    if any(kind[0] == "convolution" and len(models) > 1 for kind, models in parents.items()):
        where, hint = f"checkpoint={checkpoint.path}", "save the whole model as .keras or .h5 without models within it"
        raise UserError("convolutions in models within the model cannot be imported", where=where, hint=hint)


def check_settings(checkpoint: Checkpoint, ours: Side, theirs: Side, pairs: list[Pair]) -> list[str]:
    """Refuse a checkpoint whose layers have other settings than ours; return what the file does not say.

    Raises
    ------
    UserError
        Naming layer, expected and found.
    """
    unknown, compared = [], set()
    for own, other in pairs:
        expected, described = ours.described[str(own.top)], theirs.own(other)
        settings, name = (described.config, described.name) if described else (other.settings, other.name)
        if not settings and not other.kind.startswith(("attention", "embedding")):
            unknown.append(other.name)
        keys = [*SETTINGS]
        if expected.config.get("recurrent_activation") or not described:  # else an operation on the way to the next
            keys.append("activation")
        for key in keys:
            wanted, found = plain(expected.config.get(key)), plain(settings.get(key))
            if wanted != found and wanted is not None and found is not None:
                raise _other(checkpoint, name, f"{key} {wanted}", f"{key} {found}")
        if described:
            operations = theirs.operations(name)
            compared |= {operation.layer for operation in operations}
            _compare(checkpoint, name, ours.operations(expected.name), operations)
    last = list(theirs.described.values())[-1] if theirs.described else None
    if last and "layers" not in last.config:  # not a model within the model, whose output is not described here
        operations = theirs.output()
        compared |= {operation.layer for operation in operations}
        _compare(checkpoint, last.name, ours.output(), operations)
    compared |= {str(layer.top) for layer in theirs.layers}
    loose = [x.name for x in theirs.described.values() if x.name not in compared and x.kind not in HARMLESS]
    notes = [f"not compared, as genexp does not know these layers: {_listed(loose)}"] if loose else []
    if unknown:
        notes.append(f"the file does not state activations and other settings without weights of: {_listed(unknown)}")
    return notes


def _listed(names: list[str]) -> str:
    return ", ".join(names[:4]) + f" and {len(names) - 4} others" * (len(names) > 4)


def _compare(checkpoint: Checkpoint, layer: str, ours: list[Operation], theirs: list[Operation]) -> None:
    for own, found in zip_longest(ours, theirs):
        if own is None or found is None or own.what != found.what:
            missing = found is None or (own and own.what.startswith("act") and not found.what.startswith("act"))
            where = f"the input of {found.layer if found else layer}" if missing else found.layer
            raise _other(checkpoint, where, own.what if own else "nothing", "nothing" if missing else found.what)


def _other(checkpoint: Checkpoint, layer: str, expected: str, found: str) -> UserError:
    return UserError(
        "a layer of the checkpoint does something else than the model",
        where=f"checkpoint={checkpoint.path}, layer {layer}",
        expected=expected,
        received=found,
        hint="set the model's own key, such as model.pools, if it has one for it; otherwise it cannot be imported",
    )


def mismatch(checkpoint: Checkpoint, config: Any, ours: Side, theirs: Side) -> UserError:
    """Return the error for weights that do not fit, layer by layer, or for another architecture altogether."""
    kinds, found = (Counter(layer.kind for layer in side.layers) for side in (ours, theirs))
    where = f"checkpoint={checkpoint.path} ({checkpoint.kind})"
    if kinds != found:
        return UserError(
            f"this is not a model that genexp knows as {config.name}",
            where=where,
            expected=_counted(kinds),
            received=_counted(found),
            hint=f"choose the model= that it is (one of {', '.join(names())}); others cannot be imported",
        )
    _, missing, rest = pair(ours, theirs)
    pairs = [(layer, rest.pop(next(n for n, x in enumerate(rest) if x.kind == layer.kind))) for layer in missing]
    rows = [f"    {layer}  |  {other}   ({_keys(config, layer, other)})" for layer, other in pairs]
    total = sum(prod(shape) for layer in ours.layers for shape in layer.shapes.values())
    return UserError(
        "the weights do not fit the model",
        where=where,
        expected=f"{total:,} weights",
        received=f"{checkpoint.parameters:,} weights; {len(rows)} of {len(ours.layers)} layers differ:\n"
        "    expected  |  found   (config key)\n" + "\n".join(rows),
        hint="set the keys in brackets to what was found, or choose another model= or data=",
    )


def _counted(kinds: Counter[str]) -> str:
    return ", ".join(f"{n} x {kind}" for kind, n in kinds.items())


def _keys(config: Any, own: LayerWeights, other: LayerWeights) -> str:
    """Return the config keys that set the sizes in which two layers differ: those with our value."""
    values = {
        n
        for role, shape in own.shapes.items()
        for n, m in zip(shape, other.shapes.get(role, ()), strict=False)
        if n != m
    }
    fields = type(config).model_fields
    keys = []
    for key in fields:
        value = getattr(config, key)
        if key != "window" and not values.isdisjoint(
            value if isinstance(value, list) else [value] if isinstance(value, int) else []
        ):
            keys.append(f"model.{key}")
    if own.name == HEAD or not keys:
        keys = ["data.window", "widths", *(f"model.{key}" for key in fields if key in ("pools", "pool", "parts"))]
    return ", ".join(keys)
