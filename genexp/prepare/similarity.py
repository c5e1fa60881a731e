"""Sequences that are alike: identical ones, and those that share most of their k-mers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from genexp.errors import UserError
from genexp.features.tokens import N_TOKEN

#: Length of the k-mers whose sets are compared.
K = 10
#: Of longer sequences a fixed sample of about this many k-mers is compared.
SAMPLE = 1000
#: Two sequences are compared if they share this many of their rarest k-mers, and a fiftieth of all.
_SHARED = 5
#: Bases cut into k-mers at a time, pairs compared at a time, products at a time, and those that some minutes allow.
_BASES, _PAIRS, _BLOCK, _FEASIBLE = 1_000_000, 4096, 8_000_000, 100_000_000_000


def identical(sequences: np.ndarray) -> np.ndarray:
    """Return a number for each of (n, length) uint8 tokens, the same for identical ones, as (n,) int64."""
    rows = np.ascontiguousarray(sequences)
    whole = rows.view(np.dtype((np.void, max(1, rows.shape[1])))).ravel()
    return np.asarray(np.unique(whole, return_inverse=True)[1], np.int64)


def alike(sequences: np.ndarray, threshold: float) -> np.ndarray:
    """Return a number for each of (n, length) uint8 tokens, the same for sequences that a chain of similar ones links.

    Two sequences are similar if they share at least the part `threshold` of their k-mers: twice those shared over the
    sum of both; a k-mer counts once, and not at all with N. All such pairs are found: two sets that share so much share
    some of their rarest members, and pairs that do are compared.
    """
    _, first, group = np.unique(identical(sequences), return_index=True, return_inverse=True)
    sets = _kmer_sets(sequences[first])
    sizes = np.diff(sets.indptr)
    least = np.ceil(threshold / (2 - threshold) * sizes - 1e-9).astype(np.int64)
    some = np.minimum(least, _SHARED + sizes // 50)  # one would do, but for many comparisons in vain
    rare, found = _rarest(sets, least, some), [np.empty((2, 0), np.int64)]
    columns = csr_array(rare.T)
    for rows in _blocks(rare):
        shared = (rare[rows] @ columns).tocoo()
        one, other = shared.coords[0] + rows.start, shared.coords[1]
        near = (one < other) & (shared.data >= np.minimum(some[one], some[other]))
        found.append(_similar(sets, one[near], other[near], threshold))
    one, other = np.concatenate(found, axis=1)
    links = csr_array((np.ones(len(one), bool), (one, other)), shape=(len(first), len(first)))
    return np.asarray(connected_components(links, directed=False)[1][group], np.int64)


def joined(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return groups (n,) in which members of a group of `one` or of `other`, both (n,), are together."""
    a, b = (np.unique(groups, return_inverse=True)[1] for groups in (one, other))
    size = int(a.max(initial=-1)) + 1
    both = size + int(b.max(initial=-1)) + 1
    links = csr_array((np.ones(len(a), bool), (a, b + size)), shape=(both, both))
    return np.asarray(connected_components(links, directed=False)[1][a], np.int64)


def _kmer_sets(sequences: np.ndarray) -> csr_array:
    """Return which k-mers each sequence has, (n, k-mers) of ones; the rarest k-mer is in the first column."""
    width = max(0, sequences.shape[1] - K + 1)
    kept = np.ones(4**K, bool)
    if width > SAMPLE:
        kept = np.random.default_rng(0).random(4**K) < SAMPLE / width
    parts, sizes = [np.empty(0, np.int32)], [np.zeros(1, np.int64)]
    step = max(1, _BASES // max(1, width))
    for start in range(0, len(sequences), step):
        codes = _codes(sequences[start : start + step], width)
        codes.sort(axis=1)
        there = codes >= 0
        there[:, 1:] &= codes[:, 1:] != codes[:, :-1]
        there &= kept[codes]
        parts.append(codes[there])
        sizes.append(there.sum(axis=1))
    members, ends = np.concatenate(parts), np.concatenate(sizes).cumsum()
    rank = np.empty(4**K, np.int32)
    rank[np.argsort(np.bincount(members, minlength=4**K), kind="stable")] = np.arange(4**K)
    sets = csr_array((np.ones(len(members), np.int32), rank[members], ends), shape=(len(sequences), 4**K))
    sets.sort_indices()
    return sets


def _codes(tokens: np.ndarray, width: int) -> np.ndarray:
    """Return the k-mer at each of `width` places of (n, length) tokens as a number, int32, -1 where it has an N."""
    codes, known = np.zeros((len(tokens), width), np.int32), np.ones((len(tokens), width), bool)
    for n in range(K):
        codes = codes * 4 + tokens[:, n : n + width]
        known &= tokens[:, n : n + width] != N_TOKEN
    return np.where(known, codes, np.int32(-1))


def _rarest(sets: csr_array, least: np.ndarray, some: np.ndarray) -> csr_array:
    """Keep the first columns of rows, so many that rows which share `least` (n,) of all share `some` (n,) of these."""
    sizes = np.diff(sets.indptr)
    number = sizes - least + some
    place = np.arange(sets.nnz) - np.repeat(sets.indptr[:-1], sizes)
    members = sets.indices[place < np.repeat(number, sizes)]
    ends = np.concatenate([[0], number.cumsum()])
    return csr_array((np.ones(len(members), np.int32), members, ends), shape=sets.shape)


def _blocks(rare: csr_array) -> Iterator[slice]:
    """Yield blocks of rows whose product with all rows has a limited size."""
    often = np.bincount(rare.indices, minlength=rare.shape[1])[rare.indices]
    done = np.concatenate([[0], often.cumsum(dtype=np.int64)])[rare.indptr]
    if done[-1] > _FEASIBLE:
        what = "so many sequences have k-mers in common that comparing them would take hours"
        expected, received = f"at most {_FEASIBLE:,} comparisons of a k-mer", f"{done[-1]:,}"
        hint = "raise split.similarity, or cluster with a tool such as MMseqs2, and set split.by=group with split.file"
        raise UserError(what, where="split.by=similarity", expected=expected, received=received, hint=hint)
    start = 0
    while start < len(done) - 1:
        end = max(start + 1, int(np.searchsorted(done, done[start] + _BLOCK, "right")) - 1)
        yield slice(start, end)
        start = end


def _similar(sets: csr_array, one: np.ndarray, other: np.ndarray, threshold: float) -> np.ndarray:
    """Return those of the pairs that are similar, (2, pairs)."""
    sizes, right = np.diff(sets.indptr), np.empty(len(one), bool)
    for start in range(0, len(one), _PAIRS):
        a, b = one[start : start + _PAIRS], other[start : start + _PAIRS]
        shared = sets[a].multiply(sets[b]).sum(axis=1)
        right[start : start + _PAIRS] = 2 * shared >= threshold * (sizes[a] + sizes[b]) - 1e-9
    return np.stack([one[right], other[right]])
