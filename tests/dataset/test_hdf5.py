from dataclasses import replace
from threading import Lock

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genexp.dataset import hdf5
from genexp.dataset.hdf5 import StoredArray, open_array, read_tiles
from genexp.errors import UserError


@st.composite
def stored_arrays(draw):
    """Return an array, the options to store it with, and the columns to read."""
    shape = draw(st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 5)))[: draw(st.integers(2, 3))]
    dtype = draw(st.sampled_from(["?", "u1", "<f4", ">f8", "<i2"]))
    values = np.random.default_rng(draw(st.integers(0, 9))).integers(0, 2, shape).astype(dtype)
    options = {}
    if draw(st.booleans()):
        options["chunks"] = tuple(draw(st.integers(1, side)) for side in shape)
        options["compression"] = draw(st.sampled_from([None, "gzip", "lzf"]))
        options["shuffle"] = draw(st.booleans())
        options["fletcher32"] = draw(st.booleans())
    left = draw(st.integers(0, shape[1] - 1))
    return values, options, slice(left, draw(st.integers(left + 1, shape[1])))


def read(dataset, columns, progress=None):
    """Read columns with read_tiles and count how often each element was stored."""
    shape = (dataset.shape[0], columns.stop - columns.start, *dataset.shape[2:])
    values, count, lock = np.zeros(shape, dataset.dtype), np.zeros(shape, int), Lock()

    def store(rows, part, tile):
        with lock:
            values[rows, part] = tile
            count[rows, part] += 1

    read_tiles(dataset, columns, store, progress)
    return values, count


@given(stored_arrays(), st.sampled_from([1, 50, 1 << 20]), st.sampled_from([0, 1 << 20]))
def test_every_element_is_read_once_however_it_is_stored(tmp_path_factory, stored, tile_bytes, smallest):
    values, options, columns = stored
    with pytest.MonkeyPatch.context() as patch, h5py.File(tmp_path_factory.mktemp("h5") / "x.h5", "w") as file:
        patch.setattr(hdf5, "TILE_BYTES", tile_bytes)
        patch.setattr(hdf5, "SMALLEST_PARALLEL_CHUNK", smallest)
        patch.setattr(hdf5, "PARALLEL_BYTES", tile_bytes)
        dataset = file.create_dataset("x", data=values, **options)
        steps = []
        read_values, count = read(dataset, columns, steps.append)
    np.testing.assert_array_equal(read_values, values[:, columns])
    assert (count == 1).all()
    assert steps == sorted(steps)
    assert steps[-1] == len(values)


@pytest.fixture
def compressed(tmp_path, monkeypatch):
    """Make a file with a compressed array of 4 x 3 chunks, read in parallel."""
    monkeypatch.setattr(hdf5, "SMALLEST_PARALLEL_CHUNK", 0)
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        values = np.random.default_rng(0).normal(size=(40, 30))
        file.create_dataset("x", data=values, chunks=(10, 10), compression="gzip")
    return StoredArray(path, "x", (40, 30), "f"), values


def test_chunks_that_were_never_written_hold_the_fill_value(compressed):
    location, _ = compressed
    with h5py.File(location.path, "a") as file:
        dataset = file.create_dataset("y", (40, 30), "f4", chunks=(10, 10), compression="gzip", fillvalue=7)
        dataset[:10] = 1
    with open_array(replace(location, key="y")) as array:
        values, _ = read(array, slice(0, 30))
    assert (values[:10] == 1).all()
    assert (values[10:] == 7).all()


def test_a_chunk_that_was_left_uncompressed_is_read(compressed):
    location, values = compressed
    with h5py.File(location.path, "a") as file:
        file["x"].id.write_direct_chunk((10, 20), np.full((10, 10), 5.0).tobytes(), filter_mask=1)
    with open_array(location) as array:
        found, _ = read(array, slice(5, 30))
    values[10:20, 20:] = 5
    np.testing.assert_array_equal(found, values[:, 5:])


def test_a_damaged_chunk_is_an_error_that_names_file_and_key(compressed):
    location, _ = compressed
    with h5py.File(location.path, "a") as file:
        file["x"].id.write_direct_chunk((10, 20), b"no zlib")
    with pytest.raises(UserError, match="damaged") as caught, open_array(location) as array:
        read(array, slice(0, 30))
    assert f"{location.path}, key 'x'" in str(caught.value)


def test_a_chunk_of_the_wrong_size_is_an_error(compressed):
    location, _ = compressed
    with h5py.File(location.path, "a") as file:
        file["x"].id.write_direct_chunk((0, 0), b"short", filter_mask=1)
    with pytest.raises(UserError, match="800 bytes has 5"), open_array(location) as array:
        read(array, slice(0, 30))


def test_damage_that_hdf5_finds_is_an_error(compressed, monkeypatch):
    location, _ = compressed
    monkeypatch.setattr(hdf5, "SMALLEST_PARALLEL_CHUNK", 1 << 30)
    with h5py.File(location.path, "a") as file:
        file["x"].id.write_direct_chunk((10, 20), b"no zlib")
    with pytest.raises(UserError, match="damaged"), open_array(location) as array:
        read(array, slice(0, 30))


def test_a_key_that_is_gone_is_an_error(compressed):
    location, _ = compressed
    with pytest.raises(UserError, match="damaged"), open_array(replace(location, key="z")):
        pass


def test_an_error_while_storing_is_passed_on(compressed):
    location, _ = compressed

    def store(rows, columns, tile):
        raise ZeroDivisionError

    with open_array(location) as array, pytest.raises(ZeroDivisionError):
        read_tiles(array, slice(0, 30), store)


def test_an_empty_window_reads_nothing(compressed):
    location, _ = compressed
    with open_array(location) as array:
        values, _ = read(array, slice(4, 4))
    assert values.shape == (40, 0)
