"""What a network that was trained on 20,000 demo genes has learned of the sites in them, by its explanations."""

import runpy
from pathlib import Path

import pytest

import genexp

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "planted_motifs.py"
NETWORK = [
    "model=xpresso", "data=P", "dataset.genes=20000", "baseline=false", "model.filters=[64,64]", "model.kernels=[11,5]",
    "model.pools=[10,2]", "model.dense=[64,32]", "model.dropout=[0.5,0.3]",
]  # fmt: skip
TRAINING = [
    "training.optimizer=adamw", "training.learning_rate=2e-3", "training.weight_decay=0.1", "training.schedule=cosine",
    "training.milestone=null", "training.batch_size=64", "training.epochs=8", "training.ema=0.995",
]  # fmt: skip


def test_explanations_show_the_sites_that_were_learned(tmp_path):
    """The bounds are what was measured, with a margin: most sites are too weak to be learned from so few genes."""
    run = genexp.train(*NETWORK, *TRAINING, f"hydra.run.dir={tmp_path}/run")
    figures = runpy.run_path(str(SCRIPT))["recovery"](run)["integrated_gradients"]
    assert figures["NRF1"] >= 0.5
    assert figures["sites"] >= 3 * figures["share of sites"]
    assert figures["correlation"] >= 0.25
