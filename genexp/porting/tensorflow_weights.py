"""Weights in TensorFlow's own format: a SavedModel folder, or the prefix of a checkpoint; no graph is ever loaded."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from genexp.errors import UserError
from genexp.porting.graph import Config, found_in, is_sequential, layers_in, name_of
from genexp.porting.weights import ROLES, Checkpoint, Variable, group_layers, natural

#: The last eight bytes of an index file, whatever its name has become.
INDEX_MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")

GRAPH_KEY = "_CHECKPOINTABLE_OBJECT_GRAPH"
VALUE = ".ATTRIBUTES/VARIABLE_VALUE"

#: Edges of the object graph that lead to no weights, or a second time to the same ones.
ASIDE = ("optimizer", "keras_api", "signatures", "serve", "save_counter", "regularization_losses", "_all_variables")
LISTS = ("variables", "trainable_variables", "non_trainable_variables")


@dataclass(frozen=True)
class Files:
    """The files of one checkpoint: its index, its data in order, and those beside them that may describe the model."""

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


def find_files(folder: Path, prefix: str = "") -> Files | None:
    """Find index and data of a checkpoint in a folder, or in ``variables/`` below it, by their content.

    Names may have changed on the way (an upload that appends ``.txt`` or drops what follows the last point).
    Returns None where there is no index.
    """
    for place in (folder / "variables", folder):
        if not place.is_dir():
            continue
        found = sorted((p for p in place.iterdir() if p.name.startswith(prefix) and is_index(p)), key=_by_name)
        if len(found) > 1:
            latest = _latest(place)
            found = [p for p in found if p.name == f"{latest}.index"] or found
        if len(found) > 1:
            raise UserError(
                "there are several checkpoints in this folder",
                where=f"checkpoint={folder}",
                expected="one",
                received=", ".join(p.name for p in found),
                do="name one of them",
            )
        if found:
            beside = [p for p in place.iterdir() if p.is_file() and p != found[0]]
            described = [p for p in (folder / "keras_metadata.pb", folder / "saved_model.pb") if p.is_file()]
            described += [p for p in folder.iterdir() if p.is_file() and ".pb" in p.name and p not in described]
            return Files(found[0], _data_of(found[0], beside), tuple(described))
    return None


def _latest(folder: Path) -> str | None:
    """Return the prefix that TensorFlow's own list of the checkpoints in a folder calls the latest."""
    listed = folder / "checkpoint"
    if not listed.is_file():
        return None
    said = re.search(r'^model_checkpoint_path: "(.*)"', listed.read_text("utf-8", "replace"), re.MULTILINE)
    return said[1].replace("\\", "/").rsplit("/", 1)[-1] if said else None


def _data_of(index: Path, beside: list[Path]) -> tuple[Path, ...]:
    """Return the data files that go with an index, in order, whatever they are called."""
    stem = re.split(r"\.index", index.name)[0]
    named = [p for p in beside if re.search(r"data-\d{5}-of-\d{5}", p.name) and p.name.startswith(stem)]
    named = named or [p for p in beside if ".data" in p.name or "data-" in p.name]
    if named:
        return tuple(sorted(named, key=_by_name))
    others = [p for p in beside if p.name != "checkpoint" and ".pb" not in p.name and not is_index(p)]
    largest = max(others, key=lambda p: p.stat().st_size, default=None)
    if largest is None:
        raise UserError(
            "the checkpoint has an index but no data",
            where=index.parent,
            expected=f"{stem}.data-00000-of-00001 beside {index.name}",
            received=", ".join(sorted(p.name for p in beside)) or "nothing else",
            do="download the data file too; its name does not matter",
        )
    return (largest,)


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
            values = {name: reader.get_tensor(name) for name in names if not _is_slot(name)}
        except (tf.errors.OpError, RuntimeError, ValueError, IndexError) as error:
            raise UserError(
                "the checkpoint cannot be read",
                where=path,
                expected="a complete TensorFlow checkpoint: an index and the data that belong to it",
                received=f"{type(error).__name__}: {str(error).replace(folder, '')[:200]}",
                do="download it again, both files",
            ) from None
    config = model_config(files.descriptions)
    known = found_in(config)
    if files.descriptions and not config:
        described = " and ".join(path.name for path in files.descriptions[:2])
        known["notes"] = (f"no description of a Keras model in {described}: damaged, or not written by Keras",)
    variables = _by_variable_name(values)
    if GRAPH_KEY in values:
        variables = _walk_graph(values, config if "links" in known else {})
    layers, skipped = group_layers(variables)
    skipped += sum(map(_is_slot, names))
    kind = "SavedModel" if files.descriptions else "TensorFlow checkpoint"
    return Checkpoint(str(path), kind, layers, skipped, **known, ordered=GRAPH_KEY in values)


def _is_slot(name: str) -> bool:
    return ".OPTIMIZER_SLOT/" in name


def _by_variable_name(values: Mapping[str, np.ndarray]) -> Iterator[Variable]:
    """Yield the variables of a checkpoint that knows only names (TensorFlow 1): ``conv1d_1/kernel``."""
    for name in sorted(values, key=natural):
        layer, _, own = name.rpartition("/")
        yield Variable(layer, own, np.asarray(values[name]), layer.split("/")[0])


def _walk_graph(values: Mapping[str, Any], config: Config) -> Iterator[Variable]:
    """Yield the variables of an object graph, depth first, so in the order in which the model's layers were made."""
    from tensorflow.core.protobuf import trackable_object_graph_pb2

    graph = trackable_object_graph_pb2.TrackableObjectGraph()
    graph.ParseFromString(values[GRAPH_KEY])
    for lists in (False, True):  # an exported model has nothing but the list of its variables
        found = list(_reached(graph.nodes, values, config, lists))
        if any(v.name in ROLES for v in found):
            break
    yield from found


def _reached(nodes: Any, values: Mapping[str, Any], config: Config, lists: bool) -> Iterator[Variable]:
    seen: set[int] = set()
    stack: list[tuple[int, str, str | None, list[Config]]] = [(0, "", None, _tracked(config))]
    while stack:
        number, path, top, layers = stack.pop()
        if number in seen:
            continue
        seen.add(number)
        node = nodes[number]
        for attribute in node.attributes:
            if attribute.name == "VARIABLE_VALUE" and attribute.checkpoint_key in values:
                layer, _, own = path.rpartition("/")
                if own.lstrip("_") not in ROLES:  # a list: the variable's own name tells
                    layer, _, own = attribute.full_name.removesuffix(":0").rpartition("/")
                yield Variable(layer, own, np.asarray(values[attribute.checkpoint_key]), top)
        for child in sorted(node.children, key=_edge_order)[::-1]:  # the first comes off the stack first
            name = child.local_name
            if name in ASIDE or (name in LISTS and not lists):
                continue
            numbered = re.fullmatch(r"layer-(\d+)", name)
            below = f"{path}/{name}".lstrip("/")
            if numbered and int(numbered[1]) < len(layers):
                described = layers[int(numbered[1])]
                known = name_of(described) if top is None else f"{top}/{name_of(described)}"
                stack.append((child.node_id, below, known, _tracked(described.get("config", {}))))
            else:
                stack.append((child.node_id, below, top, [] if top else layers))


def _tracked(config: Config) -> list[Config]:
    """Return the layers that a model numbers in its object graph; a sequential one leaves its input out."""
    layers = layers_in(config)
    return [x for x in layers if x["class_name"] != "InputLayer"] if is_sequential({"layers": layers}) else layers


def _edge_order(child: Any) -> tuple[int, int]:
    """Sort ``layer-0 ... layer-10`` and the items of lists by number, and before everything else."""
    numbered = re.fullmatch(r"(?:layer-)?(\d+)", child.local_name)
    return (0, int(numbered[1])) if numbered else (1, 0)


def model_config(descriptions: tuple[Path, ...]) -> dict[str, Any]:
    """Return the config of the Keras model that lies as JSON text in a SavedModel, or an empty dict.

    The model itself is described first; one that is a class of its own has no config, whatever its layers have.
    """
    decoder = json.JSONDecoder()
    for path in descriptions:
        content = path.read_bytes()
        for start in re.finditer(rb'\{"(?:name|class_name|module)"', content):
            text = content[start.start() :]
            end = text.find(b"\x00")
            head = text[: min(len(text), 2_000_000)] if end < 0 else text[:end]
            try:
                node, _ = decoder.raw_decode(head.decode("utf-8", "replace"))
            except (ValueError, RecursionError):
                continue
            if "config" in node:
                config = node["config"]
                return config if isinstance(config, dict) and isinstance(config.get("layers"), list) else {}
    return {}
