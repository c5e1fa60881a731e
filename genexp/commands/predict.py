"""``genexp predict``: the expression of other sequences, by the model of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from genexp import console
from genexp.api.runs import Run
from genexp.api.training import relative
from genexp.blocks import BLOCKS, PROMOTER
from genexp.config.compose import Composed
from genexp.errors import UserError
from genexp.files import why_not_writable, write_atomically
from genexp.prepare.opening import existing
from genexp.run import check_checkpoint
from genexp.schema import PathText, Schema
from genexp.training.config import HardwareConfig

if TYPE_CHECKING:
    import pandas as pd

    from genexp.dataset.description import DatasetDescription

ORDER = 25

#: Published intron lengths lie up to two bases below zero.
LOWEST = -3

EXAMPLES = (
    ("genexp predict run_dir=DIR fasta=promoters.fa out=p.tsv", "sequences through a run on data=P"),
    ("genexp predict run_dir=DIR table=seqs.csv features=halflife.csv out=p.tsv", "and raw features, joined by id"),
    ("genexp predict run_dir=DIR features=tf.tsv scaled=true out=p.tsv", "features scaled as in the run's dataset"),
)


class Config(Schema):
    """The whole config of ``genexp predict``."""

    run_dir: PathText = Field(description="the run")
    checkpoint: Literal["best", "last"] = Field(description="lowest validation loss, or last epoch")
    fasta: PathText | None = Field(description="FASTA file of promoters")
    table: PathText | None = Field(description="table of promoters: ids, and a column sequence")
    features: PathText | None = Field(description="table of features: ids, and a column for each feature of the run")
    scaled: bool = Field(description="features are scaled as in the dataset of the run")
    out: PathText = Field(description="table of predictions to write")
    hardware: HardwareConfig


def check(config: Config) -> Run:
    """Look at the run, the files and the table to write."""
    run = Run(config.run_dir)
    check_checkpoint(run.files, config.checkpoint)
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
    features: dict[str, np.ndarray] = {}
    if config.features:
        table = read_table(config.features, "features")
        ids = list(table.index) if ids is None else ids
        features = features_of(table, ids, found, config)
    set_up_hardware(config.hardware, verbose=composed.verbose)
    values = found.predict(promoters, features, checkpoint=config.checkpoint)
    predictions = pd.DataFrame({"id": ids} | columns_of(values, found.dataset))
    write_atomically(Path(config.out), predictions.to_csv(sep="\t", index=False))
    console.say(f"{len(predictions):,} predictions: {relative(Path(config.out))}")


def read_table(path: str, key: str) -> pd.DataFrame:
    """Return a CSV or TSV table with its first column, the ids, as index; every cell as text."""
    import pandas as pd

    separator = "," if ".csv" in Path(path).suffixes else "\t"
    try:
        table = pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False, index_col=0)
    except (OSError, ValueError) as error:
        reason = f"{type(error).__name__}: {str(error).splitlines()[0]}"
        raise UserError("this table cannot be read", where=f"{key}={path}", received=reason) from None
    twice = table.index[table.index.duplicated()]
    if len(twice) or not len(table):
        received = f"{twice[0]} twice" if len(twice) else "no rows"
        raise UserError("ids of a table must be there, each once", where=f"{key}={path}", received=received)
    return table


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
    sequences = {str(name): tokens_from_text(text.strip()) for name, text in table["sequence"].items()}
    return stacked(sequences, config.table)


def features_of(table: pd.DataFrame, ids: list[str], run: Run, config: Config) -> dict[str, np.ndarray]:
    """Return the features of each block, (n, width) float32, scaled as in the dataset of the run."""
    where = f"features={config.features}"
    absent = [name for name in ids if name not in table.index]
    if absent:
        raise UserError(f"{len(absent):,} of {len(ids):,} ids have no features, first {absent[0]}", where=where)
    found = {}
    for letter in (letter for letter in run.config.data.name if letter != PROMOTER):
        names = run.dataset.feature_names.get(letter)
        if names is None:
            raise UserError(f"the run does not know the names of block {letter}", where=run.path)
        missing = [name for name in names if name not in table]
        if missing:
            what = f"{len(missing)} of the {len(names)} features of block {letter} are missing"
            more = f" and {len(missing) - 8} more" if len(missing) > 8 else ""
            raise UserError(what, where=where, expected=f"columns {', '.join(missing[:8])}{more}")
        cells = table.loc[ids, list(names)]
        found[letter] = _scaled(_numbers(cells, where), cells, letter, run, config)
    return found


def _numbers(cells: pd.DataFrame, where: str) -> np.ndarray:
    import pandas as pd

    values: np.ndarray = cells.apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
    if not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0]
        place = f"{where}, {cells.index[row]}, column {cells.columns[column]}"
        raise UserError("a feature is no finite number", where=place, received=repr(cells.iat[row, column]))
    return values


def _scaled(values: np.ndarray, cells: pd.DataFrame, letter: str, run: Run, config: Config) -> np.ndarray:
    """Return raw features scaled as in the dataset of the run; `cells` names their rows and columns."""
    scaling: Any = (run.dataset.scaling or {}).get(BLOCKS[letter].input)
    if config.scaled or scaling is None:
        if not config.scaled and not np.isin(values, (0, 1)).all():
            console.warn(f"the run does not know how block {letter} was scaled: its values are taken as they are")
        return values.astype(np.float32)
    keys = ("log10_offset", "mean", "sd")
    offset, mean, sd = (np.array([scaling[name][key] for name in cells], float) for key in keys)
    impossible = np.argwhere((values < LOWEST) & ~np.isnan(offset))
    if len(impossible):
        row, column = impossible[0]
        place = f"features={config.features}, {cells.index[row]}, column {cells.columns[column]}"
        hint = "features that are scaled already need scaled=true"
        raise UserError("a raw length is negative", where=place, received=cells.iat[row, column], hint=hint)
    with np.errstate(invalid="ignore", divide="ignore"):
        logged = np.log10(np.maximum(values, 0) + np.nan_to_num(offset))
    found: np.ndarray = (np.where(np.isnan(offset), values, logged) - mean) / sd
    return found.astype(np.float32)


def columns_of(values: np.ndarray, trained_on: DatasetDescription) -> dict[str, np.ndarray]:
    """Return the columns of the table: of one label ``prediction`` and so on, of several ``prediction_NAME``."""
    labels = trained_on.labels
    of_each = dict(zip(labels, values.T if len(labels) > 1 else [values], strict=True))
    found: dict[str, np.ndarray] = {}
    for label, column in of_each.items():
        own = {"prediction": column} | in_label_units(column, trained_on, label)
        found |= own if len(labels) == 1 else {f"{name}_{label}": value for name, value in own.items()}
    return found


def in_label_units(values: np.ndarray, trained_on: DatasetDescription, label: str) -> dict[str, np.ndarray]:
    """Return the predictions in the unit of a label before scaling, where the dataset says how it was scaled."""
    record: Any = trained_on.scaling or {}
    scaling = record.get("labels", {}).get(label, record.get("label"))
    if scaling is None:
        return {}
    unscaled = values.astype(float) * scaling["sd"] + scaling["mean"]
    if scaling["log10_offset"] is None:
        return {"unscaled": unscaled}
    return {"log10": unscaled, "raw": 10**unscaled - scaling["log10_offset"]}
