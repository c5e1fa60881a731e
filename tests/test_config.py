"""Every option of every group, and the schema's messages."""

from contextlib import suppress
from importlib import import_module
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from genexp.arguments import parse, parse_override
from genexp.cli import COMMANDS
from genexp.commands import module_of
from genexp.compose import check_overrides, checked_config, chosen_names
from genexp.conf_files import CONF_DIR, groups
from genexp.config import MODELS, DatasetConfig, TrainConfig
from genexp.errors import UserError
from genexp.hydra_app import spelled_out
from genexp.validation import all_keys, to_yaml, validate

TRAIN_GROUPS = ("data", "dataset", "model", "hardware", "experiment")


def compose(*overrides):
    return checked_config("train", list(overrides), None)[0]


def test_every_option_of_every_group_composes_and_validates():
    for group, options in groups().items():
        assert group in TRAIN_GROUPS
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
    names = {"".join(c) for n in range(1, 5) for c in combinations("PHTM", n)}
    assert set(groups()["data"]) == names


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
        (["dataset.root=somewhere", "--config-dir", "mine"], []),
        (["dataset.genes=100"], []),
        (["--cfg", "job"], []),
    ],
)
def test_a_folder_of_genes_needs_no_word_about_its_layout(words, dataset):
    assert spelled_out("train", words) == [*words, *dataset]


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


@pytest.mark.parametrize("path", ["/tmp/a b/é", "/data/x=1", "it's/here", "/p(1)/{a}", r"C:\a b/c", "/plain", "/a,b"])
def test_a_path_needs_no_quotes_of_hydras_own(path):
    (word,) = spelled_out("evaluate", [f"run_dir={path}"])
    value = parse_override(word).value() if "," not in path else path
    assert value == path


def test_a_config_that_lacks_values_can_be_shown_but_not_run(genexp):
    done = genexp("train", "dataset=xpresso", "--cfg", "job")
    assert done.returncode == 0
    assert "root: ???" in done.stdout
    assert genexp("train", "dataset=xpresso", "training.epochs=x", "--cfg", "job").returncode == 2


def test_flags_may_stand_anywhere():
    found = parse(["model=xpresso,fc_net", "-m", "data=T"])
    assert found.multirun
    assert found.words == ("--multirun", "model=xpresso,fc_net", "data=T")


def test_info_may_stand_before_an_override():
    assert parse(["--info", "model=fc_net"]).words == ("--info=all", "model=fc_net")
    with pytest.raises(UserError, match="no such information"):
        parse(["--info", "bogus"])


def test_yaml_of_a_config_gives_the_same_config():
    for model in MODELS:
        config = compose(f"model={model}", "data=T" if model == "fc_net" else "data=PH")
        assert validate(OmegaConf.create(to_yaml(config)), TrainConfig) == config


def test_all_mistakes_are_told_at_once():
    with pytest.raises(UserError) as caught:
        compose("training.batch_size=0", "training.epochs=x", "training.momentum=1.5")
    for key in ("training.batch_size", "training.epochs", "training.momentum"):
        assert key in str(caught.value)
    assert str(caught.value).startswith("3 mistakes")


def test_unknown_keys_of_a_file_are_found_too():
    content = to_yaml(compose()) + "extra: 1\n"
    with pytest.raises(UserError, match="there is no key extra") as caught:
        validate(OmegaConf.create(content), TrainConfig, "run/config.yaml")
    assert "run/config.yaml" in str(caught.value)


def test_a_model_that_does_not_exist_is_named():
    content = OmegaConf.create(to_yaml(compose()))
    content.model.name = "os.system"
    with pytest.raises(UserError):
        validate(content, TrainConfig)


def test_a_user_folder_of_configs_is_found(tmp_path):
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / "mine.yaml").write_text("name: mine\nroot: /data/mine\n")
    config, _ = checked_config("train", ["dataset=mine"], str(tmp_path))
    assert config.dataset == DatasetConfig(name="mine", root="/data/mine")


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ([], ["xpresso"]),
        (["model=transformer", "model.heads=2"], ["transformer"]),
        (["experiment=transformer_PH", "model.heads=2"], ["transformer"]),
        (["experiment=mine", "model.units=7"], ["biolstm"]),
        (["model=small", "model.heads=2"], ["transformer"]),
        (["-m", "model=transformer,biolstm", "model.embed_dim=32"], ["transformer", "biolstm"]),
        (["-m", "experiment=transformer_P,transformer_PH", "model.heads=1,2"], ["transformer"]),
    ],
)
def test_keys_are_those_of_the_models_that_will_run(tmp_path, words, names):
    """Whoever chooses the model: the command line, a sweep, a preset, or a file of the user's own."""
    for group, text in (
        ("model", "defaults:\n  - transformer"),
        ("experiment", "defaults:\n  - override /model: biolstm"),
    ):
        (tmp_path / group).mkdir()
        (tmp_path / group / ("small.yaml" if group == "model" else "mine.yaml")).write_text(
            f"# @package _global_\n{text}\n"
        )
    arguments = parse([*words, "--config-dir", str(tmp_path)])
    check_overrides("train", arguments)
    assert [choice["model"] for choice in chosen_names("train", arguments)] == names
    if not {"mine", "small"} & {word.partition("=")[2] for word in words}:
        packaged = parse(words)
        check_overrides("train", packaged)
        assert chosen_names("train", packaged) == chosen_names("train", arguments)


def test_merged_yaml_never_names_code(tmp_path):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "evil.yaml").write_text(
        "# @package _global_\nhydra:\n  callbacks:\n    x:\n      _target_: os.system\n      command: touch owned\n"
    )
    with pytest.raises(UserError, match="must not name code"):
        checked_config("train", ["experiment=evil"], str(tmp_path))


@given(st.sampled_from(sorted(all_keys(TrainConfig, {"model": "xpresso", "dataset": "demo"}))), st.text(max_size=8))
def test_any_value_is_taken_or_refused_in_words(key, value):
    """Whatever text stands behind a key: a valid config or a UserError, never another exception."""
    content = OmegaConf.create(BASE)
    OmegaConf.update(content, key, value, force_add=True)
    with suppress(UserError):
        validate(content, TrainConfig)


BASE = to_yaml(compose())


def test_a_file_with_dozens_of_mistakes_shows_the_first_ones():
    content = OmegaConf.create(BASE)
    content.update({f"stray_{n}": n for n in range(12)})
    with pytest.raises(UserError) as error:
        validate(content, TrainConfig, "run/config.yaml")
    message = str(error.value)
    assert message.startswith("12 mistakes in run/config.yaml")
    assert message.count("what to do") == 8
    assert message.endswith("... and 4 more")


@pytest.mark.parametrize("command", [c for c in COMMANDS if c != "completion"])
def test_every_command_can_check_a_sweep_and_run(command):
    module = import_module(module_of(command))
    assert all(callable(getattr(module, name)) for name in ("check", "prepare", "run"))
