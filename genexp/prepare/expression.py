"""Expression of each gene from a table with one or many samples."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from genexp.errors import UserError, nearest
from genexp.prepare.config import Config
from genexp.prepare.genes import GeneNames, RawGenes, check_unique, without_version
from genexp.prepare.ledger import Ledger
from genexp.prepare.opening import few
from genexp.prepare.tables import Table, is_heading, look_at, text_columns

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
#: By scale: the limit of the values, what they are beyond it, what was expected, and a hint.
_IMPOSSIBLE = {
    "raw": (
        *(0, "negative", "counts, RPKM, TPM ...: at least 0"),
        "set expression_scale=log10 if they are log10 values already, or choose columns with samples",
    ),
    "log10": (  # nothing that can be counted in a cell has a larger logarithm
        *(12, "too large to be a logarithm to base 10", "at most 12"),
        "leave expression_scale out for plain values; convert logarithms to another base",
    ),
}
_SCALES = {"raw": "then log10(x + 0.1)", "log10": "taken as log10"}
_CHOOSE = "name columns with 'samples=[NAME,...]'"


def read_expression(config: Config, ledger: Ledger) -> tuple[RawGenes, Table, str]:
    """Read genes that have a value, their median or mean over the samples; return the table and a remark, too.

    The first column names the genes; columns of text alone, which become other names, and those whose name says that
    they describe the gene (its length or place), are not samples. A UserError is raised for duplicate genes, text or
    impossible values, and columns that are not there.
    """
    about = look_at(Path(str(config.expression)), "expression")
    table = about.read()
    table = table[~table.iloc[:, 0].isin(_NO_GENES)]
    if any(map(_is_number, table.columns[1:])) and not is_heading(table.columns[0]):  # the counts of HTSeq
        raise about.no_header(["gene", *(f"S{n}" for n in range(1, len(table.columns)))])
    texts = text_columns(table)
    left_out = [] if config.samples else [name for name in table.columns[1:] if _plain(name) in _ABOUT_GENES]
    samples = config.samples or _samples(about, {*texts, *left_out})
    _check_samples(about, samples)
    genes = [without_version(name) if config.genes.strip_versions else name for name in table.iloc[:, 0]]
    check_unique(genes, about.where, about.first_line)
    numbers = about.numbers(table, samples, hint=f"correct the value, or {_CHOOSE}")
    _check_scale(numbers, config.expression_scale, about, samples, genes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # rows without any value, which are counted instead
        values = (np.nanmedian if config.statistic == "median" else np.nanmean)(numbers, axis=1)
    there = ~np.isnan(values)
    others = {str(name): table[name].fillna("").astype(str).to_numpy(str) for name in texts if name not in left_out}
    names = GeneNames(np.array(genes), others).take(there)
    used = f"{config.statistic} of {len(samples):,} columns: " if len(samples) > 1 else "column "
    used += few(samples, 4) + (f"; left out as not samples: {', '.join(left_out)}" if left_out else "")
    ledger.rule("expression", f"{used}; {_SCALES[config.expression_scale]}")
    without = f"; {int((~there).sum()):,} rows without a value" if not there.all() else ""
    return RawGenes(names, values[there][:, None]), about, used + without


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _is_number(name: str) -> bool:
    return bool(re.fullmatch(r"-?[0-9.]+(e[-+]?[0-9]+)?", name, re.IGNORECASE))


def _samples(table: Table, others: set[str]) -> list[str]:
    found = [name for name in table.columns[1:] if name not in others]
    units = {_plain(name): name for name in found if _plain(name) in _UNITS}
    if len(units) > 1:
        what = "the table has several units of one sample, which cannot be averaged"
        hint = f"choose one: 'samples=[{next(units[unit] for unit in _UNITS if unit in units)}]'"
        raise UserError(what, where=table.where, received=", ".join(units.values()), hint=hint)
    if not found:
        received = f"columns {few(table.columns)}"
        raise UserError("no column holds numbers", where=table.where, received=received, hint=_CHOOSE)
    return found


def _check_samples(table: Table, chosen: Sequence[str]) -> None:
    for name, number in Counter(chosen).items():
        if name not in table.columns:
            received, hint = f"columns {few(table.columns)}", nearest(name, table.columns) + _CHOOSE
            raise UserError(f"there is no sample {name}", where=f"samples, {table.where}", received=received, hint=hint)
        if number > 1:
            raise UserError(f"sample {name} is named twice", where="samples", hint="name it once")


def _check_scale(values: np.ndarray, scale: str, table: Table, samples: Sequence[str], genes: Sequence[str]) -> None:
    limit, why, expected, hint = _IMPOSSIBLE[scale]
    wrong = np.argwhere(values < limit if scale == "raw" else values > limit)
    for row, column in wrong[:1].tolist():
        what = f"{len(wrong):,} expression values are" if len(wrong) > 1 else "an expression value is"
        received, line = f"{values[row, column]:g}", row + table.first_line
        raise table.bad_cell(f"{what} {why}", samples[column], line, genes[row], expected, received, hint)
