"""Weights in TensorFlow's own format: a SavedModel folder, or the prefix of a checkpoint; no graph is ever loaded."""

from __future__ import annotations

import json
import re
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from genexp.errors import UserError
from genexp.porting.checkpoint import ROLES, Checkpoint, Variable, group_layers, natural
from genexp.porting.description import describe

#: The last eight bytes of an index file, whatever its name has become.
INDEX_MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")

GRAPH_KEY = "_CHECKPOINTABLE_OBJECT_GRAPH"

#: Edges of the object graph that lead to no weights, or a second time to the same ones.
ASIDE = ("optimizer", "keras_api", "signatures", "serve", "save_counter", "regularization_losses", "_all_variables")
LISTS = ("variables", "trainable_variables", "non_trainable_variables")


@dataclass(frozen=True)
class Files:
    """The files of one checkpoint: its index, its data in order, and those that may describe the model."""

    index: Path
    data: tuple[Path, ...]
    descriptions: tuple[Path, ...] = ()


def is_index(path: Path) -> bool:
    """Return whether a file is the index of a TensorFlow checkpoint, by its content."""
    if not path.is_file() or path.stat().st_size < 48:
        return False
    with path.open("rb") as file:
        file.seek(-8, 2)
        return file.read() == INDEX_MAGIC


def find_files(path: Path) -> Files | None:
    """Find index and data of the checkpoint at a path: its folder, prefix, or any of its files.

    Names may have changed on the way: an upload that appends ``.txt``, a second download that appends ``(1)``.
    Returns None where there is no index.
    """
    folder = path if path.is_dir() else path.parent
    whole = path.is_dir() or ".pb" in path.name or path.name == "checkpoint"
    prefix = "" if whole else re.split(r"\.index|\.data", path.name)[0]
    for place in (folder / "variables", folder):
        if not place.is_dir():
            continue
        found = sorted((p for p in place.iterdir() if p.name.startswith(prefix) and is_index(p)), key=_by_name)
        names = {p.name for p in found}
        found = [p for p in found if (own := _without_copy(p.name)) == p.name or own not in names] or found
        for exact in (path.name, f"{prefix}.index", f"{_latest(place)}.index"):
            found = [p for p in (place / exact,) if is_index(p)] or found
            if len(found) == 1:
                break
        if len(found) > 1:
            raise UserError(
                "there are several checkpoints in this folder",
                where=f"checkpoint={folder}",
                received=", ".join(p.name for p in found),
                hint=f"name one of them: checkpoint={found[0]}",
            )
        if found:
            beside = [p for p in place.iterdir() if p.is_file() and p != found[0]]
            described = [p for p in (folder / "keras_metadata.pb", folder / "saved_model.pb") if p.is_file()]
            described += [p for p in folder.iterdir() if p.is_file() and ".pb" in p.name and p not in described]
            return Files(found[0], _data_of(found[0], beside), tuple(described))
    return None


def _without_copy(name: str) -> str:
    """Return a file name without the number that a browser gives to a second download."""
    return re.sub(r" ?\(\d+\)", "", name)


def _latest(folder: Path) -> str | None:
    """Return the prefix that TensorFlow's own list of the checkpoints in a folder calls the latest."""
    listed = folder / "checkpoint"
    if not listed.is_file():
        return None
    said = re.search(r'^model_checkpoint_path: "(.*)"', listed.read_text("utf-8", "replace"), re.MULTILINE)
    return said[1].replace("\\", "/").rsplit("/", 1)[-1] if said else None


def _data_of(index: Path, beside: list[Path]) -> tuple[Path, ...]:
    """Return the data files that go with an index, in order, whatever they are called; copies are left out."""
    stem = index.name.split(".index")[0]
    others = [p for p in beside if p.name != "checkpoint" and ".pb" not in p.name and not is_index(p)]
    for own in (stem, _without_copy(stem)):
        for pattern in (
            rf"{re.escape(own)}\.data-\d{{5}}-of-(\d{{5}})",
            rf"{re.escape(own)}.*data-\d{{5}}-of-(\d{{5}}).*",
        ):
            named = [p for p in others if re.fullmatch(pattern, p.name)]
            if named:
                return tuple(sorted(named, key=_by_name))
    named = [p for p in others if ".data" in p.name or "data-" in p.name]
    largest = max(others, key=lambda p: p.stat().st_size, default=None)
    if largest is None:
        raise UserError(
            "the checkpoint has an index but no data",
            where=index.parent,
            expected=f"{stem}.data-00000-of-00001 beside {index.name}",
            hint="download the data file too; its name does not matter",
        )
    return tuple(sorted(named, key=_by_name)) or (largest,)


def _by_name(path: Path) -> Any:
    return natural(path.name)


def read_tensorflow(files: Files, path: Path) -> Checkpoint:
    """Read all variables of a checkpoint, in the order of its model.

    TensorFlow checks the checksum of each; the graph of a SavedModel, which may hold any operation, is not opened.
    """
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        prefix = Path(folder) / "variables"
        prefix.with_name("variables.index").symlink_to(files.index.resolve())
        for n, data in enumerate(files.data):
            prefix.with_name(f"variables.data-{n:05}-of-{len(files.data):05}").symlink_to(data.resolve())
        try:
            reader = tf.train.load_checkpoint(str(prefix))
            names = list(reader.get_variable_to_shape_map())
            values = {name: reader.get_tensor(name) for name in names if ".OPTIMIZER_SLOT/" not in name}
        except (tf.errors.OpError, RuntimeError, ValueError, IndexError) as error:
            raise UserError(
                "the checkpoint cannot be read",
                where=path,
                expected=f"data that belong to {files.index.name}",
                received=f"{', '.join(p.name for p in files.data)}: {str(error).replace(folder, '')[:200]}",
                hint="download both files again",
            ) from None
    configs = read_configs(files.descriptions)
    described, inputs = describe(configs.get("root"))
    variables = _walk_graph(values, list(described), configs) if GRAPH_KEY in values else _by_variable_name(values)
    layers, skipped = group_layers(variables)
    kind = "SavedModel" if files.descriptions else "TensorFlow checkpoint"
    skipped += len(names) - len(values)
    return Checkpoint(str(path), kind, layers, skipped, described, inputs, ordered=GRAPH_KEY in values)


def _by_variable_name(values: Mapping[str, np.ndarray]) -> Iterator[Variable]:
    """Yield the variables of a checkpoint that knows only names (TensorFlow 1): ``conv1d_1/kernel``."""
    for name in sorted(values, key=natural):
        layer, _, own = name.rpartition("/")
        yield Variable(layer, own, np.asarray(values[name]))


def _walk_graph(values: Mapping[str, Any], names: list[str], configs: Mapping[str, Any]) -> Iterator[Variable]:
    """Yield the variables of an object graph, depth first, so in the order in which the model's layers were made."""
    from tensorflow.core.protobuf import trackable_object_graph_pb2

    graph = trackable_object_graph_pb2.TrackableObjectGraph()
    graph.ParseFromString(values[GRAPH_KEY])
    for lists in (False, True):  # an exported model has nothing but the list of its variables
        found = list(_reached(graph.nodes, values, names, configs, lists))
        if any(v.name in ROLES for v in found):
            break
    yield from found


def _reached(
    nodes: Any, values: Mapping[str, Any], names: list[str], configs: Mapping[str, Any], lists: bool
) -> Iterator[Variable]:
    seen: set[int] = set()
    stack: list[tuple[int, str, str, str | None]] = [(0, "", "root", None)]
    while stack:
        number, path, described, top = stack.pop()
        if number in seen:
            continue
        seen.add(number)
        for attribute in nodes[number].attributes:
            if attribute.name == "VARIABLE_VALUE" and attribute.checkpoint_key in values:
                layer, _, own = path.rpartition("/")
                if own.lstrip("_") not in ROLES:  # a list: the variable's own name tells
                    layer, _, own = attribute.full_name.removesuffix(":0").rpartition("/")
                settings = configs.get(described.rpartition(".")[0], {})
                yield Variable(layer, own, np.asarray(values[attribute.checkpoint_key]), top, settings)
        edges: dict[int, list[str]] = defaultdict(list)
        for child in nodes[number].children:
            edges[child.node_id].append(child.local_name)
        below: list[tuple[tuple[int, int], tuple[int, str, str, str | None]]] = []
        for node, called in edges.items():
            name = min(called, key=_edge_order)
            if any(n in ASIDE or (n in LISTS and not lists) for n in called):
                continue
            key = next((n for n in called if n.startswith("layer_with_weights")), name)
            numbered = re.fullmatch(r"layer-(\d+)", name) if top is None else None
            inside = names[int(numbered[1])] if numbered and int(numbered[1]) < len(names) else top
            below.append((_edge_order(name), (node, f"{path}/{name}".lstrip("/"), f"{described}.{key}", inside)))
        stack += [child for _, child in sorted(below, key=lambda item: item[0])[::-1]]  # the first comes off first


def _edge_order(name: str) -> tuple[int, int]:
    """Sort ``layer-0 ... layer-10`` and the items of lists by number, and before everything else."""
    numbered = re.fullmatch(r"(?:layer-)?(\d+)", name)
    return (0, int(numbered[1])) if numbered else (1, 0)


def read_configs(descriptions: tuple[Path, ...]) -> dict[str, Any]:
    """Return the configs that lie as JSON text in a SavedModel, by the path of their layer in the object graph.

    That of the model is ``root``: the first of all; a model that is a class of its own has none, whatever its layers
    have.
    """
    found: dict[str, Any] = {}
    for path in descriptions:
        content = path.read_bytes()
        for start in re.finditer(
            rb'(?:\x1a[^r]{1,2}(root[^"]*)"[^*]{1,40}\*[^{]{1,4})?(?=\{"(?:name|class_name|module)")', content
        ):
            text = content[start.end() :]
            end = text.find(b"\x00")
            head = text[: min(len(text), 2_000_000)] if end < 0 else text[:end]
            try:
                node, _ = json.JSONDecoder().raw_decode(head.decode("utf-8", "replace"))
            except (ValueError, RecursionError):
                continue
            if isinstance(node, dict) and isinstance(node.get("config"), dict):
                where = (start[1] or b"root").decode("utf-8", "replace")
                found.setdefault(where, node["config"])
        if found:
            break
    return found
