"""Weights in HDF5: Keras 2 (whole models and weights alone), Keras 3, and the ``.keras`` archive around the latter."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from genexp.errors import UserError
from genexp.porting.checkpoint import Checkpoint, Variable, group_layers, natural
from genexp.porting.description import Layer, describe

#: The largest config of a model that is read, in bytes; real ones have less than one MB.
LARGEST_CONFIG = 64 * 2**20

DAMAGED = (zipfile.BadZipFile, OSError, ValueError, KeyError, RecursionError)


def read_archive(path: Path) -> Checkpoint:
    """Read a ``.keras`` file: its weights and its config, both as data; no code in it is run."""
    with zipfile.ZipFile(path) as archive:
        weights = next((n for n in archive.namelist() if n.rsplit("/", 1)[-1] == "model.weights.h5"), None)
        if weights is None:
            raise UserError("this archive holds no Keras weights", where=path, expected="model.weights.h5 in it")
        config = _described(archive, weights.replace("model.weights.h5", "config.json")).get("config", {})
        version = _described(archive, weights.replace("model.weights.h5", "metadata.json")).get("keras_version", 3)
        with h5py.File(io.BytesIO(archive.read(weights)), "r") as file:
            return _keras3(path, file, f".keras, written by Keras {version}", config)


def _described(archive: zipfile.ZipFile, name: str) -> dict[str, Any]:
    """Return the content of a JSON file in an archive, if it is there and no larger than any real one."""
    if name not in archive.namelist() or archive.getinfo(name).file_size > LARGEST_CONFIG:
        return {}
    described = json.loads(archive.read(name))
    return described if isinstance(described, dict) else {}


def read_hdf5(path: Path) -> Checkpoint:
    """Read weights, or a model with its weights, in the layout of Keras 2 or Keras 3."""
    with h5py.File(path, "r") as file:
        group = file.get("model_weights", file)
        if "layer_names" in group.attrs:
            return _keras2(path, file, group)
        return _keras3(path, file, "weights, written by Keras 3", {})


def _keras2(path: Path, file: h5py.File, group: h5py.Group) -> Checkpoint:
    """Read the layout of Keras 2: attributes list the layers, and the variables of each, in order."""
    config = json.loads(_text(file.attrs["model_config"])) if "model_config" in file.attrs else {}
    described, inputs = describe(config.get("config") if isinstance(config, dict) else None)

    def variables() -> Iterator[Variable]:
        for layer in map(_text, group.attrs["layer_names"]):
            for name in map(_text, group[layer].attrs.get("weight_names", [])):
                parent, _, own = name.rpartition("/")
                nested = parent if f"{parent}/".startswith(f"{layer}/") else f"{layer}/{parent}".rstrip("/")
                yield Variable(nested, own, np.asarray(group[layer][name]), layer if layer in described else None)

    layers, skipped = group_layers(variables())
    if "optimizer_weights" in file:
        skipped += len(file["optimizer_weights"].attrs.get("weight_names", []))
    version = _text(group.attrs.get("keras_version", file.attrs.get("keras_version", "2")))
    return Checkpoint(str(path), f"HDF5, written by Keras {version}", layers, skipped, described, inputs)


def _keras3(path: Path, file: h5py.File, kind: str, config: Any) -> Checkpoint:
    """Read the layout of Keras 2.12 and later: layers by their class, each with a group of numbered variables."""
    found: dict[str, h5py.Group] = {}

    def visit(name: str, node: Any) -> None:
        if isinstance(node, h5py.Group) and name.rsplit("/", 1)[-1] == "vars" and len(node):
            layer = name.replace("\\", "/").removesuffix("/vars")  # as Windows wrote it
            found[re.sub(r"^(_layer_checkpoint_dependencies|layers)/", "", layer)] = node

    file.visititems(visit)
    described, inputs = describe(config)
    tops = _by_class(described, {name.split("/")[0] for name in found})
    order = {name: number for number, name in enumerate(described)}

    def place(name: str) -> Any:
        return order.get(tops.get(name.split("/")[0], ""), -1), natural(name)

    def variables() -> Iterator[Variable]:
        for name in sorted(found, key=place):
            if not name.startswith(("optimizer", "metrics", "vars")) and "seed_generator" not in name:
                for number in sorted(found[name], key=natural):
                    yield Variable(name, number, np.asarray(found[name][number]), tops.get(name.split("/")[0]))

    layers, skipped = group_layers(variables())
    skipped += sum(len(group) for name, group in found.items() if name.startswith("optimizer"))
    return Checkpoint(str(path), kind, layers, skipped, described, inputs)


def _by_class(described: Mapping[str, Layer], groups: set[str]) -> dict[str, str]:
    """Return which layer each group of the weights file is.

    These files call layers by their class and a number, ``conv1d_3``, in the order of the config, whatever the layers'
    own names. Keras 2.12 counted some layers twice, so the numbers are ranks only.
    """
    layers, numbered = defaultdict(list), defaultdict(list)
    for name, layer in described.items():
        layers[_snake(layer.kind)].append(name)
    for group in sorted(groups, key=natural):
        numbered[re.sub(r"_\d+$", "", group)].append(group)
    pairs = [(kind, same) for kind, same in numbered.items() if len(layers[kind]) == len(same)]
    return {group: name for kind, same in pairs for group, name in zip(same, layers[kind], strict=True)}


def _snake(name: str) -> str:
    """Return ``batch_normalization`` for ``BatchNormalization``, by the rule of Keras."""
    name = re.sub(r"\W+", "", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)).lower()


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
