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
        "1\t4000\t4011\tp2@B\t99\t-\n1\t4000\t4011\tp1@A,p1@Q\t9\t-\n",
    )
    assert tss.tolist() == [1103, 5000]
    assert "for 1 genes" in words


def test_peaks_on_the_other_strand_do_not_count(tmp_path):
    tss, _ = move(tmp_path, "1\t1100\t1111\tg1\t50\t-\n1\t4900\t4911\tg2\t50\t-\n")
    assert tss.tolist() == [1000, 4905]


def test_nameless_peaks_go_to_the_nearest_gene_by_score(tmp_path):
    tss, words = move(
        tmp_path,
        "chr1\t900\t901\tpeak1\t5\t+\nchr1\t1100\t1101\tpeak2\t50\t+\nchr1\t1600\t1601\tpeak3\t500\t+\nchr1\t1000\t1001\tp\t900\t-\n",
    )
    assert tss.tolist() == [1100, 5000]
    assert "strongest within 500 nt" in words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1\t5\t9\tg1\t1\t.\n", "not BED with six columns and a strand"),
        ("1\t5\t9\n", "line 1"),
        ("1\t9\t5\tg1\t1\t+\n", "not BED"),
        ("7\t5\t9\tzzz\t1\t+\n", "no CAGE peak belongs to any gene"),
        ("", "no CAGE peak"),
    ],
)
def test_bad_peaks(tmp_path, text, words):
    with pytest.raises(UserError, match=words):
        move(tmp_path, text)
