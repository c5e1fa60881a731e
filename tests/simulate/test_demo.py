"""The simulated genes: their distribution, and their exact noise ceiling."""

from __future__ import annotations

import re
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genexp.blocks import HALFLIFE_FEATURES
from genexp.errors import UserError
from genexp.features.tokens import text_from_tokens
from genexp.simulate import genes as demo_genes
from genexp.simulate.demo import MIN_GENES, WINDOW, simulate_demo, split_rows
from genexp.simulate.genes import FACTORS, FEATURE_NAMES, expectations, raw_halflife, simulate
from genexp.simulate.sequence import (
    CORE,
    CORE_MOTIFS,
    FACTOR_MOTIFS,
    ISLAND_CPG,
    MAX_CPG,
    MOTIFS,
    PROMOTER_LENGTH,
    TSS,
    draw_promoters,
    scan,
)

COMBINATIONS = ["".join(c) for n in range(1, 5) for c in combinations("PHTM", n)]


@pytest.fixture(scope="module")
def everything():
    return simulate_demo(600, 3, "PHTM", (0, PROMOTER_LENGTH))


@pytest.fixture(scope="module")
def genes():
    return simulate(16_000, np.random.default_rng(5))


@pytest.fixture(scope="module")
def means(genes):
    return expectations(genes)


@pytest.fixture(scope="module")
def promoters():
    genes = simulate(1_000, np.random.default_rng(8))
    return genes, draw_promoters(genes.signals, np.random.default_rng(9))


# -- contract -------------------------------------------------------------------------------------------------------


@given(st.integers(MIN_GENES, 10**7))
def test_splits_are_80_10_10(genes):
    rows = split_rows(genes)
    assert rows[0].start == 0
    assert [left.stop for left in rows[:2]] == [right.start for right in rows[1:]]
    assert rows[2].stop == genes
    assert [part.stop - part.start for part in rows[1:]] == [genes // 10] * 2


def test_names_of_features_are_unique_and_one_per_column(everything):
    for letter, names in FEATURE_NAMES.items():
        assert len(set(names)) == len(names) == everything.blocks[letter].shape[1]


def test_shapes_and_types(everything):
    widths = {"P": (PROMOTER_LENGTH, np.uint8), "H": (8, np.float32), "T": (32, np.uint8), "M": (48, np.uint8)}
    assert everything.labels.dtype == np.float32
    assert everything.labels.shape == (600,)
    assert list(everything.blocks) == list("PHTM")
    for block, (width, dtype) in widths.items():
        assert everything.blocks[block].shape == (600, width)
        assert everything.blocks[block].dtype == dtype
    assert everything.blocks["P"].max() == 3
    assert set(np.unique(everything.blocks["T"])) == set(np.unique(everything.blocks["M"])) == {0, 1}


def test_genes_are_unique(everything):
    assert len(set(everything.names)) == 600
    assert len(np.unique(everything.blocks["P"], axis=0)) == 600


@pytest.mark.parametrize("blocks", COMBINATIONS)
def test_genes_do_not_depend_on_blocks_or_window(everything, blocks):
    window = (813, 1207)
    part = simulate_demo(600, 3, blocks, window)
    assert part.ceilings == everything.ceilings
    assert part.splits == everything.splits
    assert list(part.blocks) == list(blocks)
    np.testing.assert_array_equal(part.names, everything.names)
    np.testing.assert_array_equal(part.labels, everything.labels)
    for block, array in part.blocks.items():
        whole = everything.blocks[block]
        np.testing.assert_array_equal(array, whole[:, slice(*window)] if block == "P" else whole)


def test_blocks_that_are_not_simulated_are_left_out():
    assert list(simulate_demo(MIN_GENES, 0, "HA").blocks) == ["H"]


def test_labels_and_features_are_standardised_on_the_training_genes(everything):
    train = everything.splits[0]
    for values in (everything.labels[train], everything.blocks["H"][train]):
        np.testing.assert_allclose(values.mean(axis=0), 0, atol=1e-5)
        np.testing.assert_allclose(values.std(axis=0), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "where"),
    [
        ((MIN_GENES - 1, 0, "P"), "dataset.genes"),
        ((100, 0, "P", (-1, 100)), "data.window"),
        ((100, 0, "P", (100, 100)), "data.window"),
        ((100, 0, "P", (0, PROMOTER_LENGTH + 1)), "data.window"),
    ],
)
def test_errors_name_the_key(arguments, where):
    with pytest.raises(UserError, match=where):
        simulate_demo(*arguments)


# -- promoters ------------------------------------------------------------------------------------------------------


@settings(max_examples=8, deadline=None)
@given(st.integers(1, 12), st.integers(0, 2**32))
def test_the_signals_can_be_read_from_the_bases(n, seed):
    rng = np.random.default_rng(seed)
    signals = simulate(n, rng).signals
    found = scan(draw_promoters(signals, rng))
    np.testing.assert_array_equal(found.cpg, signals.cpg)
    np.testing.assert_array_equal(found.sites, signals.sites)
    np.testing.assert_array_equal(found.offsets, signals.offsets)


def composition(tokens):
    """Return GC content, and CpG observed over expected."""
    c, g = (tokens == 1).mean(), (tokens == 2).mean()
    return c + g, ((tokens[:, :-1] == 1) & (tokens[:, 1:] == 2)).mean() / (c * g)


def test_composition_of_the_two_classes(promoters):
    genes, tokens = promoters
    island = genes.signals.cpg >= ISLAND_CPG
    assert 0.62 < island.mean() < 0.72
    core = tokens[:, TSS + CORE[0] : TSS + CORE[1]]
    gc, cpg = composition(core[island])
    assert 0.62 < gc < 0.68
    assert 0.65 < cpg < 0.9
    gc, cpg = composition(core[~island])
    assert 0.39 < gc < 0.45
    assert 0.15 < cpg < 0.3
    assert composition(tokens[island][:, :200])[1] < 0.5  # islands end


def test_islands_differ_in_strength_and_reach(promoters):
    genes, tokens = promoters
    strong = genes.signals.cpg > 55
    weak = (genes.signals.cpg >= ISLAND_CPG) & (genes.signals.cpg < 30)
    flank = slice(TSS + 350, TSS + 600)
    assert composition(tokens[strong])[0] > composition(tokens[weak])[0] + 0.08
    assert composition(tokens[strong][:, flank])[1] > composition(tokens[weak][:, flank])[1] + 0.2


def test_background_has_the_dinucleotides_of_its_tables():
    signals = simulate(400, np.random.default_rng(0)).signals
    signals = signals._replace(
        cpg=np.zeros_like(signals.cpg), sites=np.zeros_like(signals.sites), offsets=0 * signals.offsets
    )
    tokens = draw_promoters(signals, np.random.default_rng(1))[:, :600]
    pairs = np.bincount((4 * tokens[:, :-1] + tokens[:, 1:]).ravel(), minlength=16).reshape(4, 4)
    ratio = pairs / pairs.sum() / np.outer(pairs.sum(1), pairs.sum(0)) * pairs.sum() ** 2
    assert ratio[1, 2] == 0  # no CpG
    assert ratio[1, 0] > 1.1  # CpA and TpG, products of CpG decay, are frequent
    assert ratio[3, 2] > 1.1
    assert ratio[3, 0] < 0.8  # TpA is rare


IUPAC = {"R": "[AG]", "Y": "[CT]", "S": "[CG]", "W": "[AT]", "M": "[AC]", "B": "[CGT]", "V": "[ACG]", "N": "."}


@pytest.mark.parametrize("m", range(len(MOTIFS)), ids=[motif.name for motif in MOTIFS])
def test_sites_lie_in_their_band_with_their_rates(promoters, m):
    genes, tokens = promoters
    motif = MOTIFS[m]
    pattern = re.compile("".join(IUPAC.get(letter, letter) for letter in motif.consensus))
    left, right = TSS + motif.band[0], TSS + motif.band[1] + len(motif.consensus) - 1
    found = np.array([bool(pattern.search(text_from_tokens(row))) for row in tokens[:, left:right]])
    if motif.both_strands:
        found |= [bool(pattern.search(text_from_tokens(3 - row[::-1]))) for row in tokens[:, left:right]]
    np.testing.assert_array_equal(found, genes.signals.sites[:, m])
    island = genes.signals.cpg >= ISLAND_CPG
    for rate, rows in zip(motif.rate, (~island, island), strict=True):
        assert abs(found[rows].mean() - rate) < 4 * np.sqrt(rate * (1 - rate) / rows.sum())


def test_the_recommended_window_shows_every_signal():
    ends = [(m.band[0], m.band[1] + len(m.consensus) - 1) for m in MOTIFS]
    assert TSS + min(CORE[0], *(left for left, _ in ends)) >= WINDOW[0]
    assert TSS + max(CORE[1], *(right for _, right in ends)) <= WINDOW[1]
    assert (WINDOW[1] - WINDOW[0]) % 50 == 0


# -- the other blocks -----------------------------------------------------------------------------------------------


def test_factors_bind_their_sites_and_elsewhere(genes):
    island = genes.signals.cpg >= ISLAND_CPG
    for m, motif in enumerate(FACTOR_MOTIFS, start=len(CORE_MOTIFS)):
        bound = genes.tf[:, list(FACTORS).index(motif.name)]
        site = genes.signals.sites[:, m]
        assert bound[site].all()
        assert 0.02 < bound[~site].mean() < 0.8
    rate = genes.tf[island].mean(axis=0) - genes.tf[~island].mean(axis=0)
    assert rate.max() > 0.5  # some prefer islands
    assert rate.min() < -0.1  # and some avoid them


def test_mirnas_are_sparse_uneven_and_lower_expression(genes):
    rate = genes.mirna.mean(axis=0)
    assert genes.mirna.sum(axis=1).mean() < 5
    assert rate.max() > 8 * rate.min() > 0
    target = genes.mirna - rate
    effect = np.linalg.lstsq(target, genes.label - genes.label.mean(), rcond=None)[0]
    assert (effect < 0).mean() > 0.95
    assert effect.mean() < -0.04


def test_halflife_features_look_as_measured(genes):
    raw = dict(zip(HALFLIFE_FEATURES, raw_halflife(genes.features).T, strict=True))
    medians = {"UTR5LEN": 140, "CDSLEN": 1200, "INTRONLEN": 14_000, "UTR3LEN": 800, "ORFEXONDENSITY": 7}
    for name, median in medians.items():
        assert 0.8 < np.median(raw[name]) / median < 1.25
        assert raw[name].min() > 0
        assert np.mean(raw[name]) > 1.15 * np.median(raw[name])  # long tail
    for name in ("UTR5GC", "CDSGC", "UTR3GC"):
        assert 0.4 < raw[name].mean() < 0.65
        assert 0 < raw[name].min() < raw[name].max() < 1
    correlation = np.corrcoef(genes.features.T)
    assert correlation[HALFLIFE_FEATURES.index("CDSGC"), HALFLIFE_FEATURES.index("UTR3GC")] > 0.5
    of_island = [np.corrcoef(column, genes.signals.cpg)[0, 1] for column in genes.features.T]
    assert np.argmax(of_island) == HALFLIFE_FEATURES.index("UTR5GC")


def test_expression_is_positive(genes):
    assert genes.expression.min() > 0.01  # far from the floor
    assert 5 < np.median(genes.expression) < 30


# -- ceiling --------------------------------------------------------------------------------------------------------


def test_ceilings_are_those_of_the_literature(genes, means):
    ceiling = {name: np.corrcoef(mean, genes.label)[0, 1] ** 2 for name, mean in means.items()}
    assert sorted(ceiling) == sorted(COMBINATIONS)
    reported = {"P": 0.55, "PH": 0.62, "PHM": 0.67, "T": 0.69, "PHT": 0.80, "PHTM": 0.85}
    assert {name: ceiling[name] for name in reported} == pytest.approx(reported, abs=0.02)
    assert ceiling["P"] < ceiling["PH"] < ceiling["PHM"] < ceiling["T"] < ceiling["PHT"] < ceiling["PHTM"]
    for small, large in combinations(COMBINATIONS, 2):
        if set(small) < set(large):
            assert ceiling[small] < ceiling[large] + 0.002


def test_ceiling_is_measured_on_the_test_genes(everything):
    assert sorted(everything.ceilings) == sorted(COMBINATIONS)
    assert all(0 <= r2 < 1 for r2 in everything.ceilings.values())
    labels = everything.labels[everything.splits[2]]
    simulated = simulate(600, np.random.default_rng(np.random.SeedSequence(3).spawn(1)[0])).take(slice(540, 600))
    for name, mean in expectations(simulated).items():
        assert np.corrcoef(mean, labels)[0, 1] ** 2 == pytest.approx(everything.ceilings[name], abs=1e-4)


def test_ceiling_of_the_promoter_can_be_read_from_its_bases(promoters):
    genes, tokens = promoters
    known, read = expectations(genes), expectations(genes._replace(signals=scan(tokens)))
    np.testing.assert_allclose(read["P"], known["P"], atol=1e-12)


@pytest.fixture(scope="module")
def evidence(genes):
    """Return (n, columns) regressors that a model could derive from the blocks, the blocks that each column needs, and
    the Gram matrices of both halves of the genes."""
    k = genes.signals.cpg
    parts = {
        "P": [np.eye(MAX_CPG + 1)[k], genes.signals.sites, genes.signals.sites * k[:, None], genes.signals.offsets],
        "H": [genes.features, genes.features**2],
        "T": [genes.tf, genes.tf * genes.tf.sum(axis=1, keepdims=True)],
        "M": [genes.mirna],
    }
    first = {block: columns[-1 if block == "M" else 0][:, :32] for block, columns in parts.items()}
    columns = [("", np.ones((len(k), 1)))]
    columns += [(block, part) for block in parts for part in parts[block]]
    columns += [(a + b, first[a] * first[b].sum(axis=1, keepdims=True)) for a, b in combinations(parts, 2)]
    needs = [set(blocks) for blocks, part in columns for _ in range(part.shape[1])]
    x = np.concatenate([part for _, part in columns], axis=1).astype(float)
    return x, needs, [half.T @ half for half in np.split(x, 2)]


def least_squares(gram, moments):
    """Solve the normal equations; the small ridge is for columns that depend on each other."""
    return np.linalg.solve(gram + 1e-6 * np.eye(len(gram)), moments)


@pytest.mark.parametrize("blocks", COMBINATIONS)
def test_no_regression_beats_the_ceiling_and_one_comes_close(genes, means, evidence, blocks):
    whole, needs, grams = evidence
    columns = np.flatnonzero([need <= set(blocks) for need in needs])
    x = whole[:, columns]
    train, test = (gram[np.ix_(columns, columns)] for gram in grams)
    residual = (genes.label - demo_genes._OFFSET) / demo_genes._SCALE - means[blocks]
    residual -= residual.mean()
    fitted = x @ least_squares(train + test, x.T @ residual)
    explained = 1 - np.var(residual - fitted) / np.var(residual)
    # If nothing is left to explain, n times this is chi-squared with as many degrees of freedom as x has columns.
    assert len(x) * explained < x.shape[1] + 4.5 * np.sqrt(2 * x.shape[1])

    half = len(x) // 2
    predicted = x[half:] @ least_squares(train, x[:half].T @ genes.label[:half])
    reached, ceiling = (np.corrcoef(mean, genes.label[half:])[0, 1] ** 2 for mean in (predicted, means[blocks][half:]))
    assert 0.95 * ceiling - 0.005 < reached < ceiling + 0.002


def test_expectations_are_unbiased_at_every_level(genes, means):
    total = (genes.label - demo_genes._OFFSET) / demo_genes._SCALE
    for mean in means.values():
        residual = (total - mean)[np.argsort(mean)].reshape(20, -1)
        residual -= residual.mean()
        z = residual.mean(axis=1) / (residual.std() / np.sqrt(residual.shape[1]))
        assert np.abs(z).max() < 5
