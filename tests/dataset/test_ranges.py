"""The ranges of training features: written, read, and combined over runs."""

import numpy as np
import pytest

from genexp.dataset.description import DatasetDescription
from genexp.dataset.genes import Dataset, Split
from genexp.dataset.ranges import common_ranges, read_ranges, write_ranges
from genexp.errors import UserError


@pytest.fixture
def written(tmp_path):
    rng = np.random.default_rng(0)
    blocks = {"P": np.zeros((50, 4), np.uint8), "H": rng.normal(3, 2, (50, 2)).astype(np.float32)}
    blocks["T"] = (rng.random((50, 3)) < 0.3).astype(np.uint8)
    split = Split(np.arange(50).astype(str), np.zeros((50, 1), np.float32), blocks)
    described = DatasetDescription(source="x", layout="x", genes={}, feature_names={"H": ("length", "gc")})
    write_ranges(tmp_path / "f.csv", Dataset(described, {"train": split}))
    return tmp_path / "f.csv", blocks


def test_ranges_are_those_of_the_training_features(written):
    path, blocks = written
    found = read_ranges(path, {"H": 2, "T": 3})
    for letter in "HT":
        values = blocks[letter].astype(float)
        np.testing.assert_array_equal(found[letter].mean, [column.mean() for column in values.T])
        np.testing.assert_array_equal(found[letter].high, values.max(axis=0))
    low, sd = found["H"].low, found["H"].sd
    assert found["H"].outside(np.array([low - 0.9 * sd, low - 1.1 * sd])).tolist() == [[False] * 2, [True] * 2]
    with pytest.raises(UserError, match="cannot be read"):
        read_ranges(path, {"H": 3})


def test_members_have_the_range_of_all_and_the_mean_of_their_means(written, tmp_path):
    found = read_ranges(written[0], {"H": 2})
    moved = {"H": type(found["H"])(*(getattr(found["H"], k) + 1 for k in ("mean", "sd", "low", "high")))}
    both = common_ranges([found, moved])["H"]
    np.testing.assert_allclose(both.mean, found["H"].mean + 0.5)
    np.testing.assert_array_equal((both.low, both.high), (found["H"].low, moved["H"].high))
    assert common_ranges([found, read_ranges(tmp_path / "none.csv", {"H": 2})]) == {}
