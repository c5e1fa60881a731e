"""Whether values can be what expression_scale says that they are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from genexp.errors import UserError
from genexp.prepare.config import Config
from genexp.prepare.ledger import Ledger
from genexp.prepare.tables import Table

_LOG = re.compile(r"(?<![a-z])(log(2|10|1p|e|cpm|tpm|fpkm|rpkm|counts)?|ln|rlog|vst|rma)(?![a-z])")
#: The largest logarithm of anything that can be counted in a cell.
_LARGEST = {"log2": 40, "ln": 28, "log10": 12}
#: Logarithms of expression stay below this; expression itself does not, in any real sample.
_LARGEST_LOG2 = 25


def check_scale(
    config: Config, values: np.ndarray, table: Table, columns: Sequence[str], genes: pd.Series[Any]
) -> None:
    """Raise a UserError if one of (n, columns) values is impossible on its scale.

    `genes` (n,) names the rows; its index is the number of each row in the table, from 0.
    """
    scale = config.expression_scale
    if scale == "as_is":
        return
    if scale == "raw":
        wrong, limit, kind = values < 0, "counts, RPKM, TPM ...: at least 0", "negative"
        hint = "if they are logarithms, set expression_scale=log10 (or log2, ln); else choose other columns"
        if config.source == "sequences":
            limit, hint = "at least 0", "leave expression_scale out: labels of sequences are then taken as they are"
    else:
        wrong, limit = values > _LARGEST[scale], f"at most {_LARGEST[scale]}"
        kind, hint = f"too large to be a logarithm ({scale})", "leave expression_scale out, or set another base"
    for row, column in np.argwhere(wrong)[:1].tolist():
        number, line = int(wrong.sum()), int(genes.index[row]) + table.first_line
        what = f"{number:,} expression values are {kind}" if number > 1 else f"an expression value is {kind}"
        received = f"{values[row, column]:g}"
        raise table.bad_cell(what, columns[column], line, genes.iloc[row], limit, received, hint)
    if scale == "raw" and config.pseudocount == 0 and (zeros := int((values == 0).sum())):
        what, hint = "the logarithm of 0 does not exist", "set pseudocount above 0"
        raise UserError(what, where="pseudocount=0", received=f"{zeros:,} values of 0", hint=hint)


def warn_of_scale(scale: str, values: np.ndarray, names: Sequence[str], ledger: Ledger) -> None:
    """Warn if (n, columns) values say another scale, or one of the names of their columns and, last, of their file."""
    if scale == "as_is":
        return
    largest = float(np.fmax.reduce(values, axis=None, initial=0))
    whole = largest >= _LARGEST_LOG2 if scale == "raw" else largest <= 0
    whole = whole or not (values % 1 > 0).any()
    said = next((text for text in names if _LOG.search(text.lower())), None)
    if scale == "raw" and said is not None:
        ledger.warn(f"{said!r} says that these are logarithms, but expression_scale is raw; is it log2, ln or log10?")
    elif scale == "raw" and not whole:
        ledger.warn(
            f"all values of {names[-1]} are below {_LARGEST_LOG2}, as logarithms are: expression_scale=log2, ln or "
            "log10 takes them as they are; raw takes their logarithm"
        )
    elif scale != "raw" and whole and largest > 0:
        ledger.warn(f"all values of {names[-1]} are whole numbers, as counts are, but expression_scale is {scale}")
