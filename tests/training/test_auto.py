"""Settings by dataset: which rows fit, what wins over them, and that every table is valid."""

from itertools import product

import pytest
from pydantic import ValidationError

from genexp import api
from genexp.config.conf import CONF_DIR, load
from genexp.config.validation import validate
from genexp.dataset.description import DatasetDescription
from genexp.models import config_class, names
from genexp.training.auto import Facts, Row, Table, described, row_for


def blocks_of(model):
    return "T" if config_class(model).reads is None else "PH"


@pytest.mark.parametrize("model", names())
def test_the_rows_of_every_model_are_settings_that_exist(model):
    data = blocks_of(model)
    for row in validate(load(CONF_DIR / "auto" / f"{model}.yaml"), Table, model).rows:
        given = [f"{key}={value}".replace("None", "null").replace("'", "") for key, value in row.values().items()]
        config = api.compose(f"model={model}", f"data={data}", "settings=published", *given)
        assert config.model.name == model
        assert set(row.blocks + row.without) <= set("PHTM")


@pytest.mark.parametrize("model", [name for name in names() if config_class(name).reads == "bases"])
def test_what_the_published_sizes_fit_the_chosen_sizes_fit_too(model):
    """Else ``auto`` would refuse promoters that ``published`` reads."""
    published = api.compose(f"model={model}", "settings=published").model
    for genes, tss in product((1000, 20_000), (True, False)):
        for promoter in range(published.shortest(), 3000, 50):
            chosen = row_for(model, Facts("files", genes, promoter, "PH", tss)).model
            assert published.model_copy(update=chosen).shortest() <= promoter


@pytest.mark.parametrize(
    ("conditions", "fits"),
    [
        ({}, True),
        ({"genes": [None, 3000]}, False),
        ({"genes": [3000, 3001]}, True),
        ({"promoter": [0, 600]}, False),
        ({"promoter": [600, None]}, True),
        ({"blocks": "PT"}, True),
        ({"blocks": "M"}, False),
        ({"without": "H"}, True),
        ({"without": "T"}, False),
        ({"dataset": "demo"}, False),
        ({"tss": True}, True),
        ({"tss": False}, False),
    ],
)
def test_a_row_fits_if_all_its_conditions_do(conditions, fits):
    assert Row(name="x", **conditions).fits(Facts("files", 3000, 600, "PT", tss=True)) is fits


def test_a_condition_on_promoters_excludes_data_without():
    for condition in ({"promoter": [None, 600]}, {"tss": False}):
        assert not Row(name="x", **condition).fits(Facts("files", 3000, None, "T"))


@pytest.mark.parametrize("rows", [[], [{"name": "x", "genes": [0, 9]}], [{"name": "x", "gene": [0, 9]}]])
def test_a_table_without_a_last_resort_is_refused(rows):
    with pytest.raises(ValidationError):
        Table.model_validate({"rows": rows})


def test_demo_genes_have_a_row_of_their_own_and_a_given_key_wins():
    config = api.compose("training.epochs=99")
    row = row_for("xpresso", Facts("demo", 4000, 2000, "PH"))
    assert (config.settings, row.name) == ("auto", "simulated genes")
    assert config.training.batch_size == row.training["batch_size"]
    assert config.training.epochs == 99
    published = api.compose("settings=published")
    assert (published.training.batch_size, published.training.epochs) == (256, 300)
    assert api.compose("training={epochs: 99}").training == config.training


def test_published_layouts_and_experiments_keep_the_published_settings(xpresso_root):
    set_ = ("dataset=files", f"dataset.root={xpresso_root}")
    assert api.compose(*set_).settings == "published"
    assert api.compose("experiment=xpresso_PH").settings == "published"
    assert api.compose(*set_, "settings=auto").settings == "auto"


def test_the_sentence_lists_what_was_chosen_and_what_was_given():
    found = DatasetDescription(
        source="", layout="", genes={"train": 4000}, promoter="bases", promoter_length=2000, tss=1000
    )
    sentence = described(api.compose("training.epochs=99"), found)
    assert sentence.startswith("settings=auto for 4,000 training genes, promoters of 2,000 nt, data=PH (simulated")
    assert "training.batch_size=32" in sentence
    assert sentence.endswith("; given: training.epochs")
