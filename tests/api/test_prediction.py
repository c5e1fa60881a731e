"""The models of a run, called with arrays; what members with different windows see."""

from types import SimpleNamespace

import numpy as np
import pytest

import genexp
from genexp.api.prediction import Predictor, common_window
from genexp.dataset.description import DatasetDescription
from genexp.errors import UserError


class Sum:
    """Stands for a model: the sum of the tokens."""

    def predict_on_batch(self, fed):
        assert len(fed["promoter"]) <= 4
        return fed["promoter"].sum(axis=1, keepdims=True)


def member(window, tss=200, length=400):
    shapes = {"promoter": "bases", "promoter_length": length, "tss": tss, "window": window}
    described = DatasetDescription(source="made", layout="made", genes={}, **shapes)
    config = SimpleNamespace(
        data=SimpleNamespace(name="P"), model=SimpleNamespace(reads="bases"), training=SimpleNamespace(batch_size=4)
    )
    return SimpleNamespace(dataset=described, config=config, path="run", model=Sum())


def test_the_common_window_holds_those_of_all_members_relative_to_the_tss():
    assert common_window([member((100, 300))]) == (100, 300)
    assert common_window([member(None), member((100, 300))]) == (0, 400)
    assert common_window([member((100, 300)), member((550, 650), tss=500, length=900)]) == (100, 350)


@pytest.mark.integration
def test_each_member_reads_its_own_slice_of_the_common_window():
    runs = [member((100, 300)), member((550, 650), tss=500, length=900)]
    predictor = Predictor(SimpleNamespace(runs=runs, config=runs[0].config, dataset=runs[0].dataset))
    tokens = np.random.default_rng(0).integers(0, 5, (9, 250)).astype(np.uint8)  # promoter coordinates 100 to 350
    expected = np.stack([tokens[:, :200].sum(axis=1), tokens[:, 150:].sum(axis=1)])
    np.testing.assert_array_equal(predictor(tokens, {})[:, :, 0], expected)


def test_promoters_without_tss_are_compared_only_if_they_are_alike():
    assert common_window([member((0, 100), tss=None), member((50, 200), tss=None)]) == (0, 200)
    with pytest.raises(UserError, match="cannot be compared without a TSS"):
        common_window([member((0, 100)), member((0, 100), tss=None)])


def test_the_digits_are_those_of_keras_whatever_the_number_of_genes(finished_run):
    run = genexp.open_run(finished_run)
    predictor, rng = Predictor(run), np.random.default_rng(0)
    left, right = predictor.window
    tokens = rng.integers(0, 5, (70, right - left)).astype(np.uint8)
    halflife = rng.normal(size=(70, 8)).astype(np.float32)
    assert (left, right, predictor.tss) == (0, 400, 200)
    expected = run.model.predict({"promoter": tokens[:64], "halflife": halflife[:64]}, batch_size=32, verbose=0)
    for n in (64, 70, 3):
        found = predictor(tokens[:n], {"H": halflife[:n]})
        assert found.shape == (1, n, 1)
        np.testing.assert_array_equal(found[0, : min(n, 64)], expected[:n])
    assert predictor(tokens[:0], {"H": halflife[:0]}).shape == (1, 0, 1)
    whole = run.predict(tokens, {"H": halflife})
    np.testing.assert_array_equal(whole, predictor(tokens, {"H": halflife})[0, :, 0])
