"""Tests between groups of runs: against plain NumPy and SciPy, and their size under the null hypothesis."""

import numpy as np
import pytest
from scipy import stats

from genexp.evaluation import comparison
from genexp.evaluation.comparison import compare_folds, compare_runs, holm


def runs_on(signals, runs, noise, rng):
    """Return labels (n, 1), and for each signal the predictions (runs, n, 1) of runs with errors of their own."""
    labels = sum(signals) + rng.normal(size=signals[0].size)
    groups = [signal + noise * rng.normal(size=(runs, signal.size)) for signal in signals]
    return labels[:, None], [group[:, :, None] for group in groups]


def r2_of(x, y):
    return np.corrcoef(x, y)[0, 1] ** 2


def test_the_variance_is_that_of_runs_and_that_of_the_genes_they_share():
    rng = np.random.default_rng(0)
    labels, groups = runs_on(rng.normal(size=(2, 300)), 4, 0.6, rng)
    found = compare_runs(labels, groups)[0, 1][0]

    y, every = labels[:, 0], np.concatenate(groups)[:, :, 0]
    r2s = np.array([r2_of(y, p) for p in every])
    drawn = np.random.default_rng(7).integers(300, size=(3000, 300))
    covariance = np.cov(np.array([[r2_of(y[rows], p[rows]) for p in every] for rows in drawn]).T)
    different = ~np.eye(4, dtype=bool)
    shared = covariance[:4, :4][different].mean() + covariance[4:, 4:][different].mean()
    shared -= 2 * covariance[:4, 4:].mean()
    parts = [(r2s[:4].var(ddof=1) / 4, 3), (r2s[4:].var(ddof=1) / 4, 3), (shared, 299)]
    variance = sum(part for part, _ in parts)
    freedom = variance**2 / sum(part**2 / f for part, f in parts)

    assert found.difference == pytest.approx(r2s[:4].mean() - r2s[4:].mean(), abs=1e-12)
    half = stats.t.ppf(0.975, freedom) * variance**0.5
    assert found.high - found.low == pytest.approx(2 * half, rel=0.05)
    assert found.p == pytest.approx(2 * stats.t.sf(abs(found.difference) / variance**0.5, freedom), abs=0.02)


def test_predictions_that_differ_in_scale_alone_do_not_differ():
    rng = np.random.default_rng(4)
    for _ in range(20):
        labels, (group, _) = runs_on(rng.normal(size=(2, 60)), 1, 0.6, rng)
        found = compare_runs(labels, [group, 1.7 * group - 0.3])[0, 1][0]
        assert (found.difference, found.p) == (0.0, 1.0)


def test_of_single_runs_the_variance_is_that_of_the_genes():
    rng = np.random.default_rng(1)
    labels, groups = runs_on(rng.normal(size=(2, 400)), 1, 0.6, rng)
    found = compare_runs(labels, groups)[0, 1][0]
    one, other = (group[0, :, 0] for group in groups)
    y = labels[:, 0]
    drawn = np.random.default_rng(7).integers(400, size=(3000, 400))
    differences = [r2_of(y[rows], one[rows]) - r2_of(y[rows], other[rows]) for rows in drawn]
    assert (found.high - found.low) / 2 == pytest.approx(stats.t.ppf(0.975, 399) * np.std(differences), rel=0.05)


@pytest.mark.parametrize("kind", ["same model", "other model"])
def test_one_in_twenty_is_significant_where_there_is_no_difference(kind, monkeypatch):
    monkeypatch.setattr(comparison, "RESAMPLES", 200)
    rng, ps = np.random.default_rng(2), []
    for _ in range(200):
        one, other = rng.normal(size=(2, 150))
        labels = (one + other + rng.normal(size=150))[:, None]
        signals = (one, one if kind == "same model" else other)
        sizes = 0.5 + 0.15 * np.abs(rng.normal(size=(2, 4, 1)))
        groups = [
            (signal + size * rng.normal(size=(4, 150)))[:, :, None] for signal, size in zip(signals, sizes, strict=True)
        ]
        ps.append(compare_runs(labels, groups)[0, 1][0].p)
    # 10 are expected; the truncated covariance makes the test a little too careful for one model.
    assert 2 <= np.sum(np.array(ps) < 0.05) <= 19


def test_of_several_labels_the_mean_comes_first_and_missing_values_are_left_out():
    rng = np.random.default_rng(3)
    labels = rng.normal(size=(200, 2))
    labels[:60, 1] = np.nan
    groups = [np.nan_to_num(labels) + noise * rng.normal(size=(3, 200, 2)) for noise in (0.5, 1.0)]
    mean, first, second = compare_runs(labels, groups)[0, 1]
    known = ~np.isnan(labels[:, 1])
    expected = [
        np.mean([r2_of(labels[rows, place], p[rows, place]) for p in groups[0]])
        - np.mean([r2_of(labels[rows, place], p[rows, place]) for p in groups[1]])
        for place, rows in enumerate((slice(None), known))
    ]
    assert [first.difference, second.difference] == pytest.approx(expected)
    assert mean.difference == pytest.approx(np.mean(expected))
    assert max(mean.p, first.p, second.p) < 0.01


def test_groups_can_be_compared_in_either_order_and_with_themselves():
    rng = np.random.default_rng(4)
    labels, groups = runs_on(rng.normal(size=(2, 100)), 3, 0.8, rng)
    one, other = (compare_runs(labels, order)[0, 1][0] for order in (groups, groups[::-1]))
    assert one.p == pytest.approx(other.p)
    assert (one.difference, one.low) == pytest.approx((-other.difference, -other.high))
    same = compare_runs(labels, [groups[0][:1], groups[0][:1]])[0, 1][0]
    assert (same.difference, same.p) == (0, 1)


def test_folds_are_paired_and_their_variance_is_corrected():
    rng = np.random.default_rng(5)
    one, other = rng.uniform(0.4, 0.6, (2, 10))
    found = compare_folds([one[:, None], other[:, None]], 1 / 9)[0, 1][0]
    plain = stats.ttest_rel(one, other)
    t = plain.statistic * np.sqrt((1 / 10) / (1 / 10 + 1 / 9))
    assert found.p == pytest.approx(2 * stats.t.sf(abs(t), 9))
    low, high = plain.confidence_interval()
    assert (found.high - found.low) / (high - low) == pytest.approx(np.sqrt((1 / 10 + 1 / 9) / (1 / 10)))


def test_holm_adjusts_the_smallest_most():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []
