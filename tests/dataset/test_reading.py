import os
import re
import tracemalloc
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from published_sets import LENGTH, SIZES, look, one_hot, read, write_embedded, write_tf, write_tokens, write_xpresso

from genexp import memory
from genexp.dataset import reading
from genexp.dataset.sources import load
from genexp.errors import UserError
from genexp.memory import is_on_disk


def error_of(root, *args, **settings):
    """Return the message of the UserError that reading a folder raises."""
    with pytest.raises(UserError) as caught:
        read(root, *args, **settings)
    message = str(caught.value)
    assert "hint: " in message
    return message


def edit(key, rows, value, split="train"):
    """Return a change that sets some values of an array of one split."""

    def change(name, arrays):
        if name == split:
            arrays[key] = np.array(arrays[key])
            arrays[key][rows] = value

    return change


def assert_same(dataset, splits, window=slice(None)):
    for name, genes in splits.items():
        split = dataset.splits[name]
        assert split.genes.tolist() == [gene.decode() for gene in genes["gene"]]
        np.testing.assert_allclose(split.labels[:, 0], genes["label"], rtol=1e-6)
        assert split.labels.dtype == np.float32
        expected = {"P": genes["tokens"][:, window], "H": genes["halflife"], "T": genes["tf"], "M": genes["mirna"]}
        for block, values in split.blocks.items():
            np.testing.assert_allclose(values, expected[block], rtol=1e-6)


CHUNKED = [
    {},
    {"chunks": (3, 7, 1), "compression": "gzip"},
    {"chunks": (12, 40, 4), "compression": "gzip", "shuffle": True},
    {"chunks": (5, 16, 3), "compression": "lzf"},
]


@pytest.mark.parametrize("options", CHUNKED)
@pytest.mark.parametrize("window", [None, (0, LENGTH), (5, 23), (39, 40)])
def test_xpresso(tmp_path, window, options, monkeypatch):
    monkeypatch.setattr("genexp.dataset.hdf5.SMALLEST_PARALLEL_CHUNK", 0)

    def change(_, arrays):
        n = len(arrays["label"])
        limits = {"chunks": (min(n, options["chunks"][0]), *options["chunks"][1:])} if options else {}
        arrays["promoter"] = (arrays["promoter"], options | limits)

    splits = write_xpresso(tmp_path, change=change)
    dataset = read(tmp_path, "PH", window)
    left, right = window or (0, LENGTH)
    assert dataset.window == (left, right)
    assert_same(dataset, splits, slice(left, right))
    train = dataset.splits["train"]
    assert list(train.blocks) == ["P", "H"]
    assert train.blocks["P"].dtype == np.uint8
    assert train.blocks["H"].dtype == np.float32
    assert not [sentence for sentence in dataset.warnings if "feature columns" not in sentence]


@pytest.mark.parametrize("dtype", ["u1", "i8", "f4", ">f8"])
def test_one_hot_of_any_number_type(tmp_path, dtype):
    splits = write_xpresso(tmp_path, change=lambda _, arrays: arrays.update(promoter=arrays["promoter"].astype(dtype)))
    assert_same(read(tmp_path, "P", (1, 30)), splits, slice(1, 30))


def test_only_the_blocks_asked_for_are_read(tmp_path):
    splits = write_tf(tmp_path, mirna=True)
    for blocks in ("H", "T", "PTM", "HTM", "MP"):
        dataset = read(tmp_path, blocks)
        assert set(dataset.splits["test"].blocks) == set(blocks)
        assert list(dataset.splits["test"].blocks) == [block for block in "PHTM" if block in blocks]
        assert dataset.window == ((0, LENGTH) if "P" in blocks else None)
        assert_same(dataset, splits)


def test_a_window_does_not_matter_without_promoters(tmp_path):
    write_tf(tmp_path)
    assert read(tmp_path, "T", (0, 99_999)).window is None


def test_zeros_and_ones_stay_small(tmp_path):
    splits = write_tf(tmp_path, mirna=True)
    dataset = read(tmp_path, "TM")
    assert {x.dtype for split in dataset.splits.values() for x in split.blocks.values()} == {np.dtype(np.uint8)}
    assert_same(dataset, splits)


def test_a_block_has_one_type_in_all_splits(tmp_path):
    write_tf(tmp_path, change=edit("tf", 0, 2, "valid"))
    dataset = read(tmp_path, "T")
    assert {split.blocks["T"].dtype for split in dataset.splits.values()} == {np.dtype(np.float32)}
    assert dataset.splits["valid"].blocks["T"][0].tolist() == [2, 2, 2]


def test_embedded(tmp_path):
    splits = write_embedded(tmp_path)
    dataset = read(tmp_path, "PH")
    assert dataset.window is None
    assert dataset.splits["valid"].genes.tolist() == [f"valid_{i}" for i in range(SIZES["valid"])]
    for name, genes in splits.items():
        np.testing.assert_array_equal(dataset.splits[name].blocks["P"], genes["vectors"])
    assert any("no gene names" in sentence for sentence in dataset.warnings)


def test_tokens(tmp_path):
    splits = write_xpresso(tmp_path)
    write_tokens(tmp_path, splits)
    assert_same(read(tmp_path, "PH", (3, 31), layout="tokens"), splits, slice(3, 31))


@pytest.mark.parametrize("options", [{}, {"chunks": (2, 9), "compression": "gzip"}])
def test_tokens_however_they_are_stored(tmp_path, options, monkeypatch):
    monkeypatch.setattr("genexp.dataset.hdf5.SMALLEST_PARALLEL_CHUNK", 0)
    splits = write_xpresso(tmp_path)
    for dtype in ("u1", "i1", ">i4", "f4"):
        write_tokens(
            tmp_path,
            splits,
            change=lambda arrays, d=dtype: arrays.update({k: (x.astype(d), options) for k, x in arrays.items()}),
        )
        assert_same(read(tmp_path, "P", (3, 31), layout="tokens"), splits, slice(3, 31))


def test_a_token_file_of_other_genes_is_refused(tmp_path):
    splits = write_xpresso(tmp_path)
    write_tokens(tmp_path, splits, change=lambda arrays: arrays.update(valid=arrays["valid"][::-1]))
    message = error_of(tmp_path, "P", (3, 31), layout="tokens")
    assert "different promoters" in message
    assert "valid.h5, key 'promoter'; row 0 (gene validgene0)" in message
    position = int(re.search(r"at position (\d+)", message)[1])
    assert f"expected: token {splits['valid']['tokens'][0, position]} at" in message
    assert f"received: token {splits['valid']['tokens'][-1, position]}" in message


@pytest.mark.parametrize("as_text", [lambda x: x.astype(object), lambda x: x.astype("S30"), lambda x: x[:, None]])
def test_gene_names_of_any_string_type(tmp_path, as_text):
    splits = write_xpresso(tmp_path, change=lambda _, arrays: arrays.update(geneName=as_text(arrays["geneName"])))
    assert_same(read(tmp_path, "H"), splits)


def test_progress_ends_with_all_genes(tmp_path):
    write_xpresso(tmp_path)
    for blocks in ("P", "H"):
        steps = []
        read(tmp_path, blocks, progress=lambda done, total, steps=steps: steps.append((done, total)))
        assert steps == sorted(steps)
        assert steps[-1] == (sum(SIZES.values()),) * 2


def with_n(split, arrays):
    """Put an N at position 5 of one training gene, and at 20 of two training and one test genes."""
    rows = {"train": [(2, 5), (3, 20), (7, 20)], "valid": [], "test": [(1, 20)]}[split]
    for row, position in rows:
        arrays["promoter"][row, position] = False


def test_genes_with_n_are_kept_and_counted(tmp_path):
    write_xpresso(tmp_path, change=with_n)
    dataset = read(tmp_path, "P")
    assert {name: len(split) for name, split in dataset.splits.items()} == SIZES
    assert dataset.splits["train"].blocks["P"][2, 5] == 4
    (sentence,) = dataset.warnings
    assert sentence.startswith("Kept 4 genes (train 3, test 1) with N in the window [0, 40)")
    assert str(dataset).endswith(", blocks P H(8), 4 genes with N")


@pytest.mark.parametrize("blocks", ["PH", "H"])
def test_genes_with_n_in_the_window_are_dropped_in_every_split(tmp_path, blocks):
    write_xpresso(tmp_path, change=with_n)
    dataset = read(tmp_path, blocks, (10, 40), drop_ambiguous=True)
    assert {name: len(split) for name, split in dataset.splits.items()} == {"train": 10, "valid": 5, "test": 3}
    assert "traingene2" in dataset.splits["train"].genes
    assert not {"traingene3", "traingene7", "testgene1"} & {g for s in dataset.splits.values() for g in s.genes}
    assert dataset.description.genes == SIZES
    assert dataset.warnings[0] == "Dropped 3 genes (train 2, test 1) with N in the window [10, 40)."


def test_no_gene_is_left(tmp_path):
    write_xpresso(tmp_path, change=edit("promoter", np.s_[:, 3], False, "valid"))
    message = error_of(tmp_path, "P", drop_ambiguous=True)
    assert "no gene is left in the split 'valid'" in message
    assert "dataset.drop_ambiguous" in message


def test_genes_with_n_cannot_be_dropped_from_embedded_promoters(tmp_path):
    write_embedded(tmp_path)
    assert "dataset.drop_ambiguous" in error_of(tmp_path, "P", drop_ambiguous=True)


def test_a_block_that_is_not_there(tmp_path):
    write_xpresso(tmp_path)
    assert "data=PHM" in error_of(tmp_path, "PHM")
    write_tf(tmp_path)
    message = error_of(tmp_path, "PHT", layout="xpresso")
    assert "set dataset.layout=xpresso_tf" in message


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
@pytest.mark.parametrize("split", list(SIZES))
def test_values_that_are_no_finite_numbers(tmp_path, value, split):
    write_xpresso(tmp_path, change=edit("data", ([1, 3], [2, 4]), value, split))
    message = error_of(tmp_path)
    assert message.startswith("2 of ")
    assert f"{split}.h5, key 'data', row 1 (gene {split}gene1), column INTRONLEN" in message


def test_labels_that_are_no_finite_numbers(tmp_path):
    write_xpresso(tmp_path, change=edit("label", 4, np.nan))
    message = error_of(tmp_path)
    assert message.startswith("1 of 12 values is not finite")
    assert "key 'label', row 4 (gene traingene4)\n" in message


def test_embedded_vectors_that_are_no_finite_numbers(tmp_path):
    write_embedded(tmp_path, change=edit("promoter", (0, 1, 2), np.nan))
    assert "row 0 (gene train_0)" in error_of(tmp_path, "P")


def test_columns_without_names_are_numbered(tmp_path):
    def change(_, arrays):
        arrays["tf"] = arrays["tf"].astype(float)
        arrays["tf"][2, 1] = np.nan

    write_tf(tmp_path, change=change)
    assert "row 2 (gene traingene2), column 1" in error_of(tmp_path, "T")


def test_promoters_that_are_not_one_hot(tmp_path):
    write_xpresso(tmp_path, change=edit("promoter", ([6, 8], 17), True, "train"))
    message = error_of(tmp_path, "P", (10, 20))
    assert message.startswith("2 promoters hold positions that are not one-hot")
    assert "row 6 (gene traingene6)" in message
    assert "received: [True, True, True, True] at position 17" in message
    assert len(read(tmp_path, "P", (0, 17)).splits["train"]) == SIZES["train"]


@pytest.mark.parametrize("value", [5, -1, 255, 260])
def test_tokens_that_are_none(tmp_path, value):
    splits = write_xpresso(tmp_path)
    write_tokens(tmp_path, splits, change=lambda arrays: arrays["test"].__setitem__((3, 30), value))
    message = error_of(tmp_path, "P", layout="tokens")
    assert "key 'test', row 3 (gene testgene3)" in message
    assert f"received: {value} at position 30" in message


def test_bases_stored_as_real_numbers_with_five_channels(tmp_path):
    def five_channels(_, arrays):
        arrays["promoter"] = np.pad(arrays["promoter"], ((0, 0), (0, 0), (0, 1))).astype(np.float32)

    write_xpresso(tmp_path, change=five_channels)
    assert "only 0 and 1" in error_of(tmp_path, "P")


@pytest.mark.parametrize("split", list(SIZES))
def test_constant_labels(tmp_path, split):
    write_xpresso(tmp_path, change=edit("label", slice(None), 1.5, split))
    message = error_of(tmp_path)
    assert f"all labels of the split '{split}' are the same" in message
    assert "received: 1.5" in message


def test_labels_and_features_that_are_not_standardised(tmp_path):
    def change(_, arrays):
        arrays["label"] = arrays["label"] * 3 + 7
        arrays["data"] = (arrays["data"] - arrays["data"].mean(0)) / arrays["data"].std(0)
        arrays["data"][:, [1, 5]] += 100

    write_xpresso(tmp_path, change=change)
    labels, features = read(tmp_path, "H").warnings
    assert "12 training labels have mean 7 and standard deviation 3" in labels
    assert features.startswith("2 of 8 feature columns are not standardised")
    assert features.endswith(": CDSLEN, CDSGC.")


def test_genes_that_a_split_has_twice(tmp_path):
    write_xpresso(tmp_path, change=edit("geneName", 5, b"traingene2"))
    assert "Found 1 gene more than once in a split (train 1), first traingene2." in read(tmp_path, "P").warnings


def share(split, arrays):
    """Put two test genes and one validation gene into train, and one test gene into valid."""
    arrays["geneName"] = arrays["geneName"].astype("S20")
    if split == "train":
        arrays["geneName"][[0, 4, 9]] = b"testgene1", b"validgene2", b"testgene3"
    if split == "valid":
        arrays["geneName"][0] = b"testgene3"


def test_genes_in_two_splits_are_an_error(tmp_path):
    write_xpresso(tmp_path, change=share)
    message = error_of(tmp_path)
    assert "found 4 genes in two splits (train 3, valid 1), first testgene1, validgene2, testgene3\n" in message
    assert "dataset.shared_genes=drop" in message
    assert "dataset.shared_genes=keep" in message


def test_genes_in_two_splits_are_dropped_from_the_earlier(tmp_path):
    splits = write_xpresso(tmp_path, change=share)
    dataset = read(tmp_path, "P", shared_genes="drop")
    assert {name: len(split) for name, split in dataset.splits.items()} == {"train": 9, "valid": 4, "test": 4}
    every = np.concatenate([split.genes for split in dataset.splits.values()])
    assert len(set(every)) == len(every)
    np.testing.assert_array_equal(
        dataset.splits["train"].blocks["P"], np.delete(splits["train"]["tokens"], [0, 4, 9], axis=0)
    )
    assert "Dropped 4 genes in two splits (train 3, valid 1)" in dataset.warnings[0]


def test_genes_in_two_splits_are_kept_when_asked(tmp_path):
    write_xpresso(tmp_path, change=share)
    dataset = read(tmp_path, "P", shared_genes="keep")
    assert {name: len(split) for name, split in dataset.splits.items()} == SIZES
    assert "Kept 4 genes" in dataset.warnings[0]


def test_bases_numbered_from_one_are_refused(tmp_path):
    def shift(_, arrays):
        arrays["promoter"] = arrays["promoter"].argmax(axis=-1).astype(np.uint8) + 1

    write_xpresso(tmp_path, change=shift)
    assert "numbered from 1" in error_of(tmp_path)


def test_promoters_without_any_base_are_refused(tmp_path):
    def nothing(_, arrays):
        arrays["promoter"][:] = 0

    write_xpresso(tmp_path, change=nothing)
    assert "no bases at all, only N" in error_of(tmp_path)


def test_an_embedded_promoter_of_zeros_is_one_without_kmers(tmp_path):
    splits = write_embedded(tmp_path, change=edit("promoter", 0, 0))
    dataset = read(tmp_path, "P")
    assert not dataset.splits["train"].blocks["P"][0].any()
    assert len(splits) == len(dataset.splits)


def test_splits_too_small_to_score_are_noted(tmp_path):
    def keep(genes):
        def change(name, arrays):
            if name == "test":
                arrays.update({key: np.asarray(values)[:genes] for key, values in arrays.items()})

        return change

    write_xpresso(tmp_path / "two", change=keep(2))
    assert any("their r2 has no meaning" in sentence for sentence in read(tmp_path / "two", "P").warnings)
    write_xpresso(tmp_path / "one", change=keep(1))
    assert "has one gene" in error_of(tmp_path / "one")


def test_reading_a_window_never_holds_the_one_hot_bases(tmp_path, monkeypatch):
    """The one-hot bases of a split have 16 MB, and 4 MB in the window; the window's tokens take 1 MB."""
    monkeypatch.setattr("genexp.dataset.hdf5.TILE_BYTES", 1 << 16)
    write_xpresso(tmp_path, n=1000, length=4000)
    source = look(tmp_path, "P")
    load(source, "P", (1000, 2000))  # imports what it needs, which is not to be counted
    tracemalloc.start()
    load(source, "P", (1000, 2000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4.5e6


def test_a_damaged_array(tmp_path):
    def compress(_, arrays):
        arrays["data"] = (arrays["data"], {"chunks": (4, 8), "compression": "gzip"})

    write_xpresso(tmp_path, change=compress)
    with h5py.File(tmp_path / "test.h5", "a") as file:
        file["data"].id.write_direct_chunk((0, 0), b"no zlib")
    message = error_of(tmp_path)
    assert "damaged" in message
    assert "test.h5, key 'data'" in message


def test_the_real_yeast_set():
    root = os.environ.get("GENEXP_REAL_DATA")
    if not root:
        pytest.skip("GENEXP_REAL_DATA is not set: no real data to read")
    folder = Path(root) / "yeast" / "xpresso_h5"
    dataset = read(folder, "PH", (500, 1500))
    assert {name: len(split) for name, split in dataset.splits.items()} == {"train": 4090, "valid": 500, "test": 500}
    with h5py.File(folder / "valid.h5") as file:
        bases, names = file["promoter"][:, 500:1500], file["geneName"][()]
    np.testing.assert_array_equal(one_hot(dataset.splits["valid"].blocks["P"]), bases)
    assert dataset.splits["valid"].genes.tolist() == [name.decode() for name in names]


def on_disk(dataset):
    return {name: is_on_disk(split.blocks["P"]) for name, split in dataset.splits.items()}


def assert_same_genes(found, expected):
    assert found.fingerprint() == expected.fingerprint()
    for name, split in expected.splits.items():
        assert found.splits[name].genes.tolist() == split.genes.tolist()
        for block, values in split.blocks.items():
            np.testing.assert_array_equal(found.splits[name].blocks[block], values)


def test_streamed_promoters_are_those_in_memory(tmp_path):
    write_xpresso(tmp_path, change=with_n)
    for settings in ({}, {"drop_ambiguous": True}):
        in_memory, streamed = (read(tmp_path, "PH", (2, 30), stream=stream, **settings) for stream in (False, True))
        assert set(on_disk(streamed).values()) == {True}
        assert set(on_disk(in_memory).values()) == {False}
        assert_same_genes(streamed, in_memory)


def test_streamed_embeddings_are_those_in_memory(tmp_path):
    write_embedded(tmp_path)
    streamed = read(tmp_path, "PH", stream=True)
    assert set(on_disk(streamed).values()) == {True}
    assert_same_genes(streamed, read(tmp_path, "PH", stream=False))


def nameless(_, arrays):
    """Leave out gene names, so that little but features and promoters needs memory."""
    arrays["geneName"] = None


def test_promoters_stream_when_they_exceed_half_of_the_memory(tmp_path, monkeypatch):
    write_xpresso(tmp_path, change=nameless)
    sizes = {"promoters": sum(SIZES.values()) * LENGTH, "features": sum(SIZES.values()) * 8 * 4}
    monkeypatch.setattr(memory, "available", lambda: sum(sizes.values()) * 2)
    monkeypatch.setattr(reading, "available", memory.available)
    assert set(on_disk(read(tmp_path)).values()) == {False}
    monkeypatch.setattr(reading, "available", lambda: sum(sizes.values()) * 2 - 1)
    dataset = read(tmp_path)
    assert set(on_disk(dataset).values()) == {True}
    assert any("stream from disk" in note for note in dataset.warnings)


def test_kmer_counts_are_part_of_the_memory(tmp_path, monkeypatch):
    write_xpresso(tmp_path, change=nameless)
    plain = look(tmp_path, "P")
    counted = replace(plain, encoded={"valid": 1000, "test": 500})
    promoters, counts = sum(SIZES.values()) * LENGTH, SIZES["valid"] * 1000 + SIZES["test"] * 500
    monkeypatch.setattr(reading, "available", lambda: promoters * 2)
    assert set(on_disk(load(plain, "P", (0, LENGTH))).values()) == {False}
    dataset = load(counted, "P", (0, LENGTH))
    assert set(on_disk(dataset).values()) == {True}
    assert any("promoters and their k-mer counts exceed" in note for note in dataset.warnings)
    monkeypatch.setattr(reading, "available", lambda: (promoters + counts) * 2)
    assert set(on_disk(load(counted, "P", (0, LENGTH))).values()) == {False}
    monkeypatch.setattr(memory, "available", lambda: promoters + counts)
    with pytest.raises(UserError, match=r"or a smaller model\.k"):
        load(replace(counted, config=plain.config.model_copy(update={"stream": False})), "P", (0, LENGTH))


def test_genes_that_neither_fit_nor_stream_are_refused(tmp_path, monkeypatch):
    write_xpresso(tmp_path, change=nameless)
    monkeypatch.setattr(memory, "available", lambda: 950)
    assert "dataset.stream=true" in error_of(tmp_path, "P", stream=False)
    read(tmp_path, "PH", stream=True)
    monkeypatch.setattr(memory, "available", lambda: 900)
    assert "do not fit into memory" in error_of(tmp_path, "PH", stream=True)
    read(tmp_path, "P", stream=True)


def test_no_space_for_streamed_promoters_is_an_error(tmp_path, monkeypatch):
    write_xpresso(tmp_path)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    message = error_of(tmp_path, "P", stream=True)
    assert "no space for" in message
    assert "TMPDIR" in message
