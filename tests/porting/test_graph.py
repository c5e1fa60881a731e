"""Connections of layers, from the configs that Keras 2 and 3 write."""

from __future__ import annotations

from genexp.porting.graph import by_class, heads_of, links_of, side_by_side
from genexp.porting.weights import Checkpoint, LayerWeights


def layer(kind: str, name: str, *sources: str, **config):
    nodes = [[[source, 0, 0, {}] for source in sources]] if sources else []
    return {"class_name": kind, "name": name, "config": {"name": name, **config}, "inbound_nodes": nodes}


def test_models_within_models():
    """The inner input is fed by the outer layer, and the model's name stands for what it returns."""
    inner = [layer("InputLayer", "in"), layer("Dense", "a", "in"), layer("Dense", "b", "a")]
    outer = [
        layer("InputLayer", "x"),
        layer("Functional", "model", "x", layers=inner, input_layers=[["in", 0, 0]]),
        layer("Dense", "c", "model"),
    ]
    assert links_of({"layers": outer}) == {
        "x": (),
        "model/in": ("x",),
        "model/a": ("model/in",),
        "model/b": ("model/a",),
        "model": ("model/b",),
        "c": ("model",),
    }


def test_names_by_class_follow_the_order_of_the_config():
    config = {"layers": [layer("Conv1D", "conv1d_37"), layer("tests>MyBlock", "x"), layer("Conv1D", "conv1d_5")]}
    for groups in (["conv1d", "conv1d_1"], ["conv1d", "conv1d_2"]):
        named = by_class(config, [*groups, "my_block"])
        assert {g: described["name"] for g, described in named.items()} == {
            groups[0]: "conv1d_37",
            groups[1]: "conv1d_5",
            "my_block": "x",
        }


def test_heads_are_found_wherever_a_config_says_them():
    assert heads_of({"layers": [{"config": {"att": {"num_heads": 3}}}]}) == 3
    assert heads_of({"layers": [{"config": {"units": 3}}]}) is None


def test_branches_that_are_models_of_their_own_stand_side_by_side():
    names = ("m/0/a", "m/0/b", "m/1/a", "m/1/b", "m/last")
    found = side_by_side(Checkpoint("", "", tuple(LayerWeights(name, {}) for name in names)))
    order = sorted(range(len(names)), key=found.__getitem__)
    assert [names[n] for n in order] == ["m/0/a", "m/1/a", "m/0/b", "m/1/b", "m/last"]
