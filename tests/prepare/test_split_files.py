import numpy as np
import pytest

from genexp.errors import UserError
from genexp.prepare import split_files
from genexp.prepare.genes import GeneNames

GENES = GeneNames(np.array(["a", "b", "c", "d"]))


def write(tmp_path, text):
    path = tmp_path / "split.tsv"
    path.write_text(text)
    return path


def test_a_given_split_is_found_by_looking(tmp_path):
    path = write(tmp_path, "gene\tlength\tset\nc\t4\tTest\na\t5\ttraining\nb\t6\tval\nz\t7\ttest\n")
    column, (rows,) = split_files.read_split_file(path, GENES, None, folds=None)
    assert (column, {name: mine.tolist() for name, mine in rows.items()}) == (
        "set",
        {"train": [0], "valid": [1], "test": [2]},
    )


def test_given_folds(tmp_path):
    path = write(tmp_path, "gene\tlength\tfold\nc\t40\t1\na\t50\t2\nb\t60\t3\n")
    column, folds = split_files.read_split_file(path, GENES, None, folds=3)
    assert (column, [rows["test"].tolist() for rows in folds]) == ("fold", [[2], [0], [1]])


def test_groups_of_a_file(tmp_path):
    path = write(tmp_path, "gene\tsymbol\tfamily\na\tA\tx\nb\tB\tx\nc\tC\t\n")
    column, groups = split_files.read_groups(path, GENES, None, "group")
    assert column == "family"
    assert groups[0] == groups[1] == "x"
    assert len(set(groups)) == 3
    assert len(set(split_files.read_groups(path, GENES, "symbol", "group")[1])) == 4


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("gene\tset\na\tone\nb\ttwo\n", None, "does not say which split"),
        ("d\ttrain\na\ttest\n", None, r"has no header[\s\S]*received: d, train[\s\S]*gene<TAB>split"),
        ("unknown\ttrain\na\ttest\n", None, "has no header"),
        ("gene\tset\na\tone\nb\ttwo\n", "set", r"received: one, two"),
        (
            "gene\tn\tset\na\t1\ttrain\nb\t2\t \nc\t3\ttset\n",
            None,
            r"column set, row 4 \(gene c\)[\s\S]*expected: train, training, valid[\s\S]*received: tset[\s\S]*'test'",
        ),
        ("gene\tset\na\ttrain\nb\ttest\n", "sett", "there is no column sett"),
        ("gene\tset\na\ttrain\na\ttest\n", None, "gene a occurs twice"),
        ("gene\tset\nq\ttrain\nr\ttest\n", None, "the join is empty"),
    ],
)
def test_bad_split_files(tmp_path, text, column, words):
    with pytest.raises(UserError, match=words):
        split_files.read_split_file(write(tmp_path, text), GENES, column, folds=None)


def test_a_fold_that_there_is_not(tmp_path):
    path = write(tmp_path, "gene\tfold\na\t1\nb\t\nc\t4\n")
    with pytest.raises(UserError, match=r"row 4 \(gene c\)[\s\S]*expected: numbers 1 to 3[\s\S]*received: 4"):
        split_files.read_split_file(path, GENES, None, folds=3)


def test_a_column_for_each_fold(tmp_path):
    path = write(
        tmp_path, "gene\tfold_1\tfold_2\tfold_3\na\ttrain\tvalid\ttest\nb\tvalid\ttest\ttrain\nc\ttest\t\tvalid\n"
    )
    column, folds = split_files.read_split_file(path, GENES, None, folds=3)
    assert column == "fold_1 to fold_3"
    assert [rows["test"].tolist() for rows in folds] == [[2], [1], [0]]
    assert folds[1]["train"].tolist() == []


def test_columns_that_say_different_splits_are_asked_for(tmp_path):
    path = write(tmp_path, "gene\tA\tB\na\ttrain\ttest\nb\ttest\ttrain\n")
    with pytest.raises(UserError, match=r"several columns say a split[\s\S]*split\.column=A"):
        split_files.read_split_file(path, GENES, None, folds=None)
    assert split_files.read_split_file(path, GENES, "B", folds=None)[0] == "B"


def test_chromosomes_that_are_numbers_with_an_empty_cell(tmp_path):
    path = write(tmp_path, "gene\tchrom\na\t1\nb\t2\nc\t\n")
    _, found = split_files.read_groups(path, GENES, None, "chromosome")
    assert found.tolist() == ["1", "2", "gene c alone", "gene d alone"]


def test_groups_that_are_long_numbers_or_differ_in_white_space(tmp_path):
    path = write(tmp_path, "gene\tfamily\na\t1000001\nb\t1000002\nc\t\nd\t1000001 \n")
    _, found = split_files.read_groups(path, GENES, None, "group")
    assert found.tolist() == ["1000001", "1000002", "gene c alone", "1000001"]


@pytest.mark.parametrize(
    ("header", "by", "words"),
    [
        ("gene\tsymbol\tlength", "group", "no column says which group"),
        ("gene\tfamily\tcluster", "group", "several columns say which group"),
        ("gene\tfamily\tlength", "chromosome", "no column says which chromosome"),
    ],
)
def test_a_column_of_groups_is_not_guessed(tmp_path, header, by, words):
    path = write(tmp_path, f"{header}\na\tx\t1\nb\ty\t2\n")
    with pytest.raises(UserError, match=words):
        split_files.read_groups(path, GENES, None, by)


def test_the_chromosome_is_not_the_family(tmp_path):
    path = write(tmp_path, "gene\tfamily\tchrom\na\tx\t1\nb\ty\t2\n")
    assert split_files.read_groups(path, GENES, None, "group")[0] == "family"
    assert split_files.read_groups(path, GENES, None, "chromosome")[0] == "chrom"
