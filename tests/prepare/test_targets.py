import gzip

import numpy as np
import pytest

from genexp.errors import UserError
from genexp.prepare.genes import GeneNames
from genexp.prepare.targets import read_targets

GENES = GeneNames(np.array(["g1", "g2", "g3"]), {"gene_name": np.array(["A", "B", "C"])})
WANTED = [[1, 0], [0, 0], [1, 1]]


def read(tmp_path, text, name="x.tsv"):
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return read_targets(path, "tf", GENES)


@pytest.mark.parametrize(
    ("text", "name", "form"),
    [
        ("id\tsymbol\tTF1\tTF2\ng3\tC\t1\t1\ng9\tX\t0\t1\ng1\tA\t1\t0\n", "x.tsv.gz", "wide, genes in column id"),
        ("id,TF1,TF2\nC,1,1\nA,1,0\nX,1,1\n", "x.csv", "wide, genes in column id"),
        ("id\tsymbol\ttf\ng3\tC\tTF1\ng3\tC\tTF2\ng1\tA\tTF1\ng9\tX\tTF9\ng1\tA\tTF1\n", "x.tsv", "pairs of id and tf"),
        ("tf\ttarget\nTF1\tg3\nTF2\tg3\nTF1\tg1\n", "x.tsv", "pairs of target and tf"),
        (
            "source\tconfidence\ttarget\tmor\nTF1\thi\tC\t1\nTF2\thi\tC\t-1\nTF1\tlow\tA\t1\n",
            "x.tsv",
            "pairs of target and source",
        ),
        ("gene\ttf\tweight\ng3\tTF1\t0.5\ng3\tTF2\t1\ng1\tTF1\t2\n", "x.tsv", "pairs of gene and tf"),
        ("TF1\tabout\tg1\tg3\nTF2\tabout\tg3\tg7\n", "x.gmt", "GMT"),
        ("TF1\tabout\tA\tC,0.7\nTF2\tabout\tC\n", "x.gmt.gz", "GMT"),
    ],
)
def test_every_form_gives_the_same_block(tmp_path, text, name, form):
    found = read(tmp_path, text, name)
    assert found.values.tolist() == WANTED
    assert found.values.dtype == np.uint8
    assert found.names == ("TF1", "TF2")
    assert found.form == form
    assert found.join.found.tolist() == [True, False, True]


def test_real_values(tmp_path):
    found = read(tmp_path, "id\tTF1\tTF2\ng1\t0.5\t0\ng2\t1\t-3\n")
    assert found.values.dtype == np.float32
    assert found.values.tolist() == [[0.5, 0], [1, -3], [0, 0]]


def test_a_factor_may_be_called_as_a_gene(tmp_path):
    assert read(tmp_path, "id\tg1\tg2\ng1\t1\t0\ng2\t1\t1\n").names == ("g1", "g2")
    assert read(tmp_path, "TF\tgene\ng1\tg2\ng2\tg3\n").form == "pairs of gene and TF"


def test_wide_tables_are_read_in_chunks(tmp_path):
    rng = np.random.default_rng(0)
    values = rng.integers(0, 2, (4500, 3))
    lines = [f"g{n}\t" + "\t".join(map(str, row)) for n, row in enumerate(values)]
    found = read(tmp_path, "id\ta\tb\tc\n" + "\n".join(lines))
    assert found.values.tolist() == values[[1, 2, 3]].tolist()


@pytest.mark.parametrize(
    ("text", "name", "words"),
    [
        ("id\tTF1\ng1\t1\ng2\t\n", "x.tsv", r"empty cell[\s\S]*column TF1, row 3 \(gene g2\)"),
        ("id\tTF1\ng1\t1\ng2\tyes\n", "x.tsv", "is not a number"),
        ("id\tTF1\ng1\t1\ng1\t0\n", "x.tsv", r"gene g1 occurs twice[\s\S]*rows 2 and 3"),
        ("id\ttf\ng1\tTF1\ng2\n", "x.tsv", r"too few columns[\s\S]*line 3"),
        ("g1\t1\t0\ng2\t0\t1\n", "x.tsv", r"has no header[\s\S]*received: g1, 1, 0[\s\S]*gene<TAB>FACTOR1"),
        ("TF1\tA\nTF2\tB\n", "x.tsv", r"has no header[\s\S]*at the top: tf<TAB>gene"),
        ("q1\tTF1\ng1\tTF1\ng2\tTF2\n", "x.tsv", r"has no header[\s\S]*at the top: gene<TAB>tf"),
        ("id\tTF1\nq1\t1\nq2\t0\n", "x.tsv", "the join is empty"),
        ("TF1\tg1\n", "x.gmt", "names no genes"),
        (
            "a\tb\nq\tr\n",
            "x.tsv",
            r"no format that is known[\s\S]*columns a, b[\s\S]*'tf_columns={gene: a, factor: b}'",
        ),
        ("gene\ttf\nq\tr\n", "x.tsv", "the join is empty"),
        ("tf\tg1\tg2\tg3\nTF1\t1\t0\t1\nTF2\t0\t0\t1\n", "x.tsv", r"its columns, not its rows[\s\S]*transpose it"),
    ],
)
def test_bad_targets(tmp_path, text, name, words):
    with pytest.raises(UserError, match=words):
        read(tmp_path, text, name)
