"""Small models with random weights, and random genes for them; what the tests of the models share."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import keras
import numpy as np
from omegaconf import OmegaConf

from genexp.blocks import BLOCKS, PROMOTER, combinations, feature_blocks
from genexp.features.kmers import chunk_counts
from genexp.models import InputShapes, build_model, config_class, names
from genexp.models.layers.kmer_config import KmerConfig

CONF = Path(__file__).parents[1] / "conf" / "model"

#: Widths of the feature blocks, all different, so that no two can be confused.
WIDTHS = {"H": 8, "T": 5, "M": 7}
WIDTHS |= {letter: 9 + n for n, letter in enumerate(feature_blocks()) if letter not in WIDTHS}

#: Windows short enough for NumPy, that leave bases over in every pooling; others get `WINDOW` or a little more.
WINDOWS = {"xpresso": 1237, "divide_et_impera": 590, "biolstm": 250, "transformer": 300, "token_transformer": 1237}
WINDOWS |= {"kmer_net": 1000}
WINDOW = 600

K_MERS = tuple(name for name in names() if issubclass(config_class(name), KmerConfig))
WITHOUT_PROMOTER = tuple(name for name in names() if config_class(name).reads is None)
GENES = 6


def readable(models: Iterable[str]) -> list[tuple[str, str]]:
    """Return each of these models with every combination of blocks that it can read."""
    return [
        (name, data) for name in models for data in combinations() if (PROMOTER in data) != (name in WITHOUT_PROMOTER)
    ]


def window_of(name: str) -> int:
    """Return the window, in nt, of the small model of an architecture."""
    config = model_config(name)
    whole = -(-WINDOW // config.multiple()) * config.multiple()
    return 0 if name in WITHOUT_PROMOTER else WINDOWS.get(name, whole)


def model_config(name: str, **changes: Any) -> Any:
    """Return the published config of a model, with changes; one of k-mers uses vectors unless `changes` differ."""
    published = OmegaConf.load(CONF / f"{name}.yaml").model
    if name in K_MERS:
        published.embedding.kind = "word2vec"
    return config_class(name).model_validate(OmegaConf.to_container(OmegaConf.merge(published, changes)))


def input_shapes(
    config: Any, data: str, window: int, *, embedded: bool = False, widths: dict[str, int] | None = None
) -> InputShapes:
    """Return what a model is fed, with random vectors where it needs them."""
    widths = {b: n for b, n in (widths or WIDTHS).items() if b in data}
    if "P" not in data:
        return InputShapes(None, widths, None)
    if config.reads == "bases":
        return InputShapes((window,), widths)
    chunks = window // config.chunk
    if embedded:
        return InputShapes((chunks, config.embed_dim), widths, "embedded")
    vectors = None
    if config.name in K_MERS and config.embedding.kind in ("word2vec", "random"):
        vectors = np.random.default_rng(3).normal(0, 0.3, (4**config.k, config.embed_dim)).astype(np.float32)
    return InputShapes((chunks, 4**config.k), widths, "kmers", vectors)


def random_genes(shapes: InputShapes, config: Any, window: int, seed: int = 1) -> dict[str, np.ndarray]:
    """Return random tokens with N (among them a stretch longer than a chunk) and features, by block letter."""
    rng = np.random.default_rng(seed)
    genes: dict[str, np.ndarray] = {b: rng.normal(size=(GENES, n)).astype(np.float32) for b, n in shapes.widths.items()}
    if shapes.promoter_kind == "embedded":
        genes["P"] = rng.normal(0, 0.3, (GENES, *shapes.promoter)).astype(np.float32)
    elif shapes.promoter is not None:
        tokens = rng.integers(0, 4, (GENES, window)).astype(np.uint8)
        tokens[rng.random(tokens.shape) < 0.02] = 4
        tokens[0, : window // 3] = 4
        tokens[1, -1] = 4
        genes["P"] = tokens
    return genes


def model_inputs(config: Any, shapes: InputShapes, genes: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the inputs of the Keras model, by name."""
    inputs = {BLOCKS[b].input: x for b, x in genes.items()}
    if shapes.promoter_kind == "kmers":
        inputs["promoter"] = chunk_counts(genes["P"], config.k, config.chunk)
    return inputs


def randomise(model: keras.Model, seed: int = 2) -> None:
    """Give every variable random values, of a size at which each of them shows in the output."""
    rng = np.random.default_rng(seed)
    for variable in model.variables:
        kind, shape = variable.path.rsplit("/", 1)[-1], tuple(variable.shape)
        if "seed" in kind:
            continue
        if kind == "moving_variance":  # small, so that epsilon shows
            value = rng.uniform(0.02, 0.2, shape)
        elif kind == "gamma":
            value = rng.normal(1, 0.2, shape)
        elif kind in ("bias", "beta", "moving_mean"):
            value = rng.normal(0, 0.2, shape)
        else:
            value = rng.normal(0, 1.5 * np.prod(shape[:-1]) ** -0.5, shape)
        if variable.path.startswith("dense_"):  # keep one unit alive in a layer of two
            value[..., 0] = np.abs(value[..., 0])
        variable.assign(value)


def weights(model: keras.Model) -> dict[str, np.ndarray]:
    """Return all variables by path, such as ``dense_1/kernel``, in float64."""
    return {v.path: np.asarray(v, np.float64) for v in model.variables if "seed" not in v.path}


def predict(model: keras.Model, inputs: dict[str, np.ndarray]) -> np.ndarray:
    """Return the model's answers, (genes, 1)."""
    return np.asarray(model(inputs, training=False))


@cache
def small_model(name: str, data: str) -> tuple[Any, InputShapes, keras.Model]:
    """Return the config, inputs and model of published size on a small window; not to be changed."""
    config = model_config(name)
    shapes = input_shapes(config, data, window_of(name))
    model = build_model(config, shapes)
    randomise(model)
    return config, shapes, model
