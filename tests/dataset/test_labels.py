"""Several labels: in files of any layout, by name, with missing values, chosen, and matched with those of a run."""

import json
from dataclasses import replace

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from published_sets import SIZES, look, make_split, read, write_xpresso

from genexp.dataset.config import DataConfig
from genexp.dataset.description import DatasetDescription, Source, listed
from genexp.dataset.genes import Dataset, Split
from genexp.dataset.labels import choose, default_names, match
from genexp.dataset.sources import ignore, load
from genexp.dataset.writer import write_dataset, write_embedded
from genexp.errors import UserError
from genexp.features.kmer_vectors import random_vectors

NAN = np.nan


def made(labels=("liver", "brain"), *, unit="log10(TPM + 0.1), standardised", change=None):
    """Return a dataset on block H with random labels; `change(split, labels)` alters them."""
    splits = {}
    for name in SIZES:
        genes, rng = make_split(name), np.random.default_rng(len(name))
        values = rng.normal(size=(SIZES[name], len(labels))).astype(np.float32)
        if change:
            change(name, values)
        splits[name] = Split(genes["gene"].astype(str), values, {"H": genes["halflife"].astype(np.float32)})
    found = DatasetDescription(source="", layout="", genes=SIZES, widths={"H": 8}, labels=labels, unit=unit)
    return Dataset(found, splits)


def written(root, *args, **settings):
    dataset = made(*args, **settings)
    root.mkdir(exist_ok=True)
    write_dataset(root, dataset, source="tests")
    return dataset


def chosen(root, names):
    return load(choose(look(root), names), "H", None, ignore)


def message_of(function, *args):
    with pytest.raises(UserError) as caught:
        function(*args)
    return str(caught.value)


def test_names_unit_and_missing_values_travel_with_the_files(tmp_path):
    def change(split, labels):
        labels[0, 1] = labels[1, 0] = NAN

    dataset = written(tmp_path, ("liver, left", "brain"), change=change)
    found = read(tmp_path, "H")
    assert found.description.labels == ("liver, left", "brain")
    assert found.description.unit == dataset.description.unit
    assert "2 labels: liver, left, brain" in str(found)
    for name, split in dataset.splits.items():
        np.testing.assert_array_equal(found.splits[name].labels, split.labels)
        assert found.splits[name].labels.dtype == np.float32
    assert found.fingerprint() == dataset.fingerprint()
    assert replace(dataset, description=made(("a", "b")).description).fingerprint() != dataset.fingerprint()


def test_one_label_is_written_as_a_vector(tmp_path):
    written(tmp_path, ("liver",))
    with h5py.File(tmp_path / "train.h5") as file:
        assert file["label"].shape == (12,)
        assert json.loads(file.attrs["labels"]) == ["liver"]
    assert read(tmp_path, "H").splits["train"].labels.shape == (12, 1)


def test_a_label_without_a_name_has_no_attribute(tmp_path):
    written(tmp_path, default_names(1), unit=None)
    with h5py.File(tmp_path / "train.h5") as file:
        assert not {"labels", "unit"} & set(file.attrs)
    assert look(tmp_path).description.labels == ("label",)


def two_columns(split, arrays):
    arrays["label"] = np.stack([arrays["label"], -arrays["label"]], axis=1)


def test_the_labels_of_a_published_layout_are_numbered(tmp_path):
    write_xpresso(tmp_path, change=two_columns)
    found = read(tmp_path)
    assert found.description.layout == "xpresso"
    assert found.description.labels == ("label_1", "label_2")
    np.testing.assert_array_equal(found.splits["test"].labels[:, 0], -found.splits["test"].labels[:, 1])


@pytest.mark.parametrize("given_as", [json.dumps(["a", "b"]), ["a", "b"], np.array([b"a", b"b"])])
def test_an_attribute_names_them_in_any_layout(tmp_path, given_as):
    write_xpresso(tmp_path, change=two_columns)
    for name in SIZES:
        with h5py.File(tmp_path / f"{name}.h5", "a") as file:
            file.attrs["labels"] = given_as
            file.attrs["unit"] = "counts"
    found = look(tmp_path).description
    assert (found.layout, found.labels, found.unit) == ("xpresso", ("a", "b"), "counts")


@pytest.mark.parametrize(
    "given_as", ['["a"]', '["a", "a"]', '["a", 3]', '["a", ""]', '{"a": 1, "b": 2}', "a,b", '"ab"', 3, [1, 2], "null"]
)
def test_an_attribute_that_does_not_name_them(tmp_path, given_as):
    write_xpresso(tmp_path, change=two_columns)
    with h5py.File(tmp_path / "train.h5", "a") as file:
        file.attrs["labels"] = given_as
    message = message_of(look, tmp_path)
    assert "a JSON list of 2 different names" in message
    assert f"{tmp_path / 'train.h5'}, key 'label', attribute 'labels'" in message


@pytest.mark.parametrize(
    ("labels", "unit", "what"),
    [
        (("liver", "brain", "skin"), "TPM", "number of labels"),
        (("brain", "liver"), "TPM", "label 1"),
        (("liver", "brain"), "RPKM", "unit of the labels"),
        (("liver", "brain"), None, "unit of the labels"),
    ],
)
def test_splits_agree_on_them(tmp_path, labels, unit, what):
    written(tmp_path, unit="TPM")
    written(tmp_path / "other", labels, unit=unit)
    (tmp_path / "other" / "valid.h5").replace(tmp_path / "valid.h5")
    assert f"the splits 'train' and 'valid' disagree: {what}" in message_of(look, tmp_path)


def test_embedded_datasets_keep_their_labels(tmp_path):
    dataset = made()
    tokens = {name: make_split(name)["tokens"] for name in SIZES}
    splits = {name: replace(s, blocks={"P": tokens[name], **s.blocks}) for name, s in dataset.splits.items()}
    write_embedded(tmp_path, replace(dataset, splits=splits), random_vectors(2, 4, 0), 10)
    found = read(tmp_path, "PH")
    assert found.description.labels == ("liver", "brain")
    np.testing.assert_array_equal(found.splits["train"].labels, dataset.splits["train"].labels)


# --- values that are missing, infinite or constant ---


@pytest.mark.parametrize("split", SIZES)
def test_a_gene_without_any_label(tmp_path, split):
    def change(name, labels):
        if name == split:
            labels[2] = NAN

    written(tmp_path, change=change)
    message = message_of(read, tmp_path, "H")
    assert "1 gene has no label at all" in message
    assert f"row 2 (gene {split}gene2)" in message


def test_the_only_label_must_be_there(tmp_path):
    def change(split, labels):
        labels[1] = NAN

    written(tmp_path, ("liver",), change=change)
    assert "1 of 12 values is not finite" in message_of(read, tmp_path, "H")


def test_an_infinite_label_is_named(tmp_path):
    def change(split, labels):
        labels[3] = NAN, np.inf

    written(tmp_path, change=change)
    message = message_of(read, tmp_path, "H")
    assert "row 3 (gene traingene3), column brain" in message
    assert "received: inf" in message


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([1, NAN, NAN, NAN], "too few genes of the split 'test' have the label 'brain'"),
        ([NAN, NAN, NAN, NAN], "too few genes of the split 'test' have the label 'brain'"),
        ([1, 1, NAN, 1], "all labels 'brain' of the split 'test' are the same"),
    ],
)
def test_a_label_that_nothing_can_be_said_of(tmp_path, values, said):
    def change(split, labels):
        if split == "test":
            labels[:, 1] = values

    written(tmp_path, change=change)
    assert said in message_of(read, tmp_path, "H")
    assert chosen(tmp_path, ["liver"]).description.labels == ("liver",)


def test_labels_that_are_not_standardised_or_rare(tmp_path):
    def change(split, labels):
        labels[:, 0] = 7 + 3 * labels[:, 0]
        labels[:, 2] *= 9
        if split == "test":
            labels[:2, 1] = NAN

    written(tmp_path, ("a", "b", "c"), change=change)
    warnings = read(tmp_path, "H").warnings
    assert "Few genes with one of the labels (test 2): their r2 has no meaning." in warnings
    (sentence,) = [line for line in warnings if "training labels" in line]
    assert sentence.startswith("The 12 training labels 'a' have mean ")
    assert "(and 1 of the other labels differ likewise)" in sentence


# --- some of the labels ---


def test_labels_are_chosen_by_name_in_the_order_given(tmp_path):
    dataset = written(tmp_path, ("a", "b", "c"))
    found = chosen(tmp_path, ["c", "a"])
    assert found.description.labels == found.record().labels == ("c", "a")
    for name, split in dataset.splits.items():
        np.testing.assert_array_equal(found.splits[name].labels, split.labels[:, [2, 0]])
    assert chosen(tmp_path, None).fingerprint() == dataset.fingerprint()
    assert chosen(tmp_path, ["a", "b", "c"]).fingerprint() == dataset.fingerprint()
    again = choose(choose(look(tmp_path), ["c", "a"]), ["a"])
    assert again.label_columns == (0,)


def test_genes_without_the_chosen_labels_are_dropped_and_counted(tmp_path):
    def change(split, labels):
        labels[:2, 0] = NAN

    written(tmp_path, change=change)
    found = chosen(tmp_path, ["liver"])
    assert [len(split) for split in found.splits.values()] == [10, 3, 2]
    assert "Dropped 6 genes (train 2, valid 2, test 2) without a value of liver." in found.warnings
    assert not any("Dropped" in line for line in chosen(tmp_path, ["brain"]).warnings)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["lver"], "the dataset has no label 'lver'"),
        (["lver"], "did you mean 'liver'?"),
        (["lver"], "of liver, brain"),
        (["liver", "liver"], "the label 'liver' is there twice"),
    ],
)
def test_a_choice_that_is_impossible(tmp_path, names, said):
    written(tmp_path)
    assert said in message_of(chosen, tmp_path, names)


def test_names_in_the_config():
    def config(labels):
        return DataConfig.model_validate({"name": "H", "window": None, "labels": labels}).labels

    assert config("liver") == ["liver"]
    assert config(["liver", 24]) == ["liver", "24"]
    assert config(None) is None
    for bad in ([], [True], [["a"]]):
        with pytest.raises(ValueError, match="labels"):
            config(bad)


# --- matching with a run ---


def described(*labels):
    return DatasetDescription(source="there", layout="", genes={}, labels=labels)


def matched(ours, theirs):
    return match(described(*ours), Source(described(*theirs), None))


@pytest.mark.parametrize(
    ("ours", "theirs", "columns", "outputs"),
    [
        ("ab", "ab", (0, 1), (0, 1)),
        ("ab", "ba", (1, 0), (0, 1)),
        ("ab", "b", (0,), (1,)),
        ("b", "abc", (1,), (0,)),
        ("abc", "xcay", (2, 1), (0, 2)),
    ],
)
def test_labels_are_matched_by_name(ours, theirs, columns, outputs):
    found = matched(ours, theirs)
    assert found.source.description.labels == tuple(ours[n] for n in outputs)
    assert (found.source.label_columns, found.outputs) == (columns, outputs)
    assert not found.warnings


def test_what_is_left_out_is_said():
    first, second = matched("abc", "xcay").notes
    assert first == "the dataset has 2 of the 3 labels of the run: a, c"
    assert second == "labels of the dataset that the run does not predict are left out: x, y"
    assert not matched("ab", "ba").notes


@pytest.mark.parametrize(
    ("ours", "theirs", "warned"),
    [("a", "a", 0), ("a", "b", 1), (("label",), "b", 0), ("a", ("label",), 0), (("label",), ("label",), 0)],
)
def test_one_label_fits_one_label(ours, theirs, warned):
    found = matched(ours, theirs)
    assert found.outputs == (0,)
    assert found.source.label_columns is None
    assert len(found.warnings) == warned


@pytest.mark.parametrize(
    ("ours", "theirs"), [("ab", "cd"), ("ab", "c"), ("a", "cd"), (("label",), "ab"), ("ab", ("label",))]
)
def test_none_in_common_is_refused_with_the_names(ours, theirs):
    message = message_of(matched, ours, theirs)
    assert f"expected: {', '.join(ours)}" in message
    assert f"received: {', '.join(theirs)}" in message


@given(st.permutations("abcdef"), st.integers(1, 6), st.permutations("abcdefgh"), st.integers(2, 8))
def test_every_matched_label_gets_its_own_column(ours, some, theirs, others):
    ours, theirs = ours[:some], theirs[:others]
    common = [name for name in ours if name in theirs]
    if not common:
        assert "none of the labels" in message_of(matched, ours, theirs)
        return
    found = matched(ours, theirs)
    assert [ours[n] for n in found.outputs] == [theirs[n] for n in found.source.label_columns] == common


@given(arrays(bool, (12, 3)), st.lists(st.sampled_from("abc"), min_size=1, max_size=3, unique=True))
def test_reading_keeps_each_label_that_is_there(tmp_path_factory, missing, names):
    missing[:2], missing[missing.all(axis=1), 0] = False, False
    tmp_path = tmp_path_factory.mktemp("masks")

    def change(split, labels):
        if split == "train":
            labels[missing] = NAN

    dataset = written(tmp_path, ("a", "b", "c"), change=change)
    whole, columns = dataset.splits["train"], ["abc".index(name) for name in names]
    expected = whole.labels[:, columns]
    kept = ~np.isnan(expected).all(axis=1)
    found = chosen(tmp_path, names).splits["train"]
    np.testing.assert_array_equal(found.labels, expected[kept])
    assert found.genes.tolist() == whole.genes[kept].tolist()


def test_many_names_are_cut_in_a_sentence():
    assert listed("abc") == "a, b, c"
    assert listed([str(n) for n in range(10)]).endswith("6, 7 and 2 more")
