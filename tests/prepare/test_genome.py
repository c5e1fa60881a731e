import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_organism import reverse_complement

from genexp.errors import UserError
from genexp.features.tokens import text_from_tokens
from genexp.prepare import genome as genome_module
from genexp.prepare.genes import GeneNames, RawGenes
from genexp.prepare.genome import Intervals, cut_genome, promoter_windows

BASES = st.text("ACGTN", min_size=30, max_size=80)


def write_fasta(path, genome):
    path.write_text("".join(f">{name}\n{bases}\n" for name, bases in genome.items()))
    return path


def places(chromosome, strand, tss):
    names = GeneNames(np.arange(len(tss)).astype(str))
    return RawGenes(names, np.zeros((len(tss), 1)), chromosome=chromosome, strand=strand, tss=tss)


def naive_promoter(bases, strand, tss, upstream, downstream):
    padded = "N" * 200 + bases + "N" * 200
    at = tss + 200
    if strand == "+":
        return padded[at - upstream : at + downstream]
    return reverse_complement(padded[at + 1 - downstream : at + 1 + upstream])


@settings(max_examples=60, deadline=None)
@given(
    genome=st.fixed_dictionaries({"1": BASES, "2": BASES}),
    genes=st.lists(
        st.tuples(st.sampled_from("12"), st.sampled_from("+-"), st.integers(0, 29)), min_size=1, max_size=12
    ),
    upstream=st.integers(0, 15),
    downstream=st.integers(1, 15),
    block=st.integers(3, 50),
)
def test_promoters_and_counts_are_those_cut_letter_by_letter(
    tmp_path_factory, genome, genes, upstream, downstream, block
):
    path = write_fasta(tmp_path_factory.mktemp("g") / "genome.fa", genome)
    chromosome, strand, tss = (np.array(column) for column in zip(*genes, strict=True))
    windows = promoter_windows(places(chromosome, strand, tss), upstream, downstream)
    pieces = Intervals(chromosome, tss, np.minimum(tss + 7, [len(genome[name]) for name in chromosome]))
    with pytest.MonkeyPatch.context() as patch:
        original = genome_module.read_fasta
        patch.setattr(genome_module, "read_fasta", lambda fasta: original(fasta, block))
        cut = cut_genome(path, windows, strand, pieces)
    for row, (name, sign, position) in enumerate(genes):
        assert text_from_tokens(cut.promoters[row]) == naive_promoter(
            genome[name], sign, position, upstream, downstream
        )
        piece = genome[name][position : position + 7]
        assert cut.counts[row].tolist() == [piece.count(base) for base in "ACGTN"]


def one_window(name="1", start=0, end=10):
    return Intervals(np.array([name]), np.array([start]), np.array([end]))


def test_chromosome_names_are_matched(tmp_path):
    path = write_fasta(tmp_path / "g.fa", {"chr1": "ACGTACGTACGT", "chrM": "AAAAAAAAAAAA"})
    cut = cut_genome(path, one_window(), np.array(["+"]), one_window())
    assert text_from_tokens(cut.promoters[0]) == "ACGTACGTAC"
    assert cut.renamed == {"1": "chr1"}
    assert cut_genome(path, one_window("MT"), np.array(["+"]), one_window("MT")).counts[0, 0] == 10


def test_missing_chromosome(tmp_path):
    path = write_fasta(tmp_path / "g.fa", {"scaffold_9": "ACGTACGTACGT"})
    with pytest.raises(
        UserError, match=r"the genome lacks 1 chromosome with 1 genes[\s\S]*scaffold_9[\s\S]*skip_chromo"
    ):
        cut_genome(path, one_window(), np.array(["+"]), one_window())


def test_window_longer_than_its_chromosome(tmp_path):
    path = write_fasta(tmp_path / "g.fa", {"1": "ACGT"})
    with pytest.raises(UserError, match="a promoter window is longer than its chromosome"):
        cut_genome(path, one_window(), np.array(["+"]), one_window(end=4))


def test_exon_beyond_the_end(tmp_path):
    path = write_fasta(tmp_path / "g.fa", {"1": "ACGT" * 5})
    with pytest.raises(UserError, match="an exon lies beyond the end"):
        cut_genome(path, one_window(), np.array(["+"]), one_window(end=21))
