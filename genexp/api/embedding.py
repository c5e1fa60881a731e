"""Making k-mer vectors by Word2Vec from scratch, and the embedded dataset."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from genexp import console
from genexp.api.training import TRAIN, read
from genexp.blocks import PROMOTER
from genexp.config.compose import Command
from genexp.dataset.config import DataConfig
from genexp.dataset.description import Source
from genexp.dataset.sources import choose_window, inspect
from genexp.errors import UserError
from genexp.features.config import KmerLength, Word2VecConfig
from genexp.features.kmers import check_chunks
from genexp.files import free_folder, whole_or_nothing
from genexp.schema import Count, Schema, Window
from genexp.training.config import AnyDataset


class WindowConfig(Schema):
    """The slice of the promoter that is embedded."""

    window: Window | None = Field(
        description="slice [left,right) in promoter coordinates; null: the published one around the TSS"
    )


class Config(Word2VecConfig):
    """The whole config of ``genexp embed``."""

    out: str = Field(description="a new folder, for vectors.npz and the files of the embedded dataset")
    k: KmerLength = Field(description="length of a k-mer")
    dimension: Count = Field(description="length of a vector")
    chunk: Count = Field(description="nt per chunk of the embedded dataset")
    write_dataset: bool = Field(description="write the embedded dataset too")
    data: WindowConfig
    dataset: AnyDataset


@dataclass(frozen=True)
class Plan:
    """An embedding that can be started: its settings, the dataset, the slice of the promoter, the folder to write."""

    config: Config
    source: Source
    window: tuple[int, int]
    out: Path


def check(config: Config) -> Plan:
    """Check the dataset, the window and the folder to write."""
    source = inspect(config.dataset, PROMOTER)
    description = source.description
    if description.promoter != "bases":
        what, where = "the promoters of this dataset are already embedded", f"dataset.root={description.source}"
        received, hint = f"layout {description.layout}", "give the folder of the original dataset"
        raise UserError(what, where=where, received=received, hint=hint)
    data, published = DataConfig(name=PROMOTER, window=config.data.window), [-7000, 3500]
    parts = config.chunk if config.write_dataset else 1
    window, note = choose_window(data, published, parts, description, shorter="lower chunk")
    if window is None:
        raise TypeError("promoters of bases have a window")
    length = window[1] - window[0]
    if length < config.k + 1:
        expected, received = f"at least {config.k + 1} nt", f"{length} nt"
        raise UserError("the window holds no two k-mers", where="data.window", expected=expected, received=received)
    if config.write_dataset:
        check_chunks(length, config.k, config.chunk, group="")
    out = free_folder(config.out)
    if note:
        console.say(note)
    return Plan(config, source, window, out)


def embed(plan: Plan) -> Path:
    """Fit the vectors, write them and the embedded dataset, and return the folder; it appears whole or not at all."""
    from genexp.dataset.writer import write_embedded
    from genexp.features.word2vec import FEW_WORDS, train_word2vec

    config, blocks = plan.config, plan.source.description.blocks
    dataset = read(plan.source, blocks if config.write_dataset else PROMOTER, plan.window)
    with whole_or_nothing(plan.out) as folder:
        folder.mkdir()
        tokens = dataset.splits["train"].blocks[PROMOTER]
        with console.progress("Word2Vec", config.epochs, "epochs") as done:
            vectors = train_word2vec(tokens, config.k, config.dimension, config, done)
        console.say(f"embedding: {vectors.summary()}")
        trained, there = (vectors.provenance[key] for key in ("words_trained", "words_per_epoch"))
        if trained < FEW_WORDS * there * config.epochs:
            console.warn(
                f"subsample={config.subsample} leaves {trained:,} of {there * config.epochs:,} words to train on"
            )
        vectors.save(folder / "vectors.npz")
        if config.write_dataset:
            genes = sum(len(split) for split in dataset.splits.values())
            with console.progress("embedding promoters", genes, "genes") as done:
                empty = write_embedded(folder, dataset, vectors, config.chunk, done)
            if empty:
                console.warn(f"{empty:,} chunks have no {config.k}-mer without N; they are written as zeros")
    return plan.out


EMBED = Command("embed", Config, implied=TRAIN.implied)
