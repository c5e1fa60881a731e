"""Weights in TensorFlow's own format: a SavedModel folder, or the prefix of a checkpoint; no graph is ever loaded."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from genexp.errors import UserError
from genexp.files import damage_reported, in_short
from genexp.porting.checkpoint import Checkpoint, LayerWeights, gather, group_layers
from genexp.porting.description import describe

GRAPH_KEY = "_CHECKPOINTABLE_OBJECT_GRAPH"


def find_index(path: Path) -> Path | None:
    """Find the index of the checkpoint at a path: its folder, prefix, or any of its files; None if there is none."""
    whole = path.is_dir() or path.name in ("saved_model.pb", "keras_metadata.pb", "checkpoint")
    folder = path if path.is_dir() else path.parent
    prefix = re.split(r"\.index|\.data", path.name)[0]
    if not whole:
        index = folder / f"{prefix}.index"
        return index if index.is_file() else None
    for place in (folder / "variables", folder):
        found = sorted(place.glob("*.index"))
        for exact in (f"{_latest(place)}.index", "variables.index"):
            found = [p for p in found if p.name == exact] or found
        if len(found) > 1:
            received, hint = ", ".join(p.name for p in found), f"name one of them: checkpoint={found[0]}"
            raise UserError("there are several checkpoints in this folder", where=place, received=received, hint=hint)
        if found:
            return found[0]
    return None


def _latest(folder: Path) -> str | None:
    """Return the prefix that TensorFlow's own list of the checkpoints in a folder calls the latest."""
    listed = folder / "checkpoint"
    text = listed.read_text("utf-8", "replace") if listed.is_file() else ""
    said = re.search(r'^model_checkpoint_path: "(?:.*[\\/])?(.*)"', text, re.MULTILINE)
    return said[1] if said else None


def find_data(index: Path) -> list[Path]:
    """Return the data files that go with an index, in order; a browser's copy, ``(1)``, only if there is no other."""
    stem = re.sub(r" ?\(\d+\)$", "", index.stem)
    found = sorted(p for p in index.parent.iterdir() if p.name.startswith((f"{index.stem}.data-", f"{stem}.data-")))
    for own in (index.stem, stem):
        exact = [p for p in found if re.fullmatch(re.escape(own) + r"\.data-\d+-of-\d+", p.name)]
        if exact:
            return exact
    if not found:
        raise UserError(
            "the checkpoint has an index but no data",
            where=index.parent,
            expected=f"{stem}.data-00000-of-00001 beside {index.name}",
            hint="download the data file too",
        )
    return found[:1]


def read_tensorflow(index: Path, path: Path) -> Checkpoint:
    """Read all variables of a checkpoint, in the order of its model.

    TensorFlow checks the checksum of each; the graph of a SavedModel, which may hold any operation, is not opened.
    """
    import tensorflow as tf
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    data = find_data(index)

    def unreadable(error: Exception) -> UserError:
        received = f"{', '.join(part.name for part in data)}: {in_short(error)}"
        what, expected = "the checkpoint cannot be read", f"data that belong to {index.name}"
        return UserError(what, where=path, expected=expected, received=received, hint="download both files again")

    with damage_reported(unreadable, tf.errors.OpError, DecodeError):
        names, values = _read_variables(index, data)
        if GRAPH_KEY not in values:
            received = "variables that are known by name alone, as TensorFlow 1 wrote them"
            raise UserError("the checkpoint does not say the order of its layers", where=path, received=received)
        beside = index.parent.parent if index.parent.name == "variables" else index.parent
        kind = "SavedModel" if (beside / "saved_model.pb").is_file() else "TensorFlow checkpoint"
        configs = read_configs(beside) if kind == "SavedModel" else {}
        layers, skipped = group_layers(_variables(values, configs))
        description = describe(configs.get(0))
        return gather(str(path), kind, layers, description, skipped + len(names) - len(values))


def _read_variables(index: Path, data: Sequence[Path]) -> tuple[list[str], dict[str, Any]]:
    """Return the names of all variables, and the values of those that are no state of the optimizer."""
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        prefix = Path(folder) / "variables"  # whose data files have the names that the index expects
        prefix.with_name("variables.index").symlink_to(index.resolve())
        for n, part in enumerate(data):
            prefix.with_name(f"variables.data-{n:05}-of-{len(data):05}").symlink_to(part.resolve())
        reader = tf.train.load_checkpoint(str(prefix))
        names = list(reader.get_variable_to_shape_map())
        return names, {name: reader.get_tensor(name) for name in names if ".OPTIMIZER_SLOT/" not in name}


def _variables(values: Mapping[str, Any], configs: Mapping[int, Any]) -> Iterator[tuple[LayerWeights, str, np.ndarray]]:
    """Yield the variables of an object graph breadth first: of equal layers in the order in which they were made."""
    from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph

    nodes = TrackableObjectGraph.FromString(values[GRAPH_KEY]).nodes
    parents: dict[int, int] = {}
    for number in sorted(configs):
        for child in nodes[number].children if number < len(nodes) else ():
            if child.node_id:
                parents.setdefault(child.node_id, number)
    for number, node in enumerate(nodes):
        within = [number]  # the variable, its layer, ..., the model
        while within[-1] in parents and parents[within[-1]] not in within:
            within.append(parents[within[-1]])
        known = [configs[n] for n in within[1:-1]]  # empty where the file has no descriptions
        for attribute in node.attributes:
            key = attribute.checkpoint_key
            if attribute.name == "VARIABLE_VALUE" and key in values and not key.startswith("_all_variables"):
                layer, _, own = attribute.full_name.removesuffix(":0").rpartition("/")
                top = known[-1].get("name") if known else None
                settings = known[0].get("config") or {} if known else {}
                yield LayerWeights(layer, top=top, settings=settings), own, np.asarray(values[key])


def read_configs(folder: Path) -> dict[int, dict[str, Any]]:
    """Return what a SavedModel says of its Keras layers, by their number in the object graph; 0 is the model.

    Each is ``{"name": ..., "config": {...}}``; a model that is a class of its own has a config without layers.
    """
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel
    from tensorflow.python.keras.protobuf.saved_metadata_pb2 import SavedMetadata

    apart = folder / "keras_metadata.pb"  # in the model itself before TensorFlow 2.5
    try:
        if apart.is_file():
            texts = {node.node_id: node.metadata for node in SavedMetadata.FromString(apart.read_bytes()).nodes}
        else:
            graph = SavedModel.FromString((folder / "saved_model.pb").read_bytes()).meta_graphs[0].object_graph_def
            texts = {number: node.user_object.metadata for number, node in enumerate(graph.nodes)}
        return {number: json.loads(text) for number, text in texts.items() if text.startswith("{")}
    except (DecodeError, ValueError, IndexError, RecursionError):
        return {}
