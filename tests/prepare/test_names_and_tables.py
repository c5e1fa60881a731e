import gzip

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genexp.commands import command_of
from genexp.config.compose import compose_words
from genexp.errors import UserError
from genexp.prepare.expression import read_expression
from genexp.prepare.genes import GeneNames, check_unique, join, without_version
from genexp.prepare.ledger import Ledger
from genexp.prepare.tables import look_at


def names(*ids, **others):
    return GeneNames(np.array(ids), {kind: np.array(found) for kind, found in others.items()})


def test_joined_by_id_and_by_what_finds_more():
    assert join(names("a", "b", "c"), ["c", "a"], "x").rows.tolist() == [1, -1, 0]
    versions = join(names("G1.4", "G2.1"), ["G1.9", "G2"], "x")
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
    assert without_version("YAL001C") == "YAL001C"


def test_duplicates_are_named():
    with pytest.raises(UserError, match=r"gene b occurs twice[\s\S]*rows 3 and 5[\s\S]*1 rows too many"):
        check_unique(["a", "b", "c", "b"], "x")


DEFAULTS = compose_words(command_of("prepare"), ["source=tables", "out=o"]).config


def expression(path, ledger=None, strip_versions=False, **keys):
    genes = DEFAULTS.genes.model_copy(update={"strip_versions": strip_versions})
    return read_expression(
        DEFAULTS.model_copy(update={"expression": str(path), "genes": genes, **keys}), ledger or Ledger()
    )


def read_table(path):
    return look_at(path, "expression").read()


def write(path, text):
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize(
    "text",
    [
        "gene\ts1\ts2\na\t1\t2\nb\t3\t4.5\n",
        "gene,s1,s2\r\na,1,2\r\nb,3,4.5\r\n",
        "gene;s1;s2\na;1;2\nb;3;4.5\n",
        "gene s1 s2\na 1 2\nb 3 4.5\n",
        '"gene"\t"s1"\t"s2"\n"a"\t1\t2\n"b"\t3\t4.5\n',
        "s1\ts2\na\t1\t2\nb\t3\t4.5\n",
        "gene\ts1\ts2\na\t1\t2\t\nb\t3\t4.5\t\n",
        "gene\ts1\ts2\t\na\t1\t2\t\nb\t3\t4.5\t\n",
        "#1.2\n2\t2\ngene\ts1\ts2\na\t1\t2\nb\t3\t4.5\n",
        "# made by hand\n\ngene\ts1\ts2\na\t1\t2\nb\t3\t4.5",
    ],
)
@pytest.mark.parametrize("suffix", [".txt", ".gz"])
def test_every_way_to_write_a_table(tmp_path, text, suffix):
    path = write(tmp_path / f"x{suffix}", text)
    table = read_table(path)
    assert table.to_numpy().tolist() == [["a", 1.0, 2.0], ["b", 3.0, 4.5]]
    assert list(table.columns[1:]) == ["s1", "s2"]
    assert sum(len(chunk) for _, chunk in look_at(path, "expression").chunks(1)) == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no rows"),
        ("gene\ts1\n", "no rows"),
        ("gene\ts1\ts1\na\t1\t2\n", "column 's1' occurs twice"),
        ("gene\ts1\ts1\na\t1\t2\n", r"received: columns 2 and 3"),
        (
            "gene\ts1\na\t1\nb\t1\t2\t3\n",
            r"too many columns[\s\S]*line 3\n[\s\S]*expected: 2 columns[\s\S]*received: 4: b",
        ),
        ("gene\ts1\ts2\na\t1\t2\n\nb\t1\n", r"too few columns[\s\S]*line 4\n[\s\S]*expected: 3[\s\S]*received: 2: b"),
        ('gene,s1\n"a, b",1\n"c,2\n', r"a quote in this table is not closed[\s\S]*line 3"),
        ("gene s1\na 1\nb\n", r"too few columns[\s\S]*line 3"),
        ("#1.2\n3\t1\ngene\ts1\na\t1\nb\t2\n", r"this GCT file is cut short[\s\S]*expected: 3 rows[\s\S]*received: 2"),
        ("#1.2\n1\t1\ngene\ts1\na\t1\nb\t2\n", "this GCT file has more rows than it says"),
        ("gene\ts1\ts2\ts3\na\t1\n", "another number of columns than its header"),
    ],
)
def test_bad_tables(tmp_path, text, words):
    with pytest.raises(UserError, match=words):
        read_table(write(tmp_path / "x", text))


def test_a_gene_may_be_called_nan(tmp_path):
    table = read_table(write(tmp_path / "x", "gene\ts\nnan\t1\nNA\t2\n007\t3\n"))
    assert table["gene"].tolist() == ["nan", "NA", "007"]
    assert look_at(tmp_path / "x", "expression").columns == ["gene", "s"]


def test_reads_that_htseq_counts_for_no_gene_are_left_out(tmp_path):
    path = write(tmp_path / "x", "gene\ts\na\t1\n__no_feature\t9\nb\t2\n__alignment_not_unique\t7\n")
    assert expression(path)[0].names.ids.tolist() == ["a", "b"]


def test_median_over_samples_with_gaps(tmp_path):
    path = write(tmp_path / "x", "gene\tsymbol\ts1\ts2\ts3\na\tA\t1\t9\t2\nb\tB\t\tNA\t\nc\tC\t4\t\t6\n")
    found = expression(path)
    assert (found[0].names.ids.tolist(), found[0].labels[:, 0].tolist()) == (["a", "c"], [2, 5])
    assert found[0].names.others["symbol"].tolist() == ["A", "C"]
    assert found[2] == "median of 3 columns: s1, s2, s3; 1 rows without a value"
    assert expression(path, statistic="mean")[0].labels[:, 0].tolist() == [4, 5]
    assert expression(path, samples=["s2"])[0].labels[:, 0].tolist() == [9]


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
        ("gene\tbrain\na\t1\nb\t2\n", {"samples": ["brian"]}, r"no sample brian[\s\S]*did you mean 'brain'"),
        ("gene\ts\na.1\t1\na.2\t2\n", {"strip_versions": True}, "gene a occurs twice"),
        ("#1.2\n2\t1\ngene\ts\na\t1\nb\t-1\n", {}, "row 5"),
        ("gene\ts\tt\na\t1\t2\n", {"samples": ["s", "s"]}, r"sample s is named twice"),
        (
            "gene\ts\na\t1\nb\t230\n",
            {"expression_scale": "log10"},
            r"too large to be a logarithm[\s\S]*gene b[\s\S]*received: 230",
        ),
        ("gene;s\na;1,5\nb;2,25\n", {}, r"written with a comma[\s\S]*row 2 \(gene a\)[\s\S]*received: 1,5"),
        ("gene;s;t\na;1,5;1\nb;2,25;2\n", {}, "written with a comma"),
        ("ENSG1\t5\nENSG2\t7\n", {}, r"has no header[\s\S]*line 1[\s\S]*received: ENSG1, 5[\s\S]*gene<TAB>S1"),
        ("gene\tLength\na\t1\nb\t2\n", {}, "no column holds numbers"),
    ],
)
def test_bad_expression(tmp_path, text, settings, words):
    with pytest.raises(UserError, match=words):
        expression(write(tmp_path / "x.tsv", text), **settings)


@pytest.mark.parametrize(
    ("header", "best"),
    [
        ("gene_id transcript_id(s) length effective_length expected_count TPM FPKM", "TPM"),
        ("Name Length EffectiveLength TPM NumReads", "TPM"),
        ("gene length RPKM counts", "RPKM"),
        ("target_id length eff_length est_counts tpm", "tpm"),
    ],
)
def test_units_of_one_sample_are_not_averaged(tmp_path, header, best):
    """As RSEM, Salmon and kallisto write them."""
    columns = header.split()
    lines = [header, *(" ".join([gene, *map(str, range(1, len(columns)))]) for gene in "ab")]
    path = write(tmp_path / "x", "\n".join(lines))
    with pytest.raises(UserError, match=rf"several units of one sample[\s\S]*'samples=\[{best}\]'"):
        expression(path)
    assert expression(path, samples=[best])[0].labels[:, 0].tolist() == [columns.index(best)] * 2


def test_columns_about_genes_are_not_samples(tmp_path):
    """As featureCounts writes them, whose places are lists."""
    head = "# Program:featureCounts\nGeneid\tChr\tStart\tEnd\tStrand\tLength\ts1.bam\ts2.bam\n"
    path = write(tmp_path / "x", head + "a\t1;1\t5;9\t6;10\t+;+\t4\t1\t3\nb\t2\t5\t6\t-\t2\t5\t7\n")
    found = expression(path)
    assert found[0].labels[:, 0].tolist() == [2, 6]
    assert found[2].startswith("median of 2 columns: s1.bam, s2.bam; left out as not samples: Chr, Start")
    assert "Chr" not in found[0].names.others
    assert expression(path, samples=["Length"])[0].labels[:, 0].tolist() == [4, 2]


def test_many_columns_are_abbreviated(tmp_path):
    names = [f"s{n}" for n in range(9)]
    path = write(tmp_path / "x", "\t".join(["gene", *names]) + "\na" + "\t1" * 9 + "\n")
    assert expression(path, statistic="mean")[2] == "mean of 9 columns: s0, s1, s2, s3 and 5 more"
    assert expression(path, samples=["s2"], statistic="mean")[2] == "column s2"


def test_logarithms_may_be_negative(tmp_path):
    genes, _, _ = expression(write(tmp_path / "x", "gene\ts\na\t-1\nb\t2\n"), expression_scale="log10")
    assert genes.labels[:, 0].tolist() == [-1, 2]


def test_expression_cut_short(tmp_path):
    path = tmp_path / "x.gz"
    lines = "".join(f"g{n}\t{n * 7919 % 1009}\n" for n in range(5000))
    path.write_bytes(gzip.compress(("gene\ts\n" + lines).encode())[:9000])
    with pytest.raises(UserError, match="cut short"):
        expression(path)
