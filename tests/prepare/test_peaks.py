import numpy as np
import pytest

from genexp.errors import UserError
from genexp.prepare.genes import GeneNames, RawGenes
from genexp.prepare.peaks import tss_from_peaks

CHOSEN = RawGenes(
    GeneNames(np.array(["g1", "g2"]), {"gene_name": np.array(["A", "B"])}),
    np.zeros((2, 1)),
    chromosome=np.array(["1", "1"]),
    strand=np.array(["+", "-"]),
    tss=np.array([1000, 5000]),
)


def move(tmp_path, text):
    path = tmp_path / "peaks.bed"
    path.write_text(text)
    return tss_from_peaks(path, CHOSEN)


def test_peaks_named_after_genes(tmp_path):
    tss, words = move(
        tmp_path,
        "track name=x\nchr1\t1100\t1110\tp1@A\t50\t+\t1103\t1104\n"
        "1\t4000\t4011\tp2@B\t99\t-\t4005\t4006\n1\t4000\t4011\tp1@A,p1@Q\t9\t-\t4005\t4006\n",
    )
    assert tss.tolist() == [1103, 5000]
    assert "for 1 genes" in words


def test_peaks_on_the_other_strand_do_not_count(tmp_path):
    tss, _ = move(tmp_path, "1\t1105\t1106\tg1\t50\t-\n1\t4905\t4906\tg2\t50\t-\n")
    assert tss.tolist() == [1000, 4905]


def test_nameless_peaks_go_to_the_nearest_gene_by_score(tmp_path):
    tss, words = move(
        tmp_path,
        "chr1\t900\t901\tpeak1\t5\t+\nchr1\t1100\t1101\tpeak2\t50\t+\nchr1\t1600\t1601\tpeak3\t500\t+\nchr1\t1000\t1001\tp\t900\t-\n",
    )
    assert tss.tolist() == [1100, 5000]
    assert "BED peaks (the strongest within 500 nt" in words


PLUS, MINUS = "chr1\t{}\t{}\t{}\t900\t+", "chr1\t{}\t{}\t{}\t900\t-"


@pytest.mark.parametrize(
    ("kind", "lines"),
    [
        ("BED", [PLUS.format(1103, 1104, "g1"), MINUS.format(4905, 4906, "g2")]),
        ("BED", [PLUS.format(1103, 1104, "A") + "\t7", MINUS.format(4905, 4906, "B") + "\t8"]),
        (
            "EPDnew",
            [PLUS.format(1054, 1114, "A_1") + "\t1103\t1114", MINUS.format(4895, 4955, "B_1") + "\t4895\t4906"],
        ),
        (
            "BED9",
            [PLUS.format(1100, 1110, "p1@A") + "\t1103\t1104\t0", MINUS.format(4900, 4910, "p1@B") + "\t4905\t4906\t0"],
        ),
        ("BED9", [PLUS.format(1103, 1104, "A") + "\t1103\t1104\t0", MINUS.format(4905, 4906, "B") + "\t0\t0\t0"]),
        (
            "narrowPeak",
            [PLUS.format(1100, 1110, "x") + "\t3.5\t-1\t-1\t3", MINUS.format(4900, 4910, "y") + "\t9\t-1\t-1\t5"],
        ),
        (
            "narrowPeak",
            [PLUS.format(1103, 1104, "x") + "\t3.5\t-1\t-1\t-1", MINUS.format(4905, 4906, "y") + "\t9\t-1\t-1\t0"],
        ),
        (
            "BED12",
            [
                PLUS.format(1103, 2000, "g1") + "\t1200\t1900\t0\t2\t10,20,\t0,877,",
                MINUS.format(3000, 4906, "g2") + "\t3100\t4800\t0\t1\t1906\t0",
            ],
        ),
        (
            "BED12",
            [
                PLUS.format(1100, 1120, "g1") + "\t1103\t1104\t0\t1\t20\t0",
                MINUS.format(4900, 4910, "g2") + "\t4905\t4906\t0\t1\t10\t0",
            ],
        ),
    ],
)
def test_every_format_names_one_base(tmp_path, kind, lines):
    """Each file says 1103 and 4905."""
    tss, words = move(tmp_path, "browser hide all\r\ntrack name=x\r\n# y\r\n\r\n" + "\r\n".join(lines))
    assert tss.tolist() == [1103, 4905]
    assert f"{kind} peaks" in words
    assert "for 2 genes" in words


def test_the_first_promoter_of_a_gene_counts(tmp_path):
    thick = "\t1103\t1114"
    lines = [PLUS.format(1054, 1114, "A_2") + "\t1060\t1070", PLUS.format(1054, 1114, "A_1") + thick]
    tss, _ = move(tmp_path, "\n".join(lines))
    assert tss.tolist() == [1103, 5000]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1\t5\t9\tg1\t1\t.\n", "a line has no strand"),
        ("1\t5\t9\tg1\t1\tx\n", "not BED with six columns and a strand"),
        ("1\t5\t9\n", "line 1"),
        ("1\t9\t5\tg1\t1\t+\n", "not BED"),
        ("1\t5\t9\tg1\t1\t+\n", r"a peak is wide[\s\S]*received: 4 nt[\s\S]*one base for each TSS"),
        ("1\t5\t9\tg1\t1\t+\t5\t9\n", "a peak is wide"),
        ("1\t5\t9\tg1\t1\t+\t1\t1\t1\t-1\n", "a peak is wide"),
        ("1\t5\t9\tg1\t1\t+\t1\t1\t1\t7\n", "lies outside it"),
        ("1\t5\t9\tg1\t1\t+\t2\t4\n", "lies outside it"),
        ("1\t5\t9\tg1\t1\t+\tx\t4\n", "not BED"),
        ("1\t5\t6\tg1\t1\t+\n1\t5\t6\tg1\t1\t+\t5\t6\n", "line 2"),
        ("7\t5\t6\tzzz\t1\t+\n", "no peak belongs to any gene"),
        ("", "no peak"),
    ],
)
def test_bad_peaks(tmp_path, text, words):
    with pytest.raises(UserError, match=words):
        move(tmp_path, text)
