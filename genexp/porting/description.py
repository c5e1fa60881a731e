"""The description of a Keras model (its config), read as data: connections, and settings without weights."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

#: Layers, or functions, that apply an activation and nothing else, and their options.
ACTIVATIONS = (
    *("relu", "leakyrelu", "prelu", "elu", "selu", "gelu", "sigmoid", "tanh", "softmax", "softplus", "softsign"),
    *("exp", "exponential", "thresholdedrelu", "hardsigmoid", "silu", "swish"),
)
ACTIVATION_OPTIONS = ("alpha", "max_value", "negative_slope", "threshold")

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

    kind: str
    config: Mapping[str, Any]
    sources: tuple[str, ...] = ()


class Operation(NamedTuple):
    """What happens between two layers with weights: an activation or a pooling, and in which layer."""

    what: str
    layer: str


@dataclass(frozen=True)
class Description:
    """All layers of a model by name, and shapes of its inputs without the batch axis; empty where nothing says them.

    `weighted` in the methods: the names of the layers with weights.
    """

    layers: Mapping[str, Layer] = field(default_factory=dict)
    inputs: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def before(self, name: str, weighted: Container[str | None]) -> list[Operation]:
        """Return activations and poolings between a layer and the layers with weights before it, in order.

        An activation after a maximum is the same as before it, and is put before it.
        """
        found: list[Operation] = []
        for source in self.layers[name].sources:
            path = [] if source in weighted else self.before(source, weighted)
            for operation in self._own(source, weighted):
                at = len(path)
                while operation.what.startswith("activation") and at and path[at - 1].what.startswith("Max"):
                    at -= 1
                path.insert(at, operation)
            found += path
        return found

    def output(self, weighted: Container[str | None]) -> list[Operation]:
        """Return activations and poolings between the last weights and the output."""
        last = list(self.layers)[-1]
        return self.before(last, weighted) + self._own(last, weighted)

    def _own(self, name: str, weighted: Container[str | None]) -> list[Operation]:
        what = _operation(self.layers[name], name in weighted)
        return [Operation(what, name)] if what else []

    def joined(self, name: str, weighted: Container[str | None]) -> list[str]:
        """Return the inputs that reach a layer without passing weights, in order; ``""`` for all that have passed."""
        found: list[str] = []
        for source in self.layers[name].sources:
            if source in weighted:
                found.append("")
            else:
                found += [source] if source in self.inputs else self.joined(source, weighted)
        return list(dict.fromkeys(found))


def describe(model: Any) -> Description:
    """Return what ``{"config": ...}`` of Keras 2 or 3 says; nothing where there is none, or a damaged one."""
    try:
        config = model["config"]
        layers = config if isinstance(config, list) else config.get("layers", [])
        linked = any(layer.get("inbound_nodes") for layer in layers)
        found: dict[str, Layer] = {}
        for node in layers:
            own, kind = node["config"], str(node["class_name"]).rsplit(">", 1)[-1]
            sources = tuple(_references(node.get("inbound_nodes"), found)) if linked else tuple(list(found)[-1:])
            if linked and not sources and kind != "InputLayer":
                raise ValueError("a layer without input")
            found[str(node.get("name") or own.get("name"))] = Layer(kind, dict(own), sources)
        inputs = {name: _input_shape(layer) for name, layer in found.items() if layer.kind == "InputLayer"}
    except (AttributeError, TypeError, ValueError, KeyError, RecursionError):
        return Description()
    return Description(found, inputs if all(inputs.values()) else {})


def _input_shape(layer: Layer) -> tuple[int, ...]:
    shape = plain(layer.config.get("batch_input_shape") or layer.config.get("batch_shape"))
    return tuple(int(n) for n in shape[1:]) if all(shape[1:]) else ()


def _references(node: Any, names: Container[str]) -> Iterator[str]:
    """Yield the layer of every ``[layer, node, tensor]`` in the description of a call."""
    if isinstance(node, list):
        if len(node) >= 3 and isinstance(node[0], str) and node[0] in names and isinstance(node[1], int):
            yield node[0]
            node = node[3:]
    elif isinstance(node, dict):
        node = list(node.values())
    else:
        return
    for item in node:
        yield from _references(item, names)


def plain(value: Any) -> Any:
    """Return a setting without what Keras wraps around it: tuples, functions, lists of one."""
    if isinstance(value, dict):
        value = value.get("items") or value.get("config") or value.get("class_name")
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _operation(layer: Layer, weighted: bool) -> str | None:
    """Return the pooling or activation of a layer's output in words; a recurrent layer's own is no output's."""
    config = layer.config
    if not weighted and "Pool" in layer.kind:
        size, strides = plain(config.get("pool_size")), plain(config.get("strides"))
        return layer.kind + (f" of {size}, strides {strides or size}, padding {config.get('padding')}" if size else "")
    if "recurrent_activation" in config:
        return None
    kind = str(config.get("function", layer.kind)).rsplit(".", 1)[-1].replace("_", "").lower()
    if kind in ACTIVATIONS:
        options = {key: plain(config.get(key)) for key in ACTIVATION_OPTIONS}
        return f"activation {kind}" + "".join(f" {key}={value}" for key, value in options.items() if value)
    found = plain(config.get("activation"))
    return None if found in (None, "linear") else f"activation {found}"
