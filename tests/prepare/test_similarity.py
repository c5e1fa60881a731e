import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genexp.errors import UserError
from genexp.features.tokens import N_TOKEN, tokens_from_text
from genexp.prepare import similarity
from genexp.prepare.similarity import K, alike, identical, joined


def kmers(row):
    found = {tuple(row[n : n + K].tolist()) for n in range(len(row) - K + 1)}
    return {kmer for kmer in found if N_TOKEN not in kmer}


def linked(rows, threshold):
    """Every pair compared, and chains of pairs followed, written out."""
    sets, group = [kmers(row) for row in rows], list(range(len(rows)))
    for a in range(len(rows)):
        for b in range(a):
            both = len(sets[a]) + len(sets[b])
            near = both and 2 * len(sets[a] & sets[b]) >= threshold * both - 1e-9
            if near or (rows[a] == rows[b]).all():
                old, new = group[a], group[b]
                group = [new if g == old else g for g in group]
    return group


def same_groups(one, other):
    pairs = set(zip(one, other, strict=True))
    return len(pairs) == len(set(one)) == len(set(other))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    families=st.integers(1, 6),
    changes=st.integers(0, 5),
    length=st.integers(K - 2, 60),
    threshold=st.sampled_from([0.3, 0.5, 0.8, 0.95, 1.0]),
    unknown=st.booleans(),
)
def test_every_similar_pair_is_found(seed, families, changes, length, threshold, unknown):
    rng = np.random.default_rng(seed)
    rows = np.repeat(rng.integers(0, 4, (families, length)), 5, axis=0).astype(np.uint8)
    for row in rows:
        place = rng.integers(0, length, changes)
        row[place] = rng.integers(0, 5 if unknown else 4, changes)
    assert same_groups(alike(rows, threshold).tolist(), linked(rows, threshold))


def test_products_in_many_blocks_find_the_same(monkeypatch):
    rng = np.random.default_rng(0)
    rows = np.repeat(rng.integers(0, 4, (30, 50)), 3, axis=0).astype(np.uint8)
    rows[np.arange(90), rng.integers(0, 50, 90)] = 0
    whole = alike(rows, 0.8)
    monkeypatch.setattr(similarity, "_BLOCK", 40)
    monkeypatch.setattr(similarity, "_PAIRS", 7)
    monkeypatch.setattr(similarity, "_BASES", 300)
    assert same_groups(whole.tolist(), alike(rows, 0.8).tolist())


def test_long_sequences_are_compared_by_a_sample():
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 4, (6, 20_000)).astype(np.uint8)
    rows[1] = rows[0]
    rows[1, ::400] = (rows[1, ::400] + 1) % 4
    found = alike(rows, 0.8)
    assert found[0] == found[1]
    assert len(set(found.tolist())) == 5


def test_too_many_comparisons_are_refused_at_once(monkeypatch):
    monkeypatch.setattr(similarity, "_FEASIBLE", 10)
    rows = np.random.default_rng(0).integers(0, 4, (50, 40)).astype(np.uint8)
    with pytest.raises(UserError, match=r"would take hours[\s\S]*split\.by=group"):
        alike(np.concatenate([rows, rows[:, ::-1]]), 0.1)


def test_no_sequences_and_sequences_without_any_kmer():
    assert len(alike(np.empty((0, 30), np.uint8), 0.8)) == 0
    rows = np.full((3, 30), N_TOKEN, np.uint8)
    rows[2, 0] = 0
    found = alike(rows, 0.8)
    assert found[0] == found[1] != found[2]


def test_identical_sequences():
    rows = np.stack([tokens_from_text(text) for text in ("ACGT", "ACGN", "ACGT", "acgu")])
    found = identical(rows)
    assert found[0] == found[2] == found[3] != found[1]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=20))
def test_joined_groups_keep_the_members_of_both_together(pairs):
    one, other = np.array(pairs).T
    found = joined(one.astype(str), other)
    for groups in (one, other):
        assert all(len(set(found[groups == group])) == 1 for group in set(groups.tolist()))
    assert len(joined(np.arange(5), np.arange(5))) == len(set(joined(np.arange(5), np.arange(5)).tolist()))
