import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from genexp.evaluation.metrics import METRICS, metrics
from genexp.evaluation.repeats import Summary, summaries, summary


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=40))
def test_the_interval_is_that_of_a_t_test(values):
    found = summary(values)
    assert (found.n, found.mean, found.sd) == (len(values), np.mean(values), np.std(values, ddof=1))
    if found.sd > 1e-6:
        expected = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_a_printed_table_of_t_gives_the_same_interval():
    """For 9 degrees of freedom every printed table has 2.262."""
    values = [0.59, 0.61, 0.60, 0.62, 0.58, 0.60, 0.59, 0.61, 0.60, 0.60]
    half = 2.262 * np.std(values, ddof=1) / np.sqrt(10)
    found = summary(values)
    assert (found.low, found.high) == pytest.approx((0.6 - half, 0.6 + half), abs=1e-5)


def test_one_value_has_no_interval():
    assert summary([0.5]) == Summary(1, 0.5, None, None, None)


@pytest.mark.parametrize("values", [[], [0.5, float("nan")], [float("inf")]])
def test_what_has_no_mean_is_refused(values):
    with pytest.raises(ValueError, match="finite"):
        summary(values)


def test_every_metric_of_a_split_is_summarised_and_of_each_label():
    rng = np.random.default_rng(0)
    runs = [metrics(*rng.normal(size=(2, 20)), resamples=10) for _ in range(3)]
    found = summaries([{**run, "labels": {"liver": run, "brain": run}} for run in runs])
    assert [*found] == [*METRICS, "labels"]
    assert found["mse"] == summary(run["mse"] for run in runs)
    assert found["labels"]["brain"]["r2"] == found["r2"]
