"""``genexp export``: a run's model as .keras, SavedModel or ONNX, read back and compared."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from genexp import console
from genexp.commands.train import display
from genexp.config import ExportConfig
from genexp.errors import UserError
from genexp.files import whole_or_nothing
from genexp.models import load_model
from genexp.run.directory import RunDirectory, check_checkpoint, open_run

if TYPE_CHECKING:
    import keras

EXAMPLES = (
    ("genexp export run_dir=DIR format=onnx", "for ONNX Runtime, in any language; needs genexp[onnx]"),
    ("genexp export run_dir=DIR format=saved_model out=served/1", "for TensorFlow Serving"),
    ("genexp export run_dir=DIR checkpoint=last", "the last epoch, as a .keras file"),
)

#: Name of the file or folder that each format makes, and the packages it needs beyond our own.
FORMATS: dict[str, tuple[str, tuple[str, ...]]] = {
    "keras": ("model.keras", ()),
    "saved_model": ("saved_model", ()),
    "onnx": ("model.onnx", ("tf2onnx", "onnxruntime")),
}

#: Genes with random features that both models are asked for, and the batch sizes in which they are.
GENES, BATCHES = 16, (16, 1)


@dataclass(frozen=True)
class Prepared:
    """An export that can be started."""

    config: ExportConfig
    run: RunDirectory
    out: Path


def check(config: ExportConfig) -> Prepared:
    """Look at run, packages and target.

    Raises
    ------
    UserError
        If the run has no such checkpoint, a package is missing, or the target exists.
    """
    run = open_run(config.run_dir, "run_dir")
    check_checkpoint(run, config.checkpoint)
    name, packages = FORMATS[config.format]
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        raise UserError(
            f"format={config.format} needs packages that are not installed",
            where="format",
            expected=", ".join(packages),
            received=f"no {', '.join(missing)}",
            do=f"pip install 'genexp[{config.format}]'",
        )
    out = Path(config.out).expanduser().resolve() if config.out else run.path / "export" / name
    if out.suffix != Path(name).suffix and out.suffix not in (".keras", ".onnx"):
        out = out.with_name(out.name + Path(name).suffix)
    if out.exists():
        raise UserError(
            "this exists already; it is not written over",
            where=f"out={out}",
            do="choose another name with out=..., or delete it first",
        )
    return Prepared(config, run, out)


def prepare(config: ExportConfig, *, verbose: bool = False) -> Prepared:
    """Check everything, and start TensorFlow on the CPU."""
    prepared = check(config)
    from genexp.config import HardwareConfig
    from genexp.training.strategy import set_up_hardware

    set_up_hardware(HardwareConfig("cpu", "float32", None, False, None), verbose=verbose)
    return prepared


def run(prepared: Prepared, directory: Path | None) -> None:
    """Write beside the target, read back, compare, and only then move into place."""
    from genexp.evaluation.report import load_checkpoint

    config, out = prepared.config, prepared.out
    model = load_checkpoint(prepared.run, config.checkpoint)
    inputs = random_inputs(model)
    expected = answers_of(lambda part: np.asarray(model(part, training=False)), inputs)
    with whole_or_nothing(out) as written:
        answer = WRITERS[config.format](model, written)
        error = float(np.abs(answers_of(answer, inputs) - expected).max())
        if not error <= config.tolerance:  # a NaN is no agreement
            raise UserError(
                "the exported model answers otherwise than the original; nothing was left",
                where=f"format={config.format}",
                expected=f"a difference of at most {config.tolerance:g}",
                received=f"{error:.3g}, on {GENES} random genes",
                do="export as format=keras; a run with hardware.precision=mixed_... may need a larger tolerance",
            )
    console.say(f"{config.format}: read back, and compared on {GENES} random genes: maximum difference {error:.2g}")
    console.say(f"written to {display(out.resolve())}")


def random_inputs(model: keras.Model, seed: int = 0) -> dict[str, np.ndarray]:
    """Return inputs of the shapes and types that a model reads: bases with N, counts of k-mers, or numbers."""
    rng = np.random.default_rng(seed)
    inputs = {}
    for tensor in model.inputs:
        shape, dtype = (GENES, *tensor.shape[1:]), np.dtype(tensor.dtype)
        values = rng.integers(0, 5, shape) if dtype.kind == "u" else rng.normal(size=shape)
        inputs[tensor.name] = values.astype(dtype)
    return inputs


Answer = Callable[[dict[str, np.ndarray]], np.ndarray]


def answers_of(answer: Answer, inputs: dict[str, np.ndarray]) -> np.ndarray:
    """Return a model's answers to all genes, in batches of each size: (sizes * genes,)."""
    found = [
        answer({name: x[start : start + size] for name, x in inputs.items()})
        for size in BATCHES
        for start in range(0, GENES, size)
    ]
    return np.concatenate([np.asarray(values, np.float32).reshape(-1) for values in found])


def write_keras(model: keras.Model, path: Path) -> Answer:
    """Write a ``.keras`` file, and open it."""
    model.save(path)
    again = load_model(path)
    return lambda part: np.asarray(again(part, training=False))


def write_saved_model(model: keras.Model, path: Path) -> Answer:
    """Write a SavedModel folder, and open it; TensorFlow alone is enough for that."""
    import tensorflow as tf

    model.export(str(path), format="tf_saved_model", verbose=False)
    served = tf.saved_model.load(str(path))
    return lambda part: served.serve({name: tf.constant(x) for name, x in part.items()}).numpy()


def write_onnx(model: keras.Model, path: Path) -> Answer:
    """Write an ONNX file, and open it with ONNX Runtime."""
    import onnxruntime

    model({name: x[:1] for name, x in random_inputs(model).items()}, training=False)  # Keras exports what was called
    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        # Keras looks for np.object to see whether tf2onnx must be patched; NumPy has plans for that name.
        warnings.filterwarnings("ignore", "In the future `np.object`", FutureWarning)
        model.export(str(path), format="onnx", verbose=False)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    wanted = [node.name for node in session.get_inputs()]
    return lambda part: session.run(None, {name: part[name] for name in wanted})[0]


WRITERS: dict[str, Callable[[keras.Model, Path], Answer]] = {
    "keras": write_keras,
    "saved_model": write_saved_model,
    "onnx": write_onnx,
}
