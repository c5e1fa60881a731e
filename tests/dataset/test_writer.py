from dataclasses import replace

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from published_sets import SIZES, look, make_split

from genexp.blocks import HALFLIFE_FEATURES
from genexp.dataset import writer
from genexp.dataset.description import DatasetDescription
from genexp.dataset.genes import Dataset, Split
from genexp.dataset.sources import load
from genexp.dataset.writer import write_dataset
from genexp.errors import UserError


def make_dataset(blocks="PHTM", *, window=(0, 40), tss=20, vectors=False, **sizes):
    splits, widths = {}, {}
    for name in SIZES:
        genes = make_split(name, **sizes)
        tokens = genes["tokens"][:, slice(*window)]
        values = {
            "P": np.random.default_rng(0).normal(size=(len(tokens), 6, 5)).astype("f4") if vectors else tokens,
            "H": genes["halflife"].astype(np.float32),
            "T": genes["tf"].astype(np.uint8),
            "M": genes["mirna"].astype(np.float32) / 2,
        }
        names = genes["gene"].astype(str)
        splits[name] = Split(names, genes["label"].astype(np.float32)[:, None], {b: values[b] for b in blocks})
        widths = {b: values[b].shape[1] for b in blocks if b != "P"}
    kind = "embedded" if vectors else "bases"
    columns = {"H": HALFLIFE_FEATURES, "T": ("CTCF", "MYC", "β-TF")}
    info = DatasetDescription(
        source="somewhere",
        layout="xpresso",
        genes=SIZES,
        promoter=kind if "P" in blocks else None,
        promoter_length=6 if vectors else 40,
        tss=None if vectors else tss,
        widths=widths,
        feature_names={block: columns[block] for block in widths if block in columns},
        window=None if vectors or "P" not in blocks else window,
    )
    return Dataset(info, splits)


def assert_equal(found, dataset):
    for name, split in dataset.splits.items():
        assert found.splits[name].genes.tolist() == split.genes.tolist()
        np.testing.assert_array_equal(found.splits[name].labels, split.labels)
        for block, values in split.blocks.items():
            np.testing.assert_array_equal(found.splits[name].blocks[block], values)
            assert found.splits[name].blocks[block].dtype == values.dtype
    assert found.fingerprint() == dataset.fingerprint()


@settings(max_examples=25)
@given(
    st.sampled_from(["P", "H", "T", "PH", "PHT", "PHTM", "HTM"]),
    st.tuples(st.integers(0, 19), st.integers(20, 40)),
    st.booleans(),
)
def test_what_was_written_is_read_again(tmp_path_factory, blocks, window, vectors):
    dataset = make_dataset(blocks, window=window, vectors=vectors)
    root = tmp_path_factory.mktemp("written")
    write_dataset(root, dataset, source="tests")
    fileset = look(root, need=blocks)
    assert (fileset.description.layout, fileset.description.blocks) == ("genexp", blocks)
    assert dict(fileset.description.feature_names) == dict(dataset.description.feature_names)
    if "P" in blocks and not vectors:
        assert fileset.description.promoter_length == window[1] - window[0]
        assert fileset.description.tss == 20 - window[0]
    assert_equal(load(fileset, blocks, None), dataset)


def test_attributes_travel_with_the_files(tmp_path):
    scaling = {"label": {"mean": np.float32(0.5), "deviation": np.arange(2)}}
    write_dataset(tmp_path, make_dataset(), source="yeast.fa + yeast.gtf", scaling=scaling)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["test.h5", "train.h5", "valid.h5"]
    fileset = look(tmp_path)
    assert fileset.description.made_from == "yeast.fa + yeast.gtf"
    assert fileset.description.scaling == {"label": {"mean": 0.5, "deviation": [0, 1]}}
    assert str(fileset.description).startswith(
        f"genexp layout in {tmp_path}: 12 / 5 / 4 genes, promoter 40 nt (TSS at 20)"
    )
    assert look(write_without_scaling(tmp_path)).description.scaling is None


def write_without_scaling(root):
    write_dataset(root, make_dataset(), source="tests")
    return root


def test_folds(tmp_path):
    for fold in (1, 2):
        write_dataset(tmp_path, make_dataset(seed=fold), source="tests", fold=fold)
    assert look(tmp_path, fold=2).arrays["test"]["P"].path.name == "2test.h5"


def test_bases_are_chunked_and_compressed(tmp_path):
    write_dataset(tmp_path, make_dataset("P", n=100, length=9000, window=(0, 9000)), source="tests")
    with h5py.File(tmp_path / "train.h5") as file:
        array = file["promoter"]
        assert (array.dtype, array.shape, array.chunks) == (np.dtype("u1"), (100, 9000), writer.TOKEN_CHUNK)
        assert array.compression == "gzip"
        assert array.id.get_storage_size() < array.size / 2


def test_many_column_names_fit(tmp_path):
    dataset = make_dataset("T", tf=9000)
    names = tuple(f"a rather long name of a column {i}" for i in range(9000))
    dataset = replace(dataset, description=dataset.description.model_copy(update={"feature_names": {"T": names}}))
    write_dataset(tmp_path, dataset, source="tests")
    assert look(tmp_path).description.feature_names["T"] == names


def set_attribute(root, name, value, split="test"):
    with h5py.File(root / f"{split}.h5", "a") as file:
        file.attrs[name] = value


@pytest.mark.parametrize(
    ("name", "value", "parts"),
    [
        ("tss", 21, ["disagree: TSS index", "expected: 20", "received: 21"]),
        ("tss", "middle", ["attributes of a file are damaged"]),
        ("feature_names", "{", ["attributes of a file are damaged"]),
        ("genexp_layout", 2, ["newer layout", "update genexp"]),
        (
            "feature_names",
            '{"T": ["CTCF", "MYC2", "β-TF"]}',
            ["column 1 of tf", "expected: MYC", "received: MYC2"],
        ),
        (
            "feature_names",
            '{"T": ["MYC", "CTCF", "β-TF"]}',
            ["column 0 of tf", "expected: CTCF", "received: MYC"],
        ),
        ("feature_names", '{"T": ["CTCF", "MYC"]}', ["names 2 columns of block T", "expected: 3 names"]),
        ("feature_names", "{}", ["column 0 of tf", "expected: CTCF", "received: missing"]),
    ],
)
def test_attributes_that_do_not_fit(tmp_path, name, value, parts):
    write_dataset(tmp_path, make_dataset("PT"), source="tests")
    set_attribute(tmp_path, name, value)
    with pytest.raises(UserError) as caught:
        look(tmp_path)
    message = str(caught.value)
    assert all(part in message for part in parts), message
    assert f"{tmp_path / 'test.h5'}" in message


def test_names_that_are_not_as_many_as_columns(tmp_path):
    write_dataset(tmp_path, make_dataset("T"), source="tests")
    for split in SIZES:
        set_attribute(tmp_path, "feature_names", '{"T": ["A", "B"]}', split)
    with pytest.raises(UserError, match="names 2 columns of block T"):
        look(tmp_path)


def test_a_tss_that_is_not_the_files_own(tmp_path):
    write_dataset(tmp_path, make_dataset("P"), source="tests")
    assert look(tmp_path, tss=20).description.tss == 20
    with pytest.raises(UserError, match=r"leave dataset\.tss out"):
        look(tmp_path, tss=19)
