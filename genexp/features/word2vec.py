"""K-mer vectors fitted with Word2Vec.

The embedding of DeepLncLoc (Zeng et al. 2022, Briefings in Bioinformatics 23, bbab360, doi 10.1093/bib/bbab360):
skip-gram with negative sampling (Mikolov et al. 2013, Advances in Neural Information Processing Systems 26) over the
overlapping k-mers of promoters, one promoter per sentence.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from itertools import count
from typing import TYPE_CHECKING

import numpy as np

from genexp.errors import UserError
from genexp.features.config import Word2VecConfig
from genexp.features.kmer_vectors import KmerVectors
from genexp.features.kmers import kmer_index, kmer_words
from genexp.features.tokens import rows_with_n

if TYPE_CHECKING:
    from gensim.models import Word2Vec

#: Words per epoch that suffice for the 64 3-mers, as measured by benchmarks/word2vec_corpus.py.
ENOUGH_WORDS = 200_000
#: Share of the words of all epochs; with fewer, the vectors stay near their random start.
FEW_WORDS = 0.02
#: gensim silently drops the words of a sentence beyond this many.
GENSIM_SENTENCE_LIMIT = 10_000

#: Called after each epoch with the number of epochs done and the total.
Progress = Callable[[int, int], None]


def enough_promoters(length: int, k: int) -> int:
    """Return how many promoters of `length` nt contain the words needed for 4**k vectors."""
    return math.ceil(ENOUGH_WORDS * float(4 ** max(0, k - 3)) / max(length - k + 1, 1))


class Sentences:
    """The k-mers of (n, length) uint8 promoters without N as sentences of words; can be iterated repeatedly.

    `words` is the total number of words.
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
    tokens: np.ndarray, k: int, dimension: int, settings: Word2VecConfig, progress: Progress | None = None
) -> KmerVectors:
    """Fit skip-gram Word2Vec with gensim on those of (n, length) uint8 promoters that have no N.

    With one worker, the same seed gives the same vectors to the last bit. A k-mer that does not occur has the zero
    vector. The provenance has the settings, and the numbers of promoters, words and seconds.
    """
    start = time.perf_counter()
    rows = free = promoters_without_n(tokens)
    named = {"auto": enough_promoters(tokens.shape[1], k), "all": len(free)}
    wanted = named.get(str(settings.promoters)) or int(settings.promoters)
    if wanted < len(free):
        rows = np.sort(np.random.default_rng(settings.seed).choice(free, wanted, replace=False))
    sentences = Sentences(tokens[rows], k)
    model, trained = _fit(sentences, dimension, settings, progress)
    vectors = np.zeros((4**k, dimension), np.float32)
    for row, word in enumerate(kmer_words(k)):
        if word in model.wv.key_to_index:
            vectors[row] = model.wv[word]
    made = {"method": "word2vec", "k": k, "dimension": dimension}
    made |= settings.model_dump(include=set(Word2VecConfig.model_fields))
    made |= {"promoters_used": len(rows), "promoters_with_n": len(tokens) - len(free)}
    made |= {"words_per_epoch": sentences.words, "words_trained": trained, "absent_kmers": 4**k - len(model.wv)}
    return KmerVectors(k, vectors, {**made, "seconds": round(time.perf_counter() - start, 2)})


def promoters_without_n(tokens: np.ndarray) -> np.ndarray:
    """Return the rows of (n, window) tokens that contain no N; without any, raise a UserError."""
    rows = np.flatnonzero(~rows_with_n(tokens))
    if not rows.size:
        raise UserError(
            f"none of the {len(tokens)} training promoters is free of N, so Word2Vec cannot be fitted",
            where="data.window",
            hint="choose a shorter data.window",
        )
    return rows


def _fit(
    sentences: Sentences, dimension: int, settings: Word2VecConfig, progress: Progress | None
) -> tuple[Word2Vec, int]:
    """Return a fitted model, and the number of words that it was trained on."""
    from gensim.models import Word2Vec  # takes a second, which loading vectors does not need
    from gensim.models.callbacks import CallbackAny2Vec

    model = Word2Vec(
        sg=1,
        hs=0,
        min_count=1,
        vector_size=dimension,
        sample=settings.subsample,
        batch_words=GENSIM_SENTENCE_LIMIT,
        **settings.model_dump(include={"window", "negative", "workers", "seed"}),
    )
    model.build_vocab_from_freq(sentences.frequencies())
    untrained = model.wv.vectors.copy()
    report, epochs, done = CallbackAny2Vec(), settings.epochs, count(1)
    if progress:
        report.on_epoch_end = lambda model: progress(next(done), epochs)
    trained, seen = model.train(sentences, total_words=sentences.words, epochs=epochs, callbacks=[report])
    _check_training(model, sentences.words * epochs, seen, trained)
    if np.array_equal(model.wv.vectors, untrained):
        if trained < FEW_WORDS * sentences.words * epochs:
            where, hint = "subsample", "choose a larger subsample, or 0"
            raise UserError("Word2Vec did not change any vector", where=where, received=settings.subsample, hint=hint)
        raise RuntimeError("Word2Vec did not change any vector")
    return model, trained


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
