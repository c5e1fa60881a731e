"""From a dataset to what a model is fed: bases, counts of k-mers or precomputed embeddings, and feature blocks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from genexp.blocks import PROMOTER
from genexp.dataset.description import DatasetDescription, Source
from genexp.dataset.genes import SPLITS, Dataset, Split
from genexp.errors import UserError
from genexp.features.kmer_vectors import KmerVectors, load_vectors, random_vectors
from genexp.features.kmers import check_chunks, chunk_counts, empty_chunks
from genexp.features.word2vec import Progress, promoters_without_n, train_word2vec
from genexp.models import InputShapes, ModelConfig, PromoterKind, config_class, names
from genexp.models.layers.kmer_config import CountConfig, KmerConfig

Report = Callable[[str], None]


def promoter_kind(config: ModelConfig, promoter: str | None, blocks: str) -> PromoterKind | None:
    """Return what a model is fed of a promoter: every other question about it is answered by this.

    `promoter` is what the dataset holds, `blocks` are those that are used.
    """
    if PROMOTER not in blocks or promoter is None:
        return None
    if promoter != "embedded":
        return config.reads
    if not isinstance(config, KmerConfig):
        others = " or ".join(f"model={name}" for name in names() if issubclass(config_class(name), KmerConfig))
        raise UserError(
            f"model={config.name} reads {config.reads}, and this dataset has precomputed promoter embeddings",
            hint=f"choose {others}, or a dataset of bases",
        )
    return "embedded"


def _counted(config: ModelConfig, promoter: str | None, blocks: str) -> CountConfig | None:
    """Return the config if the model is fed with k-mers that have to be counted, else None."""
    counted = promoter_kind(config, promoter, blocks) == "kmers"
    return config if counted and isinstance(config, CountConfig) else None


def input_shapes(
    config: ModelConfig,
    description: DatasetDescription,
    blocks: str,
    window: tuple[int, int] | None,
    vectors: Path | None = None,
) -> InputShapes:
    """Return the shapes of a model's inputs, which are known before the genes are read.

    `vectors` is the file with the k-mer vectors of a run; where it exists, ``model.embedding.vectors`` is not read.
    """
    widths = {letter: width for letter, width in description.widths.items() if letter in blocks}
    kind = promoter_kind(config, description.promoter, blocks)
    labels = len(description.labels)
    if kind is None:
        return InputShapes(None, widths, None, labels=labels)
    if kind == "embedded":
        chunks = (description.promoter_length or 0, description.embed_dim or 0)
        return InputShapes(chunks, widths, kind, labels=labels)
    length = window[1] - window[0] if window else 0
    if not isinstance(config, CountConfig):
        return InputShapes((length,), widths, kind, labels=labels)
    check_chunks(length, config.k, config.chunk)
    given = config.embedding.vectors if isinstance(config, KmerConfig) else None
    file = vectors if vectors and vectors.is_file() else given
    loaded = None if file is None else load_vectors(Path(file)).vectors
    return InputShapes((length // config.chunk, 4**config.k), widths, kind, loaded, labels)


def encode(dataset: Dataset, config: ModelConfig, warn: Report, encoded: Sequence[str] = SPLITS) -> Dataset:
    """Return the dataset with promoters as k-mer counts where the model reads k-mers.

    `warn` is called with a sentence if chunks hold no k-mer, because of N. The promoters of splits other than `encoded`
    stay as they are, and are not counted in it.
    """
    promoter, splits = dataset.description.promoter, dataset.splits
    counted = {name: encode_split(splits[name], config, promoter) for name in encoded if name in splits}
    if _counted(config, promoter, "".join(splits["train"].blocks)):
        empty = sum(empty_chunks(split.blocks[PROMOTER]) for split in counted.values())
        if empty:
            warn(f"{empty:,} chunks contain no k-mer without N; the model is fed zeros there")
    return replace(dataset, splits={**splits, **counted})


def with_encoded_size(
    source: Source, config: ModelConfig, shapes: InputShapes, encoded: Sequence[str] = SPLITS
) -> Source:
    """Return the dataset with the memory that `encode` takes, so that reading it takes that into account."""
    if shapes.promoter_kind != "kmers" or shapes.promoter is None or not isinstance(config, CountConfig):
        return source
    size = math.prod(shapes.promoter) * np.min_scalar_type(config.chunk - config.k + 1).itemsize  # `chunk_counts`
    return replace(source, encoded={name: size for name in encoded if name in source.description.genes})


def encode_split(split: Split, config: ModelConfig, promoter: str | None) -> Split:
    """Return one split as the model is fed with it; `promoter` is what it holds, ``"bases"`` or ``"embedded"``."""
    kmers = _counted(config, promoter, "".join(split.blocks))
    if kmers is None:
        return split
    counts = chunk_counts(split.blocks[PROMOTER], kmers.k, kmers.chunk)
    return replace(split, blocks={**split.blocks, PROMOTER: counts})


def vectors_for(
    config: ModelConfig, dataset: Dataset, path: Path, say: Report, progress: Progress | None = None
) -> KmerVectors | None:
    """Return the k-mer vectors that a model starts from, kept in the run; None where it learns its own or has none.

    The file at `path` exists if the run is resumed or retried, which uses the same vectors. Otherwise they are read,
    drawn, or fitted on the training promoters alone; `say` is called with a sentence about them.
    """
    training = dataset.splits["train"].blocks
    kmers = _counted(config, dataset.description.promoter, "".join(training))
    if not isinstance(kmers, KmerConfig):
        return None
    settings = kmers.embedding
    if path.is_file():
        return load_vectors(path)
    if settings.vectors is not None:
        found = load_vectors(Path(settings.vectors))
    elif settings.kind == "random":
        found = random_vectors(kmers.k, kmers.embed_dim, settings.seed)
    elif settings.kind == "word2vec":
        found = train_word2vec(training[PROMOTER], kmers.k, kmers.embed_dim, settings, progress)
    else:
        return None
    path.parent.mkdir(parents=True, exist_ok=True)
    found.save(path)
    say(f"embedding: {found.summary()}")
    return found


def check_vectors(config: ModelConfig, dataset: Dataset) -> None:
    """Raise a UserError if Word2Vec is to be fitted and cannot be, before a run directory is made."""
    training = dataset.splits["train"].blocks
    kmers = _counted(config, dataset.description.promoter, "".join(training))
    if isinstance(kmers, KmerConfig) and kmers.embedding.kind == "word2vec" and kmers.embedding.vectors is None:
        promoters_without_n(training[PROMOTER])


def describe(config: ModelConfig, shapes: InputShapes) -> str:
    """Return what a model is fed of a promoter, in words."""
    if shapes.promoter is None:
        return "no promoters"
    if shapes.promoter_kind == "embedded":
        return "precomputed promoter embeddings (model.k, model.chunk and model.embedding have no effect)"
    if isinstance(config, CountConfig):
        vectors = config.embedding.vectors or config.embedding.kind if isinstance(config, KmerConfig) else "counts"
        return f"k-mer counts of {shapes.promoter[0]} chunks of {config.chunk} nt (embedding: {vectors})"
    return "bases"
