"""Genes of a dataset that a run was trained on already: their metrics are not those of held-out genes."""

from __future__ import annotations

from collections.abc import Iterable

from genexp import console
from genexp.dataset.description import Source
from genexp.dataset.genes import Dataset
from genexp.dataset.labels import choose
from genexp.dataset.overlap import TrainingGenes
from genexp.dataset.sources import inspect, load
from genexp.errors import UserError
from genexp.run import RunDirectory
from genexp.training.config import read_config, read_description

#: Where metrics.json and environment.json hold it.
SEEN = "seen_in_training"
#: By split: how many genes were seen in training; see `TrainingGenes.among`.
Seen = dict[str, dict[str, int]]


def training_genes(source: Source, dataset: Dataset) -> TrainingGenes:
    """Return the training genes of a dataset that was read from `source`."""
    return TrainingGenes.of(dataset.splits["train"], named=_named(source, "train"))


def recorded_genes(run: RunDirectory) -> TrainingGenes | None:
    """Return the genes that a run was trained on, from its record or else its dataset; None if that has changed."""
    if run.training_genes.is_file():
        return TrainingGenes.load(run.training_genes)
    config, trained_on = read_config(run), read_description(run)
    if config.dataset is None:
        return None
    try:
        source = choose(inspect(config.dataset, config.data.name), config.data.labels)
        dataset = load(source, config.data.name, trained_on.window)
    except UserError:
        return None
    return training_genes(source, dataset) if dataset.fingerprint() == trained_on.fingerprint else None


def count_seen(name: str, known: TrainingGenes | None, source: Source, dataset: Dataset, splits: Iterable[str]) -> Seen:
    """Count the genes of some splits that the run `name` was trained on, and warn of them; others are left out."""
    if known is None:
        console.warn(f"which genes {name} was trained on is not known: none can be found in this dataset")
        return {}
    each = {split: known.among(dataset.splits[split], named=_named(source, split)) for split in splits}
    seen = {split: found for split, found in each.items() if found["genes"]}
    for split, found in seen.items():
        how = f"{found['by_name']:,} by name, {found['by_sequence']:,} by promoter"
        console.warn(
            f"{found['genes']:,} of the {found['of']:,} {split} genes were training genes of {name} ({how}): "
            "their metrics are not those of held-out genes"
        )
    return seen


def _named(source: Source, split: str) -> bool:
    """Tell whether the files of a dataset name its genes; simulated genes have names."""
    from genexp.dataset.layouts import GENE

    return not source.arrays or GENE in source.arrays[split]
