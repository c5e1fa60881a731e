"""An example of each format of expression tables, as its tool writes it."""

import gzip
import random
import shlex

import numpy as np
import pytest
from mutations import mutated

from genexp.commands import command_of
from genexp.config.compose import compose_words
from genexp.errors import UserError
from genexp.prepare.expression import read_expression
from genexp.prepare.formats.expression import ADDITIVE, FORMATS
from genexp.prepare.ledger import Ledger
from genexp.prepare.samples import PLAIN


def table(*rows):
    return "".join("\t".join(str(cell) for cell in row) + "\n" for row in rows)


def lines(header, *rows):
    return table(header.split(), *(row.split() for row in rows))


RSEM = "length effective_length expected_count TPM FPKM"
GDC = "unstranded stranded_first stranded_second tpm_unstranded fpkm_unstranded fpkm_uq_unstranded"
STRINGTIE = ["Gene ID", "Gene Name", "Reference", "Strand", "Start", "End", "Coverage", "FPKM", "TPM"]
CUFFLINKS = "tracking_id class_code nearest_ref_id gene_id gene_short_name tss_id locus length coverage FPKM"
STAR = "N_unmapped\t9\t9\t9\nN_multimapping\t8\t8\t8\nN_noFeature\t7\t8\t9\nN_ambiguous\t6\t6\t6\n"
HTSEQ = "__no_feature\t9\n__ambiguous\t8\n__too_low_aQual\t7\n__not_aligned\t6\n__alignment_not_unique\t5\n"
ENTREZ = "NCBI gene (formerly Entrezgene) ID"
BIOMART = ["Gene stable ID", "Gene name", ENTREZ, "Transcript count", "Gene % GC content"]

#: Format, file, and what it gives: unit, genes with their values.
EXAMPLES = [
    (PLAIN.name, lines("gene_id S1 S2", "g1 1 3", "g2 200 400"), None, {"g1": 2, "g2": 300}),
    (PLAIN.name, lines("S1 S2", "g1 1 3", "g2 200 400"), None, {"g1": 2, "g2": 300}),
    (PLAIN.name, "\tS1\tS2\ng1\t1\t3\ng2\t200\t400\n", None, {"g1": 2, "g2": 300}),
    (PLAIN.name, ",gene_id,S1\n0,g1,1\n1,g2,200\n", None, {"g1": 1, "g2": 200}),
    (PLAIN.name, '"","gene_id","S1"\n"1","g1",1\n"2","g2",200\n', None, {"g1": 1, "g2": 200}),
    (PLAIN.name, lines("SRR1 SRR2 gene_id", "1 3 g1", "200 400 g2"), None, {"g1": 2, "g2": 300}),
    (
        PLAIN.name,
        lines("gene_id gene_name entrez_id FPKM", "g1 A 7157 1", "g2 B 672 200"),
        "FPKM",
        {"g1": 1, "g2": 200},
    ),
    (PLAIN.name, lines("Geneid liver_TPM brain_TPM", "g1 1 3", "g2 200 400"), "TPM", {"g1": 2, "g2": 300}),
    (
        PLAIN.name,
        lines("gene_id gene_version TaxonID biotype S1_TPM S2_TPM", "g1 1 9 x 1 3", "g2 2 9 y 200 400"),
        "TPM",
        {"g1": 2, "g2": 300},
    ),
    (PLAIN.name, lines("gene S1", "N_unmapped 9", "g1 1", "g2 200"), None, {"g1": 1, "g2": 200}),
    (
        PLAIN.name,
        lines("gene counts", "g1 1", "g2 200", "__no_feature 7", "__ambiguous 3"),
        "counts",
        {"g1": 1, "g2": 200},
    ),
    (PLAIN.name, lines("gene counts", "g1 1", "g2 200", "g3 1", "g1 4"), "counts", {"g1": 5, "g2": 200, "g3": 1}),
    (
        "GCT 1.2 (GenePattern, GTEx)",
        "#1.2\n2\t2\n" + lines("Name Description S1 S2", "g1 A 1 3", "g2 B 200 400"),
        None,
        {"g1": 2, "g2": 300},
    ),
    (
        "GCT 1.3 (GenePattern, LINCS)",
        "#1.3\n2\t2\t2\t1\n"
        + lines("id symbol rank S1 S2", "tissue na na liver brain", "g1 A 5 1 3", "g2 B 6 200 400"),
        None,
        {"g1": 2, "g2": 300},
    ),
    (
        "featureCounts",
        '# Program:featureCounts v2.0; Command:"featureCounts" "-a"\n'
        + lines(
            "Geneid Chr Start End Strand Length s1.bam s2.bam", "g1 1;1 5;9 6;10 +;+ 4 1 3", "g2 2 5 6 - 2 200 400"
        ),
        "counts",
        {"g1": 2, "g2": 300},
    ),
    ("STAR ReadsPerGene", STAR + lines("g1 1 0 1", "g2 200 3 197"), "counts", {"g1": 1, "g2": 200}),
    ("HTSeq", lines("g1 1", "g2 200") + HTSEQ, "counts", {"g1": 1, "g2": 200}),
    (
        "STAR counts of the GDC",
        "# gene-model: GENCODE v36\n"
        + table(["gene_id", "gene_name", "gene_type", *GDC.split()], ["N_unmapped", "", "", 9, 9, 9, "", "", ""])
        + lines("g1 A protein_coding 10 5 5 1 2 3", "g2 B lncRNA 90 45 45 200 300 400"),
        "TPM",
        {"g1": 1, "g2": 200},
    ),
    (
        "RSEM, genes",
        lines(f"gene_id transcript_id(s) {RSEM}", "g1 t1,t2 900 700 10 1 2", "g2 t3 900 700 90 200 300"),
        "TPM",
        {"g1": 1, "g2": 200},
    ),
    (
        "RSEM, isoforms (added up over the gene)",
        lines(
            f"transcript_id gene_id {RSEM} IsoPct",
            "t1 g1 9 7 10 1 2 50",
            "t2 g1 9 7 10 1 2 50",
            "t3 g2 9 7 90 200 3 100",
        ),
        "TPM",
        {"g1": 2, "g2": 200},
    ),
    (
        "Salmon",
        lines("Name Length EffectiveLength TPM NumReads", "t1 9 7 1 10", "t2 9 7 1 10", "t3 9 7 200 90"),
        "TPM",
        {"g1": 2, "g2": 200},
    ),
    (
        "Salmon",
        lines("Name Length EffectiveLength TPM NumReads", "g1 9 7 1 10", "g2 9 7 200 90"),
        "TPM",
        {"g1": 1, "g2": 200},
    ),
    (
        "kallisto",
        lines(
            "target_id length eff_length est_counts tpm", "t1|g1|x| 9 7 10 1", "t2|g1|x| 9 7 10 1", "t3|g2 9 7 9 200"
        ),
        "TPM",
        {"g1": 2, "g2": 200},
    ),
    (
        "StringTie, gene abundances",
        table(STRINGTIE, ["g1", "A", 1, "+", 5, 9, 3.5, 2, 1], ["g2", "B", 1, "-", 5, 9, 3.5, 300, 200]),
        "TPM",
        {"g1": 1, "g2": 200},
    ),
    (
        "StringTie, t_data.ctab (added up over the gene)",
        lines(
            "t_id chr strand start end t_name num_exons length gene_id gene_name cov FPKM",
            *("1 1 + 5 9 t1 1 5 g1 A 3 1", "2 1 + 5 9 t2 1 5 g1 A 3 1", "3 1 - 5 9 t3 1 5 g2 B 3 200"),
        ),
        "FPKM",
        {"g1": 2, "g2": 200},
    ),
    (
        "Cufflinks, fpkm_tracking",
        lines(
            f"{CUFFLINKS} FPKM_conf_lo FPKM_conf_hi FPKM_status",
            "g1 - - g1 A - 1:5-9 - - 1 0 2 OK",
            "g2 - - g2 B - 1:5-9 - - 200 1 300 OK",
        ),
        "FPKM",
        {"g1": 1, "g2": 200},
    ),
    (
        "BioMart, with samples",
        table([*BIOMART, "S1"], ["g1", "A", 7157, 3, 40.1, 1], ["g2", "B", 672, 9, 50.2, 200]),
        None,
        {"g1": 1, "g2": 200},
    ),
    (
        "Expression Atlas",
        "# Expression Atlas\n# Query: ...\n"
        + table(["Gene ID", "Gene Name", "adult liver", "brain"], ["g1", "A", 1, 3], ["g2", "B", 200, 400]),
        None,
        {"g1": 2, "g2": 300},
    ),
]
#: Results of differential expression, by format.
DIFFERENTIAL = {
    "DESeq2": lines("baseMean log2FoldChange lfcSE stat pvalue padj", "g1 9 1 1 1 0.5 0.5", "g2 9 1 1 1 0.5 NA"),
    "DESeq2, exported": lines("gene log2FoldChange padj", "g1 1 0.5", "g2 -1 0.5"),
    "edgeR": lines("gene logFC logCPM LR PValue FDR", "g1 1 2 3 0.5 0.5", "g2 -1 2 3 0.5 0.5"),
    "edgeR or limma": lines("gene logFC FDR", "g1 1 0.5", "g2 -1 0.5"),
    "limma": lines("logFC AveExpr t P.Value adj.P.Val B", "g1 1 2 3 0.5 0.5 1", "g2 -1 2 3 0.5 0.5 1"),
    "limma or GEO2R": lines("ID adj.P.Val P.Value t B logFC Gene.symbol", "g1 1 1 1 1 1 A", "g2 1 1 1 1 1 B"),
    "Cuffdiff": lines(
        "test_id gene_id gene locus value_1 value_2 log2(fold_change) p_value",
        "g1 g1 A x 1 2 1 0.5",
        "g2 g2 B x 1 2 1 0.5",
    ),
    "Seurat markers": lines("p_val avg_log2FC pct.1 pct.2 p_val_adj", "g1 0.5 1 0.1 0.1 1", "g2 0.5 1 0.1 0.1 1"),
    "scanpy markers": ",names,scores,logfoldchanges,pvals,pvals_adj\n0,g1,1,1,1,1\n1,g2,1,1,1,1\n",
    "sleuth": ",target_id,pval,qval,b,se_b\n1,t1,0.5,0.5,1,1\n2,t2,0.5,0.5,1,1\n",
}

GENE_OF = {"t1": "g1", "t2": "g1", "t3": "g2", "t4": "g3"}
DEFAULTS = compose_words(command_of("prepare"), ["source=tables", "out=o"]).config


def read(path, *words, genome=True, notes=None):
    config = DEFAULTS
    if words:
        config = compose_words(command_of("prepare"), ["source=tables", "out=o", *words]).config
    config = config.model_copy(update={"expression": str(path)})
    ledger = Ledger(note=(notes if notes is not None else []).append)
    return read_expression(config, ledger, (lambda: GENE_OF) if genome else None)[0]


def write(folder, text, name="x.tsv"):
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder / name


def values(genes):
    return dict(zip(genes.names.ids.tolist(), genes.labels[:, 0].tolist(), strict=True))


@pytest.mark.parametrize(("name", "text", "unit", "expected"), EXAMPLES)
def test_each_format_is_recognised(tmp_path, name, text, unit, expected):
    notes = []
    genes = read(write(tmp_path, text), notes=notes)
    assert values(genes) == expected
    assert genes.unit == unit
    assert any(f"expression: {name}; " in note for note in notes)


@pytest.mark.parametrize(("name", "text"), DIFFERENTIAL.items())
def test_differential_expression_is_refused_as_what_it_is(tmp_path, name, text):
    with pytest.raises(UserError, match=r"result of differential expression[\s\S]*use the table") as caught:
        read(write(tmp_path, text))
    assert f"received: {name}: " in str(caught.value)


def test_every_format_has_an_example():
    assert {name for name, *_ in EXAMPLES} == {each.name for each in (PLAIN, *FORMATS) if not each.refused}
    assert set(DIFFERENTIAL) == {each.name for each in FORMATS if each.refused}


@pytest.mark.parametrize(
    ("name", "sample", "unit"),
    [
        (each.name, sample, unit)
        for each in FORMATS
        for sample, unit in each.values.items()
        if each.rows != "transcripts of gene" or unit in ADDITIVE
    ],
)
def test_another_unit_is_read_on_request(tmp_path, name, sample, unit):
    text = next(text for found, text, *_ in EXAMPLES if found == name)
    assert read(write(tmp_path, text), f"samples=[{sample}]").unit == unit


@pytest.mark.parametrize("name", ["kallisto", "Salmon"])
def test_transcripts_need_an_annotation(tmp_path, name):
    path = write(tmp_path, next(text for found, text, *_ in EXAMPLES if found == name))
    with pytest.raises(UserError, match=r"are transcripts[\s\S]*tximport") as caught:
        read(path, genome=False)
    assert read(path, advised(caught.value), genome=False).unit == "TPM"


def advised(error):
    """Return the word of a command that an error proposes, as a shell reads it."""
    hint = str(error).split("hint: ")[1]
    return shlex.split(hint[hint.index("'") :])[0]


@pytest.mark.parametrize(
    ("text", "strange", "expected"),
    [
        (
            lines("gene_id gene_version TaxonID annotation_rank S1 S2", "g1 1 9 0 1 3", "g2 2 9 1 200 400"),
            "gene_version, TaxonID, annotation_rank",
            [2, 300],
        ),
        (lines("gene_id length S1", "g1 9 1", "g2 7 200"), "length", [1, 200]),
        (lines("gene S1 S2 mean", "g1 1 3 2", "g2 200 400 300"), "mean", [2, 300]),
        (
            table(["gene", "GC (%)", "S 1", "it's", "kind"], ["g1", 7, 1, 3, "x"], ["g2", 9, 200, 400, "y"]),
            "kind",
            [2, 300],
        ),
        (lines("chr start end gene_id S1", "1 5 9 g1 1", "1 5 9 g2 200"), "chr, start, end", [1, 200]),
        (table(["x", "S1"], [1, 1], [2, 200]), "x", [1, 200]),
        (
            lines(
                "gene " + " ".join(f"S{n}" for n in range(9)) + " kind",
                "g1" + " 1" * 9 + " x",
                "g2" + " 200" * 9 + " y",
            ),
            "kind",
            [1, 200],
        ),
        ("\n".join(["gene\tS1\tyear", *(f"g{n}\t{n}\t2019" for n in range(1, 12))]), "year", list(range(1, 12))),
    ],
)
def test_columns_that_are_not_explained_are_refused_and_the_proposal_works(tmp_path, text, strange, expected):
    path = write(tmp_path, text)
    with pytest.raises(UserError, match=r"has columns that can hardly be samples|may be ids") as caught:
        read(path)
    assert all(name in str(caught.value) for name in strange.split(", "))
    assert list(values(read(path, advised(caught.value))).values()) == expected


def test_columns_that_may_be_summaries_are_listed_to_be_removed(tmp_path):
    path = write(tmp_path, lines("gene S1 S2 pval sd_1 S1_min", "g1 1 3 0 2 9", "g2 200 400 1 300 9"))
    with pytest.raises(UserError, match=r"hardly be samples: pval, sd_1, S1_min") as caught:
        read(path)
    hint = "samples: [S1, S2, sd_1, S1_min]}', without those of its samples that are none: sd_1, S1_min"
    assert hint in str(caught.value)
    assert values(read(path, "expression_columns={gene: gene, samples: [S1, S2]}")) == {"g1": 2, "g2": 300}


@pytest.mark.parametrize(
    "samples",
    [
        "0min 30min 60min",
        "heat_30_min heat_60_min ctrl_5min cold_5_min",
        "SD_1 SD_2 YPD_1 YPD_2",
        "total_1 total_rep2 poly_1 poly_2",
        "stat1 stat2 log1 log2",
        "STAT1_KO WT_1 WT_2",
    ],
)
def test_names_of_conditions_are_no_summaries(tmp_path, samples):
    number = len(samples.split())
    rows = [f"g{row}" + "".join(f" {row * 7 + n}" for n in range(number)) for row in range(1, 13)]
    notes = []
    read(write(tmp_path, lines(f"gene liver {samples}", *(f"{row} {n}" for n, row in enumerate(rows)))), notes=notes)
    assert not [note for note in notes if "not samples" in note]


@pytest.mark.parametrize("heading", ["mean", "SD", "sd_1", "S1_min", "min", "total", "total_counts", "stat", "max"])
def test_summaries_beside_samples_are_asked_for(tmp_path, heading):
    rows = [f"g{row} {row} {row + 3} {row + 9}" for row in range(1, 13)]
    with pytest.raises(UserError, match=f"hardly be samples: {heading}"):
        read(write(tmp_path, lines(f"gene liver brain {heading}", *rows)))


@pytest.mark.parametrize("ids", ["0 1", "17 23"])
def test_the_gct_files_of_gtex_for_one_tissue(tmp_path, ids):
    one, two = ids.split()
    rows = [f"{one} g1.3 A 1 3", f"{two} g2.1 B 200 400"]
    found = read(write(tmp_path, "#1.2\n2\t2\n" + lines("id Name Description GTEX-1 GTEX-2", *rows)))
    assert values(found) == {"g1.3": 2, "g2.1": 300}
    assert found.names.others["Description"].tolist() == ["A", "B"]


def test_clusters_of_seurat_are_samples(tmp_path):
    assert values(read(write(tmp_path, '"",0,1,2\n"g1",1,3,2\n"g2",200,400,300\n'))) == {"g1": 2, "g2": 300}
    with pytest.raises(UserError, match="no header"):
        read(write(tmp_path, ",0.5,1\n,1,3\n,200,400\n"))


def test_empty_cells_of_the_expression_atlas_are_zeros(tmp_path):
    head = "# Expression Atlas\n# Query: above the expression level cutoff: 0.5 TPM\n"
    rows = [["Gene ID", "Gene Name", "liver", "brain", "testis"], ["g1", "A", "", "", 900], ["g2", "B", "NA", 2, ""]]
    path, notes = write(tmp_path, head + table(*rows)), []
    assert values(read(path, notes=notes)) == {"g1": 0, "g2": 1}
    assert any("3 empty cells, which are below its cutoff, are 0" in note for note in notes)
    path = write(tmp_path, table(*rows), "plain.tsv")
    assert values(read(path)) == {"g1": 900, "g2": 2}


def test_several_units_of_one_sample(tmp_path):
    path = write(tmp_path, lines("gene TPM FPKM counts", "g1 1 2 3", "g2 200 300 400"))
    with pytest.raises(UserError, match="several units of one sample") as caught:
        read(path)
    assert values(read(path, advised(caught.value))) == {"g1": 1, "g2": 200}
    with pytest.raises(UserError, match="several units"):
        read(path, "samples=[TPM,counts]")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (lines("gene TPM", "g1 1", "g1 1", "g2 2", "g2 2", "g3 4"), "most genes have several rows"),
        (lines("gene TPM", "g1 1", "g1 1", "g2 2", "g3 4", "g4 3"), "several times with the same values"),
        (lines("gene S1", "g1 1", "g2 2", "g1 2", "g3 4"), r"gene g1 occurs twice[\s\S]*rows 2 and 4"),
        (lines("gene log2_TPM", "g1 1", "g2 2", "g1 3", "g3 4"), r"rows 2 and 4"),
        (lines("symbol TPM", "1-Mar 1", "a 2", "1-Mar 3", "b 4"), r"occurs twice: a spreadsheet[\s\S]*rows 2 and 4"),
        (lines("gene Length", "g1 1", "g2 2"), "no column holds numbers"),
        (lines("gene tissue TPM", "g1 a 1", "g2 a 2", "g1 b 2", "g2 b 3"), "this is a long table"),
        (lines("g1 1 2", "g2 2 3"), r"no header[\s\S]*gene<TAB>S1<TAB>S2"),
        (lines("g1 1", "g2 2"), r"no header"),
    ],
)
def test_rows_that_cannot_be_read(tmp_path, text, words):
    scale = ["expression_scale=log2"] if "log2" in text else []
    with pytest.raises(UserError, match=words):
        read(write(tmp_path, text), *scale)


def test_dates_are_left_out_with_a_warning(tmp_path):
    warned = []
    config = DEFAULTS.model_copy(
        update={"expression": str(write(tmp_path, lines("symbol S1", "1-Mar 1", "a 200", "2.31E+13 3")))}
    )
    genes = read_expression(config, Ledger(warn=warned.append))[0]
    assert values(genes) == {"a": 200}
    assert "2 names in x.tsv are dates or numbers that a spreadsheet made" in warned[0]
    assert "1-Mar, 2.31E+13" in warned[0]


@pytest.mark.parametrize("words", [["samples=[S1]"], ["label=[S1,S2]"]])
def test_samples_are_named_once(tmp_path, words):
    path = write(tmp_path, lines("gene S1 S2", "g1 1 3", "g2 200 400"))
    columns = "expression_columns={gene: gene, samples: [S1]}"
    if "samples" in words[0]:
        with pytest.raises(UserError, match="both name samples"):
            read(path, columns, *words)
    else:
        assert read(path, columns, *words).label_names == ("S1", "S2")


def test_names_beside_the_id_are_kept(tmp_path):
    path = write(tmp_path, lines("Entrez id symbol S1", "7157 g1 A 1", "672 g2 B 200"))
    genes = read(path, "expression_columns={gene: id, samples: [S1], names: [symbol, Entrez]}")
    assert {kind: names.tolist() for kind, names in genes.names.others.items()} == {
        "symbol": ["A", "B"],
        "Entrez": ["7157", "672"],
    }


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, text, *_ in EXAMPLES])
def test_damaged_files_are_read_or_refused(tmp_path, name, text):
    rng = random.Random(0)
    for n in range(40):
        whole = gzip.compress(text.encode()) if n % 8 == 0 else text.encode()
        config = DEFAULTS.model_copy(update={"expression": str(write(tmp_path, mutated(whole, rng)))})
        try:
            genes = read_expression(config, Ledger(), lambda: GENE_OF)[0]
        except UserError:
            continue
        assert np.isfinite(genes.labels).all()
