"""The settings of Word2Vec, shared by ``model.embedding`` and ``genexp embed``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from genexp.schema import Count, Schema, Share

#: Length of the k-mers that a model may read.
KmerLength = Annotated[int, Field(ge=1, le=6)]


class Word2VecConfig(Schema):
    """How vectors are fitted."""

    window: Count = Field(description="Word2Vec: k-mers to either side")
    epochs: Count = Field(description="Word2Vec: passes over the promoters")
    negative: Count = Field(description="Word2Vec: negative samples")
    subsample: Share = Field(description="Word2Vec: frequency above which k-mers are dropped at random; 0: none")
    promoters: Count | Literal["auto", "all"] = Field(
        description="training promoters without N to fit Word2Vec on: a number, all, or auto for as many as suffice"
    )
    workers: Count = Field(description="Word2Vec: threads; only with one does the same seed give the same vectors")
    seed: Annotated[int, Field(ge=0, lt=2**32)] = Field(description="of the vectors, fitted or random")
