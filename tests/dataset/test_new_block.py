"""A block that is one new row of the table is read, described, written and checked as the others are."""

import numpy as np
import pytest
from published_sets import look, make_split, read, write_xpresso

from genexp.blocks import BLOCKS, Block
from genexp.dataset.batches import inference_batches
from genexp.dataset.layouts import find_sets
from genexp.dataset.sources import load
from genexp.dataset.writer import write_dataset
from genexp.errors import UserError

NAMES = ("FIRST", "SECOND", "THIRD")


@pytest.fixture
def extra_block(monkeypatch):
    """Add block Z, of real values."""
    monkeypatch.setitem(BLOCKS, "Z", Block("Z", "extra", "extra numbers", ("extra", "peaks_z"), NAMES))


def values(split, n):
    return np.random.default_rng([len(split), n]).normal(size=(n, 3))


def write(root, **changes):
    def change(split, arrays):
        arrays["PEAKS_Z"] = changes.get(split, values(split, len(arrays["label"])))

    return write_xpresso(root, change=change)


def test_it_is_found_read_and_described(tmp_path, extra_block):
    write(tmp_path)
    (found,) = find_sets(tmp_path)
    assert (found.layout, found.blocks) == ("xpresso", "PHZ")
    fileset = look(tmp_path, need="PHZ")
    assert fileset.description.widths == {"H": 8, "Z": 3}
    assert fileset.description.feature_names["Z"] == NAMES
    assert "blocks P H(8) Z(3)" in str(fileset.description)
    dataset = load(fileset, "ZP", None)
    assert list(dataset.splits["train"].blocks) == ["P", "Z"]
    for name, split in dataset.splits.items():
        np.testing.assert_allclose(split.blocks["Z"], values(name, len(split)), rtol=1e-6)
    assert dataset.record().widths == {"Z": 3}


def test_it_is_written_and_read_again(tmp_path, extra_block):
    write(tmp_path / "raw")
    dataset = read(tmp_path / "raw", "PHZ")
    (tmp_path / "own").mkdir()
    write_dataset(tmp_path / "own", dataset, source="tests")
    again = read(tmp_path / "own", "PHZ")
    assert again.fingerprint() == dataset.fingerprint()
    assert again.description.feature_names["Z"] == NAMES


def test_it_is_fed_by_its_name(tmp_path, extra_block):
    write(tmp_path)
    dataset = read(tmp_path, "PZ")
    inputs, _ = next(iter(inference_batches(dataset.splits["test"], 4)))
    np.testing.assert_array_equal(inputs["extra"], dataset.splits["test"].blocks["Z"])


def test_its_errors_name_it(tmp_path, extra_block):
    wrong = values("valid", len(make_split("valid")["label"]))
    wrong[1, 2] = np.nan
    write(tmp_path, valid=wrong)
    with pytest.raises(UserError, match="column THIRD"):
        read(tmp_path, "Z")
    write_xpresso(tmp_path / "without")
    with pytest.raises(UserError, match=r"block Z \(extra\)"):
        look(tmp_path / "without", need="Z")
