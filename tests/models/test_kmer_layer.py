"""The promoter input of the models that read k-mers: its layer, its checks, and the positions of the Transformer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import numpy_forward
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import input_shapes, model_config, model_inputs, predict, random_genes, randomise, small_model

from genexp.errors import UserError
from genexp.features.kmers import chunk_counts, mean_vectors
from genexp.models import InputShapes, build_model, check_model
from genexp.models.layers import attention
from genexp.models.layers.kmers import embedded, frequencies

RNG = np.random.default_rng(0)
VECTORS = RNG.normal(size=(64, 5)).astype(np.float32)


@pytest.fixture
def bfloat16() -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy(before)


def kmer_mean(
    vectors: np.ndarray | None, chunks: int | None = None, dtype: str = "uint8", **embedding: Any
) -> keras.Model:
    """Return the model from counts to chunk means."""
    width = 5 if vectors is None else vectors.shape[1]
    counts = keras.Input((chunks, 64), dtype=dtype)
    config = model_config("transformer", embed_dim=width, embedding=embedding)
    return keras.Model(counts, embedded(config, frequencies(counts), vectors))


FROZEN = kmer_mean(VECTORS)
FREQUENCIES = kmer_mean(None, kind="counts")


@settings(max_examples=20, deadline=None)
@given(st.lists(st.lists(st.integers(0, 4), min_size=24, max_size=24), min_size=1, max_size=4))
def test_it_is_the_mean_of_the_vectors_of_the_known_kmers(genes: list[list[int]]) -> None:
    tokens = np.array(genes, np.uint8)
    config = model_config("transformer", chunk=8)
    counts = chunk_counts(tokens, 3, 8)
    np.testing.assert_allclose(FROZEN(counts), numpy_forward.chunks(config, tokens, VECTORS), atol=1e-6)
    np.testing.assert_allclose(FROZEN(counts), mean_vectors(counts, VECTORS), atol=1e-6)
    np.testing.assert_allclose(FREQUENCIES(counts), numpy_forward.chunks(config, tokens, None), atol=1e-6)


def test_a_chunk_without_kmers_is_zero_and_takes_no_part_in_any_gradient() -> None:
    counts = np.zeros((1, 3, 64), np.uint8)
    counts[0, 1, 7] = 48
    layer = kmer_mean(VECTORS, 3, trainable=True)
    with tf.GradientTape() as tape:
        means = layer(counts)
        total = tf.reduce_sum(means)
    np.testing.assert_array_equal(np.asarray(means)[0, [0, 2]], 0)
    np.testing.assert_allclose(np.asarray(means)[0, 1], VECTORS[7], rtol=1e-6)
    gradient = np.asarray(tape.gradient(total, layer.get_layer("embedding").kernel.value))
    np.testing.assert_array_equal(gradient.any(axis=1), np.arange(64) == 7)


def test_a_count_of_255_and_the_uint16_counts_of_long_chunks_do_not_overflow() -> None:
    counts = np.zeros((1, 1, 64), np.uint8)
    counts[0, 0, :2] = 255
    np.testing.assert_allclose(FROZEN(counts)[0, 0], VECTORS[:2].mean(axis=0), rtol=1e-6)
    long = counts.astype(np.uint16) * 100
    np.testing.assert_allclose(kmer_mean(VECTORS, dtype="uint16")(long)[0, 0], VECTORS[:2].mean(axis=0), rtol=1e-6)


def test_the_input_has_the_type_of_the_counts() -> None:
    for chunk, dtype in ((50, "uint8"), (257, "uint8"), (258, "uint16")):
        config = model_config("biolstm", chunk=chunk)
        model = build_model(config, input_shapes(config, "P", 2 * chunk))
        assert model.input["promoter"].dtype == dtype
        assert chunk_counts(np.zeros((1, 2 * chunk), np.uint8), 3, chunk).dtype == dtype


def test_learned_vectors_start_where_word2vec_starts() -> None:
    model = build_model(
        model_config("biolstm", embed_dim=20, embedding={"kind": "learned"}), InputShapes((2, 64), {}, "kmers")
    )
    vectors = np.asarray(model.get_layer("embedding").kernel)
    assert vectors.shape == (64, 20)
    assert np.abs(vectors).max() <= 0.5 / 20
    assert 0.8 < vectors.std() / (0.5 / 20 / 3**0.5) < 1.2


@pytest.mark.parametrize("kind", ["word2vec", "random"])
def test_vectors_learned_on_start_from_those_given(kind: str) -> None:
    config = model_config("biolstm", embedding={"kind": kind, "trainable": True})
    shapes = input_shapes(config, "P", 100)
    model = build_model(config, shapes)
    np.testing.assert_array_equal(model.get_layer("embedding").kernel, shapes.vectors)
    assert "embedding/kernel" in [v.path for v in model.trainable_variables]


def test_frozen_vectors_are_a_constant_and_no_variable_of_the_model() -> None:
    _, shapes, model = small_model("transformer", "PH")
    assert shapes.vectors is not None
    assert "embedding" not in [layer.name for layer in model.layers]
    assert all(variable.shape != shapes.vectors.shape for variable in model.variables)
    counts = np.eye(64, dtype=np.uint8)[:6][None]
    chunks = keras.Model(model.input["promoter"], model.get_layer("normalise_chunks").input)
    np.testing.assert_array_equal(chunks(counts)[0], shapes.vectors[:6])


def test_missing_vectors_are_a_programming_error() -> None:
    with pytest.raises(TypeError, match="vectors"):
        build_model(model_config("biolstm"), InputShapes((2, 64), {}, "kmers", None))


def test_means_stay_float32_under_mixed_precision(bfloat16: None) -> None:
    counts = RNG.integers(0, 9, (2, 3, 64)).astype(np.uint8)
    for layer in (kmer_mean(VECTORS), kmer_mean(VECTORS, 3, trainable=True)):
        means = layer(counts)
        assert means.dtype == "float32"
        np.testing.assert_allclose(means, mean_vectors(counts, VECTORS), atol=1e-6)


@pytest.mark.parametrize("name", ["biolstm", "transformer", "token_transformer"])
def test_mixed_precision_gives_nearly_the_same_answers(name: str, bfloat16: None) -> None:
    config = model_config(name)
    window = 1237 if name == "token_transformer" else 250
    shapes = input_shapes(config, "PH", window)
    mixed = build_model(config, shapes)
    keras.config.set_dtype_policy("float32")
    exact = build_model(config, shapes)
    for model in (mixed, exact):
        randomise(model)
    inputs = model_inputs(config, shapes, random_genes(shapes, config, window))
    expected, answers = predict(exact, inputs), predict(mixed, inputs)
    assert answers.dtype == np.float32
    assert 0 < np.abs(answers - expected).max() < 0.1 * np.abs(expected).max()


def test_positions_of_zeros_are_the_positions() -> None:
    x = keras.Input((3, 4))
    layer = keras.Model(x, attention.add_positions(x))
    added = np.asarray(layer(np.zeros((1, 3, 4), np.float32)))[0]
    hand = [
        [0, 1, 0, 1],
        [np.sin(1), np.cos(1), np.sin(0.01), np.cos(0.01)],
        [np.sin(2), np.cos(2), np.sin(0.02), np.cos(0.02)],
    ]
    np.testing.assert_allclose(added, hand, atol=1e-6)
    np.testing.assert_allclose(layer(np.ones((1, 3, 4), np.float32))[0], np.array(hand) + 2, atol=1e-6)


def test_a_token_beyond_the_vocabulary_has_the_zero_vector() -> None:
    config = model_config("token_transformer", vocab_size=4)
    model = build_model(config, input_shapes(config, "P", 300))
    layer = model.get_layer("token_and_position_embedding")
    embed = keras.Model(model.inputs, layer.output)
    embedded = np.asarray(embed({"promoter": np.full((1, 300), 4, np.uint8)}))[0]
    np.testing.assert_array_equal(embedded, np.asarray(layer.bias))


def refused(config: Any, shapes: InputShapes) -> str:
    with pytest.raises(UserError) as error:
        check_model(config, shapes)
    return str(error.value)


@pytest.mark.parametrize("name", ["biolstm", "transformer"])
def test_what_does_not_fit_is_refused(name: str) -> None:
    embedded = InputShapes((4, 32), {}, "embedded")
    assert "model.embed_dim=32" in refused(model_config(name), embedded)
    trained = model_config(name, embed_dim=32, embedding={"trainable": True})
    assert "model.embedding.trainable" in refused(trained, embedded)
    from_file = model_config(name, embed_dim=32, embedding={"vectors": "v.txt"})
    assert "model.embedding.vectors" in refused(from_file, embedded)
    counts = InputShapes((4, 16), {}, "kmers")
    assert "model.embed_dim=16" in refused(model_config(name, k=2, embedding={"kind": "counts"}), counts)
    both = model_config(name, k=2, embed_dim=16, embedding={"kind": "counts", "trainable": True})
    assert "model.embedding.trainable" in refused(both, counts)
    other = InputShapes((4, 64), {}, "kmers", np.zeros((64, 32), np.float32))
    assert "64 of 32" in refused(model_config(name), other)
    with pytest.raises(TypeError, match="bases"):
        check_model(model_config(name), InputShapes((200,), {}, "bases"))


def test_a_window_that_pooling_empties_is_refused() -> None:
    assert "300 nt" in refused(model_config("token_transformer"), InputShapes((299,), {}))
    check_model(model_config("token_transformer"), InputShapes((300,), {}))


DROPOUTS = {
    "biolstm": {"dropout_1": ("dense_1", 0.3)},
    "transformer": {
        "positions_dropout": ("positions", 0.1),
        "encoder_1_dropout_1": ("encoder_1_attention", 0.1),
        "encoder_1_dropout_2": ("encoder_1_dense_2", 0.1),
        "dropout_1": ("dense_1", 0.1),
    },
    "token_transformer": {
        "encoder_dropout_1": ("encoder_attention", 0.1),
        "encoder_dropout_2": ("encoder_dense_2", 0.1),
        "dropout_1": ("dense_1", 0.1),
        "dropout_2": ("dense_2", 0.1),
    },
}


@pytest.mark.parametrize("name", DROPOUTS)
def test_dropout_stands_where_the_published_models_have_it(name: str) -> None:
    _, _, model = small_model(name, "PH")
    dropouts = {x.name: x for x in model.layers if isinstance(x, keras.layers.Dropout)}
    assert {n: (x.input._keras_history.operation.name, x.rate) for n, x in dropouts.items()} == DROPOUTS[name]
    attention_layers = [x for x in model.layers if isinstance(x, keras.layers.MultiHeadAttention)]
    assert all(x.get_config()["dropout"] == 0 for x in attention_layers)


def test_batch_normalisation_moves_as_keras_has_it() -> None:
    for name in ("biolstm", "transformer", "token_transformer"):
        norms = [x for x in small_model(name, "PH")[2].layers if isinstance(x, keras.layers.BatchNormalization)]
        assert [x.momentum for x in norms] == [0.99] * (2 if name == "token_transformer" else 1)
