"""Tables of predictions: their columns, in the unit of the label too, and writing them batch after batch."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from genexp.dataset.description import DatasetDescription
from genexp.dataset.scaling import scales_of
from genexp.errors import UserError
from genexp.evaluation.repeats import mean_and_sd
from genexp.files import whole_or_nothing, why_not_writable, write_json

if TYPE_CHECKING:
    import pandas as pd

#: By suffix, whether a table is Parquet; other tables are TSV.
SUFFIXES = {".tsv": False, ".txt": False, ".parquet": True}

Write = Callable[["pd.DataFrame"], None]


def check_table(path: Path, key: str = "out", others: Sequence[str] = ()) -> None:
    """Raise a UserError unless a table can be written at a path that is free; `others` are suffixes of other files."""
    reason = "it exists already" if path.exists() else why_not_writable(path)
    where = f"{key}={path}"
    if path.suffix not in SUFFIXES:
        expected = f"a name that ends in {' or '.join([*SUFFIXES, *others])}"
        what, hint = "the suffix of the table tells no format", f"{key}={shlex.quote(str(path.with_suffix('.tsv')))}"
        raise UserError(what, where=where, expected=expected, received=path.suffix, hint=hint)
    if reason:
        hint = "choose another name"
        raise UserError("the table cannot be written", where=where, received=reason, hint=hint)


@contextmanager
def table_writer(path: Path, record: Mapping[str, Any]) -> Iterator[Write]:
    """Yield a function that adds rows to a table, which is there when the context ends, and after an error not at all.

    `record` says how it was made; it becomes a JSON file beside the table.
    """
    with whole_or_nothing(path) as file, (_parquet if SUFFIXES[path.suffix] else _tsv)(file) as write:
        yield write
    write_json(path.with_name(f"{path.name}.json"), record)


@contextmanager
def _tsv(path: Path) -> Iterator[Write]:
    with path.open("w", encoding="utf-8", newline="") as file:
        yield lambda rows: rows.to_csv(file, sep="\t", index=False, header=file.tell() == 0)


@contextmanager
def _parquet(path: Path) -> Iterator[Write]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with ExitStack() as opened:
        writer: list[pq.ParquetWriter] = []

        def write(rows: pd.DataFrame) -> None:
            table = pa.Table.from_pandas(rows, preserve_index=False)
            if not writer:
                writer.append(opened.enter_context(pq.ParquetWriter(path, table.schema)))
            writer[0].write_table(table)

        yield write


def columns_of(found: np.ndarray, trained_on: DatasetDescription) -> dict[str, np.ndarray]:
    """Return the columns for predictions of a `Predictor`, (members, n, labels) float32.

    Of one label they are ``prediction``, of several ``prediction_NAME``, and so on: ``sd`` is the standard deviation
    over several members, in the unit of ``prediction``; then follows the unit of the label, where it is known.
    """
    mean, sd = mean_and_sd(found) if len(found) > 1 else (found[0], None)
    columns: dict[str, np.ndarray] = {}
    for place, label in enumerate(trained_on.labels):
        own = {"prediction": mean[:, place]} | ({} if sd is None else {"sd": sd[:, place]})
        own |= in_label_units(own["prediction"], trained_on, label)
        one = len(trained_on.labels) == 1
        columns |= own if one else {f"{name}_{label}": values for name, values in own.items()}
    return columns


def in_label_units(values: np.ndarray, trained_on: DatasetDescription, label: str) -> dict[str, np.ndarray]:
    """Return the predictions in the unit of a label before scaling, where the dataset says how it was scaled."""
    scales = scales_of(trained_on, "label", [label])
    if scales is None:
        return {}
    unscaled = values.astype(float) * scales[0].sd + scales[0].mean
    offset = scales[0].log10_offset
    return {"unscaled": unscaled} if offset is None else {"log10": unscaled, "raw": 10**unscaled - offset}
