"""Settings without weights: the same as ours, or the checkpoint is refused; and what the file does not say is named."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import checkpoints as other
import h5py
import hand_written
import keras
import numpy as np
import pytest
from keras import layers
from loading import GENES, agree, features, genes, load, write

from genexp.errors import UserError


def xpresso(**changes) -> keras.Model:
    """Return Xpresso with other settings of some layers, named by their numbers in the model."""
    settings = {
        "conv": {"padding": "same", "activation": "relu"},
        "pool": {},
        "dense": {"activation": "relu"},
        "out": {},
        "kind": layers.MaxPooling1D,
        **changes,
    }
    promoter, halflife = keras.Input((10_500, 4)), keras.Input((8,))
    x = layers.Conv1D(128, 6, padding="same", activation="relu", name="first")(promoter)
    x = settings["kind"](30, name="pool_1", **settings["pool"])(x)
    x = layers.Conv1D(32, 9, name="second", **settings["conv"])(x)
    x = layers.Flatten()(layers.MaxPooling1D(10)(x))
    x = layers.Dense(64, name="hidden", **settings["dense"])(layers.Concatenate()([x, halflife]))
    x = layers.Dense(2, activation="relu")(x)
    return keras.Model([promoter, halflife], layers.Dense(1, name="last", **settings["out"])(x))


@pytest.mark.parametrize(
    ("changes", "layer", "expected", "found"),
    [
        ({"conv": {"padding": "same", "activation": "elu"}}, "second", "activation relu", "activation elu"),
        (
            {"conv": {"padding": "same", "activation": "relu", "dilation_rate": 2}},
            "second",
            "dilation_rate 1",
            "dilation_rate 2",
        ),
        ({"conv": {"padding": "causal", "activation": "relu"}}, "second", "padding same", "padding causal"),
        ({"conv": {"padding": "same"}}, "the input of max_pooling1d", "activation relu", "nothing"),
        (
            {"kind": layers.AveragePooling1D},
            "pool_1",
            "MaxPooling1D of 30, strides 30, padding valid",
            "AveragePooling1D of 30",
        ),
        ({"pool": {"padding": "same"}}, "pool_1", "padding valid", "padding same"),
        ({"dense": {"activation": "tanh"}}, "hidden", "activation relu", "activation tanh"),
        ({"out": {"activation": "sigmoid"}}, "last", "nothing", "activation sigmoid"),
    ],
)
def test_another_setting_is_refused(tmp_path, changes, layer, expected, found):
    path = write(xpresso(**changes), ".keras", tmp_path)
    with pytest.raises(UserError, match="does something else than the model") as caught:
        load(path, "xpresso", "PH")
    where, wanted, received = str(caught.value).splitlines()[1:4]
    assert layer in where
    assert expected in wanted
    assert found in received


def test_an_activation_of_its_own_layer_is_the_same(tmp_path):
    """Dense and Activation, convolution and ReLU after pooling: other layers, the same function."""
    promoter, halflife = keras.Input((10_500, 4)), keras.Input((8,))
    x = layers.ReLU()(layers.MaxPooling1D(30)(layers.Conv1D(128, 6, padding="same")(promoter)))
    x = layers.Conv1D(32, 9, padding="same")(x)
    x = layers.Flatten()(layers.MaxPooling1D(10)(layers.Activation("relu")(x)))
    x = layers.Activation("relu")(layers.Dense(64)(layers.Concatenate()([x, halflife])))
    x = layers.Activation("relu")(layers.Dense(2)(x))
    model = keras.Model([promoter, halflife], layers.Dense(1)(x))
    other.randomise(model)
    ported = load(write(model, ".keras", tmp_path), "xpresso", "PH")
    tokens, one_hot = genes(10_500)
    agree(model([one_hot, features(8)]), ported.model({"promoter": tokens, "halflife": features(8)}))
    assert not any("state" in warning for warning in ported.warnings)


@pytest.mark.parametrize(("model", "change"), [("biolstm", "epsilon"), ("biolstm", "go_backwards")])
def test_settings_of_normalisations_and_recurrent_layers(tmp_path, model, change):
    promoter = keras.Input((210, 64))
    x = layers.BatchNormalization(**({"epsilon": 1e-5} if change == "epsilon" else {}))(promoter)
    x = layers.LSTM(100, go_backwards=change == "go_backwards")(x)
    x = layers.Dense(1)(layers.Dense(90, activation="relu")(x))
    path = write(keras.Model(promoter, x), ".keras", tmp_path)
    with pytest.raises(UserError, match=f"expected: {change}"):
        load(path, model, "P")


@pytest.mark.parametrize(
    ("order", "widths", "data"),
    [
        ("HP", {"H": 8}, "PH"),  # joined before the promoter
        ("HPT", {"H": 8, "T": 181}, "PHT"),
        ("XP", {"H": 8, "T": 181}, "PHT"),  # one input with all features
        ("PX", {"H": 8, "T": 181}, "PHT"),
    ],
)
def test_blocks_joined_in_another_order(tmp_path, order, widths, data):
    path = write(hand_written.joined_xpresso(order, widths, one_input="X" in order), ".keras", tmp_path)
    with pytest.raises(UserError, match="or joins them in another order"):
        load(path, "xpresso", data)


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize("kind", [".keras", ".h5"])
def test_inputs_in_another_order_than_they_are_joined(tmp_path, kind):
    model = hand_written.joined_xpresso("PHT", {"T": 181, "H": 8})
    other.randomise(model)
    ported = load(write(model, kind, tmp_path), "xpresso", "PHT")
    assert ported.shapes.widths == {"H": 8, "T": 181}
    tokens, one_hot = genes(10_500)
    agree(
        model([features(181), features(8), one_hot]),
        ported.model({"promoter": tokens, "halflife": features(8), "tf": features(181)}),
    )


def test_what_weights_alone_do_not_say(tmp_path):
    model = hand_written.joined_xpresso("PHT", {"H": 8, "T": 181})
    warnings = load(write(model, ".weights.h5", tmp_path), "xpresso", "PHT").warnings
    assert any("in which order its inputs are joined: P, H, T is assumed" in warning for warning in warnings)
    assert any("does not state activations" in warning for warning in warnings)


@pytest.mark.parametrize(
    ("place", "twice", "windows"), [("layers", False, False), ("_layer_checkpoint_dependencies", True, True)]
)
def test_archives_that_name_layers_by_class(tmp_path, place, twice, windows):
    """The numbers of the file are connected with the config, whatever the layers are called there."""
    model = other.plain_token_transformer(1_500, 8)
    other.randomise(model)
    path = hand_written.as_keras_2(write(model, ".keras", tmp_path), place, twice=twice, windows=windows)
    ported = load(path, "token_transformer", "PH", window=[9_500, 11_000])
    tokens = np.minimum(genes(1_500)[0], 4)
    agree(model([tokens, features(8)]), ported.model({"promoter": tokens, "halflife": features(8)}))


@pytest.mark.parametrize("kind", [".keras", ".weights.h5"])
def test_parallel_models_within_the_model_are_refused(tmp_path, kind):
    path = write(hand_written.nested_divide_et_impera(2_500), kind, tmp_path)
    with pytest.raises(UserError, match="models within the model cannot be imported"):
        load(path, "divide_et_impera", "P", window=[7_500, 10_000])


def test_another_architecture_is_named_as_such(tmp_path):
    promoter = keras.Input((10_500, 4))
    x = layers.BatchNormalization()(layers.Conv1D(8, 3)(promoter))
    path = write(keras.Model(promoter, layers.Dense(1)(layers.GlobalMaxPooling1D()(x))), ".keras", tmp_path)
    with pytest.raises(UserError, match="not a model that genexp knows as xpresso") as caught:
        load(path, "xpresso", "P")
    assert "received: 1 x convolution, 1 x batch normalization, 1 x dense" in str(caught.value)
    assert "biolstm" in str(caught.value)


@pytest.mark.parametrize(
    ("length", "expected"), [(10_500, [(3_000, 13_500), (9_500, 20_000)]), (10_000, [(3_500, 13_500)]), (18_850, [])]
)
def test_a_window_that_the_file_does_not_state(tmp_path, length, expected):
    """Of several published ones the likely one is taken, with a warning; of none it is asked for."""
    path = write(other.plain_xpresso(length, 8), ".keras", tmp_path)
    if not expected:
        with pytest.raises(UserError, match=r"give data\.window=") as caught:
            load(path, "xpresso", "PH")
        assert "18,850 nt" in str(caught.value)
        assert load(path, "xpresso", "PH", window=[1_150, 20_000]).window == (1_150, 20_000)
        return
    ported = load(path, "xpresso", "PH")
    assert ported.window == expected[0]
    told = [warning for warning in ported.warnings if "where its window lies" in warning]
    assert len(told) == len(expected) - 1
    assert all(str(list(expected[-1])) in warning for warning in told)


def test_public_weights_without_their_unnamed_features(tmp_path):
    """With six half-life features whose names nobody published: as the authors use them, at their mean."""
    model = other.plain_xpresso(10_500, 6)
    other.randomise(model)
    path = write(model, ".keras", tmp_path)
    tokens, one_hot = genes(10_500)
    ported = load(path, "xpresso", "P")
    agree(model([one_hot, np.zeros((GENES, 6), np.float32)]), ported.model({"promoter": tokens}))
    assert any("as if each were 0, its mean" in warning for warning in ported.warnings)


published = pytest.mark.skipif(
    "GENEXP_PUBLISHED" not in os.environ,
    reason="set GENEXP_PUBLISHED to a folder with the published checkpoints transformer_PH and xpresso_human",
)


@pytest.fixture
def transformer(tmp_path) -> Path:
    shutil.copytree(Path(os.environ["GENEXP_PUBLISHED"]) / "transformer_PH" / "saved_model", tmp_path / "saved")
    return tmp_path / "saved"


@published
@pytest.mark.parametrize(
    ("text", "other_text", "message"),
    [
        (b'"units": 384, "activation": "relu"', b'"units": 384, "activation": "tanh"', "activation tanh"),
        (b'"epsilon": 1e-06', b'"epsilon": 1e-03', "epsilon 0.001"),
        (b'"units": 100, "activation": "relu"', b'"units": 100, "activation": "selu"', "activation selu"),
    ],
)
def test_settings_inside_a_layer_of_a_saved_model(transformer, text, other_text, message):
    """Those of the encoder block stand apart, by the path of the layer in the object graph."""
    described = transformer / "keras_metadata.pb"
    content = described.read_bytes()
    assert text in content
    described.write_bytes(content.replace(text, other_text))
    with pytest.raises(UserError, match=message):
        load(transformer, "transformer", "PH")


@published
@pytest.mark.parametrize("copied", [("data-00000-of-00001",), ("index",), ("data-00000-of-00001", "index")])
def test_second_downloads(transformer, copied):
    variables = transformer / "variables"
    for part in copied:
        name = f"variables.{part}"
        copy = f"{name}(1)" if part.startswith("data") else "variables(1).index"
        shutil.copy(variables / name, variables / copy)
    named = [transformer, variables / "variables.index", variables / "variables"]
    for path in named + [variables / "variables(1).index"] * ("index" in copied):
        assert load(path, "transformer", "PH").checkpoint.parameters == 123_881


@published
def test_settings_of_a_keras_2_file(tmp_path):
    """Every setting of the published file is compared: nothing is left unsaid."""
    source = next((Path(os.environ["GENEXP_PUBLISHED"]) / "xpresso_human").glob("*.h5"))
    warnings = load(source, "xpresso", "PH").warnings
    assert [warning for warning in warnings if "window" not in warning] == []
    path = shutil.copy(source, tmp_path / "edited.h5")
    Path(path).chmod(0o644)
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        config["config"]["layers"][4]["config"]["strides"] = [5]
        file.attrs["model_config"] = json.dumps(config).encode()
    with pytest.raises(UserError, match="max_pooling1d_2"):
        load(path, "xpresso", "PH")
