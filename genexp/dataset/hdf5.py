"""Reading HDF5 arrays a tile at a time: little memory, and every chunk on disk is decompressed once."""

from __future__ import annotations

import math
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from genexp.errors import UserError
from genexp.features.threads import processors

#: Bytes of a tile that is read in one go; a tile larger than this is one chunk on disk.
TILE_BYTES = 4 << 20
#: Bytes that chunks may fill while they are decompressed side by side.
PARALLEL_BYTES = 64 << 20
#: Chunks smaller than this are left to HDF5: handing them to threads costs more than it brings.
SMALLEST_PARALLEL_CHUNK = 16 << 10

#: What `read_tiles` calls for each tile: rows and columns (counted from the first one read), and the values.
Store = Callable[[slice, slice, np.ndarray], None]


@dataclass(frozen=True)
class Location:
    """Where an array lies: a file and the key in it."""

    path: Path
    key: str

    def __str__(self) -> str:
        return f"{self.path}, key '{self.key}'"


@contextmanager
def open_file(path: Path) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading, unlocked: it may lie on a read-only disk and have many readers.

    Raises
    ------
    UserError
        If the file is empty, truncated, damaged, not HDF5 or not readable.
    """
    try:
        file = _open(path)
    except OSError as error:
        raise _unreadable(path, error) from error
    with file:
        try:
            yield file
        except BrokenPipeError:
            raise
        except (OSError, RuntimeError) as error:  # what h5py raises when it meets damage further in
            raise _unreadable(path, error) from error


def _open(path: Path) -> h5py.File:
    try:
        return h5py.File(path, "r", locking=False)
    except OSError as error:
        if "locking flag" not in str(error):
            raise
        return h5py.File(path, "r")  # this process has it open with locks, in a notebook for instance


def _unreadable(path: Path, error: Exception) -> UserError:
    if path.is_dir():
        hint = "rename the folder, or use another dataset.root"
        return UserError("a folder has the name of a file", where=path, expected="an HDF5 file", hint=hint)
    size = path.stat().st_size if path.exists() else None
    hint = "copy or download it again"
    if isinstance(error, PermissionError):
        what, hint = "a file may not be read", "ask for the permission to read it"
    elif size == 0:
        what = "a file is empty"
    elif "truncated" in str(error):
        what = "a file is truncated: its end is missing"
    else:
        what = "a file is not HDF5, or is damaged"
    received = None if size is None else f"{size:,} bytes ({str(error).splitlines()[0][:200]})"
    return UserError(what, where=path, expected="an HDF5 file", received=received, hint=hint)


@contextmanager
def open_array(location: Location) -> Iterator[h5py.Dataset]:
    """Open one array for reading; damage that is found while it is read ends in a UserError."""
    with open_file(location.path) as file:
        try:
            yield file[location.key]
        except (OSError, KeyError, zlib.error) as error:
            what, hint = "an array cannot be read: the file is damaged", "copy or download the file again"
            raise UserError(what, where=location, received=str(error), hint=hint) from error


def read_tiles(
    dataset: h5py.Dataset, columns: slice, store: Store, progress: Callable[[int], None] | None = None
) -> None:
    """Read some columns of all rows, a tile at a time.

    Chunks compressed with gzip are decompressed on all processor cores; everything else is read by HDF5 itself.

    Parameters
    ----------
    dataset : (n, m) or (n, m, k)
    columns
        Part of the second axis, with start and stop.
    store
        Called as ``store(rows, columns, values)`` for each tile, in any order and from several threads at once;
        never twice for the same element.
    progress
        Called with the number of rows done so far, from the calling thread.
    """
    if 0 in dataset.shape or columns.start >= columns.stop:
        return
    parallel = _decompresses_in_parallel(dataset)
    rows_per, columns_per = dataset.chunks[:2] if parallel else _tile_shape(dataset, columns)
    tile_bytes = rows_per * columns_per * math.prod(dataset.shape[2:]) * dataset.dtype.itemsize
    workers = max(1, min(processors(), PARALLEL_BYTES // tile_bytes))
    waiting: deque[Future[None]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            # HDF5 itself reads in this thread only; NumPy and zlib let other threads run beside it.
            for rows in _cuts(slice(0, len(dataset)), rows_per):
                for part in _cuts(columns, columns_per):
                    tile = _PackedTile(dataset, rows, part) if parallel else _Tile(dataset, rows, part)
                    waiting.append(pool.submit(tile.store, columns.start, store))
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


class _Tile:
    """A part of an array, read by HDF5."""

    def __init__(self, dataset: h5py.Dataset, rows: slice, columns: slice) -> None:
        self.rows, self.columns = rows, columns
        apart = dataset.ndim == 3 and dataset.chunks is not None and dataset.chunks[2] < dataset.shape[2]
        self.values = _read_channels(dataset, rows, columns) if apart else dataset[rows, columns]

    def store(self, start: int, store: Store) -> None:
        """Hand the values on; columns count from `start`."""
        store(self.rows, slice(self.columns.start - start, self.columns.stop - start), self.values)


def _read_channels(dataset: h5py.Dataset, rows: slice, columns: slice) -> np.ndarray:
    """Read a tile whose last axis is cut into chunks: channel by channel is twice as fast as across them."""
    shape = (dataset.shape[2], rows.stop - rows.start, columns.stop - columns.start)
    channels = np.empty(shape, dataset.dtype)
    for channel in range(len(channels)):
        dataset.read_direct(channels, np.s_[rows, columns, channel], np.s_[channel])
    return np.moveaxis(channels, 0, -1)


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
    start = whole.start
    while start < whole.stop:
        stop = min(whole.stop, (start // step + 1) * step)
        yield slice(start, stop)
        start = stop


def _deflate_position(dataset: h5py.Dataset) -> int | None:
    """Return where gzip stands among the filters, or None if there is a filter that matters besides it."""
    properties = dataset.id.get_create_plist()
    filters = [properties.get_filter(i)[0] for i in range(properties.get_nfilters())]
    if dataset.dtype.itemsize == 1 and filters[:1] == [h5py.h5z.FILTER_SHUFFLE]:  # which changes no single bytes
        return 1 if filters[1:] == [h5py.h5z.FILTER_DEFLATE] else None
    return 0 if filters == [h5py.h5z.FILTER_DEFLATE] else None


def _decompresses_in_parallel(dataset: h5py.Dataset) -> bool:
    """Tell whether all chunks are there, of a good size, and gzip is all that is between them and the values."""
    if dataset.chunks is None or dataset.dtype.kind not in "biuf" or _deflate_position(dataset) is None:
        return False
    chunk_bytes = math.prod(dataset.chunks) * dataset.dtype.itemsize
    grid = math.prod(-(-size // chunk) for size, chunk in zip(dataset.shape, dataset.chunks, strict=True))
    return chunk_bytes >= SMALLEST_PARALLEL_CHUNK and bool(dataset.id.get_num_chunks() == grid)


class _PackedTile:
    """A part of an array as it is on disk: the compressed chunks that lie side by side along the third axis."""

    def __init__(self, dataset: h5py.Dataset, rows: slice, columns: slice) -> None:
        """Read the chunks; HDF5 does not allow this in several threads."""
        self.rows, self.columns = rows, columns
        self.chunk, self.dtype = dataset.chunks, dataset.dtype
        self.depth = dataset.shape[2] if dataset.ndim == 3 else None
        self.first_column = columns.start // self.chunk[1] * self.chunk[1]
        third: list[tuple[int, ...]] = [()]
        if self.depth is not None:
            third = [(channel,) for channel in range(0, self.depth, self.chunk[2])]
        # HDF5 marks a chunk that a filter has left as it was, by a bit that stands for the filter's position.
        left_alone = 1 << (_deflate_position(dataset) or 0)
        chunks = [dataset.id.read_direct_chunk((rows.start, self.first_column, *k)) for k in third]
        self.chunks = [(bool(mask & left_alone), raw) for mask, raw in chunks]

    def store(self, start: int, store: Store) -> None:
        """Decompress the chunks, put them together and store what lies in the tile; columns count from `start`."""
        rows = slice(0, self.rows.stop - self.rows.start)
        columns = slice(self.columns.start - self.first_column, self.columns.stop - self.first_column)
        parts = [self._values(plain, raw)[rows, columns] for plain, raw in self.chunks]
        if self.depth is None:
            values = parts[0]
        elif len(parts) == 1:
            values = parts[0][..., : self.depth]
        else:
            # Channels that lie apart on disk stay apart in memory, as tokens_from_one_hot likes them.
            channels = np.concatenate([np.moveaxis(part, 2, 0) for part in parts])
            values = np.moveaxis(channels[: self.depth], 0, -1)
        store(self.rows, slice(self.columns.start - start, self.columns.stop - start), values)

    def _values(self, plain: bool, raw: bytes) -> np.ndarray:
        size = math.prod(self.chunk) * self.dtype.itemsize
        data = raw if plain else zlib.decompress(raw, bufsize=size)
        if len(data) != size:
            raise zlib.error(f"a chunk of {size} bytes has {len(data)}")
        return np.frombuffer(data, self.dtype).reshape(self.chunk)
