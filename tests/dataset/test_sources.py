"""Choosing the window."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genexp.config import DataConfig, DivideEtImperaConfig, ModelConfig
from genexp.dataset.description import DatasetDescription
from genexp.dataset.sources import choose_window
from genexp.errors import UserError


def info(length=20_000, tss=10_000):
    return DatasetDescription(
        source="here", layout="xpresso", genes={"train": 1}, promoter="bases", promoter_length=length, tss=tss
    )


def model(left, right):
    return ModelConfig(name="m", window=[left, right])


def test_the_published_window_lies_around_the_tss():
    assert choose_window(DataConfig("PH", None), model(-7000, 3500), info()) == ((3000, 13500), None)


def test_the_published_window_is_clipped_with_a_word():
    window, note = choose_window(DataConfig("PH", None), model(-7000, 3500), info(2000, 1000))
    assert window == (0, 2000)
    assert "clipped to [0, 2000)" in note


def test_a_given_window_is_taken_as_it_is():
    assert choose_window(DataConfig("P", [3, 1003]), model(-7000, 3500), info(2000, 1000)) == ((3, 1003), None)


def test_a_given_window_must_fit():
    with pytest.raises(UserError, match="does not fit"):
        choose_window(DataConfig("P", [0, 2001]), model(-7000, 3500), info(2000, 1000))


def test_a_published_window_beyond_the_promoters_is_an_error():
    with pytest.raises(UserError, match="outside the promoters"):
        choose_window(DataConfig("P", None), model(5000, 6000), info(2000, 1000))


@pytest.mark.parametrize("kind", [None, "embedded"])
def test_no_window_without_bases(kind):
    data = DatasetDescription(source="here", layout="tf", genes={"train": 1}, promoter=kind, widths={"T": 3})
    assert choose_window(DataConfig("PT" if kind else "T", None), model(-1, 1), data) == (None, None)


@given(st.integers(1, 30_000), st.floats(0, 1), st.integers(-9000, 0), st.integers(1, 9000), st.integers(1, 50))
def test_a_clipped_window_lies_in_the_promoter_and_can_be_cut(length, where, left, right, parts):
    tss = int(where * (length - 1))
    m = DivideEtImperaConfig(name="d", window=[left, right], parts=parts)
    try:
        (a, b), _ = choose_window(DataConfig("P", None), m, info(length, tss))
    except UserError:
        clipped = min(tss + right, length) - max(tss + left, 0)
        assert clipped < parts
        return
    assert 0 <= a < b <= length
    assert (b - a) % parts == 0
    assert max(tss + left, 0) <= a < max(tss + left, 0) + parts
    assert b == min(tss + right, length)
