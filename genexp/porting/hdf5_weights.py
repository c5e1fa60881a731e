"""Weights in HDF5: Keras 2 (whole models and weights alone), Keras 3, and the ``.keras`` archive around the latter."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from genexp.errors import UserError
from genexp.porting.graph import Config, by_class, found_in, name_of, within
from genexp.porting.weights import Checkpoint, LayerWeights, Variable, group_layers, natural

#: The largest config of a model that is read, in bytes; real ones have less than one MB.
LARGEST_CONFIG = 64 * 2**20


def read_keras_archive(path: Path) -> Checkpoint:
    """Read a ``.keras`` file: its weights and its config, both as data; nothing in it is run."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            weights = next((n for n in names if n.rsplit("/", 1)[-1] == "model.weights.h5"), None)
            if weights is None:
                raise UserError(
                    "this archive holds no Keras weights",
                    where=path,
                    expected="model.weights.h5 in it, as in every .keras file",
                    received=", ".join(names[:6]) or "nothing",
                    do="unpack it, and name the folder with the checkpoint",
                )
            config = _described(archive, weights.replace("model.weights.h5", "config.json")).get("config", {})
            written = _described(archive, weights.replace("model.weights.h5", "metadata.json"))
            with h5py.File(io.BytesIO(archive.read(weights)), "r") as file:
                found = _keras3(path, file, f".keras, written by Keras {written.get('keras_version', 3)}", config)
            return replace(found, layers=(*found.layers, *_frozen_vectors(config)))
    except (zipfile.BadZipFile, OSError, ValueError, KeyError, RecursionError) as error:
        raise _unreadable(path, ".keras", error) from None


def _frozen_vectors(config: dict[str, Any]) -> list[LayerWeights]:
    """Return the frozen k-mer vectors of a model of genexp, which are a constant of its config."""
    nodes = [node for layer in config.get("layers", []) for node in layer.get("inbound_nodes", [])]
    constants = [x for node in nodes if isinstance(node, dict) for x in node.get("args", []) if isinstance(x, dict)]
    arrays = [np.asarray(x["config"]["value"], np.float32) for x in constants if x.get("class_name") == "__numpy__"]
    return [LayerWeights("embedding", {"vectors": array}) for array in arrays]


def _described(archive: zipfile.ZipFile, name: str) -> dict[str, Any]:
    """Return what a JSON file in an archive says, if it is there and no larger than any real one."""
    if name not in archive.namelist() or archive.getinfo(name).file_size > LARGEST_CONFIG:
        return {}
    described = json.loads(archive.read(name))
    return described if isinstance(described, dict) else {}


def read_hdf5(path: Path) -> Checkpoint:
    """Read weights, or a model with its weights, in the layout of Keras 2 or Keras 3."""
    try:
        with h5py.File(path, "r") as file:
            group = file.get("model_weights", file)
            if "layer_names" in group.attrs:
                return _keras2(path, file, group)
            return _keras3(path, file, "weights, written by Keras 3", {})
    except (OSError, ValueError, KeyError, RecursionError) as error:
        raise _unreadable(path, "HDF5", error) from None


def _keras2(path: Path, file: h5py.File, group: h5py.Group) -> Checkpoint:
    """Read the layout of Keras 2: attributes list the layers, and the variables of each, in order."""
    described = json.loads(_text(file.attrs["model_config"])) if "model_config" in file.attrs else {}
    config = described.get("config", {}) if isinstance(described, dict) else {}
    if isinstance(config, list):  # Sequential models of the first releases
        config = {"layers": config}
    found = found_in(config)

    def variables() -> Iterator[Variable]:
        for layer in map(_text, group.attrs["layer_names"]):
            for name in map(_text, group[layer].attrs.get("weight_names", [])):
                parent, _, own = name.rpartition("/")
                inside = parent if f"{parent}/".startswith(f"{layer}/") else f"{layer}/{parent}".rstrip("/")
                top = within(found.get("links", {}), layer, parent.split("/"))
                yield Variable(inside, own, np.asarray(group[layer][name]), top)

    layers, skipped = group_layers(variables())
    if "optimizer_weights" in file:
        skipped += len(file["optimizer_weights"].attrs.get("weight_names", []))
    version = _text(group.attrs.get("keras_version", file.attrs.get("keras_version", "2")))
    return Checkpoint(str(path), f"HDF5, written by Keras {version}", layers, skipped, **found)


def _keras3(path: Path, file: h5py.File, kind: str, config: dict[str, Any]) -> Checkpoint:
    """Read the layout of Keras 2.12 and later: layers by their class, each with a group of numbered variables."""
    found: list[tuple[str, str | None, h5py.Group]] = []

    def visit(name: str, node: Any) -> None:
        if isinstance(node, h5py.Group) and name.rsplit("/", 1)[-1] == "vars" and len(node):
            top = "/".join(name.split("/")[:2]) + "/vars"
            own = _text(file[top].attrs["name"]) if top in file and "name" in file[top].attrs else None
            layer = name.replace("\\", "/").removesuffix("/vars")  # as Windows wrote it
            found.append((layer.replace("_layer_checkpoint_dependencies/", "layers/"), own, node))

    file.visititems(visit)
    known = found_in(config)
    tops = _located(config if "links" in known else {}, [layer.split("/") for layer, _, _ in found])

    def variables() -> Iterator[Variable]:
        for (name, own, group), top in sorted(zip(found, tops, strict=True), key=lambda item: natural(item[0][0])):
            if name.startswith(("optimizer", "metrics", "vars")) or "seed_generator" in name:
                continue
            for number in sorted(group, key=natural):
                yield Variable(name.removeprefix("layers/"), number, np.asarray(group[number]), top or own)

    layers, skipped = group_layers(variables())
    skipped += sum(len(group) for name, _, group in found if name.startswith("optimizer"))
    return Checkpoint(str(path), kind, layers, skipped, **known)


def _located(config: Config, paths: list[list[str]]) -> list[str | None]:
    """Return which layer of the config each path ``layers/functional/layers/conv1d_2`` leads to, as links call it."""
    at = [n for n, path in enumerate(paths) if path[0] == "layers" and len(path) > 1]
    named = by_class(config, dict.fromkeys(paths[n][1] for n in at))
    tops: list[str | None] = [None] * len(paths)
    for group, layer in named.items():
        inside = [n for n in at if paths[n][1] == group]
        deeper = _located(layer.get("config", {}), [paths[n][2:] or [""] for n in inside])
        for number, inner in zip(inside, deeper, strict=True):
            tops[number] = f"{name_of(layer)}/{inner}" if inner else name_of(layer)
    return tops


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _unreadable(path: Path, kind: str, error: Exception) -> UserError:
    return UserError(
        "the checkpoint cannot be read",
        where=path,
        expected=f"a complete {kind} file with weights",
        received=f"{type(error).__name__}: {str(error)[:200]}",
        do="download it again",
    )
