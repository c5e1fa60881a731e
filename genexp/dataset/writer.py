"""Writing a dataset to a folder: in genexp's own layout, or with precomputed embeddings in the published one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from genexp.blocks import BLOCKS, PROMOTER
from genexp.dataset.genes import Dataset, Split
from genexp.dataset.labels import UNNAMED
from genexp.dataset.layouts import EMBEDDING, GENE, LABEL, MARK, NAMES, NO_TSS, UNIT, VERSION, keys
from genexp.features.kmer_vectors import KmerVectors
from genexp.features.kmers import chunk_counts, empty_chunks, mean_vectors

#: Genes and positions in a chunk of tokens: reading a window, or one gene, costs little more than its own bases.
TOKEN_CHUNK = (64, 4096)
CHUNK_BYTES = 256 << 10

#: File name of each split of a dataset with precomputed embeddings.
EMBEDDED_FILES = {"train": "etrain.h5", "valid": "evalidation.h5", "test": "etest.h5"}

#: Genes embedded at a time: 27 MB of vectors for the published window.
GENES_AT_ONCE = 512


def write_dataset(
    folder: Path, dataset: Dataset, *, source: str, scaling: Mapping[str, Any] | None = None, fold: int | None = None
) -> None:
    """Write train.h5, valid.h5 and test.h5 (with `fold`: 1train.h5 ...) to a folder that exists.

    Promoters are written as they are in memory: a window of them becomes the whole promoter, and the TSS index moves
    with it. `source` and `scaling`, as JSON can hold it, are what the files say of the raw values.
    """
    for name, split in dataset.splits.items():
        with h5py.File(folder / f"{'' if fold is None else fold}{name}.h5", "w") as file:
            file.attrs.update(_attributes(dataset, source, scaling))
            _write_columns(file, split, keys()[GENE][0])
            for block, values in split.blocks.items():
                options = {"chunks": _chunk(values), "compression": "gzip", "compression_opts": 4}
                file.create_dataset(BLOCKS[block].keys[0], data=values, **options)


def _attributes(dataset: Dataset, source: str, scaling: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the root attributes that every file of the dataset carries."""
    found, blocks = dataset.description, dataset.splits["train"].blocks
    names = {block: found.feature_names[block] for block in blocks if block in found.feature_names}
    attributes = {MARK: VERSION, "source": source, **_of_columns(names, scaling), **_of_labels(dataset)}
    if PROMOTER in blocks:
        bases = blocks[PROMOTER].ndim == 2
        attributes["promoter"] = "tokens" if bases else "embedded"
        if bases:
            first = dataset.window[0] if dataset.window else 0
            attributes["tss"] = NO_TSS if found.tss is None else found.tss - first
    return attributes


def _of_columns(names: Mapping[str, Sequence[str]], scaling: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the root attributes that name the feature columns, and say how all values were scaled."""
    found = {"feature_names": json.dumps(names)}
    if scaling is not None:
        found["scaling"] = json.dumps(scaling, default=lambda value: value.tolist())  # NumPy numbers and arrays
    return found


def _of_labels(dataset: Dataset) -> dict[str, str]:
    """Return the root attributes that name the labels and their unit, where they are known."""
    names, unit = dataset.description.labels, dataset.description.unit
    known = {NAMES: None if names == UNNAMED else json.dumps(names), UNIT: unit}
    return {name: value for name, value in known.items() if value is not None}


def _write_columns(file: h5py.File, split: Split, gene_key: str) -> None:
    file[gene_key] = np.char.encode(split.genes.astype(str), "utf-8")
    file[LABEL] = split.labels[:, 0] if split.labels.shape[1] == 1 else split.labels


def _chunk(values: np.ndarray) -> tuple[int, ...] | None:
    """Return the chunk shape: whole rows, but tokens are cut along the promoter too."""
    if values.ndim == 2 and values.dtype == np.uint8 and values.shape[1] > TOKEN_CHUNK[1]:
        return min(TOKEN_CHUNK[0], len(values)), TOKEN_CHUNK[1]
    row_bytes = max(1, values[:1].nbytes)
    return max(1, min(len(values), CHUNK_BYTES // row_bytes)), *values.shape[1:]


def embedding_of(dataset: Dataset, vectors: KmerVectors, chunk: int) -> str:
    """Return in words, the same for the same vectors, how promoters are embedded."""
    described = dataset.description
    left, right = described.window or (0, described.promoter_length or 0)
    place = f"[{left}, {right})"
    if described.tss is not None:
        place = f"[{left - described.tss}, {right - described.tss}) around the TSS"
    digest = hashlib.blake2b(vectors.vectors.tobytes(), digest_size=8).hexdigest()
    return f"chunks of {chunk} nt of {place}, {vectors.k}-mer vectors {digest}"


def write_embedded(
    folder: Path,
    dataset: Dataset,
    vectors: KmerVectors,
    chunk: int,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write etrain.h5, evalidation.h5 and etest.h5, a few hundred genes at a time.

    The promoters are (n, window) uint8 tokens, and `chunk` divides the window. Return the number of chunks without any
    k-mer, because of N; they are written as zeros. `progress` is called with the genes written, and all.
    """
    total, before, empty = sum(map(len, dataset.splits.values())), 0, 0
    embedding = embedding_of(dataset, vectors, chunk)
    for name, split in dataset.splits.items():
        tokens = split.blocks[PROMOTER]
        shape = (len(split), tokens.shape[1] // chunk, vectors.dimension)
        with h5py.File(folder / EMBEDDED_FILES[name], "w") as file:
            promoter = file.create_dataset(BLOCKS[PROMOTER].keys[0], shape, np.float32)
            for first in range(0, len(split), GENES_AT_ONCE):
                rows = slice(first, first + GENES_AT_ONCE)
                counts = chunk_counts(tokens[rows], vectors.k, chunk)
                empty += empty_chunks(counts)
                promoter[rows] = mean_vectors(counts, vectors.vectors)
                if progress:
                    progress(before + min(first + GENES_AT_ONCE, len(split)), total)
            _write_columns(file, split, keys()[GENE][-1])
            for block, values in split.blocks.items():
                if block != PROMOTER:
                    file.create_dataset(BLOCKS[block].input, data=values)
            file.attrs.update(_of_columns(dataset.description.feature_names, dataset.description.scaling))
            file.attrs.update(_of_labels(dataset))
            file.attrs[EMBEDDING] = embedding
        before += len(split)
    return empty
