import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genexp.errors import UserError
from genexp.features import kmers
from genexp.features.kmers import chunk_counts, empty_chunks, kmer_index, kmer_words, mean_vectors
from genexp.features.tokens import text_from_tokens, tokens_from_text


def plain_counts(tokens: np.ndarray, k: int, chunk: int) -> np.ndarray:
    """The definition, word by word."""
    row = {word: i for i, word in enumerate(kmer_words(k))}
    counts = np.zeros((len(tokens), tokens.shape[1] // chunk, 4**k), int)
    for gene, promoter in enumerate(tokens):
        text = text_from_tokens(promoter)
        for c in range(counts.shape[1]):
            part = text[c * chunk : (c + 1) * chunk]
            for word in (part[i : i + k] for i in range(chunk - k + 1)):
                if "N" not in word:
                    counts[gene, c, row[word]] += 1
    return counts


def plain_means(tokens: np.ndarray, k: int, chunk: int, vectors: np.ndarray) -> np.ndarray:
    vector = {word: vectors[i].astype(float) for i, word in enumerate(kmer_words(k))}
    means = np.zeros((len(tokens), tokens.shape[1] // chunk, vectors.shape[1]))
    for gene, promoter in enumerate(tokens):
        text = text_from_tokens(promoter)
        for c in range(means.shape[1]):
            part = text[c * chunk : (c + 1) * chunk]
            valid = [vector[w] for w in (part[i : i + k] for i in range(chunk - k + 1)) if "N" not in w]
            if valid:
                means[gene, c] = np.mean(valid, axis=0)
    return means


@st.composite
def promoters(draw: st.DrawFn) -> tuple[np.ndarray, int, int]:
    k = draw(st.integers(1, 6))
    chunk = draw(st.integers(k, k + 30))
    n, chunks = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    share_of_n = draw(st.sampled_from([0.0, 0.02, 0.5, 1.0]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    letters = np.where(
        rng.random((n, chunks * chunk)) < share_of_n, 4, rng.integers(0, draw(st.integers(1, 4)), (n, 1))
    )
    letters[letters < 4] = rng.integers(0, 4, (letters < 4).sum())
    return letters.astype(np.uint8), k, chunk


@settings(max_examples=80, deadline=None)
@given(promoters(), st.integers(1, 9))
def test_counts_and_means_equal_the_plain_definition(case, dimension):
    tokens, k, chunk = case
    counts = chunk_counts(tokens, k, chunk)
    assert counts.dtype == np.uint8
    np.testing.assert_array_equal(counts, plain_counts(tokens, k, chunk))
    vectors = np.random.default_rng(0).uniform(-1, 1, (4**k, dimension)).astype(np.float32)
    means = mean_vectors(counts, vectors)
    assert means.dtype == np.float32
    np.testing.assert_allclose(means, plain_means(tokens, k, chunk, vectors), rtol=0, atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.text("ACGTN", min_size=8, max_size=40), st.integers(1, 8))
def test_kmer_index_names_the_kmer_at_each_position(text, k):
    words = kmer_words(k) if k < 7 else None
    index = kmer_index(tokens_from_text(text)[None], k)
    assert index.shape == (1, len(text) - k + 1)
    for at, found in enumerate(index[0]):
        word = text[at : at + k]
        if "N" in word:
            assert found == 4**k
        elif words:
            assert words[found] == word
        else:
            assert found == int(word.translate(str.maketrans("ACGT", "0123")), 4)


@pytest.mark.parametrize(("k", "dtype"), [(3, np.uint8), (4, np.uint16), (7, np.uint16), (8, np.uint32)])
def test_kmer_index_type_holds_the_mark_of_n(k, dtype):
    index = kmer_index(np.array([[3] * k + [4]], np.uint8), k)
    assert index.dtype == dtype
    assert index.tolist() == [[4**k - 1, 4**k]]


def test_kmer_words_are_in_lexicographic_order():
    assert kmer_words(1) == ["A", "C", "G", "T"]
    assert kmer_words(3) == sorted(kmer_words(3))
    assert len(set(kmer_words(3))) == 64


@pytest.mark.parametrize(("chunk", "dtype"), [(257, np.uint8), (258, np.uint16)])
def test_no_count_overflows(chunk, dtype):
    counts = chunk_counts(np.zeros((2, 2 * chunk), np.uint8), 3, chunk)
    assert counts.dtype == dtype
    assert (counts[..., 0] == chunk - 2).all()
    assert (counts.sum(axis=-1, dtype=int) == chunk - 2).all()


def test_blocks_of_genes_and_threads_do_not_show(monkeypatch):
    tokens = np.random.default_rng(1).integers(0, 5, (23, 300), dtype=np.uint8)
    vectors = np.random.default_rng(2).normal(size=(64, 5))
    whole = chunk_counts(tokens, 3, 50)
    means = mean_vectors(whole, vectors)
    for size, thread in [(1, 1), (1000, 10_000), (1200, 3000), (5000, 1500)]:
        monkeypatch.setattr(kmers, "_BLOCK_TOKENS", size)
        monkeypatch.setattr(kmers, "_THREAD_TOKENS", thread)
        monkeypatch.setattr(kmers, "_THREAD_CHUNKS", thread // 100 + 1)
        monkeypatch.setattr(kmers, "_BLOCK_CHUNKS", size // 100 + 1)
        np.testing.assert_array_equal(chunk_counts(tokens, 3, 50), whole)
        np.testing.assert_allclose(mean_vectors(whole, vectors), means, rtol=0, atol=1e-6)


def test_slices_and_read_only_tokens_are_counted_as_they_are():
    tokens = np.random.default_rng(1).integers(0, 5, (4, 500), dtype=np.uint8)
    tokens.flags.writeable = False
    np.testing.assert_array_equal(
        chunk_counts(tokens[:, 100:200], 3, 50), chunk_counts(tokens[:, 100:200].copy(), 3, 50)
    )


def test_no_genes_give_no_counts():
    counts = chunk_counts(np.zeros((0, 100), np.uint8), 3, 50)
    assert counts.shape == (0, 2, 64)
    assert mean_vectors(counts, np.ones((64, 7))).shape == (0, 2, 7)


def test_empty_chunks_have_zero_vectors_and_are_counted():
    tokens = np.full((2, 100), 4, np.uint8)
    tokens[1, 50:53] = 0  # one k-mer, AAA
    counts = chunk_counts(tokens, 3, 50)
    means = mean_vectors(counts, np.full((64, 2), 5.0))
    assert empty_chunks(counts) == 3
    assert means.tolist() == [[[0, 0], [0, 0]], [[0, 0], [5, 5]]]


@pytest.mark.parametrize(
    ("window", "k", "chunk", "keys"),
    [
        (120, 3, 50, ["model.chunk", "data.window", "100", "150"]),
        (40, 3, 50, ["model.chunk", "data.window"]),
        (100, 3, 2, ["model.chunk"]),
        (100, 3, 0, ["model.chunk"]),
        (100, 0, 50, ["model.k"]),
        (100, 9, 50, ["model.k"]),
    ],
)
def test_sizes_that_do_not_fit_are_named(window, k, chunk, keys):
    with pytest.raises(UserError) as error:
        chunk_counts(np.zeros((1, window), np.uint8), k, chunk)
    assert all(key in str(error.value) for key in keys)


def test_sequence_shorter_than_a_kmer_is_refused():
    with pytest.raises(UserError, match="shorter"):
        kmer_index(np.zeros((1, 2), np.uint8), 3)
