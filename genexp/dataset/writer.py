"""Writing a dataset to a folder in genexp's own layout."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from genexp.dataset.genes import Dataset, Split
from genexp.dataset.layouts import MARK, VERSION
from genexp.errors import UserError

#: Keys as Xpresso names them.
KEY_OF_BLOCK = {"P": "promoter", "H": "data", "T": "tf", "M": "micro"}

#: Genes and positions in a chunk of tokens: a window costs little more than its own bases, one gene little more
#: than itself.
TOKEN_CHUNK = (64, 4096)
CHUNK_BYTES = 256 << 10


def write_dataset(
    root: str | Path,
    dataset: Dataset,
    *,
    source: str,
    scaling: Mapping[str, Any] | None = None,
    fold: int | None = None,
) -> list[Path]:
    """Write train.h5, valid.h5 and test.h5; files that are there already are replaced, all at the end.

    Parameters
    ----------
    root
        Folder, made if it is missing.
    dataset
        The genes, with the blocks to write. Promoters are written as they are in memory: a window of them becomes
        the whole promoter, and the TSS index moves with it.
    source
        Where the genes come from, for people.
    scaling
        How labels and features were scaled, as JSON can hold it.
    fold
        Number of a cross-validation fold, which is put before the file names.

    Returns
    -------
    list of Path
        The files written.
    """
    root = Path(root)
    names = {split: f"{'' if fold is None else fold}{split}.h5" for split in dataset.splits}
    partial = {split: root / f".{name}.{os.getpid()}.partial" for split, name in names.items()}
    attributes = _attributes(dataset, source, scaling)
    try:
        root.mkdir(parents=True, exist_ok=True)
        try:
            for name, split in dataset.splits.items():
                _write_split(partial[name], split, attributes)
            for name, path in partial.items():
                path.replace(root / names[name])
        finally:
            for path in partial.values():
                path.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(
            "the dataset cannot be written", where=root, received=error, do="see that there is space and permission"
        ) from error
    return [root / name for name in names.values()]


def _attributes(dataset: Dataset, source: str, scaling: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the root attributes that every file of the dataset carries."""
    info, blocks = dataset.description, dataset.splits["train"].blocks
    names = {block: list(info.feature_names[block]) for block in blocks if block in info.feature_names}
    attributes = {MARK: VERSION, "source": source, "feature_names": json.dumps(names)}
    if scaling is not None:
        attributes["scaling"] = json.dumps(scaling, default=lambda value: value.tolist())  # NumPy numbers and arrays
    if "P" in blocks:
        bases = blocks["P"].ndim == 2
        attributes["promoter"] = "tokens" if bases else "embedded"
        if bases and info.tss is not None:
            attributes["tss"] = info.tss - (dataset.window[0] if dataset.window else 0)
    return attributes


def _write_split(path: Path, split: Split, attributes: Mapping[str, Any]) -> None:
    """Write one file, chunked and compressed."""
    with h5py.File(path, "w") as file:
        file.attrs.update(attributes)
        file["geneName"] = np.char.encode(split.genes.astype(str), "utf-8")
        file["label"] = split.labels
        for block, values in split.blocks.items():
            file.create_dataset(
                KEY_OF_BLOCK[block], data=values, chunks=_chunk(values), compression="gzip", compression_opts=4
            )


def _chunk(values: np.ndarray) -> tuple[int, ...] | None:
    """Return the chunk shape: whole rows, but tokens are cut along the promoter too."""
    if values.ndim == 2 and values.dtype == np.uint8 and values.shape[1] > TOKEN_CHUNK[1]:
        return min(TOKEN_CHUNK[0], len(values)), TOKEN_CHUNK[1]
    row_bytes = max(1, values[:1].nbytes)
    return max(1, min(len(values), CHUNK_BYTES // row_bytes)), *values.shape[1:]
