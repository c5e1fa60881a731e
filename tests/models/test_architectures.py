"""Every module of the package is one architecture: its keys, their limits and its file in conf/model."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from small_models import (
    CONF,
    K_MERS,
    input_shapes,
    model_config,
    model_inputs,
    predict,
    random_genes,
    randomise,
    window_of,
)

from genexp.blocks import BLOCKS, PROMOTER, Block, in_order
from genexp.errors import UserError
from genexp.models import ModelConfig, build_model, config_class, names


def test_every_architecture_has_one_yaml_and_every_yaml_an_architecture() -> None:
    assert names() == sorted(path.stem for path in CONF.glob("*.yaml"))
    assert all(issubclass(config_class(name), ModelConfig) for name in names())


@pytest.mark.parametrize("name", names())
def test_the_published_config_is_valid_and_every_key_is_described(name: str) -> None:
    assert model_config(name).name == name
    keys = config_class(name).model_json_schema()["properties"].items()
    assert [key for key, schema in keys if "description" not in schema and "$ref" not in schema] == []


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'xpresso'"):
        config_class("xpreso")


def test_names_and_config_classes_come_without_numpy_and_tensorflow() -> None:
    code = "import sys, genexp.models as m; [m.config_class(n) for n in m.names()]; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "pydantic" in loaded
    assert not {"numpy", "tensorflow", "keras", "h5py", "hydra"} & set(loaded)


def test_one_number_stands_for_two_dropouts() -> None:
    assert model_config("xpresso", dropout=0.2).dropout == [0.2, 0.2]
    assert model_config("fc_net", dropout=0).dropout == [0, 0]
    assert model_config("transformer", dropout=0.2).dropout == 0.2


IMPOSSIBLE: list[tuple[str, dict[str, Any]]] = [
    ("xpresso", {"filters": [0, 4]}),
    ("xpresso", {"kernels": [4]}),
    ("xpresso", {"dropout": [0.1, 1.0]}),
    ("xpresso", {"dropout": True}),
    ("xpresso", {"dropout": float("nan")}),
    ("xpresso", {"initializer": "glorot"}),
    ("xpresso", {"window": [1, 2, 3]}),
    ("divide_et_impera", {"parts": 2.5}),
    ("divide_et_impera", {"heads": 3}),
    ("fc_net", {"dense": ["many", 2]}),
    ("token_transformer", {"vocab_size": 6}),
    ("transformer", {"k": 7}),
    ("transformer", {"dropout": -0.1}),
    ("biolstm", {"embedding": {"kind": "wordvec"}}),
    ("biolstm", {"embedding": {"subsample": 1.1}}),
    ("biolstm", {"embedding": {"promoters": 0}}),
    ("biolstm", {"embedding": {"promoters": "some"}}),
    ("biolstm", {"embedding": {"seed": 2**32}}),
]


@pytest.mark.parametrize(("name", "changes"), IMPOSSIBLE)
def test_impossible_values_are_refused(name: str, changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        model_config(name, **changes)


@pytest.mark.parametrize("promoters", [1, "auto", "all"])
def test_promoters_for_word2vec_are_a_number_or_a_word(promoters: Any) -> None:
    assert model_config("biolstm", embedding={"promoters": promoters}).embedding.promoters == promoters


def test_auto_is_the_best_embedding_of_the_model_unless_word2vec_is_asked_for() -> None:
    for name in K_MERS:
        auto = model_config(name, embedding={"kind": "auto"})
        assert auto.decided(["model.embedding.seed"]).embedding.kind == auto.best_embedding
        assert auto.decided(["model.embedding.epochs"]).embedding.kind == "word2vec"
        assert model_config(name, embedding={"kind": "counts"}).decided([]).embedding.kind == "counts"
    plain = model_config("xpresso")
    assert plain.decided(["model.embedding.epochs"]) is plain


def test_keys_without_effect_are_named() -> None:
    given = ["model.embedding.seed", "model.embedding.epochs", "model.embedding.kind", "seed"]
    for kind, idle in (("word2vec", []), ("random", given[1:2]), ("learned", given[:2]), ("counts", given[:2])):
        found = model_config("biolstm", embedding={"kind": kind}).idle(given)
        assert found == dict.fromkeys(idle, f"model.embedding.kind={kind}")
    from_file = model_config("biolstm", embedding={"kind": "random", "vectors": "v.npz"})
    assert from_file.idle(given) == dict.fromkeys(given[:3], "model.embedding.vectors")
    assert model_config("xpresso").idle(given) == {}


def test_windows_divide_into_parts_and_chunks() -> None:
    assert [model_config(name).multiple() for name in ("xpresso", "divide_et_impera", "biolstm")] == [1, 10, 50]


@pytest.mark.parametrize("name", names())
def test_a_new_block_is_one_row_for_every_model(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A block of real numbers, which no module names, is read by every model beside the others."""
    monkeypatch.setitem(BLOCKS, "Z", Block("Z", "extra", "extra numbers", ("extra",)))
    config, window = model_config(name), window_of(name)
    shapes = input_shapes(config, in_order({"H", "Z", *(PROMOTER if window else "")}), window, widths={"H": 2, "Z": 3})
    model = build_model(config, shapes)
    assert list(model.input) == ["promoter"] * bool(window) + ["halflife", "extra"]
    randomise(model)
    inputs = model_inputs(config, shapes, random_genes(shapes, config, window))
    before = predict(model, inputs)
    inputs["extra"] = inputs["extra"] + 1
    assert np.abs(predict(model, inputs) - before).max() > 1e-3
