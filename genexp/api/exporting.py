"""A run's model in a format that other programs read, compared with the original."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from genexp import console
from genexp.api.prediction import warn_if_unfinished
from genexp.errors import UserError
from genexp.files import whole_or_nothing
from genexp.models import load_model
from genexp.run import EXPORTED, RunDirectory, check_checkpoint, read_metrics

if TYPE_CHECKING:
    import keras

Answer = Callable[[dict[str, np.ndarray]], np.ndarray]

#: Genes with random features that both models are asked for, and the batch sizes.
GENES, BATCHES = 16, (16, 1)


@dataclass(frozen=True)
class Format:
    """An export format: the name of what it writes, the packages it needs, and a function.

    `write` writes a model to a path and returns how to ask what was written; `beside` writes what belongs to it, if
    the path is a folder for more than the model.
    """

    file: str
    packages: tuple[str, ...]
    write: Callable[[keras.Model, Path], Answer]
    beside: Callable[[Plan, Path], None] | None = None


@dataclass(frozen=True)
class Plan:
    """An export that can be started."""

    run: RunDirectory
    checkpoint: str
    format: str
    out: Path
    tolerance: float
    license: str | None


def check(
    run: RunDirectory,
    checkpoint: str,
    format: str,
    out: str | None,
    tolerance: float = 1e-4,
    license: str | None = None,
) -> Plan:
    """Look at run, packages and target; `out` is what to write, None: in ``export/`` of the run.

    `tolerance` is how far the answers may differ, in units of the label; `license` is that of the model, for a hub.
    """
    check_checkpoint(run, checkpoint)
    chosen = FORMATS.get(format)
    if chosen is None:
        raise UserError(f"there is no format {format}", expected=f"one of {', '.join(FORMATS)}")
    missing = [package for package in chosen.packages if find_spec(package) is None]
    if missing:
        hint = f"pip install 'genexp[{format}]'"
        raise UserError(f"format={format} needs packages that are not installed", received=missing, hint=hint)
    if license and format != "hub":
        raise UserError("a licence is written with format=hub alone", where=f"license={license}", hint="leave it out")
    if license and not re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", license):
        what, expected = "this is no name of a licence", "a name as model hubs have them: mit, apache-2.0, cc-by-4.0"
        raise UserError(what, where="license", expected=expected, received=license)
    target = Path(out).expanduser().resolve() if out else run.path / "export" / chosen.file
    suffix, others = Path(chosen.file).suffix, {Path(each.file).suffix: name for name, each in FORMATS.items()}
    if target.suffix != suffix:
        if target.suffix and target.suffix in others:
            hint = f"format={others[target.suffix]}, or another name"
            raise UserError(
                "the name is that of another format", where=f"out={out}", received=f"format={format}", hint=hint
            )
        target = target.with_name(target.name + suffix)
    if target.exists():
        raise UserError("this exists already; it is not overwritten", where=f"out={target}")
    warn_if_unfinished(run.path, (read_metrics(run) or {}).get("status", "unfinished"))
    return Plan(run, checkpoint, format, target, tolerance, license)


def export(plan: Plan) -> Path:
    """Write beside the target, read back, compare, and only then move into place; return what was written."""
    from genexp.evaluation.report import load_checkpoint

    model = load_checkpoint(plan.run, plan.checkpoint)
    inputs = random_inputs(model)
    expected = answers_of(lambda part: np.asarray(model(part, training=False)), inputs)
    with whole_or_nothing(plan.out) as written:
        answer = FORMATS[plan.format].write(model, written)
        error = float(np.abs(answers_of(answer, inputs) - expected).max())
        if not error <= plan.tolerance:  # a NaN is no agreement
            what = "the exported model's answers differ from the original's; nothing was written"
            limit = f"a difference of at most {plan.tolerance:g} on {GENES} random genes"
            hint = "use format=keras; a run with hardware.precision=mixed_... may need a larger tolerance"
            raise UserError(what, where=f"format={plan.format}", expected=limit, received=f"{error:.3g}", hint=hint)
        if beside := FORMATS[plan.format].beside:
            beside(plan, written)
    console.say(f"{plan.format}: read back, compared on {GENES} random genes: maximum difference {error:.2g}")
    return plan.out


def random_inputs(model: keras.Model) -> dict[str, np.ndarray]:
    """Return inputs of the shapes and types that a model reads: bases with N, counts of k-mers, or numbers."""
    rng = np.random.default_rng(0)
    inputs = {}
    for tensor in model.inputs:
        shape, dtype = (GENES, *tensor.shape[1:]), np.dtype(tensor.dtype)
        values = rng.integers(0, 5, shape) if dtype.kind == "u" else rng.normal(size=shape)
        inputs[tensor.name] = values.astype(dtype)
    return inputs


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


def write_hub(model: keras.Model, path: Path) -> Answer:
    """Write the model of a hub folder."""
    path.mkdir()
    return write_keras(model, path / EXPORTED)


def write_hub_files(plan: Plan, path: Path) -> None:
    """Write what a hub folder has beside the model."""
    from genexp.api.hub import write_beside

    if plan.license is None:
        console.warn("the card says license: unknown; name the licence of the model, such as license=mit")
    write_beside(plan.run, plan.checkpoint, plan.license, path)


FORMATS: dict[str, Format] = {
    "keras": Format(EXPORTED, (), write_keras),
    "saved_model": Format("saved_model", (), write_saved_model),
    "onnx": Format("model.onnx", ("tf2onnx", "onnxruntime"), write_onnx),
    "hub": Format("hub", (), write_hub, write_hub_files),
}
