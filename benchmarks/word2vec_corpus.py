"""How many promoters Word2Vec needs for a small vocabulary.

Fits vectors on increasing numbers of promoters and compares them with vectors fitted on all promoters: by the
correlation of the two matrices of cosine similarities between k-mers, by the share of common 5 nearest neighbours
(both are invariant to rotations), and, if genes have labels, by the test r2 of a ridge regression on the chunk means.
Two fits on all promoters with different seeds are the upper limit. Prints a Markdown table.

    python benchmarks/word2vec_corpus.py --dataset DIR        # train.h5, valid.h5, test.h5 in Xpresso's layout
    python benchmarks/word2vec_corpus.py --dataset demo
    python benchmarks/word2vec_corpus.py --dataset islands --genes 500 --length 10500
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from genexp.features.config import Word2VecConfig
from genexp.features.kmer_vectors import KmerVectors, random_vectors
from genexp.features.kmers import chunk_counts, mean_vectors
from genexp.features.tokens import tokens_from_one_hot
from genexp.features.word2vec import train_word2vec
from genexp.simulate.demo import simulate_demo
from genexp.simulate.sequence import INSIDE, OUTSIDE, PROMOTER_LENGTH

Splits = Mapping[str, tuple[np.ndarray, Any]]


def main() -> None:
    """Print the table for one dataset."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--dataset", required=True, help="folder, demo, or islands (simulated, no labels)")
    options.add_argument("--genes", type=int, default=2000, help="of demo or islands")
    options.add_argument("--length", type=int, default=10_500, help="promoter length of islands, in nt")
    options.add_argument("--promoters", type=int, nargs="+", default=[50, 100, 200, 500, 1000, 2000])
    options.add_argument("--epochs", type=int, default=10)
    options.add_argument("--subsample", type=float, default=0.0)
    options.add_argument("--workers", type=int, default=1)
    options.add_argument("--k", type=int, default=3)
    chosen = options.parse_args()
    splits = read(chosen.dataset, chosen.genes, chosen.length)
    settings = {name: getattr(chosen, name) for name in ("epochs", "subsample", "workers")}
    study(splits, chosen.promoters, chosen.k, settings)


def fit(tokens: np.ndarray, k: int, **settings: Any) -> KmerVectors:
    """Return vectors of 64 numbers."""
    return train_word2vec(tokens, k, 64, Word2VecConfig(window=5, negative=5, **settings))


def study(splits: Splits, sizes: list[int], k: int, settings: dict[str, Any]) -> None:
    """Fit, compare and print row by row."""
    tokens, labels = splits["train"]
    counts = {name: chunk_counts(x, k) for name, (x, _) in splits.items()} if labels is not None else {}
    score = (lambda v: f"{downstream(splits, counts, v):.4f}") if counts else (lambda v: "-")
    full, again = (fit(tokens, k, promoters="all", seed=s, **settings) for s in (1, 2))
    print("| promoters | words per epoch | seconds | correlation | neighbours | chunk sd | chunk mean | test r2 |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    spread = counts.get("test", chunk_counts(tokens[:200], k))
    for size in [s for s in sizes if s < len(tokens)]:
        show(str(size), fit(tokens, k, promoters=size, seed=0, **settings), full, spread, score)
    show("all", full, full, spread, score)
    show("all, other seed", again, full, spread, score)
    random = random_vectors(k, full.dimension, 0)
    show("random vectors", random, full, spread, score)


def show(name: str, vectors: KmerVectors, full: KmerVectors, counts: np.ndarray, score: Callable) -> None:
    """Print one row of the table."""
    means = mean_vectors(counts, vectors.vectors).reshape(-1, vectors.dimension)
    made = vectors.provenance
    row = [
        name,
        f"{made.get('words_per_epoch', 0):,}",
        made.get("seconds", "-"),
        f"{similarity(vectors, full):.3f}",
        f"{shared_neighbours(vectors, full):.2f}",
        f"{np.median(means.std(0)):.4f}",
        f"{np.median(np.abs(means.mean(0))):.4f}",
        score(vectors),
    ]
    print("|", " | ".join(map(str, row)), "|")
    sys.stdout.flush()


def cosines(vectors: KmerVectors) -> np.ndarray:
    """Return (4**k, 4**k) cosine similarities."""
    unit = vectors.vectors / np.maximum(np.linalg.norm(vectors.vectors, axis=1, keepdims=True), 1e-12)
    return unit @ unit.T


def similarity(a: KmerVectors, b: KmerVectors) -> float:
    """Return the correlation of the cosine similarities of all pairs of k-mers."""
    upper = np.triu_indices(len(a.vectors), 1)
    return float(np.corrcoef(cosines(a)[upper], cosines(b)[upper])[0, 1])


def shared_neighbours(a: KmerVectors, b: KmerVectors, count: int = 5) -> float:
    """Return the mean share of the nearest neighbours of a k-mer that two sets of vectors have in common."""
    near = [np.argsort(-cosines(v), axis=1)[:, 1 : count + 1] for v in (a, b)]
    return float(np.mean([len(set(x) & set(y)) / count for x, y in zip(*near, strict=True)]))


def downstream(splits: Splits, counts: Mapping[str, np.ndarray], vectors: KmerVectors) -> float:
    """Return the test r2 of a ridge regression on the chunk means, with the penalty chosen on the validation genes.

    Each channel is standardised over all chunks of the training genes, like the BatchNormalization of the models.
    """
    x = {name: mean_vectors(c, vectors.vectors) for name, c in counts.items()}
    mean, sd = x["train"].mean((0, 1)), x["train"].std((0, 1))
    x = {name: ((a - mean) / sd).reshape(len(a), -1).astype(np.float64) for name, a in x.items()}
    labels = {name: y for name, (_, y) in splits.items()}
    offset = x["train"].mean(0)
    values, basis = np.linalg.eigh((x["train"] - offset).T @ (x["train"] - offset))
    target = basis.T @ ((x["train"] - offset).T @ labels["train"])
    weights = [basis @ (target / (np.maximum(values, 0) + penalty)) for penalty in np.logspace(0, 8, 33)]
    best = max(weights, key=lambda w: r2(x["valid"] @ w, labels["valid"]))
    return r2(x["test"] @ best, labels["test"])


def r2(prediction: np.ndarray, label: np.ndarray) -> float:
    """Return the squared Pearson correlation."""
    return float(np.corrcoef(prediction, label)[0, 1] ** 2)


def read(dataset: str, genes: int, length: int) -> Splits:
    """Return tokens and labels of each split; `islands` has one split and no labels."""
    if dataset == "islands":
        return {"train": (islands(genes, length, np.random.default_rng(0)), None)}
    if dataset == "demo":
        demo = simulate_demo(genes, 0, "P", (0, PROMOTER_LENGTH))
        parts = zip(("train", "valid", "test"), demo.splits, strict=True)
        return {name: (demo.blocks["P"][rows], demo.labels[rows]) for name, rows in parts}
    splits = {}
    for name in ("train", "valid", "test"):
        with h5py.File(Path(dataset) / f"{name}.h5") as file:
            splits[name] = (tokens_from_one_hot(file["promoter"][:])[0], file["label"][:])
    return splits


def islands(n: int, length: int, rng: np.random.Generator) -> np.ndarray:
    """Draw (n, length) uint8 tokens from a Markov chain; two thirds have a CpG island of about 1 kb in the middle."""
    steps = np.cumsum(np.array([OUTSIDE, INSIDE]), axis=2)[..., :3]
    centre, half = rng.normal(length / 2, 300, n), rng.gamma(4, 125, n) * (rng.random(n) < 0.67)
    tokens = np.zeros((n, length), np.uint8)
    tokens[:, 0] = rng.integers(0, 4, n)
    for at in range(1, length):
        inside = (np.abs(at - centre) < half).astype(int)
        tokens[:, at] = (rng.random(n)[:, None] > steps[inside, tokens[:, at - 1]]).sum(axis=1)
    return tokens


if __name__ == "__main__":
    main()
