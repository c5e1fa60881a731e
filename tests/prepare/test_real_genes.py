"""Real yeast, E. coli and human genes, when GENEXP_REAL_DATA names their folder."""

import csv
import gzip
import json
import os
from functools import cache
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from genexp.blocks import HALFLIFE_FEATURES
from genexp.commands import command_of
from genexp.config.compose import compose_words
from genexp.dataset.genes import SPLITS
from genexp.features.tokens import text_from_tokens
from genexp.prepare import prepare

REAL = os.environ.get("GENEXP_REAL_DATA")
pytestmark = pytest.mark.skipif(not REAL, reason="GENEXP_REAL_DATA names no folder with real data")


def run(out, **words):
    whole = [f"{key.replace('__', '.')}={value}" for key, value in words.items()]
    return prepare(compose_words(command_of("prepare"), [*whole, f"out={out}"]).config)


def rows_of(out):
    with (out / "genes.tsv").open(newline="") as file:
        return {row["gene"]: row for row in csv.DictReader(file, delimiter="\t")}


@cache
def yeast_table():
    with gzip.open(Path(REAL) / "yeast" / "Yeast.InputData.pM1Kb.txt.gz", "rt") as file:
        return {row["ENSID"]: row for row in csv.DictReader(file, delimiter="\t")}


def test_yeast_from_the_genome_is_yeast_from_the_table(tmp_path):
    folder = Path(REAL) / "yeast"
    files = {
        "fasta": "genome.fa.gz",
        "gtf": "annotation.gtf.gz",
        "expression": "expression_fpkm.tsv",
        "tf": "tf_matrix.tsv.gz",
    }
    files = {key: folder / name for key, name in files.items()}
    more = {"split__by": "chromosome", "split__test": "[VII,XV]", "absent__tf": "zero"}
    out = run(tmp_path / "out", source="genome", **files, upstream=1000, downstream=1000, **more)
    rows, table = rows_of(out), yeast_table()
    assert set(rows) == set(table)
    for gene, row in rows.items():
        assert (row["split"] == "test") == (row["chromosome"] in ("VII", "XV"))
        for feature in HALFLIFE_FEATURES:
            assert float(row[feature]) == pytest.approx(float(table[gene][feature]), rel=1e-4, abs=1e-5)
    for split in SPLITS:
        with h5py.File(out / f"{split}.h5") as file:
            assert file["tf"].shape[1] == 222
            for gene, tokens in zip(file["geneName"].asstr()[:], file["promoter"][:], strict=True):
                assert text_from_tokens(tokens) == table[gene]["PROMOTER"]


def ecoli_genes(folder):
    """Read place and CDS rows of each coding gene, of the longest protein, from the annotation; no code of genexp."""
    genes, ids = {}, {}
    with gzip.open(folder / "annotation.gff.gz", "rt") as file:
        rows = [line.rstrip("\n").split("\t") for line in file if not line.startswith("#")]
    for columns in rows:
        about = dict(part.split("=", 1) for part in columns[8].split(";"))
        first, last = int(columns[3]), int(columns[4])
        if columns[2] == "gene" and about["gene_biotype"] == "protein_coding":
            ids[about["ID"]] = about["locus_tag"]
            genes[about["locus_tag"]] = (first, last, columns[6], {})
        elif columns[2] == "CDS" and about["Parent"] in ids:
            genes[ids[about["Parent"]]][3].setdefault(about["protein_id"], []).append((first, last))
    length = {
        gene: {p: sum(b - a + 1 for a, b in found) for p, found in each[3].items()} for gene, each in genes.items()
    }
    return {g: (*each[:3], sorted(each[3][max(length[g], key=length[g].get)])) for g, each in genes.items()}


def naive_features(chromosome, gene):
    first, last, strand, cds = gene
    coding = sorted({position for start, end in cds for position in range(start, end + 1)})
    left, right = chromosome[first - 1 : coding[0] - 1], chromosome[coding[-1] : last]
    utr5, utr3 = (left, right) if strand == "+" else (right, left)
    rows = len(cds) - sum(b[0] - a[1] - 1 <= 2 for a, b in pairwise(cds))  # a ribosome slips there
    text = "".join(chromosome[position - 1] for position in coding)
    slips = sum(max(b[0] - a[1] - 1, 0) for a, b in pairwise(cds) if b[0] - a[1] - 1 <= 2)
    intron = last - first + 1 - len(left) - len(right) - len(text) - slips
    gc = [(bases.count("G") + bases.count("C")) / max(len(bases), 1) for bases in (utr5, text, utr3)]
    return [len(utr5), len(text), intron, len(utr3), *gc, 1000 * rows / len(text)]


def naive_promoter(chromosome, gene, upstream, downstream):
    first, last, strand, _ = gene
    start, end = (
        (first - 1 - upstream, first - 1 + downstream) if strand == "+" else (last - downstream, last + upstream)
    )
    bases = "".join(chromosome[position % len(chromosome)] for position in range(start, end))
    return bases if strand == "+" else bases[::-1].translate(str.maketrans("ACGT", "TGCA"))


def test_every_gene_of_ecoli_against_a_computation_without_genexp(tmp_path):
    folder = Path(REAL) / "ecoli"
    with gzip.open(folder / "genome.fna.gz", "rt") as file:
        chromosome = "".join(line.strip() for line in file if not line.startswith(">"))
    with gzip.open(folder / "log_tpm.csv.gz", "rt") as file:
        values = [line.split(",")[:2] for line in file.read().splitlines()[1:]]
    table = tmp_path / "tpm.tsv"
    table.write_text("gene\tS1\n" + "".join(f"{gene}\t{2 ** float(value) - 1}\n" for gene, value in values))
    files = {"fasta": folder / "genome.fna.gz", "gtf": folder / "annotation.gff.gz", "expression": table}
    out = run(tmp_path / "out", source="genome", **files, upstream=200, downstream=100, genes__tolerance=0)
    rows, genes = rows_of(out), ecoli_genes(folder)
    assert set(rows) == set(genes) & {gene for gene, _ in values}
    assert len(rows) == 4238
    for gene, row in rows.items():
        found = [float(row[feature]) for feature in HALFLIFE_FEATURES]
        assert found == pytest.approx(naive_features(chromosome, genes[gene]), rel=1e-8)
    for split in SPLITS:
        with h5py.File(out / f"{split}.h5") as file:
            for gene, tokens in zip(file["geneName"].asstr()[:], file["promoter"][:], strict=True):
                assert text_from_tokens(tokens) == naive_promoter(chromosome, genes[gene], 200, 100)


def test_the_published_recipe_gives_back_the_published_files(tmp_path):
    folder = Path(REAL) / "yeast"
    sizes = {"split__valid": 500, "split__test": 500}
    table = folder / "Yeast.InputData.pM1Kb.txt.gz"
    out = run(tmp_path / "out", source="xpresso_table", table=table, recipe="published", **sizes)
    for split in SPLITS:
        with h5py.File(folder / "xpresso_h5" / f"{split}.h5") as theirs, h5py.File(out / f"{split}.h5") as ours:
            assert ours["geneName"][:].tolist() == theirs["geneName"][:].tolist()
            np.testing.assert_allclose(ours["data"][:], theirs["data"][:], atol=1e-6)
            np.testing.assert_allclose(ours["label"][:], theirs["label"][:], atol=1e-6)
            tokens, one_hot = ours["promoter"][:], theirs["promoter"][:]
            assert (np.eye(5, 4, dtype=bool)[tokens] == one_hot).all()


def test_human_targets_with_the_published_split(tmp_path):
    folder = Path(REAL) / "human"
    labels = folder / "labels.tsv.gz"
    out = run(
        tmp_path / "out",
        source="tables",
        expression=labels,
        samples="[expr_log10]",
        expression_scale="log10",
        tf=folder / "tf_matrix.tsv.gz",
        absent__tf="drop",
        mirna=folder / "mirna_target_pairs.tsv.gz",
        split__by="file",
        split__file=labels,
    )
    with gzip.open(labels, "rt") as file:
        published = {row["ensembl_id"]: row for row in csv.DictReader(file, delimiter="\t")}
    rows = rows_of(out)
    assert len(rows) == 14_806
    assert all(row["split"] == published[gene]["xpresso_split"] for gene, row in rows.items())
    with h5py.File(out / "train.h5") as train, h5py.File(out / "test.h5") as test:
        assert train["micro"].shape[1] == 2570
        x, y = train["tf"][:].astype(float), train["label"][:].astype(float)
        centred = x - x.mean(axis=0)
        weights = np.linalg.solve(centred.T @ centred + 100 * np.eye(x.shape[1]), centred.T @ y)
        r2 = np.corrcoef(test["tf"][:] @ weights, test["label"][:])[0, 1] ** 2
    assert 0.58 < r2 < 0.62


def test_labels_and_regulators_of_e_coli_are_those_that_pandas_reads(tmp_path):
    folder = Path(REAL) / "ecoli"
    files = {
        "fasta": "genome.fna.gz",
        "gtf": "annotation.gff.gz",
        "expression": "log_tpm.csv.gz",
        "tf": "regulators.csv",
    }
    files = {key: folder / name for key, name in files.items()}
    more = {"expression_scale": "log2", "pseudocount": 1, "tf__values": "sign", "halflife": "false"}
    out = run(tmp_path / "out", source="genome", **files, upstream=200, downstream=100, **more)
    logs = pd.read_csv(files["expression"], index_col=0).median(axis=1)
    signs = pd.read_csv(files["tf"]).assign(sign=lambda rows: rows["effect"].map({"+": 1, "-": -1}).fillna(0))
    of_pair = signs.groupby(["gene_id", "regulator"])["sign"]
    signs = of_pair.max().clip(lower=0) + of_pair.min().clip(upper=0)
    rows = rows_of(out)
    train = [gene for gene, row in rows.items() if row["split"] == "train"]
    mean, sd = logs[train].mean(), logs[train].std(ddof=0)
    stored = []
    for split in SPLITS:
        with h5py.File(out / f"{split}.h5") as file:
            genes, names = file["geneName"].asstr()[:], json.loads(file.attrs["feature_names"])["T"]
            assert file.attrs["unit"] == "log2(expression + 1), standardised"
            np.testing.assert_allclose(file["label"][:], (logs[genes] - mean) / sd, atol=1e-5)
            stored.append(pd.DataFrame(file["tf"][:], index=genes, columns=names))
    found = pd.concat(stored)
    wanted = signs.unstack(fill_value=0).reindex(index=found.index, columns=found.columns, fill_value=0)
    scaled = (wanted - wanted.loc[train].mean()) / wanted.loc[train].std(ddof=0).replace(0, 1)
    np.testing.assert_allclose(found, scaled, atol=1e-5)
