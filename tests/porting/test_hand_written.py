"""Models of other people's making: attentions by hand, models within models, archives of Keras 2.12 to 2.15."""

from __future__ import annotations

import checkpoints as other
import hand_written
import numpy as np
import pytest
import tensorflow as tf
from loading import GENES, agree, features, genes, load, write

from genexp.porting.attention import with_parts
from genexp.porting.match import match
from genexp.porting.reading import read_checkpoint
from genexp.porting.weights import Checkpoint, LayerWeights


def embedded(size: int) -> np.ndarray:
    return np.random.default_rng(2).normal(size=(GENES, 210, size)).astype(np.float32)


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize(
    ("kind", "names", "size", "heads", "key", "ff", "depth"),
    [
        (".keras", "tutorial", 64, 4, 64, 384, 1),
        (".keras", "backwards", 16, 2, 8, 16, 2),  # everything square: only names and connections tell
        (".weights.h5", "short", 32, 4, 16, 32, 1),
        (".h5", "tutorial", 32, 2, 16, 48, 2),
        ("checkpoint", "short", 16, 4, 4, 64, 1),
        ("export", "tutorial", 16, 4, 8, 24, 1),
    ],
)
def test_attention_written_by_hand(tmp_path, kind, names, size, heads, key, ff, depth):
    model = hand_written.transformer(size, heads, key, ff, names, depth)
    other.randomise(model)
    ours, _, _, config = load(write(model, kind, tmp_path), "transformer", "P", heads=heads)
    assert (config.heads, config.key_dim, config.ff_dim, config.depth) == (heads, key, ff, depth)
    agree(model(embedded(size)), ours({"promoter": embedded(size)}))


@pytest.mark.parametrize(("named", "notes"), [(True, 1), (False, 2)])
def test_what_nothing_tells_is_said(named, notes):
    """Without a config the number of heads is a guess; without names the parts are, too."""
    rng = np.random.default_rng(0)
    names = ("wk", "wo", "wq", "wv") if named else ("dense", "dense_1", "dense_2", "dense_3")
    shapes = [(8, 12), (12, 8), (8, 12), (8, 12)] if named else [(8, 12), (8, 12), (8, 12), (12, 8)]
    layers = tuple(
        LayerWeights(f"block/att/{name}", {"kernel": rng.normal(size=shape), "bias": rng.normal(size=shape[1])})
        for name, shape in zip(names, shapes, strict=True)
    )
    found = with_parts(Checkpoint("x", "x", layers), 3)
    parts = {layer.part: layer for layer in found.layers}
    assert {part: layer.arrays["kernel"].shape for part, layer in parts.items()} == {
        **dict.fromkeys(("query", "key", "value"), (8, 3, 4)),
        "output": (3, 4, 8),
    }
    assert parts["query"].name == f"block/att/{'wq' if named else 'dense'}"
    assert len(found.notes) == notes
    assert "model.heads=3" in found.notes[-1]


def test_a_layer_called_output_is_no_attention(tmp_path):
    """Heads of regression nets are often called so."""
    layers = (LayerWeights("output", {"kernel": np.zeros((64, 1)), "bias": np.zeros(1)}, "output"),)
    assert with_parts(Checkpoint("x", "x", layers), 4).layers[0].part == ""


@pytest.mark.parametrize("kind", [".keras", ".weights.h5"])
def test_parts_that_are_models_of_their_own(tmp_path, kind):
    """The layers of a part stay together; weights alone say the order of the parts by that of the file."""
    model = hand_written.nested_divide_et_impera(2_500)
    other.randomise(model)
    path = write(model, kind, tmp_path)
    if kind == ".weights.h5":
        ours, *_ = load(path, "divide_et_impera", "P", window=[7_500, 10_000])
        notes = match(read_checkpoint(str(path)), ours).notes
        assert "34 layers of equal shapes could change places" in notes[0]
        return
    ours, *_ = load(path, "divide_et_impera", "P")
    tokens, one_hot = genes(2_500)
    agree(model(one_hot), ours({"promoter": tokens}))


def test_a_checkpoint_that_knows_names_only(tmp_path):
    """Those of TensorFlow 1: layers are taken in the order in which they were made, which their numbers tell."""
    model = other.plain_divide_et_impera(2_500, 8, range(10))
    other.randomise(model)
    values = {v.path: np.asarray(v) for v in model.weights}
    slots = {f"{path}/Momentum": array for path, array in values.items()} | {"global_step": np.int64(3)}
    tf.raw_ops.SaveV2(
        prefix=str(tmp_path / "model.ckpt-3"),
        tensor_names=[*values, *slots],
        shape_and_slices=[""] * (len(values) + len(slots)),
        tensors=[*values.values(), *slots.values()],
    )
    ours, *_ = load(tmp_path / "model.ckpt-3", "divide_et_impera", "PH", window=[7_500, 10_000])
    tokens, one_hot = genes(2_500)
    agree(model([one_hot, features(8)]), ours({"promoter": tokens, "halflife": features(8)}))


@pytest.mark.parametrize(
    ("place", "twice", "windows"),
    [
        ("layers", False, False),
        ("_layer_checkpoint_dependencies", True, True),
    ],
)
def test_archives_that_name_layers_by_class(tmp_path, place, twice, windows):
    """The numbers of the file are connected with the config, whatever the layers are called there."""
    model = other.plain_token_transformer(1_500, 8)
    other.randomise(model)
    path = hand_written.as_keras_2(write(model, ".keras", tmp_path), place, twice=twice, windows=windows)
    ours, *_ = load(path, "token_transformer", "PH")
    tokens = np.minimum(genes(1_500)[0], 4)
    agree(model([tokens, features(8)]), ours({"promoter": tokens, "halflife": features(8)}))


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize(
    ("kind", "order", "widths"),
    [
        (".keras", "HP", {"H": 8}),
        (".keras", "PTH", {"T": 181, "H": 8}),
        (".h5", "MPHT", {"M": 100, "T": 181, "H": 6}),
        (".h5", "TPM", {"M": 2064, "T": 181}),
    ],
)
def test_blocks_joined_in_another_order(tmp_path, kind, order, widths):
    model = hand_written.joined_xpresso(order, widths)
    other.randomise(model)
    data = "".join(b for b in "PHTM" if b in order)
    ours, _, sizes, _ = load(write(model, kind, tmp_path), "xpresso", data)
    assert sizes.widths == widths
    tokens, one_hot = genes(10_500)
    named = {name: features(widths[b]) for b, name in zip("HTM", ("halflife", "tf", "mirna"), strict=True) if b in data}
    agree(model([*(features(n) for n in widths.values()), one_hot]), ours({"promoter": tokens, **named}))


def test_features_in_one_input_before_the_promoter(tmp_path):
    model = hand_written.joined_xpresso("XP", {"H": 8, "T": 181}, one_input=True)
    other.randomise(model)
    path = write(model, ".keras", tmp_path)
    ours, *_ = load(path, "xpresso", "PHT")
    tokens, one_hot = genes(10_500)
    both = features(189)
    agree(model([both, one_hot]), ours({"promoter": tokens, "halflife": both[:, :8], "tf": both[:, 8:]}))
    assert match(read_checkpoint(str(path)), ours).notes == (
        "the features come in one input: its columns are taken as H, T",
    )
    alone = match(read_checkpoint(str(write(model, ".weights.h5", tmp_path))), ours).notes
    assert alone == ("the checkpoint does not say in which order its inputs are joined: taken as the promoter, H, T",)
