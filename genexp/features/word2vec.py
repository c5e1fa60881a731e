"""K-mer vectors fitted with Word2Vec.

The embedding of DeepLncLoc (Zeng et al. 2022, Briefings in Bioinformatics 23, bbab360, doi 10.1093/bib/bbab360):
skip-gram with negative sampling (Mikolov et al. 2013, Advances in Neural Information Processing Systems 26) over the
overlapping k-mers of promoters, one promoter per sentence.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field

from genexp.config.validation import validate
from genexp.errors import UserError
from genexp.features.config import Word2VecConfig
from genexp.features.kmer_vectors import KmerVectors
from genexp.features.kmers import MAX_K, kmer_index, kmer_words
from genexp.features.tokens import rows_with_n
from genexp.schema import Count

if TYPE_CHECKING:
    from gensim.models import Word2Vec

#: Words per epoch that suffice for the 64 3-mers, as measured by benchmarks/word2vec_corpus.py.
ENOUGH_WORDS = 200_000
#: gensim silently drops the words of a sentence beyond this many.
GENSIM_SENTENCE_LIMIT = 10_000

#: Called after each epoch with the number of epochs done and the total.
Progress = Callable[[int, int], None]


def enough_promoters(length: int, k: int) -> int:
    """Return how many promoters of `length` nt contain the words needed for 4**k vectors."""
    return math.ceil(ENOUGH_WORDS * float(4 ** max(0, k - 3)) / (length - k + 1))


class _Settings(Word2VecConfig):
    k: Annotated[int, Field(ge=1, le=MAX_K)]
    dimension: Count


class Sentences:
    """The k-mers of promoters as sentences of words; unlike a generator it can be iterated repeatedly.

    Parameters
    ----------
    tokens : (n, length) uint8
        Promoters without N.
    k
        Length of a k-mer.

    Attributes
    ----------
    words
        Total number of words.
    """

    def __init__(self, tokens: np.ndarray, k: int) -> None:
        self.tokens, self.k = tokens, k
        self.words = len(tokens) * (tokens.shape[1] - k + 1)
        self._names = np.array(kmer_words(k), dtype=object)

    def __iter__(self) -> Iterator[list[str]]:
        """Yield one promoter at a time, in equal parts if it is too long for gensim."""
        for row in self.tokens:
            index = kmer_index(row, self.k)
            for part in np.array_split(index, math.ceil(len(index) / GENSIM_SENTENCE_LIMIT)):
                yield self._names[part].tolist()

    def frequencies(self) -> dict[str, int]:
        """Return how often each k-mer occurs, without those that do not occur."""
        counts = np.zeros(4**self.k, int)
        for row in self.tokens:
            counts += np.bincount(kmer_index(row, self.k), minlength=4**self.k)
        return {word: int(n) for word, n in zip(self._names, counts, strict=True) if n}


def train_word2vec(
    tokens: np.ndarray,
    *,
    k: int = 3,
    dimension: int = 64,
    window: int = 5,
    epochs: int = 10,
    negative: int = 5,
    subsample: float = 0.0,
    workers: int = 1,
    seed: int = 0,
    promoters: int | Literal["auto", "all"] = "auto",
    progress: Progress | None = None,
) -> KmerVectors:
    """Fit skip-gram Word2Vec on promoters with gensim; reproducible to the last bit with one worker.

    Parameters
    ----------
    tokens : (n, length) uint8
        Training promoters; those with N are left out.
    k, dimension, window, negative
        Length of a k-mer and of its vector; words to either side of a word; noise words per context word.
    epochs, workers, seed
        Passes over the promoters, threads, and seed of the choice of promoters and of the training.
    subsample
        Frequency above which words are dropped at random; gensim's default of 1e-3 drops two thirds of 64 words.
    promoters
        Number to draw without replacement, ``"all"``, or ``"auto"`` for `enough_promoters`.

    Returns
    -------
    KmerVectors
        Zeros for a k-mer that does not occur. The provenance has the settings, promoters, words and seconds.

    Raises
    ------
    UserError
        If a setting is out of range, or no promoter is free of N.
    """
    settings = {
        "k": k, "dimension": dimension, "window": window, "epochs": epochs, "negative": negative,
        "subsample": subsample, "workers": workers, "seed": seed, "promoters": promoters,
    }  # fmt: skip
    validate(settings, _Settings, "train_word2vec")
    start = time.perf_counter()
    chosen, without_n = _choose(tokens, promoters, k, seed)
    vectors, fitted = _fit(Sentences(chosen, k), settings, progress)
    fitted = {"promoters_used": len(chosen), "promoters_with_n": len(tokens) - without_n, **fitted}
    fitted["seconds"] = round(time.perf_counter() - start, 2)
    return KmerVectors(k, vectors, {"method": "word2vec", **settings, **fitted})


def promoters_without_n(tokens: np.ndarray) -> np.ndarray:
    """Return the rows of (n, window) tokens that contain no N.

    Raises
    ------
    UserError
        If there is none, so that Word2Vec cannot be fitted.
    """
    rows = np.flatnonzero(~rows_with_n(tokens))
    if not rows.size:
        raise UserError(
            f"none of the {len(tokens)} training promoters is free of N, so Word2Vec cannot be fitted",
            where="data.window",
            hint="choose a shorter data.window, or load vectors from a file",
        )
    return rows


def _choose(tokens: np.ndarray, promoters: int | str, k: int, seed: int) -> tuple[np.ndarray, int]:
    """Return the promoters to train on, and how many there are without N."""
    if tokens.shape[1] < k:
        raise UserError(
            "promoters are shorter than one k-mer", where="k", expected=f"k <= {tokens.shape[1]}", received=k
        )
    rows = promoters_without_n(tokens)
    wanted = {"auto": enough_promoters(tokens.shape[1], k), "all": rows.size}.get(str(promoters)) or int(promoters)
    if wanted < rows.size:
        return tokens[np.sort(np.random.default_rng(seed).choice(rows, wanted, replace=False))], rows.size
    return tokens[rows], rows.size


def _fit(
    sentences: Sentences, settings: Mapping[str, Any], progress: Progress | None
) -> tuple[np.ndarray, dict[str, Any]]:
    """Return (4**k, dimension) vectors in lexicographic order, and numbers for the provenance."""
    from gensim.models import Word2Vec  # takes a second, which loading vectors does not need

    k, epochs, dimension = settings["k"], settings["epochs"], settings["dimension"]
    options = {key: settings[key] for key in ("window", "negative", "workers", "seed")}
    options |= {"vector_size": dimension, "sample": settings["subsample"], "batch_words": GENSIM_SENTENCE_LIMIT}
    model = Word2Vec(sg=1, hs=0, min_count=1, **options)
    model.build_vocab_from_freq(sentences.frequencies())
    untrained = model.wv.vectors.copy()
    trained, seen = model.train(
        sentences, total_words=sentences.words, epochs=epochs, callbacks=_callbacks(epochs, progress)
    )
    _check_training(model, sentences.words * epochs, seen, trained)
    if np.array_equal(model.wv.vectors, untrained):
        raise RuntimeError("Word2Vec did not change any vector")
    vectors = np.zeros((4**k, dimension), np.float32)
    for row, word in enumerate(kmer_words(k)):
        if word in model.wv.key_to_index:
            vectors[row] = model.wv[word]
    absent = 4**k - len(model.wv)
    return vectors, {"words_per_epoch": sentences.words, "words_trained": trained, "absent_kmers": absent}


def _callbacks(epochs: int, progress: Progress | None) -> list[SimpleNamespace]:
    """Return gensim callbacks that report each finished epoch."""
    done = count(1)

    def nothing(model: Word2Vec) -> None:
        """Do nothing."""

    def report(model: Word2Vec) -> None:
        if progress:
            progress(next(done), epochs)

    other = dict.fromkeys(("on_train_begin", "on_train_end", "on_epoch_begin"), nothing)
    return [SimpleNamespace(**other, on_epoch_end=report)]


def _check_training(model: Word2Vec, given: int, seen: int, trained: int) -> None:
    """Raise if gensim processed another number of words than it was given."""
    share = model.wv.expandos["count"] / model.wv.expandos["count"].sum()
    kept = model.wv.expandos["sample_int"] / (2**32 - 1)  # 1 for all words without subsampling
    expected = given * float(share @ kept)
    # Subsampling is random: six standard deviations, plus a margin for gensim's random number generator. Without
    # subsampling the numbers are equal, up to rounding.
    spread = 6 * math.sqrt(given * float(share @ (kept * (1 - kept)))) + 0.001 * (given - expected) + 0.5
    if seen != given or abs(trained - expected) > spread:
        raise RuntimeError(f"Word2Vec got {given} words, saw {seen} and trained on {trained}, not {expected:.0f}")
