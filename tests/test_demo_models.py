"""The models on the demo genes, against what any model could reach there."""

import json

import pytest

from genexp.cli import main

#: Share of the noise ceiling that a default run reaches at least.
SHARE = 0.8


def share_of_ceiling(tmp_path, *words):
    assert main(["train", "hardware=cpu", f"hydra.run.dir={tmp_path / 'run'}", *words]) == 0
    found = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert found["status"] == "completed"
    return found["best"]["test"]["r2"] / found["noise_ceiling_r2"]


def test_fc_net_reaches_what_transcription_factors_tell(tmp_path):
    assert share_of_ceiling(tmp_path, "model=fc_net", "data=T", "training.epochs=12") > SHARE


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_the_default_run_over_ten_seeds(tmp_path, seed):
    assert share_of_ceiling(tmp_path, f"seed={seed}") > SHARE


@pytest.mark.slow
@pytest.mark.parametrize("dataset_seed", range(1, 4))
def test_the_default_run_on_other_genes(tmp_path, dataset_seed):
    assert share_of_ceiling(tmp_path, f"dataset.seed={dataset_seed}") > SHARE


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "data"),
    [
        ("divide_et_impera", "PH"),
        ("transformer", "PH"),
        ("biolstm", "PHT"),
        ("transformer", "PHTM"),
        ("xpresso", "PHM"),
        ("fc_net", "HTM"),
        ("kmer_net", "PH"),
    ],
)
def test_other_models_and_blocks(tmp_path, model, data):
    assert share_of_ceiling(tmp_path, f"model={model}", f"data={data}") > SHARE
