"""The formats of tables of targets: transcription factors or microRNAs, and the genes that they regulate."""

from __future__ import annotations

from dataclasses import dataclass

from genexp.prepare.formats import IDS, Format, plains


@dataclass(frozen=True)
class TargetsFormat(Format):
    """A list of pairs.

    `gene` are columns that name the gene, of which the one is taken that joins the most genes; `factor` names the
    factor, `sign` the effect, `value` the score; with `species`, rows of the one species are read whose genes join
    best, or that the ids in the columns of `reference` are of, where rows of all species have ids of one. Rows whose
    gene is one of `no_genes` are none, and those that begin so in a column of `negative` say that it is no target. A
    score of 0 is no target if `zero_is_none`.
    """

    gene: tuple[str, ...] = ()
    factor: str = ""
    sign: str = ""
    value: str = ""
    species: str = ""
    reference: tuple[str, ...] = ()
    negative: tuple[str, str] = ("", "")
    no_genes: frozenset[str] = frozenset()
    zero_is_none: bool = True


_TARGETSCAN = (
    *("Transcript ID", "UTR start", "UTR end", "UTR_start", "UTR_end", "MSA start", "MSA end"),
    *("MSA_start", "MSA_end", "Seed match", "Seed_match", "PCT", "Total num conserved sites"),
    *("Number of conserved 8mer sites", "Number of conserved 7mer-m8 sites", "Number of conserved 7mer-1a sites"),
    *("Total num nonconserved sites", "Number of nonconserved 8mer sites", "Number of nonconserved 7mer-m8 sites"),
    *("Number of nonconserved 7mer-1a sites", "Number of 6mer sites", "Representative miRNA"),
    *("Total context++ score", "Total context score", "Total context+ score"),
    *("Cumulative weighted context++ score", "Aggregate PCT", "Predicted occupancy - low miRNA"),
    *("Predicted occupancy - high miRNA", "Predicted occupancy - transfected miRNA"),
)
_MIRTARBASE = ("miRTarBase ID", "Species (miRNA)", "Experiments", "Support Type", "References (PMID)", "References")

FORMATS = (
    TargetsFormat(
        "TRRUST",
        first=r"[^\t]+\t[^\t]+\t(Activation|Repression|Unknown)\t[0-9;]+",
        header=("TF", "Target", "Mode", "PMID"),
        gene=("Target",),
        factor="TF",
        sign="Mode",
        also=("PMID",),
    ),
    TargetsFormat(
        "RegulonDB",
        has=("1)regulatorId", "2)regulatorName", "5)regulatedName"),
        also=("1)regulatorId", "3)RegulatorGeneName", "7)confidenceLevel", "8)evidence", "9)pmids"),
        gene=("5)regulatedName", "4)regulatedId"),
        factor="2)regulatorName",
        sign="6)function",
    ),
    TargetsFormat(
        "RegulonDB, without numbers",
        has=("regulatorId", "regulatorName", "regulatedName"),
        also=("regulatorId", "RegulatorGeneName", "confidenceLevel"),
        gene=("regulatedName", "regulatedId"),
        factor="regulatorName",
        sign="function",
    ),
    TargetsFormat(
        "RegulonDB, before version 11",
        mark="#",
        first=r"[^\t]+\t[^\t]+\t(\+|-|\+-|\?|activator|repressor|dual|unknown)\t[^\t]*(\t[^\t]*)?",
        header=("TF", "gene", "effect", "evidence", "confidence"),
        gene=("gene",),
        factor="TF",
        sign="effect",
        also=("evidence", "confidence"),
    ),
    TargetsFormat(
        "DoRothEA",
        has=("tf", "target", "mor"),
        also=("confidence", "likelihood"),
        gene=("target",),
        factor="tf",
        sign="mor",
    ),
    TargetsFormat(
        "Harmonizome, edges",
        has=("source", "source_desc", "source_id", "target", "target_desc", "target_id", "weight"),
        also=("source_desc", "target_desc", "target_id"),
        gene=("source", "source_id"),
        factor="target",
        value="weight",
        no_genes=frozenset({"GeneSym", "GeneID", "na"}),
    ),
    TargetsFormat(
        "CollecTRI or DoRothEA, as decoupler gives it",
        has=("source", "target", "weight"),
        also=("confidence", "resources", "references", "sign_decision", "sign.decision", "TF.category", "PMID"),
        gene=("target",),
        factor="source",
        value="weight",
    ),
    TargetsFormat(
        "TargetScan, predicted targets",
        has=("miR Family", "Gene ID", "Gene Symbol", "Seed match", "PCT"),
        also=_TARGETSCAN,
        gene=("Gene ID", "Gene Symbol"),
        factor="miR Family",
        value="PCT",
        species="Species ID",
        reference=("Gene ID", "Transcript ID"),
        zero_is_none=False,
    ),
    TargetsFormat(
        "TargetScan, summary counts",
        has=("Transcript ID", "Gene Symbol", "miRNA family", "Representative miRNA", "Total num conserved sites"),
        also=_TARGETSCAN,
        gene=("Gene Symbol",),
        factor="miRNA family",
        value="Cumulative weighted context++ score",
        species="Species ID",
        reference=("Transcript ID",),
        zero_is_none=False,
    ),
    TargetsFormat(
        "miRTarBase",
        has=("miRNA", "Target Gene", "Species (Target Gene)"),
        also=_MIRTARBASE,
        gene=("Target Gene", "Target Gene (Entrez ID)", "Target Gene (Entrez Gene ID)"),
        factor="miRNA",
        species="Species (Target Gene)",
        negative=("Support Type", "Non-Functional"),
    ),
)

#: The taxon of what an id begins with, before its digits.
TAXA = {
    **dict.fromkeys(("ENSG", "ENST"), "9606"),
    **dict.fromkeys(("ENSMUSG", "ENSMUST"), "10090"),
    **dict.fromkeys(("ENSRNOG", "ENSRNOT"), "10116"),
    **dict.fromkeys(("ENSPTRG", "ENSPTRT"), "9598"),
    **dict.fromkeys(("ENSMMUG", "ENSMMUT"), "9544"),
    **dict.fromkeys(("ENSBTAG", "ENSBTAT"), "9913"),
    **dict.fromkeys(("ENSCAFG", "ENSCAFT"), "9615"),
    **dict.fromkeys(("ENSMODG", "ENSMODT"), "13616"),
    **dict.fromkeys(("ENSGALG", "ENSGALT"), "9031"),
    **dict.fromkeys(("ENSXETG", "ENSXETT"), "8364"),
    **dict.fromkeys(("ENSDARG", "ENSDART"), "7955"),
    **dict.fromkeys(("FBgn", "FBtr"), "7227"),
    "WBGene": "6239",
}

#: What the columns of any list of pairs may be called; each column must have one of these roles.
GENE = IDS | plains("target targets target_gene target_name target_id target_symbol target_gene_symbol regulated_gene")
FACTOR = plains(
    "tf tfs tf_name tf_symbol tf_gene transcription_factor transcriptionfactor factor regulator regulator_name source",
    "source_name mirna mirnas mir mirna_name mirna_id mature_mirna mature_mirna_id mir_family mirna_family mirfamily",
    "set gene_set geneset term",
)
SIGN = plains("sign effect mor mode mode_of_regulation regulation regulation_type regulatory_effect function direction")
VALUE = plains("score weight value importance strength")
ABOUT = plains(
    "confidence evidence evidences evidence_type pmid pmids pubmed pubmed_id reference references resource resources",
    "database databases db note note1 note2 note3 note4 note5 note6 comment comments",
)

#: The effect that a word, without case, stands for; a dual or unknown one has no sign.
SIGNS = {
    **dict.fromkeys(("+", "1", "1.0", "+1", "activation", "activator", "activates", "activated", "activating"), 1.0),
    **dict.fromkeys(("positive", "pos", "up", "induction", "induces", "inducer", "stimulation", "stimulates"), 1.0),
    **dict.fromkeys(("-", "\u2212", "\u2013", "-1", "-1.0", "repression", "repressor", "represses", "repressed"), -1.0),
    **dict.fromkeys(("repressing", "negative", "neg", "down", "inhibition", "inhibitor", "inhibits"), -1.0),
    **dict.fromkeys(("suppression", "suppressor", "suppresses"), -1.0),
    **dict.fromkeys(("+-", "-+", "+/-", "-/+", "\u00b1", "dual", "both", "?", "unknown", "ambiguous", "0", "0.0"), 0.0),
    **dict.fromkeys(("", "na", "nan", "none", "null", "n/a", "unspecified"), 0.0),
}
