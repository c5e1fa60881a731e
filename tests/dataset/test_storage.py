"""Filters that are not installed, values in other files and impossible sizes: named before anything is read."""

import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from published_sets import read, write_xpresso

from genexp import memory
from genexp.dataset import hdf5, reading
from genexp.dataset.storage import check_heaps
from genexp.errors import UserError


def error_of(root, **settings):
    with pytest.raises(UserError) as caught:
        read(root, **settings)
    assert "hint: " in str(caught.value)
    return str(caught.value)


def with_filter(path, key, code):
    """Store an array of a file anew in chunks that claim to have passed a filter."""
    with h5py.File(path, "a") as file:
        values = file[key][()]
        del file[key]
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk(values.shape)
        properties.set_filter(code, h5py.h5z.FLAG_OPTIONAL, (1,))
        space, kind = h5py.h5s.create_simple(values.shape), h5py.h5t.py_create(values.dtype, logical=True)
        made = h5py.h5d.create(file.id, key.encode(), kind, space, properties)
        made.write_direct_chunk((0,) * values.ndim, values.tobytes())


@pytest.mark.parametrize("key", ["promoter", "data", "label", "geneName"])
def test_a_filter_that_nobody_has_is_named(tmp_path, key):
    write_xpresso(tmp_path)
    with_filter(tmp_path / "valid.h5", key, 31_999)
    message = error_of(tmp_path)
    assert f"key '{key}'" in message
    assert "received: filter 31999" in message
    assert "h5repack" in message


BLOSC = """
import sys, importlib.abc
class Hidden(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "hdf5plugin":
            raise ImportError(name)
if sys.argv[2] == "hidden":
    sys.meta_path.insert(0, Hidden())
sys.path[:0] = sys.argv[3:]
from pathlib import Path
from published_sets import read
print(len(read(Path(sys.argv[1])).splits["train"]))
"""


@pytest.mark.parametrize("plugin", ["installed", "hidden"])
def test_blosc_is_read_where_hdf5plugin_is_installed_and_named_otherwise(tmp_path, plugin):
    write_xpresso(tmp_path / "set")
    code = (
        "import sys, h5py, hdf5plugin\n"
        "with h5py.File(sys.argv[1], 'a') as file:\n"
        "    x = file['promoter'][()]; del file['promoter']\n"
        "    file.create_dataset('promoter', data=x, chunks=(2, 40, 4), **hdf5plugin.Blosc())\n"
    )
    pytest.importorskip("hdf5plugin")
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "set" / "train.h5")], check=True)
    words = [sys.executable, "-c", BLOSC, str(tmp_path / "set"), plugin, str(Path(__file__).parent), *sys.path]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if plugin == "installed":
        assert done.stdout.split() == ["12"], done.stderr
    else:
        assert "filter 32001 (blosc)" in done.stderr
        assert "pip install hdf5plugin" in done.stderr


def moved(root, key, elsewhere):
    """Move an array of the training genes into another file, and return what links to it."""
    elsewhere.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(root / "train.h5", "a") as file, h5py.File(elsewhere, "w") as other:
        file.copy(key, other)
        del file[key]
    return elsewhere


def external_link(root, key, target):
    with h5py.File(root / "train.h5", "a") as file:
        file[key] = h5py.ExternalLink(os.path.relpath(target, root), key)


def absolute_link(root, key, target):
    with h5py.File(root / "train.h5", "a") as file:
        file[key] = h5py.ExternalLink(str(target), key)


def soft_link(root, key, target):
    with h5py.File(root / "train.h5", "a") as file:
        file["there"] = h5py.ExternalLink(str(target), "/")
        file[key] = h5py.SoftLink(f"/there/{key}")


def virtual(root, key, target):
    with h5py.File(target) as other:
        stored = other[key]
        layout = h5py.VirtualLayout(stored.shape, stored.dtype)
        layout[:] = h5py.VirtualSource(os.path.relpath(target, root), key, stored.shape, stored.dtype)
    with h5py.File(root / "train.h5", "a") as file:
        file.create_virtual_dataset(key, layout)


WAYS = [external_link, absolute_link, soft_link, virtual]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("key", ["promoter", "data", "label", "geneName"])
def test_values_in_another_file_of_the_folder_are_read(tmp_path, way, key):
    write_xpresso(tmp_path / "set")
    expected = read(tmp_path / "set")
    way(tmp_path / "set", key, moved(tmp_path / "set", key, tmp_path / "set" / "parts" / "part.h5"))
    assert read(tmp_path / "set").fingerprint() == expected.fingerprint()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("key", ["promoter", "label"])
def test_values_outside_the_folder_are_refused(tmp_path, way, key):
    write_xpresso(tmp_path / "set")
    way(tmp_path / "set", key, moved(tmp_path / "set", key, tmp_path / "elsewhere" / "part.h5"))
    assert "takes values from outside the folder" in error_of(tmp_path / "set")


@pytest.mark.parametrize("way", [external_link, virtual])
def test_another_file_that_is_missing_is_named(tmp_path, way):
    write_xpresso(tmp_path)
    part = moved(tmp_path, "label", tmp_path / "part.h5")
    way(tmp_path, "label", part)
    part.unlink()
    message = error_of(tmp_path)
    assert "names another that is missing" in message
    assert "part.h5" in message


def test_a_part_of_a_virtual_dataset_that_lacks_values_is_no_zeros(tmp_path):
    write_xpresso(tmp_path)
    part = moved(tmp_path, "label", tmp_path / "part.h5")
    virtual(tmp_path, "label", part)
    with h5py.File(part, "w") as other:
        other["label"] = np.arange(3.0)
    assert "is not what it says" in error_of(tmp_path)


def test_a_virtual_dataset_that_is_not_mapped_everywhere_is_no_zeros(tmp_path):
    write_xpresso(tmp_path)
    part = moved(tmp_path, "label", tmp_path / "part.h5")
    layout = h5py.VirtualLayout((12,), float)
    layout[:6] = h5py.VirtualSource("part.h5", "label", (12,), float)[:6]
    with h5py.File(tmp_path / "train.h5", "a") as file:
        file.create_virtual_dataset("label", layout)
    assert part.is_file()
    assert "6 of 12 values" in error_of(tmp_path)


def test_a_virtual_dataset_of_itself_ends(tmp_path):
    write_xpresso(tmp_path)
    layout = h5py.VirtualLayout((12,), float)
    layout[:] = h5py.VirtualSource(".", "label", (12,), float)
    with h5py.File(tmp_path / "train.h5", "a") as file:
        del file["label"]
        file.create_virtual_dataset("label", layout)
    error_of(tmp_path)


@pytest.mark.parametrize(
    ("place", "values", "part"), [("set", 12, None), (".", 12, "outside"), ("set", 9, "are missing")]
)
def test_raw_values_in_another_file(tmp_path, monkeypatch, place, values, part):
    write_xpresso(tmp_path / "set")
    raw = tmp_path / place / "labels.raw"
    with h5py.File(tmp_path / "set" / "train.h5", "a") as file:
        labels = file["label"][()]
        del file["label"]
        file.create_dataset("label", (12,), float, external=[(str(raw), 0, 96)])
    raw.write_bytes(labels.tobytes()[: 8 * values])
    if part is None:
        np.testing.assert_array_equal(read(tmp_path / "set").splits["train"].labels[:, 0], labels.astype(np.float32))
    else:
        assert part in error_of(tmp_path / "set")


@pytest.mark.parametrize("key", ["promoter", "data", "label", "geneName"])
def test_sizes_beyond_memory_are_refused_before_reading(tmp_path, monkeypatch, key):
    def grow(split, arrays):
        for name, values in arrays.items():
            shape = (10**9, *np.shape(values)[1:])
            values = np.asarray(values)
            arrays[name] = (
                None,
                {"shape": shape, "dtype": values.dtype, "chunks": (1000, *shape[1:]), "compression": "gzip"},
            )

    write_xpresso(tmp_path, change=lambda split, arrays: grow(split, arrays) if split == "train" else None)
    monkeypatch.setattr(hdf5, "available", lambda: 1 << 40)  # the file itself is possible, on some machine
    monkeypatch.setattr(memory, "available", lambda: 1 << 30)
    monkeypatch.setattr(reading, "available", lambda: 1 << 30)
    assert "do not fit into memory" in error_of(tmp_path, blocks="H")


def test_names_of_a_megabyte_each_are_counted(tmp_path, monkeypatch):
    def widen(_, arrays):
        shape = {"shape": (len(arrays["geneName"]),), "dtype": "S100000000", "chunks": (1,), "compression": "gzip"}
        arrays["geneName"] = (None, shape)

    write_xpresso(tmp_path, change=widen)
    for module in (memory, reading):
        monkeypatch.setattr(module, "available", lambda: 1 << 30)
    monkeypatch.setattr(hdf5, "available", lambda: 1 << 40)
    assert "do not fit into memory" in error_of(tmp_path)


def test_more_than_the_disk_holds_is_not_begun(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with pytest.raises(UserError, match="no space for"):
        memory.allocate((1 << 50,), np.uint8, on_disk=True)


def with_text(path):
    with h5py.File(path, "w") as file:
        file.attrs["a"] = "some text"
        file["b"] = ["gene"] * 300
    return bytearray(path.read_bytes())


@pytest.mark.integration
@pytest.mark.parametrize("size", [0, 7, 1 << 40, (1 << 64) - 1])
@pytest.mark.parametrize("number", [0, 1])
def test_text_that_hdf5_would_read_for_ever_is_refused(tmp_path, number, size):
    content = with_text(tmp_path / "x.h5")
    check_heaps(tmp_path / "x.h5")
    at = content.index(b"GCOL") + 16
    content[at : at + 2] = number.to_bytes(2, "little")
    content[at + 8 : at + 16] = size.to_bytes(8, "little")
    (tmp_path / "y.h5").write_bytes(content)
    if number == 1 and size < 16:
        check_heaps(tmp_path / "y.h5")  # a shorter text
        return
    with pytest.raises(UserError, match="names or texts in a file are damaged"):
        check_heaps(tmp_path / "y.h5")


def test_what_is_left_of_deleted_text_is_no_damage(tmp_path):
    whole, content = with_text(tmp_path / "x.h5"), with_text(tmp_path / "y.h5")
    at = content.index(b"GCOL") + 16
    content[at : at + 16] = bytes(16)
    (tmp_path / "x.h5").write_bytes(whole + content[at - 16 :])  # where HDF5 does not look
    check_heaps(tmp_path / "x.h5")


@pytest.mark.integration
@pytest.mark.parametrize("names", [8, 16, 1 << 40])
def test_free_blocks_that_name_each_other_for_ever_are_refused(tmp_path, names):
    write_xpresso(tmp_path)
    content = bytearray((tmp_path / "valid.h5").read_bytes())
    heap = content.index(b"HEAP")
    free, data = (int.from_bytes(content[heap + at : heap + at + 8], "little") for at in (16, 24))
    content[data + free : data + free + 8] = (free if names == 8 else names).to_bytes(8, "little")
    (tmp_path / "valid.h5").write_bytes(content)
    assert "names or texts in a file are damaged" in error_of(tmp_path)


@pytest.mark.parametrize("where", ["attribute", "geneName"])
def test_numbers_of_any_length_are_refused(tmp_path, where):
    write_xpresso(tmp_path)
    with h5py.File(tmp_path / "valid.h5", "a") as file:
        if where == "attribute":
            file.attrs["genexp_layout"] = 1
            file.attrs.create("scaling", np.array([np.arange(3), np.arange(2)], object), dtype=h5py.vlen_dtype(int))
        else:
            del file[where]
            file.create_dataset(where, (5,), h5py.vlen_dtype(int))
    assert "holds neither numbers nor text" in error_of(tmp_path)
