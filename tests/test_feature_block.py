"""A feature block is one row of `genexp.blocks`: one added here is read, trained on, evaluated and exported."""

import json

import h5py
import numpy as np
import pytest
from conftest import QUICK, SPLIT_SIZES, write_xpresso_set

from genexp.blocks import BLOCKS, Block
from genexp.cli import main
from genexp.config.conf import groups

PEAKS = 6


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Xpresso's layout with a key more, real numbers that the labels follow from."""
    monkeypatch.setitem(BLOCKS, "Z", Block("Z", "extra", "extra numbers", ("extra", "peaks_z")))
    folder = write_xpresso_set(tmp_path / "set")
    rng = np.random.default_rng(0)
    for split, genes in SPLIT_SIZES.items():
        with h5py.File(folder / f"{split}.h5", "r+") as file:
            values = rng.normal(size=(genes, PEAKS))
            file["PEAKS_Z"] = values
            label = values[:, 0] + 0.1 * rng.normal(size=genes)
            file["label"][:] = (label - label.mean()) / label.std()
    return folder


def test_a_new_block_is_one_row(root, tmp_path, capsys):
    assert "PHZ" in groups("train")["data"]
    run = tmp_path / "run"
    quick = [word for word in QUICK if not word.startswith("training")]
    words = ["training.epochs=30", "training.batch_size=16", "training.learning_rate=3e-3", "training.optimizer=adam"]
    where = [f"dataset.root={root}", f"hydra.run.dir={run}"]
    assert main(["train", "data=PZ", "model=xpresso", "model.dense=[32,8]", *where, *quick, *words]) == 0
    assert "Z(6)" in capsys.readouterr().out
    assert json.loads((run / "environment.json").read_text())["dataset"]["widths"]["Z"] == PEAKS
    found = json.loads((run / "metrics.json").read_text())["best"]["test"]
    assert found["r2"] > 0.4, "the labels follow from the block"
    assert main(["evaluate", f"run_dir={run}", f"out={tmp_path / 'out'}", "split=test", "hardware=cpu"]) == 0
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["best"]["test"] == found
    assert main(["export", f"run_dir={run}", f"out={tmp_path / 'model.keras'}"]) == 0


@pytest.mark.parametrize("model", ["fc_net", "transformer"])
def test_other_models_read_it_too(root, tmp_path, model):
    data = "HZ" if model == "fc_net" else "PHZ"
    words = ["training.epochs=1", "hardware=cpu", f"dataset.root={root}", f"hydra.run.dir={tmp_path / 'run'}"]
    extra = ["model.embedding=random", "data.window=[0,400]"] if model == "transformer" else []
    assert main(["train", f"model={model}", f"data={data}", *words, *extra]) == 0
