"""Permutation importance against a linear model computed in NumPy."""

import keras
import numpy as np
import pytest
from keras import layers, ops
from scipy import stats
from small_models import model_config

from genexp.explain.networks import Network
from genexp.explain.permutation import ALL, Head, importance

GENES, LENGTH, REPEATS = 60, 10, 4


@pytest.fixture(scope="module")
def genes():
    rng = np.random.default_rng(0)
    return rng.integers(0, 4, (GENES, LENGTH)).astype(np.uint8), rng.normal(size=(GENES, 3)).astype(np.float32)


def test_the_loss_is_that_of_a_linear_model(genes):
    tokens, halflife = genes
    inputs = {"promoter": keras.Input((LENGTH,), dtype="uint8", name="promoter")}
    inputs["halflife"] = keras.Input((3,), name="halflife")
    share = ops.mean(ops.one_hot(inputs["promoter"], 4)[..., 0], axis=1, keepdims=True)
    dense = layers.Dense(1)
    model = keras.Model(inputs, dense(layers.Concatenate()([share, inputs["halflife"]])))
    dense.kernel.assign([[5.0], [1.0], [0.0], [-0.5]])
    label = np.random.default_rng(1).normal(size=GENES) + halflife[:, 0]

    def predicted(tokens, halflife):
        return 5 * (tokens == 0).mean(axis=1) + halflife @ [1, 0, -0.5]

    def r2(values):
        return np.corrcoef(values, label)[0, 1] ** 2

    done = []
    head = Head(Network(model, model_config("xpresso")), tokens, ["H"])
    settings = {"promoter": True, "repeats": REPEATS, "seed": 3, "progress": done.append}
    found = importance([head], {"H": halflife}, {"H": ["a", "b", "c"]}, lambda p: r2(p[:, 0]), **settings)
    rng = np.random.default_rng(3)
    orders = [rng.permutation(GENES) for _ in range(REPEATS)]
    base = r2(predicted(tokens, halflife))
    expected = {("P", ALL): [base - r2(predicted(tokens[order], halflife)) for order in orders]}
    expected["H", ALL] = [base - r2(predicted(tokens, halflife[order])) for order in orders]
    for column, name in enumerate("abc"):
        shuffled = [halflife.copy() for _ in orders]
        for values, order in zip(shuffled, orders, strict=True):
            values[:, column] = halflife[order, column]
        expected["H", name] = [base - r2(predicted(tokens, values)) for values in shuffled]
    assert [(row.block, row.feature) for row in found] == list(expected)
    for row, losses in zip(found, expected.values(), strict=True):
        low, high = stats.t.interval(0.95, REPEATS - 1, np.mean(losses), stats.sem(losses) or 1e-12)
        np.testing.assert_allclose(row[2:], (np.mean(losses), low, high), atol=1e-5)
    assert done == [1, 2, 3, 4, 5]
