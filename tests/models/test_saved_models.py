"""A saved model is complete: it opens without its config, runs no code, and gives the same answers."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from small_models import (
    WITHOUT_PROMOTER,
    input_shapes,
    model_config,
    model_inputs,
    predict,
    random_genes,
    randomise,
    window_of,
)

from genexp.models import build_model, load_model, names

# Keras turns its variables into arrays without the keyword that NumPy 2 asks for (keras.src.backend.tensorflow.core).
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")

CASES: dict[str, tuple[str, dict[str, Any], bool]] = {
    **{name: (name, {}, False) for name in names()},
    "biolstm, learned": ("biolstm", {"embedding": {"kind": "learned"}}, False),
    "transformer, trained on": ("transformer", {"embedding": {"trainable": True}, "depth": 2}, False),
    "transformer, counts": ("transformer", {"embedding": {"kind": "counts"}}, False),
    "transformer, embedded": ("transformer", {}, True),
    "token_transformer, vocabulary 4": ("token_transformer", {"vocab_size": 4}, False),
}


def registered_names(config: Any) -> set[str]:
    """Return the registered name of every object in a config that is not Keras' own."""
    if isinstance(config, list):
        return set().union(*map(registered_names, config))
    if not isinstance(config, dict):
        return set()
    own, name = set(), str(config.get("class_name", "__"))  # tensors and slices are written as __name__
    if not name.startswith("__") and not str(config.get("module")).startswith("keras"):
        own = {str(config.get("registered_name") or name)}
    return own.union(*map(registered_names, config.values()))


@pytest.mark.parametrize("case", CASES)
def test_a_saved_model_opens_and_answers_as_before(case: str, tmp_path: Path) -> None:
    name, changes, embedded = CASES[case]
    config, window = model_config(name, **changes), window_of(name)
    shapes = input_shapes(config, "HT" if name in WITHOUT_PROMOTER else "PHT", window, embedded=embedded)
    model = build_model(config, shapes)
    randomise(model)
    path = tmp_path / "model.keras"
    model.save(path)
    opened = load_model(path)
    inputs = model_inputs(config, shapes, random_genes(shapes, config, window))
    np.testing.assert_array_equal(predict(opened, inputs), predict(model, inputs))
    assert opened.count_params() == model.count_params()
    with zipfile.ZipFile(path) as archive:
        text = archive.read("config.json").decode()
    assert registered_names(json.loads(text)) <= {"genexp>KmerMean", "genexp>SinusoidalPositions"}
    assert "ambda" not in text
    assert len(text) < 100_000, "numbers belong to the weights, not to the config"


def saved_biolstm(path: Path, scale: float) -> keras.Model:
    config = model_config("biolstm", units=3, dense=2)
    shapes = input_shapes(config, "P", 100)
    assert shapes.vectors is not None
    shapes.vectors[:] *= scale
    model = build_model(config, shapes)
    model.save(path)
    return model


@pytest.mark.filterwarnings("ignore:Skipping nested container")  # Keras' way to the error
def test_the_weights_of_a_model_with_other_frozen_vectors_are_refused(tmp_path: Path) -> None:
    first = saved_biolstm(tmp_path / "first.keras", 1)
    saved_biolstm(tmp_path / "other.keras", 2)
    first.load_weights(tmp_path / "first.keras")
    with pytest.raises(ValueError, match="other frozen k-mer vectors"):
        first.load_weights(tmp_path / "other.keras")


def test_frozen_vectors_are_copied_so_that_the_caller_may_reuse_the_array() -> None:
    config = model_config("biolstm", units=3, dense=2)
    shapes = input_shapes(config, "P", 100)
    assert shapes.vectors is not None
    model, before = build_model(config, shapes), shapes.vectors.copy()
    shapes.vectors[:] = 0
    np.testing.assert_array_equal(model.get_layer("embedding").vectors, before)
