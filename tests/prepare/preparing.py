"""What tests of whole datasets share: a config from words, the dataset that was written, and what was refused."""

from functools import cache

import pytest
from omegaconf import OmegaConf, open_dict

from genexp.commands import command_of
from genexp.config.compose import composed
from genexp.config.conf import CONF_DIR
from genexp.config.conf import load as load_conf
from genexp.config.validation import validate
from genexp.dataset.config import DatasetConfig
from genexp.dataset.sources import inspect, load
from genexp.errors import UserError
from genexp.prepare import Config, prepare

FILES = load_conf(CONF_DIR / "dataset" / "files.yaml")


@cache
def defaults():
    """Return conf/prepare.yaml as Hydra composes it; once, for that takes longer than a small dataset."""
    whole = composed(command_of("prepare"), ["source=genome", "out=o"], None)
    with open_dict(whole):
        del whole["hydra"]
    return whole


def configured(**words):
    """Return the config of words such as ``source="sequences"``; a dot in a key is written as two underscores."""
    values = OmegaConf.to_container(defaults())
    for key, value in words.items():
        *groups, last = key.split("__")
        place = values
        for group in groups:
            place = place[group]
        place[last] = value
    return validate(values, Config, "the test")


def run(say=print, **words):
    """Prepare a dataset, and return its folder."""
    return prepare(configured(**words), note=say, warn=say)


def read(out, blocks="P", fold=None):
    """Return the dataset in a folder, whole promoters."""
    source = inspect(DatasetConfig(**FILES | {"root": str(out), "fold": fold}), blocks)
    return load(source, blocks, (0, source.description.promoter_length) if "P" in blocks else None)


def raw_values(out):
    """Return what genes.tsv says, by gene."""
    lines = [line.split("\t") for line in (out / "genes.tsv").read_text().splitlines()]
    return {line[0]: dict(zip(lines[0], line, strict=True)) for line in lines[1:]}


def refused(**words):
    """Return the message of a command that is refused."""
    with pytest.raises(UserError) as caught:
        run(**words)
    return str(caught.value)
