import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from genexp.features.tokens import (
    ALPHABET,
    N_TOKEN,
    numbering_of,
    other_numbering,
    reverse_complement,
    rows_with_n,
    text_from_tokens,
    tokens_from_one_hot,
    tokens_from_text,
)

shapes = hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=9)
tokens_2d = hnp.arrays(np.uint8, shapes, elements=st.integers(0, 4))
not_a_base = st.characters(exclude_characters="ACGTUNRYSWKMBDHVacgtunryswkmbdhv.-")
dtypes = st.sampled_from(["?", "u1", "i1", "<i8", ">i4", "<f4", ">f8", "f2"])


def one_hot(tokens):
    return tokens[..., None] == np.arange(4)


@given(st.text("ACGTN", max_size=50))
def test_text_survives_the_way_to_tokens_and_back(text):
    tokens = tokens_from_text(text)
    assert tokens.dtype == np.uint8
    assert text_from_tokens(tokens) == text
    np.testing.assert_array_equal(tokens, [ALPHABET.index(base) for base in text])


@given(st.text("ACGTUNRYSWKMBDHVacgtunryswkmbdhv.-", max_size=50))
def test_case_uracil_and_ambiguity_codes(text):
    upper = text.upper().replace("U", "T")
    plain = "".join(base if base in "ACGT" else "N" for base in upper)
    assert text_from_tokens(tokens_from_text(text)) == plain
    np.testing.assert_array_equal(tokens_from_text(text.encode()), tokens_from_text(text))


@given(st.text("ACGT", max_size=20), not_a_base, st.text("ACGT"))
def test_a_character_that_is_not_a_base_is_named_with_its_position(before, wrong, after):
    with pytest.raises(ValueError, match="is not a base") as caught:
        tokens_from_text(before + wrong + after)
    assert f"{wrong!r} at position {len(before)} " in str(caught.value)


def test_a_byte_that_is_not_a_base_is_named():
    with pytest.raises(ValueError, match="'>' at position 2 is not a base"):
        tokens_from_text(b"AC>T")


@given(tokens_2d, dtypes)
def test_one_hot_survives_whatever_its_type(tokens, dtype):
    decoded, malformed = tokens_from_one_hot(one_hot(tokens).astype(dtype))
    assert decoded.dtype == np.uint8
    np.testing.assert_array_equal(decoded, tokens)
    assert malformed.shape == (len(tokens),)
    assert not malformed.any()


@given(tokens_2d, dtypes, st.data())
def test_one_hot_survives_whatever_its_memory_layout(tokens, dtype, data):
    left = data.draw(st.integers(0, tokens.shape[1]))
    whole = one_hot(tokens).astype(dtype)
    apart = np.moveaxis(np.moveaxis(whole, 2, 0).copy(), 0, 2)
    for layout in (whole, apart, np.asfortranarray(whole), whole[:, ::-1][:, ::-1]):
        decoded, malformed = tokens_from_one_hot(layout[:, left:])
        np.testing.assert_array_equal(decoded, tokens[:, left:])
        assert not malformed.any()


@given(
    hnp.arrays(np.int16, st.tuples(st.integers(1, 5), st.integers(1, 4), st.just(4)), elements=st.integers(-1, 2)),
    st.sampled_from(["i1", "<i8", "<f4", ">f8"]),
    st.booleans(),
)
def test_malformed_rows_are_exactly_those_that_are_not_one_hot(values, dtype, apart):
    proper = np.isin(values, (0, 1)).all(axis=2) & ((values == 1).sum(axis=2) <= 1)
    layout = np.moveaxis(np.moveaxis(values, 2, 0).copy(), 0, 2) if apart else values
    decoded, malformed = tokens_from_one_hot(layout.astype(dtype, order="K"))
    np.testing.assert_array_equal(malformed, ~proper.all(axis=1))
    expected = np.where((values == 1).any(axis=2), (values == 1).argmax(axis=2), N_TOKEN)
    np.testing.assert_array_equal(decoded[~malformed], expected[~malformed])


@pytest.mark.parametrize("value", [np.nan, 0.5, 255.0, -1.0])
def test_real_numbers_that_are_not_bases_are_malformed(value):
    bases = one_hot(np.array([[0, 1], [2, 3]])).astype(np.float32)
    bases[1, 0, 3] = value
    assert tokens_from_one_hot(bases)[1].tolist() == [False, True]


def test_bools_with_other_bytes_are_malformed():
    bases = one_hot(np.array([[0, 1], [2, 3]]))
    bases.view(np.uint8)[0, 1, 2] = 2
    assert tokens_from_one_hot(bases)[1].tolist() == [True, False]


def test_many_rows_are_decoded_as_few_are():
    tokens = np.random.default_rng(0).integers(0, 5, (70, 3000), dtype=np.uint8)
    bases = one_hot(tokens)
    bases[65, 2999] = True
    decoded, malformed = tokens_from_one_hot(bases)
    assert np.flatnonzero(malformed).tolist() == [65]
    np.testing.assert_array_equal(np.delete(decoded, 65, 0), np.delete(tokens, 65, 0))


@given(tokens_2d)
def test_rows_with_n(tokens):
    np.testing.assert_array_equal(rows_with_n(tokens), [N_TOKEN in row for row in tokens.tolist()])


def test_rows_with_n_beyond_the_first_rows():
    tokens = np.zeros((600, 3), np.uint8)
    tokens[[5, 599], 2] = N_TOKEN
    assert np.flatnonzero(rows_with_n(tokens)).tolist() == [5, 599]


# --- bases that are numbered in another way ---

OTHERS = {"A=1 C=2 G=3 T=4 N=0": [1, 2, 3, 4, 0], "A=0 C=1 G=2 N=3 T=4": [0, 1, 2, 4, 3]}


def promoters(seed, genes, length, gc, unknown):
    """Return (genes, length) tokens: bases of a GC content, a few N, and in some genes an end of N."""
    rng = np.random.default_rng(seed)
    strong = rng.random((genes, length)) < gc
    tokens = np.where(strong, rng.integers(1, 3, (genes, length)), rng.choice([0, 3], (genes, length)))
    tokens[rng.random((genes, length)) < unknown / 100] = 4
    for row in np.flatnonzero(rng.random(genes) < 10 * unknown):
        tokens[row, : rng.integers(1, length)] = 4
    return tokens.astype(np.uint8)


sets = st.tuples(
    st.integers(0, 10**6), st.integers(2, 40), st.integers(200, 400), st.floats(0.15, 0.85), st.floats(0, 0.05)
)


@given(sets, st.sampled_from([None, *OTHERS]))
def test_another_numbering_is_recognised_and_ours_never_is(made, other):
    tokens = promoters(*made)
    if other is None:
        assert other_numbering(tokens) is None
        tokens[tokens == 4] = 0
        assert other_numbering(tokens) is None
    else:
        assume((tokens == 4).mean() < 0.2)  # of few genes that are mostly N, nothing can be told
        assert other_numbering(np.array(OTHERS[other])[tokens]) == other


def test_short_sequences_that_are_filled_up_are_none():
    tokens = promoters(0, 50, 110, 0.5, 0)
    filled = np.concatenate([tokens, np.full((50, 400), 4)], axis=1)
    assert other_numbering(filled) is None
    assert other_numbering(np.array(OTHERS["A=1 C=2 G=3 T=4 N=0"])[filled]) == "A=1 C=2 G=3 T=4 N=0"


def test_masked_bases_are_none():
    tokens = promoters(0, 50, 400, 0.5, 0)
    tokens[np.random.default_rng(0).random(tokens.shape) < 0.15] = 4
    assert other_numbering(tokens) is None


@pytest.mark.parametrize(
    ("numbers", "name"),
    [
        ([1, 2, 3, 4, 5], "A=1 C=2 G=3 T=4 N=5"),
        ([0, 1, 2, 3, 5], "A=0 C=1 G=2 T=3 N=5"),
        ([0, 1, 2, 3, -1], "A=0 C=1 G=2 T=3 N=-1"),
        ([65, 67, 71, 84, 78], "the letters as ASCII"),
        ([0, 1, 2, 7, 9], None),
    ],
)
def test_numbers_that_are_no_tokens_are_named(numbers, name):
    assert numbering_of(np.array(numbers)[promoters(0, 4, 400, 0.5, 2)]) == name


@given(st.text("ACGTN"))
def test_the_reverse_complement_is_that_of_the_text(text):
    other = text[::-1].translate(str.maketrans("ACGT", "TGCA"))
    tokens = tokens_from_text(text)
    np.testing.assert_array_equal(reverse_complement(tokens), tokens_from_text(other))
    np.testing.assert_array_equal(reverse_complement(reverse_complement(tokens)), tokens)
