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
#: Two sequences are compared if they share this many of their rarest k-mers: one would do, but for many in vain.
_SHARED = 5
#: Sequences cut into k-mers at a time, products computed at a time, and products that a few minutes allow.
_ROWS, _BLOCK, _FEASIBLE = 4096, 8_000_000, 100_000_000_000


def identical(sequences: np.ndarray) -> np.ndarray:
    """Return a number for each of (n, length) uint8 tokens, the same for identical ones, as (n,) int64."""
    rows = np.ascontiguousarray(sequences)
    whole = rows.view(np.dtype((np.void, max(1, rows.shape[1])))).ravel()
    return np.asarray(np.unique(whole, return_inverse=True)[1], np.int64)


def alike(sequences: np.ndarray, threshold: float) -> np.ndarray:
    """Return a number for each of (n, length) uint8 tokens, the same for sequences that a chain of similar ones links.

    Two sequences are similar if they share at least the part `threshold` of their k-mers: twice those shared over the
    sum of both; a k-mer counts once, and not at all with N. All such pairs are found: two sets that share so much share
    `_SHARED` of their rarest members, and pairs that do are compared.
    """
    _, first, group = np.unique(identical(sequences), return_index=True, return_inverse=True)
    sets = _kmer_sets(sequences[first])
    least = np.ceil(threshold / (2 - threshold) * np.diff(sets.indptr) - 1e-9).astype(np.int64)
    rare, found = _rarest(sets, least), [np.empty((2, 0), np.int64)]
    columns = csr_array(rare.T)
    for rows in _blocks(rare):
        shared = (rare[rows] @ columns).tocoo()
        one, other = shared.coords[0] + rows.start, shared.coords[1]
        near = (one < other) & (shared.data >= np.minimum(_SHARED, np.maximum(least[one], least[other])))
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
    for start in range(0, len(sequences), _ROWS):
        codes = _codes(sequences[start : start + _ROWS], width)
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


def _rarest(sets: csr_array, least: np.ndarray) -> csr_array:
    """Keep so many of the first columns of rows that those which share `least` (n,) of all share `_SHARED` of them."""
    sizes = np.diff(sets.indptr)
    number = np.minimum(sizes, sizes - least + _SHARED)
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
    for start in range(0, len(one), _ROWS):
        a, b = one[start : start + _ROWS], other[start : start + _ROWS]
        shared = sets[a].multiply(sets[b]).sum(axis=1)
        right[start : start + _ROWS] = 2 * shared >= threshold * (sizes[a] + sizes[b]) - 1e-9
    return np.stack([one[right], other[right]])
