"""Search spaces: what conf/tune holds, what is refused, and how values travel to a trial and back."""

import shlex

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from genexp import api, models
from genexp.api.training import decided
from genexp.api.tuning.config import TUNE
from genexp.api.tuning.space import Choices, Range, changed, parse_space, value_of
from genexp.config.compose import compose_words
from genexp.config.conf import CONF_DIR, load
from genexp.config.validation import validate
from genexp.config.words import parse_override, word
from genexp.errors import UserError
from genexp.models import config_class
from genexp.training.auto import Table


def words(model, *others):
    return [f"model={model}", "data=PH" if config_class(model).reads else "data=HT", *others]


@pytest.mark.parametrize("model", models.names())
def test_the_space_of_each_model_fits_its_schema_and_holds_its_settings(model):
    """So the first trial of a study has the settings that a run without a search has, on any dataset."""
    composed = compose_words(TUNE, words(model, "settings=published"))
    base = decided(composed)
    space = parse_space(composed.config.space, base)
    assert any(key.startswith("model.") for key in space)
    assert isinstance(space["training.learning_rate"], Range)
    for row in validate(load(CONF_DIR / "auto" / f"{model}.yaml"), Table, model).rows:
        given = changed(base, row.values(), row.name)
        for config in (base, given):
            outside = {key: value_of(config, key) for key in space if value_of(config, key) not in space[key]}
            assert not outside, row.name


def test_the_kind_of_number_follows_from_the_schema():
    base = api.compose("model=transformer")
    tree = {
        "model": {"depth": {"low": 1, "high": 3}, "dropout": {"low": 0, "high": 0.5}},
        "training": {"learning_rate": {"low": 0.1, "high": 1}, "batch_size": {"low": 8, "high": 508, "log": True}},
    }
    space = parse_space(tree, base)
    assert {key: dimension.whole for key, dimension in space.items()} == {
        "model.depth": True,
        "model.dropout": False,
        "training.learning_rate": False,
        "training.batch_size": True,
    }


def test_an_override_replaces_a_range_by_choices_and_leaves_keys_out():
    given = ["space.training.learning_rate=[1e-4,1e-3]", "space.model.dropout=null", "space.model.k=[3,4]"]
    composed = compose_words(TUNE, words("transformer", *given))
    space = parse_space(composed.config.space, decided(composed))
    assert space["training.learning_rate"] == Choices((1e-4, 1e-3))
    assert "model.dropout" not in space
    assert space["model.k"] == Choices((3, 4))


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        ({"training": {"learning_rat": [1]}}, "did you mean 'training.learning_rate'?"),
        ({"training": {"epochs": [0]}}, "at least 1"),
        ({"training": {"epochs": 5}}, "has no values to search"),
        ({"training": {"epochs": []}}, "has no values to search"),
        ({"training": {"epochs": {"low": 5, "high": 4}}}, "the range of training.epochs is impossible"),
        ({"training": {"learning_rate": {"low": 0, "high": 1, "log": True}}}, "above 0 on a log scale"),
        ({"training": {"learning_rate": {"low": 0.1}}}, "high is missing"),
        ({"training": {"learning_rate": {"low": 0.1, "high": 1, "lgg": True}}}, "there is no key lgg"),
        ({"training": {"optimizer": {"low": 1, "high": 2}}}, "training.optimizer"),
        ({"training": {"shuffle": {"low": 0, "high": 1}}}, "training.shuffle"),
        ({"training": {"epochs": {"x": [1]}}}, "training.epochs"),
        ({"seed": [1, 2]}, "seed is no setting that can be searched"),
        ({"dataset": {"genes": [300]}}, "no setting that can be searched"),
        ({"data": {"windo": None}}, "did you mean 'space.data.window'?"),
    ],
)
def test_what_is_wrong_is_one_message(tree, said):
    with pytest.raises(UserError) as error:
        parse_space(tree, api.compose())
    assert said in str(error.value)


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=8)
)


@given(st.lists(st.one_of(VALUES, st.lists(st.integers(), max_size=3)), min_size=1, max_size=4))
def test_choices_come_back_from_a_study_as_they_were(values):
    choices = Choices(tuple(values))
    for value in values:
        assert value in choices
        back = choices.value(choices.stored(value))
        assert (back, type(back)) == (value, type(value)) or back == value


@given(st.one_of(st.booleans(), st.integers(-10, 10**6), st.floats(1e-9, 1e9), st.lists(st.floats(0, 1), max_size=3)))
def test_a_value_is_the_same_on_the_command_line(value):
    assert parse_override(word("key", value)).value() == value


#: Every character of a path that has a meaning in Hydra's or OmegaConf's grammar, and some others.
NAMES = st.text(st.sampled_from("ab 5,:=()[]{}'\"\\\\$$/~é日"), min_size=1, max_size=10) | st.text(
    st.characters(exclude_categories=["C", "Zl", "Zp"]), min_size=1, max_size=10
)


@given(st.one_of(st.none(), NAMES, st.lists(st.one_of(NAMES, st.integers(), st.booleans()), max_size=3)))
@example("${seed}")
@example("\\${seed}\\")
@example("/tmp/Gène d'été, [1]")
def test_names_and_lists_too(value):
    """Also as a job of a sweep gets them, whose overrides are Hydra's texts of the parsed ones."""
    (typed,) = shlex.split(shlex.quote(word("key", value)))
    override = parse_override(typed)
    again = parse_override(f"key={override.get_value_element_as_str()}")
    for found in (override, again):
        config = OmegaConf.create({"seed": 1})
        OmegaConf.update(config, "key", found.value())
        assert OmegaConf.to_container(config, resolve=True)["key"] == value


def test_null_leaves_out_a_key_that_is_not_searched_anyway():
    assert parse_space({"training": {"momentum": None}, "model": None}, api.compose()) == {}


def test_changed_values_are_held_to_the_schema():
    base = api.compose("model=fc_net", "data=HT")
    assert value_of(changed(base, {"model.dropout": 0.3, "training.epochs": 7}, ""), "model.dropout") == [0.3, 0.3]
    with pytest.raises(UserError, match=r"model\.dense"):
        changed(base, {"model.dense": [1]}, "here")
