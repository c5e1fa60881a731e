import json
import os
import subprocess
import sys

import numpy as np
import pytest
from pydantic import ValidationError

from genexp.errors import UserError
from genexp.features import word2vec
from genexp.features.config import Word2VecConfig
from genexp.features.kmer_vectors import KmerVectors
from genexp.features.kmers import kmer_words
from genexp.features.word2vec import Progress, Sentences, enough_promoters, train_word2vec


@pytest.fixture(scope="module")
def tokens() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 4, (20, 400), dtype=np.uint8)


SETTINGS = Word2VecConfig(window=5, epochs=2, negative=5, subsample=0, promoters="all", workers=1, seed=0)


def fit(tokens: np.ndarray, progress: Progress | None = None, **changes: object) -> KmerVectors:
    return train_word2vec(tokens, 3, 8, SETTINGS.model_copy(update=changes), progress)


def test_training_moves_the_vectors_and_says_on_what(tokens):
    done = []
    fitted = fit(tokens, progress=lambda epoch, epochs: done.append((epoch, epochs)))
    assert (fitted.k, fitted.vectors.shape, fitted.vectors.dtype) == (3, (64, 8), np.float32)
    assert done == [(1, 2), (2, 2)]
    made = fitted.provenance
    assert made["words_per_epoch"] == 20 * 398
    assert made["words_trained"] == 2 * 20 * 398
    assert (made["promoters_used"], made["promoters_with_n"], made["absent_kmers"]) == (20, 0, 0)
    assert np.abs(fitted.vectors).max() > 1 / 8  # gensim 4 starts within +-1 / dimension
    json.dumps(dict(made))


def test_neighbours_in_the_sequence_become_alike(tokens):
    # Two kinds of promoters that share no 3-mer: repeats over A and C, and over G and T.
    letters = np.random.default_rng(1).integers(0, 2, (40, 400), dtype=np.uint8)
    letters[20:] += 2
    fitted = fit(letters, epochs=5)
    words = kmer_words(3)
    first = [i for i, w in enumerate(words) if set(w) <= set("AC")]
    second = [i for i, w in enumerate(words) if set(w) <= set("GT")]
    unit = fitted.vectors / np.maximum(np.linalg.norm(fitted.vectors, axis=1, keepdims=True), 1e-9)
    assert (unit[first] @ unit[first].T).mean() > 0.5 > 0.2 > (unit[first] @ unit[second].T).mean()
    assert fitted.provenance["absent_kmers"] == 64 - 16
    absent = sorted(set(range(64)) - set(first) - set(second))
    assert not fitted.vectors[absent].any()


def test_same_seed_same_vectors_in_any_process(tokens):
    script = (
        "import numpy as np\n"
        "from genexp.features.config import Word2VecConfig\n"
        "from genexp.features.word2vec import train_word2vec\n"
        "tokens = np.random.default_rng(0).integers(0, 4, (20, 400), dtype=np.uint8)\n"
        "made = Word2VecConfig(window=5, epochs=2, negative=5, subsample=0, promoters=7, workers=1, seed=3)\n"
        "print(train_word2vec(tokens, 3, 8, made).vectors.tobytes().hex())"
    )
    here = fit(tokens, promoters=7, seed=3)
    environment = {**os.environ, "PYTHONHASHSEED": "123"}
    there = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert there.stdout.strip() == here.vectors.tobytes().hex()
    other = fit(tokens, promoters=7, seed=4)
    assert not np.array_equal(here.vectors, other.vectors)


def test_promoters_with_n_are_left_out(tokens):
    with_n = np.concatenate([tokens, np.full((5, 400), 4, np.uint8)])
    with_n[22:, 10:] = 1
    fitted = fit(with_n)
    assert (fitted.provenance["promoters_used"], fitted.provenance["promoters_with_n"]) == (20, 5)
    np.testing.assert_array_equal(fitted.vectors, fit(tokens).vectors)
    with pytest.raises(UserError, match="free of N"):
        fit(with_n[20:])


def test_long_promoters_are_used_to_the_last_word():
    tokens = np.random.default_rng(0).integers(0, 4, (2, 25_000), dtype=np.uint8)
    sentences = Sentences(tokens, 3)
    lengths = [len(s) for s in sentences]
    assert len(lengths) == 6
    assert max(lengths) <= 10_000
    assert sum(lengths) == sentences.words == 2 * 24_998
    fitted = fit(tokens, epochs=1)
    assert fitted.provenance["words_trained"] == 2 * 24_998


def test_sentences_can_be_gone_through_again(tokens):
    sentences = Sentences(tokens[:3], 2)
    first, second = list(sentences), list(sentences)
    assert first == second
    assert len(first) == 3
    counts = sentences.frequencies()
    flat = [word for sentence in first for word in sentence]
    assert counts == {word: flat.count(word) for word in sorted(set(flat))}


def test_subsampling_drops_words_and_says_so(tokens):
    fitted = fit(tokens, subsample=1e-3)
    assert 0.2 < fitted.provenance["words_trained"] / (2 * 20 * 398) < 0.5


@pytest.mark.parametrize(("length", "k", "enough"), [(10_500, 3, 20), (2000, 3, 101), (10_500, 4, 77), (50, 1, 4000)])
def test_longer_promoters_and_shorter_kmers_need_fewer_promoters(length, k, enough):
    assert enough_promoters(length, k) == enough


def test_promoters_are_drawn_from_all(tokens, monkeypatch):
    monkeypatch.setattr(word2vec, "ENOUGH_WORDS", 5 * 398)
    drawn = fit(tokens, epochs=1, promoters="auto")
    assert drawn.provenance["promoters_used"] == 5
    assert drawn.provenance["promoters"] == "auto"
    seen = []
    monkeypatch.setattr(word2vec, "Sentences", lambda chosen, k: seen.append(chosen) or Sentences(chosen, k))
    fit(tokens, epochs=1, promoters="auto", seed=1)
    rows = [next(i for i, row in enumerate(tokens) if np.array_equal(row, one)) for one in seen[0]]
    assert len(set(rows)) == 5
    assert rows == sorted(rows)
    assert rows != [0, 1, 2, 3, 4]
    assert fit(tokens[:3], epochs=1, promoters="auto").provenance["promoters_used"] == 3


class OneShot(Sentences):
    """Sentences that are used up by the first epoch, as a generator is."""

    def __iter__(self):
        yield from () if hasattr(self, "used") else super().__iter__()
        self.used = True


class TooLong(Sentences):
    """Sentences as long as the promoters."""

    def __iter__(self):
        yield [word for sentence in super().__iter__() for word in sentence]


@pytest.mark.parametrize("sentences", [OneShot, TooLong])
def test_words_lost_in_gensim_are_noticed(sentences, monkeypatch):
    tokens = np.random.default_rng(0).integers(0, 4, (1, 15_000), dtype=np.uint8)
    monkeypatch.setattr(word2vec, "Sentences", sentences)
    with pytest.raises(RuntimeError, match="words"):
        fit(tokens)


@pytest.mark.parametrize(
    ("key", "value"),
    [("window", 0), ("epochs", 0), ("negative", 0), ("subsample", -1.0), ("workers", 0), ("promoters", 0),
     ("promoters", "some"), ("seed", -1)],
)  # fmt: skip
def test_settings_out_of_range_are_named(key, value):
    with pytest.raises(ValidationError, match=key):
        Word2VecConfig(**{**SETTINGS.model_dump(), key: value})


def test_promoters_shorter_than_a_kmer_are_named(tokens):
    for length in (1, 2):
        with pytest.raises(UserError, match="shorter than one k-mer"):
            fit(tokens[:, :length], promoters="auto")
