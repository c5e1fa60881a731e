"""Real yeast and human genes, when GENEXP_REAL_DATA names their folder."""

import csv
import gzip
import os
from functools import cache
from pathlib import Path

import h5py
import numpy as np
import pytest

from genexp.commands import command_of
from genexp.config.compose import compose_words
from genexp.dataset.genes import HALFLIFE_FEATURES, SPLITS
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
    more = {"split__by": "chromosome", "split__test": "[VII,XV]"}
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
