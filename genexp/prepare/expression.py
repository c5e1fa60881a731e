"""Expression of each gene from a table with one or many samples."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genexp.errors import UserError, nearest
from genexp.prepare.names import GeneNames, check_unique, without_version
from genexp.prepare.tables import look_at, number_column, read_table, text_columns


@dataclass(frozen=True)
class Expression:
    """Expression by gene.

    Attributes
    ----------
    names
        What the rows with a value are called; columns of text alone are other names.
    values : (n,) float64
        Median (or mean) over the samples.
    samples
        The columns that were used.
    without
        Number of rows without any value.
    """

    names: GeneNames
    values: np.ndarray
    samples: list[str]
    without: int


def read_expression(
    path: Path,
    *,
    samples: Sequence[str] | None = None,
    statistic: str = "median",
    scale: str = "raw",
    strip_versions: bool = False,
) -> Expression:
    """Read a table of genes (first column) by samples; columns of text alone are passed over.

    Parameters
    ----------
    path
        CSV, TSV or GCT, plain or gzip.
    samples
        Names of the columns to use; by default every column with numbers.
    statistic
        ``"median"`` or ``"mean"`` over the samples of a gene; empty cells do not count.
    scale
        ``"raw"`` (counts, RPKM, TPM, ...: not negative) or ``"log10"``, taken as it is.
    strip_versions
        Take versions off gene ids.

    Raises
    ------
    UserError
        For duplicate genes, text or negative values, or columns that are not there.
    """
    where = f"expression={path}"
    table, first_line = read_table(path, "expression"), look_at(path, "expression").skip + 2
    passed_over = text_columns(table)
    chosen = list(samples) if samples else [name for name in table.columns[1:] if name not in passed_over]
    lacking = [name for name in chosen if name not in table.columns]
    if lacking or not chosen:
        raise UserError(
            f"there is no sample {lacking[0]}" if lacking else "no column holds numbers",
            where=f"samples, {where}" if lacking else where,
            expected="the gene in the first column, and columns with expression",
            received=f"columns {', '.join(map(str, table.columns[:12]))}",
            do=(nearest(lacking[0], table.columns) if lacking else "") + "name columns with 'samples=[NAME,...]'",
        )
    genes = [str(name) for name in table.iloc[:, 0]]
    if strip_versions:
        genes = [without_version(gene) for gene in genes]
    check_unique(genes, where, first_line)
    columns = np.column_stack([number_column(table, name, where, first_line) for name in chosen])
    if scale == "raw":
        _check_not_negative(columns, genes, chosen, where, first_line)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # rows without any value, which are counted instead
        values = (np.nanmedian if statistic == "median" else np.nanmean)(columns, axis=1)
    there = ~np.isnan(values)
    others = {str(name): table[name].fillna("").astype(str).to_numpy(str) for name in passed_over}
    names = GeneNames(np.array(genes), others).take(there)
    return Expression(names, values[there], [str(name) for name in chosen], int((~there).sum()))


def _check_not_negative(columns: np.ndarray, genes: list[str], names: list[str], where: str, first_line: int) -> None:
    wrong = np.argwhere(columns < 0)
    if len(wrong):
        row, column = wrong[0]
        raise UserError(
            f"{len(wrong):,} expression values are negative" if len(wrong) > 1 else "an expression value is negative",
            where=f"{where}, column {names[column]}, row {row + first_line:,} (gene {genes[row]})",
            expected="counts, RPKM, TPM ...: at least 0",
            received=f"{columns[row, column]:g}",
            do="set expression_scale=log10 if they are logarithms to base 10 already, or choose columns with samples",
        )
