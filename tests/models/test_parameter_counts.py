"""The parameter counts of the published models, exactly, and of every combination of blocks by formula."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from small_models import WIDTHS, input_shapes, model_config, readable, small_model, window_of

from genexp.models import build_model

PUBLISHED_WIDTHS = {"H": 8, "T": 181, "M": 2064}


def affine(inputs: int, outputs: int) -> int:
    return (inputs + 1) * outputs


def head(encoded: int, units: list[int]) -> int:
    sizes = [encoded, *units, 1]
    return sum(affine(a, b) for a, b in pairwise(sizes))


def encoder(width: int, heads: int, key_dim: int, ff_dim: int) -> int:
    projections = 3 * affine(width, heads * key_dim) + affine(heads * key_dim, width)
    return projections + affine(width, ff_dim) + affine(ff_dim, width) + 2 * 2 * width


def parameters(name: str, window: int, features: int, vocabulary: int = 5) -> int:
    """Count the parameters of a published architecture by hand; BatchNorm has 4 per channel, 2 of them moving."""
    if name == "xpresso":
        return affine(6 * 4, 128) + affine(9 * 128, 32) + head(window // 30 // 10 * 32 + features, [64, 2])
    if name == "divide_et_impera":
        part = affine(3 * 4, 128) + 2 * affine(3 * 128, 128)
        joined = window // 10 // 5 // 5 * 10 // 5
        return 10 * part + 4 * affine(3 * 128, 128) + head(joined * 128 + features, [64, 64])
    if name == "biolstm":
        return 4 * 64 + 4 * affine(64 + 100, 100) + head(100 + features, [90])
    if name == "transformer":
        return 4 * 64 + encoder(64, 4, 64, 384) + head(64 + features, [100])
    if name == "token_transformer":
        embeddings = (vocabulary + window) * 32
        convolutions = affine(6 * 32, 32) + affine(9 * 32, 32)
        encoded = window // 300 * 32 + features
        return embeddings + convolutions + 2 * 4 * 32 + encoder(32, 1, 32, 64) + head(encoded, [64, 64])
    return head(features, [64, 2])


PUBLISHED: list[tuple[str, str, int, int, dict[str, Any]]] = [
    ("xpresso", "P", 10_500, 111_973, {}),
    ("xpresso", "PH", 10_500, 112_485, {}),
    ("xpresso", "PHT", 10_500, 124_069, {}),
    ("xpresso", "PHM", 10_500, 244_581, {}),
    ("xpresso", "PH", 10_000, 108_389, {}),
    ("divide_et_impera", "P", 10_500, 1_891_777, {}),
    ("divide_et_impera", "PH", 10_500, 1_892_289, {}),
    ("divide_et_impera", "PHT", 10_500, 1_903_873, {}),
    ("biolstm", "P", 10_500, 75_437, {}),
    ("biolstm", "PH", 10_500, 76_157, {}),
    ("biolstm", "PHT", 10_500, 92_447, {}),
    ("transformer", "P", 10_500, 123_081, {}),
    ("transformer", "PH", 10_500, 123_881, {}),
    ("transformer", "PHT", 10_500, 141_981, {}),
    ("token_transformer", "PH", 10_500, 436_833, {"vocab_size": 4}),
    ("token_transformer", "PHT", 10_500, 448_449, {"vocab_size": 5}),
    ("fc_net", "T", 0, 11_781, {}),
]


@pytest.mark.parametrize(("name", "data", "window", "expected", "changes"), PUBLISHED)
def test_published_models_have_the_published_counts(
    name: str, data: str, window: int, expected: int, changes: dict[str, Any]
) -> None:
    config = model_config(name, **changes)
    model = build_model(config, input_shapes(config, data, window, widths=PUBLISHED_WIDTHS))
    assert model.count_params() == expected
    features = sum(PUBLISHED_WIDTHS[b] for b in data if b != "P")
    assert parameters(name, window, features, changes.get("vocab_size", 5)) == expected, "the formula below is wrong"


@pytest.mark.parametrize(("name", "data"), readable({name: None for name, *_ in PUBLISHED}))
def test_every_combination_of_blocks_has_its_count(name: str, data: str) -> None:
    features = sum(WIDTHS[b] for b in data if b != "P")
    assert small_model(name, data)[2].count_params() == parameters(name, window_of(name), features)


@pytest.mark.parametrize("name", ["biolstm", "transformer"])
@pytest.mark.parametrize(
    ("embedding", "more"),
    [({"kind": "random"}, 0), ({"kind": "learned"}, 64 * 64), ({"trainable": True}, 64 * 64), ({"kind": "counts"}, 0)],
    ids=["random", "learned", "trainable", "counts"],
)
def test_only_vectors_that_are_learned_count(name: str, embedding: dict[str, Any], more: int) -> None:
    config = model_config(name, embedding=embedding)
    model = build_model(config, input_shapes(config, "PH", 100))
    assert model.count_params() == parameters(name, 100, WIDTHS["H"]) + more


@pytest.mark.parametrize("name", ["biolstm", "transformer"])
def test_embedded_promoters_give_the_same_count(name: str) -> None:
    config = model_config(name)
    model = build_model(config, input_shapes(config, "PH", 100, embedded=True))
    assert model.count_params() == parameters(name, 100, WIDTHS["H"])


def test_depth_and_sizes_of_the_transformer_count() -> None:
    config = model_config("transformer", depth=3, heads=2, key_dim=5, ff_dim=7, dense=9, embed_dim=6)
    model = build_model(config, input_shapes(config, "P", 100))
    assert model.count_params() == 4 * 6 + 3 * encoder(6, 2, 5, 7) + head(6, [9])
