import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from genexp.blocks import HALFLIFE_FEATURES
from genexp.errors import UserError
from genexp.prepare import recipe


@settings(max_examples=50, deadline=None)
@given(arrays(np.float64, (7, 8), elements=st.floats(0, 1e5)), arrays(np.float64, (7,), elements=st.floats(0, 1e5)))
def test_what_the_record_says_turns_everything_back(halflife, expression):
    halflife = np.where(recipe.LOGGED, halflife, halflife / 1e5)
    label, logged = recipe.log_label(expression, "raw")[:, None], recipe.log_halflife(halflife)
    label_scaler, scaler = recipe.fit(label), recipe.fit(logged)
    record = recipe.scaling_record("honest", "raw", label_scaler, scaler)

    def back(values, how):
        plain = values.astype(float) * how["sd"] + how["mean"]
        return plain if how["log10_offset"] is None else 10**plain - how["log10_offset"]

    np.testing.assert_allclose(back(label_scaler.apply(label)[:, 0], record["label"]), expression, rtol=1e-4, atol=1e-4)
    for n, name in enumerate(HALFLIFE_FEATURES):
        values = back(scaler.apply(logged)[:, n], record["halflife"][name])
        np.testing.assert_allclose(values, halflife[:, n], rtol=1e-4, atol=1e-4)


def test_lengths_and_density_are_logged_and_gc_is_not():
    logged = dict(zip(HALFLIFE_FEATURES, recipe.LOGGED, strict=True))
    assert [name for name in logged if not logged[name]] == ["UTR5GC", "CDSGC", "UTR3GC"]


def test_population_deviation_and_constant_columns():
    scaler = recipe.fit(np.array([[1.0, 5.0], [3.0, 5.0]]))
    assert (scaler.mean.tolist(), scaler.sd.tolist()) == ([2, 5], [1, 1])
    assert scaler.apply(np.array([[1.0, 5.0]])).tolist() == [[-1, 0]]


def test_logarithms_are_taken_as_they_are():
    assert recipe.log_label(np.array([-1.0, 2.0]), "log10").tolist() == [-1, 2]
    assert recipe.scaling_record("honest", "log10", recipe.fit(np.ones((2, 1))), None)["label"]["log10_offset"] is None


def test_svd_is_fitted_on_the_training_rows():
    rng = np.random.default_rng(0)
    matrix = (rng.random((60, 20)) < 0.3).astype(np.uint8)
    train = np.arange(40)
    scores, directions, kept = recipe.truncated_svd(matrix, train, 5)
    _, singular, vectors = np.linalg.svd(matrix[train].astype(float), full_matrices=False)
    np.testing.assert_allclose(np.abs(directions @ vectors[:5].T), np.eye(5), atol=1e-8)
    np.testing.assert_allclose(scores, matrix @ directions.T, atol=1e-5)
    assert kept == pytest.approx((singular[:5] ** 2).sum() / (singular**2).sum())
    assert recipe.truncated_svd(matrix, train, 99)[0].shape == (60, 20)


@pytest.mark.parametrize(("components", "width"), [(12, 40), (12, 20), (12, 10)])
def test_svd_has_no_more_components_than_the_training_rows_have(components, width):
    rng = np.random.default_rng(0)
    matrix = rng.random((60, 4)) @ rng.random((4, width))
    scores, directions, kept = recipe.truncated_svd(matrix, np.arange(40), components)
    assert (scores.shape, directions.shape) == ((60, 4), (4, width))
    assert kept == pytest.approx(1)
    few = recipe.truncated_svd(rng.random((60, width)), np.arange(3), components)
    assert few[0].shape == (60, 3)


def test_svd_of_nothing():
    with pytest.raises(UserError, match="no training gene is a target"):
        recipe.truncated_svd(np.zeros((9, 5), np.uint8), np.arange(4), 2)


def test_a_missing_label_does_not_count():
    labels = np.array([[1.0, np.nan], [3.0, 5.0], [np.nan, 9.0], [8.0, 7.0]])
    scaler = recipe.fit(labels)
    np.testing.assert_allclose(scaler.mean, np.nanmean(labels, axis=0))
    np.testing.assert_allclose(scaler.sd, np.nanstd(labels, axis=0))
    assert np.isnan(scaler.apply(labels)).tolist() == np.isnan(labels).tolist()


def test_several_labels_have_a_group_each():
    scaler = recipe.fit(np.array([[1.0, 2.0], [3.0, 6.0]]))
    record = recipe.scaling_record("honest", "raw", scaler, labels=("liver", "brain"), pseudocount=1)
    assert "label" not in record
    assert record["labels"]["brain"] == {"log10_offset": 1, "mean": 4, "sd": 2}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("TPM", "raw"), "log10(TPM + 0.1), standardised"),
        (("counts", "raw", 1.0), "log10(counts + 1), standardised"),
        ((None, "raw"), "log10(expression + 0.1), standardised"),
        (("TPM", "log2"), "log2 TPM, standardised"),
        (("TPM", "log2", 1.0), "log2(TPM + 1), standardised"),
        ((None, "ln"), "ln expression, standardised"),
        (("activity", None), "activity, standardised"),
    ],
)
def test_the_unit_in_words(arguments, text):
    assert recipe.unit_text(*arguments) == text


def test_another_pseudocount():
    assert recipe.log_label(np.array([0.0, 9.0]), "raw", 1).tolist() == [0, 1]
