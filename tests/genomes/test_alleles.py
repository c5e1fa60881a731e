"""Variants against chromosomes that are edited letter by letter, and the files that they are read from."""

import gzip
from itertools import pairwise
from urllib.parse import unquote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from genexp.errors import UserError
from genexp.features.tokens import text_from_tokens
from genexp.genomes.genome import Genome
from genexp.genomes.variants import (
    Call,
    Edit,
    Site,
    annotate,
    carrying,
    edit_of,
    exclude_each_other,
    in_window,
    reach_of,
    read_sites,
)

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
    first = Site("rs1", "chr1", 2, "G", ("A", "<DEL>"), stop=3)
    assert list(read_sites(path)) == [first, Site(".", "chr1", 8, "TTA", ("T",), stop=11)]
    calls = [site.calls for site in read_sites(path, genotypes=True)]
    assert calls[0] == (Call("S1", (0, 1), True, 7), Call("S2", (1, 1), False, None))
    assert [(call.sample, call.alleles) for call in calls[1]] == [("S1", (None, None)), ("S3", (1,))]


DECLARED = (
    '##INFO=<ID=END,Number=1,Type=Integer,Description="End">\n##INFO=<ID=SVLEN,Number=A,Type=Integer,Description="">\n'
)


@pytest.mark.parametrize(
    ("suffix", "declared"),
    [(".vcf", DECLARED), (".bcf", DECLARED), (".vcf", DECLARED.replace("=A", "=1")), (".vcf", "")],
)
@pytest.mark.parametrize(
    ("alts", "info", "expected"),
    [
        ("<DEL>", "END=30", [(9, 30)]),
        ("<DEL>", "SVLEN=-20", [(9, 30)]),
        ("<INV>", "SVLEN=20", [(9, 30)]),
        ("<DUP:TANDEM>", "END=25;SVLEN=.", [(9, 25)]),
        ("<DEL>", "END=5", [(9, 10)]),
        ("<INS:ME:ALU>", "SVLEN=20", [(9, 10)]),
        ("<NON_REF>", "END=30", [(9, 30)]),
        ("T[chr1:30[,T]chr2:30]", ".", [(9, 30), (9, 10)]),
        ("[chr1:5[T,.T", ".", [(4, 10), (9, 10)]),
    ],
)
def test_alleles_that_are_no_sequence_reach_to_their_ends(tmp_path, declared, suffix, alts, info, expected):
    pysam = pytest.importorskip("pysam", reason="needs the extra genome")
    path = tmp_path / "v.vcf"
    header = HEADER.replace("##contig", f"{declared}##contig", 1)
    path.write_text(f"{header}chr1\t10\t.\tT\t{alts}\t.\t.\t{info}\tGT\t0\t0\t0\n")
    if suffix == ".bcf":
        text, path = path, tmp_path / "v.bcf"
        with pysam.VariantFile(str(text)) as file, pysam.VariantFile(str(path), "w", header=file.header) as out:
            for record in file:
                out.write(record)
    (site,) = read_sites(path)
    assert [reach_of(site, alt) for alt in site.alts] == expected


def test_entries_replace_earlier_ones_and_are_encoded(tmp_path):
    pysam = pytest.importorskip("pysam", reason="needs the extra genome")
    paths = [tmp_path / name for name in ("v.vcf", "a.vcf", "b.vcf.gz")]
    older = 'Number=1,ID=NEW,Type=Float,Description="x">\n##INFO=<ID=NEWER,Number=0,Type=Flag,Description="ID=NEW,">\n'
    text = VCF.replace("##FORMAT", f"##INFO=<{older}##FORMAT", 1).replace(".\tGT", "NEW=5;NEWER\tGT")
    paths[0].write_text(text)
    cells = ["a", 'gene;1,2 x=3|50%\t"\\', "0.5"]
    for path, out in pairwise(paths):
        annotate(path, out, "NEW", "Effects", ["alt", 'b"c;|', "x y"], {("chr1", 2, "G", "A"): [cells, cells]})
    with gzip.open(paths[2], "rt") as file:
        assert file.read() == paths[1].read_text()
    assert paths[1].read_text().count("ID=NEW,Number=.") == 1
    with pysam.VariantFile(str(paths[1])) as file:
        assert file.header.info["NEW"].description == "Effects: alt|b%22c%3B%7C|x%20y"
        first, second = (dict(record.info) for record in file)
    assert second == {"NEWER": True}
    assert first.pop("NEWER")
    assert [[unquote(cell) for cell in entry.split("|")] for entry in first.pop("NEW")] == [cells, cells]
    annotate(paths[1], tmp_path / "c.vcf", "NEWER", "Effects", ["x"], {})
    assert "\tNEW=a" in (tmp_path / "c.vcf").read_text()
    annotate(tmp_path / "c.vcf", tmp_path / "d.vcf", "NEW", "Effects", ["x"], {})
    assert "\t.\t.\t.\tGT" in (tmp_path / "d.vcf").read_text()


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
