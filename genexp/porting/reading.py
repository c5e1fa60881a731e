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
    """Read the weights of a checkpoint, or of the only one in a folder, as data; no code in it is executed."""
    from genexp.porting.keras_files import read_keras
    from genexp.porting.tensorflow_files import find_index, read_tensorflow

    path = Path(where).expanduser()
    folder = path if path.is_dir() else path.parent
    inside = sorted(folder.iterdir()) if folder.is_dir() else []
    if path.is_file() and _first_bytes(path).startswith((HDF5_MAGIC, ZIP_MAGIC)):
        return _checked(read_keras(path))
    index = find_index(path)
    if index:
        return _checked(read_tensorflow(index, path))
    # An .npz in the folder is a zip too.
    keras = [p for p in inside if path.is_dir() and p.is_file() and _is_keras(p)]
    if len(keras) == 1:
        return _checked(read_keras(keras[0]))
    below = [f"checkpoint={p.parent}" for p in sorted(path.glob("*/saved_model.pb"))] if path.is_dir() else []
    if path.is_file():
        found = f"a file that begins with {_first_bytes(path)!r}" if path.stat().st_size else "an empty file"
    else:
        found = f"{folder} with {', '.join(p.name for p in inside[:8]) or 'nothing'}" + ", ..." * (len(inside) > 8)
    raise UserError(
        "there are several checkpoints in this folder" if keras else "there is no checkpoint here",
        where=f"checkpoint={where}",
        expected=EXPECTED,
        received=found,
        hint="name one of them" if keras else " or ".join(below) or "check the path",
    )


def _is_keras(path: Path) -> bool:
    start = _first_bytes(path)
    return start == HDF5_MAGIC or (start.startswith(ZIP_MAGIC) and ".keras" in path.name)


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(8)


def _checked(found: Checkpoint) -> Checkpoint:
    if not found.layers:
        received = f"{found.kind} with {found.skipped} other variables"
        raise UserError("the checkpoint holds no weights of a Keras model", where=found.path, received=received)
    for layer in found.layers:
        for role, array in layer.arrays.items():
            wrong = int((~np.isfinite(array)).sum())
            if wrong:
                raise UserError(
                    "the checkpoint holds weights that are not finite numbers",
                    where=f"checkpoint={found.path}, {layer.name}/{role}",
                    received=f"{wrong:,} of {array.size:,} NaN or infinite",
                    hint="download it again; weights of a network that diverged in training are of no use",
                )
    return found
