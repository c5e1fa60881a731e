"""``genexp predict``: sequences and features that are no dataset, raw or scaled, through one run."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

import genexp
from genexp.cli import main
from genexp.dataset.description import DatasetDescription
from genexp.dataset.genes import Dataset, Split
from genexp.dataset.writer import write_dataset
from genexp.features.tokens import text_from_tokens, tokens_from_text

NAMES = ("length", "gc")
SCALING = {
    "label": {"log10_offset": 0.1, "mean": 1.5, "sd": 0.5},
    "halflife": {
        "length": {"log10_offset": 0.1, "mean": 2.0, "sd": 0.25},
        "gc": {"log10_offset": None, "mean": 0.4, "sd": 0.1},
    },
}
QUICK = ("model.filters=[4,4]", "model.pools=[10,4]", "training.epochs=1", "hardware=cpu", "plots=[]")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run on PH, its test genes as files (FASTA, table, raw and scaled features), and its predictions for them."""
    folder = tmp_path_factory.mktemp("predict")
    rng = np.random.default_rng(0)
    splits, raw = {}, {}
    for name, n in (("train", 40), ("valid", 20), ("test", 20)):
        genes = np.array([f"{name}{i}" for i in range(n)])
        raw[name] = np.stack([10 ** rng.normal(2, 0.25, n), rng.normal(0.4, 0.1, n)], axis=1)
        scaled = np.stack([(np.log10(raw[name][:, 0] + 0.1) - 2) / 0.25, (raw[name][:, 1] - 0.4) / 0.1], axis=1)
        blocks = {"P": rng.integers(0, 5, (n, 400)).astype(np.uint8), "H": scaled.astype(np.float32)}
        splits[name] = Split(genes, rng.normal(size=(n, 1)).astype(np.float32), blocks)
    sizes = {name: len(split) for name, split in splits.items()}
    shapes = {"promoter": "bases", "promoter_length": 400, "tss": 200, "widths": {"H": 2}}
    names = {"H": NAMES}
    described = DatasetDescription(source="made", layout="made", genes=sizes, feature_names=names, **shapes)
    (folder / "set").mkdir()
    write_dataset(folder / "set", Dataset(described, splits), source="made", scaling=SCALING)
    words = [f"dataset.root={folder / 'set'}", f"hydra.run.dir={folder / 'run'}", "data.window=[100,300]"]
    assert main(["train", "model=xpresso", *words, *QUICK]) == 0
    assert not (folder / "run" / "plots").exists()
    test = splits["test"]
    sequences = [text_from_tokens(tokens) for tokens in test.blocks["P"]]
    (folder / "p.fa").write_text("".join(f">{g} tail\n{s}\n" for g, s in zip(test.genes, sequences, strict=True)))
    pd.DataFrame({"id": test.genes, "sequence": sequences}).to_csv(folder / "p.tsv", sep="\t", index=False)
    shuffled = rng.permutation(len(test.genes))
    for name, values in (("raw", raw["test"]), ("scaled", test.blocks["H"])):
        table = pd.DataFrame({"id": test.genes, "gc": values[:, 1], "note": "x", "length": values[:, 0]})
        table.iloc[shuffled].to_csv(folder / f"{name}.csv", index=False)
    found = pd.read_csv(folder / "run" / "predictions.csv")
    return folder, found[found["split"] == "test"].set_index("gene")["prediction"]


def predict(folder, out, *words):
    return main(["predict", f"run_dir={folder / 'run'}", f"out={out}", "hardware=cpu", *words])


@pytest.mark.parametrize(
    "words",
    [
        ("fasta=p.fa", "features=raw.csv"),
        ("table=p.tsv", "features=scaled.csv", "scaled=true"),
        ("fasta=p.fa", "features=raw.csv", "checkpoint=last"),
    ],
)
def test_the_runs_own_genes_get_the_runs_own_predictions(made, tmp_path, monkeypatch, words):
    folder, expected = made
    monkeypatch.chdir(folder)
    assert predict(folder, tmp_path / "out.tsv", *words) == 0
    found = pd.read_csv(tmp_path / "out.tsv", sep="\t", index_col="id")
    assert list(found.index) == list(expected.index)
    np.testing.assert_allclose(found["prediction"], expected, atol=1e-5)
    np.testing.assert_allclose(found["log10"], expected * 0.5 + 1.5, atol=1e-5)
    np.testing.assert_allclose(found["raw"], 10 ** found["log10"] - 0.1, rtol=1e-5)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["fasta=p.fa"], "needs features=FILE"),
        (["features=raw.csv"], "needs fasta= or table="),
        (["fasta=p.fa", "table=p.tsv", "features=raw.csv"], "needs fasta= or table="),
        (["fasta=nowhere.fa", "features=raw.csv"], "the file is missing"),
        (["table=raw.csv", "features=raw.csv"], "no column sequence"),
        (["fasta=p.fa", "features=few.csv"], "ids have no features"),
        (["fasta=p.fa", "bed=p.tsv", "gtf=p.tsv", "features=raw.csv"], "needs fasta= or table="),
        (["gtf=p.tsv", "features=raw.csv"], "fasta=GENOME with bed= or gtf="),
        (["split=test", "both_strands=true"], "both_strands has no effect on genes from dataset"),
        (["split=test", "features=raw.csv"], "a dataset brings its own features"),
        (["fasta=p.fa", "features=p.tsv"], "2 of the 2 half-life features of the run are missing"),
        (["fasta=p.fa", "features=bad.csv"], "1 of 20 values is not a number"),
        (["fasta=p.fa", "features=twice.csv"], "test0 twice"),
        (["fasta=p.fa", "features=negative.csv"], "a raw length is negative"),
        (["fasta=long.fa", "features=raw.csv"], "200 nt (the window) or 400 nt (the promoter)"),
        (["fasta=p.fa", "features=raw.csv", "out=p.xlsx"], "a name that ends in .tsv or .txt or .parquet"),
    ],
)
def test_errors_are_reported_and_nothing_is_written(made, tmp_path, monkeypatch, capsys, words, expected):
    folder, _ = made
    monkeypatch.chdir(folder)
    rows = (folder / "raw.csv").read_text().splitlines()
    (folder / "few.csv").write_text("\n".join(rows[:4]))
    (folder / "bad.csv").write_text("\n".join(rows).replace(",x,", ",x,oops", 1))
    first = rows[1].split(",")
    (folder / "negative.csv").write_text("\n".join([rows[0], ",".join([*first[:3], "-500"]), *rows[2:]]))
    (folder / "twice.csv").write_text("id,gc,length\ntest0,1,1\ntest0,1,1\n")
    (folder / "long.fa").write_text((folder / "p.fa").read_text().replace(" tail\n", "\nA"))
    assert predict(folder, tmp_path / "out.tsv", *words) == 2
    assert expected in capsys.readouterr().err.replace("\n  ", " ")
    assert list(tmp_path.iterdir()) == []


def test_a_table_that_exists_is_not_overwritten(made, tmp_path, capsys):
    (tmp_path / "out.tsv").write_text("mine")
    assert predict(made[0], tmp_path / "out.tsv", f"fasta={made[0] / 'p.fa'}", f"features={made[0] / 'raw.csv'}") == 2
    assert "exists already" in capsys.readouterr().err


def test_the_genes_of_a_dataset_get_the_runs_own_predictions(made, tmp_path):
    folder, expected = made
    root = f"dataset.root={folder / 'set'}"
    for name, words in (("own", ["split=test"]), ("named", [root, "split=test"]), ("all", [root])):
        assert predict(folder, tmp_path / f"{name}.parquet", *words) == 0
        found = pd.read_parquet(tmp_path / f"{name}.parquet")
        test = found[found["split"] == "test"]
        assert (len(found), list(test["id"])) == (80 if name == "all" else 20, list(expected.index))
        np.testing.assert_allclose(test["prediction"], expected, atol=1e-6)
    record = json.loads((tmp_path / "all.parquet.json").read_text())
    assert list(record["runs"]) == [str(folder / "run")]
    assert record["config"]["dataset"]["root"] == str(folder / "set")


def test_a_notebook_gets_the_table_of_the_command(made, tmp_path, capsys):
    folder, _ = made
    words = {"fasta": folder / "p.fa", "features": folder / "raw.csv", "both_strands": True}
    assert (
        predict(folder, tmp_path / "out.tsv", *(f"{k}={str(v).replace('True', 'true')}" for k, v in words.items())) == 0
    )
    capsys.readouterr()
    found = genexp.open_run(folder / "run").predict_table(**words, progress=False)
    assert capsys.readouterr().out == ""
    written = pd.read_csv(tmp_path / "out.tsv", sep="\t", keep_default_na=False)
    pd.testing.assert_frame_equal(found, written, check_dtype=False, rtol=1e-6)
    assert list(found)[:3] == ["id", "strand", "prediction"]
    with pytest.raises(genexp.UserError, match="did you mean 'features'"):
        genexp.open_run(folder / "run").predict_table(fasta=folder / "p.fa", feature="mean")


def test_promoters_of_a_genome_are_those_of_a_fasta_file(made, tmp_path):
    """Two promoters one behind the other on a chromosome, the second on the other strand."""
    folder, expected = made
    texts = [line for line in (folder / "p.fa").read_text().splitlines() if line[0] != ">"][:2]
    other = text_from_tokens(np.array([3, 2, 1, 0, 4])[tokens_from_text(texts[1])[::-1]])
    (tmp_path / "g.fa").write_text(f">chr1\n{texts[0]}{other}\n")
    (tmp_path / "s.bed").write_text("1\t200\t201\ttest0\t0\t+\n1\t599\t600\ttest1\t0\t-\n")
    words = (f"fasta={tmp_path / 'g.fa'}", f"bed={tmp_path / 's.bed'}", f"features={folder / 'raw.csv'}")
    assert predict(folder, tmp_path / "out.tsv", *words) == 0
    found = pd.read_csv(tmp_path / "out.tsv", sep="\t", index_col="id")
    np.testing.assert_allclose(found["prediction"], expected[:2], atol=1e-5)
    assert found[["chromosome", "start", "end", "strand"]].to_numpy().tolist() == [
        ["chr1", 100, 300, "+"],
        ["chr1", 500, 700, "-"],
    ]


def test_what_is_unlike_the_training_genes_is_flagged(made, tmp_path, capsys):
    folder, _ = made
    (tmp_path / "p.fa").write_text(">test0\nACGT\n>x\n" + "ACGT" * 50 + "\n")
    (tmp_path / "f.csv").write_text("id,length,gc\ntest0,100,0.4\nx,1e9,0.4\n")
    assert predict(folder, tmp_path / "out.tsv", f"fasta={tmp_path / 'p.fa'}", f"features={tmp_path / 'f.csv'}") == 0
    found = pd.read_csv(tmp_path / "out.tsv", sep="\t", keep_default_na=False)
    assert found[["unknown_bases", "outside"]].to_numpy().tolist() == [[196, ""], [0, "length"]]
    out = capsys.readouterr().out
    assert "1 of 2 sequences are padded with N" in out
    assert "1 of 2 genes have features far outside the training range" in out


def test_a_collapsed_run_is_refused(made, tmp_path, capsys):
    copy = shutil.copytree(made[0] / "run", tmp_path / "run")
    metrics = json.loads((copy / "metrics.json").read_text())
    (copy / "metrics.json").write_text(json.dumps(metrics | {"status": "collapsed"}))
    assert main(["predict", f"run_dir={copy}", "split=test", f"out={tmp_path / 'out.tsv'}"]) == 2
    assert "this run has collapsed" in capsys.readouterr().err


def test_a_table_that_cannot_be_written_is_refused_before_the_run_is_looked_at(made, tmp_path, capsys):
    place = tmp_path / "my runs"
    assert main(["predict", f"run_dir={made[0] / 'run'}", "split=all", f"out={place / 'p.csv'}"]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "expected: a name that ends in .tsv or .txt or .parquet" in shown.err
    assert f"out='{place}/p.tsv'" in shown.err
