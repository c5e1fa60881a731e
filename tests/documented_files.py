"""Small made files of the form of those that docs/data names, and where the real ones lie."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

#: Real files by the name that the documentation gives them, below the folder in GENEXP_REAL_DATA.
REAL = {
    "Saccharomyces_cerevisiae.R64-1-1.dna.toplevel.fa.gz": "yeast/genome.fa.gz",
    "Saccharomyces_cerevisiae.R64-1-1.113.gtf.gz": "yeast/annotation.gtf.gz",
    "yeast/expression.tsv": "yeast/expression_fpkm.tsv",
    "yeast/tf.tsv": "yeast/tf_matrix.tsv.gz",
    "GCF_000005845.2_ASM584v2_genomic.fna.gz": "ecoli/genome.fna.gz",
    "GCF_000005845.2_ASM584v2_genomic.gff.gz": "ecoli/annotation.gff.gz",
    "log_tpm.csv": "ecoli/log_tpm.csv.gz",
    "regulators.csv": "ecoli/regulators.csv",
    "labels.tsv": "human/labels.tsv.gz",
    "halflife_features.csv": "human/halflife_features.csv.gz",
    "tf_matrix.tsv": "human/tf_matrix.tsv.gz",
    "mirna_target_pairs.tsv": "human/mirna_target_pairs.tsv.gz",
    "yeast_gpra_110bp.tsv": "mpra/yeast_gpra_110bp.tsv.gz",
}

RNG = np.random.default_rng(0)
#: Genes lie this far apart and are this long, in nt.
STEP, SPAN = 600, 300


def write(path: Path, text: str) -> None:
    """Write a file, packed where its name ends in .gz."""
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())


def link_real(path: Path, real: Path) -> None:
    """Put a real file under a documented name, unpacked where that name asks for it."""
    if real.suffix == ".gz" and path.suffix != ".gz":
        with gzip.open(real) as packed, path.open("wb") as file:
            shutil.copyfileobj(packed, file)
    else:
        path.symlink_to(real)


def bases(length: int) -> str:
    return "".join(RNG.choice(list("ACGT"), length))


def fasta(*chromosomes: str, genes: int = 30) -> str:
    return "".join(f">{name} a description\n{bases(genes * STEP + SPAN)}\n" for name in chromosomes)


def gene_id(prefix: str, number: int) -> str:
    """Return an id as Ensembl writes it, or a short one."""
    return f"{prefix}{number + 1:0{11 if prefix.startswith('ENS') else 4}}"


def places(chromosomes: tuple[str, ...], prefix: str, genes: int) -> list[tuple[str, str, int, str]]:
    """Return id, chromosome, start (from 1) and strand of each gene."""
    return [
        (gene_id(prefix, c * genes + n), name, STEP * n + 201, "+-"[n % 2])
        for c, name in enumerate(chromosomes)
        for n in range(genes)
    ]


def gtf(*chromosomes: str, prefix: str, genes: int = 30) -> str:
    lines = ["#!genome-build made"]
    for gene, chromosome, start, strand in places(chromosomes, prefix, genes):
        named = f'gene_id "{gene}"; gene_name "N{gene[-4:]}"; gene_biotype "protein_coding";'
        for kind, first, last in (
            ("gene", start, start + SPAN - 1),
            ("transcript", start, start + SPAN - 1),
            ("exon", start, start + 99),
            ("exon", start + 160, start + SPAN - 1),
            ("CDS", start + 30, start + 99),
            ("CDS", start + 160, start + 250),
        ):
            more = "" if kind == "gene" else f' transcript_id "{gene}.t1";'
            lines.append(f"{chromosome}\tmade\t{kind}\t{first}\t{last}\t.\t{strand}\t.\t{named}{more}")
    return "\n".join(lines) + "\n"


def refseq(chromosome: str, genes: int = 90) -> str:
    """A bacterium as RefSeq annotates it: genes with CDS, on a circular chromosome."""
    length = genes * STEP + SPAN
    lines = ["##gff-version 3", f"{chromosome}\tRefSeq\tregion\t1\t{length}\t.\t+\t.\tID=r;Is_circular=true"]
    for gene, name, start, strand in places((chromosome,), "b", genes):
        end, protein = start + SPAN - 1, f"cds-NP_{gene}"
        about = f"ID=gene-{gene};Name=n{gene};gene_biotype=protein_coding;locus_tag={gene}"
        lines.append(f"{name}\tRefSeq\tgene\t{start}\t{end}\t.\t{strand}\t.\t{about}")
        lines.append(f"{name}\tRefSeq\tCDS\t{start}\t{end}\t.\t{strand}\t0\tID={protein};Parent=gene-{gene}")
    return "\n".join(lines) + "\n"


def table(header: str, ids: list[str], cells: Callable[[int, str], list[object]], separator: str = "\t") -> str:
    rows = [separator.join(map(str, cells(n, gene))) for n, gene in enumerate(ids)]
    return "\n".join([header.replace("\t", separator), *rows]) + "\n"


def number() -> str:
    return f"{RNG.gamma(1, 20):.4f}"


def ids_of(prefix: str, genes: int = 300) -> list[str]:
    return [gene_id(prefix, n) for n in range(genes)]


ENSEMBL = [f"ENSG{n:011}" for n in range(120)]
FEATURES = "UTR5LEN_log10zscore,CDSLEN_log10zscore,INTRONLEN_log10zscore,UTR3LEN_log10zscore,UTR5GC,CDSGC,UTR3GC"


def gtex() -> str:
    ids = ids_of("ENSG")
    header = "Name\tDescription\tBrain - Amygdala\tSkin - Not Sun Exposed (Suprapubic)\tLiver\tLung"
    cells = table(header, ids, lambda n, gene: [f"{gene}.1", f"N{gene[-4:]}", *(number() for _ in range(4))])
    return f"#1.2\n{len(ids)}\t4\n{cells}"


def xpresso() -> str:
    features = "UTR5LEN\tCDSLEN\tINTRONLEN\tUTR3LEN\tUTR5GC\tCDSGC\tUTR3GC\tORFEXONDENSITY"
    lengths = [100, 900, 3000, 500, 0.5, 0.4, 0.3, 8.1]
    rows = [f"ENSG{n:011}" for n in range(2100)]
    return table(
        f"ENSID\tEXPRESSION\t{features}\tPROMOTER",
        rows,
        lambda n, gene: [gene, number(), *(f"{x * RNG.uniform(0.5, 1.5):.4f}" for x in lengths), bases(40)],
    )


def reporters() -> str:
    sets = ("random", "drift", "native")
    header = "sequence\texpression_complex\texpression_defined\tset"
    return table(
        header,
        [bases(110) for _ in range(150)],
        lambda n, seq: [seq, number() if n % 7 else "", number() if n % 5 else "1.5", sets[n % 3]],
    )


HUMAN = ("1", "2", "8", "9", "10", "Y", "MT")
MOUSE = ("1", "2", "3", "4", "5", "6", "7", "8", "Y", "MT")
YEAST = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "XV", "Mito")

#: What makes the text of each file, by its name in the documentation; a folder is that of the dataset.
MADE: dict[str, Callable[[], str]] = {
    "GRCh38.primary_assembly.genome.fa.gz": lambda: fasta(*(f"chr{name}" for name in HUMAN), genes=40),
    "gencode.v47.primary_assembly.annotation.gtf.gz": lambda: gtf(*(f"chr{x}" for x in HUMAN), prefix="ENSG"),
    "GTEx_Analysis_2017-06-05_v8_RNASeQCv1.1.9_gene_median_tpm.gct.gz": gtex,
    "GRCm39.primary_assembly.genome.fa.gz": lambda: fasta(*(f"chr{name}" for name in MOUSE), genes=40),
    "gencode.vM36.primary_assembly.annotation.gtf.gz": lambda: gtf(*(f"chr{x}" for x in MOUSE), prefix="ENSMUSG"),
    "mouse/expression.tsv": lambda: table(
        "gene_id\tliver\tlung", ids_of("ENSMUSG"), lambda n, gene: [f"{gene}.3", number(), number()]
    ),
    "Saccharomyces_cerevisiae.R64-1-1.dna.toplevel.fa.gz": lambda: fasta(*YEAST),
    "Saccharomyces_cerevisiae.R64-1-1.113.gtf.gz": lambda: gtf(*YEAST, prefix="Y"),
    "yeast/expression.tsv": lambda: table(
        "gene_id\tgene_name\tfpkm", ids_of("Y"), lambda n, gene: [gene, f"N{gene[-4:]}", number()]
    ),
    "yeast/tf.tsv": lambda: table("gene_id\tAbf1p\tRap1p", ids_of("Y"), lambda n, gene: [gene, n % 2, n % 3 % 2]),
    "GCF_000005845.2_ASM584v2_genomic.fna.gz": lambda: fasta("NC_000913.3", genes=90),
    "GCF_000005845.2_ASM584v2_genomic.gff.gz": lambda: refseq("NC_000913.3"),
    "log_tpm.csv": lambda: table(
        "Geneid\ts_001\ts_002", ids_of("b"), lambda n, gene: [gene, f"{n / 9:.3f}", f"{n / 8:.3f}"], ","
    ),
    "regulators.csv": lambda: table(
        "\tregulator\tgene_id\teffect", ids_of("b"), lambda n, gene: [n, f"reg{n % 4}", gene, "+-"[n % 2]], ","
    ),
    "labels.tsv": lambda: table(
        "ensembl_id\tsymbol\txpresso_order\txpresso_split\tchrom\ttss_hg38\tstrand\texpr_log10",
        ENSEMBL,
        lambda n, gene: [gene, f"S{n}", n, ("train", "train", "valid", "test")[n % 4], n % 22, n, "+", n / 40 - 1],
    ),
    "halflife_features.csv": lambda: table(
        "chrom\tTSS\tgene_id\tGene name\tGene description\t" + FEATURES.replace(",", "\t") + "\tORFEXONDENSITY",
        ENSEMBL,
        lambda n, gene: ["X", n, gene, f"S{n}", '"a factor, 1 [Source:HGNC]"', *RNG.normal(size=8).round(4)],
        ",",
    ),
    "tf_matrix.tsv": lambda: table(
        "ensembl_id\tsymbol\tATF1\tCTCF", ENSEMBL[:100], lambda n, gene: [gene, f"S{n}", n % 2, n % 3 % 2]
    ),
    "mirna_target_pairs.tsv": lambda: table(
        "ensembl_id\tsymbol\tmirna", ENSEMBL[::2], lambda n, gene: [gene, f"S{n}", f"hsa-miR-{n % 5}"]
    ),
    "expression.tsv": lambda: table("gene_id\tTPM", ENSEMBL, lambda n, gene: [gene, number()]),
    "features.tsv": lambda: table(
        "gene_id\tcodon_index\tdecay_rate", ENSEMBL, lambda n, gene: [gene, *RNG.normal(size=2).round(4)]
    ),
    "yeast_gpra_110bp.tsv": reporters,
    "Roadmap_FantomAnnotations.InputData.pM10Kb.txt.gz": xpresso,
    "mask_histone_genes.txt": lambda: "ENSG00000000007\n",
}
