"""Features of genes by id: joined, scaled, or the training mean; and those that are unlike the training genes."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from genexp.api.gene_features import far_outside, features_by_id, known_ranges, read_table
from genexp.api.promoters import from_table
from genexp.dataset.description import DatasetDescription
from genexp.dataset.genes import Dataset, Split
from genexp.dataset.ranges import write_ranges
from genexp.errors import UserError

SCALING = {
    "halflife": {
        "length": {"log10_offset": 0.1, "mean": 2.0, "sd": 0.5},
        "gc": {"log10_offset": None, "mean": 0.4, "sd": 0.1},
    }
}


@pytest.fixture
def run(tmp_path):
    """What these functions read of a run on data=HT."""
    rng = np.random.default_rng(0)
    blocks = {"H": rng.normal(0.5, 1, (40, 2)).astype(np.float32), "T": (rng.random((40, 3)) < 0.5).astype(np.uint8)}
    names = {"H": ("length", "gc"), "T": ("A", "B", "C")}
    described = DatasetDescription(
        source="x", layout="x", genes={}, widths={"H": 2, "T": 3}, feature_names=names, scaling=SCALING
    )
    genes = Split(np.arange(40).astype(str), np.zeros((40, 1), np.float32), blocks)
    write_ranges(tmp_path / "training_features.csv", Dataset(described, {"train": genes}))
    files = SimpleNamespace(training_features=tmp_path / "training_features.csv")
    config = SimpleNamespace(data=SimpleNamespace(name="HT"))
    return SimpleNamespace(config=config, dataset=described, files=files, path=tmp_path, blocks=blocks)


TABLE = pd.DataFrame(
    {"gc": [0.5, 0.4, 0.3], "C": [0, 0, 1], "A": [1, 0, 0], "length": [99.9, 999.9, 0], "note": "x", "B": [0, 1, 1]},
    index=["g3", "g1", "g2"],
)


def test_columns_are_matched_and_scaled_and_rows_joined(run, capsys):
    found = features_by_id(run, ["g1", "g3", "g1"], TABLE, scaled=False)
    length = (np.log10(np.array([999.9, 99.9, 999.9]) + 0.1) - 2) / 0.5
    np.testing.assert_allclose(found["H"], np.stack([length, [0, 1, 0]], axis=1), atol=1e-6)
    np.testing.assert_array_equal(found["T"], [[0, 1, 0], [1, 0, 0], [0, 1, 0]])
    assert "columns that the run does not know are left out: note" in capsys.readouterr().out
    scaled = features_by_id(run, ["g1"], TABLE, scaled=True)
    np.testing.assert_allclose(scaled["H"], [[999.9, 0.4]], rtol=1e-6)


def test_columns_in_another_case_are_matched_where_one_is_meant(run, capsys):
    found = features_by_id(run, ["g1", "g3"], TABLE.rename(columns={"gc": "GC", "B": "b"}), scaled=False)
    expected = features_by_id(run, ["g1", "g3"], TABLE, scaled=False)
    assert all(np.array_equal(found[letter], expected[letter]) for letter in "HT")
    assert "columns matched in upper or lower case: GC is gc, b is B" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"1 of the 3 (.|\n)*expected: A\n.*received: a, a, note"):
        features_by_id(
            run,
            ["g1"],
            TABLE.assign(a=1).rename(columns={"A": "a"})[["a", "note", "gc", "length", "B", "C"]],
            scaled=False,
        )
    with pytest.raises(UserError, match=r"gene=g9 is not in features\n(.|\n)*did you mean 'g3'"):
        features_by_id(run, ["g9"], TABLE, scaled=False, gene="g9")


def test_ids_with_versions_join_and_that_is_said(run, capsys):
    named = TABLE.set_index(pd.Index([f"ENSG0000000000{n}.4" for n in (3, 1, 2)]))
    found = features_by_id(run, ["ENSG00000000002", "ENSG00000000001"], named, scaled=False)
    np.testing.assert_array_equal(found["T"], [[0, 1, 1], [0, 1, 0]])
    assert "features (joined by id without version)" in capsys.readouterr().out


def test_the_training_mean_stands_for_what_is_missing_only_on_request(run, capsys):
    mean = {letter: values.astype(float).mean(axis=0) for letter, values in run.blocks.items()}
    for letter, values in features_by_id(run, ["a", "b"], "mean", scaled=False).items():
        np.testing.assert_allclose(values, [mean[letter]] * 2, rtol=1e-6)
    cells = TABLE.astype(object)
    cells.loc["g1", "length"] = "NA"  # as R writes it
    with pytest.raises(UserError, match=r"a feature is missing(.|\n)*g1, column length(.|\n)*missing=mean"):
        features_by_id(run, ["g1"], cells, scaled=False)
    with pytest.raises(UserError, match=r"1 of 2 ids have no features, first other(.|\n)*missing=mean"):
        features_by_id(run, ["g1", "other"], TABLE, scaled=False)
    found = features_by_id(run, ["other", "g1", "g2"], cells, scaled=False, missing="mean")
    np.testing.assert_allclose(found["H"][0], mean["H"], rtol=1e-6)
    np.testing.assert_allclose(
        found["H"][1:], [[mean["H"][0], 0], [(np.log10(0.1) - 2) / 0.5, -1]], rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(found["T"], [mean["T"], [0, 1, 0], [0, 1, 1]], rtol=1e-6)
    assert "1 genes without features and 1 empty cells have the training mean" in capsys.readouterr().out


def test_features_far_outside_the_training_range_are_named(run):
    ranges = known_ranges(run)
    high, low = ranges["H"].high, ranges["H"].low
    values = np.stack([high, high + 1.1 * ranges["H"].sd, [low[0], low[1] - 9]])
    marks = np.array([[0, 1, 1], [1, 0, 2], [0, 7, 7]], float)
    assert far_outside({"H": values, "T": marks}, ranges, run).tolist() == ["", "length,gc,C", "gc,B,C"]
    assert far_outside({"T": marks * 9, "H": values + 90}, ranges, run)[2] == "B,C,length and 1 more"


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (TABLE.assign(gc="many"), "a feature is no finite number"),
        (TABLE.assign(length=-500), r"a raw length is negative(.|\n)*scaled=true"),
        (TABLE.drop(columns="B"), r"1 of the 3 transcription factors of the run are missing(.|\n)*received: note"),
        (TABLE.set_index(pd.Index(["x", "y", "z"])), "the join is empty"),
        (None, "needs features=FILE or features=mean"),
    ],
)
def test_tables_that_do_not_fit_are_refused(run, table, expected):
    with pytest.raises(UserError, match=expected):
        features_by_id(run, ["g1"], table, scaled=False)


def test_a_run_without_a_record_has_no_mean(run):
    run.files.training_features.unlink()
    assert known_ranges(run) == {}
    with pytest.raises(UserError, match="not recorded with this run"):
        features_by_id(run, ["g1"], "mean", scaled=False)


def test_a_row_without_an_id_is_refused(tmp_path):
    (tmp_path / "features.csv").write_text("id,length\ng1,3\n,4\n")
    with pytest.raises(UserError, match=r"ids of a table must be there(.|\n)*none in row 2"):
        read_table(str(tmp_path / "features.csv"), "features")


@pytest.mark.parametrize("heading", ["", "Unnamed: 0", "X", "...1"])
def test_numbers_of_rows_are_no_ids(tmp_path, capsys, heading):
    path = tmp_path / "features.csv"
    path.write_text(f"{heading},gene_id,length\n0,g1,3\n1,g2,4\n")
    table = read_table(str(path), "features")
    assert (table.index.tolist(), table.columns.tolist()) == (["g1", "g2"], ["length"])
    assert "features.csv: column" in capsys.readouterr().out
    path.write_text(f"{heading},gene_id,sequence\n0,g1,ACGT\n1,g2,AC\n")
    assert [name for name, _ in from_table(path)()] == ["g1", "g2"]
    path.write_text("id,gene_id,length\n0,g1,3\n1,g2,4\n")
    assert read_table(str(path), "features").index.tolist() == ["0", "1"], "a column that is called id has the ids"


@pytest.mark.parametrize(
    "text",
    [
        "id,length,gc,A,B,C\ng1,999.9,0.4,0,1,1\n,,,,,\ng2,99.9,0.5,1,0,0\n,,,,,\n,,,,,\n",
        "id;length;gc;A;B;C\ng1;999,9;0,4;0;1;1\ng2;99,9;0,5;1;0;0\n",
        "id,length,gc,A,B,C\ng1,999.9,0.4,FALSE,TRUE,TRUE\ng2,99.9,0.5,TRUE,FALSE,FALSE\n",
    ],
)
def test_files_are_read_as_genexp_prepare_reads_them(run, tmp_path, text):
    (tmp_path / "features.csv").write_text(text)
    found = features_by_id(run, ["g2", "g1"], str(tmp_path / "features.csv"), scaled=False)
    np.testing.assert_allclose(found["H"], [[0, 1], [2, 0]], atol=1e-6)
    np.testing.assert_array_equal(found["T"], [[1, 0, 0], [0, 1, 1]])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("id;length;gc;A;B;C\ng1;5.500;0;0;1;1\n", "separate thousands"),
        ("id,length,gc,A,B,C\ng0,1,1,1,1,1\ng1,many,0,0,1,1\n", r"not a number[\s\S]*column length, row 3 \(gene g1\)"),
        ("id,length,gc,A,B,C\ng1,,0,0,1,1\n", r"a feature is missing[\s\S]*g1, column length"),
    ],
)
def test_files_with_cells_that_are_no_numbers(run, tmp_path, text, expected):
    (tmp_path / "features.csv").write_text(text)
    with pytest.raises(UserError, match=expected):
        features_by_id(run, ["g1"], str(tmp_path / "features.csv"), scaled=False)


def test_a_sequence_that_is_missing_is_no_bases(tmp_path):
    (tmp_path / "table.csv").write_text("id,sequence\na,ACGT\nb,NA\n")
    assert dict(from_table(tmp_path / "table.csv")()) == {"a": "ACGT", "b": ""}
