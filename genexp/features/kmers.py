"""K-mers of tokens: their index, their counts per chunk of a promoter, and the mean vectors of the chunks.

A chunk is encoded as the mean of the vectors of its k-mers (DeepLncLoc, Zeng et al. 2022, Briefings in Bioinformatics
23, bbab360). That mean is the chunk's k-mer counts times the matrix of vectors, divided by the number of k-mers. So
k-mers are counted once, and the vectors can be part of the model.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from genexp.errors import UserError
from genexp.features.threads import in_threads
from genexp.features.tokens import ALPHABET, N_TOKEN
from genexp.memory import allocate, is_on_disk

if TYPE_CHECKING:
    from scipy.sparse import csr_array

#: Longest k-mer: beyond it the counts of one gene exceed a processor's cache.
MAX_K = 8

#: Tokens counted at a time, and chunks averaged at a time: about 1 MB of working memory, which stays in the cache.
_BLOCK_TOKENS = 2**17
_BLOCK_CHUNKS = 2**12
#: Tokens indexed at a time: with smaller NumPy calls, threads mostly wait for the GIL.
_SPAN_TOKENS = 2**19
#: Smallest number of tokens, and of chunks, per thread.
_THREAD_TOKENS = 2**19
_THREAD_CHUNKS = 2**13


def kmer_words(k: int) -> list[str]:
    """Return all 4**k k-mers over A, C, G, T in lexicographic order, which is the order of their indices."""
    return ["".join(letters) for letters in product(ALPHABET[:N_TOKEN], repeat=k)]


def kmer_index(tokens: np.ndarray, k: int) -> np.ndarray:
    """Return the index of the k-mer that starts at each position.

    Parameters
    ----------
    tokens : (..., length) uint8
        A=0 C=1 G=2 T=3 N=4.
    k
        Length of a k-mer, 1 to 8.

    Returns
    -------
    (..., length - k + 1) uint8, uint16 or uint32
        The tokens as digits in base 4; ``4**k`` for a k-mer that contains N.

    Raises
    ------
    UserError
        If k is out of range or the sequence is shorter than one k-mer.
    """
    _check_k(k, "model.k")
    if tokens.shape[-1] < k:
        raise UserError(f"a sequence of {tokens.shape[-1]} nt is shorter than one k-mer", where="model.k", received=k)
    known = (tokens != N_TOKEN).reshape(-1)
    length = tokens.shape[-1] - k + 1
    digits = np.empty(-(-tokens.size // 8) * 8, _digits_dtype(k))
    index = _digits(np.where(known, tokens.reshape(-1), np.uint8(0)), k, digits)
    index = index.astype(np.min_scalar_type(4**k), copy=False)
    index[~_runs(known, k)] = 4**k
    # Indices that span two sequences are cut off.
    return index.reshape(tokens.shape)[..., :length]


def chunk_counts(tokens: np.ndarray, k: int = 3, chunk: int = 50) -> np.ndarray:
    """Count the k-mers inside each chunk; none spans two chunks, and those with N do not count.

    Parameters
    ----------
    tokens : (n, window) uint8
        A=0 C=1 G=2 T=3 N=4.
    k
        Length of a k-mer, 1 to 8.
    chunk
        Length of a chunk in nt; the window must be a multiple of it.

    Returns
    -------
    (n, window / chunk, 4**k) uint8
        Counts in the order of `kmer_words`; uint16 if a chunk has more than 255 k-mers.

    Raises
    ------
    UserError
        If the window is not a multiple of the chunk, or a chunk is shorter than one k-mer.
    """
    n, window = tokens.shape
    check_chunks(window, k, chunk)
    counts = allocate((n, window // chunk, 4**k), _counts_dtype(k, chunk), on_disk=is_on_disk(tokens))
    in_threads(lambda rows: _count(tokens[rows], k, chunk, counts[rows]), n, _THREAD_TOKENS // window)
    return counts


def _count(tokens: np.ndarray, k: int, chunk: int, counts: np.ndarray) -> None:
    """Write the counts of (n, window) tokens into (n, window / chunk, 4**k) counts."""
    n, window = tokens.shape
    span = _equal(n, _SPAN_TOKENS // window)
    block = _equal(span, _BLOCK_TOKENS // window)
    matrix = _one_kmer_per_entry(block * window, k, chunk, counts.dtype)
    inside = matrix.data.copy()
    digits = np.empty(-(-span * window // 8) * 8, _digits_dtype(k))
    for start in _steps(n, span):
        rows = np.ascontiguousarray(tokens[start : start + span]).reshape(-1)
        known = None if rows.max() < N_TOKEN else rows != N_TOKEN
        index = _digits(rows if known is None else np.where(known, rows, np.uint8(0)), k, digits)
        valid = None if known is None else _runs(known, k)
        matrix.data[:] = inside
        for first in _steps(span, block):
            part = slice(first * window, (first + block) * window)
            matrix.indices[:] = index[part]
            if valid is not None:
                np.multiply(inside, valid[part], out=matrix.data)
            # toarray() adds entries of the same chunk and k-mer: the fastest histogram of many small groups in NumPy
            # and SciPy (bincount takes at least twice as long, see benchmarks/kmer_encoding.py).
            matrix.toarray(out=counts[start + first : start + first + block].reshape(-1, 4**k))


def _equal(n: int, most: int) -> int:
    """Return the step size that divides n rows into the fewest equal steps of at most ``most`` rows, at least one."""
    steps = -(-n // max(most, 1))
    return -(-n // max(steps, 1))


def _steps(n: int, size: int) -> Iterator[int]:
    """Yield where steps of one size begin; the last step may overlap the one before."""
    return (min(start, n - size) for start in range(0, n, size or 1))


def mean_vectors(counts: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Return the mean vector of the k-mers of each chunk.

    Parameters
    ----------
    counts : (n, chunks, 4**k) integer
        From `chunk_counts`.
    vectors : (4**k, dimension) float
        One vector per k-mer, in the order of `kmer_words`.

    Returns
    -------
    (n, chunks, dimension) float32
        A chunk without a valid k-mer has the zero vector; `empty_chunks` counts those.
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
    ones = np.ones(len(vectors), np.float32)
    for start in range(0, len(counts), _BLOCK_CHUNKS):
        part = buffer[: len(counts) - start]
        np.copyto(part, counts[start : start + len(part)])
        total = np.maximum(part @ ones, 1)
        if total.min() == total.max():  # no N: one division for all chunks
            _product(part, vectors / total[0], means[start : start + len(part)])
        else:
            part /= total[:, None]
            _product(part, vectors, means[start : start + len(part)])


def empty_chunks(counts: np.ndarray) -> int:
    """Return how many chunks of (n, chunks, 4**k) counts have no valid k-mer, because of N."""
    return sum(int((~rows.any(axis=-1)).sum()) for rows in counts)


def _product(rows: np.ndarray, vectors: np.ndarray, out: np.ndarray) -> None:
    """Multiply as a stack of small matrices, so that BLAS does not use threads of its own.

    With BLAS threads so small a product is faster on idle cores, but several times slower on busy ones.
    """
    stacked = len(rows) - len(rows) % 32
    np.matmul(
        rows[:stacked].reshape(-1, 32, rows.shape[1]), vectors, out=out[:stacked].reshape(-1, 32, vectors.shape[1])
    )
    np.matmul(rows[stacked:], vectors, out=out[stacked:])


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


def _counts_dtype(k: int, chunk: int) -> np.dtype:
    return np.dtype(np.uint8 if chunk - k + 1 <= 255 else np.uint16)


def _one_kmer_per_entry(length: int, k: int, chunk: int, dtype: np.dtype) -> csr_array:
    """Return a sparse (length / chunk, 4**k) matrix with one entry per position: 1, or 0 where no k-mer fits."""
    from scipy.sparse import csr_array  # takes a third of a second, which `genexp train --help` does not need

    inside = np.tile(np.arange(chunk) <= chunk - k, length // chunk).astype(dtype)
    ends = np.arange(0, length + 1, chunk, dtype=np.int32)
    return csr_array((inside, np.zeros(length, np.int32), ends), shape=(length // chunk, 4**k))


def _digits_dtype(k: int) -> np.dtype:
    return np.dtype(np.uint8 if k <= 4 else np.uint16)


def _digits(tokens: np.ndarray, k: int, out: np.ndarray) -> np.ndarray:
    """Return the base-4 number of the k tokens from each position on; the last k - 1 are undefined.

    `out` has `_digits_dtype` and the length of `tokens` rounded up to a multiple of 8. It is overwritten, and the
    result is a view of it.
    """
    length = len(tokens) - k + 1
    out[len(tokens) :] = 0
    # Shifted 64 bits at a time: there are no vector instructions for single bytes. No bit reaches the next element,
    # since all k digits fit into one.
    lanes = out.view(np.uint64)
    np.copyto(out[: len(tokens)], tokens)
    for offset in range(1, k):
        np.left_shift(lanes, 2, out=lanes)
        out[:length] += tokens[offset : offset + length]
    return out[: len(tokens)]


def _runs(known: np.ndarray, k: int) -> np.ndarray:
    """Return where k known bases in a row begin, (length,) bool; False at the last k - 1 positions."""
    length = len(known) - k + 1
    runs = np.zeros_like(known)
    runs[:length] = known[:length]
    for offset in range(1, k):
        runs[:length] &= known[offset : offset + length]
    return runs
