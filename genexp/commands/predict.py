"""``genexp predict``: the expression of other sequences, by the model of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from genexp import console
from genexp.api.ensembles import Ensemble, Predicted, open_runs
from genexp.api.gene_features import features_by_id, read_table
from genexp.api.runs import Run
from genexp.api.training import relative
from genexp.blocks import PROMOTER
from genexp.config.compose import Composed
from genexp.dataset.description import DatasetDescription
from genexp.dataset.scaling import scales_of
from genexp.errors import UserError
from genexp.files import damage_reported, in_short, why_not_writable, write_atomically
from genexp.prepare.opening import existing
from genexp.run import check_checkpoint
from genexp.schema import PathText, PathTexts, Schema
from genexp.training.config import HardwareConfig

if TYPE_CHECKING:
    pass

ORDER = 25

EXAMPLES = (
    ("genexp predict run_dir=DIR fasta=promoters.fa out=p.tsv", "sequences through a run on data=P"),
    ("genexp predict run_dir=DIR table=seqs.csv features=halflife.csv out=p.tsv", "and raw features, joined by id"),
    ("genexp predict run_dir=SWEEP fasta=promoters.fa out=p.tsv", "mean and sd of all runs of a sweep"),
    ("genexp predict run_dir=DIR features=tf.tsv scaled=true out=p.tsv", "features scaled as in the run's dataset"),
)


class Config(Schema):
    """The whole config of ``genexp predict``."""

    run_dir: PathTexts = Field(description="the run; a list, or the directory of a sweep, is an ensemble")
    checkpoint: Literal["best", "last"] = Field(description="lowest validation loss, or last epoch")
    fasta: PathText | None = Field(description="FASTA file of promoters")
    table: PathText | None = Field(description="table of promoters: ids, and a column sequence")
    features: PathText | None = Field(description="table of features: ids, and a column for each feature of the run")
    scaled: bool = Field(description="features are scaled as in the dataset of the run")
    out: PathText = Field(description="table of predictions to write")
    hardware: HardwareConfig


def check(config: Config) -> Run | Ensemble:
    """Look at the run, or ensemble, the files and the table to write."""
    run = open_runs(config.run_dir)
    for member in run.runs if isinstance(run, Ensemble) else (run,):
        check_checkpoint(member.files, config.checkpoint)
    blocks = run.config.data.name
    sequences = [key for key in ("fasta", "table") if getattr(config, key)]
    if len(sequences) != (PROMOTER in blocks):
        expected = "fasta= or table=" if PROMOTER in blocks else "neither fasta= nor table="
        raise UserError(f"a run on data={blocks} needs {expected}", received=", ".join(sequences) or "neither")
    if (config.features is not None) != bool(set(blocks) - {PROMOTER}):
        expected = "no features=" if config.features else "features=FILE"
        raise UserError(f"a run on data={blocks} needs {expected}", where=f"run_dir={run.path}")
    for key in ("fasta", "table", "features"):
        if getattr(config, key):
            existing(getattr(config, key), key)
    reason = "it exists already" if Path(config.out).exists() else why_not_writable(Path(config.out))
    if reason:
        raise UserError("the table of predictions cannot be written", where=f"out={config.out}", received=reason)
    return run


def run(composed: Composed[Config]) -> None:
    """Predict, and write a table."""
    import pandas as pd

    from genexp.training.strategy import set_up_hardware

    config = composed.config
    found = check(config)
    ids, promoters = promoters_of(config)
    if ids is None:
        ids = list(read_table(str(config.features), "features").index)
    features = features_by_id(found, ids, config.features, scaled=config.scaled)
    set_up_hardware(config.hardware, verbose=composed.verbose)
    predicted = found.predict(promoters, features, checkpoint=config.checkpoint)
    values, sd = predicted if isinstance(predicted, Predicted) else (predicted, None)
    predictions = pd.DataFrame({"id": ids} | columns_of(values, found.dataset, sd))
    write_atomically(Path(config.out), predictions.to_csv(sep="\t", index=False))
    console.say(f"{len(predictions):,} predictions: {relative(Path(config.out))}")


def promoters_of(config: Config) -> tuple[list[str] | None, np.ndarray | None]:
    """Return the ids and the tokens, (n, length) uint8, of the promoters; None for a run without."""
    from genexp.api.prediction import fasta_promoters, stacked
    from genexp.features.tokens import tokens_from_text

    if config.fasta:
        return fasta_promoters(Path(config.fasta))
    if not config.table:
        return None, None
    table = read_table(config.table, "table")
    if "sequence" not in table:
        raise UserError("this table has no column sequence", where=config.table, received=", ".join(table.columns))
    what = "a sequence of this table cannot be read"
    with damage_reported(lambda error: UserError(what, where=config.table, received=in_short(error))):
        sequences = {str(name): tokens_from_text(text.strip()) for name, text in table["sequence"].items()}
    return stacked(sequences, config.table)


def columns_of(
    values: np.ndarray, trained_on: DatasetDescription, sd: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Return the columns of the table: of one label ``prediction`` and so on, of several ``prediction_NAME``.

    `sd` is the standard deviation over the members of an ensemble, in the unit of ``prediction``.
    """
    labels = trained_on.labels
    found: dict[str, np.ndarray] = {}
    for place, label in enumerate(labels):
        each = {"prediction": values} | ({} if sd is None else {"sd": sd})
        own = {name: array if len(labels) == 1 else array[:, place] for name, array in each.items()}
        own |= in_label_units(own["prediction"], trained_on, label)
        found |= own if len(labels) == 1 else {f"{name}_{label}": value for name, value in own.items()}
    return found


def in_label_units(values: np.ndarray, trained_on: DatasetDescription, label: str) -> dict[str, np.ndarray]:
    """Return the predictions in the unit of a label before scaling, where the dataset says how it was scaled."""
    scales = scales_of(trained_on, "label", [label])
    if scales is None:
        return {}
    unscaled = values.astype(float) * scales[0].sd + scales[0].mean
    offset = scales[0].log10_offset
    return {"unscaled": unscaled} if offset is None else {"log10": unscaled, "raw": 10**unscaled - offset}
