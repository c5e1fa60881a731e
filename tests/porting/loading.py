"""From a checkpoint to our model with its weights, and what both answer."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import tensorflow as tf
from omegaconf import OmegaConf

from genexp.commands.import_checkpoint import input_shapes, separate_vectors, set_weights
from genexp.conf_files import CONF_DIR
from genexp.config import MODELS, DataConfig
from genexp.models import build_model
from genexp.porting.attention import with_parts
from genexp.porting.match import match
from genexp.porting.reading import read_checkpoint
from genexp.porting.sizes import find_sizes, fitted_config
from genexp.validation import validate

TOLERANCE = 1e-5
GENES = 4


def load(path: Path | str, model: str, data: str, window=None, widths=None, **changes):
    """Return our model with the weights of a checkpoint, and what it is fed with."""
    published = OmegaConf.load(CONF_DIR / "model" / f"{model}.yaml").model
    heads = published.get("heads")
    checkpoint = with_parts(read_checkpoint(str(path)), heads)
    config, _ = fitted_config(validate(OmegaConf.merge(published, changes), MODELS[model]), checkpoint)
    settings = DataConfig(data, window)
    sizes = find_sizes(config, settings, checkpoint, widths)
    checkpoint, vectors = separate_vectors(config, checkpoint)
    shapes = input_shapes(config, SimpleNamespace(data=settings), sizes, vectors)
    built = build_model(config, shapes)
    set_weights(built, match(checkpoint, built).values)
    return built, shapes, sizes, config


def write(model: keras.Model, kind: str, folder: Path) -> Path:
    """Save a model in one of the formats; return what a user would name."""
    if kind in (".keras", ".h5", ".weights.h5"):
        path = folder / f"model{kind}"
        (model.save_weights if kind == ".weights.h5" else model.save)(path)
        return path
    if kind == "export":
        model.export(str(folder / "exported"), verbose=False)
        return folder / "exported"
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    tf.train.Checkpoint(model=model).write(str(folder / "ckpt"))
    return folder / "ckpt"


def genes(window: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return random tokens with N, and the same one-hot."""
    tokens = np.random.default_rng(seed).integers(0, 5, (GENES, window)).astype(np.uint8)
    return tokens, np.eye(5, 4, dtype=np.float32)[tokens]


def features(width: int) -> np.ndarray:
    return np.random.default_rng(width).normal(size=(GENES, width)).astype(np.float32)


def agree(theirs: np.ndarray, ours: np.ndarray) -> None:
    assert np.ptp(theirs) > 0.01, "the answers must differ between genes, or nothing is tested"
    np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), atol=TOLERANCE)
