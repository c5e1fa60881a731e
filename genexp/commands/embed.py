"""``genexp embed``: k-mer vectors by Word2Vec from scratch, and the embedded dataset."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from genexp import console
from genexp.commands.train import report_dataset
from genexp.config import DataConfig, EmbedConfig, EmbeddingConfig, KmerModelConfig
from genexp.dataset.genes import Dataset
from genexp.dataset.sources import Source, choose_window, inspect, load
from genexp.errors import UserError
from genexp.files import free_folder, whole_or_nothing
from genexp.models.inputs import make_vectors

ORDER = 40

EXAMPLES = (
    ("genexp embed out=embedding", "vectors and embedded promoters of the demo genes"),
    ("genexp embed out=embedding dataset=xpresso dataset.root=DIR promoters=all", "of all Xpresso promoters"),
    ("genexp embed out=v4 k=4 dimension=100 write_dataset=false dataset=files dataset.root=DIR", "vectors only"),
)

#: The published window, relative to the TSS.
PUBLISHED_WINDOW = [-7000, 3500]


@dataclass(frozen=True)
class Prepared:
    """The promoters in memory, and the settings."""

    config: EmbedConfig
    dataset: Dataset
    model: KmerModelConfig
    out: Path


def check(config: EmbedConfig) -> tuple[Source, tuple[int, int], str]:
    """Look at the dataset, the window and the folder to be written.

    Returns
    -------
    source, window, blocks
        The blocks are those that the embedded dataset gets.
    """
    source = inspect(config.dataset, "P")
    if source.description.promoter != "bases":
        raise UserError(
            "these promoters are embedded already",
            where=f"dataset.root={source.description.source}",
            expected="a dataset of bases (one-hot or tokens)",
            received=f"layout {source.description.layout}",
            do="name the folder of the original dataset",
        )
    window, note = choose_window(DataConfig("P", config.data.window), model_of(config), source.description)
    if window is None or (config.write_dataset and ((window[1] - window[0]) % config.chunk or config.chunk < config.k)):
        raise UserError(
            "the window cannot be cut into chunks",
            where="data.window, chunk and k",
            expected=f"a window that divides by chunk={config.chunk}, and chunk at least k={config.k}",
            received=f"window {window}",
            do="change data.window=[left,right) or chunk",
        )
    free_folder(config.out)
    if note:
        console.say(note)
    return source, window, source.description.blocks


def model_of(config: EmbedConfig) -> KmerModelConfig:
    """Return the settings as those of a model that makes its own vectors."""
    embedding = EmbeddingConfig(
        kind="word2vec",
        trainable=False,
        vectors=None,
        window=config.window,
        epochs=config.epochs,
        negative=config.negative,
        subsample=config.subsample,
        promoters=config.promoters,
        workers=config.workers,
        seed=config.seed,
    )
    return KmerModelConfig(
        name="embed",
        window=PUBLISHED_WINDOW,
        k=config.k,
        chunk=config.chunk,
        embed_dim=config.dimension,
        embedding=embedding,
    )


def prepare(config: EmbedConfig, *, verbose: bool = False) -> Prepared:
    """Read the promoters and, for an embedded dataset, all other blocks."""
    source, window, blocks = check(config)
    dataset = load(source, blocks if config.write_dataset else "P", window)
    report_dataset(dataset, "")
    return Prepared(config, dataset, model_of(config), Path(config.out).expanduser().resolve())


def run(prepared: Prepared, directory: Path | None) -> None:
    """Fit, write into a folder beside the wanted one, and move that into place."""
    from genexp.dataset.writer import write_embedded

    out, config = prepared.out, prepared.config
    with whole_or_nothing(out) as folder:
        folder.mkdir()
        vectors = make_vectors(prepared.model, prepared.dataset.splits["train"].blocks["P"])
        if vectors is None:
            raise TypeError("Word2Vec always makes vectors")
        vectors.save(folder / "vectors.npz")
        if config.write_dataset:
            total = sum(map(len, prepared.dataset.splits.values()))
            with console.progress("embedding promoters", total, "genes") as done:
                empty = write_embedded(folder, prepared.dataset, vectors, config.chunk, lambda genes, _: done(genes))
            if empty:
                console.warn(f"{empty:,} chunks hold no {vectors.k}-mer without N; they are written as zeros")
    for path in sorted(out.iterdir()):
        console.say(f"{path} ({path.stat().st_size / 1024:,.0f} KiB)")
