"""Tables of features per gene (half-life and others), with the sources that have genes: by name, scaled and joined."""

import shlex

import numpy as np
import pytest
from omegaconf import OmegaConf
from preparing import raw_values, read, refused, run

from genexp.blocks import HALFLIFE_FEATURES
from genexp.config.words import parse_override

RNG = np.random.default_rng(5)
GENES = [f"ENSG{n:011}" for n in range(30)]
EXPRESSION = np.round(RNG.gamma(2, 20, 30), 3).tolist()


@pytest.fixture(autouse=True)
def no_picture(monkeypatch):
    """Draw nothing, which takes longest."""
    monkeypatch.setattr("genexp.prepare.picture.draw_dataset", lambda path, *rest: path.write_bytes(b""))


def table(path, columns, separator="\t"):
    rows = [separator.join(map(str, row)) for row in zip(*columns.values(), strict=True)]
    path.write_text("\n".join([separator.join(columns), *rows]) + "\n")
    return str(path)


def halflife(**changed):
    """Return Xpresso's eight in another order than its own, as lengths and parts."""
    values = {n: RNG.integers(20, 9000, 30) if "LEN" in n else np.round(RNG.random(30), 3) for n in HALFLIFE_FEATURES}
    values["ORFEXONDENSITY"] = np.round(RNG.random(30) * 20, 2)
    return dict(sorted((values | changed).items()))


def prepared(tmp_path, columns, say=print, **words):
    file = table(tmp_path / "h.tsv", columns)
    expression = table(tmp_path / "e.tsv", {"gene": GENES, "TPM": EXPRESSION})
    return run(say, source="tables", expression=expression, halflife=file, out=str(tmp_path / "out"), **words)


def block(out):
    """Return {gene: row} of block H, and its names."""
    dataset = read(out, "H")
    rows = [pair for split in dataset.splits.values() for pair in zip(split.genes, split.blocks["H"], strict=True)]
    return {str(gene): row for gene, row in rows}, dataset.description.feature_names["H"]


def test_columns_by_name_with_lengths_as_logarithms(tmp_path):
    columns = halflife()
    out = prepared(tmp_path, {"gene_id": GENES, **columns})
    found, names = block(out)
    assert names == tuple(columns)
    scaling = OmegaConf.load(out / "dataset.yaml").scaling[0].halflife
    for n, name in enumerate(names):
        how = scaling[name]
        assert (how.log10_offset is None) == name.endswith("GC")
        values = np.array([found[gene][n] for gene in GENES]) * how.sd + how.mean
        back = values if how.log10_offset is None else 10**values - how.log10_offset
        np.testing.assert_allclose(back, columns[name], rtol=1e-4, atol=1e-4)
    train = np.stack([found[str(gene)] for gene in read(out, "H").splits["train"].genes])
    np.testing.assert_allclose([train.mean(axis=0), train.std(axis=0)], [[0] * 8, [1] * 8], atol=1e-5)
    assert float(raw_values(out)[GENES[3]]["CDSLEN"]) == columns["CDSLEN"][3]


def test_lengths_that_are_scores_already_are_taken_as_they_are(tmp_path):
    lines, scores = [], np.round(RNG.normal(size=30), 3)
    out = prepared(tmp_path, {"gene": GENES, **halflife(CDSLEN=scores)}, lines.append)
    assert OmegaConf.load(out / "dataset.yaml").scaling[0].halflife.CDSLEN.log10_offset is None
    assert any("CDSLEN: taken as they are, since some are negative" in line for line in lines)
    introns = RNG.integers(20, 900, 30)
    introns[:3] = [-1, -2, 0]
    (tmp_path / "other").mkdir()
    out = prepared(tmp_path / "other", {"gene": GENES, **halflife(INTRONLEN=introns)})
    assert OmegaConf.load(out / "dataset.yaml").scaling[0].halflife.INTRONLEN.log10_offset == 0.1


def test_any_features_and_columns_that_describe_genes(tmp_path):
    columns = {
        "chrom": ["X"] * 30,
        "TSS": range(1, 31),
        "gene_id": GENES,
        "Gene name": [f"N{n}" for n in range(30)],
        "Gene description": ["a gene [Source:HGNC]"] * 30,
        "UTR5LEN_log10zscore": np.round(RNG.normal(size=30), 3),
        "codons, optimal": np.round(RNG.random(30), 3),
    }
    lines = []
    out = prepared(tmp_path, columns, lines.append)
    found, names = block(out)
    assert names == ("UTR5LEN_log10zscore", "codons, optimal")
    assert len(found) == 30
    assert any("not features: chrom, TSS, Gene name, Gene description" in line for line in lines)


def test_genes_that_the_table_lacks_are_dropped_and_counted(tmp_path):
    lines = []
    cells = ["" if n == 4 else n for n in range(25)]
    columns = {"gene": [f"{gene}.{n + 1}" for n, gene in enumerate(GENES[:25])], "a": cells, "b": range(25)}
    out = prepared(tmp_path, columns, lines.append)
    assert set(block(out)[0]) == {gene for n, gene in enumerate(GENES[:25]) if n != 4}
    line = next(line for line in lines if "with features" in line)
    assert "24 genes" in line
    assert "5 genes absent: dropped; 1 with empty cells: dropped" in line
    assert "joined by id without version" in line


ASKED = [
    ({"gene": GENES, "tissue": ["liver"] * 30, "a": range(30)}, "is no number, and not known"),
    ({"Locus name": GENES, "a": range(30), "b": range(30)}, "is called gene_id, gene, id"),
    ({"number": range(30), "my gene": GENES, "a b": range(30)}, "is called gene_id, gene, id"),
]


@pytest.mark.parametrize(("columns", "message"), ASKED)
def test_a_table_that_is_not_recognised_is_asked_for_and_the_proposal_works(tmp_path, columns, message):
    file = table(tmp_path / "h.tsv", columns)
    expression = table(tmp_path / "e.tsv", {"gene": GENES, "TPM": EXPRESSION})
    words = {"source": "tables", "expression": expression, "halflife": file, "out": str(tmp_path / "out")}
    told = refused(**words)
    assert message in told
    (word,) = shlex.split(told.split("hint: name its columns: ")[1])
    given = plain(parse_override(word).value())
    out = run(**words, halflife_columns=given)
    assert block(out)[1] == tuple(given["features"])


def named(feature):
    return {"halflife_columns": {"gene": "gene", "features": [feature]}}


def plain(value):
    """Return a value of Hydra's parser as plain lists, groups and text."""
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return getattr(value, "text", value)


@pytest.mark.parametrize(
    ("columns", "words", "message"),
    [
        ({"gene": [*GENES[:29], GENES[0]], "a": range(30)}, {}, f"gene {GENES[0]} occurs twice"),
        ({"gene": [f"Q{n}" for n in range(30)], "a": range(30)}, {}, "the join is empty"),
        (
            {"gene": GENES, "a": ["x", *range(29)]},
            {"halflife_columns": {"gene": "gene", "features": ["a"]}},
            "not a number",
        ),
        ({"gene": GENES, "a": range(30)}, {"halflife_columns": {"gene": "gene", "features": ["b"]}}, "no column b"),
        ({"gene": GENES, "a": [""] * 30, "b": range(30)}, {}, "name those that are full: 'halflife_columns"),
        ({"gene": GENES, "symbol": GENES}, {}, "no column of numbers"),
    ],
)
def test_bad_tables_of_features(tmp_path, columns, words, message):
    file = table(tmp_path / "h.tsv", columns)
    expression = table(tmp_path / "e.tsv", {"gene": GENES, "TPM": EXPRESSION})
    words = {"source": "tables", "expression": expression, "halflife": file, "out": str(tmp_path / "out"), **words}
    assert message in refused(**words)


def test_features_of_sequences_by_their_ids(tmp_path):
    sequences = ["".join(RNG.choice(list("ACGT"), 30)) for _ in range(30)]
    file = table(tmp_path / "s.tsv", {"id": GENES, "sequence": sequences, "label": range(30)})
    features = table(tmp_path / "h.tsv", {"id": GENES[::-1], "dG": range(30)})
    out = run(source="sequences", table=file, halflife=features, out=str(tmp_path / "out"))
    assert read(out, "PH").description.feature_names["H"] == ("dG",)
    assert {gene: float(row["dG"]) for gene, row in raw_values(out).items()} == {GENES[n]: 29 - n for n in range(30)}


def test_features_and_promoters_of_a_genome(tmp_path):
    import toy_organism as toy

    organism = toy.Organism()
    words = {
        "source": "genome",
        "fasta": str(toy.write_genome(tmp_path / "g.fa", organism)),
        "gtf": str(toy.write_gtf(tmp_path / "g.gtf", organism)),
        "expression": str(toy.write_expression(tmp_path / "e.tsv", organism)),
        "upstream": toy.UPSTREAM,
        "downstream": toy.DOWNSTREAM,
        "out": str(tmp_path / "out"),
    }
    names = [gene.name for gene in organism.genes]
    features = table(tmp_path / "h.tsv", {"gene_id": names, "stability": range(len(names))})
    out = run(**words, halflife=features)
    assert read(out, "PH").description.feature_names["H"] == ("stability",)
    assert float(raw_values(out)[names[7]]["stability"]) == 7
    similar = run(**words | {"out": str(tmp_path / "near")}, split__by="similarity", split__similarity=0.5)
    other = run(**words | {"out": str(tmp_path / "plain")})
    for name, split in read(similar, "PH").splits.items():
        assert len(split) == len(read(other, "PH").splits[name])
    promoters = []
    for folder in (similar, other):
        splits = read(folder).splits.values()
        promoters.append(dict(pair for s in splits for pair in zip(s.genes, s.blocks["P"], strict=True)))
    assert all((promoters[0][gene] == promoters[1][gene]).all() for gene in names)
    near, far = raw_values(similar), raw_values(other)
    assert {g: near[g]["UTR5GC"] for g in near} == {g: far[g]["UTR5GC"] for g in far}


def test_xpressos_table_may_hold_logarithms(tmp_path):
    import toy_organism as toy

    organism = toy.Organism()
    file = toy.write_table(tmp_path / "t.txt", organism)
    lines = [line.split("\t") for line in file.read_text().splitlines()]
    for n, line in enumerate(lines[1:]):
        line[1] = str(n / 10 - 2)
    file.write_text("\n".join("\t".join(line) for line in lines) + "\n")
    words = {"source": "xpresso_table", "table": str(file), "out": str(tmp_path / "out")}
    assert "20 expression values are negative" in refused(**words)
    told = []
    out = run(told.append, **words, expression_scale="log2")
    assert not any("expression_scale" in line for line in told)
    assert float(raw_values(out)[lines[1][0]]["expression"]) == -2
    assert OmegaConf.load(out / "dataset.yaml").scaling[0].label.log10_offset is None
    lines[3][2] = "-5"
    file.write_text("\n".join("\t".join(line) for line in lines) + "\n")
    assert "a value is negative or missing" in refused(**words | {"out": str(tmp_path / "o")}, expression_scale="log2")


def test_rows_without_the_name_of_a_gene(tmp_path):
    said = []
    columns = {"gene_id": [*GENES, "", ""], "f": [*EXPRESSION, 3, 4]}
    found, _ = block(prepared(tmp_path, columns, said.append))
    assert set(found) == set(GENES)
    assert any("2 rows without the name of a gene are left out" in line for line in said)


def test_joined_by_another_column_of_names(tmp_path):
    said = []
    columns = {"gene_id": [f"x{n}" for n in range(30)], "symbol": GENES, "f": EXPRESSION}
    found, names = block(prepared(tmp_path, columns, said.append))
    assert (set(found), names) == (set(GENES), ("f",))
    assert any("genes are joined by column symbol" in line for line in said)
