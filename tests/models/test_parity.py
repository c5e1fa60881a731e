"""Each architecture must be what its description says: the same numbers as a plain NumPy forward pass.

The second half replaces one step of that forward pass at a time by a plausible mistake, and asks that it shows: what
the parity tests let pass, they do not pin.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy_forward
import pytest
from small_models import (
    input_shapes,
    model_config,
    model_inputs,
    predict,
    random_genes,
    randomise,
    readable,
    small_model,
    weights,
    window_of,
)

from genexp.models import InputShapes, build_model, names

TOLERANCE = 1e-5


def difference(config: Any, shapes: InputShapes, model: keras.Model, window: int) -> float:
    """Return the largest difference between Keras and NumPy, relative where the answers exceed 1."""
    genes = random_genes(shapes, config, window)
    w = weights(model)
    vectors = w.get("embedding/kernel", shapes.vectors)
    expected = numpy_forward.forward(config, genes, w, vectors)
    answers = predict(model, model_inputs(config, shapes, genes))
    assert answers.shape == expected.shape == (len(answers), 1)
    assert expected.std() > 1e-2, "answers that do not vary prove nothing"
    return float(np.max(np.abs(answers - expected) / np.maximum(np.abs(expected), 1)))


def small_difference(name: str, data: str) -> float:
    config, shapes, model = small_model(name, data)
    return difference(config, shapes, model, window_of(name))


def test_every_model_has_a_numpy_forward_pass() -> None:
    of_their_own = {path.stem.removeprefix("test_") for path in Path(__file__).parent.glob("test_*.py")}
    assert set(names()) <= {*numpy_forward.ENCODERS, "fc_net", *of_their_own}


@pytest.mark.parametrize(("name", "data"), readable([*numpy_forward.ENCODERS, "fc_net"]))
def test_keras_equals_numpy(name: str, data: str) -> None:
    assert small_difference(name, data) < TOLERANCE


OTHER_SIZES = {
    "xpresso, even kernels": ("xpresso", 101, {"kernels": [4, 2], "pools": [3, 7], "filters": [5, 6], "dense": [4, 3]}),
    "divide_et_impera, ragged join": ("divide_et_impera", 87, {"parts": 3, "kernel": 4, "pool": 2, "filters": 6}),
    "divide_et_impera, one part": ("divide_et_impera", 130, {"parts": 1, "filters": 6}),
    "biolstm, 2-mers": ("biolstm", 63, {"k": 2, "chunk": 9, "embed_dim": 5, "units": 4, "dense": 6}),
    "biolstm, chunks of one 3-mer": ("biolstm", 63, {"chunk": 3}),
    "transformer, depth 3": ("transformer", 150, {"depth": 3, "heads": 3, "key_dim": 5, "ff_dim": 7, "dense": 9}),
    "transformer, odd width": ("transformer", 84, {"k": 4, "chunk": 12, "embed_dim": 7}),
    "token_transformer, vocabulary 4": ("token_transformer", 1237, {"vocab_size": 4}),
    "token_transformer, two heads": (
        "token_transformer",
        97,
        {"embed_dim": 6, "heads": 2, "key_dim": 5, "ff_dim": 7, "pools": [4, 3], "kernels": [4, 3], "dense": [5, 4]},
    ),
    "fc_net": ("fc_net", 0, {"dense": [7, 3]}),
    "fc_net, knots": ("fc_net", 0, {"knots": 5}),
    "transformer, knots": ("transformer", 150, {"knots": 2}),
    "xpresso, branches": ("xpresso", 1237, {"branch": 7, "knots": 3}),
    "biolstm, branches": ("biolstm", 63, {"chunk": 3, "branch": 5}),
    "kmer_net, 2-mers": ("kmer_net", 66, {"k": 2, "chunk": 11, "branch": None, "dense": 5}),
}


@pytest.mark.parametrize("case", OTHER_SIZES)
def test_other_sizes_equal_numpy(case: str) -> None:
    name, window, changes = OTHER_SIZES[case]
    config = model_config(name, **changes)
    shapes = input_shapes(config, "HT" if name == "fc_net" else "PHT", window)
    model = build_model(config, shapes)
    randomise(model)
    assert difference(config, shapes, model, window) < TOLERANCE


@pytest.mark.parametrize(
    ("changes", "embedded"),
    [
        ({"embedding": {"kind": "random"}}, False),
        ({"embedding": {"kind": "learned"}}, False),
        ({"embedding": {"trainable": True}}, False),
        ({"embedding": {"kind": "counts"}}, False),
        ({"embedding": {"kind": "counts"}, "k": 2, "embed_dim": 16}, False),
        ({}, True),
    ],
    ids=["random", "learned", "trainable", "counts", "counts of 2-mers", "embedded"],
)
@pytest.mark.parametrize("name", ["biolstm", "transformer"])
def test_every_embedding_equals_numpy(name: str, changes: dict[str, Any], embedded: bool) -> None:
    config = model_config(name, **changes)
    shapes = input_shapes(config, "PH", 200, embedded=embedded)
    model = build_model(config, shapes)
    randomise(model)
    assert difference(config, shapes, model, 200) < TOLERANCE


def _right_aligned_pool(x: np.ndarray, size: int, reduce: Any) -> np.ndarray:
    n = x.shape[1] // size
    return reduce(x[:, x.shape[1] - n * size :].reshape(len(x), n, size, x.shape[2]), axis=2)


def _channels_first(x: np.ndarray) -> np.ndarray:
    return x.transpose(0, 2, 1).reshape(len(x), -1)


def _swapped_sine_and_cosine(length: int, width: int) -> np.ndarray:
    return RIGHT_POSITIONS(length, width)[:, np.arange(width) ^ 1]


def _halved_positions(length: int, width: int) -> np.ndarray:
    """Sines in the first half of the channels and cosines in the second."""
    table = RIGHT_POSITIONS(length, width)
    return np.concatenate([table[:, ::2], table[:, 1::2]], axis=1)


def _positions_from_one(length: int, width: int) -> np.ndarray:
    return RIGHT_POSITIONS(length + 1, width)[1:]


def _pre_norm(x: np.ndarray, w: dict[str, np.ndarray], block: str) -> np.ndarray:
    nf = numpy_forward
    x = x + nf.attention(nf.layer_norm(x, w, f"{block}_norm_1"), w, f"{block}_attention")
    fed = nf.relu(nf.dense(nf.layer_norm(x, w, f"{block}_norm_2"), w, f"{block}_dense_1"))
    return x + nf.dense(fed, w, f"{block}_dense_2")


def _n_is_a_quarter(tokens: np.ndarray, letters: int) -> np.ndarray:
    known = RIGHT_ONE_HOT(tokens, letters)
    return np.where(known.any(axis=-1, keepdims=True), known, 1 / letters)


RIGHT_POSITIONS, RIGHT_ONE_HOT = numpy_forward.positions, numpy_forward.one_hot

#: Model, the step, and a plausible wrong version of it.
MISTAKES: dict[str, tuple[str, str, Any]] = {
    "no positions": ("transformer", "positions", lambda length, width: np.zeros((length, width))),
    "positions from one": ("transformer", "positions", _positions_from_one),
    "sine on odd channels": ("transformer", "positions", _swapped_sine_and_cosine),
    "sines, then cosines": ("transformer", "positions", _halved_positions),
    "no scale before the positions": ("transformer", "position_scale", lambda width: 1.0),
    "attention scaled by the width": ("transformer", "attention_scale", lambda key_dim: (4 * key_dim) ** -0.5),
    "attention not scaled": ("transformer", "attention_scale", lambda key_dim: 1.0),
    "attention of token_transformer not scaled": ("token_transformer", "attention_scale", lambda key_dim: 1.0),
    "norm before attention": ("transformer", "encoder_block", _pre_norm),
    "epsilon of LayerNorm": ("transformer", "LAYER_NORM_EPSILON", 1e-3),
    "epsilon of BatchNorm": ("transformer", "BATCH_NORM_EPSILON", 1e-6),
    "epsilon of BatchNorm, biolstm": ("biolstm", "BATCH_NORM_EPSILON", 1e-6),
    "epsilon of BatchNorm, token_transformer": ("token_transformer", "BATCH_NORM_EPSILON", 1e-6),
    "gates input, candidate, forget, output": ("biolstm", "GATES", ("input", "candidate", "forget", "output")),
    "gates forget, input, candidate, output": ("biolstm", "GATES", ("forget", "input", "candidate", "output")),
    "gates input, forget, output, candidate": ("biolstm", "GATES", ("input", "forget", "output", "candidate")),
    "kernel of 6 leans to the left": ("xpresso", "padding_before", lambda size: size // 2),
    "kernel of 6 leans to the left, tokens": ("token_transformer", "padding_before", lambda size: size // 2),
    "pools end at the right end": ("xpresso", "pooled", _right_aligned_pool),
    "pools end at the right end, parts": ("divide_et_impera", "pooled", _right_aligned_pool),
    "pools end at the right end, tokens": ("token_transformer", "pooled", _right_aligned_pool),
    "channels before positions": ("xpresso", "flatten", _channels_first),
    "channels before positions, parts": ("divide_et_impera", "flatten", _channels_first),
    "channels before positions, tokens": ("token_transformer", "flatten", _channels_first),
    "N is a quarter of each base": ("xpresso", "one_hot", _n_is_a_quarter),
    "N is T": ("divide_et_impera", "one_hot", lambda tokens, n: RIGHT_ONE_HOT(np.minimum(tokens, 3), n)),
    "N is no token": ("token_transformer", "one_hot", lambda tokens, n: RIGHT_ONE_HOT(tokens, 4) @ np.eye(4, n)),
    **{
        f"M and T change places in {name}": (name, "BLOCK_ORDER", "HMT")
        for name in ("xpresso", "divide_et_impera", "biolstm", "transformer", "token_transformer")
    },
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_would_show(mistake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, step, wrong = MISTAKES[mistake]
    assert hasattr(numpy_forward, step)
    monkeypatch.setattr(numpy_forward, step, wrong)
    if step == "BLOCK_ORDER":
        config, shapes, model = small_model(name, "PHTM")
        genes = random_genes(shapes, config, window_of(name))
        swapped = numpy_forward.forward(config, genes, weights(model), shapes.vectors)
        assert np.max(np.abs(swapped - predict(model, model_inputs(config, shapes, genes)))) > 10 * TOLERANCE
    else:
        assert small_difference(name, "PH") > 10 * TOLERANCE
