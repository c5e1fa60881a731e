"""From a model or checkpoint to predictions, metrics, a table, and plots."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table

from genexp.dataset.batches import inference_batches
from genexp.dataset.description import listed
from genexp.dataset.genes import Dataset, Split
from genexp.dataset.labels import UNNAMED
from genexp.evaluation.metrics import TITLES, Metrics, as_text, by_label, in_all, label_metrics, tied
from genexp.evaluation.plots import Panel, label_scale, plot_density, plot_scatter
from genexp.evaluation.tables import prediction_columns, write_predictions
from genexp.files import in_short
from genexp.models import load_model
from genexp.run import CHECKPOINTS, HELD_OUT, RunDirectory, read_environment, unreadable_checkpoint

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


def predict(model: keras.Model, batches: tf.data.Dataset, genes: int) -> np.ndarray:
    """Return the predictions for the first `genes` genes of `inference_batches`, (genes, labels) float32."""
    return np.asarray(model.predict(batches, verbose=0), np.float32)[:genes]


def predict_split(model: keras.Model, split: Split, batch_size: int) -> np.ndarray:
    """Return the predictions for a split, (n, labels) float32.

    Batches are always full and have the size of training, or of a smaller split: the same model on the same machine
    always gives the same digits, and a TPU compiles one shape.
    """
    return predict(model, inference_batches(split, min(batch_size, len(split))), len(split))


#: Widest that the column of metrics and labels may be, so that the table fits 80 columns; longer names are folded.
NAME_WIDTH = 19


@dataclass(frozen=True)
class Evaluated:
    """Predictions, (n, labels) float32, and metrics of one checkpoint, by split.

    Those of an ensemble are means over its members, and `spread` has their standard deviations, (n, labels).
    """

    dataset: Dataset
    predictions: dict[str, np.ndarray]
    metrics: dict[str, Metrics]
    spread: dict[str, np.ndarray] | None = None


def evaluate_checkpoint(
    run: RunDirectory,
    name: str,
    dataset: Dataset,
    *,
    batch_size: int,
    seed: int,
    splits: Sequence[str] = HELD_OUT,
    outputs: Sequence[int] | None = None,
) -> Evaluated:
    """Read a checkpoint back from disk and evaluate it.

    `batch_size` is that of training, so that the same model on the same machine gives the same digits; `seed` is that
    of the bootstrap; `outputs` are the model's outputs for the labels of the dataset, None for all in their order.
    """
    model = load_checkpoint(run, name)
    predictions, found = {}, {}
    for split in splits:
        genes = dataset.splits[split]
        every = predict_split(model, genes, batch_size)
        predictions[split] = every if outputs is None else every[:, list(outputs)]
        found[split] = label_metrics(genes.labels, predictions[split], dataset.description.labels, seed=seed)
    return Evaluated(dataset, predictions, found)


#: What helps against predictions that are all the same, or have a ceiling.
REMEDY = "wider layers (model.dense), another seed or a lower training.learning_rate may help"


def tied_predictions(result: Evaluated) -> list[str]:
    """Return a sentence for each way in which many different genes get the same prediction."""
    names, found = result.dataset.description.labels, defaultdict[str, list[str]](list)
    for split, values in result.predictions.items():
        distinct = result.dataset.splits[split].distinct_labels()
        for name, (labels, predictions) in zip(names, by_label(distinct, values), strict=True):
            if sentence := tied(predictions, labels):
                of = f", label {name}" if len(names) > 1 else ""
                found[sentence[0]].append(f"{sentence[1]:.1%} of the {split} genes{of}")
    return [f"{what} {listed(where)}; {REMEDY}" for what, where in found.items()]


def load_checkpoint(run: RunDirectory, name: str) -> keras.Model:
    """Open ``best.keras`` or ``last.keras``, which has an output for each label; code in the file is never executed."""
    model = open_checkpoint(run.checkpoint(name))
    labels = read_environment(run)["dataset"].get("labels", UNNAMED)
    if model.output_shape[-1] != len(labels):
        raise unreadable_checkpoint(run.checkpoint(name), f"{model.output_shape[-1]} outputs for {len(labels)} labels")
    return model


def open_checkpoint(path: Path) -> keras.Model:
    """Open a ``.keras`` file; code in the file is never executed."""
    try:
        return load_model(path)
    except Exception as error:  # Keras raises almost anything for a damaged file
        raise unreadable_checkpoint(path, in_short(error)) from error


def write_report(
    result: Evaluated, predictions: Path, plots: Path, title: str, beside: str = "", formats: Sequence[str] = ("png",)
) -> None:
    """Write the predictions as a table, and the plots of the test genes (else of the last split there is), if any.

    The titles of the plots name the dataset, and have a line `beside`, which is what another model reaches.
    """
    description = result.dataset.description
    kinds, numbers = ["label", "prediction"], result.predictions
    if result.spread is not None:
        kinds.append("sd")
        numbers = {split: np.concatenate([x, result.spread[split]], axis=1) for split, x in numbers.items()}
    write_predictions(predictions, prediction_columns(description.labels, kinds), result.dataset, numbers)
    if not formats:
        return
    shown = "test" if "test" in result.predictions else list(result.predictions)[-1]
    labels, values = result.dataset.splits[shown].labels, result.predictions[shown]
    found = result.metrics[shown].get("labels", {})
    panels = [
        Panel(name, *pair, found.get(name, result.metrics[shown]), description.unit, label_scale(description, name))
        for name, pair in zip(description.labels, by_label(labels, values), strict=True)
    ]
    title = f"{title}, {description.name}: {len(labels):,} {shown} genes" + (f"\n{beside}" if beside else "")
    plot_scatter(plots / "scatter.png", panels, title, formats)
    plot_density(plots / "density.png", panels, title, formats)


#: Labels that the closing table lists; metrics.json has all.
LISTED_LABELS = 12


def results_table(found: Mapping[str, Any], checkpoints: Sequence[str] = CHECKPOINTS) -> Table:
    """Return the closing table for the content of metrics.json: a row per metric, a column per checkpoint and split.

    Of several labels it has the means, and below them r2 of each label.
    """
    named = [(f"{name}, {split}", values) for name in checkpoints for split, values in found[name].items()]
    columns = [values for _, values in named]
    labels = list(columns[0].get("labels", ()))
    means = f": means of {len(labels)} labels" if labels else ""
    table = Table(title=f"{found['model']}, {found['data']}{means}", title_justify="left", title_style="bold")
    table.add_column("metric", max_width=NAME_WIDTH, overflow="fold")
    for title, _ in named:
        table.add_column(title, justify="right")
    table.add_row("genes", *(f"{values['n']:,}" for values in columns))
    for name in in_all(columns):
        table.add_row(TITLES.get(name, name), *(as_text(values[name]) for values in columns))
        if f"{name}_ci95" in columns[0]:
            table.add_row("95 % interval", *("{:.3f}-{:.3f}".format(*values[f"{name}_ci95"]) for values in columns))
    if labels:
        table.add_section()
        table.add_row("r² of each label:")
    for name in labels[:LISTED_LABELS]:
        table.add_row(name, *(as_text(values["labels"][name]["r2"]) for values in columns))
    if len(labels) > LISTED_LABELS:
        table.add_row(f"{len(labels) - LISTED_LABELS} others: see metrics.json")
    if baselines := found.get("baselines"):
        table.add_section()
        table.add_row("r² of baselines:")
        for each in baselines:
            r2s = (as_text(each["best"][split]["r2"]) for split in found[checkpoints[0]])  # below the first checkpoint
            table.add_row(f"{each['name'].replace('_', ' ')}, {each['data']}", *r2s)
    return table
