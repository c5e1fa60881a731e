"""An example of each format of tables of targets, as its database writes it."""

import gzip
import random
import shlex

import numpy as np
import openpyxl
import pandas as pd
import pytest
from mutations import mutated

from genexp.commands import command_of
from genexp.config.compose import compose_words
from genexp.errors import UserError
from genexp.prepare.formats.targets import FORMATS
from genexp.prepare.genes import GeneNames
from genexp.prepare.target_columns import check_columns
from genexp.prepare.targets import check_file, read_targets

GENES = GeneNames(np.array(["ENSG00001", "ENSG00002", "ENSG00003"]), {"gene_name": np.array(["abcA", "abcB", "abcC"])})
#: TF1 activates A and C; TF2 represses C.
BINARY = [[1, 0], [0, 0], [1, 1]]
SIGNS = [[1, 0], [0, 0], [1, -1]]


def table(*rows, separator="\t"):
    return "".join(separator.join(str(cell) for cell in row) + "\n" for row in rows)


def pairs(header, *rows):
    return table(header.split(), *(row.split() for row in rows))


TARGETSCAN = [
    "miR Family",
    "Gene ID",
    "Gene Symbol",
    "Transcript ID",
    "Species ID",
    "UTR start",
    "UTR end",
    "MSA start",
]
TARGETSCAN += ["MSA end", "Seed match", "PCT"]
COUNTS = ["Transcript ID", "Gene Symbol", "miRNA family", "Species ID", "Total num conserved sites"]
COUNTS += ["Number of conserved 8mer sites", "Representative miRNA", "Total context++ score"]
COUNTS += ["Cumulative weighted context++ score", "Aggregate PCT"]
MIRTARBASE = ["miRTarBase ID", "miRNA", "Species (miRNA)", "Target Gene", "Target Gene (Entrez ID)"]
MIRTARBASE += ["Species (Target Gene)", "Experiments", "Support Type", "References (PMID)"]
REGULONDB = (
    "1)regulatorId 2)regulatorName 3)RegulatorGeneName 4)regulatedId 5)regulatedName 6)function 7)confidenceLevel"
)
HARMONIZOME = "source source_desc source_id target target_desc target_id weight"


def mirtarbase(separator=","):
    rows = [["TF1", "abcA", "hsa"], ["TF1", "abcC", "hsa"], ["TF2", "abcC", "hsa"], ["TF9", "abcB", "mmu"]]
    whole = [[f"MIRT{n}", m, s, g, n, s, "qPCR//Blot", "Functional MTI", 123] for n, (m, g, s) in enumerate(rows)]
    return table(MIRTARBASE, *whole, ["MIRT9", "TF9", "mmu", "Abcx", 9, "mmu", "", "", 1], separator=separator)


#: Format, file, and whether it has signs and scores.
EXAMPLES = [
    ("TRRUST", "TF1\tabcA\tActivation\t1;2\nTF1\tabcC\tActivation\t3\nTF2\tabcC\tRepression\t4\n", True, False),
    (
        "RegulonDB",
        "## Columns:\n## (1) regulatorId\n# a, remark\n"
        + pairs(f"{REGULONDB}", "r1 TF1 tfA x1 abcA + S", "r1 TF1 tfA x3 abcC + W", "r2 TF2 tfB x3 abcC - C"),
        True,
        False,
    ),
    (
        "RegulonDB, without numbers",
        pairs(
            "regulatorId regulatorName RegulatorGeneName regulatedId regulatedName function confidenceLevel",
            *("r1 TF1 tfA x1 abcA activator S", "r1 TF1 tfA x3 abcC activator W", "r2 TF2 tfB x3 abcC repressor C"),
        ),
        True,
        False,
    ),
    (
        "RegulonDB, before version 11",
        "# Columns:\n# (1) Transcription Factor (TF) name\n# (3) effect [+, -, +-]\n"
        "TF1\tabcA\t+\t[AA, BB]\tWeak\nTF1\tabcC\t+\t[AA]\tStrong\nTF2\tabcC\t-\t[BB]\tStrong\n",
        True,
        False,
    ),
    ("DoRothEA", pairs("tf confidence target mor", "TF1 A abcA 1", "TF1 B abcC 1", "TF2 A abcC -1"), True, False),
    (
        "CollecTRI or DoRothEA, as decoupler gives it",
        pairs("source target weight resources", "TF1 abcA 0.5 x", "TF1 abcC 1 y", "TF2 abcC -1 z"),
        True,
        True,
    ),
    (
        "TargetScan, predicted targets",
        table(
            TARGETSCAN,
            ["TF1", "ENSG00001.4", "abcA", "T1.2", 9606, 1, 7, 2, 9, "8mer", 0.5],
            ["TF1", "ENSG00003.4", "abcC", "T1.2", 9606, 1, 7, 2, 9, "8mer", 0.24],
            ["TF1", "ENSG00003.4", "abcC", "T1.2", 10090, 1, 7, 2, 9, "8mer", 1.0],
            ["TF2", "ENSG00003.4", "abcC", "T1.2", 9606, 1, 7, 2, 9, "7mer-m8", "NULL"],
        ),
        False,
        None,
    ),
    (
        "TargetScan, summary counts",
        table(
            COUNTS,
            ["T1.2", "abcA", "TF1", 9606, 1, 1, "hsa-miR-1", -0.5, -0.5, 0.1],
            ["T3.2", "abcC", "TF1", 9606, 1, 1, "hsa-miR-1", -1, -1, 0.1],
            ["T3.2", "abcC", "TF2", 9606, 0, 0, "hsa-miR-2", 0, 1, "NULL"],
        ),
        None,
        None,
    ),
    ("miRTarBase", mirtarbase(), False, False),
    (
        "Harmonizome, edges",
        pairs(
            HARMONIZOME,
            "GeneSym na GeneID TF na na weight",
            "abcA na 1 TF1 na 9 0.5",
            "abcC na 3 TF1 na 9 1",
            "abcC na 3 TF2 na 9 -1",
        ),
        True,
        True,
    ),
    (
        "pairs of gene and tf",
        pairs("gene tf weight", "abcA TF1 0.5", "abcC TF1 1", "abcC TF2 -1", "abcB TF2 0"),
        True,
        True,
    ),
    (
        "pairs of target and regulator",
        pairs("target regulator score", "ENSG00001 TF1 0.5", "ENSG00003 TF1 1", "ENSG00003 TF2 -1"),
        True,
        True,
    ),
    (
        "pairs of ensembl_id and mirna",
        pairs("ensembl_id symbol mirna", "ENSG00001 abcA TF1", "ENSG00003 abcC TF1", "ENSG00003 abcC TF2"),
        False,
        False,
    ),
    (
        "pairs of gene_id and regulator",
        ",regulator,gene_id,effect\n0,TF1,abcA,+\n1,TF1,abcC,+\n2,TF2,abcC,-\n",
        True,
        False,
    ),
    (
        "pairs of Target and TF",
        "TF\tTarget\tMode\tPMID\nTF1\tabcA\tActivation\t1\nTF1\tabcC\tActivation\t1\nTF2\tabcC\tRepression\t1\n",
        True,
        False,
    ),
    ("pairs of target and TF", "TF,target,importance\nTF1,abcA,0.5\nTF1,abcC,1\nTF2,abcC,-1\n", True, True),
    ("GMT", "TF1\tabout\tabcA\tabcC\nTF2\tabout\tabcC\tother\n", False, False),
    ("GMT", "TF1\t\tabcA,0.5\tabcC,1.0\t\nTF2\t\tabcC,-1\n", True, True),
    ("wide", pairs("id TF1 TF2", "abcA 0.5 0", "abcC 1 -1", "abcX 1 1"), True, True),
    ("wide", pairs("ensembl_id symbol TF1 TF2", "ENSG00001 abcA 0.5 0", "ENSG00003 abcC 1 -1"), True, True),
    ("wide", ",TF1,TF2\nabcA,0.5,0\nabcC,1,-1\n", True, True),
    ("wide", ",gene_id,TF1,TF2\n0,abcA,0.5,0\n1,abcC,1,-1\n", True, True),
]


def write(folder, text, name="x.tsv"):
    if name.endswith(".gmt"):
        text = text.replace(",", "\t")
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder / name


def file_of(folder, name, text):
    return (
        write(folder, text, "x.gmt.txt" if name == "GMT" else "x.tsv")
        if "about" not in text
        else (write(folder, text, "x.gmt"))
    )


def read(path, values="binary", columns=None):
    check_file(path, "tf")
    return read_targets(path, "tf", GENES, values, columns)


@pytest.mark.parametrize(("name", "text", "signs", "scores"), EXAMPLES)
def test_each_format_is_recognised(tmp_path, name, text, signs, scores):
    path = file_of(tmp_path, name, text)
    found = read(path)
    assert found.form.startswith(name)
    assert found.names == ("TF1", "TF2")
    assert found.wide == (name == "wide")
    assert found.join.found.tolist() == [True, name.startswith(("pairs of gene and tf",)), True]
    if name != "wide":  # whose values are taken as they are
        assert (found.values.tolist(), found.values.dtype) == (BINARY, np.uint8)
    if signs:
        assert read(path, "sign").values.tolist() == SIGNS
    elif signs is False:
        with pytest.raises(UserError, match="has no signs"):
            read(path, "sign")
    if scores:
        assert read(path, "score").values.tolist() == [[0.5, 0], [0, 0], [1, -1]]
    elif scores is False:
        with pytest.raises(UserError, match="has no scores"):
            read(path, "score")


def test_every_format_has_an_example():
    assert {each.name for each in FORMATS} < {name for name, *_ in EXAMPLES}


def test_scores_of_targetscan(tmp_path):
    text = {name: text for name, text, *_ in EXAMPLES}
    found = read(write(tmp_path, text["TargetScan, predicted targets"]), "score")
    assert found.names == ("TF1",)  # no PCT is known for the other
    assert found.values.tolist() == [[0.5], [0], [np.float32(0.24)]]  # 1.0 is that of the mouse
    assert read(write(tmp_path, text["TargetScan, summary counts"]), "score").values.tolist() == [
        [-0.5, 0],
        [0, 0],
        [-1, 1],
    ]


@pytest.mark.parametrize(
    ("gene", "transcript", "species", "expected"),
    [
        ("ENSG0000{}.4", "T1", "9606", [1, 0, 0]),
        ("ENSMUSG0000{}", "T1", "10090", [1, 1, 0]),
        ("abc{}", "ENSMUST{}1.2", "10090", [1, 1, 0]),
        ("abc{}", "NM_{}1", "9606", [1, 0, 0]),  # as the genes' own ids
    ],
)
def test_targets_of_targetscan_are_those_of_the_species_of_its_ids(tmp_path, gene, transcript, species, expected):
    rows = [("1", "9606"), ("1", "10090"), ("2", "10090"), ("3", "7955")]
    cells = [["TF", gene.format(n), f"s{n}", transcript.format(n), s, 1, 7, 2, 9, "8mer", 0.5] for n, s in rows]
    ids = ["ENSG00001", "ENSG00002", "ENSG00003"]
    others = {"mouse": np.array([f"ENSMUSG0000{n}" for n in "123"]), "name": np.array(["abc1", "abc2", "abc3"])}
    path = write(tmp_path, table(TARGETSCAN, *cells))
    found = read_targets(path, "mirna", GeneNames(np.array(ids), others))
    assert found.values[:, 0].tolist() == expected
    assert f"the rows of species {species} ({4 - sum(s == species for _, s in rows)} others left out)" in found.form
    unknown = [[*row[:1], f"abc{n}", "s", "T", *row[4:]] for n, row in enumerate(cells)]
    path = write(tmp_path, table(TARGETSCAN, *unknown))
    with pytest.raises(UserError, match=r"of which species[\s\S]*9606, 10090, 7955[\s\S]*keep the rows of one"):
        read_targets(path, "mirna", GeneNames(np.array(["abc1", "abc2", "abc3"])))


def test_pairs_that_mirtarbase_says_are_no_targets(tmp_path):
    text = mirtarbase("\t") + "M8\tTF1\thsa\tabcB\t2\thsa\tx\tNon-Functional MTI (Weak)\t1\n"
    text += "M8\tTF1\thsa\tabcA\t2\thsa\tx\tNon-Functional MTI\t1\n"  # another row says that it is one
    found = read(write(tmp_path, text))
    assert found.values.tolist() == BINARY
    assert "2 rows of Non-Functional MTI (Weak), Non-Functional MTI left out" in found.form


def test_genes_of_flies_that_are_called_as_missing_values(tmp_path):
    path = write(tmp_path, pairs("target tf", "nan TF1", "na TF2", "NA TF1", "x NA", "x TF1"))
    found = read_targets(path, "tf", GeneNames(np.array(["na", "nan", "x"])))
    assert found.values.tolist() == [[0, 1], [1, 0], [1, 0]]
    assert "2 pairs without a gene or factor left out" in found.form
    assert "4 pairs without" in read_targets(path, "tf", GeneNames(np.array(["x"]))).form


def test_scores_of_gmt_are_numbers(tmp_path):
    with pytest.raises(UserError, match="has no scores"):
        read(write(tmp_path, "TF1\t\tabcA,1e999\tabcC,1\n"), "score")


def test_mirtarbase_as_a_workbook(tmp_path):
    book = openpyxl.Workbook()
    for row in mirtarbase("\t").splitlines():
        book.active.append(row.split("\t"))
    book.save(tmp_path / "x.xlsx")
    found = read(tmp_path / "x.xlsx")
    assert found.values.tolist() == BINARY
    assert "the rows of hsa (2 others left out)" in found.form


def test_pairs_in_parquet(tmp_path):
    frame = pd.DataFrame({"source": ["TF1", "TF1", "TF2"], "target": ["abcA", "abcC", "abcC"], "weight": [1, 1, -1]})
    frame.to_parquet(tmp_path / "x")
    assert read(tmp_path / "x", "sign").values.tolist() == SIGNS


def test_signs_that_differ_or_are_unknown(tmp_path):
    rows = [
        "abcA TF1 +",
        "abcA TF1 +",
        "abcA TF1 -",
        "abcB TF1 dual",
        "abcC TF1 ?",
        "abcC TF1 Activation",
        "abcC TF2 repressor",
    ]
    found = read(write(tmp_path, pairs("gene tf effect", *rows)), "sign")
    assert found.values.tolist() == [[0, 0], [0, 0], [1, -1]]
    assert "2 of dual or unknown effect are 0" in found.form


def test_words_for_effects_that_are_not_known(tmp_path):
    path = write(tmp_path, pairs("gene tf effect", "abcA TF1 +", "abcC TF1 aktiviert", "abcC TF2 hemmt"))
    with pytest.raises(UserError, match=r"column effect[\s\S]*expected: \+, -, activation[\s\S]*aktiviert, hemmt"):
        read(path, "sign")


def advised(error):
    hint = str(error).split("hint: ")[1]
    (word,) = shlex.split(hint[hint.index("'") :])
    config = compose_words(command_of("prepare"), ["source=tables", "out=o", "tf=x", word]).config
    check_columns(config.tf, config.tf_columns, "tf")
    return config.tf_columns


COORDINATES = ["gene_id", "chromosome", "start", "end", "strand", "gene_length", "TF1", "TF2"]


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        (
            table(COORDINATES, ["abcA", 1, 5, 9, "+", 4, 1, 0], ["abcC", 1, 5, 9, "-", 4, 1, 1]),
            "chromosome, start, end",
        ),
        (pairs("gene tf tissue", "abcA TF1 liver", "abcC TF1 brain", "abcC TF2 brain"), "tissue"),
        (pairs("x y", "abcA TF1", "abcC TF1", "abcC TF2"), "x, y"),
        (table(["Gen (A)", "Faktor, gut", "it's"], ["abcA", "TF1", 3], ["abcC", "TF1", 4], ["abcC", "TF2", 5]), "it's"),
        (pairs("tf target source", "TF1 abcA DB", "TF1 abcC DB", "TF2 abcC DB"), "source"),
        (
            table(["Gene stable ID", "Gene description", "TF1", "TF2"], ["abcA", "a, b", 1, 0], ["abcC", "c", 1, 1]),
            "Gene description",
        ),
    ],
)
def test_columns_that_are_not_explained_are_refused_and_the_proposal_works(tmp_path, text, columns):
    path = write(tmp_path, text)
    with pytest.raises(UserError, match="are not explained") as caught:
        read(path)
    assert columns in str(caught.value)
    found = read(path, columns=advised(caught.value))
    assert (found.names, found.values.tolist()) == (("TF1", "TF2"), BINARY)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("TF1;abcA\nTF1;abcC\nTF2;abcC\n", "tf;gene"),
        ("abcA\tTF1\nabcC\tTF1\nabcC\tTF2\n", "gene<TAB>tf"),
        ("TF1\tabcA\tup\tx\nTF1\tabcC\tup\ty\nTF2\tabcC\tdown\tz\n", "tf<TAB>gene<TAB>sign<TAB>note2"),
    ],
)
def test_the_header_that_is_proposed_works(tmp_path, text, line):
    path = write(tmp_path, text)
    with pytest.raises(UserError, match="has no header") as caught:
        read(path)
    assert str(caught.value).endswith(f"add one line at the top: {line}")
    assert read(write(tmp_path, line.replace("<TAB>", "\t") + "\n" + text)).values.tolist() == BINARY


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ("{gene: gene}", "factor .for pairs. or factors"),
        ("{gene: gene, factor: tf, factors: [a]}", "one of the two"),
        ("{gene: gene, factors: [tf], sign: x}", "leave sign and value out"),
        ("{gene: gen, factor: tf}", r"no column gen\n[\s\S]*tf_columns[\s\S]*did you mean 'gene'"),
    ],
)
def test_columns_that_are_those_of_no_table(tmp_path, columns, words):
    path = write(tmp_path, pairs("gene tf", "abcA TF1", "abcC TF2"))
    config = compose_words(command_of("prepare"), ["source=tables", "out=o", "tf=x", f"tf_columns={columns}"]).config

    def use():
        check_columns(config.tf, config.tf_columns, "tf")
        return read(path, columns=config.tf_columns)

    with pytest.raises(UserError, match=words):
        use()


def test_columns_of_a_file_that_is_not_given():
    config = compose_words(command_of("prepare"), ["source=tables", "out=o", "tf_columns={gene: a, factor: b}"]).config
    with pytest.raises(UserError, match=r"table tf, which is missing[\s\S]*add tf=FILE"):
        check_columns(config.tf, config.tf_columns, "tf")


def test_dates_are_named(tmp_path):
    found = read(write(tmp_path, pairs("gene tf", "abcA TF1", "2-Sep TF1", "abcC 1-Mar")))
    assert len(found.warnings) == 2
    assert "names of genes are dates or numbers that a spreadsheet made of them: 2-Sep" in found.warnings[0]
    with pytest.raises(UserError, match="a spreadsheet has made a date"):
        read(write(tmp_path, pairs("gene TF1", "abcA 1", "2-Sep 1", "2-Sep 0")))


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, text, *_ in EXAMPLES])
def test_damaged_files_are_read_or_refused(tmp_path, name, text):
    rng = random.Random(0)
    for n in range(40):
        whole = gzip.compress(text.encode()) if n % 8 == 0 else text.encode()
        path = write(tmp_path, mutated(whole, rng), "x.gmt.txt" if name == "GMT" else "x.tsv")
        try:
            found = read(path, ("binary", "sign", "score")[n % 3])
        except UserError:
            continue
        assert np.isfinite(found.values).all()
