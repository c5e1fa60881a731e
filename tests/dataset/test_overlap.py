"""Genes of one dataset that another run was trained on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genexp.dataset.genes import Split
from genexp.dataset.overlap import TrainingGenes
from genexp.errors import UserError


def genes(names, promoters=None):
    blocks = {} if promoters is None else {"P": np.array(promoters, np.uint8)}
    return Split(np.array(names), np.zeros((len(names), 1), np.float32), blocks)


def test_genes_are_found_by_name_and_by_promoter(tmp_path):
    train = genes(["a", "b", "c", "d"], [[0, 1], [2, 3], [4, 4], [1, 1]])
    TrainingGenes.of(train, named=True).save(tmp_path / "x.npz")
    known = TrainingGenes.load(tmp_path / "x.npz")
    other = genes(["b", "x", "y", "z"], [[0, 0], [2, 3], [4, 4], [3, 3]])
    assert known.among(other, named=True) == {"genes": 2, "by_name": 1, "by_sequence": 1, "of": 4}
    assert known.among(other, named=False) == {"genes": 1, "by_name": 0, "by_sequence": 1, "of": 4}
    assert known.among(genes(["a"]), named=True)["by_sequence"] == 0
    unnamed = TrainingGenes.of(train, named=False)
    assert unnamed.among(genes(["a", "b"]), named=True)["genes"] == 0


def test_numbers_of_rows_are_no_names():
    """Two tables of sequences without ids have both a seq1, which are two sequences."""
    known = TrainingGenes.of(genes(["seq1", "seq2", "s1"], [[0, 1], [2, 3], [1, 1]]), named=True)
    found = known.among(genes(["seq1", "seq3", "s1"], [[3, 3], [2, 3], [0, 0]]), named=True)
    assert found == {"genes": 2, "by_name": 1, "by_sequence": 1, "of": 3}


@given(st.sets(st.integers(0, 30)), st.sets(st.integers(0, 30)), st.sets(st.integers(0, 30)))
def test_counts_are_those_of_sets(one, two, other):
    first, second = (TrainingGenes.of(genes([f"g{n}" for n in each]), named=True) for each in (one, two))
    found = (first | second).among(genes([f"g{n}" for n in other]), named=True)
    assert found["genes"] == len((one | two) & other)


def test_a_million_genes_are_a_few_seconds_and_megabytes(tmp_path):
    split = genes(np.arange(100_000).astype(str))
    known = TrainingGenes.of(split, named=True)
    known.save(tmp_path / "x.npz")
    assert (tmp_path / "x.npz").stat().st_size < 1_000_000
    assert known.among(split, named=True)["genes"] == 100_000


def test_a_damaged_record_is_a_user_error(tmp_path):
    np.savez(tmp_path / "x.npz", names=np.zeros(3), promoters=np.zeros(3))
    with pytest.raises(UserError, match="record of the training genes"):
        TrainingGenes.load(tmp_path / "x.npz")
