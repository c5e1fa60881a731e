import gzip

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genexp.commands import command_of
from genexp.config.compose import compose_words
from genexp.errors import UserError
from genexp.prepare.expression import read_expression
from genexp.prepare.genes import GeneNames, check_unique, join, join_best, spoiled, without_version
from genexp.prepare.ledger import Ledger


def names(*ids, **others):
    return GeneNames(np.array(ids), {kind: np.array(found) for kind, found in others.items()})


def test_joined_by_id_and_by_what_finds_more():
    assert join(names("a", "b", "c"), ["c", "a"], "x").rows.tolist() == [1, -1, 0]
    versions = join(names("ENSG00001.4", "ENSG00002.1"), ["ENSG00001.9", "ENSG00002"], "x")
    assert (versions.by, versions.rows.tolist()) == ("id without version", [0, 1])
    symbols = join(names("E1", "E2", gene_name=["TP53", ""]), ["TP53", "E9"], "x")
    assert (symbols.by, symbols.rows.tolist(), symbols.found.tolist()) == ("gene_name", [0, -1], [True, False])
    assert "joined by gene_name" in symbols.remark()


def test_a_name_of_two_genes_joins_neither():
    found = join(names("E1", "E2", "E3", gene_name=["A", "A", "B"]), ["A", "B"], "x")
    assert (found.rows.tolist(), found.ambiguous) == ([-1, -1, 1], 2)


def test_empty_join_shows_both_sides():
    with pytest.raises(UserError, match=r"the join is empty[\s\S]*id: E1; gene_name: A[\s\S]*YAL001C"):
        join(names("E1", gene_name=["A"]), ["YAL001C"], "x")


def test_rows_are_joined_by_the_column_that_has_the_most_names():
    genes = names("E1", "E2", "E3", symbol=["A", "B", "C"])
    rows = names("4", "9", "12", symbol=["C", "A", "x"])
    found, column = join_best(genes, rows, "e.csv")
    assert (found.rows.tolist(), column) == ([1, -1, 0], "symbol")
    assert join_best(genes, names("E1", "E2", "E3", symbol=["A", "B", "C"]), "e.csv")[1] == ""
    with pytest.raises(UserError, match=r"join is empty[\s\S]*received: 4, 9"):
        join_best(genes, names("4", "9", symbol=["y", "z"]), "e.csv")


def test_synonyms_are_tried_last_and_are_no_headings():
    genes = names("E1", "E2", Alias=["a", "b"], locus=["a", "b"])
    assert join(genes, ["a", "b"], "x").by == "locus"
    assert genes.is_gene("E1")
    assert not names("E1", Alias=["myc"]).is_gene("myc")


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.from_regex(r"[A-Z]{1,3}[0-9]{0,2}", fullmatch=True), min_size=1, max_size=20, unique=True), st.randoms()
)
def test_a_join_is_that_of_dictionaries(ids, random):
    rows = random.sample(ids, random.randint(1, len(ids)))
    place = {name: n for n, name in enumerate(rows)}
    assert join(names(*ids), rows, "x").rows.tolist() == [place.get(gene, -1) for gene in ids]


def test_versions():
    assert without_version("ENSG00000141510.18") == "ENSG00000141510"
    assert without_version("ENSG00000002586.20_PAR_Y") == "ENSG00000002586_PAR_Y"
    for known in ("NM_000546.6", "Solyc01g005000.3", "FBgn0000001.1", "P04637.2"):
        assert without_version(known) == known.partition(".")[0]
    clones = ("AC012345.1", "AL123456.23", "Z12345.1", "CAAA01118383.1")
    # the number of a gene of a clone is no version
    for other in ("YAL001C", "SPAC1000.03", "Y74C9A.3", "F26B1.10", *clones):
        assert without_version(other) == other


@pytest.mark.parametrize(
    ("ids", "rows", "by"),
    [
        (["ENSG00000141510", "ENSG00000012048"], ["ENSG00000141510.18|TP53", "ENSG00000012048.20|BRCA1"], "before |"),
        (["ENSG00000141510", "ENSG00000012048"], ["TP53|ENSG00000141510", "BRCA1|ENSG00000012048.1"], "after |"),
        (["ENSG00000141510", "ENSG00000012048"], ["ENSG00000141510_TP53", "ENSG00000012048_BRCA1"], "before _"),
        (["b0001", "b0002"], ["gene-b0001", "gene-b0002"], "after the prefix"),
        (["7157", "672"], ["GeneID:7157", "GeneID:672"], "after the prefix"),
        (["gene:AT1G01010", "gene:AT1G01020"], ["AT1G01010", "AT1G01020"], "after the prefix"),
        (["YAL001C", "YAL002W"], ["yal001c", "Yal002w"], "in upper or lower case"),
    ],
)
def test_joined_by_a_part_of_the_id_or_in_another_case(ids, rows, by):
    found = join(names(*ids), rows, "x")
    assert found.rows.tolist() == [0, 1]
    assert by in found.remark()


def test_case_counts_where_names_differ_by_it_alone():
    found = join(names("tpa-1", "TPA-1", "abc"), ["ABC", "tpA-1", "X"], "x")
    assert found.rows.tolist() == [-1, -1, 0]
    found = join(names("abc", "def", "ghi"), ["abc", "def", "GHI"], "x")
    assert (found.rows.tolist(), found.by) == ([0, 1, 2], "id, in upper or lower case")


@pytest.mark.parametrize(
    ("rows", "kind"),
    [
        (["7157", "672"], "Entrez ids"),
        (["ENST00000269305.9", "ENST00000357654"], "Ensembl transcripts"),
        (["NM_000546.6", "NR_046018"], "RefSeq transcripts"),
        (["1007_s_at", "1053_at"], "probes of an array"),
    ],
)
def test_an_empty_join_names_what_the_names_look_like(rows, kind):
    with pytest.raises(UserError, match=rf"received: .*\({kind}\)"):
        join(names("ENSG00000141510"), rows, "x")


@pytest.mark.parametrize(
    "name",
    [
        "1-Mar",
        "2-Sep",
        "Mar-01",
        "Sep-02",
        "2023-03-01",
        "2023-03-01 00:00:00",
        "2.31E+13",
        "1/3/2023",
        "2023/3/1",
        "01.03.2023",
        "01-03-2023",
        "1. Mrz",
        "3-Okt",
        "1-mars",
        "2-sept.",
        "1-d\u00e9c",
        "1-ago-24",
    ],
)
def test_dates_that_a_spreadsheet_made(name):
    assert spoiled([name]).all()
    with pytest.raises(UserError, match=r"occurs twice: a spreadsheet[\s\S]*rows 2 and 4"):
        check_unique([name, "a", name], "x")


def test_names_of_genes_that_are_no_dates():
    real = ["MARCH1", "SEPT2", "sep-1", "dec-7", "oct-1", "apr-1", "2310009E13Rik", "7157", "Mar1", "H2-Ab1", "b0001"]
    real += ["Mars1", "mars-1", "set-2", "out-1", "AVR2"]
    assert not spoiled(real).any()


def test_duplicates_are_named():
    with pytest.raises(UserError, match=r"gene b occurs twice[\s\S]*rows 3 and 5[\s\S]*1 rows too many"):
        check_unique(["a", "b", "c", "b"], "x")


DEFAULTS = compose_words(command_of("prepare"), ["source=tables", "out=o"]).config


def expression(path, ledger=None, strip_versions=False, **keys):
    genes = DEFAULTS.genes.model_copy(update={"strip_versions": strip_versions})
    return read_expression(
        DEFAULTS.model_copy(update={"expression": str(path), "genes": genes, **keys}), ledger or Ledger()
    )


def write(path, text):
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def test_reads_that_htseq_counts_for_no_gene_are_left_out(tmp_path):
    path = write(tmp_path / "x", "gene\ts\na\t1\n__no_feature\t9\nb\t2\n__alignment_not_unique\t7\n")
    assert expression(path)[0].names.ids.tolist() == ["a", "b"]


def test_median_over_samples_with_gaps(tmp_path):
    path = write(tmp_path / "x", "gene\tsymbol\ts1\ts2\ts3\na\tA\t1\t9\t2\nb\tB\t\tNA\t\nc\tC\t4\t\t6\n")
    found = expression(path)
    assert (found[0].names.ids.tolist(), found[0].labels[:, 0].tolist()) == (["a", "c"], [2, 5])
    assert found[0].names.others["symbol"].tolist() == ["A", "C"]
    assert found[2] == (
        "median of 3 columns: s1, s2, s3; 1 rows without a value; "
        "1 genes lack a value in some samples: median of the others"
    )
    assert expression(path, statistic="mean")[0].labels[:, 0].tolist() == [4, 5]
    assert expression(path, samples=["s2"])[0].labels[:, 0].tolist() == [9]


def test_genes_of_a_clone_stay_apart_without_versions(tmp_path):
    path = write(tmp_path / "x", "gene\tS_TPM\nENSG00000141510.18\t1\nAC012345.1\t2\nAC012345.2\t4\n")
    found = expression(path, strip_versions=True)[0]
    assert found.names.ids.tolist() == ["ENSG00000141510", "AC012345.1", "AC012345.2"]
    assert found.labels[:, 0].tolist() == [1, 2, 4]


@pytest.mark.parametrize(
    ("text", "settings", "words"),
    [
        (
            "gene\ts\na\t1\nb\t-2\n",
            {},
            r"negative[\s\S]*column s, row 3 \(gene b\)[\s\S]*-2[\s\S]*expression_scale=log10",
        ),
        ("gene\ts\na\t1\nb\tlow\n", {}, r"is not a number[\s\S]*row 3 \(gene b\)[\s\S]*received: low"),
        ("gene\ts\na\t1\nb\tinf\n", {}, "is not a number"),
        ("gene\ts\na\t1\na\t2\n", {}, r"gene a occurs twice[\s\S]*rows 2 and 3"),
        ("gene\ts\na\tx\nb\ty\n", {}, "no column holds numbers"),
        ("gene\tbrain\na\t1\nb\t2\n", {"samples": ["brian"]}, r"no column brian[\s\S]*did you mean 'brain'"),
        ("gene\ts\nG00001.1\t1\nG00001.2\t2\n", {"strip_versions": True}, "gene G00001 occurs twice"),
        ("#1.2\n2\t1\ngene\ts\na\t1\nb\t-1\n", {}, "row 5"),
        ("gene\ts\tt\na\t1\t2\n", {"samples": ["s", "s"]}, r"column s is named twice"),
        (
            "gene\ts\na\t1\nb\t230\n",
            {"expression_scale": "log10"},
            r"too large to be a logarithm[\s\S]*gene b[\s\S]*received: 230",
        ),
        ("gene;s\na;1,500\nb;2,250\n", {}, r"written with a comma, .*thousands[\s\S]*row 2 \(gene a\)[\s\S]*1,500"),
        ("gene;s;t\na;1,5;1.5\nb;2,25;2\n", {}, "written with a comma"),
        ("gene;s\na;1.000,5\nb;2,25\n", {}, "written with a comma"),
        ('gene,s\na,"1,5"\nb,"2,25"\n', {}, "written with a comma"),
        ("gene\ts\na\t0\nb\t2\n", {"pseudocount": 0.0}, "the logarithm of 0 does not exist"),
        ("gene\ts\ta\ng\t1\t2\n", {"label": {"x": []}}, "a label has no samples"),
        ("gene\ts\na\t1\nb\t2\n", {"samples": ["gene"]}, "cannot be both an id and a sample"),
        ("ENSG1\t5\nENSG2\t7\n", {}, r"has no header[\s\S]*line 1[\s\S]*received: ENSG1, 5[\s\S]*gene<TAB>S1"),
        ("gene\tLength\na\t1\nb\t2\n", {}, "no column holds numbers"),
    ],
)
def test_bad_expression(tmp_path, text, settings, words):
    with pytest.raises(UserError, match=words):
        expression(write(tmp_path / "x.tsv", text), **settings)


def test_many_columns_are_abbreviated(tmp_path):
    names = [f"s{n}" for n in range(9)]
    path = write(tmp_path / "x", "\t".join(["gene", *names]) + "\na" + "\t1" * 9 + "\n")
    assert expression(path, statistic="mean")[2] == "mean of 9 columns: s0, s1, s2, s3 and 5 more"
    assert expression(path, samples=["s2"], statistic="mean")[2] == "column s2"


@pytest.mark.parametrize("scale", ["log2", "ln", "log10"])
def test_logarithms_may_be_negative(tmp_path, scale):
    genes, _, _ = expression(write(tmp_path / "x", "gene\ts\na\t-1\nb\t2.5\n"), expression_scale=scale)
    assert genes.labels[:, 0].tolist() == [-1, 2.5]


@pytest.mark.parametrize(
    ("name", "text", "settings", "words"),
    [
        ("x", "gene\ts\na\t1.5\nb\t9\n", {}, "below 25, as logarithms are"),
        ("x", "gene\tlog2_TPM\na\t1.5\nb\t90\n", {}, "'log2_TPM' says that these are logarithms"),
        ("log_tpm.tsv", "gene\ts\na\t1.5\nb\t90\n", {}, "'log_tpm.tsv' says that these are logarithms"),
        ("x", "gene\ts\na\t3\nb\t9\n", {"expression_scale": "log2"}, "whole numbers, as counts are"),
        ("x", "gene\ts\na\t3.5\nb\t900\n", {}, None),
        ("catalogue.tsv", "gene\tlogic\na\t3\nb\t9\n", {}, None),
        ("x", "gene\ts\na\t3.5\nb\t-9\n", {"expression_scale": "log2"}, None),
    ],
)
def test_a_scale_that_contradicts_the_values_is_warned_about(tmp_path, name, text, settings, words):
    warned = []
    expression(write(tmp_path / name, text), Ledger(warn=warned.append), **settings)
    assert [words in line for line in warned] == [True] if words else not warned


@pytest.mark.parametrize(
    ("label", "names", "values"),
    [
        (None, ("expression",), [[2], [5], [3]]),
        ("s1", ("s1",), [[1], [4]]),
        (["s1", "s3"], ("s1", "s3"), [[1, 3], [4, 6], [None, 3]]),
        (["s1", "...", "s3"], ("s1", "s2", "s3"), [[1, 2, 3], [4, None, 6], [None, None, 3]]),
        ({"x": ["s1", "s3"], "y": ["s2"]}, ("x", "y"), [[2, 2], [5, None], [3, None]]),
    ],
)
def test_labels(tmp_path, label, names, values):
    path = write(tmp_path / "x", "gene\ts1\ts2\ts3\na\t1\t2\t3\nb\t4\t\t6\nc\t\t\t3\nd\t\t\t\n")
    genes, _, _ = expression(path, label=label)
    assert genes.label_names == names
    np.testing.assert_array_equal(genes.labels, np.array(values, float))


def test_expression_cut_short(tmp_path):
    path = tmp_path / "x.gz"
    lines = "".join(f"g{n}\t{n * 7919 % 1009}\n" for n in range(5000))
    path.write_bytes(gzip.compress(("gene\ts\n" + lines).encode())[:9000])
    with pytest.raises(UserError, match="cut short"):
        expression(path)
