"""Metrics against their textbook definitions, their invariants and their edge cases."""

import json
import tracemalloc

import numpy as np
import pytest
import scipy.stats
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from genexp.evaluation.metrics import (
    METRICS,
    collapsed_labels,
    is_collapsed,
    is_nearly_constant,
    label_metrics,
    mean_r2,
    metrics,
    r2,
    shares,
    tied,
)

# A busy machine may take its time over one example.
quick = settings(max_examples=60, deadline=None)

KEYS = ["n", *METRICS, "r2_ci95", "common_share", "ceiling_share"]


def correlated(n, seed=0, slope=0.7):
    rng = np.random.default_rng(seed)
    labels = rng.standard_normal(n)
    return labels, slope * labels + rng.standard_normal(n)


def vectors(elements, min_size=1, max_size=30, count=2):
    """Draw `count` vectors of one common length."""
    sizes = st.integers(min_size, max_size)
    return sizes.flatmap(lambda n: st.tuples(*(arrays(np.float64, n, elements=elements) for _ in range(count))))


FLOATS = st.floats(-1e6, 1e6, width=32)
SMALL = st.integers(-1000, 1000).map(float)


def test_agrees_with_scipy_and_numpy():
    y, p = correlated(500)
    p = np.round(p, 1)  # ties
    m = metrics(y, p, resamples=50)
    assert list(m) == KEYS
    assert m["n"] == 500
    expected = {
        "r2": scipy.stats.linregress(y, p).rvalue ** 2,
        "pearson": scipy.stats.pearsonr(y, p).statistic,
        "spearman": scipy.stats.spearmanr(y, p).statistic,
        "cod": 1 - np.mean((y - p) ** 2) / np.var(y),
        "mse": np.mean((y - p) ** 2),
        "mae": np.mean(np.abs(y - p)),
        "rmse": np.sqrt(np.mean((y - p) ** 2)),
    }
    assert {name: m[name] for name in METRICS} == pytest.approx(expected, rel=1e-12)
    assert r2(y, p) == m["r2"]


def test_values_are_plain_json():
    y, p = correlated(20)
    m = metrics(y.astype(np.float32), p.astype(np.float32), resamples=10)
    assert json.loads(json.dumps(m, allow_nan=False)) == m
    assert [type(v) for v in m.values()] == [int, *[float] * len(METRICS), list, float, float]


def test_computes_in_float64():
    # In float32 the squares of these lose every digit of the variance.
    y, p = correlated(1000)
    y32, p32 = (y + 4096).astype(np.float32), (p + 4096).astype(np.float32)
    assert r2(y32, p32) == pytest.approx(r2(y, p), abs=1e-3)


@quick
@given(vectors(FLOATS))
def test_bounds(pair):
    y, p = pair
    m = metrics(y, p, resamples=8)
    assert json.dumps(m, allow_nan=False)
    assert 0 <= m["r2"] <= 1
    assert m["r2"] == pytest.approx(m["pearson"] ** 2)
    assert abs(m["spearman"]) <= 1
    assert m["cod"] <= m["r2"] + 1e-6
    assert m["mae"] ** 2 <= m["mse"] * (1 + 1e-9)
    low, high = m["r2_ci95"]
    assert 0 <= low <= high <= 1


@quick
@given(vectors(SMALL, min_size=3), st.floats(0.01, 100), st.booleans(), st.floats(-1000, 1000))
def test_r2_ignores_affine_maps_of_predictions(pair, scale, negate, shift):
    y, p = pair
    moved = (-scale if negate else scale) * p + shift
    assert r2(y, moved) == pytest.approx(r2(y, p), abs=1e-6)
    assert r2(p, y) == pytest.approx(r2(y, p), abs=1e-12)


@quick
@given(vectors(SMALL, min_size=3))
def test_cod_of_the_least_squares_fit_is_r2(pair):
    y, p = pair
    assume(np.ptp(p) > 0 and np.ptp(y) > 0)
    slope, intercept = np.polyfit(p, y, 1)
    m = metrics(y, slope * p + intercept, resamples=1)
    assert m["cod"] == pytest.approx(r2(y, p), abs=1e-6)


@quick
@given(vectors(st.integers(-5, 5).map(float), min_size=2))
def test_spearman_is_scipys_with_ties(pair):
    y, p = pair
    assume(np.ptp(y) > 0 and np.ptp(p) > 0)
    assert metrics(y, p, resamples=1)["spearman"] == pytest.approx(scipy.stats.spearmanr(y, p).statistic, abs=1e-12)


@quick
@given(vectors(FLOATS, min_size=2), st.randoms(use_true_random=False))
def test_order_of_genes_is_irrelevant(pair, random):
    y, p = pair
    rows = list(range(len(y)))
    random.shuffle(rows)
    a, b = metrics(y, p, resamples=1), metrics(y[rows], p[rows], resamples=1)
    for key in METRICS:
        assert b[key] == pytest.approx(a[key], rel=1e-6, abs=1e-6)


def test_perfect_predictions():
    y, _ = correlated(50)
    m = metrics(y, y, resamples=100)
    assert (m["r2"], m["pearson"], m["spearman"], m["cod"], m["mse"], m["mae"]) == pytest.approx((1, 1, 1, 1, 0, 0))
    assert m["r2_ci95"] == pytest.approx([1, 1])


@pytest.mark.parametrize("value", [0.0, 0.1, -1e6, 1e-30, 3e38])
def test_constant_predictions_correlate_with_nothing(value):
    y, _ = correlated(1001)
    m = metrics(y, np.full(1001, value), resamples=50)
    assert (m["r2"], m["pearson"], m["spearman"], m["r2_ci95"]) == (0.0, 0.0, 0.0, [0.0, 0.0])
    assert m["cod"] <= 0


def test_constant_labels():
    _, p = correlated(100)
    m = metrics(np.full(100, 0.1), p, resamples=50)
    assert (m["r2"], m["pearson"], m["spearman"], m["cod"], m["r2_ci95"]) == (0.0, 0.0, 0.0, 0.0, [0.0, 0.0])


def test_one_and_two_genes_leave_r2_unknown():
    one = metrics([1.0], [3.0])
    expected = {
        "n": 1,
        "r2": 0.0,
        "pearson": 0.0,
        "spearman": 0.0,
        "cod": 0.0,
        "mse": 4.0,
        "mae": 2.0,
        "rmse": 2.0,
        "r2_ci95": [0.0, 1.0],
    }
    assert {key: one[key] for key in expected} == expected
    two = metrics([0.0, 1.0], [1.0, 0.0])
    assert (two["r2"], two["pearson"], two["cod"], two["r2_ci95"]) == (1.0, -1.0, -3.0, [0.0, 1.0])


@pytest.mark.parametrize("n", [3, 4, 257])
def test_bootstrap_is_the_plain_resampling_loop(n):
    y, p = correlated(n, seed=5)
    rng = np.random.default_rng(7)
    plain = [plain_r(y[rows], p[rows]) for rows in (rng.integers(n, size=n) for _ in range(101))]
    z, half = np.arctanh(plain_r(y, p)), scipy.stats.t(n - 2).ppf(0.975) * np.std(np.arctanh(plain))
    ends = np.tanh([z - half, z + half])
    expected = [0.0 if ends[0] < 0 < ends[1] else min(ends**2), max(ends**2)]
    assert metrics(y, p, seed=7, resamples=101)["r2_ci95"] == pytest.approx(expected, abs=1e-6)
    assert metrics(y, -p, seed=7, resamples=101)["r2_ci95"] == pytest.approx(expected, abs=1e-6)


def plain_r(y, p):
    """The correlation; as near to 1 as the artanh of a double can be."""
    if np.ptp(y) == 0 or np.ptp(p) == 0:
        return 0.0
    return np.clip(np.corrcoef(y, p)[0, 1], -1 + 1e-15, 1 - 1e-15)


def test_predictions_without_any_relation_have_an_interval_from_zero():
    """Nineteen of twenty, that is: percentiles of r2, which is never negative, would exclude 0 each time."""
    rng = np.random.default_rng(2)
    lows = [metrics(*rng.standard_normal((2, 60)), seed=seed, resamples=200)["r2_ci95"][0] for seed in range(100)]
    assert 0.88 <= np.mean(np.equal(lows, 0)) < 1


def test_bootstrap_of_badly_scaled_values():
    y, p = correlated(200)
    expected = metrics(y, p, resamples=100)["r2_ci95"]
    assert metrics(1e8 + y, 1e-20 * p, resamples=100)["r2_ci95"] == pytest.approx(expected, abs=1e-5)


def test_interval_covers_the_true_r2():
    rng = np.random.default_rng(1)
    covered = 0
    for seed in range(150):
        y = rng.standard_normal(200)
        low, high = metrics(y, y + rng.standard_normal(200), seed=seed, resamples=200)["r2_ci95"]
        covered += low <= 0.5 <= high
    assert 0.88 * 150 <= covered < 150


def test_seed_decides_the_interval():
    y, p = correlated(100)
    first, again, other = (metrics(y, p, seed=s, resamples=100)["r2_ci95"] for s in (0, 0, 1))
    assert first == again != other


def test_memory_does_not_grow_with_resamples():
    y, p = correlated(18_000)
    tracemalloc.start()
    try:
        metrics(y, p, resamples=100)
        assert tracemalloc.get_traced_memory()[1] < 20 * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("function", [metrics, r2, is_collapsed])
class TestRejects:
    def test_nan_with_its_count(self, function):
        values = [np.nan, 1.0, np.nan, np.inf]
        with pytest.raises(ValueError, match=r"3 of 4 \w+ are not finite \(2 NaN\)"):
            function(np.arange(4.0), values)

    def test_column_vector(self, function):
        with pytest.raises(ValueError, match=r"shape \(3, 1\)"):
            function(np.zeros(3), np.zeros((3, 1)))

    def test_unequal_lengths(self, function):
        with pytest.raises(ValueError, match=r"3 labels but 4 predictions|4 labels but 3 predictions"):
            function(np.zeros(3), np.zeros(4))

    def test_no_genes(self, function):
        with pytest.raises(ValueError, match=r"shape \(0,\)"):
            function([], [])


def test_message_names_the_bad_side():
    with pytest.raises(ValueError, match="1 of 2 predictions"):
        metrics([0, 1], [np.nan, 1])
    with pytest.raises(ValueError, match="1 of 2 labels"):
        metrics([np.nan, 1], [0, 1])


def test_no_resamples():
    with pytest.raises(ValueError, match="at least 1"):
        metrics([0, 1, 2], [0, 1, 2], resamples=0)


@pytest.mark.parametrize("centre", [0.0, 0.3, -1e4])
def test_constant_with_float32_noise_is_collapsed(centre):
    y, noise = correlated(1000)
    constant = np.full(1000, centre, np.float32)
    assert is_collapsed(constant, y)
    ulp = np.spacing(np.abs(constant))
    assert is_collapsed(constant + ulp * np.sign(noise).astype(np.float32), y)


def test_weak_predictions_are_not_collapsed():
    y, p = correlated(1000)
    assert not is_collapsed(p, y)
    assert not is_collapsed(1e-3 * p, y)
    assert not is_collapsed(1e-3 * p + 5, y)
    assert is_collapsed(1e-5 * p, y)


@quick
@given(st.sampled_from([1e-6, 1.0, 1e6]), st.sampled_from([1e-7, 1e-2]))
def test_collapse_does_not_depend_on_units(unit, spread):
    y, p = correlated(100)
    assert is_collapsed(unit * spread * p, unit * y) == (spread < 1e-4)


def test_one_gene_cannot_collapse():
    assert not is_collapsed([0.0], [1.0])
    assert is_collapsed([0.0, 0.0], [1.0, 2.0])


# --- several labels ---


def several(n=60, labels=3, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.standard_normal((n, labels))
    return y, 0.6 * y + 0.4 * rng.standard_normal((n, labels))


@given(
    st.integers(1, 4),
    st.integers(0, 2**32 - 1).flatmap(lambda seed: st.tuples(st.just(seed), st.floats(0, 0.6))),
)
def test_each_label_has_the_metrics_of_the_genes_that_have_it(number, drawn):
    seed, share = drawn
    y, p = several(labels=number, seed=seed)
    missing = np.random.default_rng(seed).random(y.shape) < share
    missing[:3] = False
    y[missing] = np.nan
    names = [f"label {n}" for n in range(number)]
    found = label_metrics(y, p, names, seed=1, resamples=50)
    each = [metrics(y[~missing[:, n], n], p[~missing[:, n], n], seed=1, resamples=50) for n in range(number)]
    if number == 1:
        assert found == each[0]
        return
    of_labels = found.pop("labels")
    assert list(of_labels) == names
    for own, alone, some in zip(of_labels.values(), each, missing.T, strict=True):
        assert list(own) == list(alone)
        differ = {key for key in own if own[key] != alone[key]}
        assert differ <= ({"r2_ci95"} if some.any() else set())
    assert list(found) == list(each[0])
    assert found["n"] == 60
    for name in METRICS:
        assert found[name] == pytest.approx(np.mean([one[name] for one in each]))
    assert mean_r2(y, p) == pytest.approx(found["r2"])


def test_the_interval_of_the_mean_is_that_of_resampled_genes():
    """Against a plain loop that draws genes with all their labels."""
    y, p = several()
    y[:20, 1] = np.nan
    rng, roots = np.random.default_rng(5), []
    for _ in range(200):
        rows = rng.integers(len(y), size=len(y))
        each = []
        for n in range(3):
            known = rows[~np.isnan(y[rows, n])]
            each.append(np.corrcoef(y[known, n], p[known, n])[0, 1] ** 2)
        roots.append(np.arctanh(np.mean(each) ** 0.5))
    found = label_metrics(y, p, "abc", seed=5, resamples=200)
    z, half = np.arctanh(found["r2"] ** 0.5), scipy.stats.t(len(y) - 20 - 2).ppf(0.975) * np.std(roots)
    assert found["r2_ci95"] == pytest.approx(np.tanh([z - half, z + half]) ** 2)


def test_the_interval_of_a_label_with_missing_values_is_from_the_resamples_of_all_genes(monkeypatch):
    """Against a plain loop; the genes are resampled once for all labels."""
    y, p = several(400)
    y[:80, 1] = np.nan
    rng, z = np.random.default_rng(5), []
    for _ in range(200):
        rows = rng.integers(len(y), size=len(y))
        known = rows[~np.isnan(y[rows, 1])]
        z.append(np.arctanh(np.corrcoef(y[known, 1], p[known, 1])[0, 1]))
    calls, draw = [], np.random.default_rng
    monkeypatch.setattr(np.random, "default_rng", lambda seed: calls.append(seed) or draw(seed))
    found = label_metrics(y, p, "abc", seed=5, resamples=200)["labels"]["b"]
    z_all, half = np.arctanh(found["pearson"]), scipy.stats.t(320 - 2).ppf(0.975) * np.std(z)
    assert found["r2_ci95"] == pytest.approx(np.tanh([z_all - half, z_all + half]) ** 2)
    assert calls == [5]


def test_many_labels_are_resampled_in_groups_with_the_same_result(monkeypatch):
    y, p = several(3000, labels=40)
    y[::7, ::3] = np.nan
    names = [str(n) for n in range(40)]
    peaks, found = [], []
    for most in (y.size, 2 * len(y)):
        monkeypatch.setattr("genexp.evaluation.metrics._MOST_VALUES", most)
        tracemalloc.start()
        found.append(label_metrics(y, p, names, resamples=20))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert found[0] == found[1]
    assert peaks[0] - peaks[1] > 38 / 40 * y.size * 40


def test_a_label_of_few_genes_leaves_the_interval_open():
    y, p = several()
    y[2:, 1] = np.nan
    assert label_metrics(y, p, "abc", resamples=20)["r2_ci95"] == [0, 1]


def test_rare_labels_that_a_resample_misses_count_as_zero():
    y, p = several(n=200)
    y[4:, 1] = np.nan
    low, high = label_metrics(y, p, "abc", resamples=300)["r2_ci95"]
    assert 0 <= low < high <= 1


def test_labels_and_predictions_of_other_shapes_are_refused():
    y, p = several()
    for bad in (p[:, :2], p[:-1], p[:, 0]):
        with pytest.raises(ValueError, match="labels of shape"):
            label_metrics(y, bad, "abc")
    p[0, 0] = np.nan
    with pytest.raises(ValueError, match="1 of 60 predictions"):
        label_metrics(y, p, "abc")


def test_collapse_is_a_question_for_each_label():
    y, p = several()
    y[:20, 1] = np.nan
    p[:, 2] = 0.1
    p[20:, 1] = 0.3  # differs only where the label is missing
    assert collapsed_labels(y, p) == [False, True, True]


# --- predictions that many genes share ---


@given(st.integers(1, 300), st.integers(0, 300), st.integers(0, 9))
def test_shares_are_those_of_the_genes_at_one_value(varied, same, seed):
    rng = np.random.default_rng(seed)
    y, p = rng.normal(size=varied + same), np.concatenate([np.linspace(-1, 1, varied), np.full(same, 0.0301)])
    order = rng.permutation(len(p))
    found = shares(p[order], y)
    assert found["common_share"] == pytest.approx(max(1, same) / len(p), abs=1.01 / len(p))
    assert shares(np.where(p == 0.0301, 7, p), y)["ceiling_share"] == pytest.approx(max(1, same) / len(p))


@given(st.integers(0, 99), st.floats(1e-3, 1e3), st.floats(-10, 10))
def test_shares_do_not_depend_on_the_unit(seed, unit, shift):
    rng = np.random.default_rng(seed)
    y, p = rng.normal(size=50), np.round(rng.normal(size=50), 1)
    assert shares(unit * (p + shift), unit * y) == shares(p, y)


@pytest.mark.parametrize(
    ("same", "number", "nearly", "said"),
    [
        (418, 423, True, "nearly collapsed"),
        (195, 200, True, "nearly collapsed"),
        (180, 200, True, "nearly collapsed"),
        (30, 423, False, "a ceiling"),
        (2, 30, False, None),
        (1, 200, False, None),
    ],
)
def test_a_network_that_is_nearly_dead_is_noticed(same, number, nearly, said):
    rng = np.random.default_rng(0)
    y, p = rng.normal(size=number), rng.normal(size=number)
    p[:same] = p.max() + 1 if said == "a ceiling" else 0.3
    assert is_nearly_constant(p, y) == nearly
    found = tied(p, y)
    assert found is None if said is None else found[0].startswith(said)
    assert said is None or found[1] == pytest.approx(same / number)


def test_a_floor_is_told_from_a_tenth_of_the_genes_on():
    rng = np.random.default_rng(0)
    y, p = rng.normal(size=400), rng.normal(size=400)
    assert tied(np.where(np.arange(400) < 30, -9, p), y) is None
    assert tied(np.where(np.arange(400) < 60, -9, p), y) == ("partly collapsed: one value is predicted for", 0.15)
