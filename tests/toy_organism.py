"""A small organism whose genes are known base by base, written in the flavours of the big annotation sites."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np

LENGTH = 6000
CHROMOSOMES = ("1", "2", "3", "4")
GENES_EACH = 12
UPSTREAM, DOWNSTREAM = 60, 40

#: A transcript along its own strand: two exons with an intron between them, UTRs, CDS and stop codon.
SPAN = 300
EXONS = ((0, 100), (160, 300))
UTR5, CDS, STOP, UTR3 = ((0, 30),), ((30, 100), (160, 230)), ((230, 233),), ((233, 300),)
LENGTHS = {"UTR5LEN": 30, "CDSLEN": 140, "UTR3LEN": 67, "INTRONLEN": 63, "ORFEXONDENSITY": 2000 / 140}


@dataclass(frozen=True)
class ToyGene:
    name: str
    symbol: str
    chromosome: str
    start: int
    strand: str
    expression: float

    def place(self, interval: tuple[int, int]) -> tuple[int, int]:
        """Return an interval along the transcript in 1-based, closed chromosome coordinates."""
        left, right = interval
        if self.strand == "+":
            return self.start + left + 1, self.start + right
        return self.start + SPAN - right + 1, self.start + SPAN - left


def reverse_complement(sequence: str) -> str:
    return sequence[::-1].translate(str.maketrans("ACGTN", "TGCAN"))


class Organism:
    """Genome and genes; `spliced` and `promoter` are computed letter by letter."""

    def __init__(self, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.genome = {name: "".join(rng.choice(list("ACGT"), LENGTH)) for name in CHROMOSOMES}
        self.genes = [
            ToyGene(
                f"ENSG{n:05}",
                f"Sym{n}",
                chromosome,
                20 + 480 * k,  # the first promoter reaches past the chromosome's start
                "+-"[n % 2],
                round(float(rng.gamma(1, 20)), 4),
            )
            for c, chromosome in enumerate(CHROMOSOMES)
            for k in range(GENES_EACH)
            for n in [c * GENES_EACH + k]
        ]

    def spliced(self, gene: ToyGene, parts: tuple[tuple[int, int], ...]) -> str:
        text = ""
        for part in parts:
            first, last = gene.place(part)
            piece = self.genome[gene.chromosome][first - 1 : last]
            text += piece if gene.strand == "+" else reverse_complement(piece)
        return text

    def promoter(self, gene: ToyGene, upstream: int = UPSTREAM, downstream: int = DOWNSTREAM) -> str:
        padded = "N" * 1000 + self.genome[gene.chromosome] + "N" * 1000
        tss = gene.place((0, 1))[0] - 1 + 1000
        if gene.strand == "+":
            return padded[tss - upstream : tss + downstream]
        return reverse_complement(padded[tss + 1 - downstream : tss + 1 + upstream])

    def features(self, gene: ToyGene) -> dict[str, float]:
        gc = {}
        for name, parts in (("UTR5", UTR5), ("CDS", CDS), ("UTR3", UTR3)):
            text = self.spliced(gene, parts)
            gc[f"{name}GC"] = (text.count("G") + text.count("C")) / len(text)
        return {**LENGTHS, **gc}


def write_genome(path: Path, organism: Organism, prefix: str = "", width: int = 61) -> Path:
    lines = []
    for name, sequence in organism.genome.items():
        lines.append(f">{prefix}{name} toy chromosome")
        lines += [sequence[n : n + width] for n in range(0, len(sequence), width)]
    return write(path, "\n".join(lines) + "\n")


def write(path: Path, text: str) -> Path:
    """Write text, packed with gzip if the name says so."""
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def gtf_rows(organism: Organism, prefix: str = "", version: str = "", flavour: str = "ensembl") -> list[str]:
    kind = "gene_biotype" if flavour == "ensembl" else "gene_type"
    rows = ["#!genome-build toy"]
    for gene in organism.genes:
        about = f'gene_id "{gene.name}{version}"; gene_name "{gene.symbol}"; {kind} "protein_coding";'
        rows.append(gtf_row(gene, "gene", (0, SPAN), about, prefix))
        about += f' transcript_id "T{gene.name}{version}"; tag "basic"; tag "Ensembl_canonical";'
        rows.append(gtf_row(gene, "transcript", (0, SPAN), about, prefix))
        rows += [gtf_row(gene, "exon", exon, about, prefix) for exon in EXONS]
        rows += [gtf_row(gene, "CDS", part, about, prefix) for part in CDS]
        rows += [gtf_row(gene, "stop_codon", STOP[0], about, prefix)]
        rows += [gtf_row(gene, "UTR", part, about, prefix) for part in (*UTR5, *UTR3)]
    return rows


def gtf_row(gene: ToyGene, kind: str, interval: tuple[int, int], about: str, prefix: str = "") -> str:
    first, last = gene.place(interval)
    return f"{prefix}{gene.chromosome}\ttoy\t{kind}\t{first}\t{last}\t.\t{gene.strand}\t.\t{about}"


def write_gtf(path: Path, organism: Organism, **how: str) -> Path:
    return write(path, "\n".join(gtf_rows(organism, **how)) + "\n")


def with_files(folder: Path) -> Organism:
    """Return an organism whose genome and genes are in g.fa and g.gtf; chromosomes have a prefix in g.fa alone."""
    organism = Organism()
    write_genome(folder / "g.fa", organism, prefix="chr")
    write_gtf(folder / "g.gtf", organism)
    return organism


def write_gff3(path: Path, organism: Organism, flavour: str = "ensembl") -> Path:
    """Write GFF3, whose CDS holds the stop codon, as Ensembl, RefSeq, SGD or NCBI's bacteria do."""
    cds = (CDS[0], (160, 233))
    rows = ["##gff-version 3"]
    for gene in organism.genes:
        mother = {
            "ensembl": f"ID=gene:{gene.name};Name={gene.symbol};biotype=protein_coding;gene_id={gene.name}",
            "refseq": f"ID=gene-{gene.name};Dbxref=GeneID:7;gene={gene.symbol};gene_biotype=protein_coding",
            "sgd": f"ID={gene.name};Name={gene.name};gene={gene.symbol};Note=toy%20gene",
            "bacterium": f"ID=gene-{gene.name};Name={gene.symbol};gene_biotype=protein_coding;locus_tag={gene.name}",
        }[flavour]
        mother_id = mother.split(";")[0][3:]
        rows.append(gtf_row(gene, "gene", (0, SPAN), mother))
        child = mother_id
        if flavour != "bacterium":
            child = f"rna-{gene.name}"
            rows.append(gtf_row(gene, "mRNA", (0, SPAN), f"ID={child};Parent={mother_id};tag=MANE Select"))
        if flavour in ("ensembl", "refseq"):
            rows += [gtf_row(gene, "exon", exon, f"ID=exon-{n};Parent={child}") for n, exon in enumerate(EXONS)]
        rows += [gtf_row(gene, "CDS", part, f"ID=cds-{gene.name};Parent={child}") for part in cds]
    if flavour == "sgd":
        rows += ["##FASTA", ">chrI", "ACGT"]
    return write(path, "\n".join(rows) + "\n")


def write_expression(path: Path, organism: Organism, version: str = "") -> Path:
    lines = ["gene_id\tgene_name\tfpkm"]
    lines += [f"{gene.name}{version}\t{gene.symbol}\t{gene.expression}" for gene in organism.genes]
    return write(path, "\n".join(lines) + "\n")


def write_table(path: Path, organism: Organism) -> Path:
    """Write the genes as Xpresso's table."""
    features = ("UTR5LEN", "CDSLEN", "INTRONLEN", "UTR3LEN", "UTR5GC", "CDSGC", "UTR3GC", "ORFEXONDENSITY")
    lines = ["\t".join(("ENSID", "EXPRESSION", *features, "PROMOTER"))]
    for gene in organism.genes:
        known = organism.features(gene)
        cells = (gene.name, gene.expression, *(known[name] for name in features), organism.promoter(gene))
        lines.append("\t".join(map(str, cells)))
    return write(path, "\n".join(lines) + "\n")
