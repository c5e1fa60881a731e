"""Batches: every gene once an epoch, an order that follows from seed and epoch, static shapes."""

import numpy as np
import pytest

from genexp.dataset.batches import TrainingBatches, inference_batches
from genexp.dataset.genes import Split
from genexp.memory import allocate


def split(n=23):
    rng = np.random.default_rng(0)
    blocks = {
        "P": rng.integers(0, 5, (n, 12), dtype=np.uint8),
        "H": rng.normal(size=(n, 3)).astype(np.float32),
        "T": rng.integers(0, 2, (n, 4), dtype=np.uint8),
    }
    return Split(np.array([f"g{i}" for i in range(n)]), np.arange(n, dtype=np.float32)[:, None], blocks)


def labels_of(dataset):
    return [y.numpy()[:, 0].astype(int).tolist() for _, y in dataset]


def flat(batches):
    return [gene for batch in batches for gene in batch]


def test_an_epoch_holds_every_gene_once():
    batches = TrainingBatches(split(), 5, 0, shuffle=True, static=False)
    seen = labels_of(batches.dataset)
    assert [len(b) for b in seen] == [5, 5, 5, 5, 3]
    assert batches.steps == 5
    assert sorted(flat(seen)) == list(range(23))
    assert flat(seen) != list(range(23))


def test_order_follows_from_seed_and_epoch_alone():
    def order(seed, epoch):
        batches = TrainingBatches(split(), 5, seed, shuffle=True, static=False)
        batches.epoch = epoch
        return flat(labels_of(batches.dataset))

    assert order(0, 3) == order(0, 3)
    assert order(0, 3) != order(0, 4)
    assert order(0, 3) != order(1, 3)


def test_the_same_dataset_object_gives_the_epoch_that_is_set():
    batches = TrainingBatches(split(), 5, 0, shuffle=True, static=False)
    first = labels_of(batches.dataset)
    batches.epoch = 1
    assert labels_of(batches.dataset) != first
    batches.epoch = 0
    assert labels_of(batches.dataset) == first


def test_without_shuffling_the_order_is_that_of_the_file():
    assert flat(labels_of(TrainingBatches(split(), 5, 0, shuffle=False, static=False).dataset)) == list(range(23))


def test_static_batches_have_one_size_and_pass_over_other_genes_each_epoch():
    batches = TrainingBatches(split(), 5, 0, shuffle=True, static=True)
    left = set()
    for epoch in range(20):
        batches.epoch = epoch
        seen = labels_of(batches.dataset)
        assert [len(b) for b in seen] == [5] * 4
        left |= set(range(23)) - set(flat(seen))
    assert len(left) > 15
    assert batches.dataset.element_spec[1].shape == (5, 1)


def test_static_batches_without_shuffling_go_on_with_the_genes_that_were_left():
    batches = TrainingBatches(split(), 5, 0, shuffle=False, static=True)
    seen = []
    for epoch in range(23):
        batches.epoch = epoch
        seen += flat(labels_of(batches.dataset))
    assert seen == list(range(23)) * 20


def test_a_batch_is_never_larger_than_the_split():
    batches = TrainingBatches(split(3), 256, 0, shuffle=True, static=True)
    assert [len(b) for b in labels_of(batches.dataset)] == [3]


@pytest.mark.parametrize("n", [1, 5, 23, 25])
def test_inference_keeps_the_order_and_fills_the_last_batch_up(n):
    seen = labels_of(inference_batches(split(n), 5))
    assert all(len(b) == 5 for b in seen)
    assert flat(seen)[:n] == list(range(n))


def test_bases_stay_bytes_and_features_become_floats():
    genes = split()
    inputs, _ = next(iter(inference_batches(genes, 5)))
    assert list(inputs) == ["promoter", "halflife", "tf"]
    assert inputs["promoter"].dtype.name == "uint8"
    assert inputs["halflife"].dtype.name == inputs["tf"].dtype.name == "float32"
    np.testing.assert_array_equal(inputs["promoter"], genes.blocks["P"][:5])
    np.testing.assert_array_equal(inputs["tf"], genes.blocks["T"][:5])


def test_arrays_are_not_copied_where_their_memory_is_aligned():
    tokens = allocate((23, 12), np.uint8)
    tokens[:] = 0
    genes = split()
    dataset = inference_batches(Split(genes.genes, genes.labels, {"P": tokens}), 5)
    tokens[0, 3] = 4
    inputs, _ = next(iter(dataset))
    assert inputs["promoter"][0, 3] == 4


@pytest.mark.parametrize("start", [1, 7, 16])
def test_arrays_anywhere_in_memory_give_the_same_batches(start):
    genes = split()
    moved = np.empty(start + genes.blocks["P"].size, np.uint8)[start:].reshape(genes.blocks["P"].shape)
    moved[:] = genes.blocks["P"]
    moved.flags.writeable = False
    inputs, _ = next(iter(inference_batches(Split(genes.genes, genes.labels, {"P": moved}), 5)))
    np.testing.assert_array_equal(inputs["promoter"], genes.blocks["P"][:5])


def test_streamed_genes_come_in_the_same_order_with_the_same_values():
    genes = split()
    tokens = allocate(genes.blocks["P"].shape, np.uint8, on_disk=True)
    tokens[:] = genes.blocks["P"]
    streamed = Split(genes.genes, genes.labels, {**genes.blocks, "P": tokens})
    for epoch in range(2):
        pairs = []
        for each in (genes, streamed):
            batches = TrainingBatches(each, 5, 3, shuffle=True, static=False)
            batches.epoch = epoch
            pairs.append([(x["promoter"].numpy(), y.numpy()) for x, y in batches.dataset])
        for (x, y), (streamed_x, streamed_y) in zip(*pairs, strict=True):
            np.testing.assert_array_equal(x, streamed_x)
            np.testing.assert_array_equal(y, streamed_y)


def test_the_order_is_the_documented_one():
    batches = TrainingBatches(split(), 5, 2, shuffle=True, static=False)
    batches.epoch = 7
    expected = np.arange(23, dtype=np.int32)
    np.random.default_rng((2, 7)).shuffle(expected)
    assert flat(labels_of(batches.dataset)) == expected.tolist()


@pytest.mark.parametrize("kind", ["training", "inference"])
def test_no_epoch_waits_for_the_thread_of_autotuning(kind):
    training = TrainingBatches(split(), 5, 0, shuffle=True, static=False).dataset
    dataset = training if kind == "training" else inference_batches(split(), 5)
    assert dataset.options().autotune.enabled is False
