"""Weights in TensorFlow's own format: a SavedModel folder, or the prefix of a checkpoint; no graph is ever loaded."""

from __future__ import annotations

import json
import re
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
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


def is_index(path: Path) -> bool:
    """Return whether a file is the index of a TensorFlow checkpoint, by its content."""
    if not path.is_file() or path.stat().st_size < 48:
        return False
    with path.open("rb") as file:
        file.seek(-8, 2)
        return file.read() == INDEX_MAGIC


def find_index(path: Path) -> Path | None:
    """Find the index of the checkpoint at a path: its folder, prefix, or any of its files; None if there is none.

    Names may have changed on the way: an upload that appends ``.txt``, a second download that appends ``(1)``.
    """
    whole = path.is_dir() or ".pb" in path.name or path.name == "checkpoint"
    folder = path if path.is_dir() else path.parent
    prefix = "" if whole else re.split(r"\.index|\.data", path.name)[0]
    for place in (folder / "variables", folder):
        inside = sorted(place.iterdir(), key=_by_name) if place.is_dir() else []
        found = [p for p in inside if p.name.startswith(prefix) and is_index(p)]
        for exact in (path.name, f"{prefix}.index", f"{_latest(place)}.index", "variables.index"):
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
    """Return the data files that go with an index, in order, whatever they are called; copies are left out."""
    stem = index.name.split(".index")[0]
    others = [p for p in index.parent.iterdir() if p.is_file() and p.name != "checkpoint" and ".pb" not in p.name]
    others = sorted((p for p in others if not is_index(p)), key=_by_name)
    numbers = r"data-\d{5}-of-\d{5}"
    own, first = re.escape(stem), re.escape(re.sub(r" ?\(\d+\)", "", stem))  # of a copied index, the first download's
    for pattern in (rf"{own}\.{numbers}", rf"{own}.*{numbers}.*", rf"{first}\.{numbers}", r".*(\.data|data-).*"):
        named = [p for p in others if re.fullmatch(pattern, p.name)]
        if named:
            return named
    if not others:
        raise UserError(
            "the checkpoint has an index but no data",
            where=index.parent,
            expected=f"{stem}.data-00000-of-00001 beside {index.name}",
            hint="download the data file too; its name does not matter",
        )
    return [max(others, key=lambda p: p.stat().st_size)]


def _by_name(path: Path) -> Any:
    return natural(path.name)


def read_tensorflow(index: Path, path: Path) -> Checkpoint:
    """Read all variables of a checkpoint, in the order of its model.

    TensorFlow checks the checksum of each; the graph of a SavedModel, which may hold any operation, is not opened.
    """
    import tensorflow as tf

    data = find_data(index)
    with tempfile.TemporaryDirectory() as folder:
        prefix = Path(folder) / "variables"
        prefix.with_name("variables.index").symlink_to(index.resolve())
        for n, part in enumerate(data):
            prefix.with_name(f"variables.data-{n:05}-of-{len(data):05}").symlink_to(part.resolve())
        try:
            reader = tf.train.load_checkpoint(str(prefix))
            names = list(reader.get_variable_to_shape_map())
            values = {name: reader.get_tensor(name) for name in names if ".OPTIMIZER_SLOT/" not in name}
        except (tf.errors.OpError, RuntimeError, ValueError, IndexError) as error:
            raise UserError(
                "the checkpoint cannot be read",
                where=path,
                expected=f"data that belong to {index.name}",
                received=f"{', '.join(p.name for p in data)}: {str(error).replace(folder, '')[:200]}",
                hint="download both files again",
            ) from None
    if GRAPH_KEY not in values:
        received = "variables that are known by name alone, as TensorFlow 1 wrote them"
        raise UserError("the checkpoint does not say the order of its layers", where=path, received=received)
    beside = index.parent.parent if index.parent.name == "variables" else index.parent
    files = [beside / "keras_metadata.pb", beside / "saved_model.pb", *sorted(beside.glob("*.pb*"))]
    files = [p for p in dict.fromkeys(files) if p.is_file()]
    configs = read_configs(files)
    described, inputs = describe(configs.get("root"))
    layers, skipped = group_layers(_walk_graph(values, list(described), configs))
    kind = "SavedModel" if files else "TensorFlow checkpoint"
    return Checkpoint(str(path), kind, layers, skipped + len(names) - len(values), described, inputs)


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


def read_configs(descriptions: Sequence[Path]) -> dict[str, Any]:
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
