"""Every option of every group, and the schema's messages."""

from contextlib import suppress
from itertools import combinations
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from genexp import models
from genexp.api import compose
from genexp.api.training import TRAIN, TrainConfig
from genexp.blocks import BLOCKS
from genexp.commands import command_of, load, summaries
from genexp.config.compose import checked_words, compose_words
from genexp.config.conf import CONF_DIR, chosen_options, groups, option_files
from genexp.config.json_schema import json_schema
from genexp.config.keys import fields
from genexp.config.validation import to_yaml, validate
from genexp.config.words import parse, parse_override
from genexp.dataset.config import DatasetConfig
from genexp.errors import UserError
from genexp.training.config import RunConfig


def spelled_out(words):
    return [str(o.input_line) for o in parse(words, TRAIN.short_forms, TRAIN.implied).overrides]


def parsed(words):
    return parse(words, {}, {})


def test_every_option_of_every_group_composes_and_validates():
    for group, options in groups("train").items():
        for option in options:
            extra = []
            if group == "dataset" and option != "demo":
                extra = ["dataset.root=somewhere"]
            if group == "model" and option == "fc_net":
                extra = ["data=T"]
            if group == "data" and "P" not in option:
                extra = ["model=fc_net"]
            config = compose(f"{group}={option}", *extra)
            if group != "experiment":
                assert getattr(config, group).name == option


def test_all_combinations_of_blocks_are_offered():
    names = {"".join(c) for n in range(1, len(BLOCKS) + 1) for c in combinations(BLOCKS, n)}
    assert set(groups("train")["data"]) == names


def test_every_config_file_begins_with_a_comment():
    for path in CONF_DIR.rglob("*.yaml"):
        lines = [line for line in path.read_text().splitlines() if not line.startswith("# @package")]
        assert lines[0].startswith("# "), path


@pytest.mark.parametrize(
    ("model", "data", "published"),
    [
        ("xpresso", "PH", (300, 256, 5e-4, 30, "sgd", 0.9, "mse", None)),
        ("divide_et_impera", "PH", (300, 256, 1e-3, 15, "sgd", 0.9, "mse", 70)),
        ("biolstm", "PH", (140, 128, 3e-4, 15, "adam", None, "mse", None)),
        ("transformer", "PH", (300, 256, 5e-4, 20, "adam", None, "mse", None)),
        ("token_transformer", "PH", (300, 256, 1e-3, 20, "sgd", 0.9, "mse", 60)),
        ("fc_net", "T", (400, 128, 5e-4, 30, "sgd", 0.9, "mae", None)),
    ],
)
def test_models_bring_their_published_settings(model, data, published):
    t = compose(f"model={model}", f"data={data}", "dataset=files", "dataset.root=x").training
    epochs, batch, rate, patience, optimizer, momentum, loss, milestone = published
    assert (t.epochs, t.batch_size, t.learning_rate, t.patience) == (epochs, batch, rate, patience)
    assert (t.optimizer, t.loss, t.milestone) == (optimizer, loss, milestone)
    if momentum is not None:
        assert t.momentum == momentum


def test_the_command_line_wins_over_the_model_and_the_demo_settings():
    assert compose("training.learning_rate=0.125").training.learning_rate == 0.125
    assert compose("model=divide_et_impera", "training.epochs=7", "model.dropout=0.5").model.dropout == [0.5, 0.5]


@pytest.mark.parametrize(
    ("words", "dataset"),
    [
        (["dataset.root=somewhere"], ["dataset=files"]),
        (["dataset.root=somewhere", "dataset=xpresso_tf"], []),
        (["dataset.genes=100"], []),
    ],
)
def test_a_folder_of_genes_needs_no_option_of_the_dataset_group(words, dataset):
    assert spelled_out(words) == [*words, *dataset]


def test_a_folder_of_configs_may_define_what_a_root_belongs_to(tmp_path):
    assert spelled_out(["dataset.root=somewhere", "--config-dir", str(tmp_path)]) == ["dataset.root=somewhere"]


def test_a_short_form_stands_for_its_key():
    assert spelled_out(["model.embedding=counts"]) == ["model.embedding.kind=counts"]


@pytest.mark.parametrize(
    ("model", "words", "kind"),
    [
        ("transformer", [], "word2vec"),
        ("transformer", ["model.embedding.kind=learned", "model.embedding.epochs=3"], "learned"),
        ("transformer", ["model.embedding.kind=auto"], "word2vec"),
        ("biolstm", [], "random"),
        ("biolstm", ["model.embed_dim=32", "model.embedding.seed=3", "model.embedding.trainable=true"], "random"),
        ("biolstm", ["model.embedding.promoters=all"], "word2vec"),
        ("biolstm", ["model.embedding.kind=random", "model.embedding.window=3"], "random"),
    ],
)
def test_the_embedding_is_the_models_best_unless_word2vec_is_asked_for(model, words, kind):
    assert compose(f"model={model}", *words).model.embedding.kind == kind


@pytest.mark.parametrize(
    "path", ["/tmp/a b/é", "/data/x=1", "it's/here", "/p(1)/{a}", r"C:\a b/c", "/plain", "/a,b", "ünï", "a-ü"]
)
def test_a_path_needs_no_quotes_of_hydras_own(path):
    (word,) = spelled_out([f"run_dir={path}"])
    value = parse_override(word).value() if "," not in path else path
    assert value == path


def test_a_config_that_lacks_values_can_be_shown_but_not_run(genexp):
    done = genexp("train", "dataset=xpresso", "--cfg", "job")
    assert done.returncode == 0
    assert "root: ???" in done.stdout
    assert genexp("train", "dataset=xpresso", "training.epochs=x", "--cfg", "job").returncode == 2


def test_flags_may_stand_anywhere():
    found = parsed(["model=xpresso,fc_net", "-m", "data=T"])
    assert found.multirun
    assert found.raw == ("--multirun", "model=xpresso,fc_net", "data=T")


def test_info_may_stand_before_an_override():
    assert parsed(["--info", "model=fc_net"]).raw == ("--info=all", "model=fc_net")
    with pytest.raises(UserError, match="no such choice"):
        parsed(["--info", "bogus"])


def test_yaml_of_a_config_gives_the_same_config():
    for model in models.names():
        config = compose(f"model={model}", "data=T" if models.config_class(model).reads is None else "data=PH")
        assert validate(yaml.safe_load(to_yaml(config)), RunConfig, "file") == config


def test_all_errors_are_reported_at_once():
    with pytest.raises(UserError) as caught:
        compose("training.batch_size=0", "training.epochs=x", "training.momentum=1.5")
    for key in ("training.batch_size", "training.epochs", "training.momentum"):
        assert key in str(caught.value)
    assert str(caught.value).startswith("3 errors")


def test_unknown_keys_of_a_file_are_found_too():
    content = to_yaml(compose()) + "extra: 1\n"
    with pytest.raises(UserError, match="there is no key extra") as caught:
        validate(yaml.safe_load(content), RunConfig, "run/config.yaml")
    assert "run/config.yaml" in str(caught.value)


def test_a_model_that_does_not_exist_is_named():
    content = compose().model_dump(mode="json")
    content["model"]["name"] = "os.system"
    with pytest.raises(UserError, match=r"there is no model os\.system"):
        validate(content, RunConfig, "file")


@pytest.mark.parametrize("name", ["mine", "Bob's study", 'a "b", [c]', "été\\"])
def test_a_user_folder_of_configs_is_found(tmp_path, name):
    tmp_path = tmp_path / name
    (tmp_path / "dataset").mkdir(parents=True)
    (tmp_path / "dataset" / "mine.yaml").write_text("name: mine\nroot: /data/mine\n")
    text = (CONF_DIR / "dataset" / "files.yaml").read_text().replace("name: files", "name: mine")
    (tmp_path / "dataset" / "mine.yaml").write_text(text.replace("root: ???", "root: /data/mine"))
    config = compose_words(TRAIN, ["dataset=mine", "--config-dir", str(tmp_path)]).config
    assert isinstance(config.dataset, DatasetConfig)
    assert (config.dataset.name, config.dataset.root) == ("mine", "/data/mine")


@pytest.mark.parametrize(
    ("words", "model"),
    [
        (["model.filters=[8,8]"], "xpresso"),
        (["model=transformer", "model.heads=2"], "transformer"),
        (["experiment=transformer_PH", "model.heads=2"], "transformer"),
        (["experiment=mine", "model.units=7"], "biolstm"),
        (["model=small", "model.heads=2"], "transformer"),
    ],
)
def test_keys_are_those_of_the_model_that_will_run(tmp_path, words, model):
    """Whatever chooses the model: the command line, a preset, or a file of the user's own."""
    for group, file, text in (
        ("model", "small", "defaults:\n  - transformer"),
        ("experiment", "mine", "defaults:\n  - override /model: biolstm"),
    ):
        (tmp_path / group).mkdir()
        (tmp_path / group / f"{file}.yaml").write_text(f"# @package _global_\n{text}\n")
    assert compose_words(TRAIN, [*words, "--config-dir", str(tmp_path)]).config.model.name == model


def test_merged_yaml_never_names_code(tmp_path):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "evil.yaml").write_text(
        "# @package _global_\nhydra:\n  callbacks:\n    x:\n      _target_: os.system\n      command: touch owned\n"
    )
    with pytest.raises(UserError, match="must not name code"):
        compose_words(TRAIN, ["experiment=evil", "--config-dir", str(tmp_path)])


BASE = to_yaml(compose())
KEYS = sorted(key for key, _ in fields(RunConfig, {"model": "xpresso", "dataset": "demo"}))


@given(st.sampled_from(KEYS), st.text(max_size=8) | st.integers() | st.floats() | st.none() | st.lists(st.integers()))
def test_any_value_is_taken_or_refused_with_a_message(key, value):
    """Whatever stands behind a key: a valid config or a UserError, never another exception."""
    content = yaml.safe_load(BASE)
    node = content
    *path, last = key.split(".")
    for part in path:
        node[part] = node.get(part) or {}
        node = node[part]
    node[last] = value
    with suppress(UserError):
        validate(content, RunConfig, "file")


def test_a_file_with_dozens_of_errors_shows_the_first_ones():
    content = yaml.safe_load(BASE) | {f"stray_{n}": n for n in range(12)}
    with pytest.raises(UserError) as error:
        validate(content, RunConfig, "run/config.yaml")
    message = str(error.value)
    assert message.startswith("12 errors in run/config.yaml")
    assert message.count("hint:") == 8
    assert message.endswith("... and 4 more")


CONFIGURED = [name for name in summaries() if hasattr(load(name), "Config")]


@pytest.mark.parametrize("command", CONFIGURED)
def test_every_command_can_check_a_sweep_and_run(command):
    module = load(command)
    assert all(callable(getattr(module, name)) for name in ("check", "run"))
    assert len(module.EXAMPLES) >= 3


@pytest.mark.parametrize("command", CONFIGURED)
def test_every_key_of_a_command_has_a_description_and_a_place_in_conf(command):
    chosen = chosen_options(command, {})
    files = [
        CONF_DIR / f"{command}.yaml",
        *(f for group, option in chosen.items() for f in option_files(group, str(option))),
    ]
    text = "\n".join(path.read_text() for path in [*files, *(CONF_DIR / "base").glob("*.yaml")])
    for key, field in fields(command_of(command).schema, chosen):
        if chosen.get(key.split(".")[0], "") is None:  # a group that is empty by default
            continue
        assert field.description, key
        if "." in key and f"\n{key.split('.')[0]}: null" in text:
            continue
        assert f"{key.rpartition('.')[2]}:" in text or key == "data.name" or key.startswith("experiment."), key


@pytest.mark.parametrize("command", CONFIGURED)
def test_the_json_schema_names_every_key(command):
    found = json_schema(command_of(command).schema)
    assert found["additionalProperties"] is False
    for key, _ in fields(command_of(command).schema, {}):
        assert key.split(".")[0] in found["properties"]


def test_an_interval_is_refused_without_a_sweeper_that_searches():
    with pytest.raises(UserError, match="needs a sweeper that searches"):
        checked_words(TRAIN, ["-m", "training.learning_rate=interval(1e-4,1e-2)"])


def test_every_train_config_gives_the_config_of_a_run():
    assert set(TrainConfig.model_fields) - set(RunConfig.model_fields) == {"resume", "repeats", "folds", "jobs", "job"}


def test_a_path_is_absolute_from_the_start():
    config = compose("dataset.root=some/where")
    assert config.dataset.root == str(Path("some/where").resolve())


def test_the_command_can_be_typed_again():
    composed = compose_words(TRAIN, ["data.window=[0,600]", "hydra.run.dir='a b'"])
    assert composed.command == """genexp train 'data.window=[0,600]' 'hydra.run.dir='"'"'a b'"'"''"""
    assert composed.run_dir == "a b"
