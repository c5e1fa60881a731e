"""Changes of an input, computed in part, against the whole network: every architecture, layers of other settings."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers
from small_models import WITHOUT_PROMOTER, input_shapes, model_config, random_genes, small_model, window_of

from genexp.explain.networks import NAME, Network, SoftNetwork
from genexp.explain.partial import Partial, split
from genexp.features.kmers import chunk_counts
from genexp.models import build_model, names
from genexp.models.layers.strands import both_strands

OF_BASES = [name for name in names() if name not in WITHOUT_PROMOTER]


def one_gene(name, data="PH"):
    config, shapes, model = small_model(name, data)
    genes = {letter: x[2] for letter, x in random_genes(shapes, config, window_of(name)).items()}
    return config, model, genes.pop("P"), genes


@pytest.mark.parametrize("strands", [1, 2])
@pytest.mark.parametrize("name", OF_BASES)
def test_changed_bases_give_what_the_whole_model_gives(name, strands):
    config, model, tokens, features = one_gene(name)
    model = model if strands == 1 else both_strands(model)
    network, width, length = Network(model, config), 7, len(tokens)
    rng = np.random.default_rng(0)
    starts = np.array([0, 1, 46, 47, 48, length // 2, length - width - 1, length - width])
    pieces = rng.integers(0, 5, (len(starts), width)).astype(np.uint8)
    prediction = network.fix(tokens, features)
    found = network.with_pieces(starts, pieces)
    changed = np.repeat(tokens[None], len(starts) + 1, axis=0)
    for row, start in enumerate(starts):
        changed[row, start : start + width] = pieces[row]
    each = {letter: np.repeat(x[None], len(changed), axis=0) for letter, x in features.items()}
    whole = np.asarray(model(network.inputs(changed, each), training=False))
    scale = max(1.0, np.abs(whole).max())
    np.testing.assert_allclose(found, whole[:-1], atol=1e-4 * scale)
    np.testing.assert_allclose(prediction, whole[-1], atol=1e-4 * scale)
    assert np.ptp(found) > 0
    assert network.check(starts, pieces, found) < 1e-4 * scale


def test_layers_that_join_genes_and_positions():
    config = model_config("transformer", embedding={"kind": "learned"})
    shapes = input_shapes(config, "P", 300)
    model = build_model(config, shapes)
    tokens = random_genes(shapes, config, 300)["P"][2]
    network = Network(model, config)
    network.fix(tokens, {})
    starts, pieces = np.array([10, 249, 299]), np.array([[0], [1], [2]], np.uint8)
    assert network.check(starts, pieces, network.with_pieces(starts, pieces)) < 1e-6


def test_a_wrong_result_is_noticed():
    config, model, tokens, features = one_gene("xpresso")
    network = Network(model, config)
    network.fix(tokens, features)
    starts, pieces = np.arange(4), np.zeros((4, 1), np.uint8)
    with pytest.raises(RuntimeError, match="off by partial computation"):
        network.check(starts, pieces, network.with_pieces(starts, pieces) + 100)


def a_layer(kind, kernel, stride, dilation, padding):
    if kind in ("max", "average"):
        pooling = layers.MaxPooling1D if kind == "max" else layers.AveragePooling1D
        return pooling(kernel, strides=stride, padding="valid" if padding == "causal" else padding)
    dilation = dilation if stride == 1 else 1
    if kind == "depthwise":
        padding = "valid" if padding == "causal" else padding
        return layers.DepthwiseConv1D(kernel, strides=stride, dilation_rate=dilation, padding=padding)
    return layers.Conv1D(3, kernel, strides=stride, dilation_rate=dilation, padding=padding, activation="relu")


LAYER = st.tuples(
    st.sampled_from(["conv", "depthwise", "max", "average"]),
    st.integers(1, 6),
    st.integers(1, 3),
    st.integers(1, 3),
    st.sampled_from(["valid", "same", "causal"]),
)


@settings(max_examples=25)
@given(st.lists(LAYER, min_size=1, max_size=3), st.integers(0, 149), st.integers(1, 8), st.integers(0, 2**20))
def test_layers_of_any_size_stride_dilation_and_padding(stack, start, width, seed):
    inputs = {NAME: keras.Input((150, 2), name=NAME)}
    x = inputs[NAME]
    for one in stack:
        x = a_layer(*one)(x)
    left, right = x[:, :2], x[:, 1:]
    x = layers.Concatenate(axis=1)([layers.BatchNormalization()(left), right * 2.0, x])
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))
    rng, width = np.random.default_rng(seed), min(width, 150 - start)
    reference = rng.normal(size=(1, 150, 2)).astype(np.float32)
    part = rng.normal(size=(5, width, 2)).astype(np.float32)
    changed = np.repeat(reference, 5, axis=0)
    changed[:, start : start + width] = part
    partial = Partial(model)
    partial.fix({NAME: reference})
    whole = np.asarray(model({NAME: changed}, training=False))
    np.testing.assert_allclose(partial(NAME, part, start), whole, rtol=1e-4, atol=1e-5)


def test_a_network_cut_in_two_is_the_same_network():
    config, model, tokens, features = one_gene("xpresso", "PHT")
    inputs = Network(model, config).inputs(tokens[None], {letter: x[None] for letter, x in features.items()})
    first, second = split(model, ["halflife", "tf"])
    middle = keras.tree.flatten(first.predict_on_batch({NAME: inputs[NAME]}))
    found = second.predict_on_batch([*middle, inputs["halflife"], inputs["tf"]])
    np.testing.assert_allclose(found, model(inputs, training=False), rtol=1e-5)
    assert split(small_model("fc_net", "HT")[2], ["halflife", "tf"])[0] is None


@pytest.mark.parametrize("name", OF_BASES)
def test_shares_of_bases_that_are_0_or_1_give_the_prediction(name):
    config, model, tokens, features = one_gene(name)
    network = Network(both_strands(model) if name == "xpresso" else model, config)
    prediction = network.fix(tokens, features)
    shares = np.eye(5, 4, dtype=np.float32)[tokens][None]
    np.testing.assert_allclose(SoftNetwork(network)(shares, features)[0], prediction, rtol=1e-5)


def test_counts_of_k_mers_are_linear_in_the_shares_at_each_position():
    config, model, tokens, _ = one_gene("transformer")
    soft = SoftNetwork(Network(model, config))
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 4, (4, len(tokens))).astype(np.uint8)
    one_hot = np.eye(4, dtype=np.float32)[tokens]
    np.testing.assert_array_equal(soft._encoded(one_hot), chunk_counts(tokens, config.k, config.chunk))
    mixed = one_hot[:1].copy()
    mixed[0, 60] = [0.25, 0.25, 0.5, 0]
    each = np.repeat(one_hot[:1], 4, axis=0)
    each[:, 60] = np.eye(4)
    expected = np.tensordot([0.25, 0.25, 0.5, 0], np.asarray(soft._encoded(each)), 1)
    np.testing.assert_allclose(np.asarray(soft._encoded(mixed))[0], expected, atol=1e-5)
