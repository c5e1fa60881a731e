"""Checkpoints as others write them: plain Keras models, and Keras 2 files made by hand with h5py."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import h5py
import keras
import numpy as np
from keras import layers

#: One layer of ours holds the token and the position embedding of the original.
TOKEN_LAYER = "token_and_position_embedding"


def write_keras2(
    path: Path, weights: dict[str, dict[str, np.ndarray]], config: dict | None = None, *, optimizer: bool = True
) -> Path:
    """Write layers in the layout of Keras 2.0: attributes name the layers and their variables, in order."""
    with h5py.File(path, "w") as file:
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [name.encode() for name in ["input_1", *weights]]
        group.attrs["keras_version"] = b"2.2.4"
        group.create_group("input_1").attrs["weight_names"] = np.zeros(0)
        for name, arrays in weights.items():
            own = group.create_group(name)
            own.attrs["weight_names"] = [f"{name}/{role}:0".encode() for role in arrays]
            for role, array in arrays.items():
                own[f"{name}/{role}:0"] = array
        if optimizer:
            slots = file.create_group("optimizer_weights")
            slots.attrs["weight_names"] = [b"iterations:0", b"Variable:0"]
            slots["iterations:0"] = 3
            slots["Variable:0"] = np.zeros((6, 4, 128), np.float32)
        if config is not None:
            file.attrs["model_config"] = json.dumps(config).encode()
    return path


def as_layers(model: keras.Model) -> dict[str, dict[str, np.ndarray]]:
    """Return the weights of one of our models under the numbered names that Keras gives to layers."""
    grouped: dict[str, dict[str, np.ndarray]] = {}
    for variable in model.weights:
        name, _, role = variable.path.rpartition("/")
        if "seed" in role:
            continue
        if name == TOKEN_LAYER:
            grouped.setdefault("embedding" if role == "kernel" else "embedding_1", {})["embeddings"] = np.asarray(
                variable
            )
        else:
            grouped.setdefault(name, {})[role] = np.asarray(variable)
    order = [layer.name for layer in model.layers]
    names = sorted(grouped, key=lambda n: order.index(n.split("/")[0]) if n.split("/")[0] in order else 0)
    renamed = {}
    for number, name in enumerate(names):
        part = name.split("/")[-1] if "attention" in name else ""
        renamed[f"block/multi_head_attention/{part}" if part else f"layer_{number}"] = grouped[name]
    return renamed


def plain_xpresso(window: int, features: int, name: str = "conv1d") -> keras.Model:
    """Xpresso as a plain Keras script has it: one-hot promoter, names made by Keras."""
    promoter, halflife = keras.Input((window, 4)), keras.Input((features,))
    x = layers.Conv1D(128, 6, padding="same", activation="relu", name=f"{name}_a")(promoter)
    x = layers.MaxPooling1D(30)(x)
    x = layers.Conv1D(32, 9, padding="same", activation="relu", name=f"{name}_b")(x)
    x = layers.Flatten()(layers.MaxPooling1D(10)(x))
    x = layers.Dense(64, activation="relu")(layers.Concatenate()([x, halflife]))
    x = layers.Dense(2, activation="relu")(layers.Dropout(0.00099)(x))
    return keras.Model([promoter, halflife], layers.Dense(1)(layers.Dropout(0.01546)(x)))


def plain_divide_et_impera(window: int, features: int, order: Iterable[int] = (3, 0, 9, 1, 2, 8, 4, 7, 5, 6)):
    """DivideEtImpera as a plain Keras script has it, its parts made in an order of their own."""
    promoter, halflife = keras.Input((window, 4)), keras.Input((features,))
    size, made = window // 10, {}
    for part in order:
        x = promoter[:, part * size : (part + 1) * size, :]
        x = layers.MaxPooling1D(5)(layers.Conv1D(128, 3, padding="same", activation="relu")(x))
        x = layers.Conv1D(128, 3, padding="same", activation="relu")(x)
        x = layers.Conv1D(128, 3, padding="same", activation="relu")(x)
        made[part] = layers.MaxPooling1D(5)(x)
    x = layers.Concatenate(axis=1)([made[n] for n in range(10)])
    x = layers.MaxPooling1D(5)(layers.Conv1D(128, 3, padding="same", activation="relu")(x))
    for _ in range(3):
        x = layers.Conv1D(128, 3, padding="same", activation="relu")(x)
    x = layers.Dense(64, activation="relu")(layers.Concatenate()([layers.Flatten()(x), halflife]))
    x = layers.Dense(64, activation="relu")(x)
    return keras.Model([promoter, halflife], layers.Dense(1)(x))


@keras.saving.register_keras_serializable("tests")
class Embeddings(layers.Layer):
    """Token and position embedding in one layer, as tutorials write it."""

    def __init__(self, window: int, vocabulary: int, size: int, **options):
        super().__init__(**options)
        self.sizes = (window, vocabulary, size)
        self.token_emb = layers.Embedding(vocabulary, size)
        self.pos_emb = layers.Embedding(window, size)

    def build(self, shape):
        self.token_emb.build(shape)
        self.pos_emb.build((self.sizes[0],))

    def call(self, x):
        return self.token_emb(x) + self.pos_emb(keras.ops.arange(self.sizes[0]))

    def get_config(self):
        return {**super().get_config(), **dict(zip(("window", "vocabulary", "size"), self.sizes, strict=True))}


@keras.saving.register_keras_serializable("tests")
class Block(layers.Layer):
    """The encoder block in one layer, as tutorials write it."""

    def __init__(self, size: int, heads: int, ff: int, **options):
        super().__init__(**options)
        self.sizes = (size, heads, ff)
        self.att = layers.MultiHeadAttention(heads, size)
        self.ffn = keras.Sequential([layers.Dense(ff, activation="relu"), layers.Dense(size)])
        self.layernorm1 = layers.LayerNormalization(epsilon=1e-6)
        self.layernorm2 = layers.LayerNormalization(epsilon=1e-6)

    def build(self, shape):
        self.att.build(shape, shape)
        for part in (self.ffn, self.layernorm1, self.layernorm2):
            part.build(shape)

    def call(self, x):
        x = self.layernorm1(x + self.att(x, x))
        return self.layernorm2(x + self.ffn(x))

    def get_config(self):
        return {**super().get_config(), **dict(zip(("size", "heads", "ff"), self.sizes, strict=True))}


def plain_token_transformer(window: int, features: int, vocabulary: int = 5, size: int = 32) -> keras.Model:
    """Token transformer as a plain Keras script has it; the shortcut is made and added first."""
    tokens, halflife = keras.Input((window,), dtype="int32"), keras.Input((features,))
    embedded = Embeddings(window, vocabulary, size)(tokens)
    shortcut = layers.BatchNormalization()(layers.AveragePooling1D(300)(embedded))
    x = layers.AveragePooling1D(30)(layers.Conv1D(size, 6, padding="same", activation="relu")(embedded))
    x = layers.AveragePooling1D(10)(layers.Conv1D(size, 9, padding="same", activation="relu")(x))
    x = Block(size, 1, 64)(layers.Add()([shortcut, layers.BatchNormalization()(x)]))
    x = layers.Dense(64, activation="relu")(layers.Concatenate()([layers.Flatten()(x), halflife]))
    return keras.Model([tokens, halflife], layers.Dense(1)(layers.Dense(64, activation="relu")(x)))


def plain_biolstm(chunks: int, size: int, *features: int) -> keras.Model:
    """BioLSTM as a plain Keras script has it."""
    inputs = [keras.Input((chunks, size)), *(keras.Input((n,)) for n in features)]
    x = layers.LSTM(100)(layers.BatchNormalization()(inputs[0]))
    x = layers.Dense(90, activation="relu")(layers.Concatenate()([x, *inputs[1:]]))
    return keras.Model(inputs, layers.Dense(1)(x))


def plain_fc_net(width: int) -> keras.Model:
    """The net on transcription factors as a plain Keras script has it."""
    factors = keras.Input((width,))
    x = layers.Dense(64, activation="relu")(factors)
    return keras.Model(factors, layers.Dense(1)(layers.Dense(2, activation="relu")(x)))


def randomise(model: keras.Model, seed: int = 5) -> None:
    """Give every weight random values of a size that shows in the output."""
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        if "seed" in variable.path:
            continue
        shape = tuple(variable.shape)
        value = rng.normal(0, 1.3 * np.prod(shape[:-1] or (30,)) ** -0.5, shape)
        positive = "variance" in variable.path or len(shape) == 1 or shape[-1] == 2  # a bottleneck that is alive
        variable.assign(np.abs(value) + 0.05 if positive else value)
