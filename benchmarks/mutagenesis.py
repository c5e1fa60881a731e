"""Saturation mutagenesis at 10,500 nt: changes per second, against the whole model.

That is called by ``model.predict`` or, without its overhead, by ``predict_on_batch``; for one sequence or for many.

python benchmarks/mutagenesis.py [MODEL ...]; the models are of published size, with random weights.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
from omegaconf import OmegaConf

from genexp.config.conf import CONF_DIR
from genexp.explain.mutagenesis import substitutions
from genexp.explain.networks import Network
from genexp.models import InputShapes, build_model, config_class, names

WINDOW = 10_500
#: Bases in the middle of the window that are changed, and the batch of the whole model.
REGION, BATCH = 1000, 64
SECONDS = 3.0


def rate(work: Callable[[], int]) -> float:
    """Return the changes per second of work that returns their number, after one call to warm up."""
    work()
    started, done = time.perf_counter(), 0
    while time.perf_counter() - started < SECONDS:
        done += work()
    return done / (time.perf_counter() - started)


def measure(name: str) -> tuple[float, ...]:
    """Return the rates of one at a time (two), batched and partial, and the largest difference of the last two."""
    published = OmegaConf.to_container(OmegaConf.load(CONF_DIR / "model" / f"{name}.yaml").model)
    if config_class(name).reads == "kmers":
        published["embedding"]["kind"] = "learned"
    config = config_class(name).model_validate(published)
    shape = (WINDOW // config.chunk, 4**config.k) if config.reads == "kmers" else (WINDOW,)
    model = build_model(config, InputShapes(shape, promoter_kind=config.reads))
    network = Network(model, config)
    tokens = np.random.default_rng(0).integers(0, 4, WINDOW).astype(np.uint8)
    network.fix(tokens, {})
    batch = np.repeat(tokens[None], BATCH, axis=0)
    batch[np.arange(BATCH), WINDOW // 2 + np.arange(BATCH)] = 0
    region = ((WINDOW - REGION) // 2, (WINDOW + REGION) // 2)

    def whole(rows: int) -> int:
        model.predict_on_batch(network.inputs(batch[:rows], {}))
        return rows

    def plain() -> int:
        model.predict(network.inputs(batch[:1], {}), verbose=0)
        return 1

    def partial() -> int:
        substitutions(network, tokens, region)
        return 3 * REGION

    starts = WINDOW // 2 + np.arange(BATCH)
    found = network.with_pieces(starts, np.zeros((BATCH, 1), np.uint8))
    difference = np.abs(found - model.predict_on_batch(network.inputs(batch, {}))).max()
    return rate(plain), rate(lambda: whole(1)), rate(lambda: whole(BATCH)), rate(partial), float(difference)


if __name__ == "__main__":
    print("| model | predict | on batch of 1 | on batch of 64 | in part | faster | difference |")
    print("| --- |" + " ---: |" * 6)
    for name in sys.argv[1:] or [name for name in names() if config_class(name).reads]:
        plain, one, batched, part, difference = measure(name)
        rates = " | ".join(f"{x:,.0f}/s" for x in (plain, one, batched, part))
        times = ", ".join(f"{part / x:.0f} x" for x in (plain, one, batched))
        print(f"| {name} | {rates} | {times} | {difference:.1g} |", flush=True)
