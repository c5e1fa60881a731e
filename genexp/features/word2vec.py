"""K-mer vectors fitted with Word2Vec.

The embedding is DeepLncLoc's (Zeng et al., Briefings in Bioinformatics 2022): skip-gram with negative sampling
(Mikolov et al., 2013) over the overlapping k-mers of promoters, one promoter a sentence.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from genexp.errors import UserError
from genexp.features.kmer_vectors import KmerVectors
from genexp.features.kmers import MAX_K, kmer_index, kmer_words
from genexp.features.tokens import rows_with_n

if TYPE_CHECKING:
    from gensim.models import Word2Vec

#: Words per epoch that suffice for the 64 3-mers: benchmarks/word2vec_corpus.py shows what more of them bring.
ENOUGH_WORDS = 200_000
#: gensim trains on at most this many words of a sentence and drops the rest without a word.
GENSIM_SENTENCE_LIMIT = 10_000

#: Called after each epoch with the number of epochs done and the number of all.
Progress = Callable[[int, int], None]


def enough_promoters(length: int, k: int) -> int:
    """Return how many promoters of `length` nt hold the words that 4**k vectors need."""
    return math.ceil(ENOUGH_WORDS * 4 ** max(0, k - 3) / (length - k + 1))


class Sentences:
    """The k-mers of promoters as sentences of words; unlike a generator it can be gone through again and again.

    Parameters
    ----------
    tokens : (n, length) uint8
        Promoters without N.
    k
        Length of a k-mer.

    Attributes
    ----------
    words
        Number of all words.
    """

    def __init__(self, tokens: np.ndarray, k: int) -> None:
        self.tokens, self.k = tokens, k
        self.words = len(tokens) * (tokens.shape[1] - k + 1)
        self._names = np.array(kmer_words(k), dtype=object)

    def __iter__(self) -> Iterator[list[str]]:
        """Yield a promoter at a time, in equal parts when it is too long for gensim."""
        for row in self.tokens:
            index = kmer_index(row, self.k)
            for part in np.array_split(index, math.ceil(len(index) / GENSIM_SENTENCE_LIMIT)):
                yield self._names[part].tolist()

    def frequencies(self) -> dict[str, int]:
        """Return how often each k-mer occurs, those that do not occur left out."""
        counts = np.zeros(4**self.k, int)
        for row in self.tokens:
            counts += np.bincount(kmer_index(row, self.k), minlength=4**self.k)
        return {word: int(count) for word, count in zip(self._names, counts, strict=True) if count}


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
    """Fit skip-gram Word2Vec on promoters with gensim.

    With one worker the same arguments give the same vectors, to the last bit; with more, the order in which threads
    get to work changes them a little from run to run. Python's hash seed has no influence.

    Parameters
    ----------
    tokens : (n, length) uint8
        Training promoters; those with N are left out.
    k, dimension
        Length of a k-mer, of its vector.
    window
        Farthest distance, in words, of a context word.
    epochs
        Passes over the promoters.
    negative
        Noise words per context word.
    subsample
        Frequency above which words are dropped at random (gensim's ``sample``). 0 drops none; 1e-3, gensim's own
        default, drops two thirds of a vocabulary of 64 words.
    workers
        Threads.
    seed
        Of the choice of promoters and of the training.
    promoters
        How many to use, drawn without replacement: a number, ``"all"``, or as many as `enough_promoters` says.
    progress
        Called after each epoch.

    Returns
    -------
    KmerVectors
        A k-mer that does not occur has a zero vector. The provenance holds the settings, how many promoters were
        used and left out, how many words were trained on, and the seconds it took.

    Raises
    ------
    UserError
        When a setting is out of range, or no promoter is free of N.
    RuntimeError
        When gensim trained on other words than it was given.
    """
    settings = {
        "k": k, "dimension": dimension, "window": window, "epochs": epochs, "negative": negative,
        "subsample": subsample, "workers": workers, "seed": seed, "promoters": promoters,
    }  # fmt: skip
    _check_settings(settings)
    start = time.perf_counter()
    chosen, without_n = _choose(tokens, promoters, k, seed)
    sentences = Sentences(chosen, k)
    model = _model(sentences, settings)
    untrained = model.wv.vectors.copy()
    trained_words, seen_words = model.train(
        sentences, total_words=sentences.words, epochs=epochs, callbacks=[_EpochEnd(epochs, progress)]
    )
    _check_training(model, sentences.words * epochs, seen_words, trained_words)
    if np.array_equal(model.wv.vectors, untrained):
        raise RuntimeError("Word2Vec did not change a single vector")
    fitted = {
        "promoters_used": len(chosen),
        "promoters_with_n": len(tokens) - without_n,
        "words_per_epoch": sentences.words,
        "words_trained": trained_words,
        "absent_kmers": 4**k - len(model.wv),
        "seconds": round(time.perf_counter() - start, 2),
    }
    return KmerVectors(k, _lexicographic(model, k), {"method": "word2vec", **settings, **fitted})


class _EpochEnd:
    """The callback that gensim expects, reduced to the end of an epoch."""

    def __init__(self, epochs: int, progress: Progress | None) -> None:
        self.epochs, self.progress, self.done = epochs, progress, 0

    def on_train_begin(self, model: Word2Vec) -> None:
        """Do nothing."""

    on_epoch_begin = on_train_end = on_train_begin

    def on_epoch_end(self, model: Word2Vec) -> None:
        """Pass on the number of epochs done."""
        self.done += 1
        if self.progress:
            self.progress(self.done, self.epochs)


def _model(sentences: Sentences, settings: Mapping[str, Any]) -> Word2Vec:
    """Return gensim's model with its vocabulary and untrained vectors."""
    from gensim.models import Word2Vec  # takes a second, which who only loads vectors need not wait

    model = Word2Vec(
        sg=1,
        hs=0,
        min_count=1,
        vector_size=settings["dimension"],
        window=settings["window"],
        negative=settings["negative"],
        sample=settings["subsample"],
        workers=settings["workers"],
        seed=settings["seed"],
        batch_words=GENSIM_SENTENCE_LIMIT,
    )
    model.build_vocab_from_freq(sentences.frequencies())
    return model


def _lexicographic(model: Word2Vec, k: int) -> np.ndarray:
    """Return (4**k, dimension) vectors in the order of `kmer_words`, zeros for k-mers that the model does not have."""
    vectors = np.zeros((4**k, model.vector_size), np.float32)
    for row, word in enumerate(kmer_words(k)):
        if word in model.wv.key_to_index:
            vectors[row] = model.wv[word]
    return vectors


def _choose(tokens: np.ndarray, promoters: int | str, k: int, seed: int) -> tuple[np.ndarray, int]:
    """Return the promoters to train on, and how many there are without N."""
    if tokens.shape[1] < k:
        raise UserError(
            "the promoters are shorter than one k-mer",
            where="k",
            expected=f"{k} nt",
            received=tokens.shape[1],
            do="choose a smaller k, or a longer data.window",
        )
    rows = promoters_without_n(tokens)
    wanted = {"auto": enough_promoters(tokens.shape[1], k), "all": rows.size}.get(str(promoters)) or int(promoters)
    if wanted < rows.size:
        return tokens[np.sort(np.random.default_rng(seed).choice(rows, wanted, replace=False))], rows.size
    return tokens[rows], rows.size


def promoters_without_n(tokens: np.ndarray) -> np.ndarray:
    """Return the rows of (n, window) tokens that hold no N.

    Raises
    ------
    UserError
        When there is none, so that Word2Vec cannot be fitted.
    """
    rows = np.flatnonzero(~rows_with_n(tokens))
    if not rows.size:
        raise UserError(
            "no training promoter is free of N, so no k-mer vectors can be fitted",
            where="data.window",
            expected="at least one promoter without N in the window",
            received=f"{len(tokens)} promoters",
            do="choose a shorter data.window, or load vectors from a file",
        )
    return rows


def _check_settings(settings: Mapping[str, Any]) -> None:
    least = {"k": 1, "dimension": 1, "window": 1, "epochs": 1, "negative": 1, "subsample": 0, "workers": 1, "seed": 0}
    most = {"k": MAX_K, "subsample": 1, "seed": 2**32 - 1}
    if settings["promoters"] not in ("auto", "all"):
        least["promoters"] = 1
    for key, minimum in least.items():
        if isinstance(settings[key], str) or not minimum <= settings[key] <= most.get(key, math.inf):
            raise UserError(
                "a Word2Vec setting is out of range",
                where=key,
                expected=f"at least {minimum}" + (f", at most {most[key]}" if key in most else ""),
                received=settings[key],
                do=f"change {key}",
            )


def _check_training(model: Word2Vec, given: int, seen: int, trained: int) -> None:
    """Raise when gensim saw or used another number of words than it should have."""
    share = model.wv.expandos["count"] / model.wv.expandos["count"].sum()
    kept = model.wv.expandos["sample_int"] / (2**32 - 1)  # 1 for all words without subsampling
    expected = given * float(share @ kept)
    # Subsampling is random: six standard deviations, and a little for gensim's generator of random numbers. Without it
    # the numbers are equal, up to rounding.
    spread = 6 * math.sqrt(given * float(share @ (kept * (1 - kept)))) + 0.001 * (given - expected) + 0.5
    if seen != given or abs(trained - expected) > spread:
        raise RuntimeError(
            f"Word2Vec was given {given} words, saw {seen} and trained on {trained} instead of {expected:.0f}"
        )
