"""Which layer of a checkpoint is which of ours, and whether both compute the same.

Our own model is the map of its family: layers of one kind and shape stand in its order, which is the order of Keras
(layers by depth) in every file, whatever the layers are called.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from genexp.errors import UserError
from genexp.models import names
from genexp.porting.checkpoint import ROLES, Checkpoint, LayerWeights, gather
from genexp.porting.description import HARMLESS, SETTINGS, Operation, describe, plain

if TYPE_CHECKING:
    import keras

#: The first dense layer, whose input the blocks are joined to.
HEAD = "dense_1"

Pair = tuple[LayerWeights, LayerWeights]


def our_side(model: keras.Model) -> Checkpoint:
    """Return our own model in the form of a checkpoint, with its variables as arrays."""
    arrays: dict[str, dict[str, Any]] = defaultdict(dict)
    for variable in model.weights:
        name, _, role = variable.path.rpartition("/")
        if role in ROLES:
            arrays[name][role] = variable
    layers = [LayerWeights(name, own, name.split("/")[0]) for name, own in arrays.items()]
    return gather("", "", layers, describe(json.loads(model.to_json())))


def pair(
    ours: Checkpoint, theirs: Checkpoint, surplus: int = 0, without: str | None = None
) -> tuple[list[Pair], list[LayerWeights], list[LayerWeights]]:
    """Return the pairs of layers of equal kind and shape, and what is left of ours and of theirs.

    Of equal layers those come first whose input was pooled alike, then those that come first in the file. Their first
    dense layer has `surplus` rows more than ours; our layer named `without` is left out.
    """
    pairs, missing, rest = [], [], list(theirs.layers)
    for layer in ours.layers:
        shapes = layer.shapes
        if layer.name == HEAD:
            shapes["kernel"] = (shapes["kernel"][0] + surplus, shapes["kernel"][1])
        alike = [x for x in rest if x.kind == layer.kind and x.shapes == shapes]
        before = [operation.what for operation in layer.before or ()]
        alike.sort(key=lambda x: [operation.what for operation in x.before or ()] != before)
        if layer.name == without:
            continue
        if alike:
            rest = [x for x in rest if x is not alike[0]]
            pairs.append((layer, alike[0]))
        else:
            missing.append(layer)
    return pairs, missing, rest


def spare_rows(ours: Checkpoint, theirs: Checkpoint) -> int:
    """Return how many more inputs their first dense layer has than ours; a large number below 0 if no layer can be it.

    It is the layer of the same units that is left when all other layers have found their like.
    """
    _, _, rest = pair(ours, theirs, without=HEAD)
    rows, units = next(layer.shapes["kernel"] for layer in ours.layers if layer.name == HEAD)
    found = [x.shapes["kernel"][0] for x in rest if x.kind == "dense" and x.shapes["kernel"][1] == units]
    return max(found, default=-(2**40)) - rows


def set_weights(pairs: list[Pair]) -> None:
    """Set our variables; rows that our first dense layer does not have are left out."""
    for own, other in pairs:
        for role, variable in own.arrays.items():
            variable.assign(other.arrays[role][: variable.shape[0]])


def check_order(theirs: Checkpoint, pairs: list[Pair]) -> None:
    """Refuse parallel convolutions that are in models of their own: the file does not say the order of these."""
    parents = defaultdict(set)
    for own, other in pairs:
        if own.kind == "convolution":
            parents[tuple(own.shapes.values())].add(other.name.rpartition("/")[0])
    if any(len(models) > 1 for models in parents.values()):
        where, hint = f"checkpoint={theirs.path}", "save the whole model as .keras or .h5 without models within it"
        raise UserError("convolutions in models within the model cannot be imported", where=where, hint=hint)


def check_settings(ours: Checkpoint, theirs: Checkpoint, pairs: list[Pair]) -> list[str]:
    """Refuse a checkpoint whose layers have other settings than ours; return what the file does not say.

    Raises
    ------
    UserError
        Naming layer, expected and found.
    """
    unknown, compared = [], {layer.top for layer in theirs.layers}
    compared |= {operation.layer for operation in theirs.output or ()}
    for own, other in pairs:
        expected = ours.description.layers[str(own.top)].config
        if not other.settings and not other.kind.startswith(("attention", "embedding")):
            unknown.append(other.name)
        name = other.name if other.before is None else str(other.top)
        # The activation of a layer that is described is an operation on the way to the next.
        activation = other.before is None or "recurrent_activation" in expected
        for key in (*SETTINGS, *["activation"] * activation):
            wanted, found = plain(expected.get(key)), plain(other.settings.get(key))
            if wanted != found and wanted is not None and found is not None:
                raise _other(theirs, name, f"{key} {wanted}", f"{key} {found}")
        if other.before is not None:
            compared |= {operation.layer for operation in other.before}
            _compare(theirs, name, own.before or [], other.before)
    if theirs.output is not None:
        _compare(theirs, list(theirs.description.layers)[-1], ours.output or [], theirs.output)
    loose = [n for n, x in theirs.description.layers.items() if n not in compared and x.kind not in HARMLESS]
    said = {
        "not compared, as genexp does not know these layers": loose,
        "the file does not state activations and other settings without weights of": unknown,
    }
    return [
        f"{what}: {', '.join(names[:4])}" + f" and {len(names) - 4} others" * (len(names) > 4)
        for what, names in said.items()
        if names
    ]


def _compare(theirs: Checkpoint, layer: str, ours: list[Operation], found: list[Operation]) -> None:
    for own, other in zip_longest(ours, found):
        if own is None or other is None or own.what != other.what:
            missing = other is None or (own and own.what.startswith("act") and not other.what.startswith("act"))
            where = f"the input of {other.layer if other else layer}" if missing else other.layer
            raise _other(theirs, where, own.what if own else "nothing", "nothing" if missing else other.what)


def _other(theirs: Checkpoint, layer: str, expected: str, found: str) -> UserError:
    return UserError(
        "a layer of the checkpoint does something else than the model",
        where=f"checkpoint={theirs.path}, layer {layer}",
        expected=expected,
        received=found,
        hint="set the model's own key, such as model.pools, if it has one for it; otherwise it cannot be imported",
    )


def check_kinds(name: str, ours: Checkpoint, theirs: Checkpoint) -> None:
    """Refuse another architecture, whose layers with weights are of other kinds or numbers."""
    kinds, found = (Counter(layer.kind for layer in side.layers) for side in (ours, theirs))
    if kinds != found:
        raise UserError(
            f"this is not a model that genexp knows as {name}",
            where=f"checkpoint={theirs.path} ({theirs.kind})",
            expected=", ".join(f"{n} x {kind}" for kind, n in kinds.items()),
            received=", ".join(f"{n} x {kind}" for kind, n in found.items()),
            hint=f"choose the model= that it is (one of {', '.join(names())}); others cannot be imported",
        )


def mismatch(config: Any, ours: Checkpoint, theirs: Checkpoint) -> UserError:
    """Return the error for weights that do not fit, layer by layer, with the config keys that set their sizes."""
    _, missing, rest = pair(ours, theirs)
    rows = []
    for layer in missing:
        other = rest.pop(next(n for n, x in enumerate(rest) if x.kind == layer.kind))
        rows.append(f"    {layer}  |  {other}   ({_keys(config, layer, other)})")
    return UserError(
        "the weights do not fit the model",
        where=f"checkpoint={theirs.path} ({theirs.kind})",
        expected=f"{ours.parameters:,} weights",
        received=f"{theirs.parameters:,} weights; {len(rows)} of {len(ours.layers)} layers differ:\n"
        "    expected  |  found   (config key)\n" + "\n".join(rows),
        hint="set the keys in brackets to what was found, or choose another model= or data=",
    )


def _keys(config: Any, own: LayerWeights, other: LayerWeights) -> str:
    """Return the config keys that set the sizes in which two layers differ: those with our value."""
    sizes = {n for role, shape in own.shapes.items() for n in shape if n not in other.shapes.get(role, ())}
    group = {key: value for key, value in config.model_dump().items() if key != "window"}
    keys = [k for k, v in group.items() if sizes.intersection(v if isinstance(v, list) else [v])]
    if own.name == HEAD or not keys:
        keys = [key for key in ("pools", "pool", "parts") if key in group]
        return ", ".join(["data.window", "widths", *(f"model.{key}" for key in keys)])
    return ", ".join(f"model.{key}" for key in keys)
