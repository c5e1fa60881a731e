"""Choosing the window."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genexp import memory
from genexp.dataset.config import DataConfig, DemoConfig
from genexp.dataset.description import DatasetDescription
from genexp.dataset.sources import choose_window, inspect
from genexp.errors import UserError


def data(name, window=None):
    return DataConfig(name=name, window=window)


def info(length=20_000, tss=10_000):
    return DatasetDescription(
        source="here", layout="xpresso", genes={"train": 1}, promoter="bases", promoter_length=length, tss=tss
    )


def test_the_published_window_lies_around_the_tss():
    assert choose_window(data("PH"), [-7000, 3500], 1, info()) == ((3000, 13500), None)


def test_the_published_window_is_clipped_with_a_note():
    window, note = choose_window(data("PH"), [-7000, 3500], 1, info(2000, 1000))
    assert window == (0, 2000)
    assert "clipped to [0, 2000)" in note


def test_a_given_window_is_taken_as_it_is():
    assert choose_window(data("P", [3, 1003]), [-7000, 3500], 1, info(2000, 1000)) == ((3, 1003), None)


@pytest.mark.parametrize("window", [[0, 2001], [2500, 2600], [9, 9], [9, 3]])
def test_a_given_window_must_fit(window):
    with pytest.raises(UserError, match="does not fit") as caught:
        choose_window(data("P", window), [-7000, 3500], 1, info(2000, 1000))
    assert "data.window" in str(caught.value)
    assert f"received: {window}" in str(caught.value)


def test_a_window_of_embedded_promoters():
    found = DatasetDescription(
        source="here", layout="e", genes={"train": 1}, promoter="embedded", promoter_length=6, widths={"H": 3}
    )
    with pytest.raises(UserError, match=r"data\.window"):
        choose_window(data("P", [0, 3]), [-1, 1], 1, found)
    assert choose_window(data("H", [0, 3]), [-1, 1], 1, found) == (None, None)


def test_a_published_window_beyond_the_promoters_is_an_error():
    with pytest.raises(UserError, match="outside the promoters"):
        choose_window(data("P"), [5000, 6000], 1, info(2000, 1000))


@pytest.mark.parametrize("kind", [None, "embedded"])
def test_no_window_without_bases(kind):
    found = DatasetDescription(source="here", layout="tf", genes={"train": 1}, promoter=kind, widths={"T": 3})
    assert choose_window(data("PT" if kind else "T"), [-1, 1], 1, found) == (None, None)


@given(st.integers(1, 30_000), st.floats(0, 1), st.integers(-9000, 0), st.integers(1, 9000), st.integers(1, 50))
def test_a_clipped_window_lies_in_the_promoter_and_can_be_cut(length, where, left, right, parts):
    tss = int(where * (length - 1))
    try:
        (a, b), _ = choose_window(data("P"), [left, right], parts, info(length, tss))
    except UserError:
        clipped = min(tss + right, length) - max(tss + left, 0)
        assert clipped < parts
        return
    assert 0 <= a < b <= length
    assert (b - a) % parts == 0
    assert max(tss + left, 0) <= a < max(tss + left, 0) + parts
    assert b == min(tss + right, length)


def test_more_demo_genes_than_fit_into_memory_are_refused(monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: 10_000_000)
    config = DemoConfig(name="demo", genes=100_000, seed=0, drop_ambiguous=False)
    with pytest.raises(UserError, match="do not fit into memory") as caught:
        inspect(config, "PH")
    assert "dataset.genes=100000" in str(caught.value)
    assert inspect(config.model_copy(update={"genes": 1000}), "PH").description.genes["train"] == 800
