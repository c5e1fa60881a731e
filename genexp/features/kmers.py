"""K-mers of tokens: their index, their counts per chunk of a promoter, and the mean vectors of the chunks.

A chunk is encoded as the mean of the vectors of its k-mers (DeepLncLoc, Zeng et al. 2022, Briefings in Bioinformatics
23, bbab360): its k-mer counts times the matrix of vectors, divided by the number of k-mers. So k-mers are counted
once, and the vectors can be part of the model.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from genexp.errors import UserError
from genexp.features.threads import in_threads
from genexp.features.tokens import ALPHABET, N_TOKEN
from genexp.memory import allocate, is_on_disk

#: Longest k-mer: beyond it the counts of one gene exceed a processor's cache.
MAX_K = 8

#: Tokens counted at a time, and chunks averaged at a time: about 1 MB of working memory, which stays in the cache.
_BLOCK_TOKENS = 2**17
_BLOCK_CHUNKS = 2**12
#: Smallest number of tokens, and of chunks, per thread.
_THREAD_TOKENS = 2**19
_THREAD_CHUNKS = 2**13


def kmer_words(k: int) -> list[str]:
    """Return all 4**k k-mers over A, C, G, T in lexicographic order, which is the order of their indices."""
    return ["".join(letters) for letters in product(ALPHABET[:N_TOKEN], repeat=k)]


def kmer_index(tokens: np.ndarray, k: int) -> np.ndarray:
    """Return the index of the k-mer that starts at each position of (..., length) uint8 tokens.

    It is (..., length - k + 1) of the smallest unsigned type: the tokens as digits in base 4; ``4**k`` where the k-mer
    contains N.
    """
    _check_k(k, "model.k")
    if tokens.shape[-1] < k:
        raise UserError(f"a sequence of {tokens.shape[-1]} nt is shorter than one k-mer", where="model.k", received=k)
    index, valid = _index(tokens.reshape(-1), k)
    index = index.astype(np.min_scalar_type(4**k), copy=False)
    if valid is not None:
        index[~valid] = 4**k
    # Indices that span two sequences are cut off.
    return index.reshape(tokens.shape)[..., : tokens.shape[-1] - k + 1]


def chunk_counts(tokens: np.ndarray, k: int = 3, chunk: int = 50) -> np.ndarray:
    """Count the k-mers inside each chunk of (n, window) uint8 tokens, without those that contain N.

    Returns (n, window / chunk, 4**k) counts in the order of `kmer_words`, in the smallest unsigned type that holds the
    number of k-mers of a chunk.
    """
    n, window = tokens.shape
    check_chunks(window, k, chunk)
    dtype = np.min_scalar_type(chunk - k + 1)
    counts = allocate((n, window // chunk, 4**k), dtype, on_disk=is_on_disk(tokens))
    in_threads(lambda rows: _count(tokens[rows], k, chunk, counts[rows]), n, _THREAD_TOKENS // window)
    return counts


def _count(tokens: np.ndarray, k: int, chunk: int, counts: np.ndarray) -> None:
    """Write the counts of (n, window) tokens into (n, window / chunk, 4**k) counts."""
    from scipy.sparse import csr_array  # takes a third of a second, which `genexp train --help` does not need

    n, window = tokens.shape
    steps = max(1, -(-n * window // _BLOCK_TOKENS))
    size = -(-n // steps)  # of equal steps; the last may overlap the one before
    # One entry per position: 1, or 0 where no k-mer fits into the chunk.
    inside = np.tile(np.arange(chunk) <= chunk - k, size * window // chunk).astype(counts.dtype)
    ends = np.arange(0, size * window + 1, chunk, dtype=np.int32)
    matrix = csr_array((inside, np.zeros(size * window, np.int32), ends), shape=(len(ends) - 1, 4**k))
    for start in range(0, n, size or 1):
        rows = slice(min(start, n - size), min(start, n - size) + size)
        matrix.indices[:], valid = _index(tokens[rows].reshape(-1), k)
        matrix.data = inside if valid is None else inside * valid
        # toarray() adds entries of the same chunk and k-mer: the fastest histogram of many small groups in NumPy and
        # SciPy (bincount takes at least twice as long, see benchmarks/kmer_encoding.py).
        matrix.toarray(out=counts[rows].reshape(-1, 4**k))


def _index(tokens: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the base-4 number of the k of (length,) tokens from each position on, and where these are known bases.

    None in place of the latter stands for no N. The last k - 1 numbers are undefined.
    """
    length, valid = len(tokens) - k + 1, None
    if tokens.max(initial=0) == N_TOKEN:
        known = tokens != N_TOKEN
        tokens = np.where(known, tokens, np.uint8(0))
        valid = np.zeros_like(known)
        valid[:length] = np.all([known[offset : offset + length] for offset in range(k)], axis=0)
    index: np.ndarray = np.zeros(-(-len(tokens) // 8) * 8, np.uint8 if k <= 4 else np.uint16)
    index[: len(tokens)] = tokens
    # Shifted 64 bits at a time: there are no vector instructions for single bytes. No bit reaches the next element,
    # since all k digits fit into one.
    lanes = index.view(np.uint64)
    for offset in range(1, k):
        np.left_shift(lanes, 2, out=lanes)
        index[:length] += tokens[offset : offset + length]
    return index[: len(tokens)], valid


def mean_vectors(counts: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Return the mean vector of the k-mers of each chunk, from (n, chunks, 4**k) counts and (4**k, dimension) vectors.

    It is (n, chunks, dimension) float32. A chunk without a valid k-mer has the zero vector.
    """
    n, chunks, words = counts.shape
    vectors = np.ascontiguousarray(vectors, np.float32)
    means = np.empty((n, chunks, vectors.shape[1]), np.float32)
    flat, out = counts.reshape(-1, words), means.reshape(-1, vectors.shape[1])
    in_threads(lambda rows: _average(flat[rows], vectors, out[rows]), len(flat), _THREAD_CHUNKS)
    return means


def _average(counts: np.ndarray, vectors: np.ndarray, means: np.ndarray) -> None:
    """Write the mean vectors of (n, 4**k) counts into (n, dimension) means."""
    buffer = np.empty((min(_BLOCK_CHUNKS, len(counts)), len(vectors)), np.float32)
    for start in range(0, len(counts), _BLOCK_CHUNKS):
        part = buffer[: len(counts) - start]
        part[...] = counts[start : start + len(part)]
        part /= np.maximum(part @ np.ones((part.shape[1], 1), np.float32), 1)
        # As a stack of small matrices, so that BLAS does not use threads of its own: with them so small a product is
        # faster on idle cores, but several times slower on busy ones.
        for rows, small in ((slice(len(part) // 32 * 32), 32), (slice(len(part) // 32 * 32, None), 1)):
            out = means[start : start + _BLOCK_CHUNKS][rows]
            np.matmul(part[rows].reshape(-1, small, part.shape[1]), vectors, out=out.reshape(-1, small, out.shape[1]))


def empty_chunks(counts: np.ndarray) -> int:
    """Return how many chunks of (n, chunks, 4**k) counts have no valid k-mer, because of N."""
    return int((~counts.any(axis=-1)).sum())


def _check_k(k: int, key: str) -> None:
    if not 1 <= k <= MAX_K:
        raise UserError("the length of a k-mer is out of range", where=key, expected=f"1 to {MAX_K}", received=k)


def check_chunks(window: int, k: int, chunk: int, group: str = "model.") -> None:
    """Raise a UserError if a window of `window` nt is not a multiple of the chunk, or a chunk is shorter than k.

    The message names the keys ``k`` and ``chunk`` of this config group.
    """
    _check_k(k, f"{group}k")
    if chunk < k:
        raise UserError("a chunk is shorter than one k-mer", where=f"{group}chunk", expected=f">= {k}", received=chunk)
    if window < chunk or window % chunk:
        below = max(window // chunk, 1) * chunk
        raise UserError(
            f"the window of {window} nt is not a multiple of the chunk of {chunk} nt",
            where=f"{group}chunk, data.window",
            hint=f"set data.window to {below} or {below + chunk} nt, or {group}chunk to a divisor of {window}",
        )
