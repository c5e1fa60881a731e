"""Datasets with several labels through every command, on the command line and in Python."""

import json
import shutil

import h5py
import numpy as np
import pandas as pd
import pytest

import genexp
from genexp.cli import main
from genexp.dataset.description import DatasetDescription
from genexp.dataset.genes import Dataset, Split
from genexp.dataset.writer import write_dataset
from genexp.evaluation.metrics import metrics

NAMES = ("liver", "brain, left", "blood")
SCALING = {
    "labels": {
        "liver": {"log10_offset": 0.1, "mean": 1.5, "sd": 0.5},
        "brain, left": {"log10_offset": None, "mean": 3.0, "sd": 2.0},
        "blood": {"log10_offset": None, "mean": 0.0, "sd": 1.0},
    }
}
SIZES = {"train": 240, "valid": 60, "test": 60}
TRAIN = (
    *("train", "model=fc_net", "data=T", "hardware=cpu", "training.optimizer=adam", "training.learning_rate=0.01"),
    *("training.batch_size=64", "model.dropout=0", "model.dense=[16,8]", "baseline=false"),
    "settings=published",
)


def write(root, columns=(0, 1, 2), names=NAMES, *, missing=True, seed=0):
    """Write a dataset on block T whose labels follow from it; with `missing`, a third of the values is not there."""
    splits, rng = {}, np.random.default_rng(seed)
    weights = np.random.default_rng(9).normal(size=(6, 3))
    for split, n in SIZES.items():
        factors = rng.integers(0, 2, (n, 6)).astype(np.uint8)
        labels = (factors - 0.5) @ weights / 1.2 + 0.3 * rng.normal(size=(n, 3))
        unknown = rng.random((n, 3)) < 0.33
        unknown[unknown.all(axis=1), 0] = False
        if missing:
            labels[unknown] = np.nan
        kept = ~np.isnan(labels[:, columns]).all(axis=1)
        genes = np.array([f"{split}{i}" for i in range(n)])
        splits[split] = Split(genes[kept], labels[kept][:, columns].astype(np.float32), {"T": factors[kept]})
    described = DatasetDescription(
        source="",
        layout="",
        genes={name: len(split) for name, split in splits.items()},
        widths={"T": 6},
        feature_names={"T": tuple("ABCDEF")},
        labels=tuple(names[n] for n in columns),
        unit="log10(TPM + 0.1), standardised",
    )
    root.mkdir(parents=True, exist_ok=True)
    one = {"label": SCALING["labels"][NAMES[columns[0]]]}
    write_dataset(root, Dataset(described, splits), source="made", scaling=SCALING if len(columns) > 1 else one)
    return root


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets")
    single = {name: write(folder / f"only{n}", (n,)) for n, name in enumerate(NAMES)}
    return {"all": write(folder / "all"), "turned": write(folder / "turned", (2, 0)), **single}


@pytest.fixture(scope="module")
def run(roots, tmp_path_factory):
    out = tmp_path_factory.mktemp("several") / "run"
    assert main([*TRAIN, "training.epochs=30", f"dataset.root={roots['all']}", f"hydra.run.dir={out}"]) == 0
    return out


def read(path):
    return json.loads(path.read_text())


def same(found, expected):
    """Tell whether metrics agree; the intervals of labels with missing values do so roughly, by other resamples."""
    intervals = [each["r2_ci95"] for each in (found, expected)]
    plain = [{**each, "r2_ci95": 0} for each in (found, expected)]
    return plain[0] == pytest.approx(plain[1]) and intervals[0] == pytest.approx(intervals[1], abs=0.01)


def labels_of(root, split):
    with h5py.File(root / f"{split}.h5") as file:
        return file["label"][()]


def test_every_label_is_learned(run):
    found = read(run / "metrics.json")["best"]["test"]
    assert list(found["labels"]) == list(NAMES)
    assert min(one["r2"] for one in found["labels"].values()) > 0.5
    history = genexp.open_run(run).history
    assert history["val_r2"].iloc[-1] > history["val_r2"].iloc[0]


def test_metrics_of_a_label_are_those_of_its_predictions(run, roots):
    """Recomputed from predictions.csv, on the genes that have the label."""
    opened, stored = genexp.open_run(run), read(run / "metrics.json")["best"]
    assert opened.dataset.labels == NAMES
    table = opened.predictions
    for split in ("valid", "test"):
        mine = table[table["split"] == split]
        assert stored[split]["n"] == len(mine) == SIZES[split]
        for number, name in enumerate(NAMES):
            np.testing.assert_array_equal(mine[f"label_{name}"], labels_of(roots["all"], split)[:, number])
            known = mine[mine[f"label_{name}"].notna()]
            assert 0.5 < len(known) / len(mine) < 0.9
            expected = metrics(known[f"label_{name}"], known[f"prediction_{name}"], seed=0)
            assert same(stored[split]["labels"][name], expected)
        for key in ("r2", "mse", "spearman"):
            each = [one[key] for one in stored[split]["labels"].values()]
            assert stored[split][key] == pytest.approx(np.mean(each))


def test_evaluate_gives_the_same_digits(run, tmp_path, capsys):
    assert main(["evaluate", f"run_dir={run}", f"out={tmp_path / 'out'}", "hardware=cpu"]) == 0
    assert "to the last digit" in capsys.readouterr().out
    assert read(tmp_path / "out" / "metrics.json")["best"] == read(run / "metrics.json")["best"]
    assert (tmp_path / "out" / "predictions.csv").read_bytes() == (run / "predictions.csv").read_bytes()


def test_labels_in_another_order_are_matched_by_name(run, roots, capsys):
    found = genexp.open_run(run).evaluate(dataset={"root": str(roots["turned"])}, split="test")
    assert "2 of the 3 labels of the run: liver, blood" in " ".join(capsys.readouterr().out.split())
    stored = read(run / "metrics.json")["best"]["test"]["labels"]
    assert list(found["best"]["test"]["labels"]) == ["liver", "blood"]
    for name in ("liver", "blood"):
        assert found["best"]["test"]["labels"][name]["r2"] == pytest.approx(stored[name]["r2"])


def test_a_dataset_of_one_of_the_labels(run, roots, tmp_path, capsys):
    words = [f"run_dir={run}", f"dataset.root={roots['blood']}", f"out={tmp_path / 'out'}", "hardware=cpu"]
    assert main(["evaluate", *words]) == 0
    assert "1 of the 3 labels of the run: blood" in " ".join(capsys.readouterr().out.split())
    found, stored = (read(path / "metrics.json")["best"]["test"] for path in (tmp_path / "out", run))
    assert same(found, stored["labels"]["blood"])
    assert (tmp_path / "out" / "predictions.csv").read_text().startswith("gene,split,label,prediction\n")


def test_a_dataset_without_any_of_the_labels(run, tmp_path, capsys):
    other = write(tmp_path / "other", names=("x", "y", "z"))
    assert main(["evaluate", f"run_dir={run}", f"dataset.root={other}", f"out={tmp_path / 'out'}"]) == 2
    message = capsys.readouterr().err
    assert "none of the labels of the run" in message
    assert "received: x, y, z" in message
    assert not (tmp_path / "out").exists()


def test_predict_in_python_has_a_column_for_each_label(run):
    opened = genexp.open_run(run)
    table = opened.predictions
    test = table[table["split"] == "test"]
    with h5py.File(opened.dataset.source + "/test.h5") as file:
        found = opened.predict(features={"T": file["tf"][()]})
    assert found.shape == (SIZES["test"], 3)
    for number, name in enumerate(opened.dataset.labels):
        np.testing.assert_allclose(found[:, number], test[f"prediction_{name}"], rtol=1e-6)
    assert opened.predict(features={"T": np.empty((0, 6))}).shape == (0, 3)


def test_the_table_of_predict_has_columns_for_each_label(run, tmp_path):
    rng = np.random.default_rng(0)
    features = pd.DataFrame(rng.integers(0, 2, (5, 6)), columns=list("FEDCBA"), index=[f"g{n}" for n in range(5)])
    features.to_csv(tmp_path / "t.csv", index_label="id")
    words = [f"run_dir={run}", f"features={tmp_path / 't.csv'}", f"out={tmp_path / 'p.tsv'}", "hardware=cpu"]
    assert main(["predict", *words]) == 0
    found = pd.read_csv(tmp_path / "p.tsv", sep="\t", index_col="id")
    assert list(found) == [
        *("prediction_liver", "log10_liver", "raw_liver"),
        *("prediction_brain, left", "unscaled_brain, left", "prediction_blood", "unscaled_blood", "outside"),
    ]
    expected = genexp.open_run(run).predict(features={"T": features[list("ABCDEF")].to_numpy()})
    np.testing.assert_allclose(found[[f"prediction_{name}" for name in NAMES]], expected, rtol=1e-5)
    np.testing.assert_allclose(found["unscaled_brain, left"], expected[:, 1] * 2 + 3, rtol=1e-5)
    np.testing.assert_allclose(found["raw_liver"], 10 ** (expected[:, 0] * 0.5 + 1.5) - 0.1, rtol=1e-4)


def test_some_labels_of_a_dataset(roots, tmp_path, capsys):
    """Training on one of several labels is training on a dataset that has it alone, to the last digit."""
    words = [*TRAIN, "training.epochs=2"]
    one = [f"dataset.root={roots['blood']}", f"hydra.run.dir={tmp_path / 'one'}"]
    some = [f"dataset.root={roots['all']}", "data.labels=[blood]", f"hydra.run.dir={tmp_path / 'some'}"]
    assert main([*words, *one]) == main([*words, *some]) == 0
    assert "without a value of blood" in " ".join(capsys.readouterr().out.split())
    a, b = (tmp_path / name for name in ("one", "some"))
    assert (a / "predictions.csv").read_text() == (b / "predictions.csv").read_text()
    assert read(a / "metrics.json")["best"] == read(b / "metrics.json")["best"]
    assert main(["evaluate", f"run_dir={b}", "hardware=cpu"]) == 0
    assert "to the last digit" in capsys.readouterr().out
    values = genexp.open_run(b).predict(features={"T": np.zeros((2, 6))})
    assert values.shape == (2,)


def test_an_unknown_label_is_refused_before_training(roots, tmp_path, capsys):
    words = [*TRAIN, f"dataset.root={roots['all']}", "data.labels=[livr]", f"hydra.run.dir={tmp_path / 'run'}"]
    assert main(words) == 2
    message = capsys.readouterr().err
    assert "there is no" not in message
    assert "the dataset has no label 'livr'" in message
    assert "did you mean 'liver'?" in message
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_resumed_run_is_that_of_an_uninterrupted_one(roots, tmp_path):
    words = [*TRAIN, f"dataset.root={roots['all']}"]
    assert main([*words, "training.epochs=2", f"hydra.run.dir={tmp_path / 'parts'}"]) == 0
    assert main(["train", f"resume={tmp_path / 'parts'}", "training.epochs=4", "hardware=cpu"]) == 0
    assert main([*words, "training.epochs=4", f"hydra.run.dir={tmp_path / 'whole'}"]) == 0
    parts, whole = (read(tmp_path / name / "metrics.json") for name in ("parts", "whole"))
    assert (parts["best"], parts["last"]) == (whole["best"], whole["last"])


def test_a_run_starts_from_one_with_other_labels(run, roots, tmp_path, capsys):
    """Outputs are taken by name; those of other labels keep their initial weights, and it is said."""
    words = [*TRAIN, "training.epochs=1", f"training.start_from={run}", "training.learning_rate=1e-9"]
    other = write(tmp_path / "other", (2, 1), ("a", "skin", "blood"), missing=False)
    assert main([*words, f"dataset.root={other}", f"hydra.run.dir={tmp_path / 'run'}"]) == 0
    assert "the outputs of other labels start anew: skin" in " ".join(capsys.readouterr().out.split())
    before, after = genexp.open_run(run), genexp.open_run(tmp_path / "run")
    features = {"T": np.random.default_rng(0).integers(0, 2, (9, 6))}
    theirs, ours = before.predict(features=features), after.predict(features=features)
    np.testing.assert_allclose(ours[:, 0], theirs[:, NAMES.index("blood")], atol=1e-4)
    assert abs(ours[:, 1] - theirs[:, 1]).max() > 0.1
    assert main([*words, f"dataset.root={roots['all']}", f"hydra.run.dir={tmp_path / 'same'}"]) == 0
    assert "start anew" not in capsys.readouterr().out


@pytest.mark.slow
def test_one_label_to_one_label_is_a_plain_warm_start(roots, tmp_path, capsys):
    words = [*TRAIN, "training.epochs=1"]
    assert main([*words, f"dataset.root={roots['liver']}", f"hydra.run.dir={tmp_path / 'a'}"]) == 0
    words += ["training.learning_rate=1e-9", f"training.start_from={tmp_path / 'a'}"]
    assert main([*words, f"dataset.root={roots['blood']}", f"hydra.run.dir={tmp_path / 'b'}"]) == 0
    assert "start anew" not in capsys.readouterr().out
    features = {"T": np.random.default_rng(0).integers(0, 2, (9, 6))}
    a, b = (genexp.open_run(tmp_path / name).predict(features=features) for name in "ab")
    np.testing.assert_allclose(a, b, atol=1e-4)


@pytest.mark.parametrize(("kind", "name"), [("keras", "model.keras"), ("saved_model", "saved")])
def test_export_and_import_keep_every_output(run, tmp_path, capsys, kind, name):
    file = genexp.open_run(run).export(kind, out=tmp_path / name)
    names = "data.labels=[liver,'brain, left',blood]"
    words = [f"checkpoint={file}", "model=fc_net", "data=T", "widths=[6]", "model.dense=[16,8]", "hardware=cpu"]
    assert main(["import", *words, names, f"hydra.run.dir={tmp_path / 'named'}"]) == 0
    assert "it predicts 3 labels" in " ".join(capsys.readouterr().out.split())
    imported = genexp.open_run(tmp_path / "named")
    assert imported.dataset.labels == NAMES
    features = {"T": np.random.default_rng(0).integers(0, 2, (9, 6))}
    np.testing.assert_array_equal(imported.predict(features=features), genexp.open_run(run).predict(features=features))
    assert imported.model.output_shape == (None, 3)
    assert main(["import", *words, f"hydra.run.dir={tmp_path / 'numbered'}"]) == 0
    assert genexp.open_run(tmp_path / "numbered").dataset.labels == ("label_1", "label_2", "label_3")
    assert main(["import", *words, "data.labels=[a,b]", f"hydra.run.dir={tmp_path / 'few'}"]) == 2
    assert "3 different names" in capsys.readouterr().err


def test_an_imported_run_is_evaluated_by_name(run, roots, tmp_path):
    file = genexp.open_run(run).export(out=tmp_path / "model.keras")
    words = [f"checkpoint={file}", "model=fc_net", "data=T", "widths=[6]", "model.dense=[16,8]", "hardware=cpu"]
    names = "data.labels=[liver,'brain, left',blood]"
    assert main(["import", *words, names, f"hydra.run.dir={tmp_path / 'named'}"]) == 0
    found = genexp.open_run(tmp_path / "named").evaluate(dataset={"root": str(roots["all"])}, split="test")
    stored = read(run / "metrics.json")["best"]["test"]["labels"]
    for name in NAMES:
        assert found["best"]["test"]["labels"][name]["r2"] == pytest.approx(stored[name]["r2"])


def test_a_moved_run_with_loggers(roots, tmp_path):
    words = [*TRAIN, "training.epochs=1", "logger=tensorboard", f"dataset.root={roots['all']}"]
    assert main([*words, f"hydra.run.dir={tmp_path / 'run'}"]) == 0
    assert list((tmp_path / "run" / "tensorboard").iterdir())
    moved = shutil.move(tmp_path / "run", tmp_path / "moved")
    assert genexp.open_run(moved).predictions.shape == (120, 8)


def test_a_label_that_collapsed_is_named(roots, tmp_path, capsys, monkeypatch):
    """All others are fine, so the run is completed."""
    from genexp.training import loop

    build = loop.build_model

    def with_a_dead_output(config, shapes):
        model = build(config, shapes)
        kernel = model.get_layer("expression").kernel
        kernel.assign(np.where([True, False, True], kernel, 0))
        return model

    monkeypatch.setattr(loop, "build_model", with_a_dead_output)
    words = [*TRAIN, "training.epochs=2", "training.learning_rate=1e-30", f"dataset.root={roots['all']}"]
    assert main([*words, f"hydra.run.dir={tmp_path / 'run'}"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "one value is predicted for 100.0% of the valid genes, label brain, left" in said
    assert read(tmp_path / "run" / "metrics.json")["status"] == "completed"


@pytest.mark.slow
def test_a_sweep_shows_the_means(roots, genexp, tmp_path):
    words = [*TRAIN, "-m", "seed=1,2", "training.epochs=1", f"dataset.root={roots['all']}"]
    done = genexp(*words, f"hydra.sweep.dir={tmp_path / 'sweep'}")
    assert done.returncode == 0, done.stderr
    for job in (path for path in (tmp_path / "sweep").iterdir() if (path / "metrics.json").is_file()):
        assert f"{read(job / 'metrics.json')['best']['test']['r2']:.3f}" in done.stdout
