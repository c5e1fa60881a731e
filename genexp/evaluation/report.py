"""From a checkpoint to metrics, a table of predictions, and plots."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from rich.table import Table

from genexp.dataset.genes import Dataset
from genexp.evaluation.metrics import metrics
from genexp.evaluation.plots import plot_density, plot_history, plot_scatter
from genexp.evaluation.predict import predict_split
from genexp.files import write_csv
from genexp.models import load_model
from genexp.run.directory import RunDirectory, unreadable_checkpoint

#: The splits that metrics.json reports; training genes say nothing about new ones.
HELD_OUT = ("valid", "test")


@dataclass(frozen=True)
class Evaluated:
    """Metrics and predictions of one checkpoint, by split."""

    dataset: Dataset
    predictions: dict[str, np.ndarray]
    metrics: dict[str, dict[str, Any]]


def evaluate_checkpoint(
    run: RunDirectory, name: str, dataset: Dataset, *, batch_size: int, seed: int, splits: tuple[str, ...] = HELD_OUT
) -> Evaluated:
    """Read a checkpoint back from disk and evaluate it.

    The bootstrap is seeded with the run's seed, so the same predictions give the same intervals.
    """
    model = load_checkpoint(run, name)
    predictions, found = {}, {}
    for split in splits:
        genes = dataset.splits[split]
        # One size for all splits, as far as they fill it, so that evaluating one alone gives the same digits.
        predictions[split] = predict_split(model, genes, min(batch_size, len(genes)))
        found[split] = metrics(genes.labels, predictions[split], seed=seed)
    return Evaluated(dataset, predictions, found)


def load_checkpoint(run: RunDirectory, name: str) -> keras.Model:
    """Open ``best.keras`` or ``last.keras``; never executes code from the file."""
    path = run.checkpoint(name)
    try:
        return load_model(path)
    except (ValueError, OSError, TypeError, KeyError) as error:
        raise unreadable_checkpoint(path, f"{type(error).__name__}: {str(error).splitlines()[0][:200]}") from None


def write_report(result: Evaluated, predictions: Path, plots: Path, title: str) -> None:
    """Write the predictions as a table, and the plots of the test genes (else of the last split there is)."""
    rows = [
        (gene, split, float(label), float(value))
        for split, values in result.predictions.items()
        for gene, label, value in zip(
            result.dataset.splits[split].genes, result.dataset.splits[split].labels, values, strict=True
        )
    ]
    write_csv(predictions, ("gene", "split", "label", "prediction"), rows)
    shown = "test" if "test" in result.predictions else list(result.predictions)[-1]
    labels, values = result.dataset.splits[shown].labels, result.predictions[shown]
    title = f"{title}, {len(labels):,} {shown} genes"
    plots.mkdir(parents=True, exist_ok=True)
    plot_scatter(plots / "scatter.png", labels, values, result.metrics[shown], title)
    plot_density(plots / "density.png", labels, values, title)


def plot_history_of(run: RunDirectory, history: list[dict[str, float]], best_epoch: int, title: str) -> None:
    """Draw the losses over the epochs."""
    run.plots.mkdir(parents=True, exist_ok=True)
    plot_history(run.plots / "history.png", history, best_epoch, title)


def results_table(found: dict[str, Any], checkpoints: tuple[str, ...] = ("best", "last")) -> Table:
    """Return the closing table of a run."""
    table = Table(title=f"{found['model']}, {found['data']}", title_justify="left", title_style="bold")
    for column in ("checkpoint", "split", "genes", "r2", "95 % interval", "spearman", "mse"):
        table.add_column(column, justify="left" if column in ("checkpoint", "split") else "right")
    for checkpoint in checkpoints:
        for split, m in found[checkpoint].items():
            low, high = m["r2_ci95"]
            values = (f"{m[key]:.3f}" for key in ("spearman", "mse"))
            table.add_row(checkpoint, split, f"{m['n']:,}", f"{m['r2']:.3f}", f"{low:.3f} to {high:.3f}", *values)
    return table
