"""Residuals by group and feature, against other computations."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from genexp.evaluation.residuals import by_feature, by_group


def test_correlations_are_those_of_scipy_and_intervals_of_one_feature_those_of_fisher():
    rng = np.random.default_rng(0)
    residuals = rng.normal(size=200)
    table = pd.DataFrame({"a": residuals + rng.normal(size=200), "flat": 1.0, "b": rng.integers(0, 2, 200)})
    found = {name: (rho, low, high) for name, rho, low, high in by_feature(table, residuals)}
    assert list(found) == ["a", "b"]
    for name, (rho, *_) in found.items():
        assert rho == pytest.approx(stats.spearmanr(table[name], residuals).statistic)
    (_, rho, low, high), *_ = by_feature(table[["a"]], residuals)
    half = 1.959964 * np.sqrt((1 + rho**2 / 2) / 197)
    assert (low, high) == pytest.approx((np.tanh(np.arctanh(rho) - half), np.tanh(np.arctanh(rho) + half)), abs=1e-6)
    assert found["a"][1] < low < high < found["a"][2], "wider with two features"


def test_intervals_of_many_features_hold_together():
    rng = np.random.default_rng(1)
    wrong = 0
    for _ in range(200):
        features = pd.DataFrame(rng.normal(size=(100, 20)))
        wrong += any(low > 0 or high < 0 for _, _, low, high in by_feature(features, rng.normal(size=100)))
    assert wrong <= 20  # 5 % of 200 are expected


def test_groups_are_ordered_by_size():
    found = by_group(np.array(["x", "y", "y", "y"]), np.array([1.0, 0, 1, 5]))
    assert found == [("y", 3, 0.5, 1.0, 3.0), ("x", 1, 1.0, 1.0, 1.0)]


def test_nothing_varies():
    assert by_feature(pd.DataFrame({"a": [1.0] * 20}), np.arange(20.0)) == []
    assert by_feature(pd.DataFrame({"a": np.arange(20.0)}), np.zeros(20)) == []
