"""The formats of expression tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from genexp.prepare.formats import Format

#: Rows that HTSeq and STAR write for reads that belong to no gene.
NO_GENES = frozenset(
    {"__no_feature", "__ambiguous", "__too_low_aQual", "__not_aligned", "__alignment_not_unique"}
    | {"no_feature", "ambiguous", "too_low_aQual", "not_aligned", "alignment_not_unique"}
    | {"N_unmapped", "N_multimapping", "N_noFeature", "N_ambiguous"}
)
#: Units by the word in a heading; the first of several units of one sample is the one to recommend.
UNITS = {
    **{"tpm": "TPM", "fpkm": "FPKM", "rpkm": "RPKM", "cpm": "CPM", "rpm": "RPM", "uq": "FPKM-UQ", "nx": "nTPM"},
    **dict.fromkeys(("counts", "count", "reads", "readcount", "readcounts", "numreads", "rawcount"), "counts"),
    **{"rawcounts": "counts", "coverage": "coverage", "isopct": "percent of the gene"},
}
#: Units whose values of one gene may be added up.
ADDITIVE = frozenset({"TPM", "FPKM", "RPKM", "CPM", "RPM", "counts"})


@dataclass(frozen=True)
class ExpressionFormat(Format):
    """A format of expression tables.

    `gene` is the heading of the gene's column, by default the first; `names` have other names of the gene. Values are
    the columns of `values`, with their units, of which the first is read unless ``samples`` says otherwise; or every
    other column is a sample, in one `unit`. Rows are genes, ``transcripts`` (``of gene``: of one that the table names),
    or either where the tool writes both alike. `last` are rows that the file must have; `refused` says why a table is
    none of expression. With `empty_is_zero`, an empty cell is a value below the cutoff of the database.
    """

    gene: str = ""
    names: tuple[str, ...] = ()
    values: Mapping[str, str] = field(default_factory=dict)
    unit: str | None = None
    rows: str = "genes"
    last: frozenset[str] = frozenset()
    refused: str = ""
    empty_is_zero: bool = False


_COUNT = r"\t[0-9]+"
_DIFFERENTIAL = "a result of differential expression: it has changes between conditions, and no expression"
_RSEM = {"TPM": "TPM", "FPKM": "FPKM", "expected_count": "counts"}
_RSEM_MORE = (
    *("length", "effective_length", "posterior_mean_count", "posterior_standard_deviation_of_count", "pme_TPM"),
    *("pme_FPKM", "TPM_ci_lower_bound", "TPM_ci_upper_bound", "FPKM_ci_lower_bound", "FPKM_ci_upper_bound"),
    *("TPM_coefficient_of_quartile_variation", "FPKM_coefficient_of_quartile_variation", "IsoPct"),
    *("IsoPct_from_pme_TPM", "transcript_id", "transcript_id(s)"),
)
_BIOMART = (
    *("Gene stable ID version", "Transcript stable ID", "Transcript stable ID version", "Protein stable ID"),
    *("Protein stable ID version", "Exon stable ID", "Gene description", "Chromosome/scaffold name"),
    *("Gene start (bp)", "Gene end (bp)", "Strand", "Karyotype band", "Transcript start (bp)", "Transcript end (bp)"),
    *("Transcription start site (TSS)", "Transcript length (including UTRs and CDS)", "Transcript support level (TSL)"),
    *("GENCODE basic annotation", "Ensembl Canonical", "APPRIS annotation", "Gene % GC content", "Gene type"),
    *("Transcript type", "Transcript name", "Transcript count", "Source of gene name", "Source (gene)"),
    *("Version (gene)", "Version (transcript)", "CDS Length", "5' UTR start", "5' UTR end", "3' UTR start"),
    *("3' UTR end", "Exon rank in transcript", "Phenotype description", "GO term accession", "GO term name"),
)
_BIOMART_NAMES = (
    *("Gene name", "Gene Synonym", "NCBI gene (formerly Entrezgene) ID", "NCBI gene ID", "EntrezGene ID", "HGNC ID"),
    *("HGNC symbol", "MGI ID", "MGI symbol", "UniProtKB/Swiss-Prot ID", "UniProtKB Gene Name ID", "RefSeq mRNA ID"),
    *("NCBI gene (formerly Entrezgene) accession", "WikiGene name", "WikiGene ID"),
)

FORMATS = (
    ExpressionFormat("GCT 1.2 (GenePattern, GTEx)", mark="#1.2", also=("id",), gene="Name", names=("Description",)),
    ExpressionFormat("GCT 1.3 (GenePattern, LINCS)", mark="#1.3"),
    ExpressionFormat(
        "featureCounts",
        has=("Geneid", "Chr", "Start", "End", "Strand", "Length"),
        in_order=True,
        also=("gene_biotype", "gene_type"),
        gene="Geneid",
        names=("gene_name",),
        unit="counts",
    ),
    ExpressionFormat(
        "STAR ReadsPerGene",
        first="N_unmapped" + 3 * _COUNT,
        header=("gene", "unstranded", "forward", "reverse"),
        values={"unstranded": "counts", "forward": "counts", "reverse": "counts"},
    ),
    ExpressionFormat(
        "HTSeq", first=r"[^\t]+" + _COUNT, header=("gene", "counts"), values={"counts": "counts"}, last=NO_GENES
    ),
    ExpressionFormat(
        "STAR counts of the GDC",
        has=("gene_id", "unstranded", "stranded_first", "stranded_second", "tpm_unstranded"),
        also=("gene_type",),
        gene="gene_id",
        names=("gene_name",),
        values={"tpm_unstranded": "TPM", "fpkm_unstranded": "FPKM", "fpkm_uq_unstranded": "FPKM-UQ"}
        | dict.fromkeys(("unstranded", "stranded_first", "stranded_second"), "counts"),
    ),
    ExpressionFormat(
        "RSEM, genes",
        has=("gene_id", "transcript_id(s)", "length", "effective_length", "expected_count", "TPM", "FPKM"),
        also=_RSEM_MORE,
        gene="gene_id",
        values=_RSEM,
    ),
    ExpressionFormat(
        "RSEM, isoforms (added up over the gene)",
        has=("transcript_id", "gene_id", "length", "effective_length", "expected_count", "TPM", "FPKM", "IsoPct"),
        also=_RSEM_MORE,
        gene="gene_id",
        values=_RSEM,
        rows="transcripts of gene",
    ),
    ExpressionFormat(
        "Salmon",
        has=("Name", "Length", "EffectiveLength", "TPM", "NumReads"),
        values={"TPM": "TPM", "NumReads": "counts"},
        rows="transcripts or genes",
    ),
    ExpressionFormat(
        "kallisto",
        has=("target_id", "length", "eff_length", "est_counts", "tpm"),
        values={"tpm": "TPM", "est_counts": "counts"},
        rows="transcripts",
    ),
    ExpressionFormat(
        "StringTie, gene abundances",
        has=("Gene ID", "Gene Name", "Reference", "Strand", "Start", "End", "Coverage", "FPKM", "TPM"),
        gene="Gene ID",
        names=("Gene Name",),
        values={"TPM": "TPM", "FPKM": "FPKM", "Coverage": "coverage"},
    ),
    ExpressionFormat(
        "StringTie, t_data.ctab (added up over the gene)",
        has=("t_id", "chr", "strand", "start", "end", "t_name", "num_exons", "length", "gene_id", "cov", "FPKM"),
        gene="gene_id",
        names=("gene_name",),
        values={"FPKM": "FPKM", "cov": "coverage"},
        rows="transcripts of gene",
    ),
    ExpressionFormat(
        "Cufflinks, fpkm_tracking",
        has=("tracking_id", "gene_id", "gene_short_name", "locus", "FPKM", "FPKM_conf_lo", "FPKM_conf_hi"),
        also=("class_code", "nearest_ref_id", "tss_id", "length", "coverage", "FPKM_status", "status"),
        gene="gene_id",
        names=("gene_short_name",),
        values={"FPKM": "FPKM"},
        rows="transcripts of gene",
    ),
    *(
        ExpressionFormat(name, has=has, refused=_DIFFERENTIAL)
        for name, has in {
            "DESeq2": ("baseMean", "log2FoldChange", "pvalue"),
            "DESeq2, exported": ("log2FoldChange", "padj"),
            "edgeR": ("logFC", "logCPM", "PValue"),
            "edgeR or limma": ("logFC", "FDR"),
            "limma": ("logFC", "AveExpr"),
            "limma or GEO2R": ("logFC", "adj.P.Val"),
            "Cuffdiff": ("value_1", "value_2", "log2(fold_change)"),
            "Seurat markers": ("p_val", "avg_log2FC"),
            "scanpy markers": ("logfoldchanges", "pvals"),
        }.items()
    ),
    ExpressionFormat("sleuth", has=("target_id", "qval", "pval"), refused=_DIFFERENTIAL),
    ExpressionFormat(
        "BioMart, with samples", has=("Gene stable ID",), also=_BIOMART, gene="Gene stable ID", names=_BIOMART_NAMES
    ),
    ExpressionFormat(
        "Expression Atlas",
        mark="# Expression Atlas",
        has=("Gene ID", "Gene Name"),
        gene="Gene ID",
        names=("Gene Name",),
        empty_is_zero=True,
    ),
)
