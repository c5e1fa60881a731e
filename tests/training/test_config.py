"""The config of a run: choices from tables, groups by name, impossible combinations, JSON Schema."""

import json

import pytest
from pydantic import ValidationError

from genexp.api import compose
from genexp.models import config_class, names
from genexp.training.config import RunConfig, read_config
from genexp.training.loggers import LOGGERS
from genexp.training.optimizers import LOSSES, OPTIMIZERS


@pytest.fixture(scope="module")
def content():
    return compose().model_dump(mode="json")


def changed(content, key, value):
    found = json.loads(json.dumps(content))
    *groups, last = key.split(".")
    node = found
    for group in groups:
        node = node[group]
    node[last] = value
    return found


def errors(content):
    with pytest.raises(ValidationError) as caught:
        RunConfig.model_validate(content)
    return [(error["type"], error["loc"]) for error in caught.value.errors()]


def test_what_is_written_is_read_back(content, tmp_path):
    for name in names():
        config = compose(f"model={name}", "data=T" if config_class(name).reads is None else "data=PH")
        assert type(config.model) is config_class(name)
        assert RunConfig.model_validate(config.model_dump(mode="json")) == config
        assert RunConfig.model_validate_json(config.model_dump_json()) == config


def test_choices_are_the_keys_of_the_tables(content):
    for key, table in (("optimizer", OPTIMIZERS), ("loss", LOSSES)):
        for word in table:
            config = RunConfig.model_validate(changed(content, f"training.{key}", word.upper()))
            assert getattr(config.training, key) == word
        assert errors(changed(content, f"training.{key}", "no")) == [("literal_error", ("training", key))]
    for name in ("csv", *LOGGERS):
        assert RunConfig.model_validate(changed(content, "logger", name)).logger == [name]


@pytest.mark.parametrize(
    ("key", "value", "kind"),
    [
        ("training.epochs", 0, "greater_than_equal"),
        ("training.epochs", 1.0, "int_type"),
        ("training.learning_rate", 0, "greater_than"),
        ("training.learning_rate", float("inf"), "finite_number"),
        ("training.momentum", 1, "less_than"),
        ("training.shuffle", "yes", "bool_type"),
        ("training.epoch", 3, "extra_forbidden"),
        ("hardware.devices", 0, "greater_than_equal"),
        ("model.dropout", [0.1, 1.5], "less_than"),
        ("model.heads", 3, "extra_forbidden"),
        ("dataset.genes", 99, "greater_than_equal"),
    ],
)
def test_errors_are_located_by_their_key(content, key, value, kind):
    ((found, location),) = errors(changed(content, key, value))
    assert found == kind
    assert ".".join(map(str, location[:2])) == key


def test_the_dataset_is_chosen_by_its_name(content):
    files = changed(changed(content, "dataset", {"name": "mine", "root": "somewhere"}), "seed", 3)
    assert {location for _, location in errors(files)} >= {("dataset", "layout"), ("dataset", "shared_genes")}
    assert errors(changed(content, "model.name", "os.system")) == [("combination", ("model",))]


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ({"data.name": "HP"}, "not a combination of blocks"),
        ({"data.name": ""}, "not a combination of blocks"),
        ({"data.name": "H"}, "model=xpresso cannot be trained on data=H"),
        ({"data.window": [5, 5]}, "data.window is empty"),
    ],
)
def test_impossible_combinations_carry_the_parts_of_an_error(content, words, what):
    for key, value in words.items():
        content = changed(content, key, value)
    with pytest.raises(ValidationError) as caught:
        RunConfig.model_validate(content)
    (error,) = caught.value.errors()
    assert error["ctx"]["what"] == error["msg"] == what
    assert {"where", "expected", "received", "hint"} <= set(error["ctx"])


def test_a_window_needs_a_promoter():
    content = compose("model=fc_net", "data=T").model_dump(mode="json")
    with pytest.raises(ValidationError, match="data=T has no promoter"):
        RunConfig.model_validate(changed(content, "data.window", [1, 2]))
    with pytest.raises(ValidationError, match="model=fc_net cannot be trained on data=PT"):
        RunConfig.model_validate(changed(content, "data.name", "PT"))


@pytest.mark.parametrize(
    ("words", "idle"),
    [
        (
            ["hardware=tpu", "hardware.jit=true", "hardware.deterministic=true"],
            ["hardware.jit", "hardware.deterministic"],
        ),
        (["hardware=tpu", "hardware.tpu=mine"], []),
        (["hardware=cpu", "hardware.jit=true", "hardware.tpu=mine"], ["hardware.tpu"]),
        (["baseline=true", "test=false"], ["baseline"]),
        (["baseline=true"], []),
        (["baseline=false", "test=false"], []),
        (
            ["training.warmup=0.2", "model=biolstm", "model.embedding.kind=random", "model.embedding.epochs=3"],
            ["model.embedding.epochs", "training.warmup"],
        ),
    ],
)
def test_keys_without_effect_are_named(words, idle):
    given = [word.partition("=")[0] for word in words]
    assert list(compose(*words).idle(given)) == idle


def test_the_json_schema_lists_every_model():
    schema = RunConfig.model_json_schema()
    (group,) = (
        schema["properties"]["model"][key] for key in ("anyOf", "oneOf") if key in schema["properties"]["model"]
    )
    assert len(group) == len(names())
    assert schema["$defs"]["TrainingConfig"]["properties"]["optimizer"]["enum"] == list(OPTIMIZERS)


def test_the_config_of_a_run_is_read(tmp_path):
    from genexp.config.validation import to_yaml
    from genexp.run import RunDirectory

    config = compose("model=transformer", "logger=tensorboard")
    (tmp_path / "config.yaml").write_text(to_yaml(config))
    assert read_config(RunDirectory(tmp_path)) == config
