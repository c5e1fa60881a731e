"""Weights in HDF5: Keras 2 (whole models and weights alone), Keras 3, and the ``.keras`` archive around the latter."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from genexp.dataset.hdf5 import look_at
from genexp.dataset.storage import attribute, check_heaps
from genexp.errors import UserError
from genexp.files import damage_reported, in_short
from genexp.porting.checkpoint import Checkpoint, LayerWeights, gather, group_layers
from genexp.porting.description import Description, describe


def read_keras(path: Path) -> Checkpoint:
    """Read an HDF5 file (weights, or a model with its weights) or a ``.keras`` archive."""
    what, hint = "the checkpoint cannot be read", "download it again"
    with damage_reported(lambda error: UserError(what, where=path, received=in_short(error), hint=hint)):
        if zipfile.is_zipfile(path):
            return _archive(path)
        check_heaps(path)
        with h5py.File(path, "r") as file:
            group = file.get("model_weights", file)
            if "layer_names" in group.attrs:
                return _keras2(path, file, group)
            return _keras3(path, file, "weights, written by Keras 3", Description())


def _values(group: h5py.Group, path: Path, key: str) -> np.ndarray:
    """Read an array whose size is possible, and which is in this file."""
    look_at(group, path, key)
    return np.asarray(group[key])


def _archive(path: Path) -> Checkpoint:
    with zipfile.ZipFile(path) as archive:
        present = archive.namelist()
        description = describe(json.loads(archive.read("config.json")) if "config.json" in present else None)
        version = json.loads(archive.read("metadata.json"))["keras_version"] if "metadata.json" in present else 3
        with h5py.File(io.BytesIO(archive.read("model.weights.h5")), "r") as file:
            return _keras3(path, file, f".keras, written by Keras {version}", description)


def _keras2(path: Path, file: h5py.File, group: h5py.Group) -> Checkpoint:
    """Read the layout of Keras 2: attributes list the layers, and the variables of each, in order."""
    description = describe(json.loads(_text(attribute(file, "model_config", "{}"))))

    def variables() -> Iterator[tuple[LayerWeights, str, np.ndarray]]:
        for layer in map(_text, attribute(group, "layer_names")):
            for name in map(_text, attribute(group[layer], "weight_names", [])):
                parent, _, own = name.rpartition("/")
                nested = parent if f"{parent}/".startswith(f"{layer}/") else f"{layer}/{parent}".rstrip("/")
                top = layer if layer in description.layers else None
                yield LayerWeights(nested, top=top), own, _values(group, path, f"{layer}/{name}")

    layers, skipped = group_layers(variables())
    if "optimizer_weights" in file:
        skipped += len(attribute(file["optimizer_weights"], "weight_names", []))
    version = _text(attribute(group, "keras_version", attribute(file, "keras_version", "2")))
    return gather(str(path), f"HDF5, written by Keras {version}", layers, description, skipped)


def _keras3(path: Path, file: h5py.File, kind: str, description: Description) -> Checkpoint:
    """Read the layout of Keras 2.12 and later: layers by their class, each with a group of numbered variables."""
    found: dict[str, h5py.Group] = {}

    def visit(name: str, node: Any) -> None:
        if isinstance(node, h5py.Group) and name.rsplit("/", 1)[-1] == "vars" and len(node):
            layer = name.replace("\\", "/").removesuffix("/vars")  # as Windows wrote it
            found[re.sub(r"^(_layer_checkpoint_dependencies|layers)/", "", layer)] = node

    file.visititems(visit)
    tops = _by_class(description, {name.split("/")[0] for name in found})

    def variables() -> Iterator[tuple[LayerWeights, str, np.ndarray]]:
        for name in sorted(found, key=_natural):
            if not name.startswith(("optimizer", "metrics", "vars")) and "seed_generator" not in name:
                for number in sorted(found[name], key=_natural):
                    yield (
                        LayerWeights(name, top=tops.get(name.split("/")[0])),
                        number,
                        _values(found[name], path, number),
                    )

    layers, skipped = group_layers(variables())
    skipped += sum(len(group) for name, group in found.items() if name.startswith("optimizer"))
    return gather(str(path), kind, layers, description, skipped)


def _by_class(description: Description, groups: set[str]) -> dict[str, str]:
    """Return which layer each group of the weights file is.

    These files call layers by their class and a number, ``conv1d_3``, in the order of the config, whatever the layers'
    own names. Keras 2.12 counted some layers twice, so the numbers are ranks only.
    """
    layers, numbered = defaultdict(list), defaultdict(list)
    for name, layer in description.layers.items():
        layers[re.sub(r"\W|_", "", layer.kind).lower()].append(name)
    for group in sorted(groups, key=_natural):
        numbered[re.sub(r"_\d+$", "", group).replace("_", "")].append(group)
    pairs = [(kind, same) for kind, same in numbered.items() if len(layers[kind]) == len(same)]
    return {group: name for kind, same in pairs for group, name in zip(same, layers[kind], strict=True)}


def _natural(text: str) -> str:
    """Return a sort key by which ``conv1d`` comes before ``conv1d_2`` and that before ``conv1d_10``."""
    return re.sub(r"\d+", lambda number: number[0].zfill(9), text.replace("/", " "))


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
