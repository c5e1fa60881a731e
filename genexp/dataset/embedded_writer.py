"""Writing a dataset with embedded promoters, in the published layout: etrain.h5 evalidation.h5 etest.h5."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np

from genexp.console import progress, warn
from genexp.dataset.genes import Dataset
from genexp.features.kmer_vectors import KmerVectors
from genexp.features.kmers import chunk_counts, empty_chunks, mean_vectors

#: File name of each split, and key of each feature block, as the published sets have them.
FILES = {"train": "etrain.h5", "valid": "evalidation.h5", "test": "etest.h5"}
KEYS = {"H": "halflife", "T": "tf", "M": "micro"}

#: Genes embedded at a time: 27 MB of vectors for the published window.
GENES_AT_ONCE = 512


def write_embedded(folder: Path, dataset: Dataset, vectors: KmerVectors, chunk: int) -> None:
    """Write one file per split, a few hundred genes at a time.

    Parameters
    ----------
    folder
        Where to; exists.
    dataset
        Promoters as tokens, (n, window) uint8, and any feature blocks.
    vectors
        Of the k-mers.
    chunk
        Length of a chunk in nt; divides the window.
    """
    names = {b: list(n) for b, n in dataset.description.feature_names.items()}
    total, before, empty = sum(map(len, dataset.splits.values())), 0, 0
    with progress("embedding promoters", total, "genes") as done:
        for name, split in dataset.splits.items():
            tokens = split.blocks["P"]
            shape = (len(split), tokens.shape[1] // chunk, vectors.dimension)
            with h5py.File(folder / FILES[name], "w") as file:
                promoter = file.create_dataset("promoter", shape, np.float32)
                for first in range(0, len(split), GENES_AT_ONCE):
                    rows = slice(first, first + GENES_AT_ONCE)
                    counts = chunk_counts(tokens[rows], vectors.k, chunk)
                    empty += empty_chunks(counts)
                    promoter[rows] = mean_vectors(counts, vectors.vectors)
                    done(before + min(first + GENES_AT_ONCE, len(split)))
                file["label"] = split.labels
                file["gene"] = np.char.encode(split.genes.astype(str), "utf-8")
                for block, values in split.blocks.items():
                    if block in KEYS:
                        file.create_dataset(KEYS[block], data=values)
                file.attrs["feature_names"] = json.dumps(names)
            before += len(split)
    if empty:
        warn(f"{empty:,} chunks hold no {vectors.k}-mer without N; they are written as zeros")
