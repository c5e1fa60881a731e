"""From a model or checkpoint to predictions, metrics, a table, and plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table

from genexp.dataset.batches import inference_batches
from genexp.dataset.genes import Dataset, Split
from genexp.evaluation.metrics import METRICS, TITLES, Metrics, as_text, metrics
from genexp.evaluation.plots import plot_density, plot_scatter
from genexp.files import write_csv
from genexp.models import load_model
from genexp.run import CHECKPOINTS, HELD_OUT, RunDirectory, unreadable_checkpoint

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


def predict(model: keras.Model, batches: tf.data.Dataset, genes: int) -> np.ndarray:
    """Return the predictions for the first `genes` genes of `inference_batches`, (genes,) float32."""
    return np.asarray(model.predict(batches, verbose=0), np.float32)[:genes, 0]


def predict_split(model: keras.Model, split: Split, batch_size: int) -> np.ndarray:
    """Return the predictions for a split, (n,) float32.

    Batches are always full and have the size of training, or of a smaller split: the same model on the same machine
    always gives the same digits, and a TPU compiles one shape.
    """
    return predict(model, inference_batches(split, min(batch_size, len(split))), len(split))


@dataclass(frozen=True)
class Evaluated:
    """Predictions, (n,) float32, and metrics of one checkpoint, by split."""

    dataset: Dataset
    predictions: dict[str, np.ndarray]
    metrics: dict[str, Metrics]


def evaluate_checkpoint(
    run: RunDirectory, name: str, dataset: Dataset, *, batch_size: int, seed: int, splits: Sequence[str] = HELD_OUT
) -> Evaluated:
    """Read a checkpoint back from disk and evaluate it.

    `batch_size` is that of training, so that the same model on the same machine gives the same digits; `seed` is that
    of the bootstrap.
    """
    model = load_checkpoint(run, name)
    predictions, found = {}, {}
    for split in splits:
        genes = dataset.splits[split]
        predictions[split] = predict_split(model, genes, batch_size)
        found[split] = metrics(genes.labels, predictions[split], seed=seed)
    return Evaluated(dataset, predictions, found)


def load_checkpoint(run: RunDirectory, name: str) -> keras.Model:
    """Open ``best.keras`` or ``last.keras``; code in the file is never executed."""
    return open_checkpoint(run.checkpoint(name))


def open_checkpoint(path: Path) -> keras.Model:
    """Open a ``.keras`` file; code in the file is never executed."""
    try:
        return load_model(path)
    except (ValueError, OSError, TypeError, KeyError) as error:
        raise unreadable_checkpoint(path, f"{type(error).__name__}: {str(error).splitlines()[0][:200]}") from None


def write_report(result: Evaluated, predictions: Path, plots: Path, title: str) -> None:
    """Write the predictions as a table, and the plots of the test genes (else of the last split there is)."""
    rows: list[tuple[str, str, float, float]] = []
    for split, values in result.predictions.items():
        genes = result.dataset.splits[split]
        each = zip(genes.genes, genes.labels, values, strict=True)
        rows += [(gene, split, float(label), float(value)) for gene, label, value in each]
    write_csv(predictions, ("gene", "split", "label", "prediction"), rows)
    shown = "test" if "test" in result.predictions else list(result.predictions)[-1]
    labels, values = result.dataset.splits[shown].labels, result.predictions[shown]
    title = f"{title}, {len(labels):,} {shown} genes"
    plot_scatter(plots / "scatter.png", labels, values, result.metrics[shown], title)
    plot_density(plots / "density.png", labels, values, title)


def results_table(found: Mapping[str, Any], checkpoints: Sequence[str] = CHECKPOINTS) -> Table:
    """Return the closing table for the content of metrics.json: a row per metric, a column per checkpoint and split."""
    table = Table(title=f"{found['model']}, {found['data']}", title_justify="left", title_style="bold")
    named = [(f"{name}, {split}", values) for name in checkpoints for split, values in found[name].items()]
    for title in ("metric", *(title for title, _ in named)):
        table.add_column(title, justify="left" if title == "metric" else "right")
    columns = [values for _, values in named]
    table.add_row("genes", *(f"{values['n']:,}" for values in columns))
    for name in METRICS:
        table.add_row(TITLES.get(name, name), *(as_text(values[name]) for values in columns))
        if f"{name}_ci95" in columns[0]:
            table.add_row("95 % interval", *("{:.3f}-{:.3f}".format(*values[f"{name}_ci95"]) for values in columns))
    return table
