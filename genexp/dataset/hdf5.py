"""Reading HDF5 arrays a tile at a time: little memory, and every chunk on disk is decompressed once."""

from __future__ import annotations

import math
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise, product
from pathlib import Path

import h5py
import numpy as np
from rich.filesize import decimal

from genexp.dataset.problems import damaged, wrong
from genexp.dataset.storage import check_heaps, open_inside
from genexp.errors import UserError
from genexp.features.threads import processors
from genexp.files import damage_reported, in_short
from genexp.memory import available

#: Bytes of a tile that is read in one go; a tile larger than this is one chunk on disk.
TILE_BYTES = 4 << 20
#: Bytes that chunks may fill while they are decompressed side by side.
PARALLEL_BYTES = 64 << 20
#: Chunks smaller than this are left to HDF5: handing them to threads costs more than it brings.
SMALLEST_PARALLEL_CHUNK = 16 << 10
#: Bytes that one byte of a gzip file can hold at most, and a few more.
MOST_COMPRESSED = 1100
#: Bytes at the beginning of a file that hold the names of its keys.
ROOT_BYTES = 1 << 20
#: Bytes of a chunk that may be larger than its array.
LARGE_CHUNK = 64 << 20

#: What `read_tiles` calls for each tile: rows and columns (counted from the first one read), and the values.
Store = Callable[[slice, slice, np.ndarray], None]


@dataclass(frozen=True)
class StoredArray:
    """What a file says of one array; a group has the shape () and no kind of values."""

    path: Path
    key: str
    shape: tuple[int, ...]
    kind: str
    itemsize: int = 0

    def __str__(self) -> str:
        return f"{self.path}, key '{self.key}'"


@contextmanager
def open_file(path: Path, where: object = None) -> Iterator[h5py.File]:
    """Open a file for reading, unlocked; all damage, also what is found later, is a UserError at `where`."""
    with damage_reported(lambda error: _unreadable(path, where or path, error)):
        check_heaps(path, ROOT_BYTES)
        with _open(path) as file:
            yield file


@contextmanager
def open_array(array: StoredArray) -> Iterator[h5py.Dataset]:
    """Open one array for reading."""
    with open_file(array.path, array) as file:
        if array.kind == "O":
            check_heaps(array.path)
        yield file[array.key]


def read_column(array: StoredArray) -> np.ndarray:
    """Read all values of an array as one vector."""
    with open_array(array) as stored:
        column: np.ndarray = stored[()].reshape(-1)
    return column


def read_names(array: StoredArray) -> np.ndarray:
    """Read gene names, (n,) str, whatever kind of string (or number) they are stored as."""
    names = read_column(array).tolist()
    return np.array([(x.decode("utf-8", "replace") if isinstance(x, bytes) else str(x)).strip() for x in names])


def look_at(file: h5py.Group, path: Path, key: str) -> StoredArray:
    """Return what a file says of an array, whose declared size must be possible."""
    array = open_inside(file, path, key)
    if not isinstance(array, h5py.Dataset) or array.shape is None:
        return StoredArray(path, key, (), "")
    found = StoredArray(path, key, array.shape, array.dtype.kind, array.dtype.itemsize)
    size, on_disk = math.prod(array.shape), path.stat().st_size
    declared, chunk = size * array.dtype.itemsize, math.prod(array.chunks or (0,)) * array.dtype.itemsize
    if size > available() and declared > MOST_COMPRESSED * on_disk:
        what, stated = "an array is declared far larger than its file can hold", declared
    elif chunk > available() // 8 or (chunk > LARGE_CHUNK and chunk > 16 * declared):
        what, stated = "an array is stored in chunks too large to read", chunk
    else:
        return found
    raise damaged(what, found, f"{decimal(stated)}, in a file of {decimal(on_disk)}")


def _open(path: Path) -> h5py.File:
    try:
        return h5py.File(path, "r", locking=False)
    except OSError as error:
        if "locking flag" not in str(error):
            raise
        return h5py.File(path, "r")  # this process has it open with locks, in a notebook for instance


def _unreadable(path: Path, where: object, error: Exception) -> UserError:
    if path.is_dir():
        return wrong("a folder has the name of a file", path, "an HDF5 file", None, "rename the folder")
    if isinstance(error, PermissionError):
        return wrong("a file may not be read", path, None, None, "ask for the permission to read it")
    if isinstance(error, MemoryError):
        what, hint = "an array does not fit into memory", "use a machine with more memory, or write the file again"
        return wrong(what, where, None, str(error) or None, hint)
    size = path.stat().st_size if path.exists() else 0
    kind = "empty" if size == 0 else "truncated" if "truncated" in str(error) else "not HDF5, or is damaged"
    return damaged(f"a file is {kind}", where, f"{size:,} bytes ({in_short(error)})")


def read_tiles(
    dataset: h5py.Dataset, columns: slice, store: Store, progress: Callable[[int], None] | None = None
) -> None:
    """Read some columns (start and stop) of all rows of an (n, m) or (n, m, k) array, a tile at a time.

    Chunks compressed with gzip are decompressed on all processor cores; everything else is read by HDF5 itself.
    ``store(rows, columns, values)`` is called in any order and from several threads at once, never twice for the same
    element; `progress`, from the calling thread, with the number of rows done.
    """
    if 0 in dataset.shape or columns.start >= columns.stop:
        return
    gzip = _gzip_position(dataset)
    rows_per, columns_per = _tile_shape(dataset, columns) if gzip is None else dataset.chunks[:2]
    tile_bytes = rows_per * columns_per * math.prod(dataset.shape[2:]) * dataset.dtype.itemsize
    workers = max(1, min(processors(), PARALLEL_BYTES // tile_bytes))
    waiting: deque[Future[None]] = deque()

    def finish(rows: slice, part: slice, values: Callable[[], np.ndarray]) -> None:
        store(rows, slice(part.start - columns.start, part.stop - columns.start), values())

    with ThreadPoolExecutor(workers) as pool:
        try:
            # HDF5 itself reads in this thread only; NumPy and zlib let other threads run beside it.
            for rows in _cuts(slice(0, len(dataset)), rows_per):
                for part in _cuts(columns, columns_per):
                    values = _plain(dataset, rows, part) if gzip is None else _packed(dataset, rows, part, gzip)
                    waiting.append(pool.submit(finish, rows, part, values))
                    if len(waiting) > 2 * workers:
                        waiting.popleft().result()
                if progress:
                    progress(rows.start)
            while waiting:
                waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
    if progress:
        progress(len(dataset))


def _plain(dataset: h5py.Dataset, rows: slice, columns: slice) -> Callable[[], np.ndarray]:
    """Read a tile by HDF5; return what returns it."""
    if dataset.ndim == 3 and dataset.chunks is not None and dataset.chunks[2] < dataset.shape[2]:
        # One channel after the other is twice as fast as across their chunks.
        channels = np.stack([dataset[rows, columns, channel] for channel in range(dataset.shape[2])])
        return lambda: np.moveaxis(channels, 0, 2)
    values: np.ndarray = dataset[rows, columns]
    return lambda: values


def _packed(dataset: h5py.Dataset, rows: slice, columns: slice, gzip: int) -> Callable[[], np.ndarray]:
    """Read a tile as it is on disk: the chunks side by side along the third axis; return what decompresses them."""
    shape, dtype, depth = dataset.chunks, dataset.dtype, dataset.shape[2:]
    left, size = columns.start // shape[1] * shape[1], math.prod(shape) * dtype.itemsize
    corners = product([rows.start], [left], *(range(0, end, step) for end, step in zip(depth, shape[2:], strict=True)))
    chunks = [dataset.id.read_direct_chunk(corner) for corner in corners]

    def chunk_values(mask: int, raw: bytes) -> np.ndarray:
        # The mask has a bit for each filter that has left the chunk as it was.
        data = raw if mask >> gzip & 1 else zlib.decompress(raw, bufsize=size)
        if len(data) != size:
            raise zlib.error(f"a chunk of {size} bytes has {len(data)}")
        values = np.frombuffer(data, dtype).reshape(shape)
        return values[: rows.stop - rows.start, columns.start - left : columns.stop - left]

    def decompress() -> np.ndarray:
        parts = [chunk_values(mask, raw) for mask, raw in chunks]
        if len(parts) > 1:  # channels apart on disk stay apart in memory, which makes tokens_from_one_hot fast
            parts = [np.moveaxis(np.concatenate([np.moveaxis(part, 2, 0) for part in parts]), 0, 2)]
        return parts[0][:, :, : depth[0]] if depth else parts[0]

    return decompress


def _tile_shape(dataset: h5py.Dataset, columns: slice) -> tuple[int, int]:
    """Return rows and columns per tile: whole chunks, as many as `TILE_BYTES` holds and at least one."""
    depth = math.prod(dataset.shape[2:]) * dataset.dtype.itemsize
    row_chunk, column_chunk = dataset.chunks[:2] if dataset.chunks else (1, 1)
    wide = columns.stop - columns.start
    if row_chunk * wide * depth <= TILE_BYTES:
        return row_chunk * max(1, TILE_BYTES // (row_chunk * wide * depth)), wide
    return row_chunk, column_chunk * max(1, TILE_BYTES // (row_chunk * column_chunk * depth))


def _cuts(whole: slice, step: int) -> Iterator[slice]:
    """Cut a slice at the multiples of `step`."""
    edges = [whole.start, *range((whole.start // step + 1) * step, whole.stop, step), whole.stop]
    return (slice(start, stop) for start, stop in pairwise(edges))


def _gzip_position(dataset: h5py.Dataset) -> int | None:
    """Return where gzip stands among the filters, where all chunks are there, of a good size, and need gzip alone."""
    if dataset.chunks is None or dataset.dtype.kind not in "biuf":
        return None
    properties, itemsize = dataset.id.get_create_plist(), dataset.dtype.itemsize
    filters = [properties.get_filter(i)[0] for i in range(properties.get_nfilters())]
    gzip = int(itemsize == 1 and filters[:1] == [h5py.h5z.FILTER_SHUFFLE])  # which changes no single bytes
    grid = math.prod(-(-size // chunk) for size, chunk in zip(dataset.shape, dataset.chunks, strict=True))
    suited = filters[gzip:] == [h5py.h5z.FILTER_DEFLATE] and dataset.id.get_num_chunks() == grid
    return gzip if suited and math.prod(dataset.chunks) * itemsize >= SMALLEST_PARALLEL_CHUNK else None
