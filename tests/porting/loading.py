"""From a checkpoint to our model with its weights, and what both answer."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from genexp.conf_files import CONF_DIR
from genexp.validation import validate
from omegaconf import OmegaConf

from genexp.config import MODELS
from genexp.porting import Ported, port

TOLERANCE = 1e-5
GENES = 4


def published(model: str, **changes):
    """Return the ``model`` group as `conf/` has it, with some other values."""
    return validate(OmegaConf.merge(OmegaConf.load(CONF_DIR / "model" / f"{model}.yaml").model, changes), MODELS[model])


def load(path: Path | str, model: str, data: str, window=None, widths=None, **changes) -> Ported:
    """Return our model with the weights of a checkpoint, and what it takes as input."""
    return port(path, published(model, **changes), data, widths=widths, window=window)


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
