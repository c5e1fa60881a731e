"""Training speed beside a plain Keras script, model by model.

For each model, genexp's own fit loop (`genexp.training.loop.fit`, with its hardware settings) and a plain Keras script
(`model.compile(); model.fit(x, y, batch_size, shuffle=True)` under TensorFlow's defaults) train the same network on
the same arrays in memory. Each has a process of its own; they take turns, pass by pass, so that whatever else the
machine does meets both. Both have compiled and run an epoch before the first pass. Time is that of the training part
of an epoch; validation and checkpoints, which the plain script lacks, are not counted.

Prints a Markdown table: seconds per epoch (median of the passes) and the speed of genexp over that of plain Keras
(median and range of the paired passes). Above 1 genexp is faster.

    python benchmarks/training_speed.py
    python benchmarks/training_speed.py --models biolstm,transformer --genes 4000 --passes 5 --window 0,2000
    python benchmarks/training_speed.py --plain deterministic    # the plain script with deterministic operations too
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import statistics
import tempfile
import time
from contextlib import redirect_stdout
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

import genexp

MODELS = ("xpresso", "divide_et_impera", "biolstm", "transformer", "token_transformer", "fc_net")


@dataclass(frozen=True)
class Setting:
    """What both sides train: a model, its data, and the size of both."""

    model: str
    genes: int
    batch: int
    window: str
    plain: str

    @property
    def overrides(self) -> list[str]:
        """Overrides of ``genexp train`` for it."""
        data = "T" if self.model == "fc_net" else "PH"
        window = [] if self.model == "fc_net" else [f"data.window=[{self.window}]"]
        sizes = [f"dataset.genes={self.genes}", f"training.batch_size={self.batch}", "training.patience=null"]
        return [f"model={self.model}", f"data={data}", "hardware=cpu", *sizes, *window]


def inputs_of(config: Any) -> tuple[Any, Any, Any]:
    """Return the genes as the model takes them, and the shapes of its inputs."""
    from genexp.dataset.sources import inspect, load
    from genexp.models.inputs import encode, input_shapes, vectors_for

    dataset = load(inspect(config.dataset, config.data.name), config.data.name, config.data.window)
    seen = dataset.description
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "vectors.npz"
        vectors = vectors_for(config.model, dataset, file, print)
        shapes = input_shapes(config.model, seen, config.data.name, seen.window, file)
    return encode(dataset, config.model, print), shapes, vectors


def genexp_side(setting: Setting, link: Connection) -> None:
    """Train with genexp's loop; for each number of epochs received, send the seconds of each epoch."""
    config = genexp.compose(*setting.overrides)
    from genexp.training.strategy import set_up_hardware

    hardware = set_up_hardware(config.hardware)
    from genexp.run import RunDirectory
    from genexp.training.loop import compiled_model, fit
    from genexp.training.state import Progress

    dataset, shapes, _ = inputs_of(config)
    model, state = compiled_model(config, shapes, hardware, 0), Progress()
    with tempfile.TemporaryDirectory() as folder:
        while epochs := link.recv():
            training = config.training.model_copy(update={"epochs": state.epoch + epochs})
            with redirect_stdout(io.StringIO()):  # the line that the loop prints for each epoch
                fit(model, training, dataset, hardware, RunDirectory(Path(folder)), state, 0, lambda row: None)
            link.send([row["seconds"] for row in state.history[-epochs:]])


def plain_side(setting: Setting, link: Connection) -> None:
    """Train with `model.fit` on arrays."""
    config = genexp.compose(*setting.overrides)
    import keras
    import tensorflow as tf

    from genexp.blocks import BLOCKS
    from genexp.models import build_model
    from genexp.training.optimizers import build_optimizer

    if setting.plain == "deterministic":
        tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(0)
    dataset, shapes, _ = inputs_of(config)
    train = dataset.splits["train"]
    x = {BLOCKS[b].input: v if b == "P" else v.astype(np.float32) for b, v in train.blocks.items()}
    model = build_model(config.model, shapes)
    model.compile(build_optimizer(config.training), loss=config.training.loss)
    while epochs := link.recv():
        seconds = []
        for _ in range(epochs):
            started = time.perf_counter()
            model.fit(x, train.labels, batch_size=setting.batch, shuffle=True, verbose=0)
            seconds.append(time.perf_counter() - started)
        link.send(seconds)


def measure(setting: Setting, passes: int, epochs: int) -> tuple[list[float], list[float]]:
    """Return the seconds per epoch of each pass, for genexp and for the plain script."""
    spawn, links = multiprocessing.get_context("spawn"), []
    for side in (genexp_side, plain_side):
        ours, theirs = spawn.Pipe()
        spawn.Process(target=side, args=(setting, theirs), daemon=True).start()
        theirs.close()
        links.append(ours)
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(passes + 1):
        for side in (0, 1) if turn % 2 else (1, 0):
            links[side].send(epochs if turn else 1)
            seconds = links[side].recv()
            if turn:  # the first turn compiles
                times[side].append(statistics.median(seconds))
    for link in links:
        link.send(0)
    return times


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default=",".join(MODELS), help="names, separated by commas")
    parser.add_argument("--genes", type=int, default=1200, help="of the demo; 80 %% are trained on")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--window", default="700,1300", help="slice of the 2,000 nt of the demo promoters")
    parser.add_argument("--passes", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=2, help="per pass")
    parser.add_argument("--plain", choices=("default", "deterministic"), default="default")
    chosen = parser.parse_args()
    print("| model | genexp, s per epoch | plain Keras, s per epoch | speed of genexp over plain, range |")
    print("| --- | --- | --- | --- |")
    for model in chosen.models.split(","):
        setting = Setting(model, chosen.genes, chosen.batch, chosen.window, chosen.plain)
        ours, plain = measure(setting, chosen.passes, chosen.epochs)
        ratios = [theirs / own for own, theirs in zip(ours, plain, strict=True)]
        middle = [statistics.median(values) for values in (ours, plain, ratios)]
        span = f"{middle[2]:.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        print(f"| {model} | {middle[0]:.3f} | {middle[1]:.3f} | {span} |", flush=True)


if __name__ == "__main__":
    main()
