import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_organism import reverse_complement

from genexp.features.tokens import text_from_tokens
from genexp.prepare.genes import GeneNames, RawGenes
from genexp.prepare.genome import cut_genome, promoter_windows
from genexp.prepare.left_out import Reason
from genexp.prepare.records import Transcript

BASES = st.text("ACGTN", min_size=30, max_size=80)


def write_fasta(path, genome):
    path.write_text("".join(f">{name}\n{bases}\n" for name, bases in genome.items()))
    return path


def genes_at(places, circular=0, length=7):
    """Genes of one exon, by (chromosome, strand, TSS)."""
    transcripts = []
    for chromosome, strand, tss in places:
        transcript = Transcript("t", "g", chromosome, strand, circular=circular)
        transcript.exons.extend((tss, tss + length) if strand == "+" else (max(tss - length + 1, 0), tss + 1))
        transcripts.append(transcript)
    chromosome, strand, tss = (np.array(column) for column in zip(*places, strict=True))
    names = GeneNames(np.arange(len(tss)).astype(str))
    labels = np.zeros((len(tss), 1))
    return RawGenes(names, labels, chromosome=chromosome, strand=strand, tss=tss, transcripts=transcripts)


def cut(path, genes, upstream=3, downstream=7):
    pieces = [[[(t.exons[0], t.exons[1])]] for t in genes.transcripts]
    return cut_genome(path, genes, promoter_windows(genes, upstream, downstream), pieces)


def naive_promoter(bases, strand, tss, upstream, downstream, circular):
    padded = bases * 5 if circular else "N" * 200 + bases + "N" * 200
    at = tss + (len(bases) * 2 if circular else 200)
    if strand == "+":
        return padded[at - upstream : at + downstream]
    return reverse_complement(padded[at + 1 - downstream : at + 1 + upstream])


PLACES = st.lists(st.tuples(st.sampled_from("12"), st.sampled_from("+-"), st.integers(0, 29)), min_size=1, max_size=12)


@settings(max_examples=100, deadline=None)
@given(
    genome=st.fixed_dictionaries({"1": BASES, "2": BASES}),
    places=PLACES,
    upstream=st.integers(0, 15),
    downstream=st.integers(1, 15),
    circular=st.booleans(),
)
def test_promoters_and_counts_are_those_cut_letter_by_letter(
    tmp_path_factory, genome, places, upstream, downstream, circular
):
    path = write_fasta(tmp_path_factory.mktemp("g") / "genome.fa", genome)
    genes = genes_at(places)
    for transcript in genes.transcripts:
        transcript.circular = len(genome[transcript.chromosome]) * circular
    found = cut(path, genes, upstream, downstream)
    for row, (name, strand, tss) in enumerate(places):
        start, end = genes.transcripts[row].exons
        if end > len(genome[name]) and not circular:
            assert found.problems[row] is Reason.BEYOND
            continue
        expected = naive_promoter(genome[name], strand, tss, upstream, downstream, circular)
        assert text_from_tokens(found.promoters[row]) == expected
        piece = (genome[name] * 2)[start:end]
        assert found.counts[row, 0].tolist() == [piece.count(base) for base in "ACGTN"]


def test_chromosome_names_are_matched(tmp_path):
    path = write_fasta(tmp_path / "g.fa", {"chr1": "ACGTACGTACGT", "chrM": "AAAAAAAAAAAA"})
    found = cut(path, genes_at([("1", "+", 3), ("MT", "+", 3)]))
    assert text_from_tokens(found.promoters[0]) == "ACGTACGTAC"
    assert found.renamed == {"1": "chr1", "MT": "chrM"}
    assert found.counts[1, 0, 0] == 7


@pytest.mark.parametrize(
    ("chromosome", "place", "circular", "problem"),
    [
        ("scaffold_9", ("1", "+", 3), 0, Reason.MISSING),
        ("1", ("1", "+", 0), 0, Reason.WINDOW),
        ("1", ("1", "+", 0), 9, Reason.WINDOW),
        ("1", ("1", "+", 0), 12, Reason.LENGTH),
    ],
)
def test_genes_that_do_not_fit_the_genome(tmp_path, chromosome, place, circular, problem):
    path = write_fasta(tmp_path / "g.fa", {chromosome: "ACGTACGTA"})
    assert cut(path, genes_at([place], circular)).problems == {0: problem}


def test_a_tss_beyond_the_end(tmp_path):
    path = write_fasta(tmp_path / "g.fa", {"1": "ACGT" * 5})
    genes = genes_at([("1", "+", 3), ("1", "+", 3)])
    genes.tss[1] = 20
    assert cut(path, genes).problems == {1: Reason.BEYOND}


def test_unknown_bases_are_counted_within_the_chromosomes(tmp_path):
    path = write_fasta(tmp_path / "x.fa", {"1": "ACNNNACGTACGTACGTACG", "2": "NNNNNNNNNNACGTACGTAC"})
    genes = genes_at([("1", "+", 2), ("2", "-", 12)])
    found = cut(path, genes, upstream=6, downstream=7)
    assert (found.inside, found.unknown) == (9 + 13, 3 + 4)
    circular = cut(path, genes_at([("1", "+", 2)], circular=20), upstream=6, downstream=7)
    assert (circular.inside, circular.unknown) == (13, 3)
