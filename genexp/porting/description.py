"""The description of a Keras model that comes with its weights (its config), read as data.

It says what the weights do not: how the layers are connected, and the settings without weights.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

#: Layers, or functions, that apply an activation and nothing else.
ACTIVATIONS = (
    *("relu", "leakyrelu", "prelu", "elu", "selu", "gelu", "sigmoid", "tanh", "softmax", "softplus", "softsign"),
    *("exp", "exponential", "thresholdedrelu", "hardsigmoid", "silu", "swish"),
)

#: Settings of a layer with weights that carry no weights themselves.
SETTINGS = (
    *("padding", "strides", "dilation_rate", "groups", "data_format", "epsilon", "recurrent_activation"),
    *("go_backwards", "return_sequences", "mask_zero", "rms_scaling"),
)

#: Layers without weights that need no comparison: shapes or inputs tell them, or they act in training only.
HARMLESS = (
    *("InputLayer", "Dropout", "SpatialDropout1D", "GaussianDropout", "GaussianNoise", "AlphaDropout", "Flatten"),
    *("Concatenate", "Add", "Reshape", "GetItem", "SlicingOpLambda", "Cropping1D", "OneHot", "Cast"),
)


@dataclass(frozen=True)
class Layer:
    """One layer of a model: its class, its config, and the layers that feed it."""

    name: str
    kind: str
    config: Mapping[str, Any]
    sources: tuple[str, ...] = ()


@dataclass(frozen=True)
class Operation:
    """What happens between two layers with weights: an activation or a pooling, and in which layer."""

    what: str
    layer: str


def describe(config: Any) -> tuple[dict[str, Layer], dict[str, tuple[int, ...]]]:
    """Return the layers of a model by name and the shapes of its inputs, from a config of Keras 2 or 3.

    Both are empty where there is no config, or a damaged one.
    """
    try:
        layers = config if isinstance(config, list) else config.get("layers", [])
        linked = any(layer.get("inbound_nodes") for layer in layers)
        found: dict[str, Layer] = {}
        for node in layers:
            own = node["config"]
            name = str(node.get("name") or own.get("name"))
            sources = tuple(_references(node.get("inbound_nodes"), found)) if linked else tuple(list(found)[-1:])
            if linked and not sources and node["class_name"] != "InputLayer":
                raise ValueError("a layer without input")
            found[name] = Layer(name, str(node["class_name"]).rsplit(">", 1)[-1], dict(own), sources)
        shapes = {name: _input_shape(layer) for name, layer in found.items() if layer.kind == "InputLayer"}
        named = [] if isinstance(config, list) else list(dict.fromkeys(_references(config.get("input_layers"), shapes)))
        inputs = {name: shapes[name] for name in (named if len(named) == len(shapes) else shapes)}
    except (AttributeError, TypeError, ValueError, KeyError, RecursionError):
        return {}, {}
    return found, inputs if all(inputs.values()) else {}


def _input_shape(layer: Layer) -> tuple[int, ...]:
    shape = plain(layer.config.get("batch_input_shape") or layer.config.get("batch_shape"))
    return tuple(int(n) for n in shape[1:]) if all(shape[1:]) else ()


def _references(node: Any, names: Container[str]) -> Iterator[str]:
    """Yield the layer of every ``[layer, node, tensor]`` in the description of a call."""
    if isinstance(node, list):
        if len(node) >= 3 and isinstance(node[0], str) and node[0] in names and isinstance(node[1], int):
            yield node[0]
            node = node[3:]
        for item in node:
            yield from _references(item, names)
    elif isinstance(node, dict):
        for item in node.values():
            yield from _references(item, names)


def plain(value: Any) -> Any:
    """Return a setting without what Keras wraps around it: tuples, functions, lists of one."""
    if isinstance(value, dict):
        value = value.get("items") or value.get("config") or value.get("class_name")
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def activation_of(layer: Layer) -> str | None:
    """Return the activation that a layer applies to its output; None for none, and for a recurrent layer's own."""
    if "recurrent_activation" in layer.config:
        return None
    kind = str(layer.config.get("function", layer.kind)).rsplit(".", 1)[-1].replace("_", "").lower()
    if kind in ACTIVATIONS:
        changes = (
            {"max_value", "negative_slope", "threshold", "alpha"} if kind == "relu" else {"alpha", "negative_slope"}
        )
        set_so = {k: v for k, v in layer.config.items() if k in changes and v and plain(v)}
        return kind + "".join(f" {k}={plain(v)}" for k, v in sorted(set_so.items()))
    found = plain(layer.config.get("activation"))
    return None if found in (None, "linear") else str(found)


def _operations(layer: Layer, weighted: bool) -> list[Operation]:
    if not weighted and "Pool" in layer.kind:
        size, strides = plain(layer.config.get("pool_size")), plain(layer.config.get("strides"))
        sizes = f" of {size}, strides {strides or size}, padding {layer.config.get('padding')}" if size else ""
        return [Operation(f"{layer.kind}{sizes}", layer.name)]
    found = activation_of(layer)
    return [Operation(f"activation {found}", layer.name)] if found else []


def operations_before(layers: Mapping[str, Layer], weighted: Container[str | None], name: str) -> list[Operation]:
    """Return activations and poolings between a layer and the layers with weights before it, in order.

    An activation after a maximum is the same as before it, and is put before it.
    """

    @cache
    def before(name: str) -> tuple[Operation, ...]:
        found: list[Operation] = []
        for source in layers[name].sources:
            path = [] if source in weighted else list(before(source))
            for operation in _operations(layers[source], source in weighted):
                at = len(path)
                while operation.what.startswith("activation") and at and path[at - 1].what.startswith("Max"):
                    at -= 1
                path.insert(at, operation)
            found += path
        return tuple(found)

    return list(before(name))


def joined(layers: Mapping[str, Layer], weighted: Container[str | None], name: str) -> list[str]:
    """Return the inputs that reach a layer without passing weights, in order; ``""`` stands for what has weights."""
    found: list[str] = []
    for source in layers[name].sources:
        if source in weighted:
            found.append("")
        elif layers[source].kind == "InputLayer":
            found.append(source)
        else:
            found += joined(layers, weighted, source)
    return found
