"""Speed of chunk means from k-mer counts, compared with a plain loop over gensim vectors.

All methods start from the same tokens and must agree to 1e-6. They run in turns, so that changes in the load of the
machine affect all of them.

    python benchmarks/kmer_encoding.py                      # 200 genes, the published sizes
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from gensim.models import KeyedVectors

from genexp.features.kmers import chunk_counts, kmer_index, kmer_words, mean_vectors


def main() -> None:
    """Run the comparison with the sizes of the command line."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--genes", type=int, default=200)
    options.add_argument("--window", type=int, default=10_500)
    options.add_argument("--k", type=int, default=3)
    options.add_argument("--chunk", type=int, default=50)
    options.add_argument("--dimension", type=int, default=64)
    options.add_argument("--rounds", type=int, default=3, help="runs of the plain loop")
    chosen = options.parse_args()
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 4, (chosen.genes, chosen.window), dtype=np.uint8)
    vectors = rng.normal(size=(4**chosen.k, chosen.dimension)).astype(np.float32)
    encoding(tokens, vectors, chosen.k, chosen.chunk, chosen.rounds)


def encoding(tokens: np.ndarray, vectors: np.ndarray, k: int, chunk: int, rounds: int) -> None:
    """Compare the plain loop with counts and means, and print a table."""
    keyed = KeyedVectors(vectors.shape[1])
    keyed.add_vectors(kmer_words(k), vectors)
    methods: dict[str, tuple[int, Callable[[], np.ndarray]]] = {
        "plain loop over gensim vectors": (1, lambda: plain_loop(tokens, keyed, k, chunk)),
        "counts by bincount": (20, lambda: counts_by_bincount(tokens, k, chunk)),
        "chunk_counts": (20, lambda: chunk_counts(tokens, k, chunk)),
        "chunk_counts and mean_vectors": (20, lambda: mean_vectors(chunk_counts(tokens, k, chunk), vectors)),
    }
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    results = {}
    for _ in range(rounds):
        for name, (repeats, method) in methods.items():
            for _ in range(repeats):
                taken, results[name] = timed(method)
                seconds[name].append(taken)
    plain, *_, ours = results
    difference = np.abs(results[plain] - results[ours]).max()
    rates = np.array([(len(tokens) / np.median(seconds[name]), len(tokens) / min(seconds[name])) for name in methods])
    print(f"{len(tokens)} genes, window {tokens.shape[1]}, k {k}, chunk {chunk}, {vectors.shape[1]} dimensions")
    print(f"{'genes per second':32s}{'median':>10s}{'ratio':>8s}{'best':>10s}{'ratio':>8s}")
    for name, (median, best), (ratio, best_ratio) in zip(methods, rates, rates / rates[0], strict=True):
        print(f"{name:32s}{median:10.0f}{ratio:8.0f}{best:10.0f}{best_ratio:8.0f}")
    print(f"largest difference of the means: {difference:.1e}")
    if difference >= 1e-6 or not np.array_equal(results["counts by bincount"], results["chunk_counts"]):
        raise SystemExit("the methods do not agree")


def plain_loop(tokens: np.ndarray, keyed: KeyedVectors, k: int, chunk: int) -> np.ndarray:
    """Average the vectors of each chunk's k-mers, one chunk and one k-mer at a time."""
    genes = []
    for promoter in tokens:
        text = "".join("ACGT"[token] for token in promoter)
        chunks = [text[start : start + chunk] for start in range(0, len(text), chunk)]
        genes.append([np.mean([keyed[part[i : i + k]] for i in range(chunk - k + 1)], axis=0) for part in chunks])
    return np.array(genes)


def counts_by_bincount(tokens: np.ndarray, k: int, chunk: int, block: int = 16) -> np.ndarray:
    """Count the k-mers as one histogram over (gene, chunk, k-mer), a block of genes at a time."""
    chunks = tokens.shape[1] // chunk
    counts = np.empty((len(tokens), chunks, 4**k), np.uint8)
    for start in range(0, len(tokens), block):
        rows = tokens[start : start + block].reshape(-1, chunk)
        index = kmer_index(rows, k) + np.arange(len(rows))[:, None] * 4**k
        counts[start : start + block] = np.bincount(index.ravel(), minlength=len(rows) * 4**k).reshape(-1, chunks, 4**k)
    return counts


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Return the duration of a call in seconds, and its result."""
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


if __name__ == "__main__":
    main()
