"""A saved model is complete: it opens in plain Keras, without genexp, and gives the same answers."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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

from genexp.blocks import feature_blocks
from genexp.models import build_model, load_model, names
from genexp.run import RunDirectory
from genexp.training.loop import save_model

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


def is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def objects(config: Any) -> Iterator[dict[str, Any]]:
    """Yield every object in a saved config, those within others included."""
    if isinstance(config, dict):
        if "class_name" in config:
            yield config
        config = list(config.values())
    if isinstance(config, list) and not all(map(is_number, config)):
        for value in config:
            yield from objects(value)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every case as a checkpoint, its inputs and the answers of the model before it was saved."""
    folder = tmp_path_factory.mktemp("saved")
    for case, (name, changes, embedded) in CASES.items():
        config, window = model_config(name, **changes), window_of(name)
        data = feature_blocks() if name in WITHOUT_PROMOTER else "PHT"
        shapes = input_shapes(config, data, window, embedded=embedded)
        model = build_model(config, shapes)
        randomise(model)
        model.compile("adam", "mse")
        save_model(model, RunDirectory(folder / case), "best")
        inputs = model_inputs(config, shapes, random_genes(shapes, config, window))
        np.savez(folder / case / "inputs.npz", **inputs)
        np.save(folder / case / "answers.npy", predict(model, inputs))
        (folder / case / "parameters").write_text(str(model.count_params()))
    return folder


@pytest.mark.parametrize("case", CASES)
def test_a_checkpoint_opens_and_answers_as_before(case: str, saved: Path) -> None:
    path = RunDirectory(saved / case).checkpoint("best")
    opened = load_model(path)
    with np.load(saved / case / "inputs.npz") as inputs:
        np.testing.assert_array_equal(predict(opened, dict(inputs)), np.load(saved / case / "answers.npy"))
    assert opened.count_params() == int((saved / case / "parameters").read_text())
    with zipfile.ZipFile(path) as archive:
        text = archive.read("config.json").decode()
    own = [x for x in objects(json.loads(text)) if not x["class_name"].startswith("__")]
    assert len(own) > 5
    assert {str(x.get("module")).split(".")[0] for x in own} <= {"keras", "None"}
    assert "ambda" not in text


#: Open every checkpoint in a folder and compare its answers, in a process that cannot import genexp.
ELSEWHERE = """
import sys
sys.modules["genexp"] = None
from pathlib import Path
import keras
import numpy as np
for case in sorted(Path(sys.argv[1]).iterdir()):
    model = keras.saving.load_model(case / "checkpoints" / "best.keras")
    with np.load(case / "inputs.npz") as inputs:
        found = np.asarray(model(dict(inputs), training=False))
    np.testing.assert_allclose(found, np.load(case / "answers.npy"), rtol=1e-6, atol=1e-6, err_msg=case.name)
    print(case.name)
assert not any(name.startswith("genexp.") for name in sys.modules)
"""


def test_every_checkpoint_opens_in_plain_keras_where_genexp_is_not_installed(saved: Path) -> None:
    done = subprocess.run([sys.executable, "-c", ELSEWHERE, str(saved)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines() == sorted(CASES)


def test_frozen_vectors_are_copied_so_that_the_caller_may_reuse_the_array() -> None:
    config = model_config("biolstm", units=3, dense=2)
    shapes = input_shapes(config, "P", 100)
    assert shapes.vectors is not None
    model = build_model(config, shapes)
    inputs = model_inputs(config, shapes, random_genes(shapes, config, 100))
    before = predict(model, inputs)
    shapes.vectors[:] = 0
    np.testing.assert_array_equal(predict(model, inputs), before)
