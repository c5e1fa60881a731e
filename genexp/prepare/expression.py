"""Expression of each gene from a table with one or many samples."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from genexp.errors import UserError, nearest
from genexp.prepare.names import GeneNames, check_unique, without_version
from genexp.prepare.tables import bad_cell, first_line, is_heading, no_header, number_column, read_table, text_columns

#: Columns that quantifiers, Ensembl's BioMart and annotations write beside the samples, as `_plain` spells them.
_ABOUT_GENES = frozenset(
    {"length", "genelength", "transcriptlength", "exonlength", "cdslength", "effectivelength", "efflength", "width"}
    | {"chr", "chrom", "chromosome", "chromosomename", "chromosomescaffoldname", "seqname", "seqnames", "seqid"}
    | {"contig", "scaffold", "start", "end", "startposition", "endposition", "genestart", "geneend", "genestartbp"}
    | {"geneendbp", "txstart", "txend", "strand", "tss", "tssposition", "transcriptionstartsite", "position"}
    | {"gc", "gccontent", "genegccontent", "percentagegenegccontent", "exoncount", "numexons", "exonnumber"}
    | {"entrez", "entrezid", "entrezgene", "entrezgeneid", "ncbigeneid", "hgncid", "geneid"}
)
#: Units in which one sample may stand several times; the first that is there is the one to recommend.
_UNITS = (
    *("tpm", "fpkm", "rpkm", "cpm", "pmetpm", "pmefpkm", "expectedcount", "posteriormeancount", "estcounts"),
    *("estimatedcounts", "numreads", "counts", "count", "rawcounts", "rawcount", "readcount", "readcounts", "reads"),
    *("coverage", "isopct"),
)
#: Rows that HTSeq writes below the genes, for the reads that it counted for none of them.
_NO_GENES = ("__no_feature", "__ambiguous", "__too_low_aQual", "__not_aligned", "__alignment_not_unique")
#: No logarithm to base 10 of anything that can be counted in a cell is larger.
_LARGEST_LOG10 = 12

_CHOOSE = "name columns with 'samples=[NAME,...]'"


@dataclass(frozen=True)
class Expression:
    """Expression by gene: median (or mean) over the samples, for the rows that have a value.

    Attributes
    ----------
    names
        What the rows are called; columns of text alone are other names.
    values : (n,) float64
    samples, left_out
        The columns that were used, and those with numbers that describe the gene rather than a sample.
    without
        Number of rows without any value.
    heading
        What the header calls the first column.
    """

    names: GeneNames
    values: np.ndarray
    samples: list[str]
    without: int
    left_out: list[str]
    heading: str

    def columns(self, statistic: str) -> str:
        """Return which columns were used, and which were left out, as a sentence."""
        number, few = len(self.samples), _few(self.samples, 4)
        used = f"{statistic} of {number:,} columns: {few}" if number > 1 else f"column {few}"
        return used + (f"; left out as not samples: {', '.join(self.left_out)}" if self.left_out else "")


def read_expression(
    path: Path,
    *,
    samples: Sequence[str] | None = None,
    statistic: str = "median",
    scale: str = "raw",
    strip_versions: bool = False,
) -> Expression:
    """Read a table of genes (first column) by samples.

    Columns of text alone, and those whose name says that they describe the gene (its length or place), are not samples.

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
        Remove versions from gene ids.

    Raises
    ------
    UserError
        For duplicate genes, text or negative values, or columns that are not there.
    """
    where, first = f"expression={path}", first_line(path, "expression")
    table = read_table(path, "expression")
    table = table[~table.iloc[:, 0].isin(_NO_GENES)]
    _check_header(table, path)
    texts = text_columns(table)
    left_out = [] if samples else [name for name in table.columns[1:] if _plain(name) in _ABOUT_GENES]
    chosen = list(samples) if samples else _samples(table, [*texts, *left_out], where)
    _check_samples(table, chosen, where)
    genes = [without_version(str(name)) if strip_versions else str(name) for name in table.iloc[:, 0]]
    check_unique(genes, where, first)
    hint = "correct the value, or name the columns that hold numbers with 'samples=[NAME,...]'"
    columns = np.column_stack([number_column(table, name, where, first, hint) for name in chosen])
    _check_scale(columns, scale, where, chosen, genes, first)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # rows without any value, which are counted instead
        values = (np.nanmedian if statistic == "median" else np.nanmean)(columns, axis=1)
    there = ~np.isnan(values)
    others = {str(name): table[name].fillna("").astype(str).to_numpy(str) for name in texts if name not in left_out}
    names = GeneNames(np.array(genes), others).take(there)
    heading, used = table.columns[0], list(map(str, chosen))
    return Expression(names, values[there], used, int((~there).sum()), list(map(str, left_out)), heading)


def _plain(name: object) -> str:
    """Return a heading without case and separators."""
    return re.sub(r"[^a-z0-9]", "", str(name).lower())


def _check_header(table: pd.DataFrame, path: Path) -> None:
    """Check that the header is not a row of data, as in the counts of HTSeq."""
    numbers = [n for n in table.columns[1:] if re.fullmatch(r"-?[0-9.]+(e[-+]?[0-9]+)?", str(n), re.IGNORECASE)]
    if numbers and not is_heading(table.columns[0]):
        example = ["gene", *(f"S{n}" for n in range(1, len(table.columns)))]
        raise no_header(path, "expression", list(table.columns), example)


def _samples(table: pd.DataFrame, others: Sequence[str], where: str) -> list[str]:
    """Return the columns that are samples, or raise a UserError if there are none, or several units of one sample."""
    found = [name for name in table.columns[1:] if name not in others]
    units = {_plain(name): name for name in found if _plain(name) in _UNITS}
    if len(units) > 1:
        best = next(units[unit] for unit in _UNITS if unit in units)
        what, received = (
            "the table has several units of one sample, which cannot be averaged",
            ", ".join(units.values()),
        )
        raise UserError(what, where=where, received=received, hint=f"choose one: 'samples=[{best}]'")
    if not found:
        raise UserError("no column holds numbers", where=where, received=f"columns {_few(table.columns)}", hint=_CHOOSE)
    return found


def _check_samples(table: pd.DataFrame, chosen: Sequence[str], where: str) -> None:
    """Check that the columns are there, each once."""
    lacking = next((name for name in chosen if name not in table.columns), None)
    if lacking is not None:
        received = f"columns {_few(table.columns)}"
        hint = nearest(lacking, map(str, table.columns)) + _CHOOSE
        raise UserError(f"there is no sample {lacking}", where=f"samples, {where}", received=received, hint=hint)
    twice = [name for name, number in Counter(chosen).items() if number > 1]
    if twice:
        raise UserError(f"sample {twice[0]} is named twice", where="samples", hint="name it once")


def _few(names: Iterable[object], number: int = 12) -> str:
    every = list(map(str, names))
    more = f" and {len(every) - number:,} more" if len(every) > number else ""
    return ", ".join(every[:number]) + more


def _check_scale(
    columns: np.ndarray, scale: str, where: str, chosen: Sequence[str], genes: Sequence[str], first: int
) -> None:
    """Check that values can be what `scale` says they are."""
    wrong = np.argwhere(columns < 0 if scale == "raw" else columns > _LARGEST_LOG10)
    if not len(wrong):
        return
    row, column = map(int, wrong[0])
    what = f"{len(wrong):,} expression values are" if len(wrong) > 1 else "an expression value is"
    if scale == "raw":
        what, expected = f"{what} negative", "counts, RPKM, TPM ...: at least 0"
        hint = "set expression_scale=log10 if they are log10 values already, or choose columns with samples"
    else:
        what, expected = f"{what} too large to be a logarithm to base 10", f"at most {_LARGEST_LOG10}"
        hint = "leave expression_scale out for plain values; convert logarithms to another base"
    value = f"{columns[row, column]:g}"
    raise bad_cell(what, where, chosen[column], row + first, genes[row], expected, value, hint)
