"""Expression of each gene from a table with one or many samples."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from genexp.errors import UserError
from genexp.prepare import recipe
from genexp.prepare.config import Config
from genexp.prepare.formats import proposal
from genexp.prepare.formats.expression import ADDITIVE, NO_GENES
from genexp.prepare.genes import GeneNames, RawGenes, check_unique, join, spoiled, without_version
from genexp.prepare.ledger import Ledger
from genexp.prepare.opening import few
from genexp.prepare.samples import Layout, find_samples
from genexp.prepare.scale import check_scale, warn_of_scale
from genexp.prepare.tables import Table, look_at, nameless, shown

#: Returns the gene of each transcript of an annotation.
GeneOf = Callable[[], Mapping[str, str]]


def read_expression(config: Config, ledger: Ledger, gene_of: GeneOf | None = None) -> tuple[RawGenes, Table, str]:
    """Read genes that have a value, their median or mean over the samples; return the table and a remark, too.

    Where rows are transcripts, `gene_of` says the gene of each. A UserError is raised for a table that is not
    recognised, or has columns that its format does not explain, and for impossible values.
    """
    layout = find_samples(config, look_at(Path(str(config.expression)), "expression"))
    table = layout.table
    frame = table.read([layout.gene, *layout.names], [layout.gene, *layout.names, *layout.samples])
    frame = _without_summaries(frame.set_axis(["\0", *frame.columns[1:]], axis=1), ledger, table)
    values = table.numbers(frame, layout.samples, hint="correct the value, or name columns with 'samples=[NAME,...]'")
    if layout.format.empty_is_zero and config.expression_scale == "raw":
        _fill_empty(table, layout.samples, frame, values)
    frame = frame[["\0", *layout.names]]
    check_scale(config, values, table, layout.samples, frame["\0"])
    warn_of_scale(config.expression_scale, values, [*layout.samples, table.path.name], ledger)
    frame, values = _one_row_each(config, frame, values, layout, gene_of, ledger)
    place = {name: n for n, name in enumerate(layout.samples)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # rows without any value, which are counted instead
        middle = np.nanmedian if config.statistic == "median" else np.nanmean
        groups = [[place[name] for name in group] for group in layout.labels.values()]
        labels = [middle(values if len(rows) == len(place) else values[:, rows], axis=1) for rows in groups]
    found = np.stack(labels, axis=1)
    gaps = np.stack([np.isnan(values[:, rows]).any(axis=1) for rows in groups], axis=1) & ~np.isnan(found)
    there = ~np.isnan(found).all(axis=1)
    others = {name: np.array([" ".join(text.split()) for text in frame[name]]) for name in layout.names}
    names = GeneNames(frame["\0"].to_numpy(str), others).take(there)
    used = _used(layout, config.statistic)
    unit = recipe.unit_text(layout.unit, config.expression_scale, config.pseudocount)
    ledger.rule("expression", f"{used}; {unit}")
    how = "; ".join([layout.format.name, f"genes in column {shown(layout.gene)}", *table.remarks])
    ledger.rule("format of expression", how, report=ledger.note, prefix="expression: ")
    without = f"; {int((~there).sum()):,} rows without a value" if not there.all() else ""
    if some := int(gaps.any(axis=1).sum()):
        without += f"; {some:,} genes lack a value in some samples: {config.statistic} of the others"
    genes = RawGenes(names, found[there], label_names=tuple(layout.labels), unit=layout.unit)
    return genes, table, used + without


def _fill_empty(table: Table, samples: list[str], frame: pd.DataFrame, values: np.ndarray) -> None:
    """Set the (n, samples) values of empty cells to 0, in place; `frame` has the rows of the table that are read."""
    empty = (table.read(samples, samples).loc[frame.index] == "").to_numpy()
    values[empty] = 0
    if empty.any():
        table.remarks.append(f"{int(empty.sum()):,} empty cells, which are below its cutoff, are 0")


def _used(layout: Layout, statistic: str) -> str:
    groups = {
        name: f"{statistic} of {len(group):,} columns: {few(group, 4)}" if len(group) > 1 else f"column {group[0]}"
        for name, group in layout.labels.items()
    }
    if len(groups) == 1:
        return next(iter(groups.values()))
    return f"{len(groups):,} labels: " + few([f"{name} ({text})" for name, text in groups.items()], 4)


# Which row is what.


def _without_summaries(frame: pd.DataFrame, ledger: Ledger, table: Table) -> pd.DataFrame:
    """Leave out rows of reads that belong to no gene, rows without a name, and names that a spreadsheet has spoiled."""
    genes = frame["\0"]
    reasons = {
        "that count reads of no gene": genes.isin(NO_GENES).to_numpy(),
        "without the name of a gene": nameless(genes),
    }
    damaged = spoiled(genes)
    if damaged.any():
        check_unique(genes[damaged].tolist(), table.where, line=lambda n: table.line_of(np.flatnonzero(damaged)[n]))
        ledger.warn(
            f"{int(damaged.sum()):,} names in {table.path.name} are dates or numbers that a spreadsheet made of names "
            f"of genes, and are left out: {few(genes[damaged], 4)}"
        )
    kept = ~damaged
    for words, found in reasons.items():
        if found.any():
            names = few(genes[found].unique(), 4)
            table.remarks.append(f"{int(found.sum()):,} rows {words} are left out" + (f": {names}" if names else ""))
        kept &= ~found
    return frame if kept.all() else frame.loc[kept]


def _one_row_each(
    config: Config,
    frame: pd.DataFrame,
    values: np.ndarray,
    layout: Layout,
    gene_of: GeneOf | None,
    ledger: Ledger,
) -> tuple[pd.DataFrame, np.ndarray]:
    """Return one row for each gene: transcripts, and rows with the same name, are added up where the unit allows it."""
    table, genes = layout.table, frame["\0"].tolist()
    rows = layout.format.rows
    if rows in ("transcripts", "transcripts or genes"):
        genes, there = _genes_of(layout, genes, gene_of, ledger)
        frame, values = frame[there], values[there]
        genes = [gene for gene, known in zip(genes, there, strict=True) if known]
    if config.genes.strip_versions:
        genes = list(map(without_version, genes))
    frame = frame.assign(**{"\0": genes})
    codes, names = pd.factorize(np.array(genes, object))
    if len(names) == len(genes):
        return frame, values
    if layout.unit not in ADDITIVE or config.expression_scale != "raw":
        check_unique(genes, table.where, line=lambda n: table.line_of(frame.index[n]))
    if rows == "genes":
        _check_repeats(table, names, codes, values)
    total = np.zeros((len(names), values.shape[1]))
    np.add.at(total, codes, np.nan_to_num(values))
    known = np.zeros(total.shape, bool)
    np.logical_or.at(known, codes, ~np.isnan(values))
    which = "rows of genes that occur several times" if rows == "genes" else "transcripts"
    table.remarks.append(f"{len(genes):,} {which} are added up to {len(names):,} genes ({layout.unit})")
    return frame.drop_duplicates("\0"), np.where(known, total, np.nan)


def _check_repeats(table: Table, names: np.ndarray, codes: np.ndarray, values: np.ndarray) -> None:
    """Raise a UserError if rows of the same gene cannot be its parts: most genes have several, or the same values."""
    number = np.bincount(codes)
    several = pd.DataFrame(np.nan_to_num(values)).groupby(codes)
    same = (several.min() == several.max()).all(axis=1) & (several.max() > 0).any(axis=1) & (number > 1)
    reasons: dict[str, np.ndarray] = {
        "most genes have several rows, as in a long table of genes and samples": number > 1,
        "genes occur several times with the same values": same.to_numpy(),
    }
    for (what, found), of in zip(reasons.items(), (len(names), (number > 1).sum()), strict=True):
        if found.sum() > of / 2:
            hint = "keep one row for each gene, and a column for each sample"
            raise UserError(what, where=table.where, received=few(names[found], 4), hint=hint)


def _genes_of(layout: Layout, names: list[str], gene_of: GeneOf | None, ledger: Ledger) -> tuple[list[str], np.ndarray]:
    """Return the gene of each row, and whether it is known, by the annotation."""
    table, either = layout.table, layout.format.rows == "transcripts or genes"
    names = [name.split("|")[0] for name in names]
    if gene_of is None:
        columns = {"gene": layout.gene, "samples": layout.samples}
        may = " or genes" if either else ""
        what = f"the rows of this table ({layout.format.name}) are transcripts{may}; no annotation says of which gene"
        hint = f"add them up over genes (tximport); if they are genes: {proposal('expression_columns', columns)}"
        raise UserError(what, where=table.where, received=few(names, 3), hint=hint)
    known = gene_of()
    genes = set(known.values()) | {without_version(gene) for gene in known.values()}
    if either and sum(name in genes or without_version(name) in genes for name in names) > len(names) / 2:
        return names, np.ones(len(names), bool)
    check_unique(names, table.where, table.first_line)
    joined = join(GeneNames(np.array(list(known))), names, table.where)
    found = dict(zip(joined.rows[joined.found], np.array(list(known.values()), object)[joined.found], strict=True))
    there = np.array([n in found for n in range(len(names))])
    lost = int((~there).sum())
    sentence = f"{int(there.sum()):,} transcripts of {table.path.name} are in the annotation{joined.remark()}"
    ledger.rule("transcripts", f"{sentence}, {lost:,} are not", report=ledger.note, prefix="expression: ")
    if lost > len(names) / 10:
        ledger.warn(
            f"{lost:,} of {len(names):,} transcripts of {table.path.name} are not in the annotation: their genes lose"
        )
    return [found.get(n, "") for n in range(len(names))], there
