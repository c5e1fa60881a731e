"""First columns that count the rows, as pandas, R and databases write them: no sample, feature, factor, split or id."""

import random
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from preparing import configured

from genexp.errors import UserError
from genexp.prepare.formats import is_id
from genexp.prepare.gather import gather, masked
from genexp.prepare.genes import GeneNames, RawGenes
from genexp.prepare.ledger import Ledger
from genexp.prepare.row_numbers import odd_numbers, without_row_numbers
from genexp.prepare.sequence_columns import without_numbers
from genexp.prepare.split_files import read_split_file
from genexp.prepare.tables import look_at
from genexp.prepare.targets import read_targets

HEADINGS = ["", "Unnamed: 0", "Unnamed: 0.1", "X", "X.1", "V1", "...1", "index", "id", "row", "rowname", "row_names"]
IDS = [f"ENSG{n:011}" for n in range(12)]
GENES = GeneNames(np.array(IDS))
VALUES = np.random.default_rng(2).gamma(2, 20, 12).round(2)


def write(path, columns, separator=","):
    pd.DataFrame(columns).to_csv(path, sep=separator, index=False)
    return path


def numbered(heading, start=0, **columns):
    return {heading: range(start, start + len(IDS)), **columns}


def gathered(path, **words):
    """Return the genes of two tables, and what was said."""
    said = []
    expression = write(path / "plain.csv", {"gene": IDS, "S1": VALUES, "S2": VALUES})
    features = write(path / "h0.csv", {"gene": IDS, "f": VALUES})
    files = {"expression": str(expression), "halflife": str(features)}
    files |= {key: str(file) if isinstance(file, Path) else file for key, file in words.items()}
    config = configured(source="tables", out=str(path / "out"), **files)
    return gather(config, Ledger(said.append, said.append)), "\n".join(said)


@pytest.mark.parametrize("heading", HEADINGS)
@pytest.mark.parametrize("start", [0, 1])
def test_they_are_no_sample_and_no_feature(tmp_path, heading, start):
    columns = numbered(heading, start, gene_id=IDS, S1=VALUES, S2=VALUES + 10)
    genes, said = gathered(
        tmp_path, expression=write(tmp_path / "e.csv", columns), halflife=write(tmp_path / "h.csv", columns)
    )
    assert genes.names.ids.tolist() == IDS
    assert genes.labels[:, 0].tolist() == pytest.approx(VALUES + 5)
    assert (genes.halflife_names, genes.halflife[:, 0].tolist()) == (("S1", "S2"), VALUES.tolist())
    left = f"column {heading or '(no heading)'} counts the rows and is left out"
    assert re.findall(r"column [^;]* counts the rows and is left out", said) == [left, left]


def test_several_of_them(tmp_path):
    columns = {"X.1": range(1, 13), "X": range(1, 13), "gene_id": IDS, "S1": VALUES}
    genes, said = gathered(tmp_path, expression=write(tmp_path / "e.csv", columns))
    assert genes.labels[:, 0].tolist() == VALUES.tolist()
    assert "column X.1 counts the rows and is left out; column X counts the rows and is left out" in said


@pytest.mark.parametrize("suffix", ["tsv", "xlsx", "parquet"])
def test_in_every_kind_of_file(tmp_path, suffix):
    frame = pd.DataFrame(numbered("X", 1, gene_id=IDS, S1=VALUES))
    path = tmp_path / f"e.{suffix}"
    if suffix == "tsv":
        frame.to_csv(path, sep="\t", index=False)
    else:
        frame.to_parquet(path) if suffix == "parquet" else frame.to_excel(path, index=False)
    assert gathered(tmp_path, expression=path)[0].labels[:, 0].tolist() == VALUES.tolist()


def test_values_of_rows_below_are_found_at_their_lines(tmp_path):
    columns = numbered("X", 1, gene_id=IDS, S1=[*VALUES[:-1], "low"])
    with pytest.raises(UserError, match=r"column S1, row 13 \(gene ENSG00000000011\)"):
        gathered(tmp_path, expression=write(tmp_path / "e.csv", columns))
    path = tmp_path / "cut.csv"
    path.write_text("X,gene_id,S1\n1,a,2\n2,b\n")
    with pytest.raises(UserError, match=r"too few columns[\s\S]*expected: 3 columns"):
        gathered(tmp_path, expression=path)


def test_a_column_that_a_command_names_is_kept(tmp_path):
    path = write(tmp_path / "e.csv", numbered("X", 1, gene_id=IDS, S1=VALUES))
    genes, _ = gathered(tmp_path, expression=path, samples=["X"])
    assert genes.labels[:, 0].tolist() == list(range(1, 13))


@pytest.mark.parametrize("columns", [{"X": range(3, 15), "gene_id": IDS}, {"X": [*range(11), 40], "gene_id": IDS}])
def test_other_whole_numbers_are_asked_for(tmp_path, columns):
    path = write(tmp_path / "e.csv", {**columns, "S1": VALUES})
    assert odd_numbers(look_at(path, "expression"), is_id) == ["X"]
    with pytest.raises(UserError, match=r"hardly be samples: X\n[\s\S]*\{gene: gene_id, samples: \[S1\]"):
        gathered(tmp_path, expression=path)
    with pytest.raises(UserError, match=r"column X .*may be a feature or number the rows[\s\S]*features: \[S1\]"):
        gathered(tmp_path, halflife=path)
    with pytest.raises(UserError, match=r"columns that are not explained: X\n[\s\S]*factors: \[S1\]"):
        read_targets(path, "tf", GENES)
    with pytest.raises(UserError, match="may be ids of genes or numbers of rows"):
        read_split_file(write(tmp_path / "s.csv", {**columns, "set": "train"}), GENES, None, folds=None)


def test_what_may_be_values_stays(tmp_path):
    for columns in (
        {"S": range(12), "gene_id": IDS},  # called as no such column
        {"X": range(12), "length": VALUES},  # no ids beside it
        {"X": VALUES, "gene_id": IDS},
        {"gene_id": IDS, "X": range(12)},
    ):
        table = look_at(write(tmp_path / "e.csv", columns), "expression")
        assert without_row_numbers(table, is_id) is table
        assert not odd_numbers(table, is_id)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 120), st.integers(0, 3), st.integers(0, 200), st.randoms())
def test_only_exact_counts_are_left_out(tmp_path_factory, rows, start, wrong, rng):
    cells = list(range(start, start + rows))
    if wrong < rows:
        cells[wrong] += rng.randint(1, 9)
    path = tmp_path_factory.mktemp("x") / "e.csv"
    pd.DataFrame({"X": cells, "gene": [f"g{n}" for n in range(rows)], "S": 1.5}).to_csv(path, index=False)
    left = without_row_numbers(look_at(path, "expression"), is_id)
    counts = start < 2 and wrong >= rows
    assert left.columns == (["gene", "S"] if counts else ["X", "gene", "S"])
    assert left.read()["gene"].tolist() == [f"g{n}" for n in range(rows)]


@pytest.mark.parametrize("heading", ["", "X", "Unnamed: 0", "index"])
def test_they_are_no_factor(tmp_path, heading):
    hits = [[n % 2, n % 3 % 2] for n in range(12)]
    columns = dict(zip(["A", "B"], np.array(hits).T, strict=True))
    wide = read_targets(write(tmp_path / "t.csv", numbered(heading, gene=IDS, **columns)), "tf", GENES)
    assert (wide.names, wide.values.tolist()) == (("A", "B"), hits)
    assert "counts the rows and is left out" in wide.form
    pairs = read_targets(write(tmp_path / "p.csv", numbered(heading, 1, tf="A", target=IDS)), "tf", GENES)
    assert (pairs.names, pairs.values.sum()) == (("A",), 12)


def test_they_are_no_ids_of_a_split(tmp_path):
    labels = ["train"] * 8 + ["valid"] * 2 + ["test"] * 2
    path = write(tmp_path / "s.csv", numbered("", gene_id=IDS, set=labels))
    column, (rows,) = read_split_file(path, GENES, None, folds=None)
    assert column == "set (column (no heading) counts the rows and is left out)"
    assert rows["test"].tolist() == [10, 11]


def test_they_are_no_column_of_sequences(tmp_path):
    config = configured(source="sequences", table="t.csv", out="o")
    columns = {"sequence": "ACGTACGTAC", "label": VALUES}
    for heading, more, left in (
        ("X", {}, ["sequence", "label"]),
        ("", {"name": IDS}, ["name", "sequence", "label"]),
        ("id", {}, ["id", "sequence", "label"]),
    ):
        table = look_at(write(tmp_path / "t.csv", numbered(heading, **more, **columns)), "table")
        assert without_numbers(table, config).columns == left


def test_they_are_no_names_of_a_mask(tmp_path):
    """Also where they are Entrez ids of other genes."""
    entrez = np.array([str(n) for n in random.Random(1).sample(range(12), 12)])
    genes = RawGenes(GeneNames(GENES.ids, {"GeneID": entrez}), np.zeros((12, 1)))
    said = []
    for heading in ("", '""', "Unnamed: 0"):
        path = tmp_path / "m.csv"
        path.write_text(f"{heading},gene_id\n0,{IDS[3]}\n1,{IDS[5]}\n")
        left = masked(genes, path, Ledger(said.append, said.append))
        assert set(IDS) - set(left.names.ids.tolist()) == {IDS[3], IDS[5]}
    assert "column 2 of m.csv" in said[0]
    path.write_text(f"{IDS[3]} {IDS[4]}\n{IDS[5]} x\n")
    assert len(masked(genes, path, Ledger())) == 10
