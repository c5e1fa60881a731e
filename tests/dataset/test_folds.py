"""A table of folds: the same splits as genexp prepare makes, and each gene with its own label and promoter."""

import h5py
import numpy as np
import pandas as pd
import pytest
from conftest import write_xpresso_set
from hypothesis import given
from hypothesis import strategies as st

from genexp.api.training import folder_dataset
from genexp.dataset.folds import number_of_folds, split_codes
from genexp.dataset.genes import SPLITS
from genexp.dataset.sources import inspect, load
from genexp.errors import UserError


@pytest.fixture
def table(xpresso_root, tmp_path):
    """A table of four folds of all genes but the last, in any order, with another column."""
    genes = [name for split in SPLITS for name in names_in(xpresso_root, split)][:-1]
    rows = [f"{name}\tx\t{n % 4 + 1}" for n, name in enumerate(genes)]
    path = tmp_path / "folds.tsv"
    path.write_text("\n".join(["Gene\tnote\tFold", *reversed(rows)]) + "\n", encoding="utf-8-sig")
    return path


def names_in(root, split):
    with h5py.File(root / f"{split}.h5") as file:
        return [name.decode() for name in file["geneName"]]


def dataset(root, **settings):
    return folder_dataset(root=str(root), **settings)


def read(root, **settings):
    source = inspect(dataset(root, **settings), "PH")
    loaded = load(source, "PH", (0, 400))
    assert loaded.description.genes == {name: len(split) for name, split in loaded.splits.items()}
    return loaded


def test_a_table_that_pandas_wrote_is_read_and_names_it_alone_has_are_said(xpresso_root, table, tmp_path):
    """Where some genes have no fold, pandas writes the folds of the others as 1.0, 2.0 ..."""
    folds = pd.read_csv(table, sep="\t", usecols=["Gene", "Fold"], index_col="Gene")
    folds = folds.reindex([*folds.index, names_in(xpresso_root, "test")[-1], "unheard", "of"])
    folds.loc[["unheard", "of"]] = 2
    folds.to_csv(tmp_path / "floats.csv")
    assert "1.0" in (tmp_path / "floats.csv").read_text()
    found = read(xpresso_root, folds=str(tmp_path / "floats.csv"), fold=1)
    same = read(xpresso_root, folds=str(table), fold=1)
    assert found.splits["test"].genes.tolist() == same.splits["test"].genes.tolist()
    assert any("Of floats.csv, 2 names are not in the dataset, such as unheard." in line for line in found.warnings)


def test_every_gene_is_tested_once_with_its_own_values(xpresso_root, table):
    whole, tested = read(xpresso_root), []
    label = {gene: y[0] for split in whole.splits.values() for gene, y in zip(split.genes, split.labels, strict=True)}
    bases = {
        gene: p.tobytes()
        for split in whole.splits.values()
        for gene, p in zip(split.genes, split.blocks["P"], strict=True)
    }
    for fold in range(1, 5):
        found = read(xpresso_root, folds=str(table), fold=fold)
        assert [len(found.splits[name]) for name in SPLITS] == [80, 40, 39] if fold == 4 else True
        for split in found.splits.values():
            assert [label[gene] for gene in split.genes] == split.labels[:, 0].tolist()
            assert [bases[gene] for gene in split.genes] == [row.tobytes() for row in split.blocks["P"]]
        assert not np.isin(found.splits["train"].genes, found.splits["valid"].genes).any()
        tested += found.splits["test"].genes.tolist()
        assert any("1 gene that" in line for line in found.warnings)
    assert sorted(tested) == sorted(label)[:-1]
    assert number_of_folds(dataset(xpresso_root, folds=str(table))) == 4


def test_streamed_promoters_are_the_same(xpresso_root, table):
    memory, disk = (read(xpresso_root, folds=str(table), fold=2, stream=stream) for stream in (False, True))
    assert memory.fingerprint() == disk.fingerprint()


@given(st.lists(st.integers(-1, 4), min_size=1, max_size=30), st.integers(1, 5))
def test_one_fold_tests_and_the_next_one_validates(fold_of, fold):
    codes = split_codes(np.array(fold_of), 5, fold - 1)
    for mine, code in zip(fold_of, codes, strict=True):
        assert code == (-1 if mine < 0 else 2 if mine + 1 == fold else 1 if mine + 1 == fold % 5 + 1 else 0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("name,fold\na,1\n", "one column gene"),
        ("gene,fold\na,1\na,2\n", "in the table twice"),
        ("gene,fold\na,0\n", "no number of a fold"),
        ("gene,fold\na,1.5\n", "no number of a fold"),
        ("gene,fold\na,1\nb,2\n", "at least three folds"),
        ("gene,fold\na,1\nb,2\nc,5\nd,3\n", "no gene in fold 4"),
        ("gene,fold\na,1\nb,2\nc,3\n", "leaves no gene in the split"),
        ("", "one column gene|cannot be read"),
    ],
)
def test_a_table_that_says_no_folds_is_refused(xpresso_root, tmp_path, content, message):
    (tmp_path / "folds.csv").write_text(content)
    with pytest.raises(UserError, match=message):
        inspect(dataset(xpresso_root, folds=str(tmp_path / "folds.csv"), fold=1), "PH")


def test_the_fold_must_be_one_of_the_table(xpresso_root, table):
    for fold in (None, 5):
        with pytest.raises(UserError, match=r"dataset\.fold=1"):
            inspect(dataset(xpresso_root, folds=str(table), fold=fold), "PH")


def test_folds_of_files_are_counted_and_must_be_whole(tmp_path):
    for fold in (1, 2, 4):
        folder = write_xpresso_set(tmp_path / "whole", seed=fold)
        for split in SPLITS:
            (folder / f"{split}.h5").rename(tmp_path / f"{fold}{split}.h5")
    with pytest.raises(UserError, match="files of some folds are missing"):
        number_of_folds(dataset(tmp_path))
    for split in SPLITS:
        (tmp_path / f"4{split}.h5").rename(tmp_path / f"3{split}.h5")
    assert number_of_folds(dataset(tmp_path)) == 3
