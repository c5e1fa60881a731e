"""Models within models, blocks joined in another order, and archives of older releases."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
from keras import layers


def nested_divide_et_impera(window: int) -> keras.Model:
    """Return DivideEtImpera on promoters alone, each part a model of its own, made in an order of their own."""
    promoter = keras.Input((window, 4))
    size, made = window // 10, {}
    for part in (3, 0, 9, 1, 2, 8, 4, 7, 5, 6):
        inside = [layers.Conv1D(128, 3, padding="same", activation="relu") for _ in range(3)]
        model = keras.Sequential(
            [layers.Input((size, 4)), inside[0], layers.MaxPooling1D(5), *inside[1:], layers.MaxPooling1D(5)]
        )
        made[part] = model(layers.Cropping1D((part * size, window - (part + 1) * size))(promoter))
    x = made[0]
    for n in range(1, 10):  # joined step by step
        x = layers.Concatenate(axis=1)([x, made[n]])
    x = layers.MaxPooling1D(5)(layers.Conv1D(128, 3, padding="same", activation="relu")(x))
    for _ in range(3):
        x = layers.Conv1D(128, 3, padding="same", activation="relu")(x)
    x = layers.Dense(64, activation="relu")(layers.Flatten()(x))
    return keras.Model(promoter, layers.Dense(1)(layers.Dense(64, activation="relu")(x)))


def joined_xpresso(order: str, widths: dict[str, int], *, one_input: bool = False) -> keras.Model:
    """Return Xpresso whose blocks are joined in another order; inputs in the order of `widths`."""
    promoter = keras.Input((10_500, 4))
    encoder = keras.Sequential(
        [
            layers.Input((10_500, 4)),
            layers.Conv1D(128, 6, padding="same", activation="relu"),
            layers.MaxPooling1D(30),
            layers.Conv1D(32, 9, padding="same", activation="relu"),
            layers.MaxPooling1D(10),
            layers.Flatten(),
        ]
    )
    blocks = (
        {"X": keras.Input((sum(widths.values()),))} if one_input else {b: keras.Input((n,)) for b, n in widths.items()}
    )
    x = layers.Concatenate()([{"P": encoder(promoter), **blocks}[block] for block in order])
    dense = [layers.Dense(64, activation="relu"), layers.Dense(2, activation="relu"), layers.Dense(1)]
    return keras.Model([*blocks.values(), promoter], keras.Sequential(dense)(x))


def as_keras_2(path: Path, place: str = "layers", *, twice: bool = False, windows: bool = False) -> Path:
    """Rewrite a ``.keras`` file as Keras 2.12 to 2.15 did: no names beside the variables, and numbers by class.

    With `twice`, layers with weights are counted twice, as 2.12 did.
    """
    with zipfile.ZipFile(path) as archive:
        config, weights = archive.read("config.json"), archive.read("model.weights.h5")
    variables: dict[str, np.ndarray] = {}
    with h5py.File(io.BytesIO(weights), "r") as file:
        file.visititems(lambda n, o: variables.update({n: o[()]} if isinstance(o, h5py.Dataset) else {}))
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        for name, array in variables.items():
            words = name.split("/")
            if words[0] == "layers":
                number = re.search(r"_(\d+)$", words[1])
                if twice and number:
                    words[1] = f"{words[1][: number.start()]}_{int(number[1]) * 2}"
                words[0] = place
            group = ("\\" if windows else "/").join(words[:-2])
            file.require_group(group).require_group("vars")[words[-1]] = array
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", config)
        archive.writestr("metadata.json", '{"keras_version": "2.12.0"}')
        archive.writestr("model.weights.h5", out.getvalue())
    return path
