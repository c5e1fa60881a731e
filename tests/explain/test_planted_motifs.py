"""Sites that the simulator planted, found by the explanations of a network that detects them by construction."""

import keras
import numpy as np
import pytest
from keras import layers, ops
from sklearn.metrics import average_precision_score
from small_models import model_config

from genexp.explain import config
from genexp.explain.genes import PER_BASE, Explainer
from genexp.explain.request import Request
from genexp.simulate.demo import simulate_demo
from genexp.simulate.sequence import MOTIFS, TSS

#: NRF1: YGCGCAYGCGCR, whose bases the simulator draws at random where the consensus leaves a choice.
(NUMBER,) = (number for number, motif in enumerate(MOTIFS) if motif.name == "NRF1")
ALLOWED = {"Y": "CT", "R": "AG"}
FILTER = np.array([[base in ALLOWED.get(letter, letter) for base in "ACGT"] for letter in MOTIFS[NUMBER].consensus])
LEFT, RIGHT = TSS - 150, TSS + 40


@pytest.fixture(scope="module")
def genes():
    """Promoters around the TSS, and where their sites are."""
    tokens = simulate_demo(100, 0, "P", (LEFT, RIGHT)).blocks["P"]
    matches = np.lib.stride_tricks.sliding_window_view(tokens, len(FILTER), axis=1)
    starts = FILTER[np.arange(len(FILTER)), matches].all(axis=-1)
    site = np.zeros(tokens.shape, bool)
    for row, start in zip(*np.nonzero(starts), strict=True):
        site[row, start : start + len(FILTER)] = True
    rows = np.flatnonzero(site.any(axis=1))[:8]
    return tokens[rows], site[rows]


def test_the_methods_for_bases_are_those_of_the_table():
    assert tuple(PER_BASE) == config.PER_BASE


@pytest.mark.parametrize("method", PER_BASE)
def test_planted_sites_are_found_with_their_effects(genes, method):
    tokens, site = genes
    inputs = {"promoter": keras.Input((RIGHT - LEFT,), dtype="uint8", name="promoter")}
    detector = layers.Conv1D(1, len(FILTER), padding="same", activation="relu")
    found = layers.GlobalMaxPooling1D()(detector(ops.one_hot(inputs["promoter"], 4)))
    model = keras.Model(inputs, found * 2.0)
    detector.kernel.assign(FILTER[..., None].astype(np.float32))
    detector.bias.assign([0.5 - len(FILTER)])  # 1/2 for a site, 0 for all else
    request = Request(0, RIGHT - LEFT, (0, RIGHT - LEFT), 50, [], np.zeros(0, int))
    explainer = Explainer(model, model_config("xpresso"), slice(0, RIGHT - LEFT), request)
    values = []
    for row in tokens:
        assert explainer.predict(row, {}) == pytest.approx(1)
        values.append(explainer.contributions(method)[0])
    own = np.take_along_axis(np.stack(values), tokens[..., None].astype(int), axis=-1)[..., 0]
    assert average_precision_score(site.ravel(), np.abs(own).ravel()) >= 0.9
    if method == "mutagenesis":  # each of a site's bases is worth all of the effect, as far as others are not allowed
        once = site.sum(axis=1) == len(FILTER)
        fixed = np.tile(FILTER.sum(axis=1) == 1, once.sum())
        np.testing.assert_allclose(own[once][site[once]][fixed], 0.75, atol=1e-5)
