"""Variants against chromosomes that are edited letter by letter, and the files that they are read from."""

import gzip
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from genexp.errors import UserError
from genexp.features.tokens import text_from_tokens
from genexp.genomes.genome import Genome
from genexp.genomes.variants import Call, Edit, Site, carrying, edit_of, exclude_each_other, in_window, read_sites

COMPLEMENT = dict(zip("ACGTN", "TGCAN", strict=True))
LETTERS = st.text("ACGT", max_size=4)
CHROMOSOME = "ACGTTGCATTAGCCATAGGACTTACCGATTGACAGTCCAT"


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    path = tmp_path_factory.mktemp("genome") / "g.fa"
    path.write_text(f">chr1\n{CHROMOSOME}\n")
    return Genome(path)


def letter_by_letter(tss, strand, window, sites):
    """Return what is around a TSS of the chromosome that carries single alleles, which leave the TSS as it is."""
    letters = [(base, place) for place, base in enumerate(CHROMOSOME)]
    for site in sorted(sites, key=lambda s: -s.position):
        alt = [(base, None) for base in site.alts[0]]
        letters[site.position : site.position + len(site.ref)] = [letters[site.position], *alt[1:]]
    if strand == "-":
        letters = [(COMPLEMENT[base], place) for base, place in letters[::-1]]
    origin = next(n for n, (_, place) in enumerate(letters) if place == tss)
    return "".join(
        letters[n][0] if 0 <= n < len(letters) else "N" for n in range(origin + window[0], origin + window[1])
    )


@given(
    st.integers(0, 39),
    st.sampled_from("+-"),
    st.integers(-15, 0),
    st.integers(1, 15),
    st.lists(st.tuples(st.integers(0, 35), st.integers(1, 5), LETTERS), max_size=3),
)
def test_a_promoter_carries_variants(genome, tss, strand, left, right, drawn):
    # As VCF has insertions and deletions: both alleles begin with one base.
    sites = [Site("", "1", at, CHROMOSOME[at : at + n], (CHROMOSOME[at] + new,)) for at, n, new in drawn]
    ends = sorted((site.position, site.position + len(site.ref)) for site in sites)
    assume(all(a[1] <= b[0] for a, b in pairwise(ends)))
    assume(not any(site.position < tss < site.position + len(site.ref) for site in sites))
    window = (left, right)
    of_sites = sorted((edit_of(site, site.alts[0], tss, strand), site) for site in sites)
    unseen = [site for edit, site in of_sites if not in_window(edit, window)]
    assert letter_by_letter(tss, strand, window, unseen) == letter_by_letter(tss, strand, window, [])
    edits = [edit for edit, site in of_sites if site not in unseen]
    assert not exclude_each_other(edits)
    (found,) = carrying(genome, ("chr1", tss, strand), window, edits)
    assert text_from_tokens(found) == letter_by_letter(tss, strand, window, [s for s in sites if s not in unseen])


def test_windows_are_shifted_along_the_strand(genome):
    for strand in "+-":
        shifted = carrying(genome, ("chr1", 20, strand), (-5, 5), shifts=(-2, 0, 3))
        expected = [letter_by_letter(20, strand, (-5 + n, 5 + n), []) for n in (-2, 0, 3)]
        assert [text_from_tokens(row) for row in shifted] == expected


@pytest.mark.parametrize(
    ("strand", "edit", "expected"),
    [
        ("+", Edit(-2, 3, ()), "CCATA|TACCG"),  # the base behind a deleted TSS is the TSS
        ("+", Edit(-2, 3, (0,)), "CATAA|TACCG"),
        ("+", Edit(-1, 2, (3, 3, 3, 3)), "ATAGT|TTTTT"),
        ("+", Edit(0, 1, (3,)), "ATAGG|TCTTA"),
    ],
)
def test_an_edit_may_replace_the_tss(genome, strand, edit, expected):
    assert CHROMOSOME[14:25] == "ATAGGACTTAC"
    (found,) = carrying(genome, ("chr1", 19, strand), (-5, 5), [edit])
    assert text_from_tokens(found) == expected.replace("|", "")


def test_edits_that_exclude_each_other():
    assert exclude_each_other([Edit(0, 3, ()), Edit(2, 3, (1,))])
    assert exclude_each_other([Edit(1, 1, (1,)), Edit(1, 1, (2,))])
    assert not exclude_each_other([Edit(1, 1, (1,)), Edit(1, 2, ()), Edit(2, 2, (0,))])


HEADER = """##fileformat=VCFv4.2
##contig=<ID=chr1,length=40>
##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">
##FORMAT=<ID=PS,Number=1,Type=Integer,Description="Phase set">
#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tS1\tS2\tS3
"""
VCF = HEADER + (
    "chr1\t3\trs1\tG\tA,<DEL>\t.\t.\t.\tGT:PS\t0|1:7\t1/1:.\t0/0:.\nchr1\t9\t.\tTTA\tT\t.\t.\t.\tGT\t./.\t0|0\t1\n"
)


@pytest.mark.parametrize("pack", ["", "bgzip", "gzip"])
def test_vcf_is_read(tmp_path, pack):
    pysam = pytest.importorskip("pysam", reason="needs the extra genome")
    path = tmp_path / "v.vcf"
    opener = {"": open, "bgzip": pysam.BGZFile, "gzip": gzip.open}[pack]
    with opener(path, "wb") as file:
        file.write(VCF.encode())
    first = Site("rs1", "chr1", 2, "G", ("A", "<DEL>"))
    assert list(read_sites(path)) == [first, Site(".", "chr1", 8, "TTA", ("T",))]
    calls = [site.calls for site in read_sites(path, genotypes=True)]
    assert calls[0] == (Call("S1", (0, 1), True, 7), Call("S2", (1, 1), False, None))
    assert [(call.sample, call.alleles) for call in calls[1]] == [("S1", (None, None)), ("S3", (1,))]


def test_a_table_is_read_likewise(tmp_path):
    path = tmp_path / "v.tsv"
    path.write_text("chromosome\tposition\tref\talt\tnote\n1\t3\tG\tA,<DEL>\tx\n1\t9\tTTA\tT\ty\n")
    assert list(read_sites(path)) == [Site(".", "1", 2, "G", ("A", "<DEL>")), Site(".", "1", 8, "TTA", ("T",))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("chr1\t3\trs1\tG\tA\nchr1\t5\trs1\tG\tA\n", "VCF with its header, or a table"),
        ("chromosome,position,ref,alt\n1,0,A,C\n", "a position is no number from 1[^\0]*line 2"),
        (HEADER + "chr1\tx\t.\tG\tA\t.\t.\t.\tGT\t0\t0\t0\n", "this VCF cannot be read"),
        ("##fileformat=VCFv4.2\n", "this VCF cannot be read"),
    ],
)
def test_other_files_are_refused(tmp_path, text, expected, capfd):
    pytest.importorskip("pysam", reason="needs the extra genome")
    path = tmp_path / "v.vcf"
    path.write_text(text)
    with pytest.raises(UserError, match=expected):
        list(read_sites(path))
    assert capfd.readouterr().err == ""


def test_haplotypes_need_genotypes(tmp_path):
    pytest.importorskip("pysam", reason="needs the extra genome")
    path = tmp_path / "v.vcf"
    for text in ("chromosome\tposition\tref\talt\n1\t1\tA\tC\n", HEADER.replace("\tFORMAT\tS1\tS2\tS3", "")):
        path.write_text(text)
        with pytest.raises(UserError, match="haplotypes need genotypes"):
            list(read_sites(path, genotypes=True))
