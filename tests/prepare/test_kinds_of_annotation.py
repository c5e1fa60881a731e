"""Annotations as many tools and sites write them, each made of the same toy organism, whose genes are known."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial

import pytest
import toy_organism as toy
from preparing import configured

from genexp.blocks import HALFLIFE_FEATURES
from genexp.errors import UserError
from genexp.features.tokens import text_from_tokens
from genexp.prepare.gather import gather
from genexp.prepare.ledger import Ledger

ORGANISM = toy.Organism()
GENES = {gene.name: gene for gene in ORGANISM.genes}
ODD, OTHER = ORGANISM.genes[4], ORGANISM.genes[5]  # on strands + and -


@dataclass
class Kind:
    """One file: its text, what is asked for, the genes that are left out, and lengths that are not the toy's."""

    text: str
    words: dict = field(default_factory=dict)
    without: dict = field(default_factory=dict)
    lengths: dict = field(default_factory=dict)
    holds_stop: bool = True  # the CDS holds the stop codon
    shift: int = 0  # from the toy's TSS to that of this file
    said: str = ""


INTRON = {"INTRONLEN": 60}
KINDS = {}


def kind(build):
    KINDS[build.__name__] = build
    return build


def row(gene, what, part, about, **changed):
    columns = toy.gtf_row(gene, what, part, about).split("\t")
    places = {"chromosome": 0, "first": 3, "last": 4, "strand": 6}
    for name, value in changed.items():
        columns[places[name]] = str(value)
    return "\t".join(columns)


def ids(gene, transcript=None):
    return f'gene_id "{gene.name}"; transcript_id "{transcript or "T" + gene.name}";'


def gtf(gene, about=None, kinds=("exon", "CDS", "stop_codon")):
    parts = {"exon": toy.EXONS, "CDS": toy.CDS, "stop_codon": toy.STOP}
    return [row(gene, what, part, about or ids(gene)) for what in kinds for part in parts[what]]


WHOLE_CDS = (toy.CDS[0], (160, 233))


def gff3(gene, exons=True):
    rows = [row(gene, "gene", (0, toy.SPAN), f"ID=gene-{gene.name};locus_tag={gene.name};gene_biotype=protein_coding")]
    rows += [row(gene, "mRNA", (0, toy.SPAN), f"ID=rna-{gene.name};Parent=gene-{gene.name}")]
    rows += [row(gene, "exon", part, f"ID=e-{gene.name}-{n};Parent=rna-{gene.name}") for n, part in parts_if(exons)]
    return rows + [row(gene, "CDS", part, f"ID=cds-{gene.name};Parent=rna-{gene.name}") for part in WHOLE_CDS]


def parts_if(exons):
    return list(enumerate(toy.EXONS)) if exons else []


def lines(rows_of, but=()):
    return [line for gene in ORGANISM.genes if gene not in but for line in rows_of(gene)]


def text(found):
    return "\n".join(found) + "\n"


def but_odd(odd, rows_of, **more):
    """One gene is otherwise than the others."""
    return Kind(text([*lines(rows_of, but=[ODD]), *odd]), holds_stop=rows_of is not gtf, **more)


@kind
def gtf_of_exons_cds_and_stop_codons_alone():
    return Kind(text(lines(gtf)), holds_stop=False)


@kind
def gtf_sorted_by_position_with_a_gene_in_the_intron_of_another():
    """Rows that come back after others are no copies here."""
    inner = [
        f'{ODD.chromosome}\tx\texon\t{ODD.start + 120}\t{ODD.start + 130}\t.\t+\t.\tgene_id "in"; transcript_id "i";'
    ]
    found = sorted([*lines(gtf), *inner], key=lambda line: (line.split("\t")[0], int(line.split("\t")[3])))
    return Kind(text(found), holds_stop=False)


@kind
def gtf_with_all_exons_before_all_cds():
    found = [line for what in ("exon", "CDS", "stop_codon") for line in lines(partial(gtf, kinds=[what]))]
    return Kind(text(found), holds_stop=False)


@kind
def gtf_of_ucsc_with_a_copy_on_the_same_chromosome():
    copy = toy.ToyGene(ODD.name, "", ODD.chromosome, 5640, "+", 0)
    return Kind(text([*lines(gtf), *gtf(copy)]), holds_stop=False)


@kind
def gtf_of_ucsc_with_a_copy_that_differs():
    copy = toy.ToyGene(ODD.name, "", ODD.chromosome, 5640, "+", 0)
    rows = [row(copy, "exon", (0, 90), ids(copy)), row(copy, "CDS", (30, 90), ids(copy)), *gtf(copy)[1:]]
    return Kind(text([*lines(gtf), *rows]), without={ODD.name: "different copies"}, holds_stop=False)


@kind
def gtf_of_ucsc_with_a_copy_on_the_other_strand():
    copy = toy.ToyGene(ODD.name, "", ODD.chromosome, 5640, "-", 0)
    return Kind(text([*lines(gtf), *gtf(copy)]), without={ODD.name: "both strands"}, holds_stop=False)


@kind
def gtf_of_ucsc_with_copies_on_other_contigs():
    """The genome has none of them; a gene of chr1_KI270706v1_random alone would be missed."""
    found = lines(gtf)
    for n, contig in enumerate(("1_GL383518v1_alt", "Un_KI270302v1", "1_KI270706v1_random", "CHR_HSCHR6_MHC_APD_CTG1")):
        found += [
            line.replace(f"{g.chromosome}\t", f"{contig}\t", 1) for g in ORGANISM.genes[n : n + 2] for line in gtf(g)
        ]
    return Kind(text(found), holds_stop=False)


@kind
def gtf_with_a_gene_of_two_chromosomes():
    copy = toy.ToyGene(ODD.name, "", "3", 5640, "+", 0)
    return Kind(text([*lines(gtf), *gtf(copy)]), without={ODD.name: "in two places"}, holds_stop=False)


@kind
def gtf_with_a_strand_missing():
    return but_odd([line.replace("\t+\t", "\t.\t") for line in gtf(ODD)], gtf, without={ODD.name: "no strand"})


@kind
def gtf_with_impossible_coordinates():
    rows = gtf(ODD)
    rows[0] = row(ODD, "exon", toy.EXONS[0], ids(ODD), last="1e2")
    return but_odd(rows, gtf, without={ODD.name: "impossible coordinates"})


@kind
def gtf_with_trans_spliced_transcripts_beside_an_ordinary_one():
    """As of mod(mdg4) in flies."""
    rows = [row(ODD, "exon", toy.EXONS[0], ids(ODD, "tr")), row(ODD, "exon", toy.EXONS[1], ids(ODD, "tr"), strand="-")]
    rows += [row(ODD, "CDS", (0, 100), ids(ODD, "tr"))]
    return Kind(text([*lines(gtf), *rows]), holds_stop=False, said="both strands")


@kind
def gtf_of_augustus():
    """Genes and transcripts have bare names in the last column."""
    found = []
    for gene in ORGANISM.genes:
        found += [row(gene, "gene", (0, toy.SPAN), gene.name), row(gene, "transcript", (0, toy.SPAN), f"T{gene.name}")]
        found += gtf(gene)
    return Kind(text(found), holds_stop=False)


@kind
def gtf_of_ncbi_bacteria():
    """All genes share a transcript id, and one gene has two proteins; start_codon and gene rows have none."""
    found = []
    for gene in ORGANISM.genes:
        about = f'gene_id "{gene.name}"; transcript_id ""; gbkey "Gene"; gene_biotype "protein_coding";'
        found.append(row(gene, "gene", (0, toy.SPAN), about))
        about = (
            f'gene_id "{gene.name}"; transcript_id "unassigned_transcript_1"; protein_id "{{}}"; note "x; gene_id y";'
        )
        found += [
            row(gene, "CDS", (0, 297), about.format("long")),
            row(gene, "stop_codon", (297, 300), about.format("long")),
        ]
        if gene is ODD:
            found += [row(gene, "CDS", (60, 297), about.format("short"))]
    lengths = dict.fromkeys(("UTR5LEN", "UTR3LEN", "INTRONLEN"), 0) | {"CDSLEN": 297, "ORFEXONDENSITY": 1000 / 297}
    return Kind(text(found), lengths=dict.fromkeys(GENES, lengths), holds_stop=False)


@kind
def gtf_without_transcript_ids():
    rows = lines(lambda gene: gtf(gene, f'gene_id "{gene.name}"; transcript_id "";'))
    return Kind(text(rows), holds_stop=False)


@kind
def gff2_of_jgi():
    rows = lines(lambda gene: gtf(gene, f'name "{gene.name}"; proteinId 7; exonNumber 1'))
    return Kind(text(rows), {"genes__id": "name"}, holds_stop=False)


@kind
def gtf_with_track_lines_carriage_returns_and_empty_columns():
    found = ["\ufeffbrowser position chr1:1-100", 'track name="genes" description="x"', "  # spaces first", *lines(gtf)]
    return Kind("\r\n".join(line + "\t" * line.startswith("2") for line in found), holds_stop=False)


@kind
def gtf_with_bare_carriage_returns():
    return Kind("\r".join(lines(gtf)), holds_stop=False)


@kind
def gtf_of_one_gene_without_a_stop_codon():
    """An incomplete CDS, as of many of Ensembl's transcripts."""
    rows = [line for line in gtf(ODD) if "stop_codon" not in line]
    words = {"genes__stop_codon": "included"}
    return Kind(text([*lines(gtf, but=[ODD]), *rows]), words, without={ODD.name: "stop codon"})


@kind
def gff3_without_exon_rows():
    return Kind(text(lines(lambda gene: gff3(gene, exons=False))), lengths=dict.fromkeys(GENES, INTRON))


@kind
def gff3_of_pombase_with_introns_in_utrs():
    """Without exon rows, those of UTRs show their introns."""
    rows = gff3(ODD, exons=False)
    rows += [row(ODD, "five_prime_UTR", part, f"Parent=rna-{ODD.name}") for part in ((0, 10), (20, 30))]
    rows += [row(ODD, "three_prime_UTR", (233, 300), f"Parent=rna-{ODD.name}")]
    return but_odd(rows, gff3, lengths={ODD.name: {"UTR5LEN": 20, "INTRONLEN": 70}})


@kind
def gff3_of_phytozome_with_an_id_for_each_cds_row():
    """IDs that number the rows of one protein do not make proteins of them."""
    found = lines(gff3)
    return Kind(
        text([f"{line};n" if "\tCDS" not in line else line.replace("ID=", f"ID={n}.") for n, line in enumerate(found)])
    )


@kind
def gff3_of_gffread_without_gene_rows():
    found = [line for line in lines(gff3) if "\tgene\t" not in line]
    return Kind(text([line.replace("Parent=gene-", "geneID=") if "\tmRNA" in line else line for line in found]))


@kind
def gff3_of_cds_rows_alone():
    found = [f"{line};locus_tag={line.split('cds-')[1][:9]}" for line in lines(gff3) if "\tCDS" in line]
    lengths = {"UTR5LEN": 0, "UTR3LEN": 0, "INTRONLEN": 60}
    return Kind(text(found), {"halflife": False}, lengths=dict.fromkeys(GENES, lengths), shift=30)


@kind
def gff3_of_wormbase():
    found = [line.replace("gene-ENSG", "Gene:ENSG").replace("locus_tag=", "sequence_name=") for line in lines(gff3)]
    return Kind(
        text([line.replace(";Parent=rna", ";Parent=Transcript:other,rna") if "CDS" in line else line for line in found])
    )


@kind
def gff3_of_tair_where_a_protein_is_a_parent_too():
    found = []
    for gene in ORGANISM.genes:
        found += [
            line.replace(f"Parent=rna-{gene.name}", f"Parent=rna-{gene.name},p-{gene.name}") for line in gff3(gene)
        ]
        found += [row(gene, "protein", (30, 233), f"ID=p-{gene.name};Derives_from=rna-{gene.name}")]
    return Kind(text(found))


@kind
def gff3_with_percent_signs_and_a_polypeptide_between():
    found = []
    for gene in ORGANISM.genes:
        for line in gff3(gene):
            line = line.replace("rna-", "rna%2C") + ";Note=a%3Bb"
            found.append(line if "\tCDS" not in line else line.replace("Parent=rna%2C", "Parent=pp-"))
        found.append(row(gene, "polypeptide", (30, 233), f"ID=pp-{gene.name};Parent=rna%2C{gene.name}"))
    return Kind(text(found), {"halflife": False})


@kind
def gff3_of_a_trans_spliced_chloroplast_gene():
    """As of rps12: one ID on both strands."""
    about = f"ID=gene-{ODD.name};locus_tag={ODD.name};gene_biotype=protein_coding;part={{}}"
    rows = [
        row(ODD, "gene", (0, 100), about.format("1/2")),
        row(ODD, "gene", (160, 300), about.format("2/2"), strand="-"),
    ]
    rows += [row(ODD, "CDS", (30, 100), f"ID=cds-{ODD.name};Parent=gene-{ODD.name}")]
    rows += [row(ODD, "CDS", (160, 233), f"ID=cds-{ODD.name};Parent=gene-{ODD.name}", strand="-")]
    return but_odd(rows, gff3, without={ODD.name: "both strands"})


@kind
def gff3_with_an_exon_on_another_chromosome():
    rows = gff3(ODD)
    rows[3] = row(ODD, "exon", toy.EXONS[1], f"ID=e;Parent=rna-{ODD.name}", chromosome="4")
    return but_odd(rows, gff3, without={ODD.name: "two chromosomes"})


@kind
def gff3_with_a_transcript_without_strand():
    rows = gff3(ODD)
    rows[1] = rows[1].replace("\t+\t", "\t.\t")
    return but_odd(rows, gff3, without={ODD.name: "no strand"})


@kind
def gff3_with_overlapping_exons():
    rows = [*gff3(ODD), row(ODD, "exon", (90, 120), f"ID=e;Parent=rna-{ODD.name}")]
    return but_odd(rows, gff3, without={ODD.name: "exons overlap"})


@kind
def gff3_with_a_cds_outside_the_exons():
    rows = [*gff3(ODD), row(ODD, "CDS", (120, 150), f"ID=cds-{ODD.name};Parent=rna-{ODD.name}")]
    return but_odd(rows, gff3, without={ODD.name: "CDS outside the exons"})


@kind
def gff3_with_a_gene_beyond_the_end_of_its_chromosome():
    far = toy.ToyGene(ODD.name, "", ODD.chromosome, toy.LENGTH - 200, "+", 0)
    return but_odd(gff3(far), gff3, without={ODD.name: "beyond the end"})


@kind
def gff3_with_a_gene_on_a_contig_that_the_genome_lacks():
    far = toy.ToyGene(ODD.name, "", "scaffold_9", 50, "+", 0)
    return but_odd(gff3(far), gff3, without={ODD.name: "not in the genome"})


@kind
def gff3_with_pseudogenes_and_no_biotypes():
    found = [line.replace(";gene_biotype=protein_coding", "") for line in lines(gff3)]
    found = [f"{line};pseudo=true" if f"gene-{ODD.name};l" in line else line for line in found]
    found = [line.replace("\tgene\t", "\tpseudogene\t") if f"gene-{OTHER.name};l" in line else line for line in found]
    return Kind(text(found), without={ODD.name: None, OTHER.name: None})


@kind
def gff3_of_prokka_with_trnas():
    found = lines(lambda gene: [row(gene, "CDS", (30, 233), f"ID={gene.name};locus_tag={gene.name};product=x")])
    found += [row(ODD, "tRNA", (240, 280), "ID=t_1;locus_tag=t_1"), "##FASTA", ">1", "ACGT"]
    lengths = {"UTR5LEN": 0, "UTR3LEN": 0, "INTRONLEN": 0, "CDSLEN": 203, "ORFEXONDENSITY": 1000 / 203}
    return Kind(text(found), lengths=dict.fromkeys(GENES, lengths), shift=30)


@kind
def gff3_with_sequences_that_nothing_announces():
    return Kind(text([*lines(gff3), ">1", "ACGTACGT"]))


@kind
def gff3_whose_ids_begin_anew_on_each_chromosome():
    found = []
    for gene in ORGANISM.genes:
        number = ORGANISM.genes.index(gene) % toy.GENES_EACH
        found += [line.replace(f"-{gene.name}", f"-g{number}") for line in gff3(gene)]
    return Kind(text(found))


@kind
def gff3_with_the_longest_of_three_proteins_in_front():
    """As b3168 of E. coli: CDS rows of one gene, told apart by protein_id."""
    rows = [row(ODD, "gene", (0, 300), f"ID=gene-{ODD.name};locus_tag={ODD.name};gene_biotype=protein_coding")]
    for n, start in enumerate((150, 0, 60)):
        rows += [row(ODD, "CDS", (start, 300), f"ID=cds-{n};Parent=gene-{ODD.name};protein_id=p{n}")]
    lengths = {"UTR5LEN": 0, "UTR3LEN": 0, "INTRONLEN": 0, "CDSLEN": 300, "ORFEXONDENSITY": 1000 / 300}
    return but_odd(rows, gff3, lengths={ODD.name: lengths})


@kind
def gff3_with_frameshifts_within_an_exon():
    """One base is skipped here, and one read twice there: neither is an intron."""
    rows = {}
    for gene, second in ((ODD, 51), (OTHER, 49)):
        rows[gene] = gff3(gene)[:3]
        for part in ((30, 50), (second, 90)):
            rows[gene].append(row(gene, "CDS", part, f"ID=cds;Parent=rna-{gene.name};exception=ribosomal slippage"))
    lengths = {"INTRONLEN": 0, "UTR3LEN": 10}
    return Kind(
        text([*lines(gff3, but=[ODD, OTHER]), *rows[ODD], *rows[OTHER]]),
        lengths={
            ODD.name: lengths | {"CDSLEN": 59, "ORFEXONDENSITY": 1000 / 59},
            OTHER.name: lengths | {"CDSLEN": 60, "ORFEXONDENSITY": 1000 / 60},
        },
    )


def ask(tmp_path, found):
    """Write the files, and return the config that reads them."""
    path = tmp_path / "annotation"
    path.write_bytes(found.text.encode())
    return configured(
        source="genome",
        fasta=str(toy.write_genome(tmp_path / "genome.fa", ORGANISM)),
        gtf=str(path),
        expression=str(toy.write_expression(tmp_path / "expression.tsv", ORGANISM)),
        upstream=toy.UPSTREAM,
        downstream=toy.DOWNSTREAM,
        out=str(tmp_path / "out"),
        **found.words,
    )


def features(genes, row):
    return dict(zip(HALFLIFE_FEATURES, genes.halflife[row].tolist(), strict=True))


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_gives_the_same_genes(tmp_path, name):
    found, said = KINDS[name](), []
    ledger = Ledger(note=said.append, warn=said.append)
    genes = gather(ask(tmp_path, found), ledger)
    rows = {gene: n for n, gene in enumerate(genes.names.ids.tolist())}
    assert set(rows) == set(GENES) - set(found.without)
    for gene, n in rows.items():
        known = GENES[gene]
        moved = replace(known, start=known.start + (found.shift if known.strand == "+" else -found.shift))
        assert text_from_tokens(genes.promoters[n]) == ORGANISM.promoter(moved)
        if len(genes.halflife):
            stop = {"CDSLEN": 143, "INTRONLEN": 60, "ORFEXONDENSITY": 2000 / 143} if found.holds_stop else {}
            expected = toy.LENGTHS | stop | found.lengths.get(gene, {})
            assert {key: features(genes, n)[key] for key in expected} == pytest.approx(expected)
    left = {each.gene: each.reason.value for each in ledger.left_out}
    assert set(left) == {gene for gene, reason in found.without.items() if reason}
    assert all(found.without[gene] in reason for gene, reason in left.items())
    assert any(found.said in line for line in said)


def in_two_rows(gene):
    """Each row that spans the origin is written as two, as GenBank's joins are."""
    found = []
    for line in gff3(gene):
        columns = line.split("\t")
        first, last = int(columns[3]), int(columns[4])
        for low, high in ((first, min(last, toy.LENGTH)), (max(first, toy.LENGTH + 1), last)):
            if low <= high:
                part = (low, high) if high <= toy.LENGTH else (low - toy.LENGTH, high - toy.LENGTH)
                found.append("\t".join([*columns[:3], *map(str, part), *columns[5:]]))
    return found


@pytest.mark.parametrize("rows_of", [gff3, in_two_rows])
@pytest.mark.parametrize("strand", ["+", "-"])
@pytest.mark.parametrize("before", [20, 95, 130, 200, 250])
def test_a_gene_across_the_origin_of_a_circular_chromosome(tmp_path, rows_of, strand, before):
    gene = toy.ToyGene("ENSG90001", "", "1", toy.LENGTH - before, strand, 1.0)
    region = f"1\tx\tregion\t1\t{toy.LENGTH}\t.\t+\t.\tID=1:1;Is_circular=true"
    found = Kind(text([region, *lines(gff3), *rows_of(gene)]))
    config = ask(tmp_path, found)
    with (tmp_path / "expression.tsv").open("a") as file:
        file.write(f"{gene.name}\tx\t1\n")
    ledger = Ledger()
    genes = gather(config, ledger)
    assert not ledger.left_out
    row = genes.names.ids.tolist().index(gene.name)
    turned = toy.Organism()  # the same chromosome, cut open elsewhere: the gene lies within it
    turned.genome["1"] = turned.genome["1"][3000:] + turned.genome["1"][:3000]
    inside = toy.ToyGene(gene.name, "", "1", gene.start - 3000, strand, 1.0)
    assert text_from_tokens(genes.promoters[row]) == turned.promoter(inside)
    values = features(genes, row)
    text_of = {"CDSGC": turned.spliced(inside, WHOLE_CDS), "UTR3GC": turned.spliced(inside, toy.UTR3)}
    gc = {key: (bases.count("G") + bases.count("C")) / len(bases) for key, bases in text_of.items()}
    expected = toy.LENGTHS | {"CDSLEN": 143, "INTRONLEN": 60, "ORFEXONDENSITY": 2000 / 143} | gc
    assert {key: values[key] for key in expected} == pytest.approx(expected)
    assert 0 <= genes.tss[row] < toy.LENGTH
    first = genes.names.ids.tolist().index(ORGANISM.genes[0].name)
    assert "N" not in text_from_tokens(genes.promoters[first])  # which reaches past the origin
    assert "past the origin of a circular chromosome" in ledger.rules["padding"]


def test_a_circular_chromosome_of_another_length(tmp_path):
    region = f"1\tx\tregion\t1\t{toy.LENGTH - 7}\t.\t+\t.\tID=1:1;Is_circular=true"
    with pytest.raises(UserError, match="12 circular chromosome of another length"):
        gather(ask(tmp_path, Kind(text([region, *lines(gff3)]))), Ledger())
