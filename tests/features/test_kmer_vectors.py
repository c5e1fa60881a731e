import gzip
import os
import pickle

import numpy as np
import pytest
from gensim.models import KeyedVectors, Word2Vec
from hypothesis import given, settings
from hypothesis import strategies as st

from genexp.errors import UserError
from genexp.features import gensim_files
from genexp.features.kmer_vectors import KmerVectors, load_vectors, random_vectors
from genexp.features.kmers import chunk_counts, kmer_words, mean_vectors


def test_random_vectors_are_of_the_published_kind():
    tokens = np.random.default_rng(0).integers(0, 4, (20, 400), dtype=np.uint8)
    # Chunk means of untrained vectors had sd 0.0008 and |mean| 0.0005 in the published models.
    means = mean_vectors(chunk_counts(tokens, 3, 50), random_vectors(3, 64, 0).vectors).reshape(-1, 64)
    assert 0.0004 < np.median(means.std(axis=0)) < 0.0012
    assert np.median(np.abs(means.mean(axis=0))) < 0.0012


def test_random_vectors_have_the_range_of_the_random_start():
    drawn = random_vectors(3, 64, 5)
    assert np.abs(drawn.vectors).max() <= 0.5 / 64
    assert drawn.vectors.std() == pytest.approx(1 / 64 / 12**0.5, rel=0.05)
    np.testing.assert_array_equal(drawn.vectors, random_vectors(3, 64, 5).vectors)
    assert not np.array_equal(drawn.vectors, random_vectors(3, 64, 6).vectors)


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 4), st.integers(1, 6), st.integers(0, 99), st.dictionaries(st.text(max_size=5), st.integers()))
def test_saved_vectors_come_back(tmp_path_factory, k, dimension, seed, provenance):
    vectors = np.random.default_rng(seed).normal(size=(4**k, dimension)).astype(np.float32)
    path = tmp_path_factory.mktemp("vectors") / "kmers.npz"
    KmerVectors(k, vectors, provenance).save(path)
    loaded = load_vectors(path)
    assert (loaded.k, loaded.provenance) == (k, provenance)
    np.testing.assert_array_equal(loaded.vectors, vectors)
    with np.load(path, allow_pickle=False) as content:  # readable without genexp
        assert content["kmers"].tolist() == kmer_words(k)


@pytest.mark.parametrize("shape", [(63, 4), (64,), (64, 0), (0, 0)])
def test_vectors_of_the_wrong_shape_are_refused(shape):
    with pytest.raises(UserError, match="shape"):
        KmerVectors(3, np.zeros(shape))


def test_vectors_that_are_not_finite_are_refused():
    vectors = np.zeros((64, 2))
    vectors[1, 1] = np.nan
    with pytest.raises(UserError, match="AAC"):
        KmerVectors(3, vectors)


def keyed_vectors(words=None, dimension=5) -> KeyedVectors:
    words = words or kmer_words(2)[::-1]
    saved = KeyedVectors(dimension)
    saved.add_vectors(words, np.random.default_rng(0).normal(size=(len(words), dimension)).astype(np.float32))
    return saved


def save_keyed(path):
    keyed_vectors().save(str(path))


def save_keyed_apart(path):
    keyed_vectors().save(str(path), sep_limit=1)


def save_text(path):
    keyed_vectors().save_word2vec_format(str(path))


def save_binary(path):
    keyed_vectors().save_word2vec_format(str(path), binary=True)


def save_gzip(path):
    save_text(path)
    path.write_bytes(gzip.compress(path.read_bytes()))


@pytest.mark.parametrize("save", [save_keyed, save_keyed_apart, save_text, save_binary, save_gzip])
def test_vectors_of_other_programs_are_put_in_order(save, tmp_path):
    save(tmp_path / "vectors")
    loaded = load_vectors(tmp_path / "vectors")
    wanted = keyed_vectors()
    assert loaded.k == 2
    np.testing.assert_allclose(loaded.vectors, [wanted[w] for w in kmer_words(2)], rtol=1e-6)
    assert loaded.provenance["method"] == "file"


@pytest.mark.parametrize("sep_limit", [10 * 2**20, 1])
def test_whole_gensim_models_are_read(tmp_path, sep_limit):
    sentences = [[w for w in kmer_words(2) for _ in range(i + 1)] for i in range(4)]
    model = Word2Vec(sentences, vector_size=4, min_count=1, workers=1, epochs=1)
    model.save(str(tmp_path / "model"), sep_limit=sep_limit)
    loaded = load_vectors(tmp_path / "model")
    np.testing.assert_array_equal(loaded.vectors, [model.wv[w] for w in kmer_words(2)])


class Evil:
    """Runs a command when it is unpickled."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def attack_reduce(trace) -> bytes:
    return pickle.dumps(Evil(f"touch {trace}"))


def attack_inside_gensim(trace) -> bytes:
    model = keyed_vectors()
    model.extra = Evil(f"touch {trace}")
    return pickle.dumps(model)


def attack_old_protocol(trace) -> bytes:
    return (
        b"\x80\x02cposix\nsystem\n"
        + b"X"
        + len(f"touch {trace}").to_bytes(4, "little")
        + f"touch {trace}".encode()
        + b"\x85R."
    )


def attack_dotted_name(trace) -> bytes:
    # numpy is allowed in parts; a path through it to something else is not
    return b"\x80\x04\x8c\x05numpy\x8c\x0cf2py.os.path\x93."


def attack_class(trace) -> bytes:
    # give the class that stands for every name another state
    return b"\x80\x04\x8c\x05numpy\x8c\x05dtype\x93}\x8c\x05state\x8c\x01xsb."


def attack_builtin(trace) -> bytes:
    return b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x01" + b"1\x85R."


@pytest.mark.parametrize(
    "attack",
    [attack_reduce, attack_inside_gensim, attack_old_protocol, attack_dotted_name, attack_class, attack_builtin],
)
def test_pickles_run_no_code(attack, tmp_path):
    trace = tmp_path / "trace"
    (tmp_path / "vectors").write_bytes(attack(trace))
    with pytest.raises(UserError, match=r"save_word2vec_format|a pickle without word vectors"):
        load_vectors(tmp_path / "vectors")
    assert not trace.exists()
    assert gensim_files._Inert.state is None


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_arrays_of_every_protocol_are_read(tmp_path, protocol):
    saved = keyed_vectors()
    (tmp_path / "vectors").write_bytes(pickle.dumps(saved, protocol))
    np.testing.assert_array_equal(load_vectors(tmp_path / "vectors").vectors, [saved[w] for w in kmer_words(2)])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"nothing of the kind",
        b"\x80",
        b"\x80\x04N.",
        b"\x80\x04}.",
        b"\x1f\x8b broken",
        b"PK\x03\x04 broken",
        b"4 2\nA 1 2\nC 1 2\n",
        b"2 2\nA 1 2\nC 1 x\n",
        b"2 2\nA 1 2\nC 1 2 3\n",
        b"1 99999999\nA \xff\xff\xff\xff",
    ],
)
def test_files_of_another_kind_are_refused(content, tmp_path):
    (tmp_path / "vectors").write_bytes(content)
    with pytest.raises(UserError) as error:
        load_vectors(tmp_path / "vectors")
    assert "vectors" in str(error.value)


def test_npz_with_a_pickle_or_without_its_arrays_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", vectors=np.array([{}], dtype=object), kmers=np.array(["A"]), provenance=np.array("{}"))
    np.savez(tmp_path / "b.npz", vectors=np.zeros((4, 2)))
    for name in ("a.npz", "b.npz"):
        with pytest.raises(UserError, match="cannot be read"):
            load_vectors(tmp_path / name)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (kmer_words(2)[1:], "1 missing (AA)"),
        (["</s>", *kmer_words(2), "NN"], "2 other or repeated (</s>, NN)"),
        ([w.lower() for w in kmer_words(2)], "16 missing (AA, AC,"),
        (kmer_words(2) + kmer_words(3), "16 other or repeated (AA, AC, AG,"),
    ],
)
def test_words_that_are_not_the_kmers_are_listed(words, named, tmp_path):
    keyed_vectors(words).save_word2vec_format(str(tmp_path / "vectors"))
    with pytest.raises(UserError) as error:
        load_vectors(tmp_path / "vectors")
    assert named in str(error.value)


@pytest.mark.parametrize("number", [0.0, 1e-30, 1e30, 1e200])
def test_vectors_that_no_model_can_use_are_refused(tmp_path, number):
    lines = [f"{word} {number * (n + 1)} 0" for n, word in enumerate(kmer_words(2))]
    (tmp_path / "vectors").write_text("\n".join(["16 2", *lines]))
    with pytest.raises(UserError, match=r"no model can be trained|not finite"):
        load_vectors(tmp_path / "vectors")


@pytest.mark.parametrize("vectors", [np.ones(32), np.ones((1, 16, 2)), np.full((16, 2), "1"), np.full((16, 2), 1j)])
def test_npz_with_vectors_of_another_shape_or_type_is_refused(tmp_path, vectors):
    np.savez(tmp_path / "vectors.npz", vectors=vectors, kmers=np.array(kmer_words(2)), provenance=np.array("{}"))
    with pytest.raises(UserError, match="not numbers of shape"):
        load_vectors(tmp_path / "vectors.npz")


def test_gensim_files_that_are_truncated_or_incomplete_are_refused(tmp_path):
    save_keyed_apart(tmp_path / "vectors")
    (tmp_path / "vectors.vectors.npy").unlink()
    with pytest.raises(UserError, match=r"vectors\.vectors\.npy is not beside"):
        load_vectors(tmp_path / "vectors")
    save_keyed(tmp_path / "whole")
    (tmp_path / "cut").write_bytes((tmp_path / "whole").read_bytes()[:-20])
    with pytest.raises(UserError, match="truncated"):
        load_vectors(tmp_path / "cut")


def test_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        load_vectors(tmp_path / "absent")
