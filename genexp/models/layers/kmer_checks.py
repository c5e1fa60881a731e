"""What a promoter of k-mers must fulfil before a model is built on it; imports no TensorFlow."""

from __future__ import annotations

from genexp.config import KmerModelConfig
from genexp.errors import UserError
from genexp.models import InputShapes


def check_promoter(config: KmerModelConfig, shapes: InputShapes) -> None:
    """Raise a UserError if the promoter, the vectors and the settings of the embedding do not fit each other.

    Parameters
    ----------
    config
        The ``model`` group of biolstm or transformer.
    shapes
        The inputs; the promoter comes as counts of k-mers or embedded, bases are a programming error.
    """
    if shapes.promoter is None or shapes.promoter_kind not in ("kmers", "embedded"):
        raise TypeError(f"model={config.name} reads k-mer counts or embedded promoters, not {shapes}")
    if shapes.promoter_kind == "embedded":
        _check_embedded(config, shapes.promoter)
    elif config.embedding.kind == "counts":
        _check_counts(config)
    elif shapes.vectors is not None and shapes.vectors.shape != (4**config.k, config.embed_dim):
        raise UserError(
            "the k-mer vectors do not fit the model",
            where="model.k, model.embed_dim and model.embedding.vectors",
            expected=f"{4**config.k:,} vectors of {config.embed_dim} numbers",
            received=" of ".join(f"{n:,}" for n in shapes.vectors.shape),
            do="set model.k and model.embed_dim to those of the vectors, or make new vectors",
        )


def _check_embedded(config: KmerModelConfig, promoter: tuple[int, ...]) -> None:
    """Check promoters that come embedded, with vectors of their own."""
    dimension = promoter[-1]
    if dimension != config.embed_dim:
        raise UserError(
            "the embedded promoters do not fit the model",
            where="model.embed_dim",
            expected=f"{config.embed_dim} numbers per chunk, as model.embed_dim says",
            received=f"{dimension} numbers per chunk in the dataset",
            do=f"set model.embed_dim={dimension}, or use a dataset of bases",
        )
    _no_vectors(
        config,
        "on promoters that come embedded",
        expected="a dataset of bases, or the setting left out",
        received="embedded promoters: their k-mers, and so the vectors of the k-mers, are no longer known",
        do="use a dataset of bases",
    )


def _check_counts(config: KmerModelConfig) -> None:
    """Check promoters whose chunks are fed as the frequencies of their k-mers, without vectors."""
    if config.embed_dim != 4**config.k:
        raise UserError(
            "model.embedding.kind=counts has one number per k-mer",
            where="model.embed_dim",
            expected=f"{4**config.k:,}, which is 4**k for model.k={config.k}",
            received=config.embed_dim,
            do=f"set model.embed_dim={4**config.k}, or choose another model.embedding.kind",
        )
    _no_vectors(
        config,
        "with model.embedding.kind=counts",
        expected="a kind with vectors: word2vec, random or learned",
        received="counts, which has none",
        do="choose another model.embedding.kind",
    )


def _no_vectors(config: KmerModelConfig, when: str, *, expected: str, received: str, do: str) -> None:
    """Refuse settings of vectors where there are none."""
    for key in ("trainable", "vectors"):
        if getattr(config.embedding, key):
            raise UserError(
                f"model.embedding.{key} has no effect {when}",
                where=f"model.embedding.{key}",
                expected=expected,
                received=received,
                do=f"leave model.embedding.{key} out, or {do}",
            )
