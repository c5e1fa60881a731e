import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genexp.errors import UserError
from genexp.prepare import splits


def all_rows(rows):
    return np.sort(np.concatenate(list(rows.values()))).tolist()


@settings(max_examples=50, deadline=None)
@given(genes=st.integers(5, 400), seed=st.integers(0, 9))
def test_the_published_order_is_that_of_pandas(genes, seed):
    table = pd.DataFrame({"gene": np.arange(genes)}).sample(frac=1, random_state=seed)
    rows = splits.published_split(genes, 2, 1, seed)
    assert np.concatenate([rows["train"], rows["valid"], rows["test"]]).tolist() == table["gene"].tolist()
    assert (len(rows["valid"]), len(rows["test"])) == (2, 1)


@settings(max_examples=50, deadline=None)
@given(genes=st.integers(30, 200), folds=st.integers(3, 10))
def test_published_folds_test_every_gene_once(genes, folds):
    found = splits.published_folds(genes, folds, 4)
    assert sorted(np.concatenate([rows["test"] for rows in found]).tolist()) == list(range(genes))
    order = splits.published_split(genes, 1, 1)
    order = np.concatenate(list(order.values())).tolist()
    for rows in found:
        assert all_rows(rows) == list(range(genes))
        assert len(rows["valid"]) == 4
        rest = [gene for gene in order if gene not in set(rows["test"].tolist())]
        assert rows["valid"].tolist() + rows["train"].tolist() == rest
    assert found[0]["test"].tolist() == order[: len(found[0]["test"])]


@settings(max_examples=50, deadline=None)
@given(groups=st.lists(st.integers(0, 12), min_size=20, max_size=200), seed=st.integers(0, 5), folds=st.integers(3, 6))
def test_groups_stay_together_and_no_gene_is_there_twice(groups, seed, folds):
    groups = np.array(groups)
    rows = splits.split_groups(groups, 3, 5, seed)
    rotated = splits.rotate(splits.fold_groups(groups, folds, seed), folds)
    for found in [rows, *rotated]:
        assert all_rows(found) == list(range(len(groups)))
        members = [set(groups[mine]) for mine in found.values()]
        assert not members[0] & members[1]
        assert not members[0] & members[2]
        assert not members[1] & members[2]
    assert sorted(np.concatenate([found["test"] for found in rotated])) == list(range(len(groups)))


def test_folds_of_single_genes_are_equal():
    sizes = np.bincount(splits.fold_groups(np.arange(103), 10, 1))
    assert sorted(sizes) == [10] * 7 + [11] * 3


@pytest.mark.parametrize(
    ("wanted", "published", "size"), [(None, False, 20), (None, True, 1000), (0.25, False, 50), (7, True, 7)]
)
def test_sizes(wanted, published, size):
    assert splits.size_of(wanted, 200, published, "split.test") == size


@pytest.mark.parametrize("wanted", ["many", 0, -1, True, ["1"]])
def test_impossible_sizes(wanted):
    with pytest.raises(UserError, match=r"split\.test is impossible"):
        splits.size_of(wanted, 200, False, "split.test")


def test_splits_larger_than_the_genes_leave_none_to_train_on():
    rows = splits.published_split(9, 4, 7)
    assert [len(rows[name]) for name in ("train", "valid", "test")] == [0, 2, 7]


CHROMOSOMES = np.array(["chr1"] * 50 + ["chr2"] * 30 + ["chrX"] * 20 + ["chrM"] * 5)


def test_named_chromosomes_with_or_without_chr():
    rows = splits.split_chromosomes(CHROMOSOMES, ["2"], ["chrX", "MT"], 0)
    assert set(CHROMOSOMES[rows["test"]]) == {"chrX", "chrM"}
    assert set(CHROMOSOMES[rows["valid"]]) == {"chr2"}


def test_a_number_takes_whole_chromosomes_from_the_others():
    rows = splits.split_chromosomes(CHROMOSOMES, 25, ["1"], 0)
    assert set(CHROMOSOMES[rows["test"]]) == {"chr1"}
    assert 20 <= len(rows["valid"]) <= 30
    assert all_rows(rows) == list(range(len(CHROMOSOMES)))


@pytest.mark.parametrize(
    ("valid", "test", "words"),
    [(["9"], ["1"], "no gene lies on chromosome 9"), (["1"], ["chr1"], "a chromosome is in two splits")],
)
def test_bad_chromosomes(valid, test, words):
    with pytest.raises(UserError, match=words):
        splits.split_chromosomes(CHROMOSOMES, valid, test, 0)


@settings(max_examples=50, deadline=None)
@given(
    starts=st.lists(st.tuples(st.sampled_from("12"), st.integers(-20, 200)), min_size=6, max_size=40),
    length=st.integers(1, 30),
    size=st.sampled_from([0, 100, 230]),
)
def test_overlaps_are_those_of_every_pair(starts, length, size):
    """Chromosome 2 is circular where `size` is its length."""
    chromosome, start = np.array([c for c, _ in starts]), np.array([s for _, s in starts])
    rows = {name: np.arange(n, len(starts), 3) for n, name in enumerate(("train", "valid", "test"))}
    start = np.where((chromosome == "2") & (size > 0), start % max(size, 1), start)
    found = splits.overlapping(rows, chromosome, start, length, np.where(chromosome == "2", size, 0))

    def distance(n, m):
        far = abs(start[n] - start[m])
        return min(far, size - far) if size and chromosome[n] == "2" else far

    for name, later in (("train", ("valid", "test")), ("valid", ("test",)), ("test", ())):
        others = [n for split in later for n in rows[split]]
        assert found[name].tolist() == [
            any(chromosome[n] == chromosome[m] and distance(n, m) < length for m in others) for n in rows[name]
        ]
