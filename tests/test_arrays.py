"""The shapes and types that the public API declares are those of what it returns."""

import numpy as np
import pytest

import genexp
from genexp.arrays import Embedded, Features, KmerCounts, Names, OneHot, PerGene, PerLabel, Tokens
from genexp.features.kmers import chunk_counts
from genexp.features.tokens import tokens_from_one_hot


def test_a_dataset_has_the_declared_arrays(xpresso_root):
    found = genexp.load_dataset(xpresso_root, progress=False)
    for split in found.splits.values():
        assert isinstance(split.genes, Names)
        assert isinstance(split.labels, PerLabel)
        assert isinstance(split.blocks["P"], Tokens)
        assert isinstance(split.blocks["H"], Features)


def test_encodings_have_the_declared_arrays():
    one_hot = np.eye(5, 4, dtype=bool)[np.random.default_rng(0).integers(0, 5, (3, 100))]
    assert isinstance(one_hot, OneHot)
    tokens, _ = tokens_from_one_hot(one_hot)
    assert isinstance(tokens, Tokens)
    assert isinstance(chunk_counts(tokens, 3, 50), KmerCounts)


@pytest.mark.integration
def test_predictions_have_the_declared_shape(finished_run):
    run = genexp.open_run(finished_run)
    values = run.predict(np.zeros((2, 400), np.uint8), {"H": np.zeros((2, 8), np.float32)})
    assert isinstance(values, PerGene)
    assert values.shape == (2,)


def test_other_arrays_are_told_apart():
    assert not isinstance(np.zeros((2, 3)), Tokens)
    assert not isinstance(np.zeros((2, 3, 4), np.float64), Embedded)
