"""From a path to a checkpoint that was read: the format is told by content, not by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from genexp.errors import UserError
from genexp.porting.weights import Checkpoint

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
ZIP_MAGIC = b"PK\x03\x04"

EXPECTED = "a SavedModel folder, a Keras .h5 or .keras file, or the prefix of a TensorFlow checkpoint"


def read_checkpoint(where: str) -> Checkpoint:
    """Read the weights of a checkpoint as data; nothing in it is ever executed.

    Parameters
    ----------
    where
        A TensorFlow 2 SavedModel folder; a Keras 2 or 3 ``.h5``; a ``.keras`` file; the prefix of a TensorFlow
        checkpoint, or any of its files; or a folder with one of these.

    Raises
    ------
    UserError
        If there is no checkpoint, or it is broken.
    """
    from genexp.porting import hdf5_weights, tensorflow_weights

    path = Path(where).expanduser()
    if path.is_file():
        magic = _first_bytes(path)
        if magic == HDF5_MAGIC:
            return _checked(hdf5_weights.read_hdf5(path))
        if magic.startswith(ZIP_MAGIC):
            return _checked(hdf5_weights.read_keras_archive(path))
    folder, prefix = (path, "") if path.is_dir() else (path.parent, path.name.split(".index")[0].split(".data")[0])
    if path.is_file() and (".pb" in path.name or path.name == "checkpoint"):
        prefix = ""
    files = tensorflow_weights.find_files(folder, prefix) if folder.is_dir() else None
    if files:
        return _checked(tensorflow_weights.read_tensorflow(files, path))
    inside = [p for p in sorted(path.iterdir()) if p.is_file() and _is_keras(p)] if path.is_dir() else []
    if len(inside) == 1:
        return read_checkpoint(str(inside[0]))
    below = [str(p.parent) for p in sorted(path.glob("*/saved_model.pb"))] if path.is_dir() else []
    raise UserError(
        "there are several checkpoints in this folder" if inside else "there is no checkpoint here",
        where=f"checkpoint={where}",
        expected=EXPECTED,
        received=_found(path, folder),
        do="name one of them" if inside else " or ".join(f"checkpoint={p}" for p in below) or "check the path",
    )


def _found(path: Path, folder: Path) -> str:
    """Return what stands at a path where no checkpoint does."""
    if path.is_file():
        start = _first_bytes(path)
        return f"a file that begins with {start!r}, which none of these does" if start else "an empty file"
    if not folder.is_dir():
        return "no such file or folder"
    names = sorted(p.name for p in folder.iterdir())
    return f"{folder} with {', '.join(names[:8]) or 'nothing'}{', ...' * (len(names) > 8)}"


def _is_keras(path: Path) -> bool:
    """Return whether a file is one that Keras wrote; any zip but a ``.keras`` (an ``.npz``, say) is not."""
    magic = _first_bytes(path)
    return magic == HDF5_MAGIC or (magic.startswith(ZIP_MAGIC) and ".keras" in path.name)


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(8)


def _checked(found: Checkpoint) -> Checkpoint:
    if not found.layers:
        raise UserError(
            "the checkpoint holds no weights",
            where=found.path,
            expected="layers with kernel and bias, as Keras names them",
            received=f"{found.kind} with {found.skipped} other variables",
            do="name the checkpoint of a model",
        )
    for layer in found.layers:
        for role, array in layer.arrays.items():
            if not np.isfinite(array).all():
                raise UserError(
                    "the checkpoint holds weights that are no finite numbers",
                    where=f"checkpoint={found.path}, {layer.name}/{role}",
                    expected="finite numbers",
                    received=f"{int((~np.isfinite(array)).sum()):,} of {array.size:,} NaN or infinite",
                    do="download it again; a network that diverged in training is of no use",
                )
    return found
