"""Training genes that change from epoch to epoch: shifts, strands and label noise follow from seed and epoch."""

import tracemalloc
from functools import partial

import numpy as np
import pytest

from genexp.dataset.batches import Augmentation, TrainingBatches
from genexp.dataset.genes import Split
from genexp.features.kmers import chunk_counts
from genexp.features.tokens import N_TOKEN, reverse_complement

GENES, WINDOW = 23, 12


@pytest.fixture
def split():
    random = np.random.default_rng(0)
    tokens = random.integers(0, 4, (GENES, WINDOW), dtype=np.uint8)
    labels = np.stack([np.arange(GENES), 10.0 * np.arange(GENES)], axis=1).astype(np.float32)
    labels[3, 1] = np.nan
    return Split(np.arange(GENES).astype(str), labels, {"P": tokens})


def epoch(split, augmentation, number=0, seed=0):
    """Return the promoters and labels of one epoch, in the order of the genes."""
    batches = TrainingBatches(split, 5, seed, shuffle=True, static=False, augmentation=augmentation)
    batches.epoch = number
    order = np.arange(GENES)
    np.random.default_rng((seed, number)).shuffle(order)
    inputs, labels = zip(*[(x["promoter"].numpy(), y.numpy()) for x, y in batches.dataset], strict=True)
    back = np.argsort(order)
    return np.concatenate(inputs)[back], np.concatenate(labels)[back]


def shifted(tokens, by):
    padded = np.pad(tokens, WINDOW, constant_values=N_TOKEN)
    return padded[WINDOW - by : 2 * WINDOW - by]


def test_promoters_move_by_at_most_so_many_bases_and_n_moves_in(split):
    seen, labels = epoch(split, Augmentation(shift=2))
    np.testing.assert_array_equal(labels, split.labels)
    found = set()
    for before, after in zip(split.blocks["P"], seen, strict=True):
        (by,) = [by for by in range(-2, 3) if (shifted(before, by) == after).all()]
        found.add(by)
    assert found == {-2, -1, 0, 1, 2}


def test_each_strand_is_drawn_and_kmers_are_counted_after_it(split):
    tokens = split.blocks["P"]
    seen, _ = epoch(split, Augmentation(reverse=True))
    other = (seen == reverse_complement(tokens)).all(axis=1)
    assert 0 < other.sum() < GENES
    np.testing.assert_array_equal(seen[~other], tokens[~other])
    counts, _ = epoch(split, Augmentation(shift=1, reverse=True, encode=partial(chunk_counts, k=2, chunk=4)))
    bases, _ = epoch(split, Augmentation(shift=1, reverse=True))
    np.testing.assert_array_equal(counts, chunk_counts(bases, 2, 4))


def test_noise_has_the_scale_of_each_label_and_missing_labels_stay_missing(split):
    _, labels = epoch(split, Augmentation(noise=0.5))
    drawn = Augmentation(noise=0.5).draws(split.labels, 0, 0)[0]
    np.testing.assert_array_equal(labels, split.labels + drawn)
    assert np.isnan(labels[3, 1])
    noise = np.stack([Augmentation(noise=0.5).draws(split.labels, 0, n)[0] for n in range(60)])
    np.testing.assert_allclose(noise.std(axis=(0, 1)), 0.5 * np.nanstd(split.labels, axis=0), rtol=0.1)


def test_without_noise_no_labels_are_made_and_shifts_and_strands_are_the_same():
    labels = np.random.default_rng(1).normal(size=(5000, 40)).astype(np.float32)
    every = Augmentation(noise=0.5, shift=3, reverse=True).draws(labels, 1, 2)
    tracemalloc.start()
    drawn = Augmentation(shift=3, reverse=True).draws(labels, 1, 2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    for array, expected in zip(drawn, every[1:], strict=True):
        np.testing.assert_array_equal(array, expected)
    assert peak < labels.size * 8 / 2


def test_the_draws_are_the_documented_ones(split):
    random = np.random.default_rng((3, 4, 1))
    noise = random.standard_normal(split.labels.shape) * 0.5 * np.nanstd(split.labels, axis=0)
    shifts = random.integers(-2, 2, GENES, np.int32, endpoint=True)
    expected = [noise.astype(np.float32), shifts, random.random(GENES) < 0.5]
    found = Augmentation(noise=0.5, shift=2, reverse=True).draws(split.labels, 3, 4)
    for array, drawn in zip(found, expected, strict=True):
        np.testing.assert_array_equal(array, drawn)


def test_all_of_it_follows_from_seed_and_epoch(split):
    every = Augmentation(noise=0.5, shift=3, reverse=True)
    first = epoch(split, every, 4, seed=1)
    for a, b in zip(first, epoch(split, every, 4, seed=1), strict=True):
        np.testing.assert_array_equal(a, b)
    for other in (epoch(split, every, 5, seed=1), epoch(split, every, 4, seed=2)):
        assert all((a != b).any() for a, b in zip(first, other, strict=True))
