"""What the models share that read a promoter as chunks of k-mers: keys and checks; imports no TensorFlow."""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar, Literal, Self

from pydantic import Field

from genexp.errors import UserError
from genexp.features.config import KmerLength, Word2VecConfig
from genexp.models import InputShapes, ModelConfig, PromoterKind
from genexp.schema import Count, PathText

#: Keys of ``model.embedding`` that only Word2Vec reads.
WORD2VEC_SETTINGS = tuple(key for key in Word2VecConfig.model_fields if key != "seed")


class EmbeddingConfig(Word2VecConfig):
    """Where the vector of each k-mer comes from."""

    kind: Literal["auto", "word2vec", "random", "learned", "counts"] = Field(
        description="How the vectors are made: word2vec, random, learned with the model, or counts (no vectors); auto "
        "is the best of the model, or word2vec where one of its settings is given"
    )
    trainable: bool = Field(description="Continue to train the vectors with the model")
    vectors: PathText | None = Field(description="A file with vectors, instead of making them")


class CountConfig(ModelConfig):
    """The keys of every model that reads how often each k-mer occurs in each chunk."""

    reads: ClassVar[Literal["kmers"]] = "kmers"

    #: Kinds of promoters that the network can be built for; see `InputShapes`.
    kinds: ClassVar[tuple[PromoterKind, ...]] = ("kmers",)

    k: KmerLength = Field(description="Length of a k-mer")
    chunk: Count = Field(description="Length in nt of a chunk, in which the k-mers are counted")

    def multiple(self) -> int:
        return self.chunk

    def check(self, shapes: InputShapes) -> None:
        """Raise a TypeError if the promoter is of another kind."""
        if shapes.promoter is None or shapes.promoter_kind not in self.kinds:
            raise TypeError(f"model={self.name} reads promoters as {' or '.join(self.kinds)}, not {shapes}")


class KmerConfig(CountConfig):
    """The keys of the models that represent a chunk by the mean of the vectors of its k-mers."""

    kinds = ("kmers", "embedded")

    #: What ``model.embedding=auto`` is, unless Word2Vec is asked for.
    best_embedding: ClassVar[Literal["word2vec", "random"]] = "word2vec"

    embed_dim: Count = Field(description="Length of a vector; with counts it is 4**k")
    embedding: EmbeddingConfig

    def decided(self, given: Collection[str]) -> Self:
        # Word2Vec if one of its keys is given.
        if self.embedding.kind != "auto":
            return self
        asked = any(f"model.embedding.{name}" in given for name in WORD2VEC_SETTINGS)
        kind = "word2vec" if asked else self.best_embedding
        return self.model_copy(update={"embedding": self.embedding.model_copy(update={"kind": kind})})

    def idle(self, given: Collection[str]) -> dict[str, str]:
        names, kind = ("kind", "seed", *WORD2VEC_SETTINGS), self.embedding.kind
        read = names[: {"word2vec": len(names), "random": 2}.get(kind, 1)]
        unused = [f"model.embedding.{name}" for name in names if self.embedding.vectors or name not in read]
        cause = "model.embedding.vectors" if self.embedding.vectors else f"model.embedding.kind={kind}"
        return {key: cause for key in unused if key in given}

    def check(self, shapes: InputShapes) -> None:
        """Raise a UserError if the promoter, the vectors and the settings of the embedding do not fit each other."""
        super().check(shapes)
        if shapes.promoter is not None and shapes.promoter_kind == "embedded":
            width, when = shapes.promoter[-1], "on precomputed promoter embeddings"
            why = f"{width} numbers per chunk in the dataset"
        elif self.embedding.kind == "counts":
            width, when = 4**self.k, "with model.embedding.kind=counts, which has no vectors"
            why = f"one number per k-mer, 4**k for model.k={self.k}"
        elif shapes.vectors is None or shapes.vectors.shape == (4**self.k, self.embed_dim):
            return
        else:
            raise UserError(
                "the k-mer vectors do not fit the model",
                where="model.k, model.embed_dim and model.embedding.vectors",
                expected=f"{4**self.k:,} vectors of {self.embed_dim} numbers",
                received=" of ".join(f"{n:,}" for n in shapes.vectors.shape),
                hint="set model.k and model.embed_dim to those of the vectors, or make new vectors",
            )
        if self.embed_dim != width:
            raise UserError(
                "the promoters do not fit the model",
                where="model.embed_dim",
                expected=f"{width:,}: {why}",
                received=self.embed_dim,
                hint=f"set model.embed_dim={width}",
            )
        for key in ("trainable", "vectors"):
            if getattr(self.embedding, key):
                where = f"model.embedding.{key}"
                raise UserError(f"{where} has no effect {when}", hint=f"leave {where} out")
