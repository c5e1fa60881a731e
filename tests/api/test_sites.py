"""TSSs of BED files and annotations, and the promoters around them, against the same cut letter by letter."""

import numpy as np
import pytest
from toy_organism import Organism, reverse_complement, write, write_genome, write_gtf

from genexp.api.promoters import Placement
from genexp.api.sites import Site, at_sites, from_annotation, from_bed
from genexp.config import conf
from genexp.errors import UserError
from genexp.features.tokens import text_from_tokens
from genexp.genomes.genome import Genome
from genexp.prepare.config import TranscriptRules

TOY = Organism()
RULES = TranscriptRules(**conf.load(conf.CONF_DIR / "base" / "genes.yaml")["genes"])
PLACE = Placement((20, 120), 200, 80)  # 60 nt upstream and 40 nt downstream, as the promoters of the toy organism


def promoters(sites, genome, *, both=False):
    genes = at_sites(sites, genome, (-60, 40), both=both)
    return genes, [text_from_tokens(row) for _, tokens in genes.batches(7) for row in tokens]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    return Genome(write_genome(folder / "g.fa", TOY, prefix="chr")), write_gtf(folder / "g.gtf", TOY)


def test_the_genes_of_an_annotation_have_their_promoters(files):
    genome, gtf = files
    sites, circular = from_annotation(gtf, RULES)
    assert circular == {}
    genes, found = promoters(sites, genome)
    by_name = {gene.name: gene for gene in TOY.genes}
    assert found == [TOY.promoter(by_name[name]) for name in genes.columns["id"]]
    assert set(genes.columns["chromosome"]) == {"chr1", "chr2", "chr3", "chr4"}
    for start, end, strand, chromosome, text in zip(
        *(genes.columns[name].tolist() for name in ("start", "end", "strand", "chromosome")), found, strict=True
    ):
        cut = TOY.genome[chromosome.removeprefix("chr")][start:end]
        assert text.strip("N") == (cut if strand == "+" else reverse_complement(cut))


def test_the_other_strand_has_its_own_promoter_around_the_same_base(files):
    genome, gtf = files
    sites = from_annotation(gtf, RULES)[0][5:6]
    genes, (own, other) = promoters(sites, genome, both=True)
    assert sorted(genes.columns["strand"]) == ["+", "-"]
    assert own[21:100] == reverse_complement(other)[:79]  # from 39 nt upstream of the TSS to 39 nt downstream


@pytest.mark.parametrize("strand", ["+", "-"])
def test_a_window_beyond_an_end_of_its_chromosome_is_empty(files, strand):
    sites = [Site("first", "1", 100, strand), Site("last", "1", 5900, strand)]
    genes = at_sites(sites, files[0], (-700, -200), both=False)
    found = list(zip(genes.columns["start"].tolist(), genes.columns["end"].tolist(), strict=True))
    assert found == ([(0, 0), (5200, 5700)] if strand == "+" else [(301, 801), (6000, 6000)])


def bed(folder, *rows):
    return write(folder / "s.bed", "".join("\t".join(map(str, row)) + "\n" for row in rows))


@pytest.mark.parametrize("strand", ["+", "-"])
def test_intervals_tell_their_tss(tmp_path, files, strand, capsys):
    """One base, the window, and the promoter of the run around one TSS give the same; so does a thick part."""
    tss = 3000
    around = (lambda a, b: (tss - a, tss + b)) if strand == "+" else (lambda a, b: (tss + 1 - b, tss + 1 + a))
    rows = [("chr2", *interval, ".", 0, strand) for interval in (around(0, 1), around(60, 40), around(80, 120))]
    sites = from_bed(bed(tmp_path, *rows), PLACE, None)
    assert {(site.chromosome, site.tss, site.strand) for site in sites} == {("2", tss, strand)}
    assert sites[0].name == f"2:3001{strand}"
    _, found = promoters(sites, files[0])
    assert len(set(found)) == 1
    assert "1 TSSs as BED has them, 2 promoters or windows of the run" in capsys.readouterr().out
    thick = bed(tmp_path, ("chr2", tss - 9, tss + 9, "a", 0, strand, tss, tss + 1, 0))
    assert from_bed(thick, PLACE, None)[0].tss == tss


def test_other_intervals_need_a_rule(tmp_path):
    path = bed(tmp_path, ("2", 100, 151, "a", 0, "-"))
    with pytest.raises(UserError, match="bed_tss=five_prime or bed_tss=middle"):
        from_bed(path, PLACE, None)
    assert [from_bed(path, PLACE, rule)[0].tss for rule in ("five_prime", "middle")] == [150, 125]
    path = bed(tmp_path, ("2", 100, 151))
    with pytest.raises(UserError, match=r"has no strand(.|\n)*both_strands=true"):
        from_bed(path, PLACE, "middle")
    for rule in (None, "five_prime"):
        with pytest.raises(UserError, match="which base is the TSS: bed_tss=middle"):
            from_bed(path, PLACE, rule, both=True)
    assert from_bed(path, PLACE, "middle", both=True) == [("2:126", "2", 125, "+")]
    with pytest.raises(UserError, match="no rows"):
        from_bed(write(tmp_path / "e.bed", "# nothing\n"), PLACE, None)


def test_chromosomes_of_another_assembly_are_left_out_or_refused(tmp_path, files, capsys):
    rows = [(name, 1000, 1001, name, 0, "+") for name in ("chr1", "chrUn_x", "2")]
    genes, _ = promoters(from_bed(bed(tmp_path, *rows), PLACE, None), files[0])
    assert genes.columns["id"].tolist() == ["chr1", "2"]
    assert "1 of 3 TSSs are on chromosomes that the genome lacks" in capsys.readouterr().out
    with pytest.raises(UserError, match="1 of 1 TSSs"):
        promoters(from_bed(bed(tmp_path, rows[1]), PLACE, None), files[0])
    with pytest.raises(UserError, match="beyond the end of its chromosome"):
        promoters(from_bed(bed(tmp_path, ("chr1", 60_000, 60_001, "x", 0, "+")), PLACE, None), files[0])


def test_a_long_list_streams(files):
    sites, _ = from_annotation(files[1], RULES)
    genes = at_sites(sites, files[0], (-60, 40), both=False)
    assert [tokens.shape for _, tokens in genes.batches(32)] == [(32, 100), (16, 100)]
    assert np.array_equal(np.concatenate([t for _, t in genes.batches(5)]), next(iter(genes.batches(48)))[1])
