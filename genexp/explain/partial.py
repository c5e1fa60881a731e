"""Predictions for inputs that differ little from a reference: of each layer, only what changes is computed.

A base changes one position of the promoter, and a convolution passes that on to a few positions of its output. So a
network is computed once for the reference, and for changed inputs layer by layer within the positions that can differ.
Whatever mixes all positions, as attention does, is computed whole. The rules below go by the kind of a layer, not by
model; a layer of a kind without a rule is computed whole, too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

#: Bytes that the largest tensor of one computation may take.
BUDGET = 16 * 2**20

#: Kinds of operations whose output at a position depends on the inputs at that position alone, along the last axis.
POINTWISE = {
    *("OneHot", "Cast", "Add", "Subtract", "Multiply", "Divide", "TrueDivide", "Maximum", "Minimum"),
    *("Activation", "ReLU", "BatchNormalization", "LayerNormalization", "Dense"),
}


class Changed(NamedTuple):
    """The part of a tensor that differs from the reference: (n, width, ...), from position `start` of axis 1 on."""

    part: Any
    start: int

    @property
    def stop(self) -> int:
        """The position behind the last one."""
        return self.start + int(self.part.shape[1])


class Step(NamedTuple):
    """One operation of a network, called with symbolic tensors among its arguments."""

    operation: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    output: Any

    def inputs(self) -> list[Any]:
        """Return the tensors among the arguments."""
        return [x for x in keras.tree.flatten((self.args, self.kwargs)) if isinstance(x, keras.KerasTensor)]


def recorded(model: keras.Model) -> tuple[dict[str, Any], list[Step], Any]:
    """Return symbolic inputs by name, the steps of a functional model in their order, and the symbolic output."""
    steps = []

    def record(operation: Any, *args: Any, **kwargs: Any) -> Any:
        output = operation(*args, **kwargs)
        steps.append(Step(operation, args, kwargs, output))
        return output

    same = keras.models.clone_model(model, clone_function=lambda layer: layer, call_function=record)
    return same.input, steps, same.output


def split(model: keras.Model, names: Collection[str]) -> tuple[keras.Model | None, keras.Model]:
    """Cut a network in two: what does not depend on the inputs of these names, and the rest.

    Returns
    -------
    first, second
        `first` takes the other inputs, by name, and returns a list of tensors; None where there are none. `second`
        takes these tensors, and then the inputs of `names` in their order.
    """
    inputs, steps, output = recorded(model)
    after, border = {id(inputs[name]) for name in names}, dict[int, Any]()
    for step in steps:
        if any(id(x) in after for x in step.inputs()):
            after.add(id(step.output))
            border |= {id(x): x for x in step.inputs() if id(x) not in after}
    others = {name: x for name, x in inputs.items() if name not in names}
    first = keras.Model(others, list(border.values())) if border else None
    return first, keras.Model([*border.values(), *(inputs[name] for name in names)], output)


class Partial:
    """A network at a reference input, which computes the outputs for changes of it.

    Parameters
    ----------
    model
        A functional model whose inputs are a dict by name. It is called as for inference.
    """

    def __init__(self, model: keras.Model) -> None:
        self._inputs, self._steps, self._output = recorded(model)
        self._reference: dict[int, Any] = {}
        self._rows = 1  # at a time, until the first computation has shown how large the tensors are
        self._rest: keras.Model | None = None  # of the steps, those that have to be computed whole
        self._border: list[Any] = []  # its inputs

    def fix(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """Compute the network at the reference, arrays of one row by name of the input; return (labels,) float32."""
        self._reference = {id(self._inputs[name]): ops.convert_to_tensor(x) for name, x in inputs.items()}
        for step in self._steps:
            args, kwargs = _filled(step, lambda x: self._reference[id(x)])
            self._reference[id(step.output)] = step.operation(*args, **kwargs)
        found: np.ndarray = self._end(_View(self._reference, {}, 1))[0]
        return found

    def __call__(self, name: str, part: np.ndarray, start: int) -> np.ndarray:
        """Return the outputs, (n, labels) float32, for other values, (n, width, ...), of an input from `start` on."""
        found = [np.zeros((0, self._output.shape[-1]), np.float32)]
        while (done := sum(map(len, found))) < len(part):
            found.append(self._computed(name, ops.convert_to_tensor(part[done : done + self._rows]), start))
        return np.concatenate(found)

    def _computed(self, name: str, part: Any, start: int) -> np.ndarray:
        """Return the outputs for some rows."""
        changed, last, largest = {id(self._inputs[name]): Changed(part, start)}, 0, 1
        view = _View(self._reference, changed, len(part))
        for number, step in enumerate(self._steps):
            if any(id(x) in changed for x in step.inputs()):
                rule = RULES.get(type(step.operation).__name__, _whole)
                found = rule(step, view) or _whole(step, view)
                largest = max(largest, int(np.prod(found.part.shape)) * 4)
                if found.part.shape[1]:
                    changed[id(step.output)] = found
                if found.part.shape[1] < step.output.shape[1]:
                    last = number
        output = self._end(view)
        if self._rest is None:
            self._rows = max(1, BUDGET * len(part) // largest)
            self._cut(last + 1)
        return output

    def _end(self, view: _View) -> np.ndarray:
        """Return the outputs from what the steps have computed."""
        if self._rest is None:
            return np.asarray(view.between(self._output, 0, self._output.shape[1]), np.float32)
        values = [view.between(x, 0, x.shape[1]) for x in self._border]
        return np.asarray(self._rest.predict_on_batch(values), np.float32)

    def _cut(self, number: int) -> None:
        """Make a model, which is compiled, of the steps from a number on: all of them are computed whole."""
        rest = self._steps[number:]
        inside = {id(step.output) for step in rest}
        border = {id(x): x for step in rest for x in step.inputs() if id(x) not in inside}
        if rest:
            self._steps, self._border = self._steps[:number], list(border.values())
            self._rest = keras.Model(self._border, self._output)


class _View(NamedTuple):
    """The tensors of `n` changed inputs."""

    reference: Mapping[int, Any]
    changed: Mapping[int, Changed]
    n: int

    def between(self, tensor: Any, left: int, right: int) -> Any:
        """Return (n, right - left, ...) of a tensor: the reference, with what has changed in its place."""
        reference, found = self.reference[id(tensor)], self.changed.get(id(tensor))
        if found is not None and found.start <= left and right <= found.stop:
            return found.part[:, left - found.start : right - found.start]
        if found is None or found.stop <= left or right <= found.start:
            return self._repeated(reference[:, left:right])
        pieces = [
            self._repeated(reference[:, left : max(found.start, left)]),
            found.part[:, max(left - found.start, 0) : right - found.start],
            self._repeated(reference[:, min(found.stop, right) : right]),
        ]
        pieces = [piece for piece in pieces if piece.shape[1]]
        return ops.concatenate(pieces, axis=1) if len(pieces) > 1 else pieces[0]

    def _repeated(self, rows: Any) -> Any:
        return ops.broadcast_to(rows, (self.n, *rows.shape[1:]))


def _filled(step: Step, value: Callable[[Any], Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments of a step with values in place of symbolic tensors."""
    found: tuple[tuple[Any, ...], dict[str, Any]] = keras.tree.map_structure(
        lambda x: value(x) if isinstance(x, keras.KerasTensor) else x, (step.args, step.kwargs)
    )
    return found


def _whole(step: Step, view: _View) -> Changed:
    """Compute all positions."""
    args, kwargs = _filled(step, lambda x: view.between(x, 0, x.shape[1]))
    return Changed(step.operation(*args, **kwargs), 0)


def _pointwise(step: Step, view: _View) -> Changed | None:
    """Compute the positions at which an input has changed."""
    inputs, length, last = step.inputs(), step.output.shape[1], len(step.output.shape) - 1
    changed = [view.changed[id(x)] for x in inputs if id(x) in view.changed]
    fits = all(x.shape[1] == length or (x.shape[1] == 1 and id(x) not in view.changed) for x in inputs)
    # Constants may be others at each position, and so may what lies along another axis than the last.
    constants = [x for x in keras.tree.flatten((step.args, step.kwargs)) if np.ndim(x) > 1 and x not in inputs]
    axis = getattr(step.operation, "axis", -1)
    if last < 2 or not fits or constants or axis not in (-1, last, [-1], [last]):
        return None
    left, right = min(x.start for x in changed), max(x.stop for x in changed)
    args, kwargs = _filled(step, lambda x: view.between(x, *((left, right) if x.shape[1] == length else (0, 1))))
    return Changed(step.operation(*args, **kwargs), left)


def _joined(step: Step, view: _View) -> Changed | None:
    """Concatenate; along the positions, the first changed piece to the last."""
    if step.operation.axis != 1:
        return _pointwise(step, view)
    pieces = step.inputs()
    ends = np.cumsum([0, *(x.shape[1] for x in pieces)])
    moved = [
        (start + view.changed[id(x)].start, start + view.changed[id(x)].stop)
        for x, start in zip(pieces, ends[:-1].tolist(), strict=True)
        if id(x) in view.changed
    ]
    left, right = min(start for start, _ in moved), max(stop for _, stop in moved)
    parts = [
        view.between(x, max(left - start, 0), min(right - start, x.shape[1]))
        for x, start in zip(pieces, ends[:-1].tolist(), strict=True)
        if start < right and left < start + x.shape[1]
    ]
    return Changed(ops.concatenate(parts, axis=1), left)


def _sliced(step: Step, view: _View) -> Changed | None:
    """Take a slice along the positions, and of other axes all."""
    tensor, key = step.args
    if not isinstance(key, tuple) or len(key) < 2 or any(x not in (slice(None), ...) for x in (key[0], *key[2:])):
        return None
    start, stop, stride = key[1].indices(tensor.shape[1]) if isinstance(key[1], slice) else (0, 0, 0)
    if stride != 1:
        return None
    changed = view.changed[id(tensor)]
    left, right = max(changed.start, start), min(changed.stop, stop)
    return Changed(view.between(tensor, left, max(left, right)), left - start)


def _einsum(step: Step, view: _View) -> Changed | None:
    """Multiply each position by a matrix, and add a bias that may be another at each position."""
    layer, (tensor,) = step.operation, step.inputs()
    changed = view.changed[id(tensor)]
    if not re.fullmatch(r"(\w)(\w)(\w),\3(\w)->\1\2\4", layer.equation):
        return None
    x = ops.cast(view.between(tensor, changed.start, changed.stop), layer.compute_dtype)
    found = ops.einsum(layer.equation, x, ops.cast(layer.kernel, layer.compute_dtype))
    if layer.bias is not None:
        by_position = len(layer.bias.shape) == 2 and layer.bias.shape[0] > 1
        bias = layer.bias[changed.start : changed.stop] if by_position else layer.bias
        found += ops.cast(bias, layer.compute_dtype)
    return Changed(found if layer.activation is None else layer.activation(found), changed.start)


def _windowed(step: Step, view: _View) -> Changed | None:
    """Compute a convolution or pooling where its windows reach what has changed."""
    (tensor,), layer = step.inputs(), step.operation
    length, outputs = tensor.shape[1], step.output.shape[1]
    kernel, stride = _window(layer)
    total = max((outputs - 1) * stride + kernel - length, 0)
    before = {"valid": 0, "same": total // 2, "causal": kernel - 1}[layer.padding]
    by_hand = type(layer).__name__ == "Conv1D"
    if layer.data_format != "channels_last" or (stride > 1 and layer.padding != "valid" and not by_hand):
        return None
    changed = view.changed[id(tensor)]
    first = max((changed.start + before - kernel) // stride + 1, 0)
    last = min((changed.stop - 1 + before) // stride, outputs - 1)
    if last < first:  # the change lies in a rest that pooling leaves over
        return Changed(view.between(step.output, 0, 0), first)
    start, stop = first * stride - before, last * stride - before + kernel
    x = view.between(tensor, max(start, 0), min(stop, length))
    if by_hand:
        return Changed(_convolved(layer, ops.pad(x, ((0, 0), (max(-start, 0), max(stop - length, 0)), (0, 0)))), first)
    # The layer pads the part: outputs at its ends are cut off, unless they are those of the whole.
    skipped = first - max(start, 0) if layer.padding != "valid" else 0
    return Changed(layer(x)[:, skipped : skipped + last - first + 1], first)


def _window(layer: Any) -> tuple[int, int]:
    """Return the positions from the first to the last that a convolution or pooling reads at once, and its stride."""
    if hasattr(layer, "pool_size"):
        return int(np.ravel(layer.pool_size)[0]), int(np.ravel(layer.strides)[0])
    return (layer.kernel_size[0] - 1) * layer.dilation_rate[0] + 1, layer.strides[0]


def _convolved(layer: Any, x: Any) -> Any:
    """Return what a Conv1D makes of positions that are padded already: half the work where a part is short."""
    kernel, dtype = ops.cast(layer.kernel, layer.compute_dtype), layer.compute_dtype
    settings = {"strides": layer.strides[0], "padding": "valid", "dilation_rate": layer.dilation_rate[0]}
    found = ops.conv(ops.cast(x, dtype), kernel, **settings, data_format="channels_last")
    found = found if layer.bias is None else found + ops.cast(layer.bias, dtype)
    return layer.activation(found)


#: How an operation is computed where its input has changed, by its kind; every other is computed whole.
RULES: dict[str, Callable[[Step, _View], Changed | None]] = {
    **dict.fromkeys(POINTWISE, _pointwise),
    **dict.fromkeys(("Conv1D", "DepthwiseConv1D", "MaxPooling1D", "AveragePooling1D"), _windowed),
    "Concatenate": _joined,
    "GetItem": _sliced,
    "EinsumDense": _einsum,
    "Dropout": lambda step, view: view.changed[id(step.inputs()[0])],  # there is none in inference
}
