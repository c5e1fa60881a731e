"""From a dataset as it was read to what the model is fed: k-mer counts and vectors, where the model reads k-mers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TypeGuard

import numpy as np

from genexp.console import duration, progress, say, warn
from genexp.dataset.description import DatasetDescription
from genexp.dataset.genes import Dataset, Split
from genexp.features.kmer_vectors import KmerVectors, load_vectors, random_vectors
from genexp.features.kmers import check_chunks, chunk_counts, empty_chunks
from genexp.features.word2vec import promoters_without_n, train_word2vec
from genexp.models import InputShapes, ModelConfig
from genexp.models.layers.kmer_config import KmerConfig


def expected_shapes(
    model: ModelConfig, info: DatasetDescription, blocks: str, window: tuple[int, int] | None, own: Path | None = None
) -> InputShapes:
    """Return the shapes that a model will be fed, from what is known before the genes are read.

    Parameters
    ----------
    model, info, blocks, window
        The ``model`` group, what was found in the dataset, the blocks that are wanted, the slice of the promoter.
    own
        The file with the vectors of a run that goes on: where it is there, it matters no more where they came from.

    Raises
    ------
    UserError
        When the window does not divide into chunks, or the file of vectors cannot be read.
    """
    widths = {b: w for b, w in info.widths.items() if b in blocks}
    if "P" not in blocks or info.promoter is None:
        return InputShapes(None, widths, None)
    if info.promoter == "embedded":
        return InputShapes((info.promoter_length or 0, info.embed_dim or 0), widths, "embedded")
    length = window[1] - window[0] if window else 0
    if reads_kmers(model):
        check_chunks(length, model.k, model.chunk)
        file = own if own and own.is_file() else model.embedding.vectors
        vectors = None if file is None else load_vectors(Path(file)).vectors
        return InputShapes((length // model.chunk, 4**model.k), widths, "kmers", vectors)
    return InputShapes((length,), widths, "bases")


def encode(dataset: Dataset, model: ModelConfig) -> Dataset:
    """Return the dataset with promoters as k-mer counts (n, chunks, 4**k), where the model reads k-mers."""
    if not _counts_kmers(model, dataset):
        return dataset
    encoded: dict[str, Split] = {}
    empty = 0
    for name, split in dataset.splits.items():
        counts = chunk_counts(split.blocks["P"], model.k, model.chunk)
        empty += empty_chunks(counts)
        encoded[name] = replace(split, blocks={**split.blocks, "P": counts})
    if empty:
        warn(f"{empty:,} chunks hold no {model.k}-mer without N; the model sees zeros there")
    return replace(dataset, splits=encoded)


def vectors_for(model: ModelConfig, dataset: Dataset, path: Path) -> KmerVectors | None:
    """Return the k-mer vectors that a model starts from, kept in the run.

    A run that is resumed, or starts again, takes the vectors it began with.

    Parameters
    ----------
    model
        The ``model`` group.
    dataset
        The genes as bases; Word2Vec is fitted on the training promoters alone.
    path
        The file they are kept in.

    Returns
    -------
    KmerVectors or None
        None where the model learns its vectors from the start, uses none, or does not read k-mers.
    """
    if not _counts_kmers(model, dataset):
        return None
    if path.is_file():
        return load_vectors(path)
    found = make_vectors(model, dataset.splits["train"].blocks["P"])
    if found is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        found.save(path)
    return found


def check_vectors(model: ModelConfig, dataset: Dataset) -> None:
    """Raise a UserError if Word2Vec is to be fitted and cannot be, before a run directory is made."""
    if _counts_kmers(model, dataset) and model.embedding.kind == "word2vec" and model.embedding.vectors is None:
        promoters_without_n(dataset.splits["train"].blocks["P"])


def make_vectors(model: KmerConfig, tokens: np.ndarray) -> KmerVectors | None:
    """Read, draw or fit the vectors that ``model.embedding`` asks for."""
    settings = model.embedding
    if settings.vectors is not None:
        say(f"embedding: vectors of {settings.vectors}")
        return load_vectors(Path(settings.vectors))
    if settings.kind == "random":
        return random_vectors(model.k, model.embed_dim, settings.seed)
    if settings.kind != "word2vec":
        return None
    with progress("Word2Vec", settings.epochs, "epochs") as done:
        found = train_word2vec(
            tokens,
            k=model.k,
            dimension=model.embed_dim,
            window=settings.window,
            epochs=settings.epochs,
            negative=settings.negative,
            subsample=settings.subsample,
            workers=settings.workers,
            seed=settings.seed,
            promoters=settings.promoters,
            progress=lambda epoch, _: done(epoch),
        )
    p = found.provenance
    say(
        f"embedding: Word2Vec of {model.k}-mers, {model.embed_dim} numbers each, fitted on {p['promoters_used']:,} "
        f"training promoters ({p['promoters_with_n']:,} with N left out), {p['words_trained']:,} words, "
        f"{duration(p['seconds'])}"
    )
    return found


def actual_shapes(model: ModelConfig, dataset: Dataset, vectors: KmerVectors | None) -> InputShapes:
    """Return the shapes of an encoded dataset, with the vectors that the model is built on."""
    blocks = _blocks(dataset)
    widths = {b: x.shape[1] for b, x in blocks.items() if b != "P"}
    if "P" not in blocks:
        return InputShapes(None, widths, None)
    kind = dataset.description.promoter
    if kind == "bases" and reads_kmers(model):
        kind = "kmers"
    return InputShapes(tuple(blocks["P"].shape[1:]), widths, kind, None if vectors is None else vectors.vectors)


def reads_kmers(model: ModelConfig) -> TypeGuard[KmerConfig]:
    """Tell whether a model reads promoters of bases as counts of k-mers."""
    return model.reads == "kmers"


def _counts_kmers(model: ModelConfig, dataset: Dataset) -> TypeGuard[KmerConfig]:
    """Tell whether a model is fed with k-mers that have to be counted."""
    return reads_kmers(model) and dataset.description.promoter == "bases" and "P" in _blocks(dataset)


def _blocks(dataset: Dataset) -> dict[str, np.ndarray]:
    return dict(dataset.splits["train"].blocks)
