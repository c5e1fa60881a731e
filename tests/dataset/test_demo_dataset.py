"""The simulated genes as a dataset."""

import numpy as np
import pytest

from genexp import blocks
from genexp.dataset.config import DemoConfig
from genexp.dataset.sources import inspect, load
from genexp.errors import UserError
from genexp.simulate.demo import MIN_GENES, WINDOW, simulate_demo
from genexp.simulate.genes import FEATURE_NAMES
from genexp.simulate.sequence import PROMOTER_LENGTH, TSS


def look(genes, seed=0, letters=""):
    # As it is without the limits of the config: those of the generator hold too.
    config = DemoConfig.model_construct(name="demo", genes=genes, seed=seed, drop_ambiguous=False)
    return inspect(config, letters)


def load_demo(genes, seed, letters, window):
    return load(look(genes, seed, letters), letters, window)


@pytest.mark.parametrize("genes", [MIN_GENES, 599, 10_001])
def test_splits_are_80_10_10(genes):
    sizes = look(genes).description.genes
    assert sum(sizes.values()) == genes
    assert list(sizes) == ["train", "valid", "test"]
    assert sizes["valid"] == sizes["test"] == genes // 10


def test_the_description_fits_what_is_loaded():
    dataset, info = load_demo(100, 3, "PHTM", None), look(100).description
    assert dataset.description == info.model_copy(update={"window": WINDOW})
    assert (info.blocks, info.promoter, info.promoter_length, info.tss) == ("PHTM", "bases", PROMOTER_LENGTH, TSS)
    assert dict(info.feature_names) == FEATURE_NAMES
    assert {letter: len(names) for letter, names in FEATURE_NAMES.items()} == info.widths == {"H": 8, "T": 32, "M": 48}
    assert {name: len(split) for name, split in dataset.splits.items()} == info.genes
    for split in dataset.splits.values():
        assert {letter: x.shape[1] for letter, x in split.blocks.items()} == {"P": WINDOW[1] - WINDOW[0], **info.widths}


def test_a_dataset_holds_the_simulated_arrays():
    dataset, simulated = load_demo(100, 3, "HP", (813, 1207)), simulate_demo(100, 3, "PH", (813, 1207))
    assert dataset.ceiling == simulated.ceilings
    for split, rows in zip(dataset.splits.values(), simulated.splits, strict=True):
        assert list(split.blocks) == ["P", "H"]
        np.testing.assert_array_equal(split.genes, simulated.names[rows])
        np.testing.assert_array_equal(split.labels[:, 0], simulated.labels[rows])
        for letter, array in split.blocks.items():
            np.testing.assert_array_equal(array, simulated.blocks[letter][rows])


@pytest.mark.parametrize(("letters", "window"), [("P", (813, 1207)), ("HT", None)])
def test_only_promoters_have_a_window(letters, window):
    assert load_demo(100, 3, letters, (813, 1207)).window == window


def test_the_seed_decides():
    first, again, other = (load_demo(100, seed, "PHTM", None) for seed in (1, 1, 2))
    assert first.window == WINDOW
    assert first.fingerprint() == again.fingerprint() != other.fingerprint()


@pytest.mark.parametrize(
    ("arguments", "where"),
    [
        ((MIN_GENES - 1, 0, "P", None), "dataset.genes"),
        ((100, 0, "PX", None), "no such block"),
        ((100, 0, "P", (-1, 100)), "data.window"),
    ],
)
def test_errors_name_the_key(arguments, where):
    with pytest.raises(UserError, match=where):
        load_demo(*arguments)


def test_a_block_that_is_not_simulated_changes_nothing(monkeypatch):
    before = load_demo(100, 3, "PHTM", None)
    extra = blocks.Block("Z", "extra", "extra numbers", ("extra",))
    monkeypatch.setattr(blocks, "BLOCKS", {"Z": extra, **blocks.BLOCKS})
    after = load_demo(100, 3, "PHTM", None)
    assert after.fingerprint() == before.fingerprint()
    assert after.ceiling == before.ceiling
    with pytest.raises(UserError, match="no such block"):
        load_demo(100, 3, "PZ", None)
