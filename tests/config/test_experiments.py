"""The published presets: what they set, what wins over them, and the result they carry."""

import pytest
import yaml

from genexp import api
from genexp.api.training import TRAIN, check
from genexp.config.compose import checked_words
from genexp.config.conf import groups
from genexp.config.validation import to_yaml, validate
from genexp.errors import UserError
from genexp.training.config import RunConfig

EXPERIMENTS = groups("train")["experiment"]

#: Batch, learning rate, optimiser, patience, epochs, milestone, window relative to the TSS, published test r2.
EXPECTED = {
    "xpresso_PH": (256, 5e-4, "sgd", 30, 300, None, [-6500, 3500], 0.567),
    "xpresso_original": (128, 1e-3, "adam", 5, 100, None, [-7000, 3500], 0.59),
    "xpresso_orthogonal": (256, 5e-4, "sgd", 30, 300, None, [-6500, 3500], None),
    "divide_et_impera_PHT": (256, 1e-3, "sgd", 15, 300, 70, [-7000, 3500], 0.759),
    "biolstm_PH": (128, 3e-4, "adam", 15, 140, None, [-7000, 3500], 0.606),
    "biolstm_PHT": (128, 5e-5, "adam", 15, 140, None, [-7000, 3500], 0.755),
    "transformer_P": (256, 5e-4, "adam", 20, 300, None, [-7000, 3500], 0.596),
    "token_transformer_PH": (256, 1e-3, "sgd", 20, 300, 60, [-500, 10_000], 0.603),
    "fc_net_T": (128, 5e-4, "sgd", 30, 400, None, None, 0.670),
}


def compose(name, *overrides):
    return api.compose(f"experiment={name}", "dataset=xpresso", "dataset.root=somewhere", *overrides)


@pytest.mark.parametrize("name", EXPECTED)
def test_published_settings(name):
    config = compose(name)
    t = config.training
    found = (t.batch_size, t.learning_rate, t.optimizer, t.patience, t.epochs, t.milestone)
    assert (*found, config.model.window, config.experiment.r2) == EXPECTED[name]


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_each_names_itself_and_lives_in_a_run_directory(name):
    config = compose(name)
    assert config.experiment.name == name
    if config.experiment.r2_ci95:
        low, high = config.experiment.r2_ci95
        assert low < config.experiment.r2 < high
        assert config.experiment.repeats == 10
    if name not in ("xpresso_original", "xpresso_orthogonal"):
        assert name == f"{config.model.name}_{config.data.name}"
    assert validate(yaml.safe_load(to_yaml(config)), RunConfig, "file") == config


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_nothing_depends_on_the_dataset(name):
    """The settings of a preset are its own, on demo genes too: there they are not published results, but a trial."""
    demo = api.compose(f"experiment={name}")
    assert demo.training == compose(name).training


def test_models_bring_what_their_presets_say():
    """The default of each model is its published setting, so a preset differs in nothing but what it says."""
    for name in EXPERIMENTS:
        config = compose(name)
        groups = [f"model={config.model.name}", f"data={config.data.name}"]
        plain = api.compose(*groups, "dataset=xpresso", "dataset.root=somewhere")
        if name not in ("xpresso_original", "biolstm_PHT"):
            assert plain.training == config.training, name


def test_the_command_line_wins():
    config = compose("xpresso_PH", "training.batch_size=7", "model.dropout=0.5", "data.window=[0,9000]")
    assert (config.training.batch_size, config.model.dropout, config.data.window) == (7, [0.5, 0.5], [0, 9000])
    assert compose("xpresso_PH", "data=PHT").data.name == "PHT"


def test_what_was_published_is_no_setting():
    with pytest.raises(UserError, match="no setting"):
        checked_words(TRAIN, ["experiment=xpresso_PH", "experiment.r2=1"])


def test_a_preset_is_refused_with_another_model():
    with pytest.raises(UserError, match="transformer_PHT is a result of model=transformer"):
        compose("transformer_PHT", "model=xpresso")
    assert compose("transformer_PHT", "model=transformer").experiment is not None


def test_on_other_data_a_preset_is_no_published_result():
    assert compose("transformer_PH", "data=PH").experiment.r2 == 0.610
    plan = check(api.compose("experiment=transformer_PH", "data=PHT", "data.window=[0,2000]"))
    assert (plan.config.experiment, plan.config.model.embedding.kind, plan.config.data.name) == (None, "random", "PHT")
    assert "not a replication" in plan.notes[0]


def test_the_variants_differ_in_what_they_say():
    assert compose("xpresso_orthogonal").model.initializer == "orthogonal"
    assert compose("token_transformer_PH").model.vocab_size == 4
    assert compose("token_transformer_PHT").model.vocab_size == 5
