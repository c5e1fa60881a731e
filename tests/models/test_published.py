"""The published checkpoints, set by hand into our models, must answer what the original answered."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from small_models import model_config

from genexp.models import InputShapes, build_model

pytestmark = pytest.mark.skipif(
    "GENEXP_PUBLISHED" not in os.environ,
    reason="set GENEXP_PUBLISHED to a folder with the published checkpoints transformer_PH and xpresso_human",
)

TOLERANCE = 1e-5

#: Our variables, and those of the published SavedModel: the block's are numbered, in the order they were made.
TRANSFORMER = {
    **{f"normalise_chunks/{v}": f"layer_with_weights-0/{v}" for v in ("gamma", "beta")},
    **{f"normalise_chunks/{v}": f"layer_with_weights-0/{v}" for v in ("moving_mean", "moving_variance")},
    "encoder_1_attention/query/kernel": "trainable_variables/2",
    "encoder_1_attention/query/bias": "trainable_variables/3",
    "encoder_1_attention/key/kernel": "trainable_variables/4",
    "encoder_1_attention/key/bias": "trainable_variables/5",
    "encoder_1_attention/value/kernel": "trainable_variables/6",
    "encoder_1_attention/value/bias": "trainable_variables/7",
    "encoder_1_attention/attention_output/kernel": "trainable_variables/8",
    "encoder_1_attention/attention_output/bias": "trainable_variables/9",
    "encoder_1_dense_1/kernel": "trainable_variables/10",
    "encoder_1_dense_1/bias": "trainable_variables/11",
    "encoder_1_dense_2/kernel": "trainable_variables/12",
    "encoder_1_dense_2/bias": "trainable_variables/13",
    "encoder_1_norm_1/gamma": "trainable_variables/14",
    "encoder_1_norm_1/beta": "trainable_variables/15",
    "encoder_1_norm_2/gamma": "trainable_variables/16",
    "encoder_1_norm_2/beta": "trainable_variables/17",
    "dense_1/kernel": "layer_with_weights-2/kernel",
    "dense_1/bias": "layer_with_weights-2/bias",
    "expression/kernel": "layer_with_weights-3/kernel",
    "expression/bias": "layer_with_weights-3/bias",
}

XPRESSO = {
    "promoter_1_conv": "conv1d_1",
    "promoter_2_conv": "conv1d_2",
    "dense_1": "dense_1",
    "dense_2": "dense_2",
    "expression": "dense_3",
}


def published(folder: str) -> Path:
    return Path(os.environ["GENEXP_PUBLISHED"]) / folder


def largest_error(model: keras.Model, values: dict[str, np.ndarray], promoter: np.ndarray, folder: str) -> float:
    """Set every variable of the model, and compare its answers with the published ones."""
    variables = {v.path: v for v in model.variables if "seed" not in v.path}
    assert variables.keys() == values.keys()
    for path, variable in variables.items():
        variable.assign(values[path])
    with np.load(published(folder) / "vectors.npz", allow_pickle=False) as file:
        answers = np.asarray(model({"promoter": promoter, "halflife": file["in1"]}, training=False))
        return float(np.abs(answers - file["pred"]).max())


def test_the_published_transformer_is_reproduced() -> None:
    folder = "transformer_PH"
    model = build_model(model_config("transformer"), InputShapes((210, 64), {"H": 8}, "embedded"))
    assert model.count_params() == 123_881
    reader = tf.train.load_checkpoint(str(published(folder) / "saved_model" / "variables" / "variables"))
    values = {ours: reader.get_tensor(f"{theirs}/.ATTRIBUTES/VARIABLE_VALUE") for ours, theirs in TRANSFORMER.items()}
    with np.load(published(folder) / "vectors.npz", allow_pickle=False) as file:
        promoter = file["in0"]
    assert largest_error(model, values, promoter, folder) <= TOLERANCE


def test_the_published_xpresso_is_reproduced() -> None:
    folder = "xpresso_human"
    model = build_model(model_config("xpresso"), InputShapes((10_500,), {"H": 6}))
    assert model.count_params() == 112_357
    with h5py.File(published(folder) / "human_trainepoch.11-0.426.h5") as file:
        weights = file["model_weights"]
        values = {
            f"{ours}/{v}": weights[f"{theirs}/{theirs}/{v}:0"][:]
            for ours, theirs in XPRESSO.items()
            for v in ("kernel", "bias")
        }
    with np.load(published(folder) / "vectors.npz", allow_pickle=False) as file:
        one_hot = file["in0"]
    tokens = np.where(one_hot.any(axis=-1), one_hot.argmax(axis=-1), 4).astype(np.uint8)
    assert largest_error(model, values, tokens, folder) <= TOLERANCE
