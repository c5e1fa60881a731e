"""How the layers of a Keras model feed each other, from its config: read as data, models within models included."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from posixpath import commonpath
from typing import Any

from genexp.porting.weights import Checkpoint

Config = Mapping[str, Any]


def layers_in(config: Any) -> list[Config]:
    """Return the layers in the config of a model (Keras 2 or 3); none for anything else."""
    layers = config if isinstance(config, list) else config.get("layers") if isinstance(config, dict) else None
    described = [x for x in layers if isinstance(x, dict)] if isinstance(layers, list) else []
    return [x for x in described if "class_name" in x and isinstance(x.get("config"), dict)]


def name_of(layer: Config) -> str:
    """Return the name of a layer in a model's config."""
    return str(layer.get("name") or layer.get("config", {}).get("name"))


def is_sequential(config: Config) -> bool:
    """Return whether each layer of a model feeds the next."""
    return not any(layer.get("inbound_nodes") for layer in layers_in(config))


def links_of(config: Config, within: str = "") -> dict[str, tuple[str, ...]]:
    """Return which layers feed each layer; those of a model within the model are called ``model/layer``.

    The name of such a model itself stands for what it returns.
    """
    layers = layers_in(config)
    names = {name_of(layer) for layer in layers}
    links: dict[str, tuple[str, ...]] = {}
    before: tuple[str, ...] = ()
    for layer in layers:
        name = within + name_of(layer)
        sources = before
        if not is_sequential(config):
            sources = tuple(within + source for source in _references(layer.get("inbound_nodes"), names))
        inner = links_of(layer.get("config", {}), f"{name}/")
        if inner:
            entries = [n for n, fed in inner.items() if not fed]
            named = [f"{name}/{n}" for n in input_names(layer["config"].get("input_layers"))]
            entries = named if sorted(named) == sorted(entries) else entries
            single = len(entries) == len(sources)
            inner |= {entry: sources[n : n + 1] if single else sources for n, entry in enumerate(entries)}
            fed = {source for found in inner.values() for source in found}
            sources = tuple(n for n in inner if n not in fed)
        links |= {**inner, name: sources}
        before = (name,)
    return links


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


def inputs_of(config: Config) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a model's inputs, in the order of the model, from its config."""
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in layers_in(config):
        own = layer.get("config", {})
        shape = own.get("batch_input_shape") or own.get("batch_shape")
        if isinstance(shape, dict):  # a tuple, as TensorFlow 2.4 and later write it
            shape = shape.get("items")
        if layer.get("class_name") == "InputLayer" and isinstance(shape, list) and all(shape[1:]):
            shapes[name_of(layer)] = tuple(int(n) for n in shape[1:])
    named = [name for name in input_names(config.get("input_layers")) if name in shapes]
    return {name: shapes[name] for name in (named if len(named) == len(shapes) else shapes)}


def input_names(node: Any) -> Iterator[str]:
    """Yield the names in ``input_layers`` of a config, whatever they are packed in."""
    if isinstance(node, list) and node and isinstance(node[0], str):
        yield node[0]
    elif isinstance(node, list | dict):
        for item in node.values() if isinstance(node, dict) else node:
            yield from input_names(item)


def heads_of(config: Any) -> int | None:
    """Return the number of heads that the config of an attention layer says, wherever it stands."""
    if isinstance(config, dict):
        for key in ("num_heads", "n_heads", "heads"):
            if isinstance(config.get(key), int) and config[key] > 0:
                return int(config[key])
    children = config.values() if isinstance(config, dict) else config if isinstance(config, list) else ()
    return next((found for child in children if (found := heads_of(child)) is not None), None)


def found_in(config: Any) -> dict[str, Any]:
    """Return what a `Checkpoint` takes from the config of its model; of a damaged one nothing, and a note."""
    try:
        links = links_of(config)
        TopologicalSorter(links).prepare()
        return {"links": links, "inputs": inputs_of(config), "heads": heads_of(config)}
    except (AttributeError, TypeError, ValueError, KeyError, CycleError, RecursionError):
        return {"notes": ("the description of the model that comes with the weights is damaged, and not used",)}


def within(links: Iterable[str], top: str, words: Iterable[str]) -> str:
    """Return the layer of a model within the model that a variable belongs to, by the words of its path."""
    names = set(words)
    inner = [link for link in links if link.startswith(f"{top}/") and link.rsplit("/", 1)[1] in names]
    return max(inner, key=lambda link: link.count("/"), default=top)


def by_class(config: Config, groups: Iterable[str]) -> dict[str, Config]:
    """Return which layer each group of a weights file of Keras 2.12 and later is.

    These files call layers by their class and a number, ``conv1d_3``, in the order of the config, whatever the layers'
    own names. Keras 2.12 counted some layers twice, so the numbers are ranks only.
    """
    layers, found = defaultdict(list), defaultdict(list)
    for layer in layers_in(config):
        layers[_snake(str(layer["class_name"]).rsplit(">", 1)[-1])].append(layer)
    for group in groups:
        kind, number = re.fullmatch(r"(.*?)(?:_(\d+))?", group).groups()  # type: ignore[union-attr]
        found[kind].append((int(number or 0), group))
    named: dict[str, Config] = {}
    for kind, numbered in found.items():
        same = layers[kind]
        for rank, (number, group) in enumerate(sorted(numbered)):
            place = rank if len(same) == len(numbered) else number
            if place < len(same):
                named[group] = same[place]
    return named


def _snake(name: str) -> str:
    """Return ``batch_normalization`` for ``BatchNormalization``, by the rule of Keras."""
    name = re.sub(r"\W+", "", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)).lower()


def ancestors(checkpoint: Checkpoint) -> tuple[dict[str, frozenset[str]], dict[str, int]]:
    """Return which layers with weights stand before each layer, and when the way back from the output meets it."""
    links = checkpoint.links
    weighted = {layer.top for layer in checkpoint.layers}
    found: dict[str, frozenset[str]] = {}
    reached: dict[str, int] = {}
    fed = {name for sources in links.values() for name in sources}
    stack = [(name, False) for name in reversed([n for n in links if n not in fed])]
    while stack:
        name, done = stack.pop()
        if done:
            sources = [s for s in links[name] if s in found]
            found[name] = frozenset().union(*(found[s] | ({s} & weighted) for s in sources))
            reached.setdefault(name, len(reached))
        elif name not in found:
            found[name] = frozenset()
            stack.append((name, True))
            stack += [(s, False) for s in reversed(links[name]) if s in links and s not in found]
    return found, reached


def is_connected(checkpoint: Checkpoint) -> bool:
    """Return whether a checkpoint says how all its layers are connected."""
    return bool(checkpoint.links) and all(layer.top in checkpoint.links for layer in checkpoint.layers)


def places(checkpoint: Checkpoint) -> list[tuple[int, ...]]:
    """Return a sort key for each layer: how many stand before it, when the inputs reach it, its number in the file.

    Where the checkpoint does not say how its layers are connected, it is the number alone: Keras sorts the layers of a
    model by depth, in all releases.
    """
    if not is_connected(checkpoint):
        return [(number,) for number in range(len(checkpoint.layers))]
    before, reached = ancestors(checkpoint)
    held = Counter(layer.top for layer in checkpoint.layers)
    inside: Counter[str | None] = Counter()
    keys: list[tuple[int, ...]] = []
    for number, layer in enumerate(checkpoint.layers):
        top = str(layer.top)
        keys.append((sum(held[name] for name in before[top]) + inside[top], reached[top], number))
        inside[top] += 1
    return keys


def side_by_side(checkpoint: Checkpoint) -> list[tuple[int, ...]]:
    """Return a sort key for the layers of parallel branches that are models of their own, not known how connected.

    The first layers of all branches come before all second ones, and what is in no branch last.
    """
    parents = [layer.name.rpartition("/")[0] for layer in checkpoint.layers]
    trunk = commonpath(parents)
    inside: Counter[str] = Counter()
    keys: list[tuple[int, ...]] = []
    for number, branch in enumerate(parents):
        keys.append((1, number) if branch == trunk else (0, inside[branch], number))
        inside[branch] += 1
    return keys
