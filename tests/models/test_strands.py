"""A model of both strands predicts the mean over them, whatever it reads, and plain Keras opens it."""

import zipfile

import keras
import numpy as np
import pytest

from genexp.api import compose
from genexp.features.kmers import chunk_counts
from genexp.features.tokens import reverse_complement
from genexp.models import InputShapes, build_model
from genexp.models.layers.strands import both_strands, other_kmers


@pytest.mark.parametrize("k", [1, 2, 3])
def test_counts_of_the_other_strand_are_the_same_counts_elsewhere(k):
    tokens = np.random.default_rng(0).integers(0, 5, (7, 36), dtype=np.uint8)
    counts = chunk_counts(tokens, k, 9)
    np.testing.assert_array_equal(chunk_counts(reverse_complement(tokens), k, 9), counts[:, ::-1, other_kmers(4**k)])


@pytest.mark.parametrize("name", ["legnet", "transformer"])
def test_the_mean_of_both_strands_is_predicted(name, tmp_path):
    words = ("model.embedding=learned", "model.k=2", "model.chunk=16") if name == "transformer" else ()
    config = compose(f"model={name}", "data=PH", *words).model
    tokens = np.random.default_rng(0).integers(0, 5, (6, 64), dtype=np.uint8)
    strands = [tokens, reverse_complement(tokens)]
    shapes = InputShapes((64,), {"H": 8})
    if name == "transformer":
        strands = [chunk_counts(x, 2, 16) for x in strands]
        shapes = InputShapes((4, 16), {"H": 8}, "kmers")
    model = build_model(config, shapes)
    halflife = np.ones((6, 8), np.float32)
    one, other = [model.predict({"promoter": x, "halflife": halflife}, verbose=0) for x in strands]
    assert (np.abs(one - other) > 1e-6).any()
    model.compile("adam")
    both_strands(model).save(tmp_path / "both.keras")
    with zipfile.ZipFile(tmp_path / "both.keras") as archive:
        assert "Adam" not in archive.read("config.json").decode()
    opened = keras.saving.load_model(tmp_path / "both.keras", safe_mode=True)
    for x in strands:
        found = opened.predict({"promoter": x, "halflife": halflife}, verbose=0)
        np.testing.assert_allclose(found, (one + other) / 2, rtol=1e-5, atol=1e-6)
    assert [v.path for v in opened.weights] == [v.path for v in model.weights]
