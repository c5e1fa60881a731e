"""A run and a dataset that is not quite its own: other columns, another scale, genes seen in training, other labels."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from conftest import write_xpresso_set

import genexp
from genexp.cli import main
from genexp.dataset.description import DatasetDescription
from genexp.dataset.genes import Dataset, Split
from genexp.dataset.writer import write_dataset

FACTORS, FEATURES = tuple("ABCDEF"), ("UTR5LEN", "UTR5GC")
SIZES = {"train": 96, "valid": 24, "test": 24}
TRAIN = (
    *("train", "model=fc_net", "data=HT", "hardware=cpu", "training.optimizer=adam", "training.learning_rate=0.01"),
    *("training.batch_size=32", "training.epochs=2", "model.dropout=0", "model.dense=[16,8]"),
    *("settings=published", "baseline=false"),  # a cosine to another last epoch is another schedule
)
ODDS = {"log10_offset": None, "mean": 0.0, "sd": 1.0}
SCALING = {
    "label": {**ODDS, "log10_offset": 0.1},
    "halflife": {"UTR5LEN": {**ODDS, "log10_offset": 0.1}, "UTR5GC": ODDS},
}


def write(root, *, factors=FACTORS, scaling=SCALING, genes=None, seed=0, change=None):
    """Write a dataset on H and T; the same genes whatever the order of the columns, or their scale."""
    rng, splits = np.random.default_rng(seed), {}
    names = np.array([f"gene{n}" for n in range(sum(SIZES.values()))]) if genes is None else genes
    targets = {name: rng.integers(0, 2, len(names)) for name in sorted({*FACTORS, *factors})}
    features, noise = rng.normal(size=(len(names), 2)), rng.normal(size=len(names))
    label = sum(targets[name] for name in "ABC") - 1.5 + features[:, 0] + 0.3 * noise
    parts = {"label": label[:, None], "H": features, "T": np.stack([targets[name] for name in factors], axis=1)}
    for key, part, columns in (("label", "label", [None]), ("halflife", "H", FEATURES)):
        for n, column in enumerate(columns):  # from mean 0 and sd 1 to the scale asked for
            scale = scaling[key][column] if column else scaling[key]
            parts[part][:, n] = (parts[part][:, n] - scale["mean"]) / scale["sd"]
    if change:
        change(parts)
    first = 0
    for split, n in SIZES.items():
        mine = slice(first, first + n)
        first += n
        blocks = {"H": parts["H"][mine].astype(np.float32), "T": parts["T"][mine].astype(np.uint8)}
        splits[split] = Split(names[mine], parts["label"][mine].astype(np.float32), blocks)
    widths = {"H": 2, "T": len(factors)}
    known = {"H": FEATURES, "T": factors}
    described = DatasetDescription(source="", layout="", genes=SIZES, widths=widths, feature_names=known)
    root.mkdir(parents=True)
    write_dataset(root, Dataset(described, splits), source="made", scaling=scaling)
    return root


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write(tmp_path_factory.mktemp("sets") / "own")


@pytest.fixture(scope="module")
def trained(root, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    assert main([*TRAIN, f"dataset.root={root}", f"hydra.run.dir={out}"]) == 0
    return out


def evaluated(run, root, tmp_path, *words):
    """Evaluate a run on a dataset: its metrics.json and predictions."""
    out = tmp_path / f"evaluated-{root.name}"
    assert main(["evaluate", f"run_dir={run}", f"dataset.root={root}", f"out={out}", *words]) == 0
    return json.loads((out / "metrics.json").read_text()), pd.read_csv(out / "predictions.csv")


def said(capsys):
    return " ".join(capsys.readouterr().out.split())


def test_columns_in_another_order_give_the_same_predictions(trained, tmp_path, capsys):
    found, predictions = evaluated(trained, write(tmp_path / "b", factors=tuple("FDBACE")), tmp_path)
    assert found["adapted"] == ["the 6 transcription factors are put into the order of the run"]
    assert found["adapted"][0] in said(capsys)
    own = json.loads((trained / "metrics.json").read_text())
    assert found["best"] == own["best"]
    pd.testing.assert_frame_equal(predictions, genexp.open_run(trained).predictions)


def test_more_columns_are_left_out_and_fewer_refused(trained, tmp_path, capsys):
    found, _ = evaluated(trained, write(tmp_path / "more", factors=tuple("XABCYDEF")), tmp_path)
    assert "2 transcription factors that the run does not know are left out: X, Y" in found["adapted"]
    fewer = write(tmp_path / "fewer", factors=tuple("ABCDXY"))
    assert main(["evaluate", f"run_dir={trained}", f"dataset.root={fewer}", f"out={tmp_path / 'x'}"]) == 2
    error = capsys.readouterr().err
    assert "2 of the 6 transcription factors of the run are missing" in error
    assert "expected: E, F" in error


def test_another_scale_is_converted(trained, tmp_path):
    other = {
        "label": {"log10_offset": 0.1, "mean": 1.5, "sd": 0.5},
        "halflife": {"UTR5LEN": {"log10_offset": 0.1, "mean": -1.0, "sd": 3.0}, "UTR5GC": {**ODDS, "mean": 0.4}},
    }
    found, predictions = evaluated(trained, write(tmp_path / "scaled", scaling=other), tmp_path)
    assert found["adapted"] == [
        "converted from the scale of the dataset to the scale of the run: labels, half-life features"
    ]
    own = genexp.open_run(trained)
    np.testing.assert_allclose(predictions["prediction"], own.predictions["prediction"], atol=1e-4)
    assert found["best"]["test"]["mse"] == pytest.approx(own.metrics["best"]["test"]["mse"], rel=1e-4)


def test_an_unknown_scale_is_warned_about(trained, tmp_path, capsys):
    def forget(path):
        import h5py

        for name in SIZES:
            with h5py.File(path / f"{name}.h5", "a") as file:
                del file.attrs["scaling"]
        return path

    evaluated(trained, forget(write(tmp_path / "unknown")), tmp_path)
    assert "how this dataset scaled its labels is not recorded" in said(capsys)


def test_genes_of_training_are_found_in_another_split(trained, root, tmp_path, capsys):
    names = np.array([f"gene{n}" for n in range(sum(SIZES.values()))])
    turned = write(tmp_path / "turned", genes=np.concatenate([names[20:], names[:20]]))
    found, _ = evaluated(trained, turned, tmp_path, "split=test")
    assert found["seen_in_training"] == {"test": {"genes": 20, "by_name": 20, "by_sequence": 0, "of": 24}}
    assert "20 of the 24 test genes were training genes of run (20 by name, 0 by promoter)" in said(capsys)
    fresh = write(tmp_path / "fresh", genes=np.array([f"other{n}" for n in range(sum(SIZES.values()))]))
    assert "seen_in_training" not in evaluated(trained, fresh, tmp_path)[0]


@pytest.mark.parametrize("dataset", ["there", "changed"])
def test_a_run_without_the_record_is_looked_up_in_its_dataset(trained, root, tmp_path, capsys, dataset):
    own, old = shutil.copytree(root, tmp_path / "own"), shutil.copytree(trained, tmp_path / "old")
    (old / "training_genes.npz").unlink()
    (old / "config.yaml").write_text((old / "config.yaml").read_text().replace(str(root), str(own)))
    if dataset == "changed":
        shutil.rmtree(own)
        write(own, seed=5)
    names = np.array([f"gene{n}" for n in range(sum(SIZES.values()))])
    found, _ = evaluated(old, write(tmp_path / "turned", genes=names[::-1]), tmp_path)
    if dataset == "there":
        assert found["seen_in_training"]["test"]["genes"] == 24
    else:
        assert "which genes old was trained on is not known" in said(capsys)


def test_identical_promoters_are_found_under_other_names(finished_run, tmp_path, capsys):
    import h5py

    other = write_xpresso_set(tmp_path / "other")
    for split in ("train", "valid", "test"):
        with h5py.File(other / f"{split}.h5", "a") as file:
            file["geneName"][...] = [f"NEW{split}{n:03}".encode() for n in range(len(file["geneName"]))]
    with h5py.File(other / "train.h5") as train, h5py.File(other / "test.h5", "a") as test:
        test["promoter"][:5] = train["promoter"][:5]
    found = genexp.open_run(finished_run).evaluate(dataset={"root": str(other)}, split="test", progress=False)
    assert found["seen_in_training"] == {"test": {"genes": 5, "by_name": 0, "by_sequence": 5, "of": 32}}


def test_weights_of_another_run_know_its_columns_scale_and_genes(trained, root, tmp_path, capsys):
    names = np.array([f"gene{n}" for n in range(sum(SIZES.values()))])
    scaling = {**SCALING, "label": {"log10_offset": 0.1, "mean": 1.0, "sd": 2.0}}
    other = write(tmp_path / "b", factors=tuple("FEDCBA"), scaling=scaling, genes=np.roll(names, -20))
    words = [*TRAIN, f"dataset.root={other}", f"training.start_from={trained}", f"hydra.run.dir={tmp_path / 'second'}"]
    assert main(words) == 0
    text = said(capsys)
    assert "the 6 transcription factors are put into the order of the run" in text
    assert "converted from the scale of the dataset to the scale of the run: labels" in text
    second = genexp.open_run(tmp_path / "second")
    assert second.metrics["seen_in_training"]["test"]["genes"] == 20
    assert second.dataset.feature_names["T"] == FACTORS
    assert second.dataset.scaling["label"] == SCALING["label"]
    assert main(["evaluate", f"run_dir={second.path}", f"out={tmp_path / 'again'}"]) == 0
    assert "to the last digit" in said(capsys)
    assert second.resume(epochs=3, progress=False).metrics["seen_in_training"]["test"]["genes"] == 20
    # What the first run was trained on counts too.
    found = second.evaluate(dataset={"root": str(root)}, split="all", progress=False)
    assert {name: each["genes"] for name, each in found["seen_in_training"].items()} == {"train": 96, "valid": 20}


def copied(trained, root, tmp_path):
    """Return a copy of the run on a copy of its dataset."""
    own, copy = tmp_path / "own", shutil.copytree(trained, tmp_path / "copy")
    (copy / "config.yaml").write_text((copy / "config.yaml").read_text().replace(str(root), str(own)))
    return copy, own


def test_a_run_is_not_resumed_on_other_labels(trained, root, tmp_path, capsys):
    copy, own = copied(trained, root, tmp_path)
    write(own, change=lambda parts: parts["label"].__iadd__(0.5))
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    assert main(["train", f"resume={copy}", "training.epochs=3"]) == 2
    error = capsys.readouterr().err
    assert "the dataset has changed since this run was started" in error
    assert f"fingerprint {genexp.open_run(trained).dataset.fingerprint}" in error
    assert f"training.start_from={copy}" in error
    assert {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()} == before


def test_a_run_is_resumed_on_the_same_genes_with_columns_in_another_order(trained, root, tmp_path, capsys):
    copy, own = copied(trained, root, tmp_path)
    write(own, factors=tuple("BACFED"))
    assert main(["train", f"resume={copy}", "training.epochs=3"]) == 0
    assert "put into the order of the run" in said(capsys)
    uninterrupted = [*TRAIN, "training.epochs=3", f"dataset.root={root}", f"hydra.run.dir={tmp_path / 'whole'}"]
    assert main(uninterrupted) == 0
    assert (copy / "predictions.csv").read_text() == (tmp_path / "whole" / "predictions.csv").read_text()


def test_features_of_a_table_are_matched_by_name_in_python(trained, root):
    run, dataset = genexp.open_run(trained), genexp.load_dataset(root, "HT", progress=False)
    genes = dataset.splits["test"]
    halflife = pd.DataFrame(genes.blocks["H"], columns=list(FEATURES))
    factors = pd.DataFrame(genes.blocks["T"], columns=list(FACTORS))
    expected = run.predict(features={"H": genes.blocks["H"], "T": genes.blocks["T"]})
    tables = {"H": halflife[["UTR5GC", "UTR5LEN"]], "T": factors.assign(new=9)[["F", "new", *"DBACE"]]}
    np.testing.assert_array_equal(run.predict(features=tables), expected)
    with pytest.raises(genexp.UserError, match="1 of the 6 transcription factors of the run are missing"):
        run.predict(features={**tables, "T": factors.drop(columns="C")})


def test_evaluate_streams_when_asked(finished_run, tmp_path):
    words = ["evaluate", f"run_dir={finished_run}", "dataset.stream=true", f"out={tmp_path / 'out'}"]
    assert main(words) == 0
    own = json.loads((finished_run / "metrics.json").read_text())
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["best"] == own["best"]


# --- networks that are nearly dead ---


def dying(monkeypatch, alive):
    """Let every model be built with a bottleneck that is dead for all genes but a few, and cannot learn."""
    from genexp.training import loop

    build = loop.build_model

    def nearly_dead(config, shapes):
        model = build(config, shapes)
        dense = [layer for layer in model.layers if type(layer).__name__ == "Dense"]
        for layer in dense[:-1]:
            layer.kernel.assign(np.eye(*layer.kernel.shape))
            layer.bias.assign(np.full(layer.bias.shape, -alive))
        for layer in model.layers:
            layer.trainable = False
        dense[-1].trainable = True
        return model

    monkeypatch.setattr(loop, "build_model", nearly_dead)


def test_a_nearly_constant_network_is_never_a_result(root, tmp_path, capsys, monkeypatch):
    dying(monkeypatch, 1.0)  # half-life features above 2 survive both layers
    words = [*TRAIN, f"dataset.root={root}", "training.restarts=1", f"hydra.run.dir={tmp_path / 'run'}"]
    assert main(words) == 2
    captured = capsys.readouterr()
    assert "collapsed" in captured.err
    assert "Starting again, attempt 2 of 2" in " ".join(captured.out.split())
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["status"] == "collapsed"


def test_a_partly_dead_network_is_told(root, tmp_path, capsys, monkeypatch):
    dying(monkeypatch, 0.55)
    assert main([*TRAIN, f"dataset.root={root}", f"hydra.run.dir={tmp_path / 'run'}"]) == 0
    found = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert 0.1 < found["best"]["test"]["common_share"] < 0.9
    assert found["warnings"][0] in said(capsys)
    assert "wider layers (model.dense), another seed or a lower training.learning_rate" in found["warnings"][0]


def test_equal_inputs_are_no_collapse(tmp_path):
    def few(parts):
        parts["H"][:] = 0
        parts["T"][:] = 0
        parts["T"][::12, 0] = 1  # in valid and test two genes of 24
        parts["label"][:, 0] += 3 * parts["T"][:, 0]

    root = write(tmp_path / "set", change=few)
    assert main([*TRAIN, f"dataset.root={root}", f"hydra.run.dir={tmp_path / 'run'}"]) == 0
    found = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert found["status"] == "completed"
    assert found["best"]["test"]["common_share"] > 0.9
    assert "warnings" not in found
