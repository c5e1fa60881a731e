"""Scans by linear models: each row is the prediction of the promoter around its position."""

import json

import numpy as np
import pandas as pd
import pytest
from made_models import WINDOW, LinearPredictor, made_run
from toy_organism import with_files, write_gff3

from genexp.api import scanning
from genexp.api.requests import requested
from genexp.errors import UserError
from genexp.features.tokens import tokens_from_text
from genexp.genomes.genome import Genome


@pytest.fixture
def toy(monkeypatch, tmp_path):
    """An organism with its files in the working directory, and linear models."""
    monkeypatch.setattr(scanning, "Predictor", LinearPredictor)
    monkeypatch.setattr(scanning, "CHUNK", 64)
    monkeypatch.chdir(tmp_path)
    return with_files(tmp_path)


def planned(run, **keys):
    request = requested("scan", scanning.Request, {"fasta": "g.fa", "region": "chr2", "step": 20, "out": None, **keys})
    return scanning.check(run, request)


def test_rows_are_predictions_of_the_promoters_of_their_positions(toy, tmp_path):
    run = made_run(tmp_path)
    table = scanning.scan(planned(run, region="2:1-5990"), "test")
    assert len(table) == 600
    assert table["end"].tolist() == (table["start"] + 1).tolist()
    genes = [gene for gene in toy.genes if gene.chromosome == "2"]
    model = LinearPredictor(run)
    for gene in genes:
        tss = gene.place((0, 1))[0] - 1
        row = table[(table["start"] == tss) & (table["strand"] == gene.strand)]
        assert len(row) == (gene.strand == "+")  # others begin between positions
        if len(row):
            expected = model(tokens_from_text(toy.promoter(gene))[None], {})[:, 0, 0].astype(np.float64)
            assert row["prediction"].item() == np.float32(expected.mean())
            assert row["sd"].item() == np.float32(expected.std(ddof=1))
    minus = [gene for gene in genes if gene.strand == "-"][2]
    tss = minus.place((0, 1))[0]
    row = scanning.scan(planned(run, region=f"chr2:{tss}-{tss}"), "test").iloc[1]
    expected = model(tokens_from_text(toy.promoter(minus))[None], {})[:, 0, 0].astype(np.float64).mean()
    assert (row["strand"], row["prediction"]) == ("-", np.float32(expected))


def test_unknown_bases_are_counted(toy, tmp_path):
    table = scanning.scan(planned(made_run(tmp_path), region="2:1-200"), "test")
    first = table.groupby("strand").first()["unknown_bases"]
    assert first.to_dict() == {"+": -WINDOW[0], "-": WINDOW[1] - 1}


def test_a_circular_chromosome_goes_on_as_in_predictions_of_its_genes(toy, tmp_path):
    path = write_gff3(tmp_path / "g.gff3", toy)
    path.write_text(path.read_text() + "2\ttoy\tregion\t1\t6000\t.\t+\t.\tID=2;Is_circular=true\n")
    run = made_run(tmp_path)
    table = scanning.scan(planned(run, region="2:1-200", gtf="g.gff3"), "test")
    assert (table["unknown_bases"] == 0).all()
    genome = Genome("g.fa", circular={"2": 6000})
    for row in table.to_dict("records")[:40:9]:
        promoter = genome.promoter("2", row["start"], row["strand"], WINDOW)
        expected = LinearPredictor(run)(promoter[None], {})[:, 0, 0].astype(np.float64).mean()
        assert row["prediction"] == np.float32(expected)


def test_tracks_table_plot_and_record_are_written(toy, tmp_path):
    words = {"region": "chr2:101-1190", "gtf": "g.gtf", "label": "b", "tracks": ["bedgraph"], "out": "scan"}
    table = scanning.scan(planned(made_run(tmp_path, labels=("a", "b")), **words), "the command")
    folder = tmp_path / "scan"
    names = {"plus.bedgraph", "minus.bedgraph", "scan.tsv", "scan.png", "scan.json"}
    assert {path.name for path in folder.iterdir()} == names
    written = pd.read_csv(folder / "scan.tsv", sep="\t")
    np.testing.assert_allclose(written["prediction_b"], table["prediction_b"], rtol=1e-6)
    track = pd.read_csv(folder / "minus.bedgraph", sep="\t", skiprows=1, names=["chromosome", "start", "end", "value"])
    rows = table[table["strand"] == "-"]
    assert track["start"].tolist() == rows["start"].tolist() == list(range(100, 1190, 20))
    assert track["end"].tolist() == [*range(120, 1180, 20), 1180, 1190]
    assert np.array_equal(track["value"].astype(np.float32), rows["prediction_b"])
    made = json.loads((folder / "scan.json").read_text())
    assert (made["command"], made["window"], made["config"]["region"]) == ("the command", [-60, 40], "chr2:101-1190")


@pytest.mark.parametrize(
    ("changes", "keys", "expected"),
    [
        ({}, {"region": "chr2:5000-6001"}, "past the end of its chromosome"),
        ({}, {"region": "chr9"}, "there is no chromosome chr9"),
        ({}, {"step": 0}, "step"),
        ({}, {"regoin": "1"}, "did you mean 'region'"),
        ({}, {"gene": "ENSG00001"}, "features of a scan are those of one gene"),
        ({}, {"fasta": "g.gtf"}, "this is not a FASTA file"),
        ({"labels": ("a", "b")}, {"out": "scan"}, r"several labels[^\0]*label=a"),
        ({"labels": ("a", "b")}, {"out": "scan", "label": "c"}, "no such label"),
        ({"tss": None}, {}, "cannot be placed on a genome"),
        ({"promoter": "embedded", "tss": None}, {}, "precomputed promoter embeddings"),
    ],
)
def test_errors_are_reported_before_anything_is_predicted(toy, tmp_path, changes, keys, expected):
    before = set(tmp_path.iterdir())
    with pytest.raises(UserError, match=expected):
        planned(made_run(tmp_path, **changes), **keys)
    assert set(tmp_path.iterdir()) - before == {tmp_path / "best.keras"}


def test_a_collapsed_run_is_refused(toy, tmp_path):
    run = made_run(tmp_path)
    run.metrics["status"] = "collapsed"
    with pytest.raises(UserError, match="has collapsed"):
        planned(run)
