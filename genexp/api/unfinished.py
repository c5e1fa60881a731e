"""Arrays of a long command, kept beside its results until these are complete: the same command takes them again."""

from __future__ import annotations

import hashlib
import io
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from genexp import console
from genexp.errors import UserError
from genexp.files import open_npz, write_atomically
from genexp.interrupts import sigterm_interrupts
from genexp.run import RunDirectory, package_versions
from genexp.training.config import RunConfig

#: Arrays, or numbers.
Arrays = tuple[Any, ...]
#: From all that arrays depend on, and the function that computes them, to the arrays.
Keep = Callable[[Sequence[bytes | np.ndarray], Callable[[], Arrays]], Arrays]


@contextmanager
def kept_beside(out: Path | None, command: str) -> Iterator[Keep]:
    """Yield what computes arrays, or finds them where the same command, interrupted or killed, has left them.

    They are in a hidden folder beside `out`, which is removed when the context ends without an error; without `out`,
    nothing is kept. Arrays belong to `command` and to all that they depend on, so that no others are ever taken.
    """
    if out is None:
        yield lambda depends_on, compute: compute()
        return
    folder = out.with_name(f".{out.name}.unfinished")
    resumed = False

    def keep(depends_on: Sequence[bytes | np.ndarray], compute: Callable[[], Arrays]) -> Arrays:
        nonlocal resumed
        path = folder / f"{_digest([command.encode(), *depends_on])}.npz"
        with suppress(UserError), open_npz(path, lambda _: UserError("damaged, or not there", where=path)) as file:
            found = tuple(file[name] for name in file)
            if not resumed:
                console.say(f"resumed: what was computed before is taken from {folder.name}")
                resumed = True
            return found
        found = compute()
        np.savez(buffer := io.BytesIO(), *found)
        write_atomically(path, buffer.getvalue())
        return found

    try:
        with sigterm_interrupts():
            yield keep
    except KeyboardInterrupt:
        if not folder.is_dir():
            raise
        console.warn(f"interrupted; what was computed is kept; resume with: {command}")
        raise KeyboardInterrupt("reported") from None
    shutil.rmtree(folder, ignore_errors=True)


def _digest(parts: Sequence[bytes | np.ndarray]) -> str:
    found = hashlib.blake2b(digest_size=16)
    for part in parts:
        array = np.ascontiguousarray(np.frombuffer(part, np.uint8) if isinstance(part, bytes) else part)
        found.update(f"{array.dtype} {array.shape} ".encode())
        found.update(array.tobytes())
    return found.hexdigest()


def model_digest(run: RunDirectory, config: RunConfig, checkpoint: str) -> bytes:
    """Return a hash of what the numbers of a model depend on: weights, settings, packages and devices."""
    import keras
    import tensorflow as tf

    devices = [device.device_type for device in tf.config.get_visible_devices()]
    computed_by = repr((package_versions(), devices, keras.config.dtype_policy().name))
    parts = [run.checkpoint(checkpoint).read_bytes(), config.model.model_dump_json().encode(), computed_by.encode()]
    return _digest(parts).encode()
