"""From a dataset to what a model is fed: bases, counts of k-mers or precomputed embeddings, and feature blocks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from genexp.blocks import PROMOTER
from genexp.dataset.description import DatasetDescription
from genexp.dataset.genes import Dataset, Split
from genexp.errors import UserError
from genexp.features.kmer_vectors import KmerVectors, load_vectors, random_vectors
from genexp.features.kmers import check_chunks, chunk_counts, empty_chunks
from genexp.features.word2vec import promoters_without_n, train_word2vec
from genexp.models import InputShapes, ModelConfig, PromoterKind, config_class, names
from genexp.models.layers.kmer_config import KmerConfig

Report = Callable[[str], None]
Progress = Callable[[int, int], None]


def promoter_kind(config: ModelConfig, promoter: str | None, blocks: str) -> PromoterKind | None:
    """Return what a model is fed of a promoter: every other question about it is answered by this.

    Parameters
    ----------
    config
        The ``model`` group.
    promoter
        What the dataset holds: ``"bases"``, ``"embedded"`` or None.
    blocks
        The blocks that are used.

    Raises
    ------
    UserError
        If the model reads bases and the dataset holds precomputed embeddings.
    """
    if PROMOTER not in blocks or promoter is None:
        return None
    if promoter != "embedded":
        return config.reads
    if config.reads != "kmers":
        others = " or ".join(f"model={name}" for name in names() if config_class(name).reads == "kmers")
        raise UserError(
            f"model={config.name} reads bases, and this dataset has precomputed promoter embeddings",
            hint=f"choose {others}, or a dataset of bases",
        )
    return "embedded"


def expected_shapes(
    config: ModelConfig,
    description: DatasetDescription,
    blocks: str,
    window: tuple[int, int] | None,
    vectors: Path | None = None,
) -> InputShapes:
    """Return the shapes of a model's inputs from what is known before the genes are read.

    Parameters
    ----------
    config, description, blocks, window
        The ``model`` group, the dataset, the blocks that are used, the slice of the promoter.
    vectors
        The file with the k-mer vectors of a resumed run; where it exists, ``model.embedding.vectors`` is not read.

    Raises
    ------
    UserError
        When the model cannot read these promoters, the window does not divide into chunks, or the file of vectors
        cannot be read.
    """
    widths = {letter: width for letter, width in description.widths.items() if letter in blocks}
    kind = promoter_kind(config, description.promoter, blocks)
    if kind is None:
        return InputShapes(None, widths, None)
    if kind == "embedded":
        return InputShapes((description.promoter_length or 0, description.embed_dim or 0), widths, kind)
    length = window[1] - window[0] if window else 0
    if not isinstance(config, KmerConfig):
        return InputShapes((length,), widths, kind)
    check_chunks(length, config.k, config.chunk)
    file = vectors if vectors and vectors.is_file() else config.embedding.vectors
    loaded = None if file is None else load_vectors(Path(file)).vectors
    return InputShapes((length // config.chunk, 4**config.k), widths, kind, loaded)


def actual_shapes(config: ModelConfig, dataset: Dataset, vectors: KmerVectors | None) -> InputShapes:
    """Return the shapes of an encoded dataset, with the vectors that the model is built on."""
    blocks = dataset.splits["train"].blocks
    widths = {letter: values.shape[1] for letter, values in blocks.items() if letter != PROMOTER}
    kind = promoter_kind(config, dataset.description.promoter, "".join(blocks))
    promoter = None if kind is None else tuple(blocks[PROMOTER].shape[1:])
    return InputShapes(promoter, widths, kind, None if vectors is None else vectors.vectors)


def encode(dataset: Dataset, config: ModelConfig, *, warn: Report | None = None) -> Dataset:
    """Return the dataset as the model is fed with it: promoters as k-mer counts where the model reads k-mers.

    Parameters
    ----------
    dataset
        As it was loaded.
    config
        The ``model`` group.
    warn
        Called with a sentence if chunks hold no k-mer, because of N.
    """
    splits = {name: encode_split(split, config, dataset.description.promoter) for name, split in dataset.splits.items()}
    if warn and _kmers_of(dataset, config):
        empty = sum(empty_chunks(split.blocks[PROMOTER]) for split in splits.values())
        if empty:
            warn(f"{empty:,} chunks contain no k-mer without N; the model is fed zeros there")
    return replace(dataset, splits=splits)


def encode_split(split: Split, config: ModelConfig, promoter: str | None) -> Split:
    """Return one split as the model is fed with it; `promoter` is what it holds, ``"bases"`` or ``"embedded"``."""
    if promoter_kind(config, promoter, "".join(split.blocks)) != "kmers" or not isinstance(config, KmerConfig):
        return split
    counts = chunk_counts(split.blocks[PROMOTER], config.k, config.chunk)
    return replace(split, blocks={**split.blocks, PROMOTER: counts})


def vectors_for(
    config: ModelConfig, dataset: Dataset, path: Path, *, say: Report | None = None, progress: Progress | None = None
) -> KmerVectors | None:
    """Return the k-mer vectors that a model starts from, kept in the run.

    Parameters
    ----------
    config
        The ``model`` group.
    dataset
        As it was loaded; Word2Vec is fitted on the training promoters alone.
    path
        The file of the run for them. If it exists, the run is resumed or retried, and uses the same vectors.
    say
        Called with a sentence about the vectors that were made.
    progress
        Called with (epochs done, epochs) while Word2Vec is fitted.

    Returns
    -------
    KmerVectors or None
        None where the model learns its vectors from the start, uses none, or does not read k-mers.
    """
    kmers = _kmers_of(dataset, config)
    if kmers is None:
        return None
    if path.is_file():
        return load_vectors(path)
    found = _made_vectors(kmers, dataset.splits["train"].blocks[PROMOTER], progress=progress)
    if found is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        found.save(path)
        if say:
            say(f"embedding: {found.summary()}")
    return found


def check_vectors(config: ModelConfig, dataset: Dataset) -> None:
    """Raise a UserError if Word2Vec is to be fitted and cannot be, before a run directory is made."""
    kmers = _kmers_of(dataset, config)
    if kmers and kmers.embedding.kind == "word2vec" and kmers.embedding.vectors is None:
        promoters_without_n(dataset.splits["train"].blocks[PROMOTER])


def _made_vectors(config: KmerConfig, tokens: np.ndarray, *, progress: Progress | None) -> KmerVectors | None:
    """Read, draw or fit the vectors that ``model.embedding`` asks for; None where it asks for none."""
    settings = config.embedding
    if settings.vectors is not None:
        return load_vectors(Path(settings.vectors))
    if settings.kind == "random":
        return random_vectors(config.k, config.embed_dim, settings.seed)
    if settings.kind != "word2vec":
        return None
    return train_word2vec(tokens, config.k, config.embed_dim, settings, progress)


def _kmers_of(dataset: Dataset, config: ModelConfig) -> KmerConfig | None:
    """Return the config if the model is fed with k-mers that have to be counted, else None."""
    kind = promoter_kind(config, dataset.description.promoter, "".join(dataset.splits["train"].blocks))
    return config if kind == "kmers" and isinstance(config, KmerConfig) else None


def describe(config: ModelConfig, shapes: InputShapes) -> str:
    """Return what a model is fed of a promoter, in words."""
    if shapes.promoter is None:
        return "no promoters"
    if shapes.promoter_kind == "embedded":
        return "precomputed promoter embeddings (model.k, model.chunk and model.embedding have no effect)"
    if isinstance(config, KmerConfig):
        vectors = config.embedding.vectors or config.embedding.kind
        return f"k-mer counts of {shapes.promoter[0]} chunks of {config.chunk} nt (embedding: {vectors})"
    return "bases"
