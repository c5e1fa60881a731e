"""HDF5 files with changed bytes, in every layout, end in one message or are read: never in a traceback.

The slow test makes ten thousand of each. HDF5 itself loops on some damaged files, which `genexp.dataset.storage` looks
for: pytest's ``faulthandler_timeout`` shows where, if it does not find one.
"""

import random
import re

import h5py
import pytest
from mutations import mutated
from published_sets import SIZES, make_split, one_hot, read, write_embedded, write_tf, write_tokens, write_xpresso

from genexp.dataset.writer import write_dataset
from genexp.errors import UserError


def gzip(root):
    def change(_, arrays):
        arrays["promoter"] = (arrays["promoter"], {"chunks": (2, 40, 4), "compression": "gzip"})

    write_xpresso(root, change=change)
    return "PH", "train.h5"


def own(root):
    write_tf(root.with_name("tf"))
    dataset = read(root.with_name("tf"), "PHT")
    root.mkdir()
    scaling = {"label": {"log10_offset": 0.1, "mean": 0.5, "sd": 1.5}}
    write_dataset(root, dataset, source="a test", scaling=scaling)
    return "PHT", "train.h5"


def newest(root):
    """In the newest file format, with texts of any length."""
    root.mkdir()
    for split in SIZES:
        genes = make_split(split)
        with h5py.File(root / f"{split}.h5", "w", libver="latest") as file:
            options = {"chunks": (2, 40, 4), "compression": "lzf", "shuffle": True, "fletcher32": True}
            file.create_dataset("promoter", data=one_hot(genes["tokens"]), **options)
            file["data"], file["label"] = genes["halflife"], genes["label"]
            file.create_dataset("geneName", data=[x.decode() for x in genes["gene"]], dtype=h5py.string_dtype())
    return "PH", "train.h5"


def with_factors(root):
    write_tf(root)
    return "PHT", "train_tf.h5"


def tokens(root):
    write_tokens(root, write_xpresso(root))
    return "PH", "translated_transformers.h5"


def embedded(root):
    root.mkdir()
    write_embedded(root, "_tf")
    return "PHT", "etrain_tf.h5"


def outcomes(tmp_path, layout, number):
    """Change a file of a dataset again and again: how often it was read, and how often it was refused."""
    root, rng = tmp_path / "set", random.Random(0)
    blocks, name = layout(root)
    whole, found = (root / name).read_bytes(), {"read": 0, "refused": 0}
    marks = [match.start() for match in re.finditer(rb"HDF|SNOD|TREE|HEAP|OHDR|FRHP|GCOL", whole)]
    for _ in range(number):
        content = bytearray(whole)
        for _ in range(rng.randint(1, 6)):  # half of the changes are where the file describes itself
            at = rng.choice(marks) + rng.randrange(200) if rng.random() < 0.5 else rng.randrange(len(whole))
            content[at % len(whole)] = rng.randrange(256)
        (root / name).write_bytes(mutated(whole, rng) if rng.random() < 0.3 else content)
        try:
            read(root, blocks, layout="tokens" if layout is tokens else "auto")
            found["read"] += 1
        except UserError as error:
            found["refused"] += "hint: " in str(error)
    assert sum(found.values()) == number
    return found


LAYOUTS = [gzip, own, newest, with_factors, tokens, embedded]


@pytest.mark.integration
@pytest.mark.parametrize("layout", LAYOUTS)
def test_changed_bytes_end_in_one_message(tmp_path, layout):
    assert min(outcomes(tmp_path, layout, 100).values()) > 1


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_changed_bytes_end_in_one_message_ten_thousand_times(tmp_path, layout):
    assert min(outcomes(tmp_path, layout, 10_000).values()) > 500
