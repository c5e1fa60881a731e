"""The genes of a report one by one: predictions against labels, residuals, and the genes with the largest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from genexp.api.runs import Run
from genexp.blocks import PROMOTER
from genexp.dataset.labels import choose
from genexp.dataset.sources import gene_table, inspect, load
from genexp.errors import UserError
from genexp.evaluation.metrics import mean_r2
from genexp.evaluation.pages.charts import Chart, Row, cloud, forest
from genexp.evaluation.plots import MOST_LABELS, Panel, label_scale
from genexp.evaluation.residuals import by_feature, by_group
from genexp.evaluation.tables import prediction_columns

if TYPE_CHECKING:
    import pandas as pd

#: Genes, features and chromosomes that are listed.
WORST, FEATURES, CHROMOSOMES = 15, 15, 30


def shown(runs: Sequence[Run]) -> Iterator[dict[str, Any]]:
    """Yield for each label its name, charts of the genes and residuals, a table of the worst genes, and a note.

    Of several runs, predictions are averaged; runs of other folds add their own test genes.
    """
    if not all(run.files.predictions.is_file() for run in runs):
        return
    described, split = runs[0].dataset, "test" if "test" in set(runs[0].predictions["split"]) else "valid"
    table = _predictions(runs, split)
    if table.empty:
        return
    table = table.join(gene_table(described), on="gene")
    features, note = _features(runs, split)
    folds = len({run.dataset.fold for run in runs}) > 1
    of = f", {'out of fold,' if folds else 'mean of'} {len(runs)} runs" if len(runs) > 1 else ""
    columns = np.reshape(prediction_columns(described.labels), (2, -1)).T
    for name, pair in zip(described.labels[:MOST_LABELS], columns, strict=False):
        rows = table[table[pair[0]].notna()]
        labels, predictions = rows[list(pair)].to_numpy(float).T
        none = np.empty(0)
        quantity = Panel(name, none, none, {}, described.unit, label_scale(described, name)).quantity()
        title = f"{len(rows):,} {split} genes{of}: Pearson r² {mean_r2(labels[:, None], predictions[:, None]):.3f}"
        charts = [cloud(title, labels, predictions, _texts(rows, labels, predictions), quantity)]
        if "chromosome" in rows and rows["chromosome"].nunique() > 1:
            charts.append(_by_chromosome(rows["chromosome"], labels - predictions))
        if features is not None:
            charts.append(_by_feature(features.loc[rows["gene"]], labels - predictions))
        yield {"name": quantity, "charts": charts, "worst": _worst(rows, labels, predictions), "note": note}


def _predictions(runs: Sequence[Run], split: str) -> pd.DataFrame:
    """Return the genes of a split with labels and mean predictions, in the unit before they were standardised."""
    import pandas as pd

    tables = []
    for run in runs:
        table = run.predictions
        table = table[table["split"] == split].drop(columns="split").reset_index(drop=True)
        labels = run.dataset.labels
        for name, pair in zip(labels, np.reshape(prediction_columns(labels), (2, -1)).T, strict=True):
            mean, sd = label_scale(run.dataset, name) or (0.0, 1.0)
            table[list(pair)] = table[list(pair)] * sd + mean
        tables.append(table)
    if all(table["gene"].equals(tables[0]["gene"]) for table in tables):
        numbers = np.mean([table.drop(columns="gene").to_numpy(float) for table in tables], axis=0)
        return tables[0][["gene"]].join(pd.DataFrame(numbers, columns=tables[0].columns.drop("gene")))
    return pd.concat(tables).groupby("gene", sort=False).mean().reset_index()


def _texts(rows: pd.DataFrame, labels: np.ndarray, predictions: np.ndarray) -> list[str]:
    """Return the text of each point."""
    each = zip(_names(rows), labels, predictions, strict=True)
    return [f"{name}\nmeasured {a:.3g}, predicted {b:.3g}" for name, a, b in each]


def _names(rows: pd.DataFrame) -> pd.Series[str]:
    """Return the id of each gene, and its name where that is another."""
    ids = rows["gene"].astype(str)
    names = rows["gene_name"].fillna("") if "gene_name" in rows else ids
    return ids.where((names == "") | (names.str.lower() == ids.str.lower()), ids + " " + names)


def _by_chromosome(chromosomes: pd.Series[str], residuals: np.ndarray) -> Chart:
    found = by_group(chromosomes.fillna("unknown").to_numpy(str), residuals)[:CHROMOSOMES]
    rows = [Row(name, middle, low, high, f"n = {n:,}") for name, n, low, middle, high in found]
    note = "Median and middle half of measured − predicted."
    return forest("Residuals by chromosome", rows, "residual", zero=True, note=note)


def _by_feature(features: pd.DataFrame, residuals: np.ndarray) -> Chart:
    found = by_feature(features, residuals)
    rows = [Row(name, rho, low, high, f"{rho:+.2f}") for name, rho, low, high in found[:FEATURES]]
    note = (
        f"The {len(rows)} largest of {len(found):,} features of the dataset; 95 % intervals, adjusted for that number "
        "(Bonferroni). A feature whose interval excludes 0 says something about expression that the model has missed."
    )
    return forest("Spearman correlation of residual and feature", rows, "correlation", zero=True, note=note)


def _features(runs: Sequence[Run], split: str) -> tuple[pd.DataFrame | None, str]:
    """Return every feature that the dataset has of the genes of a split, by gene; else why there is none."""
    import pandas as pd

    config, described = runs[0].config, runs[0].dataset
    missing = f"Residuals by feature are not shown: the dataset {{}} ({described.source})."
    if config.dataset is None or len({run.dataset.fold for run in runs}) > 1:
        return None, missing.format("has folds" if config.dataset else "is not named in the config")
    try:
        source = choose(inspect(config.dataset, ""), config.data.labels)
        letters = source.description.blocks.replace(PROMOTER, "")
        if not letters:
            return None, ""
        dataset = load(source, letters, None)
    except UserError as error:
        return None, missing.format(f"cannot be read: {error.what}")
    genes, table = dataset.splits[split], runs[0].predictions
    table = table[table["split"] == split].drop_duplicates("gene")
    labels = pd.DataFrame(genes.labels, index=genes.genes)
    known = prediction_columns(described.labels)[: len(described.labels)]
    if not set(table["gene"]) <= set(labels.index) or labels.index.has_duplicates:
        return None, missing.format("has other genes now")
    if not np.array_equal(labels.loc[table["gene"]], table[known].to_numpy(np.float32), equal_nan=True):
        return None, missing.format("has other labels now")
    names, widths = dataset.description.feature_names, dataset.description.widths
    columns = [name for x in letters for name in names.get(x) or [f"{x}{n}" for n in range(1, widths[x] + 1)]]
    values = np.concatenate([np.asarray(genes.blocks[letter], np.float32) for letter in letters], axis=1)
    return pd.DataFrame(values, index=genes.genes, columns=columns), ""


def _worst(rows: pd.DataFrame, labels: np.ndarray, predictions: np.ndarray) -> dict[str, Any]:
    """Return the genes with the largest residuals as a table."""
    order = np.argsort(-np.abs(labels - predictions), kind="stable")[:WORST]
    names, more = _names(rows), [rows["chromosome"]] if "chromosome" in rows else []
    cells = []
    for n in order:
        numbers = f"{labels[n]:.3f}", f"{predictions[n]:.3f}", f"{labels[n] - predictions[n]:+.3f}"
        cells.append([names.iloc[n], *numbers, *(str(column.iloc[n]) for column in more)])
    head = ["gene", "measured", "predicted", "residual", *(["chr."] if more else [])]
    return {"head": head, "rows": cells}
