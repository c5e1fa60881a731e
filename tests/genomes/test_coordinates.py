"""Bases by coordinates against the same cut letter by letter, and the genes of an annotation."""

import gzip
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_organism import Organism, write, write_genome, write_gtf

from genexp import memory
from genexp.config import conf
from genexp.errors import UserError
from genexp.features.tokens import cut, text_from_tokens, tokens_from_text
from genexp.genomes import genome
from genexp.genomes.genes import read_genes
from genexp.genomes.genome import Genome
from genexp.prepare.config import TranscriptRules

RULES = TranscriptRules(**conf.load(conf.CONF_DIR / "base" / "genes.yaml")["genes"])


@given(st.text("ACGTN", min_size=1, max_size=30), st.integers(-40, 40), st.integers(0, 60), st.booleans())
def test_bases_are_cut_beyond_the_ends_and_round_a_circle(text, start, size, circular):
    letters = [
        text[n % len(text)] if circular else text[n] if 0 <= n < len(text) else "N" for n in range(start, start + size)
    ]
    found = cut(tokens_from_text(text), start, start + size, circular=circular)
    assert text_from_tokens(found) == "".join(letters)


@pytest.mark.parametrize("name", ["g.fa", "g.fa.gz"])
def test_promoters_are_those_of_the_annotation(tmp_path, name):
    toy = Organism()
    genome = Genome(write_genome(tmp_path / name, toy, prefix="chr"))
    genes, circular = read_genes(write_gtf(tmp_path / "g.gtf", toy), RULES)
    assert (len(genes), circular) == (len(toy.genes), {})
    for gene, name, *place in zip(toy.genes, genes.names.ids, genes.chromosome, genes.tss, genes.strand, strict=True):
        promoter = genome.promoter(*place, (-60, 40))
        assert (name, text_from_tokens(promoter)) == (gene.name, toy.promoter(gene))


def test_rules_choose_the_genes(tmp_path):
    with pytest.raises(UserError, match="no gene of the annotation is left"):
        read_genes(write_gtf(tmp_path / "g.gtf", Organism()), RULES.model_copy(update={"biotypes": ["lncRNA"]}))


FASTA = ">chr1 first\nACGT\nAC\n>NC_000002.12 Homo sapiens chromosome 2, GRCh38\nGGGG\n>chrM\nTTA\n"


def test_only_wanted_chromosomes_are_read(tmp_path):
    notes = []
    path = write(tmp_path / "g.fa", FASTA + ">later\nEF\n")  # proteins that are never reached
    genome = Genome(path, wanted=["2", "chr1"], note=notes.append)
    assert genome.names == ["chr1", "NC_000002.12"]
    assert "1" in genome
    assert "MT" not in genome
    assert notes == ["chromosome 2 is NC_000002.12 in g.fa"]
    assert text_from_tokens(genome.fetch("chr2", -1, 5)) == "NGGGGN"


def test_long_chromosomes_are_on_disk(tmp_path, monkeypatch):
    path = write_genome(tmp_path / "g.fa", Organism())
    short = Genome(path)
    monkeypatch.setattr(genome, "BLOCK", 1000)  # of 6,000 bases
    long = Genome(path, circular={"3": 6000})
    assert isinstance(long._tokens["1"], np.memmap)
    for chromosome in short.names:
        assert np.array_equal(long.fetch(chromosome, 0, 6000), short.fetch(chromosome, 0, 6000))
    assert np.array_equal(long.fetch("3", 5990, 6010)[10:], short.fetch("3", 0, 10))
    monkeypatch.setattr(memory.shutil, "disk_usage", lambda _: SimpleNamespace(free=10))
    with pytest.raises(UserError, match=r"no space for 6\.0 kB of chromosomes"):
        Genome(path)


def test_circular_chromosomes_go_on(tmp_path):
    path = tmp_path / "g.fa.gz"
    path.write_bytes(gzip.compress(FASTA[:20].encode()) + gzip.compress(FASTA[20:].encode()))  # as bgzip writes it
    genome = Genome(path, circular={"MT": 3})
    assert text_from_tokens(genome.promoter("chrM", 0, "-", (-2, 2))) == "TAAT"
    assert text_from_tokens(genome.fetch("1", 4, 8)) == "ACNN"
    with pytest.raises(UserError, match="another length"):
        Genome(path, circular={"MT": 4})


@pytest.mark.parametrize(
    ("text", "expected"),
    [(">p\nMKEL\n", "other than bases"), (">1\n>2\nA\n", "has no bases"), ("", "is empty"), ("ACGT\n", "not a FASTA")],
)
def test_what_is_no_genome_is_refused(tmp_path, text, expected):
    with pytest.raises(UserError, match=expected):
        Genome(write(tmp_path / "g.fa", text))


def test_what_is_not_in_the_genome_is_refused(tmp_path):
    genome = Genome(write(tmp_path / "g.fa", FASTA))
    with pytest.raises(UserError, match=r"no chromosome 7[^\0]*one of chr1, NC_000002.12, chrM"):
        genome.fetch("7", 0, 1)
    with pytest.raises(UserError, match=r"beyond the end[^\0]*at most 6[^\0]*received: 7"):
        genome.promoter("1", 6, "+", (-1, 1))
    assert np.array_equal(genome.promoter("1", 5, "+", (-1, 2)), [0, 1, 4])
