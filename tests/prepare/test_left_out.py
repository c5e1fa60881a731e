"""Genes that cannot be read: how many may be left out, what is said, and that the hints work."""

import re

import pytest
import toy_organism as toy
from omegaconf import OmegaConf
from test_whole_datasets import GENES, ORGANISM, edit, quick_picture, raw, raw_values, refused, run

from genexp.prepare.left_out import LeftOut, Reason, allowed, by_reason

__all__ = ["quick_picture", "raw"]  # fixtures


@pytest.mark.parametrize(
    ("genes", "tolerance", "number"),
    [(24, 0.01, 1), (24, 0, 0), (199, 0.01, 1), (200, 0.01, 2), (4288, 0.01, 42), (10, 1, 10), (1000, 0.003, 3)],
)
def test_how_many_may_be_left_out(genes, tolerance, number):
    assert allowed(genes, tolerance) == number


def test_reasons_are_ordered_by_their_genes():
    left = [LeftOut("a", Reason.CDS, ""), LeftOut("b", Reason.PLACES, ""), LeftOut("c", Reason.PLACES, "")]
    assert [reason.name for reason in by_reason(left)] == ["PLACES", "CDS"]


def without_strand(number):
    names = [gene.name for gene in ORGANISM.genes[:number]]

    def change(text):
        lines = text.splitlines()
        odd = re.compile("|".join(names) if names else "$^")
        return "\n".join(re.sub("\t[+-]\t", "\t.\t", line) if odd.search(line) else line for line in lines)

    return change


def test_one_gene_is_left_out_and_listed(tmp_path, raw, capsys):
    edit(raw["gtf"], without_strand(1))
    run(raw)
    assert set(raw_values(tmp_path / "out")) == set(GENES) - {"ENSG00000"}
    lines = (tmp_path / "out" / "left_out.tsv").read_text().splitlines()
    assert lines == ["gene\treason\twhere", "ENSG00000\tno strand\t1, TENSG00000, line 3"]
    card = OmegaConf.load(tmp_path / "out" / "dataset.yaml")
    assert card.left_out == {"no strand": 1}
    assert [step.genes for step in card.genes if step.step == "readable"] == [47]
    assert "left_out.tsv lists: no strand 1" in " ".join(capsys.readouterr().out.split())


def test_nothing_is_listed_where_every_gene_is_read(tmp_path, raw):
    run(raw)
    assert not (tmp_path / "out" / "left_out.tsv").exists()
    assert OmegaConf.load(tmp_path / "out" / "dataset.yaml").left_out == {}


def test_too_many_are_all_reported_at_once_and_the_hint_works(tmp_path, raw):
    edit(raw["gtf"], without_strand(2))
    gene = ORGANISM.genes[30]
    edit(
        raw["gtf"],
        lambda text: (
            text + "\n" + toy.gtf_row(gene, "exon", (90, 120), f'gene_id "{gene.name}"; transcript_id "T{gene.name}";')
        ),
    )
    message = refused(tmp_path, raw)
    assert "3 of 48 genes cannot be read" in message
    assert "expected: at most 1 to leave out: genes.tolerance=0.01" in message
    assert re.search(r"2 no strand \(ENSG00000 [^)]*, ENSG00001 [^)]*\); 1 exons overlap \(ENSG00030 ", message)
    hint = re.search(r"genes\.tolerance=([\d.]+)$", message)[1]
    assert "3 of 48" in refused(tmp_path, raw, **{"genes.tolerance": float(hint) - 0.001 - 1 / 48})
    run(raw, **{"genes.tolerance": hint})
    assert len(raw_values(tmp_path / "out")) == 45


def test_no_gene_may_be_left_out_with_tolerance_0(tmp_path, raw):
    edit(raw["gtf"], without_strand(1))
    assert "1 of 48 genes cannot be read" in refused(tmp_path, raw, **{"genes.tolerance": 0})


def test_genes_that_are_not_wanted_are_not_checked(tmp_path, raw):
    """Neither those that the mask names nor those without expression count."""
    edit(raw["gtf"], without_strand(4))
    toy.write(tmp_path / "mask.txt", "ENSG00000\nENSG00001\n")
    edit(raw["expression"], lambda text: re.sub("ENSG0000[23].*\n", "", text))
    run(raw, mask=tmp_path / "mask.txt", **{"genes.tolerance": 0})
    assert len(raw_values(tmp_path / "out")) == 44


def test_genes_that_the_targets_drop_are_not_checked(tmp_path, raw):
    edit(raw["gtf"], without_strand(4))
    table = ["gene\tTF1\tTF2", *(f"{gene.name}\t{n % 2}\t1" for n, gene in enumerate(ORGANISM.genes[4:]))]
    run(raw, tf=toy.write(tmp_path / "tf.tsv", "\n".join(table)), **{"absent.tf": "drop"})
    assert len(raw_values(tmp_path / "out")) == 44


def moved(chromosomes):
    """Put the last genes of chromosome 1 on other contigs, one each."""

    def change(text):
        for gene, chromosome in zip(ORGANISM.genes, chromosomes, strict=False):
            text = "\n".join(
                line.replace("1\t", f"{chromosome}\t", 1) if gene.name in line else line for line in text.splitlines()
            )
        return text

    return change


@pytest.mark.parametrize(
    ("contigs", "skip"),
    [
        (["KI1.1", "1e3", "GL3", "JH4", "z", "0x1"], '["0x1","1e3",GL3,JH4,KI1.1,z]'),
        (["a_alt", "b_alt", "c_fix", "d_random", "e_random"], '[c_fix,"*_alt","*_random"]'),
    ],
)
def test_all_contigs_that_the_genome_lacks_are_named_and_can_be_skipped(tmp_path, raw, contigs, skip):
    edit(raw["gtf"], moved(contigs))
    message = refused(tmp_path, raw, **{"genes.skip_chromosomes": "[4]"})
    asked = re.search(r"'genes\.skip_chromosomes=(\[.*?\])'$", message)[1]
    assert asked == skip.replace("[", "[4,", 1)
    run(raw, **{"genes.skip_chromosomes": asked})
    assert len(raw_values(tmp_path / "out")) == 36 - len(contigs)


def test_copies_on_a_second_chromosome_can_be_skipped(tmp_path, raw):
    """As genes of X and Y in UCSC's tables."""

    def copied(text):
        rows = [line for line in text.splitlines() if re.search("ENSG0000[0-2]", line)]
        return text + "\n" + "\n".join(line.replace("1\t", "Y\t", 1) for line in rows)

    edit(raw["gtf"], copied)
    message = refused(tmp_path, raw)
    assert "3 in two places" in message
    assert "'genes.skip_chromosomes=[Y]'" in message
    run(raw, **{"genes.skip_chromosomes": "[Y]"})
    assert len(raw_values(tmp_path / "out")) == 48


def test_skipping_and_tolerance_where_both_are_needed(tmp_path, raw):
    edit(raw["gtf"], without_strand(4))
    edit(raw["fasta"], lambda text: text[: text.index(">4")])
    message = refused(tmp_path, raw)
    assert "hint: skip the chromosomes: 'genes.skip_chromosomes=[4]', and set genes.tolerance=0.112" in message
    run(raw, **{"genes.skip_chromosomes": "[4]", "genes.tolerance": 0.112})
    assert len(raw_values(tmp_path / "out")) == 32


def test_a_genome_of_another_assembly(tmp_path, raw):
    edit(raw["fasta"], lambda text: text.replace(">", ">scaffold_"))
    message = refused(tmp_path, raw, **{"genes.tolerance": 1})
    assert "hint: use a genome and an annotation of one assembly; the genome has scaffold_1, scaffold_2" in message


def test_a_stop_codon_that_no_row_shows(tmp_path, raw):
    raw["gtf"] = toy.write_gff3(tmp_path / "genes.gff", ORGANISM)
    message = refused(tmp_path, raw, **{"genes.stop_codon": "included"})
    assert "hint: set genes.stop_codon=as_annotated" in message
    run(raw, **{"genes.stop_codon": "as_annotated"})


@pytest.mark.parametrize("names", [["SPAC1000.01", "SPAC1000.02"], ["ENSG00001.1", "ENSG00002.7"]])
def test_a_mask_with_digits_after_a_dot(tmp_path, raw, names):
    """What differs in these digits alone has no version; elsewhere versions do not count."""
    spac = names[0].startswith("SPAC")

    def renamed(text):
        return re.sub(r"ENSG000(\d\d)", r"SPAC1000.\1" if spac else r"ENSG000\1.3", text)

    edit(raw["gtf"], renamed)
    edit(raw["expression"], renamed)
    mask = toy.write(tmp_path / "mask.txt", "\n".join([*names, "SPAC1000.99"]))
    run(raw, mask=mask)
    left = set(raw_values(tmp_path / "out"))
    assert len(left) == 46
    assert not left & {"SPAC1000.01", "SPAC1000.02", "ENSG00001.3", "ENSG00002.3"}
