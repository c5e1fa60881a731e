"""K-mer vectors: drawn at random, saved and loaded, and checked wherever they come from."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mode
from typing import Any

import numpy as np

from genexp.errors import UserError
from genexp.features.gensim_files import read_words
from genexp.features.kmers import MAX_K, kmer_words
from genexp.files import write_atomically

#: Largest number in a vector, and smallest difference between vectors, that a model can make anything of.
LARGEST, SMALLEST = 1e6, 1e-9


@dataclass(frozen=True, eq=False)
class KmerVectors:
    """One vector per k-mer.

    Attributes
    ----------
    k
        Length of a k-mer.
    vectors : (4**k, dimension) float32
        In lexicographic order over A, C, G, T.
    provenance
        Where they come from: the method, its settings, and what it was fitted on. Anything that JSON can hold.

    Raises
    ------
    UserError
        When the shape does not fit k, or a number is not finite.
    """

    k: int
    vectors: np.ndarray
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        with np.errstate(over="ignore"):  # what is too large is not finite, and told below
            vectors = np.array(self.vectors, np.float32, order="C")  # a copy, which nobody else can change
        if not 1 <= self.k <= MAX_K or vectors.ndim != 2 or len(vectors) != 4**self.k or not vectors.shape[1]:
            raise UserError(
                "the k-mer vectors have the wrong shape",
                where=self.provenance.get("file", "the k-mer vectors"),
                expected=f"k of 1 to {MAX_K} and (4**k, dimension) vectors",
                received=f"k = {self.k}, {vectors.shape}",
                do="make the vectors anew, or copy the file again",
            )
        if not np.isfinite(vectors).all():
            wrong = kmer_words(self.k)[int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])]
            raise UserError(
                f"the vector of the k-mer {wrong} is not finite",
                where=self.provenance.get("file", "the k-mer vectors"),
                expected="finite numbers",
                received=vectors[~np.isfinite(vectors)][0],
                do="make the vectors anew, or copy the file again",
            )
        largest = float(np.abs(vectors).max())
        if largest > LARGEST or (len(vectors) > 1 and float(np.ptp(vectors, axis=0).max()) < SMALLEST):
            raise UserError(
                "no model can be trained on these k-mer vectors",
                where=self.provenance.get("file", "the k-mer vectors"),
                expected=f"numbers up to {LARGEST:g} that differ from k-mer to k-mer by {SMALLEST:g} or more",
                received=f"a largest number of {largest:g}"
                if largest > LARGEST
                else "the same vector for every k-mer, or almost",
                do="make the vectors anew, or scale them",
            )
        vectors.flags.writeable = False
        object.__setattr__(self, "vectors", vectors)

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return self.vectors.shape[1]

    def save(self, path: Path) -> None:
        """Write a NumPy .npz with ``vectors``, ``kmers`` (text) and ``provenance`` (JSON text), and no pickle."""
        content = io.BytesIO()
        np.savez(
            content,
            vectors=self.vectors,
            kmers=np.array(kmer_words(self.k)),
            provenance=np.array(json.dumps(dict(self.provenance))),
        )
        write_atomically(Path(path), content.getvalue())


def load_vectors(path: Path) -> KmerVectors:
    """Read k-mer vectors; the format is recognised by the content.

    Parameters
    ----------
    path
        A file of `KmerVectors.save`, of gensim's ``Word2Vec.save`` or ``KeyedVectors.save``, or in the word2vec text
        or binary format; the last three may be gzipped.

    Raises
    ------
    UserError
        When the file is missing, damaged, of another kind, or its words are not exactly the k-mers of one length.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(
            "there is no such file of k-mer vectors",
            where="model.embedding.vectors",
            expected="a file of genexp embed, of gensim, or in the word2vec format",
            received=f"{path}, {'a folder' if path.is_dir() else 'which does not exist'}",
            do="check the path",
        )
    with path.open("rb") as file:
        own = file.read(4) == b"PK\x03\x04"
    if own:
        return _load_npz(path)
    words, vectors, kind = read_words(path)
    return _in_order(words, vectors, path, {"method": "file", "file": str(path), "format": kind})


def random_vectors(k: int, dimension: int, seed: int) -> KmerVectors:
    """Return vectors uniform within +-0.5 / dimension.

    That is the random start of Word2Vec in the original C code and in gensim before version 4 (since then gensim
    starts within +-1 / dimension), at which the vectors stay when training is given nothing to train on.
    """
    half = 0.5 / dimension
    vectors = np.random.default_rng(seed).uniform(-half, half, (4**k, dimension))
    return KmerVectors(k, vectors, {"method": "random", "k": k, "dimension": dimension, "seed": seed})


def _load_npz(path: Path) -> KmerVectors:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
            words = [str(word) for word in content["kmers"]]
            vectors = content["vectors"]
            if vectors.ndim != 2 or vectors.dtype.kind not in "fiu":
                raise ValueError(
                    f"vectors are {vectors.dtype} of shape {vectors.shape}, not numbers of shape (k-mers, n)"
                )
            provenance = json.loads(str(content["provenance"]))
    except (ValueError, TypeError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(
            "the file of k-mer vectors cannot be read",
            where=path,
            expected="an .npz with the arrays vectors, kmers and provenance, written by genexp embed",
            received=error,
            do="copy the file again, or make it anew with genexp embed",
        ) from error
    return _in_order(words, vectors, path, provenance)


def _in_order(words: list[str], vectors: np.ndarray, path: Path, provenance: Mapping[str, Any]) -> KmerVectors:
    """Put vectors in lexicographic order of their words, which must be all k-mers and nothing else."""
    k = mode(map(len, words)) if words else 0
    known = kmer_words(k) if 1 <= k <= MAX_K else []
    row = {word: i for i, word in enumerate(words)}
    missing = [word for word in known if word not in row]
    other = sorted(set(words) - set(known)) or sorted({word for word in words if words.count(word) > 1})
    if not known or missing or other or len(words) != len(vectors):
        raise UserError(
            "the words of this file are not the k-mers of one length",
            where=path,
            expected=f"all {4**k} words of {k} capital letters A, C, G, T"
            if known
            else "words such as AAA, AAC, ..., TTT",
            received=f"{len(words)} words; {_some('missing', missing)}; {_some('other or repeated', other)}",
            do="give vectors of k-mers, as genexp embed makes them",
        )
    return KmerVectors(k, vectors[[row[word] for word in known]], provenance)


def _some(name: str, words: list[str]) -> str:
    shown = ", ".join(words[:10]) + (", ..." if len(words) > 10 else "")
    return f"{len(words)} {name}" + (f" ({shown})" if words else "")
