"""Expression of each gene from a table with one or many samples."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from genexp.errors import UserError, nearest
from genexp.prepare.names import GeneNames, check_unique, without_version
from genexp.prepare.tables import first_line, is_heading, no_header, number_column, read_table, text_columns

if TYPE_CHECKING:
    import pandas as pd

#: Columns that quantifiers, Ensembl's BioMart and annotations write beside the samples, as `_plain` spells them.
_ABOUT_GENES = frozenset(
    {"length", "genelength", "transcriptlength", "exonlength", "cdslength", "effectivelength", "efflength", "width"}
    | {"chr", "chrom", "chromosome", "chromosomename", "chromosomescaffoldname", "seqname", "seqnames", "seqid"}
    | {"contig", "scaffold", "start", "end", "startposition", "endposition", "genestart", "geneend", "genestartbp"}
    | {"geneendbp", "txstart", "txend", "strand", "tss", "tssposition", "transcriptionstartsite", "position"}
    | {"gc", "gccontent", "genegccontent", "percentagegenegccontent", "exoncount", "numexons", "exonnumber"}
    | {"entrez", "entrezid", "entrezgene", "entrezgeneid", "ncbigeneid", "hgncid", "geneid"}
)
#: Units in which one sample may stand several times; the first that is there is the one to advise.
_UNITS = (
    *("tpm", "fpkm", "rpkm", "cpm", "pmetpm", "pmefpkm", "expectedcount", "posteriormeancount", "estcounts"),
    *("estimatedcounts", "numreads", "counts", "count", "rawcounts", "rawcount", "readcount", "readcounts", "reads"),
    *("coverage", "isopct"),
)
#: Rows that HTSeq writes below the genes, for the reads that it counted for none of them.
_NO_GENES = ("__no_feature", "__ambiguous", "__too_low_aQual", "__not_aligned", "__alignment_not_unique")
#: No logarithm to base 10 of anything that can be counted in a cell is larger.
_LARGEST_LOG10 = 12


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
    left_out
        Columns with numbers that describe the gene rather than a sample.
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
        """Say which columns were used, and which were left out."""
        number, few = len(self.samples), ", ".join(self.samples[:4])
        more = f" and {number - 4:,} more" if number > 4 else ""
        used = f"{statistic} of {number:,} columns: {few}{more}" if number > 1 else f"column {few}"
        return used + (f"; left out as no samples: {', '.join(self.left_out)}" if self.left_out else "")


def read_expression(
    path: Path,
    *,
    samples: Sequence[str] | None = None,
    statistic: str = "median",
    scale: str = "raw",
    strip_versions: bool = False,
) -> Expression:
    """Read a table of genes (first column) by samples.

    Columns of text alone, and those whose name says that they describe the gene (its length or place), are passed over.

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
    where, first = f"expression={path}", first_line(path, "expression")
    table = read_table(path, "expression")
    table = table[~table.iloc[:, 0].isin(_NO_GENES)]
    _check_header(table, path)
    passed_over = text_columns(table)
    left_out = [] if samples else [name for name in table.columns[1:] if _plain(name) in _ABOUT_GENES]
    chosen = list(samples) if samples else _samples(table, [*passed_over, *left_out], where)
    _check_samples(table, chosen, where)
    genes = [str(name) for name in table.iloc[:, 0]]
    if strip_versions:
        genes = [without_version(gene) for gene in genes]
    check_unique(genes, where, first)
    do = "mend the value, or name the columns that hold numbers with 'samples=[NAME,...]'"
    columns = np.column_stack([number_column(table, name, where, first, do) for name in chosen])
    _check_scale(
        columns, scale, lambda row, column: f"column {chosen[column]}, row {row + first:,} (gene {genes[row]})", where
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # rows without any value, which are counted instead
        values = (np.nanmedian if statistic == "median" else np.nanmean)(columns, axis=1)
    there = ~np.isnan(values)
    texts = [name for name in passed_over if name not in left_out]
    others = {str(name): table[name].fillna("").astype(str).to_numpy(str) for name in texts}
    names = GeneNames(np.array(genes), others).take(there)
    left_out = [str(name) for name in left_out]
    return Expression(names, values[there], list(map(str, chosen)), int((~there).sum()), left_out, table.columns[0])


def _plain(name: object) -> str:
    """Return a heading without case and separators."""
    return re.sub(r"[^a-z0-9]", "", str(name).lower())


def _check_header(table: pd.DataFrame, path: Path) -> None:
    """See that the header is no row of data, as in the counts of HTSeq."""
    numbers = [
        name for name in table.columns[1:] if re.fullmatch(r"-?[0-9.]+(e[-+]?[0-9]+)?", str(name), re.IGNORECASE)
    ]
    if numbers and not is_heading(table.columns[0]):
        raise no_header(
            path, "expression", list(table.columns), ["gene", *(f"S{n}" for n in range(1, len(table.columns)))]
        )


def _samples(table: pd.DataFrame, passed_over: Sequence[str], where: str) -> list[str]:
    """Return the columns that are samples; refuse to mix units of one sample.

    Raises
    ------
    UserError
        If there are none, or a sample stands there in several units.
    """
    found = [name for name in table.columns[1:] if name not in passed_over]
    units = {_plain(name): name for name in found if _plain(name) in _UNITS}
    if len(units) > 1:
        best = next(units[unit] for unit in _UNITS if unit in units)
        raise UserError(
            "the table has several units of one sample, which cannot be averaged",
            where=where,
            expected="one unit",
            received=", ".join(map(str, units.values())),
            do=f"choose one: 'samples=[{best}]'",
        )
    if not found:
        raise UserError(
            "no column holds numbers",
            where=where,
            expected="the gene in the first column, and columns with expression",
            received=f"columns {_few(table.columns)}",
            do="name columns with 'samples=[NAME,...]'",
        )
    return found


def _check_samples(table: pd.DataFrame, chosen: Sequence[str], where: str) -> None:
    """Check that the columns are there, each once."""
    lacking = next((name for name in chosen if name not in table.columns), None)
    if lacking is not None:
        raise UserError(
            f"there is no sample {lacking}",
            where=f"samples, {where}",
            expected="columns of the table",
            received=f"columns {_few(table.columns)}",
            do=nearest(lacking, map(str, table.columns)) + "name columns with 'samples=[NAME,...]'",
        )
    twice = [name for name, number in Counter(chosen).items() if number > 1]
    if twice:
        raise UserError(
            f"sample {twice[0]} is named twice",
            where="samples",
            expected="each column once",
            received=", ".join(chosen),
            do="name it once",
        )


def _few(names: Iterable[object], number: int = 12) -> str:
    every = list(map(str, names))
    more = f" and {len(every) - number:,} more" if len(every) > number else ""
    return ", ".join(every[:number]) + more


def _check_scale(columns: np.ndarray, scale: str, place: Callable[[int, int], str], where: str) -> None:
    """Check that values can be what `scale` says they are; `place` says where a row and column are."""
    wrong = np.argwhere(columns < 0 if scale == "raw" else columns > _LARGEST_LOG10)
    if not len(wrong):
        return
    row, column = map(int, wrong[0])
    number = f"{len(wrong):,} expression values are" if len(wrong) > 1 else "an expression value is"
    raise UserError(
        f"{number} {'negative' if scale == 'raw' else 'too large to be a logarithm to base 10'}",
        where=f"{where}, {place(row, column)}",
        expected="counts, RPKM, TPM ...: at least 0" if scale == "raw" else f"log10: at most {_LARGEST_LOG10}",
        received=f"{columns[row, column]:g}",
        do="set expression_scale=log10 if they are logarithms to base 10 already, or choose columns with samples"
        if scale == "raw"
        else "leave expression_scale out if they are no logarithms, and turn logarithms to another base back",
    )
