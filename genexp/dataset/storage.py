"""How and where a file stores an array: with filters that are installed, in its own folder, and whole.

HDF5 returns zeros, without an error, for what is missing of a virtual dataset or of a file with raw values.
"""

from __future__ import annotations

import mmap
import os
import struct
import subprocess
import sys
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from genexp.dataset.problems import damaged, unlike, wrong

#: Filters that `hdf5plugin` brings.
PLUGIN_FILTERS = frozenset((307, 32001, 32004, 32008, 32013, 32015, 32017, 32018, 32024, 32026, 32028))
#: Virtual datasets of virtual datasets that are followed.
DEEPEST = 8
#: Seconds of a processor in which the names and texts of any file are read.
SECONDS = 5
READ_TEXTS = """
import resource, sys, h5py
resource.setrlimit(resource.RLIMIT_CPU, 2 * (int(sys.argv[2]),))
resource.setrlimit(resource.RLIMIT_AS, 2 * (4 << 30,))
def read(name, node):
    dict(node.attrs)
    if isinstance(node, h5py.Dataset) and node.dtype.hasobject:
        node[()]
with h5py.File(sys.argv[1], "r", locking=False) as file:
    read("", file)
    file.visititems(read)
"""
REPACK = "write the array into the file itself: h5repack -l {key}:CONTI, or h5py"


def open_inside(group: h5py.Group, path: Path, key: str, depth: int = 0) -> h5py.Group | h5py.Dataset:
    """Return an object of a file after a check that all of it is in the folder of the file, and can be read."""
    where = f"{path}, key '{key}'"
    link = group.get(key, getlink=True)
    if isinstance(link, h5py.ExternalLink):
        _inside(path, link.filename, where, key)
    found = group[key]
    if found.file != group.file:  # a link somewhere on the way
        _inside(path, found.file.filename, where, key)
    if isinstance(found, h5py.Dataset):
        check_kind(found.dtype, where)
        _check_filters(found, where)
        _check_external(found, path, where, key)
        if found.is_virtual:
            _check_virtual(found, path, where, key, depth)
    return found


def _inside(path: Path, named: str, where: object, key: str) -> Path:
    """Return the file that another file names, which must exist in the same folder or below it."""
    for folder in (path.absolute().parent, path.resolve().parent):
        target = Path(os.path.normpath(folder / named))
        if target.is_relative_to(folder):
            if target.is_file():
                return target
            what, hint = "a file names another that is missing", "copy that file into the folder too"
            raise wrong(what, where, target, "no such file", hint)
    what, hint = "a file takes values from outside the folder of the dataset", REPACK.format(key=key)
    raise wrong(what, where, f"a file in {path.parent}", named, hint)


def _check_filters(found: h5py.Dataset, where: object) -> None:
    """Raise an error that names a filter without which the array cannot be read."""
    properties = found.id.get_create_plist()
    for number in range(properties.get_nfilters()):
        code, _, _, name = properties.get_filter(number)
        if h5py.h5z.filter_avail(code):
            continue
        with suppress(ImportError, OSError):
            import hdf5plugin  # noqa: F401 - its import makes HDF5 know its filters

        if not h5py.h5z.filter_avail(code):
            known = f" ({name.decode('utf-8', 'replace')})" if name else ""
            hint = "write the file again with gzip, where the filter is installed: h5repack -f GZIP=4"
            hint = "pip install hdf5plugin" if code in PLUGIN_FILTERS else hint
            raise wrong("an HDF5 filter is not installed", where, None, f"filter {code}{known}", hint)


def _check_external(found: h5py.Dataset, path: Path, where: object, key: str) -> None:
    """Check that raw values in other files are in the folder, and all there."""
    there = 0
    for name, offset, size in found.external or ():
        target = _inside(path, str(Path(name).absolute()), where, key)  # HDF5 takes them from the current folder
        there += max(0, min(size, target.stat().st_size - offset))
    if found.external and there < found.nbytes:
        raise damaged("raw values in another file are missing", where, f"{there:,} of {found.nbytes:,} bytes")


def _check_virtual(found: h5py.Dataset, path: Path, where: object, key: str, depth: int) -> None:
    """Check that all parts of a virtual dataset are in the folder, and are what it says."""
    mapped = 0
    for part in found.virtual_sources():
        if "%" in part.file_name + part.dset_name or depth == DEEPEST:
            what, received = "a virtual dataset names its parts by a pattern", f"{part.file_name}, {part.dset_name}"
            raise wrong(what, where, "files and keys", received, REPACK.format(key=key))
        own = part.file_name == "."
        target = path if own else _inside(path, part.file_name, where, key)
        with h5py.File(target, "r", locking=False) as other:
            source = open_inside(other, target, part.dset_name, depth + 1)
            if not isinstance(source, h5py.Dataset) or not _holds(source, part.src_space, part.vspace):
                what, received = "a part of a virtual dataset is not what it says", getattr(source, "shape", "a group")
                raise unlike(what, f"{target}, key '{part.dset_name}'", "the values that are taken from it", received)
        mapped += part.vspace.get_select_npoints()
    if mapped < found.size:
        raise damaged("parts of a virtual dataset are missing", where, f"{mapped:,} of {found.size:,} values")


def _holds(source: h5py.Dataset, taken: h5py.h5s.SpaceID, mapped: h5py.h5s.SpaceID) -> bool:
    """Tell whether a dataset has all values that a virtual dataset takes from it."""
    if taken.get_select_type() == h5py.h5s.SEL_ALL:
        return bool(source.size == mapped.get_select_npoints())
    last = taken.get_select_bounds()[1]
    return len(last) == source.ndim and all(place < side for place, side in zip(last, source.shape, strict=True))


def attribute(node: h5py.Group, name: str, absent: Any = None) -> Any:
    """Return an attribute of numbers or text; HDF5 may crash on others, which only damaged files have."""
    if name not in node.attrs:
        return absent
    check_kind(node.attrs.get_id(name).dtype, f"attribute '{name}'")
    return node.attrs[name]


def check_kind(kind: np.dtype[Any], where: object) -> None:
    """Raise a TypeError for values of any length that are no text."""
    if kind.hasobject and h5py.check_string_dtype(kind) is None:
        raise TypeError(f"{where} holds neither numbers nor text")


def check_heaps(path: Path, up_to: int | None = None) -> None:
    """Check where a file holds names and text: HDF5 does not return from reading some damaged heaps.

    `up_to` is the number of bytes in which the heaps are that will be read; None for all.
    """
    state = path.stat()
    if state.st_size:
        _check_heaps(path, state.st_mtime_ns, state.st_size, up_to)


@lru_cache(maxsize=64)
def _check_heaps(path: Path, changed: int, size: int, up_to: int | None) -> None:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for mark, check in ((b"HEAP\0\0\0\0", _free_blocks), (b"GCOL\1\0\0\0", _objects)):
            start = content.find(mark, 0, up_to or size)
            while start >= 0:
                sound = start + 32 <= size and check(content, start, size)
                if not sound and not _is_read(path):  # else it is what is left of something that was deleted
                    raise damaged("the names or texts in a file are damaged", path, f"at byte {start:,}")
                start = content.find(mark, start + 8, up_to or size)


def _is_read(path: Path) -> bool:
    """Tell whether all names and texts of a file are read, in a process that may crash or be stopped."""
    try:
        words = [sys.executable, "-P", "-c", READ_TEXTS, str(path), str(SECONDS)]
        return subprocess.run(words, capture_output=True, timeout=60 * SECONDS, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def _free_blocks(content: mmap.mmap, start: int, size: int) -> bool:
    """Check a local heap: the blocks of its data that are free, each of which names the next, end. The last names 1."""
    length, free, data = struct.unpack_from("<QQQ", content, start + 8)
    left = length // 16
    while free != 1:
        left -= 1
        if left < 0 or free + 16 > length or data + free + 16 > size:
            return False
        (free,) = struct.unpack_from("<Q", content, data + free)
    return True


def _objects(content: mmap.mmap, start: int, size: int) -> bool:
    """Check a global heap collection: its objects lie one after the other. Number 0 is free space.

    An object is its number, 6 other bytes, its size and its content, padded to 8 bytes.
    """
    end, at = start + struct.unpack_from("<Q", content, start + 8)[0], start + 16
    while at + 16 <= min(end, size):
        number, length = struct.unpack_from("<H6xQ", content, at)
        step = 16 + -(-length // 8) * 8 if number else length
        if step < 16 or at + step > end:
            return False
        at += step
    return True
