"""``genexp predict``: sequences and features that are no dataset, raw or scaled, through one run."""

import numpy as np
import pandas as pd
import pytest

from genexp.cli import main
from genexp.dataset.description import DatasetDescription
from genexp.dataset.genes import Dataset, Split
from genexp.dataset.writer import write_dataset
from genexp.features.tokens import text_from_tokens

NAMES = ("length", "gc")
SCALING = {
    "label": {"log10_offset": 0.1, "mean": 1.5, "sd": 0.5},
    "halflife": {
        "length": {"log10_offset": 0.1, "mean": 2.0, "sd": 0.25},
        "gc": {"log10_offset": None, "mean": 0.4, "sd": 0.1},
    },
}
QUICK = ("model.filters=[4,4]", "model.pools=[10,4]", "training.epochs=1", "hardware=cpu")


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
        (["fasta=p.fa", "features=p.tsv"], "2 of the 2 half-life features of the run are missing"),
        (["fasta=p.fa", "features=bad.csv"], "a feature is no finite number"),
        (["fasta=p.fa", "features=twice.csv"], "test0 twice"),
        (["fasta=p.fa", "features=negative.csv"], "a raw length is negative"),
        (["fasta=short.fa", "features=raw.csv"], "200 nt (the window) or 400 nt (the promoter)"),
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
    (folder / "short.fa").write_text(_short(folder))
    assert predict(folder, tmp_path / "out.tsv", *words) == 2
    assert expected in capsys.readouterr().err.replace("\n  ", " ")
    assert list(tmp_path.iterdir()) == []


def _short(folder):
    lines = (folder / "p.fa").read_text().splitlines()
    return "".join(f"{line if line[0] == '>' else line[:50]}\n" for line in lines)


def test_a_table_that_exists_is_not_overwritten(made, tmp_path, capsys):
    (tmp_path / "out.tsv").write_text("mine")
    assert predict(made[0], tmp_path / "out.tsv", f"fasta={made[0] / 'p.fa'}", f"features={made[0] / 'raw.csv'}") == 2
    assert "exists already" in capsys.readouterr().err
