"""Datasets of sequences without a transcription start site: written, read, windowed and evaluated."""

import h5py
import numpy as np
import pytest

from genexp.api.evaluation import same_window
from genexp.config.conf import CONF_DIR
from genexp.config.conf import load as load_conf
from genexp.dataset.config import DataConfig, DatasetConfig
from genexp.dataset.description import DatasetDescription
from genexp.dataset.genes import SPLITS, Dataset, Split
from genexp.dataset.sources import choose_window, inspect
from genexp.dataset.writer import write_dataset
from genexp.errors import UserError
from genexp.models import config_class, names, pools_within

FILES = load_conf(CONF_DIR / "dataset" / "files.yaml")


def written(folder, tss=None, length=60):
    rng = np.random.default_rng(0)
    parts = {}
    for name in SPLITS:
        genes = np.array([f"{name}{n}" for n in range(4)])
        bases = rng.integers(0, 4, (4, length)).astype(np.uint8)
        parts[name] = Split(genes, rng.normal(size=(4, 1)).astype(np.float32), {"P": bases})
    promoter = {"promoter": "bases", "promoter_length": length, "tss": tss}
    description = DatasetDescription(source="x", layout="genexp", genes=dict.fromkeys(SPLITS, 4), **promoter)
    folder.mkdir()
    write_dataset(folder, Dataset(description, parts), source="test")
    return folder


def inspected(folder, **settings):
    return inspect(DatasetConfig(**FILES | {"root": str(folder)} | settings), "P").description


def test_no_tss_is_written_and_read(tmp_path):
    written(tmp_path / "d")
    with h5py.File(tmp_path / "d" / "train.h5") as file:
        assert file.attrs["tss"] == "none"
    assert inspected(tmp_path / "d").tss is None
    assert "promoter 60 nt (no TSS)" in str(inspected(tmp_path / "d"))
    assert inspected(tmp_path / "d", tss=50).tss == 50


def test_files_that_say_nothing_have_the_tss_in_the_middle(tmp_path):
    written(tmp_path / "d", tss=7)
    for name in SPLITS:
        with h5py.File(tmp_path / "d" / f"{name}.h5", "a") as file:
            del file.attrs["tss"]
    assert inspected(tmp_path / "d").tss == 30


@pytest.mark.parametrize("value", ["nowhere", [1, 2], -3])
def test_a_damaged_tss_is_a_user_error(tmp_path, value):
    written(tmp_path / "d", tss=7)
    with h5py.File(tmp_path / "d" / "train.h5", "a") as file:
        file.attrs["tss"] = value
    with pytest.raises(UserError):
        inspected(tmp_path / "d")


def described(length, tss=None, window=None):
    return DatasetDescription(
        source="s", layout="genexp", genes={}, promoter="bases", promoter_length=length, tss=tss, window=window
    )


def test_a_model_sees_whole_sequences_and_that_is_said():
    window, note = choose_window(DataConfig(name="P", window=None), [-6500, 3500], 1, described(110))
    assert window == (0, 110)
    assert note == "the sequences have no TSS: the window is all of them, [0, 110)"
    window, note = choose_window(DataConfig(name="P", window=None), [-6500, 3500], 50, described(110))
    assert window == (10, 110)
    assert "[0, 110) is clipped to [10, 110): it is cut into parts of 50 nt" in note
    assert choose_window(DataConfig(name="P", window=None), None, 1, described(110)) == ((0, 110), None)
    assert choose_window(DataConfig(name="P", window=[5, 20]), None, 1, described(110)) == ((5, 20), None)


def test_sequences_are_evaluated_by_a_run_on_sequences_of_their_length():
    trained = described(110, window=(10, 110))
    assert same_window(trained, described(110)) == (10, 110)
    with pytest.raises(UserError, match=r"cannot be placed[\s\S]*110 nt without TSS[\s\S]*120 nt without TSS"):
        same_window(trained, described(120))
    with pytest.raises(UserError, match=r"110 nt without TSS[\s\S]*110 nt with the TSS at 55"):
        same_window(trained, described(110, tss=55))
    with pytest.raises(UserError, match=r"dataset\.tss=INDEX"):
        same_window(described(110, tss=50, window=(0, 100)), described(110))


@pytest.mark.parametrize("name", [name for name in names() if config_class(name).reads])
@pytest.mark.parametrize("length", [20, 41, 60, 110, 299])
def test_models_say_how_they_fit_short_sequences(name, length):
    """What the hint of a window that is too short says makes it long enough."""
    model = load_conf(CONF_DIR / "model" / f"{name}.yaml")["model"]
    config = config_class(name)(**model)
    if config.shortest() <= length or config.reads == "kmers":
        return
    hint = config.smaller(length)
    key, value = hint.strip("'").split("=")
    changed = [int(n) for n in value.strip("[]").split(",")] if "[" in value else int(value)
    smaller = config_class(name)(**model | {key.removeprefix("model."): changed})
    assert smaller.shortest() <= length


def test_pools_within_a_window():
    assert pools_within([30, 10], 110) == "'model.pools=[7,10]'"
    assert pools_within([4, 4, 4], 1) == "'model.pools=[1,1,1]'"
