"""From a path to a checkpoint that was read: the format is recognised by content, not by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from genexp.errors import UserError
from genexp.porting.checkpoint import Checkpoint

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
ZIP_MAGIC = b"PK\x03\x04"

EXPECTED = "a SavedModel folder, a Keras .h5 or .keras file, or the prefix of a TensorFlow checkpoint"


def read_checkpoint(where: str) -> Checkpoint:
    """Read the weights of a checkpoint as data; no code in it is executed.

    Parameters
    ----------
    where
        A TensorFlow 2 SavedModel folder; a Keras 2 or 3 ``.h5``; a ``.keras`` file; the prefix of a TensorFlow
        checkpoint, or any of its files; or a folder with one of these.

    Raises
    ------
    UserError
        If there is no checkpoint, or it is damaged.
    """
    from genexp.porting import tensorflow_files

    path = Path(where).expanduser()
    if path.is_file() and _is_keras(path, any_name=True):
        return _checked(_read_keras(path))
    folder = path if path.is_dir() else path.parent
    index = tensorflow_files.find_index(path) if folder.is_dir() else None
    if index:
        return _checked(tensorflow_files.read_tensorflow(index, path))
    inside = [p for p in sorted(path.iterdir()) if p.is_file() and _is_keras(p)] if path.is_dir() else []
    if len(inside) == 1:
        return read_checkpoint(str(inside[0]))
    below = [str(p.parent) for p in sorted(path.glob("*/saved_model.pb"))] if path.is_dir() else []
    raise UserError(
        "there are several checkpoints in this folder" if inside else "there is no checkpoint here",
        where=f"checkpoint={where}",
        expected=EXPECTED,
        received=_found(path, folder),
        hint="name one of them" if inside else " or ".join(f"checkpoint={p}" for p in below) or "check the path",
    )


def _read_keras(path: Path) -> Checkpoint:
    from genexp.porting import keras_files

    try:
        return (keras_files.read_hdf5 if _first_bytes(path) == HDF5_MAGIC else keras_files.read_archive)(path)
    except keras_files.DAMAGED as error:
        received = f"{type(error).__name__}: {str(error)[:200]}"
        raise UserError(
            "the checkpoint cannot be read", where=path, received=received, hint="download it again"
        ) from None


def _found(path: Path, folder: Path) -> str:
    """Return what stands at a path where no checkpoint does."""
    if path.is_file():
        start = _first_bytes(path)
        return f"a file that begins with {start!r}, which none of these does" if start else "an empty file"
    if not folder.is_dir():
        return "no such file or folder"
    names = sorted(p.name for p in folder.iterdir())
    return f"{folder} with {', '.join(names[:8]) or 'nothing'}{', ...' * (len(names) > 8)}"


def _is_keras(path: Path, *, any_name: bool = False) -> bool:
    """Return whether Keras wrote a file; in a folder, a zip counts only as ``.keras`` (an ``.npz`` is a zip too)."""
    magic = _first_bytes(path)
    return magic == HDF5_MAGIC or (magic.startswith(ZIP_MAGIC) and (any_name or ".keras" in path.name))


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(8)


def _checked(found: Checkpoint) -> Checkpoint:
    if not found.layers:
        received = f"{found.kind} with {found.skipped} other variables"
        raise UserError("the checkpoint holds no weights of a Keras model", where=found.path, received=received)
    for layer in found.layers:
        for role, array in layer.arrays.items():
            if not np.isfinite(array).all():
                raise UserError(
                    "the checkpoint holds weights that are not finite numbers",
                    where=f"checkpoint={found.path}, {layer.name}/{role}",
                    received=f"{int((~np.isfinite(array)).sum()):,} of {array.size:,} NaN or infinite",
                    hint="download it again; weights of a network that diverged in training are of no use",
                )
    return found
