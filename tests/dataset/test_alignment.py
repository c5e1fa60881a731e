"""The columns of a dataset are matched with a run by name, and its values brought to the scale of the run."""

import json

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from published_sets import SIZES, look, write_tf

from genexp.dataset.alignment import align, match_columns
from genexp.dataset.description import DatasetDescription
from genexp.dataset.scaling import Conversion, Scale, scales_of
from genexp.dataset.sources import load
from genexp.errors import UserError

LABEL = {"log10_offset": 0.1, "mean": 0.5, "sd": 2.0}
HALFLIFE = {f"h{n}": {"log10_offset": 0.1 if n % 2 else None, "mean": float(n), "sd": n + 0.5} for n in range(8)}


def written(root, names, *, scaling=None, order=None, unit=None):
    """Write a TF set whose files name the columns of T (and H, when scaled), in another order if asked."""

    def change(split, arrays):
        arrays["tf"] = arrays["tf"] if order is None else arrays["tf"][:, order]

    write_tf(root, change=change, tf=max(3, len(names) if order is None else 3))
    for path in root.glob("*.h5"):
        with h5py.File(path, "a") as file:
            every = {"T": names, "H": list(HALFLIFE)}
            told = {
                "genexp_layout": 1,
                "feature_names": json.dumps(every),
                "scaling": json.dumps(scaling),
                "unit": unit,
            }
            file.attrs.update({name: value for name, value in told.items() if value is not None})
    for path, name in zip(sorted(root.glob("*.h5")), ("test.h5", "train.h5", "valid.h5"), strict=True):
        path.rename(root / name)
    return look(root, "HT")


def run_on(**changes):
    known = {"T": ("a", "b", "c"), "H": tuple(HALFLIFE)}
    made = {"source": "the run", "layout": "genexp", "genes": SIZES, "widths": {"T": 3, "H": 8}, "feature_names": known}
    return DatasetDescription(**{**made, **changes})


def test_columns_in_another_order_are_put_into_that_of_the_run(tmp_path):
    same = load(align(run_on(), written(tmp_path / "a", ["a", "b", "c"]), "HT", "hint"), "HT", None)
    source = align(run_on(), written(tmp_path / "b", ["c", "a", "b"], order=[2, 0, 1]), "HT", "hint")
    assert source.notes == ("the 3 transcription factors are put into the order of the run",)
    assert source.description.feature_names["T"] == ("a", "b", "c")
    assert load(source, "HT", None).record().fingerprint == same.record().fingerprint


def test_columns_that_the_run_does_not_know_are_left_out(tmp_path):
    source = align(run_on(), written(tmp_path, ["a", "x", "b", "y", "c"]), "T", "hint")
    dataset = load(source, "T", None)
    assert dataset.splits["train"].blocks["T"].shape == (12, 3)
    assert dataset.record().widths == {"T": 3}
    assert source.notes == ("2 transcription factors that the run does not know are left out: x, y",)


def test_a_value_of_a_column_that_is_left_out_does_not_matter(tmp_path):
    source = written(tmp_path, ["a", "x", "b", "c"])
    with h5py.File(tmp_path / "train.h5", "a") as file:
        values = file["tf"][()].astype(float)
        values[:, 1] = np.nan
        del file["tf"]
        file["tf"] = values
    source = align(run_on(), look(tmp_path, "T"), "T", "hint")
    assert load(source, "T", None).splits["train"].blocks["T"].dtype == np.uint8


def test_columns_that_are_missing_are_named(tmp_path):
    with pytest.raises(UserError, match="1 of the 3 transcription factors of the run are missing") as caught:
        align(run_on(), written(tmp_path, ["a", "bb", "c", "d"]), "T", "use another")
    assert "expected: b\n" in str(caught.value)
    assert "did you mean 'bb'? use another" in str(caught.value)


def test_names_that_are_there_twice_cannot_be_matched():
    with pytest.raises(UserError, match="same name") as caught:
        match_columns("T", ["a", "b"], 2, ["b", "a", "a"], "here", "hint")
    assert "received: a" in str(caught.value)
    assert match_columns("T", ["a", "a"], 2, ["a", "a"], "here", "hint").order == (0, 1)


@pytest.mark.parametrize(("wanted", "found", "side"), [(None, ["x", "y"], "the run"), (["a", "b"], 2, "the dataset")])
def test_without_names_on_one_side_the_width_is_compared(wanted, found, side):
    matched = match_columns("M", wanted, 2, found, "here", "hint")
    assert matched.note == f"{side} does not name its microRNA targets: only their number, 2, is compared"
    with pytest.raises(UserError, match="cannot read this dataset"):
        match_columns("M", wanted, 3, found, "here", "hint")


def test_the_own_dataset_of_a_run_without_names_needs_no_words(tmp_path):
    write_tf(tmp_path)
    source = look(tmp_path, "T")
    nameless = run_on(feature_names={})
    assert align(nameless, source, "T", "hint", own=True).notes == ()
    assert "does not name" in align(nameless, source, "T", "hint").notes[0]


@given(st.permutations(list("abcdefgh")), st.sets(st.sampled_from("uvwxyz")), st.randoms())
def test_matched_columns_are_those_of_the_run(wanted, others, random):
    found = [*wanted, *others]
    random.shuffle(found)
    matched = match_columns("T", wanted, len(wanted), found, "here", "hint")
    assert [found[place] for place in matched.order] == list(wanted)
    assert ("left out" in matched.note) == bool(others)
    assert bool(matched.note) == (found != list(wanted))


# --- scales ---

scales = st.builds(
    Scale,
    log10_offset=st.sampled_from([0.01, 0.1, 1.0]),
    mean=st.floats(-2, 2),
    sd=st.floats(0.1, 3),
)


@given(scales, scales, st.lists(st.floats(0, 1e4), min_size=1, max_size=9))
def test_a_converted_value_is_the_raw_value_in_the_scale_of_the_run(theirs, ours, raw):
    raw = np.array(raw)
    found = Conversion(theirs, ours)(theirs.of_raw(raw))
    # float32 of the dataset, blown up where the offset is small beside the value that was added to it.
    np.testing.assert_allclose(found, ours.of_raw(raw), atol=3e-3 / ours.sd)
    assert found.dtype == np.float32


def test_a_value_in_the_same_scale_keeps_its_digits():
    values = np.array([0.1, -3.3], np.float32)
    scale = Scale(**LABEL)
    assert Conversion(scale, Scale(**{**LABEL, "sd": 2.0 * (1 + 1e-12)}))(values) is values


def test_labels_and_features_are_converted(tmp_path):
    theirs = {"label": LABEL, "halflife": HALFLIFE}
    shifted = {name: {**each, "mean": each["mean"] + 1} for name, each in HALFLIFE.items()}
    ours = {"label": {"log10_offset": 0.1, "mean": 0.0, "sd": 1.0}, "halflife": shifted}
    source = written(tmp_path, ["a", "b", "c"], scaling=theirs)
    plain, aligned = load(source, "HT", None), align(run_on(scaling=ours), source, "HT", "hint")
    found = load(aligned, "HT", None)
    assert aligned.notes == (
        "converted from the scale of the dataset to the scale of the run: labels, half-life features",
    )
    assert aligned.warnings == source.warnings
    raw = plain.splits["valid"].labels.astype(float) * 2 + 0.5
    np.testing.assert_allclose(found.splits["valid"].labels, raw, rtol=1e-6)
    sd = [each["sd"] for each in HALFLIFE.values()]
    np.testing.assert_allclose(
        found.splits["test"].blocks["H"], plain.splits["test"].blocks["H"] - 1 / np.array(sd), rtol=1e-5, atol=1e-6
    )
    assert scales_of(found.description, "H", list(HALFLIFE)) == scales_of(run_on(scaling=ours), "H", list(HALFLIFE))
    assert align(found.description, aligned, "HT", "hint").notes == aligned.notes  # nothing more to do


@pytest.mark.parametrize(
    ("theirs", "ours", "said"),
    [
        ({"label": LABEL}, None, "how the run scaled its labels is not recorded"),
        (None, {"label": LABEL}, "how this dataset scaled its labels is not recorded"),
        ({"label": {**LABEL, "sd": 0}}, {"label": LABEL}, "how this dataset scaled its labels"),
        ({"label": 3}, {"label": LABEL}, "how this dataset scaled its labels"),
        ({"label": {**LABEL, "log10_offset": None}}, {"label": LABEL}, "the labels of this dataset have another unit"),
    ],
)
def test_a_scale_that_is_not_known_is_warned_about(tmp_path, theirs, ours, said):
    source = written(tmp_path, ["a", "b", "c"], scaling=theirs)
    aligned = align(run_on(scaling=ours), source, "HT", "hint")
    assert [said in warning for warning in aligned.warnings[len(source.warnings) :]] == [True]
    assert aligned.conversions == {}
    assert align(run_on(scaling=ours), source, "HT", "hint", own=True).warnings == source.warnings


@pytest.mark.parametrize(
    ("theirs", "ours", "converted"),
    [
        ("log10(TPM + 0.1), standardised", "log10(TPM + 1), standardised", True),
        ("log10(expression + 0.1), standardised", "log10(TPM + 1), standardised", True),
        ("log10(counts + 0.1), standardised", "log10(TPM + 0.1), standardised", False),
        ("log2 TPM, standardised", "log10 TPM, standardised", False),
        (None, "log10 TPM, standardised", True),
    ],
)
def test_labels_of_another_unit_are_not_converted(tmp_path, theirs, ours, converted):
    source = written(tmp_path, ["a", "b", "c"], scaling={"label": LABEL}, unit=theirs)
    run = run_on(scaling={"label": {**LABEL, "mean": 9.0}}, unit=ours)
    aligned = align(run, source, "T", "hint")
    assert ("label" in aligned.conversions) == converted
    assert any("another unit" in warning for warning in aligned.warnings) == (not converted)


def test_several_labels_are_converted_by_name(tmp_path):
    each = {"liver": LABEL, "blood": {**LABEL, "mean": 3.0}}
    found = DatasetDescription(source="", layout="", genes={}, labels=("blood", "liver"), scaling={"labels": each})
    assert scales_of(found, "label", found.labels) == [Scale(**each["blood"]), Scale(**each["liver"])]
    assert scales_of(found, "label", ["kidney"]) is None
