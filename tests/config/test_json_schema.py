"""The JSON Schema files: what `genexp schema` makes of the classes, and what the files in conf/ refer to."""

import json
import re

import jsonschema
import pytest
import yaml

from genexp.commands.schema import run_words
from genexp.config.conf import CONF_DIR

#: But for those whose keys are Hydra's own.
CONF_FILES = sorted(path for path in CONF_DIR.rglob("*.yaml") if CONF_DIR / "hydra" not in path.parents)


@pytest.fixture(scope="module")
def schemas(tmp_path_factory):
    folder = tmp_path_factory.mktemp("schema")
    assert run_words(["write", str(folder)]) == 0
    return {path.name: json.loads(path.read_text()) for path in folder.iterdir()}


@pytest.mark.parametrize("path", CONF_FILES, ids=lambda path: str(path.relative_to(CONF_DIR)))
def test_each_config_file_refers_to_its_schema_and_fulfils_it(path, schemas):
    refers = re.search(r"^# yaml-language-server: \$schema=(\S+)$", path.read_text(), re.MULTILINE)
    assert (path.parent / refers[1]).parent.resolve() == CONF_DIR / "schema"
    schema = schemas[refers[1].rpartition("/")[2]]
    jsonschema.Draft202012Validator(schema).validate(yaml.safe_load(path.read_text()))


@pytest.mark.parametrize(
    "wrong",
    [
        {"training": {"epoch": 3}},
        {"training": {"epochs": 0}},
        {"hardware": {"name": "x"}},
        {"model": {"name": "nonsense"}},
        {"model": {"name": "xpresso", "expansion": 4}},
    ],
)
def test_errors_are_found_by_the_schema(wrong, schemas):
    assert not jsonschema.Draft202012Validator(schemas["train.json"]).is_valid(wrong)


@pytest.mark.parametrize(
    ("command", "content"),
    [
        ("train", {"model": {"name": "xpresso", "dropout": 0.3}}),
        ("train", {"dataset": {"name": "of_my_own", "root": "/set"}}),
        ("explain", {"methods": "mutagenesis", "genes": 7}),
        ("prepare", {"tf": "targets.tsv", "genes": {"skip_chromosomes": [2]}}),
    ],
)
def test_short_forms_fulfil_the_schema(command, content, schemas):
    jsonschema.Draft202012Validator(schemas[f"{command}.json"]).validate(content)
