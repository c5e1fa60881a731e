import fcntl
import os
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from published_sets import (
    LENGTH,
    SIZES,
    look,
    make_split,
    write,
    write_embedded,
    write_tf,
    write_tokens,
    write_xpresso,
)

from genexp.blocks import HALFLIFE_FEATURES
from genexp.dataset.layouts import LAYOUTS, SPLIT_NAMES, find_sets
from genexp.errors import UserError


def error_of(root, **settings):
    """Return the message of the UserError that looking at a folder raises."""
    with pytest.raises(UserError) as caught:
        look(root, **settings)
    message = str(caught.value)
    assert "hint: " in message
    return message


def test_xpresso(tmp_path):
    write_xpresso(tmp_path)
    info = look(tmp_path).description
    assert info.source == str(tmp_path)
    assert (info.layout, info.blocks, dict(info.genes)) == ("xpresso", "PH", SIZES)
    assert (info.promoter, info.promoter_length, info.tss) == ("bases", LENGTH, LENGTH // 2)
    assert dict(info.widths) == {"H": 8}
    assert info.feature_names["H"] == HALFLIFE_FEATURES


def test_a_folder_is_described_in_one_line(tmp_path):
    write_xpresso(tmp_path, length=2000)
    assert str(look(tmp_path).description) == (
        f"xpresso layout in {tmp_path}: 12 / 5 / 4 genes, promoter 2,000 nt (TSS at 1,000), blocks P H(8)"
    )


def test_half_life_columns_get_names_only_if_there_are_eight(tmp_path):
    write_xpresso(tmp_path, change=lambda _, arrays: arrays.update(data=arrays["data"][:, :7]))
    info = look(tmp_path).description
    assert dict(info.widths) == {"H": 7}
    assert info.feature_names == {}


@pytest.mark.parametrize(
    ("mirna", "names", "layout", "blocks"),
    [
        (False, ("train_tf", "validation_tf", "test_tf"), "xpresso_tf", "PHT"),
        (False, ("train", "valid", "test"), "xpresso_tf", "PHT"),
        (True, ("microRNA_train", "microRNA_val", "microRNA_test"), "xpresso_mirna", "PHTM"),
        (True, ("train", "valid", "test"), "xpresso_mirna", "PHTM"),
        (True, ("TRAIN", "Validation", "Test"), "xpresso_mirna", "PHTM"),
    ],
)
def test_the_keys_tell_the_set_whatever_the_files_are_called(tmp_path, mirna, names, layout, blocks):
    write_tf(tmp_path, mirna=mirna, names=names)
    info = look(tmp_path).description
    assert (info.layout, info.blocks) == (layout, blocks)
    assert dict(info.widths) == {"H": 8, "T": 3} | ({"M": 4} if mirna else {})


@given(st.data())
def test_every_spelling_of_a_file_name_is_known(tmp_path_factory, data):
    stems = [data.draw(st.sampled_from(names)) for names in SPLIT_NAMES.values()]
    fold = data.draw(st.sampled_from(["", "1", "10"]))
    prefix = data.draw(st.sampled_from(["", "microRNA_", "e"]))
    suffix = data.draw(st.sampled_from(["", "_tf"])) + data.draw(st.sampled_from([".h5", ".hdf5", ".H5"]))
    root = tmp_path_factory.mktemp("names")
    names = [f"{fold}{prefix}{stem}{suffix}" for stem in stems]
    for name in names:
        write(root / name, label=np.arange(3.0), tf=np.eye(3), micro=np.eye(3), promoter=np.ones((3, 2, 3), "f4"))
    (found,) = find_sets(root, int(fold) if fold else None)
    assert [path.name for path in found.files.values()] == names
    assert found.problem is None
    assert LAYOUTS[found.layout].embedded


@pytest.mark.parametrize(("suffix", "layout", "blocks"), [("", "embedded", "PH"), ("_tf", "embedded_tf", "PHT")])
def test_embedded(tmp_path, suffix, layout, blocks):
    write_embedded(tmp_path, suffix)
    fileset = look(tmp_path)
    info = fileset.description
    assert (info.layout, info.blocks) == (layout, blocks)
    assert (info.promoter, info.promoter_length, info.tss) == ("embedded", 6, None)
    assert "no gene names" in fileset.warnings[0]
    assert "embedded in 6 chunks" in str(fileset.description)


def test_embedded_vectors_of_four_dimensions_are_recognised_by_the_file_name(tmp_path):
    write_embedded(tmp_path, dimension=4)
    assert look(tmp_path).description.promoter == "embedded"


def test_embedded_vectors_are_recognised_by_their_shape(tmp_path):
    def embed(_, arrays):
        arrays["promoter"] = np.ones((len(arrays["label"]), 7, 5), np.float32)

    write_xpresso(tmp_path, change=embed)
    info = look(tmp_path).description
    assert (info.layout, info.promoter, info.promoter_length) == ("embedded", "embedded", 7)


def test_token_files_bring_the_promoters_of_the_set_beside_them(tmp_path):
    splits = write_xpresso(tmp_path, change=lambda _, arrays: arrays.pop("promoter"))
    write_tokens(tmp_path, splits)
    write_tf(tmp_path, change=lambda _, arrays: arrays.pop("promoter"))
    write_tokens(tmp_path, {split: make_split(split) for split in SIZES}, "translated_transformers_tf.h5")
    plain, tf = (look(tmp_path, need=need) for need in ("PH", "PHT"))
    assert (plain.description.layout, plain.description.blocks) == ("tokens", "PH")
    assert (tf.description.layout, tf.description.blocks) == ("tokens_tf", "PHT")
    assert plain.description.promoter_length == tf.description.promoter_length == LENGTH
    assert plain.arrays["valid"]["P"].path.name == "translated_transformers.h5"
    assert tf.arrays["valid"]["P"].path.name == "translated_transformers_tf.h5"
    assert tf.arrays["valid"]["label"].path.name == "validation_tf.h5"


def test_a_token_file_is_recognised_by_its_keys(tmp_path):
    splits = write_xpresso(tmp_path)
    path = write_tokens(tmp_path, splits, "bases.h5", lambda arrays: arrays.update(validation=arrays.pop("valid")))
    fileset = look(tmp_path, layout="tokens")
    assert fileset.arrays["valid"]["P"].path == path
    assert fileset.arrays["valid"]["P"].key == "validation"


def test_a_folder_may_hold_every_set(tmp_path):
    splits = write_xpresso(tmp_path)
    write_tf(tmp_path)
    write_tf(tmp_path, mirna=True, names=("microRNA_train", "microRNA_val", "microRNA_test"))
    write_embedded(tmp_path)
    write_embedded(tmp_path, "_tf")
    write_tokens(tmp_path, splits)
    write_tokens(tmp_path, splits, "translated_transformers_tf.h5")
    write(tmp_path / "notes.h5", something=np.ones(3))
    (tmp_path / "model.h5").write_bytes(b"no HDF5")
    published = set(LAYOUTS) - {"genexp"}
    assert {found.layout for found in find_sets(tmp_path)} == published
    for layout in published:
        assert look(tmp_path, layout=layout).description.layout == layout
    expected = {"": "xpresso", "PH": "xpresso", "T": "xpresso_tf", "PHT": "xpresso_tf", "HM": "xpresso_mirna"}
    assert {need: look(tmp_path, need=need).description.layout for need in expected} == expected


def test_folds(tmp_path):
    for fold in (1, 10):
        write_xpresso(tmp_path, f"{fold}{{}}.h5", seed=fold, n=fold + 3)
    fileset = look(tmp_path, fold=10)
    assert fileset.description.genes["train"] == 13
    assert ", fold 10: " in str(fileset.description)
    assert "dataset.fold among 1, 10" in error_of(tmp_path)
    assert "dataset.fold among 1, 10" in error_of(tmp_path, fold=2)
    write_xpresso(tmp_path)
    assert look(tmp_path).description.genes["train"] == SIZES["train"]


def test_a_fold_of_a_folder_without_folds(tmp_path):
    write_xpresso(tmp_path)
    assert "leave dataset.fold out" in error_of(tmp_path, fold=1)


def test_a_second_set_of_the_same_layout_is_mentioned(tmp_path):
    write_tf(tmp_path)
    write_tf(tmp_path, names=("train", "valid", "test"))
    fileset = look(tmp_path)
    assert fileset.arrays["train"]["T"].path.name == "train.h5"
    assert "train_tf.h5" in fileset.warnings[0]


@pytest.mark.parametrize(("given_tss", "expected"), [(None, 20), (0, 0), (7, 7), (40, 40)])
def test_tss_is_the_one_given_or_the_middle(tmp_path, given_tss, expected):
    write_xpresso(tmp_path)
    assert look(tmp_path, tss=given_tss).description.tss == expected


def test_a_tss_outside_the_promoter(tmp_path):
    write_xpresso(tmp_path)
    message = error_of(tmp_path, tss=41)
    assert "dataset.tss" in message
    assert "0 to 40" in message


def test_a_tss_for_embedded_promoters(tmp_path):
    write_embedded(tmp_path)
    assert "leave dataset.tss out" in error_of(tmp_path, tss=3)


def test_a_folder_that_does_not_exist(tmp_path):
    write_xpresso(tmp_path / "xpresso")
    message = error_of(tmp_path / "xpreso")
    assert str(tmp_path / "xpreso") in message
    assert "did you mean 'xpresso'?" in message
    assert "dataset.root" in error_of(tmp_path / "no" / "where")


def test_a_file_instead_of_a_folder(tmp_path):
    write_xpresso(tmp_path)
    assert f"dataset.root={tmp_path}" in error_of(tmp_path / "train.h5")


@pytest.mark.parametrize("name", [None, "genes.csv", "matrix.h5", "5x.h5"])
def test_a_folder_without_a_set_says_what_is_there_and_what_is_known(tmp_path, name):
    if name:
        write(tmp_path / name, matrix=np.eye(2))
    message = error_of(tmp_path)
    assert f"received: {name or 'an empty folder'}" in message
    assert all(layout in message for layout in LAYOUTS)


def test_a_layout_that_does_not_exist(tmp_path):
    write_xpresso(tmp_path)
    assert "did you mean 'xpresso_tf'?" in error_of(tmp_path, layout="xpreso_tf")


def test_a_layout_that_is_not_in_the_folder(tmp_path):
    write_xpresso(tmp_path)
    message = error_of(tmp_path, layout="embedded")
    assert "etrain.h5" in message
    assert "xpresso (train.h5 valid.h5 test.h5) with P H" in message


def test_a_missing_file_is_named_with_the_nearest_name(tmp_path):
    write_xpresso(tmp_path, names=("train", "vaild", "test"))
    message = error_of(tmp_path)
    assert "the file of the split 'valid' is missing" in message
    assert "is it 'vaild.h5'? Rename it to 'valid.h5'" in message


@pytest.mark.parametrize("split", list(SIZES))
def test_an_incomplete_set_is_not_passed_over_without_a_message(tmp_path, split):
    write_xpresso(tmp_path)
    write_tf(tmp_path)
    (tmp_path / f"{split}.h5").unlink()
    message = error_of(tmp_path, need="PH")
    assert f"the file of the split '{split}' is missing" in message
    assert "dataset.layout" in message
    assert look(tmp_path, layout="xpresso_tf", need="PH").description.layout == "xpresso_tf"


def test_two_files_for_one_split(tmp_path):
    write_xpresso(tmp_path)
    (tmp_path / "validation.h5").write_bytes((tmp_path / "valid.h5").read_bytes())
    assert "valid.h5 and validation.h5" in error_of(tmp_path)


@pytest.mark.parametrize("split", list(SIZES))
@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (lambda data: b"", "is empty"),
        (lambda data: data[: len(data) // 2], "is truncated"),
        (lambda data: b"<html>404 Not Found</html>" * 100, "is not HDF5"),
        (lambda data: b"\x89HDF\r\n\x1a\n" + bytes(5000), "is not HDF5, or is damaged"),
    ],
)
def test_a_file_that_is_no_whole_hdf5_file(tmp_path, split, spoil, what):
    write_xpresso(tmp_path)
    write_tf(tmp_path)
    path = tmp_path / f"{split}.h5"
    path.write_bytes(spoil(path.read_bytes()))
    message = error_of(tmp_path, need="PH")
    assert what in message
    assert str(path) in message


@pytest.mark.parametrize("key", ["label", "data", "promoter"])
@pytest.mark.parametrize("split", ["valid", "test"])
def test_a_missing_key_is_named_with_those_that_are_there(tmp_path, key, split):
    write_xpresso(tmp_path, change=lambda name, arrays: arrays.pop(key) if name == split else None)
    message = error_of(tmp_path)
    assert str(tmp_path / f"{split}.h5") in message
    assert f"expected: {'data or halflife' if key == 'data' else key}" in message
    assert "geneName" in message


def test_labels_are_missing_everywhere(tmp_path):
    write_xpresso(tmp_path, change=lambda _, arrays: arrays.pop("label"))
    assert "no key for the labels" in error_of(tmp_path)


def test_the_file_name_promises_a_block(tmp_path):
    write_tf(tmp_path, change=lambda _, arrays: arrays.pop("tf"))
    message = error_of(tmp_path)
    assert "block T (tf)" in message
    assert "halflife" in message


def test_a_block_that_only_later_splits_have(tmp_path):
    write_xpresso(
        tmp_path,
        change=lambda split, arrays: arrays.update(tf=np.eye(len(arrays["label"]))) if split == "test" else None,
    )
    message = error_of(tmp_path)
    assert "the splits 'train' and 'test' disagree: block T (tf)" in message
    assert "expected: missing" in message
    assert str(tmp_path / "train.h5") in message


def test_a_block_that_no_set_has(tmp_path):
    write_xpresso(tmp_path)
    write_embedded(tmp_path, "_tf")
    message = error_of(tmp_path, need="PHM")
    assert "no set in the folder has the block M (mirna)" in message
    assert "embedded_tf (etrain_tf.h5 evalidation_tf.h5 etest_tf.h5) with P H T" in message


def test_blocks_that_no_one_set_has_together(tmp_path):
    write_xpresso(tmp_path, change=lambda _, arrays: arrays.pop("data"))
    write_embedded(tmp_path, change=lambda _, arrays: arrays.pop("promoter"))
    assert "all of PH" in error_of(tmp_path, need="PH")


def test_a_block_that_another_set_has(tmp_path):
    write_xpresso(tmp_path)
    write_tf(tmp_path)
    message = error_of(tmp_path, layout="xpresso", need="PHT")
    assert "the xpresso set has no block T (tf)" in message
    assert "set dataset.layout=xpresso_tf" in message


def test_an_array_is_a_group(tmp_path):
    write_xpresso(tmp_path)
    with h5py.File(tmp_path / "valid.h5", "a") as file:
        del file["data"]
        file.create_group("data")
    message = error_of(tmp_path)
    assert "valid.h5, key 'data'" in message


@pytest.mark.parametrize(
    ("key", "change", "part"),
    [
        ("label", lambda x: np.stack([x, x], 1)[..., None], "expected: (genes,) or (genes, labels)"),
        ("label", lambda x: x[:, None][:, :0], "expected: (genes,) or (genes, labels)"),
        ("label", lambda x: np.array(["high"] * len(x), "S"), "holds no numbers"),
        ("label", lambda x: x[0], "(genes,)"),
        ("data", lambda x: x[:, 0], "expected: (genes, features)"),
        ("data", lambda x: x[..., None], "expected: (genes, features)"),
        ("data", lambda x: x.astype("S"), "holds no numbers"),
        ("data", lambda x: x[:, :0], "expected: (genes, features)"),
        ("data", lambda x: x[:-1], "11 rows"),
        ("geneName", lambda x: x[:-1], "expected: 12 rows"),
        ("geneName", lambda x: np.stack([x, x], 1), "expected: (genes,)"),
        ("promoter", lambda x: x[:-1], "11 rows"),
        ("promoter", lambda x: np.moveaxis(x, 2, 1), "exchange the last two axes"),
        ("promoter", lambda x: np.moveaxis(x, 2, 1).astype("f4"), "exchange the last two axes"),
        ("promoter", lambda x: x[..., :3], "(12, 40, 3) bool"),
        ("promoter", lambda x: x[:, 0, 0], "(12,) bool"),
        ("promoter", lambda x: x[:, :0], "(12, 0, 4)"),
        ("promoter", lambda x: x[..., None], "(12, 40, 4, 1)"),
        ("promoter", lambda x: np.array([b"ACGT"] * len(x)), "holds no numbers"),
    ],
)
def test_an_array_of_the_wrong_shape_or_type(tmp_path, key, change, part):
    write_xpresso(tmp_path, change=lambda _, arrays: arrays.update({key: change(arrays[key])}))
    message = error_of(tmp_path)
    assert part in message
    assert f"{tmp_path / 'train.h5'}, key '{key}'" in message


def test_labels_in_one_column_are_fine(tmp_path):
    write_xpresso(tmp_path, change=lambda _, arrays: arrays.update(label=arrays["label"][:, None]))
    assert look(tmp_path).description.genes["train"] == SIZES["train"]


@pytest.mark.parametrize("split", list(SIZES))
def test_a_split_without_genes(tmp_path, split):
    write_xpresso(
        tmp_path,
        change=lambda name, arrays: arrays.update({k: x[:0] for k, x in arrays.items()}) if name == split else None,
    )
    message = error_of(tmp_path)
    assert "no genes" in message
    assert f"{split}.h5" in message


def test_row_counts_of_a_token_file_and_its_set_disagree(tmp_path):
    splits = write_xpresso(tmp_path)
    write_tokens(tmp_path, splits, change=lambda arrays: arrays.update(valid=arrays["valid"][1:]))
    message = error_of(tmp_path, layout="tokens")
    assert "translated_transformers.h5, key 'valid'" in message
    assert "valid.h5, key 'label'" in message
    assert "expected: 5 rows" in message


def test_a_token_file_without_a_split(tmp_path):
    splits = write_xpresso(tmp_path)
    write_tokens(tmp_path, splits, change=lambda arrays: arrays.pop("valid"))
    message = error_of(tmp_path, layout="tokens")
    assert "received: test, train" in message


def test_a_token_file_alone(tmp_path):
    write_tokens(tmp_path, {split: make_split(split) for split in SIZES})
    assert "no set beside it" in error_of(tmp_path)


@pytest.mark.parametrize(
    ("key", "change"), [("promoter", lambda x: x[:, 1:]), ("data", lambda x: x[:, 1:])], ids=["length", "width"]
)
def test_splits_that_disagree(tmp_path, key, change):
    write_xpresso(
        tmp_path,
        change=lambda split, arrays: arrays.update({key: change(arrays[key])}) if split == "test" else None,
    )
    message = error_of(tmp_path)
    assert "the splits 'train' and 'test' disagree" in message
    assert f"{tmp_path / 'test.h5'}, key '{key}'" in message


def test_splits_with_vectors_of_other_dimensions(tmp_path):
    def cut(split, arrays):
        if split == "test":
            arrays["promoter"] = arrays["promoter"][..., 1:]

    write_embedded(tmp_path, change=cut)
    message = error_of(tmp_path)
    assert "expected: embedded x 6 x 5" in message
    assert "received: embedded x 6 x 4" in message


def test_looking_reads_no_gene(tmp_path):
    """An array that could not be read (its chunks were never written to) can still be looked at."""
    write_xpresso(tmp_path)
    for split, n in (("train", 200_000), ("valid", 100_000), ("test", 100_000)):
        with h5py.File(tmp_path / f"{split}.h5", "w") as file:
            file.create_dataset("promoter", (n, 20_000, 4), bool, chunks=(64, 20_000, 4))
            file.create_dataset("label", (n,), "f8")
    assert look(tmp_path).description.genes["train"] == 200_000


def test_files_that_are_locked_can_be_read(tmp_path):
    write_xpresso(tmp_path)
    with (tmp_path / "train.h5").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with pytest.raises(OSError, match="lock"):
            h5py.File(tmp_path / "train.h5", locking=True)
        assert look(tmp_path).description.genes == SIZES


def test_files_that_are_open_already_can_be_read(tmp_path):
    write_xpresso(tmp_path)
    with h5py.File(tmp_path / "valid.h5"):
        assert look(tmp_path).description.genes == SIZES


def real_data():
    root = os.environ.get("GENEXP_REAL_DATA")
    if not root:
        pytest.skip("GENEXP_REAL_DATA is not set: no real data to read")
    return Path(root)


def test_the_real_yeast_set():
    fileset = look(real_data() / "yeast" / "xpresso_h5", need="PH")
    assert str(fileset.description).endswith(
        "yeast/xpresso_h5: 4,090 / 500 / 500 genes, promoter 2,000 nt (TSS at 1,000), blocks P H(8)"
    )


def test_one_hot_of_any_number_type_counts_as_bases(tmp_path):
    for dtype in ("u1", "i8", "f4"):
        root = tmp_path / dtype
        write_xpresso(root, change=lambda _, arrays, d=dtype: arrays.update(promoter=arrays["promoter"].astype(d)))
        assert look(root).description.promoter == "bases"


def declare(root, key, shape, **options):
    """Replace an array by one of another declared size, of which nothing is written."""
    with h5py.File(root / "train.h5", "a") as file:
        dtype = file[key].dtype
        del file[key]
        file.create_dataset(key, shape, dtype, **options)


@pytest.mark.parametrize(
    ("key", "shape"),
    [("promoter", (12, 10**12, 4)), ("data", (12, 10**12)), ("label", (10**13,)), ("geneName", (10**13,))],
)
def test_an_array_declared_larger_than_file_and_memory_is_refused(tmp_path, key, shape):
    write_xpresso(tmp_path)
    declare(tmp_path, key, shape, chunks=tuple(min(side, 4) for side in shape))
    message = error_of(tmp_path)
    assert "far larger than its file" in message
    assert f"key '{key}'" in message
    assert "TB, in a file of" in message


def test_chunks_far_larger_than_their_array_are_refused(tmp_path):
    write_xpresso(tmp_path)
    declare(tmp_path, "data", (12, 8), chunks=(1 << 24, 8), maxshape=(None, 8))
    assert "chunks too large to read" in error_of(tmp_path)


@pytest.mark.parametrize(("name", "value"), [("feature_names", "[1]"), ("scaling", '"x"')])
def test_attributes_that_are_no_json_objects(tmp_path, name, value):
    write_xpresso(tmp_path)
    for split in SIZES:
        with h5py.File(tmp_path / f"{split}.h5", "a") as file:
            file.attrs.update({"genexp_layout": 1, name: value})
    assert "attributes of a file are damaged" in error_of(tmp_path)
