"""K-mer vectors: random, saved or loaded, and checked in every case."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mode
from typing import Any

import numpy as np

from genexp.errors import UserError
from genexp.features.gensim_files import read_words
from genexp.features.kmers import MAX_K, kmer_words
from genexp.files import damage_reported, in_short, open_npz, write_atomically
from genexp.units import duration

#: Largest number, and smallest difference between vectors, that a model can be trained on.
LARGEST, SMALLEST = 1e6, 1e-9


@dataclass(frozen=True, eq=False)
class KmerVectors:
    """One vector per k-mer: (4**k, dimension) float32, in lexicographic order over A, C, G, T.

    The provenance is the method, its settings and what it was fitted on: anything that JSON can hold. Vectors on which
    no model can be trained raise a UserError.
    """

    k: int
    vectors: np.ndarray
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        with np.errstate(over="ignore"):  # numbers beyond float32 become infinite, which is reported below
            vectors = np.array(self.vectors, np.float32, order="C")  # a copy, so that it cannot change
        reason = _unusable(self.k, vectors)
        if reason:
            where = self.provenance.get("file", "the k-mer vectors")
            raise UserError(f"k-mer vectors {reason}", where=where, hint="make new vectors with genexp embed")
        vectors.flags.writeable = False
        object.__setattr__(self, "vectors", vectors)

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return int(self.vectors.shape[1])

    def summary(self) -> str:
        """Return in a few words what the vectors are, and what they were fitted on."""
        made, size = self.provenance, f"{self.k}-mers, {self.dimension} numbers each"
        if made.get("method") != "word2vec":
            return f"{made.get('method', 'given')} vectors of {size}"
        used, left_out = made["promoters_used"], made["promoters_with_n"]
        fitted = f"fitted on {used:,} training promoters ({left_out:,} with N left out)"
        return f"Word2Vec of {size}, {fitted}, {made['words_trained']:,} words, {duration(made['seconds'])}"

    def save(self, path: Path) -> None:
        """Write a NumPy .npz with ``vectors``, ``kmers`` (text) and ``provenance`` (JSON text), without pickles."""
        content = io.BytesIO()
        provenance = np.array(json.dumps(dict(self.provenance)))
        np.savez(content, vectors=self.vectors, kmers=np.array(kmer_words(self.k)), provenance=provenance)
        write_atomically(path, content.getvalue())


def _unusable(k: int, vectors: np.ndarray) -> str | None:
    """Return why no model can use the vectors, or None."""
    if not 1 <= k <= MAX_K or vectors.ndim != 2 or len(vectors) != 4**k or not vectors.shape[1]:
        return f"have the wrong shape: {vectors.shape} with k = {k}, not (4**k, dimension) with k of 1 to {MAX_K}"
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        return f"are not finite: that of {kmer_words(k)[int(np.argmin(finite))]} is {vectors[np.argmin(finite)]}"
    largest = float(np.abs(vectors).max())
    if largest > LARGEST:
        return f"are too large, no model can be trained on them: up to {largest:g}, the limit is {LARGEST:g}"
    if float(np.ptp(vectors, axis=0).max()) < SMALLEST:
        return "are all (almost) equal, no model can be trained on them"
    return None


def random_vectors(k: int, dimension: int, seed: int) -> KmerVectors:
    """Return vectors uniform within +-0.5 / dimension.

    This is the initialisation of Word2Vec in the original C code and in gensim before version 4 (now +-1 / dimension),
    and the result of Word2Vec when its training corpus is an exhausted iterator.
    """
    half = 0.5 / dimension
    vectors = np.random.default_rng(seed).uniform(-half, half, (4**k, dimension))
    return KmerVectors(k, vectors, {"method": "random", "k": k, "dimension": dimension, "seed": seed})


def load_vectors(path: Path) -> KmerVectors:
    """Read a file of `KmerVectors.save`, of gensim, or of word2vec (text or binary), recognised by its content."""
    if not path.is_file():
        received = f"{path}, {'a folder' if path.is_dir() else 'which does not exist'}"
        raise UserError("no such file of k-mer vectors", where="model.embedding.vectors", received=received)

    def unreadable(error: Exception) -> UserError:
        what = "the file of k-mer vectors cannot be read"
        expected = "vectors of genexp embed (.npz), of gensim, or in the word2vec text or binary format"
        hint = "copy the file again, or make new vectors with genexp embed"
        return UserError(what, where=path, expected=expected, received=in_short(error), hint=hint)

    with damage_reported(unreadable):
        with path.open("rb") as file:
            own = file.read(4) == b"PK\x03\x04"
        words, vectors, provenance = _read_npz(path, unreadable) if own else read_words(path)
        return _in_order(words, vectors, path, provenance)


def _read_npz(path: Path, report: Callable[[Exception], UserError]) -> tuple[list[str], np.ndarray, dict[str, Any]]:
    with open_npz(path, report) as content:
        words, vectors = [str(word) for word in content["kmers"]], content["vectors"]
        if vectors.ndim != 2 or vectors.dtype.kind not in "fiu":
            raise ValueError(f"vectors are {vectors.dtype} of shape {vectors.shape}, not numbers of shape (k-mers, n)")
        return words, vectors, dict(json.loads(str(content["provenance"])))


def _in_order(words: list[str], vectors: np.ndarray, path: Path, provenance: Mapping[str, Any]) -> KmerVectors:
    """Sort vectors by their words, which must be all k-mers and nothing else."""
    k = mode(map(len, words)) if words else 0
    known = kmer_words(k) if 1 <= k <= MAX_K else []
    row = {word: i for i, word in enumerate(words)}
    missing = [word for word in known if word not in row]
    other = sorted(set(words) - set(known)) or sorted({word for word in words if words.count(word) > 1})
    if not known or missing or other or len(words) != len(vectors):
        raise UserError(
            "the words of this file are not the k-mers of one length",
            where=path,
            expected=f"all {4**k} words of {k} letters A, C, G, T" if known else "words such as AAA, AAC, ..., TTT",
            received=f"{len(words)} words; {_some('missing', missing)}; {_some('other or repeated', other)}",
        )
    found = KmerVectors(k, vectors[[row[word] for word in known]], provenance)
    found.summary()  # what it says must be there
    return found


def _some(name: str, words: list[str]) -> str:
    shown = ", ".join(words[:10]) + (", ..." if len(words) > 10 else "")
    return f"{len(words)} {name}" + (f" ({shown})" if words else "")
