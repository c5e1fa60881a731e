"""Writing a dataset with embedded promoters, in the published layout: etrain.h5 evalidation.h5 etest.h5."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from genexp.blocks import BLOCKS, PROMOTER
from genexp.dataset.genes import Dataset
from genexp.features.kmer_vectors import KmerVectors
from genexp.features.kmers import chunk_counts, empty_chunks, mean_vectors

#: File name of each split in the published sets, and key of the block whose key differs from its model input.
FILES = {"train": "etrain.h5", "valid": "evalidation.h5", "test": "etest.h5"}
KEYS = {"M": "micro"}

#: Genes embedded at a time: 27 MB of vectors for the published window.
GENES_AT_ONCE = 512


def write_embedded(
    folder: Path,
    dataset: Dataset,
    vectors: KmerVectors,
    chunk: int,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write one file per split, a few hundred genes at a time.

    Parameters
    ----------
    folder
        An existing folder.
    dataset
        Promoters as tokens, (n, window) uint8, and any feature blocks.
    vectors
        Of the k-mers.
    chunk
        Length of a chunk in nt; the window is a multiple of it.
    progress
        Called with the number of genes done and the total.

    Returns
    -------
    int
        Number of chunks without a k-mer, because of N; they are zeros.
    """
    names = {b: list(n) for b, n in dataset.description.feature_names.items()}
    total, before, empty = sum(map(len, dataset.splits.values())), 0, 0
    for name, split in dataset.splits.items():
        tokens = split.blocks[PROMOTER]
        shape = (len(split), tokens.shape[1] // chunk, vectors.dimension)
        with h5py.File(folder / FILES[name], "w") as file:
            promoter = file.create_dataset("promoter", shape, np.float32)
            for first in range(0, len(split), GENES_AT_ONCE):
                rows = slice(first, first + GENES_AT_ONCE)
                counts = chunk_counts(tokens[rows], vectors.k, chunk)
                empty += empty_chunks(counts)
                promoter[rows] = mean_vectors(counts, vectors.vectors)
                if progress:
                    progress(before + min(first + GENES_AT_ONCE, len(split)), total)
            file["label"] = split.labels
            file["gene"] = np.char.encode(split.genes.astype(str), "utf-8")
            for block, values in split.blocks.items():
                if block != PROMOTER:
                    file.create_dataset(KEYS.get(block, BLOCKS[block].input), data=values)
            file.attrs["feature_names"] = json.dumps(names)
        before += len(split)
    return empty
