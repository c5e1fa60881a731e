"""Expression of each gene from a table with one or many samples."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from genexp.errors import UserError
from genexp.prepare import recipe
from genexp.prepare.config import Config
from genexp.prepare.formats import (
    DESCRIBING,
    IDS,
    SUMMARIES,
    between,
    column,
    counts_rows,
    plain,
    proposal,
    recognised,
    spanning,
)
from genexp.prepare.formats.expression import ADDITIVE, FORMATS, NO_GENES, UNITS, ExpressionFormat
from genexp.prepare.genes import GeneNames, RawGenes, check_unique, join, spoiled, without_version
from genexp.prepare.ledger import Ledger
from genexp.prepare.opening import few
from genexp.prepare.tables import Table, is_numeric, look_at

#: Returns the gene of each transcript of an annotation.
GeneOf = Callable[[], Mapping[str, str]]

#: A plain table: an id, other names, and samples.
PLAIN = ExpressionFormat("genes x samples")
NAMED = ExpressionFormat("columns that expression_columns names")
_LOG = re.compile(r"(?<![a-z])(log(2|10|1p|e|cpm|tpm|fpkm|rpkm|counts)?|ln|rlog|vst|rma)(?![a-z])")
#: The largest logarithm of anything that can be counted in a cell.
_LARGEST = {"log2": 40, "ln": 28, "log10": 12}
#: Logarithms of expression stay below this; expression itself does not, in any real sample.
_LARGEST_LOG2 = 25
_CHOOSE = "name columns with 'samples=[NAME,...]'"


@dataclass(frozen=True)
class Layout:
    """What the columns of a table mean: `labels` are samples by label, `units` those of the samples, where known."""

    format: ExpressionFormat
    table: Table
    gene: str
    names: list[str]
    labels: dict[str, list[str]]
    units: dict[str, str | None]

    @property
    def samples(self) -> list[str]:
        """Every column that is read, once."""
        return list(dict.fromkeys(name for group in self.labels.values() for name in group))

    @property
    def unit(self) -> str | None:
        """The one unit of the samples."""
        return self.units[self.samples[0]]


def read_expression(config: Config, ledger: Ledger, gene_of: GeneOf | None = None) -> tuple[RawGenes, Table, str]:
    """Read genes that have a value, their median or mean over the samples; return the table and a remark, too.

    Where rows are transcripts, `gene_of` says the gene of each. A UserError is raised for a table that is not
    recognised, or has columns that its format does not explain, and for impossible values.
    """
    layout = _layout(config, look_at(Path(str(config.expression)), "expression"))
    table = layout.table
    frame = table.read([layout.gene, *layout.names], [layout.gene, *layout.names, *layout.samples])
    frame = _without_summaries(frame.set_axis(["\0", *frame.columns[1:]], axis=1), ledger, table)
    values = table.numbers(frame, layout.samples, hint=f"correct the value, or {_CHOOSE}")
    _check_scale(config, values, layout, frame, ledger)
    frame, values = _one_row_each(config, frame, values, layout, gene_of, ledger)
    place = {name: n for n, name in enumerate(layout.samples)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # rows without any value, which are counted instead
        middle = np.nanmedian if config.statistic == "median" else np.nanmean
        labels = [middle(values[:, [place[name] for name in group]], axis=1) for group in layout.labels.values()]
    found = np.stack(labels, axis=1)
    there = ~np.isnan(found).all(axis=1)
    others = {name: frame[name].fillna("").astype(str).to_numpy(str) for name in layout.names}
    names = GeneNames(frame["\0"].to_numpy(str), others).take(there)
    used = _used(layout, config.statistic)
    unit = recipe.unit_text(layout.unit, config.expression_scale, config.pseudocount)
    ledger.rule("expression", f"{used}; {unit}")
    how = "; ".join([layout.format.name, f"genes in column {layout.gene or 1}", *table.remarks])
    ledger.rule("format of expression", how, report=ledger.note, prefix="expression: ")
    without = f"; {int((~there).sum()):,} rows without a value" if not there.all() else ""
    genes = RawGenes(names, found[there], label_names=tuple(layout.labels), unit=layout.unit)
    return genes, table, used + without


def _used(layout: Layout, statistic: str) -> str:
    groups = {
        name: f"{statistic} of {len(group):,} columns: {few(group, 4)}" if len(group) > 1 else f"column {group[0]}"
        for name, group in layout.labels.items()
    }
    if len(groups) == 1:
        return next(iter(groups.values()))
    return f"{len(groups):,} labels: " + few([f"{name} ({text})" for name, text in groups.items()], 4)


# Which column is what.


def _layout(config: Config, table: Table) -> Layout:
    """Recognise a table, and find its columns; raise a UserError if it has some that are not explained."""
    given = config.expression_columns
    format = recognised(table, [each for each in FORMATS if not each.last or _has_rows(each, table)])
    table = format.with_header(table) if format else table
    if given is not None:
        gene, names = column(table, given.gene, "expression_columns"), between(table, given.names, "expression_columns")
        return _chosen(config, Layout(NAMED, table, gene, names, {}, _units(format or NAMED, table.columns)))
    numbers = [name for name in table.columns[1:] if re.fullmatch(r"-?[0-9.]+(e[-+]?[0-9]+)?", name, re.IGNORECASE)]
    if format is None and numbers and plain(table.columns[0]) not in IDS:
        raise table.no_header(["gene", *(f"S{n}" for n in range(1, len(table.columns)))])
    _, head = next(table.chunks(2000, [table.columns[0]]))
    gene, names, samples, unexplained = _columns(format or PLAIN, table, head)
    layout = Layout(format or PLAIN, table, gene, names, {}, _units(format or PLAIN, table.columns))
    if config.label or config.samples:
        return _chosen(config, layout)
    if layout.format.refused:
        hint = "use the table of expression that it was made from"
        what = f"this table is {layout.format.refused}"
        raise UserError(what, where=table.where, received=f"{layout.format.name}: {few(table.columns)}", hint=hint)
    if unexplained or not samples:
        raise _not_explained(layout, samples, unexplained)
    return _of_one_unit(replace(layout, labels={"expression": samples}))


def _chosen(config: Config, layout: Layout) -> Layout:
    """Return the layout with the samples or labels that the config names."""
    table, given = layout.table, config.expression_columns
    if isinstance(config.label, dict):
        labels = {name: between(table, group, f"label.{name}") for name, group in config.label.items()}
    elif config.label:
        wanted = [config.label] if isinstance(config.label, str) else config.label
        labels = {name: [name] for name in between(table, wanted, "label")}
    else:
        named = config.samples or (given.samples if given else [])
        labels = {"expression": between(table, named, "samples" if config.samples else "expression_columns")}
    for name, group in labels.items():
        if not group:
            raise UserError(f"label {name} has no samples", where=f"label.{name}", hint="name at least one column")
    return _of_one_unit(replace(layout, labels=labels))


def _of_one_unit(layout: Layout) -> Layout:
    """Raise a UserError if samples have several units, which cannot be averaged; return the layout."""
    best = _of_best_unit(layout, layout.samples)
    if len(best) < len(layout.samples):
        hint = "choose one: " + proposal("samples", spanning(layout.table, best))
        what, received = "the table has several units of one sample, which cannot be averaged", few(layout.samples)
        raise UserError(what, where=layout.table.where, received=received, hint=hint)
    return layout


def _of_best_unit(layout: Layout, samples: list[str]) -> list[str]:
    """Return the samples of the first unit of `UNITS` that is among theirs; all, where some have none."""
    units = {layout.units[name] for name in samples}
    best = next((unit for unit in UNITS.values() if unit in units), None)
    return samples if None in units else [name for name in samples if layout.units[name] == best]


def _units(format: ExpressionFormat, columns: Sequence[str]) -> dict[str, str | None]:
    declared = {plain(name): unit for name, unit in format.values.items()}
    return {name: declared.get(plain(name), format.unit or _unit_of(name)) for name in columns}


def _unit_of(heading: str) -> str | None:
    """Return the unit that a heading names as a word of its own: ``liver_TPM``."""
    if plain(heading) in UNITS:
        return UNITS[plain(heading)]
    words = [word.removeprefix("log") for word in re.findall("[a-z]+", heading.lower())]
    return next((UNITS[word] for word in words if word in UNITS and UNITS[word] in ADDITIVE), None)


def _has_rows(format: ExpressionFormat, table: Table) -> bool:
    """Whether a file without a header has the rows at its end that its format writes."""
    if not format.fits(table):
        return False
    table = format.with_header(table)
    return bool(table.read(table.columns[:1])[table.columns[0]].isin(format.last).any())


def _columns(format: ExpressionFormat, table: Table, head: pd.DataFrame) -> tuple[str, list[str], list[str], list[str]]:
    """Return the gene's column, other names, samples and the columns that are not explained."""
    columns = table.columns[counts_rows(table, head.iloc[:, 0].tolist()) :]
    ids = [name for n, name in enumerate(columns) if plain(name) in IDS or not (n or name)]
    numeric = [name for name in columns if is_numeric(head[name])]
    if format is not PLAIN:
        gene = next(iter(format.columns(table, [format.gene])), columns[0]) if format.gene else columns[0]
        names = format.columns(table, format.names) + columns[1 : 1 + table.metadata]
        explained = {gene, *names, *format.columns(table, [*format.has, *format.also, *format.values])}
        samples = format.columns(table, format.values)[:1]
    else:
        text = columns[:1] if columns[0] not in numeric or plain(columns[0]) in IDS else []
        gene = next(iter(ids or text), "")
        names = [name for name in ids if name != gene]
        explained, samples = {gene, *names}, []
    rest = [name for name in columns if name not in explained]
    if table.metadata or table.mark.startswith("#1.") or format.unit:
        strange = [name for name in rest if name not in numeric]
    else:
        strange = _strange(table, rest, numeric, head)
    if not format.values:
        samples = [name for name in rest if name not in strange]
    strange = [name for name in columns if name in strange or (not gene and name == columns[0])]
    return gene, names, samples, strange


def _strange(table: Table, rest: list[str], numeric: list[str], head: pd.DataFrame) -> list[str]:
    """Return the columns of a plain table that can hardly be samples."""
    found = {name for name in rest if name not in numeric or plain(name) in DESCRIBING | IDS}
    left = [name for name in rest if name not in found]
    found |= (
        {name for name in left if plain(name) in SUMMARIES} if any(plain(n) not in SUMMARIES for n in left) else set()
    )
    left = [name for name in left if name not in found]
    with_unit = [name for name in left if _unit_of(name)]
    found |= set(left) - set(with_unit) if with_unit else set()
    if len(head) > 9:  # one value for all genes, a version, say, or a taxon
        constant = {name for name in left if head[name].nunique(dropna=False) == 1 and head[name].iloc[0] != 0}
        found |= constant if len(constant) < len(left) else set()
    return [name for name in rest if name in found]


def _not_explained(layout: Layout, samples: list[str], unexplained: list[str]) -> UserError:
    table = layout.table
    if not samples and not layout.gene:
        samples = table.columns[1:]
    if not samples:
        received = f"columns {few(table.columns)}"
        return UserError("no column holds numbers", where=table.where, received=received, hint=_CHOOSE)
    what = "this table is no format that is known" if layout.format is PLAIN else f"this table is {layout.format.name}"
    what += f", and has columns that can hardly be samples: {few(unexplained)}"
    samples = _of_best_unit(layout, samples)
    columns = {"gene": layout.gene or table.columns[0], "samples": spanning(table, samples), "names": layout.names}
    hint = f"say what its columns are: {proposal('expression_columns', columns)}"
    return UserError(what, where=table.where, received=f"columns {few(table.columns, 30)}", hint=hint)


# Which row is what.


def _without_summaries(frame: pd.DataFrame, ledger: Ledger, table: Table) -> pd.DataFrame:
    """Leave out rows of reads that belong to no gene, rows without a name, and names that a spreadsheet has spoiled."""
    genes = frame["\0"]
    reasons = {
        "that count reads of no gene": genes.isin(NO_GENES).to_numpy(),
        "without the name of a gene": (genes == "").to_numpy(),
    }
    damaged = spoiled(genes)
    if damaged.any():
        check_unique(genes[damaged].tolist(), table.where, table.first_line)
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
    return frame.loc[kept]


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
    transcripts = layout.format.rows if layout.format is not NAMED else "genes"
    if transcripts in ("transcripts", "transcripts or genes"):
        genes, there = _genes_of(layout, genes, gene_of, ledger)
        frame, values = frame[there], values[there]
        genes = [gene for gene, known in zip(genes, there, strict=True) if known]
    if config.genes.strip_versions:
        genes = list(map(without_version, genes))
    frame = frame.assign(**{"\0": genes})
    codes, names = pd.factorize(np.array(genes, object))
    if len(names) == len(genes):
        return frame, values
    of_transcripts = transcripts != "genes"
    if layout.unit not in ADDITIVE or config.expression_scale != "raw":
        check_unique(genes, table.where, table.first_line)
    if not of_transcripts and _repeated(codes, values):
        what, hint = "genes occur several times with the same values", "keep one row for each gene"
        twice = [name for name, number in zip(names, np.bincount(codes), strict=True) if number > 1]
        raise UserError(what, where=table.where, received=few(twice, 4), hint=hint)
    total = np.zeros((len(names), values.shape[1]))
    np.add.at(total, codes, np.nan_to_num(values))
    known = np.zeros(total.shape, bool)
    np.logical_or.at(known, codes, ~np.isnan(values))
    rows = "transcripts" if of_transcripts else "rows of genes that occur several times"
    table.remarks.append(f"{len(genes):,} {rows} are added up to {len(names):,} genes ({layout.unit})")
    return frame.drop_duplicates("\0"), np.where(known, total, np.nan)


def _repeated(codes: np.ndarray, values: np.ndarray) -> bool:
    """Whether most genes with several rows have the same values in each, which then say the same thing twice."""
    rows = pd.DataFrame(np.nan_to_num(values))
    several = np.bincount(codes)[codes] > 1
    differing = rows[several].groupby(codes[several]).agg(lambda column: column.nunique())
    there = (rows[several].groupby(codes[several]).max() > 0).any(axis=1)
    same = (differing == 1).all(axis=1)[there]
    return bool(len(same)) and bool(same.mean() > 0.5)


def _genes_of(layout: Layout, names: list[str], gene_of: GeneOf | None, ledger: Ledger) -> tuple[list[str], np.ndarray]:
    """Return the gene of each row, and whether it is known, by the annotation."""
    table, either = layout.table, layout.format.rows == "transcripts or genes"
    names = [name.split("|")[0] for name in names]
    if gene_of is None:
        columns = {"gene": layout.gene, "samples": layout.samples}
        may = " or genes" if either else ""
        what = (
            f"the rows of this table ({layout.format.name}) are transcripts{may}, and no annotation says of which gene"
        )
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


# The scale.


def _check_scale(config: Config, values: np.ndarray, layout: Layout, frame: pd.DataFrame, ledger: Ledger) -> None:
    """Raise a UserError if values are impossible on their scale; warn if they, or their names, say another."""
    scale, table, there = config.expression_scale, layout.table, values[~np.isnan(values)]
    limit = _LARGEST.get(scale, 0)
    for row, sample in np.argwhere(values < 0 if scale == "raw" else values > limit)[:1].tolist():
        number = int((values < 0).sum() if scale == "raw" else (values > limit).sum())
        what = f"{number:,} expression values are" if number > 1 else "an expression value is"
        what += (
            " negative"
            if scale == "raw"
            else " too large to be a logarithm to base " + {"ln": "e"}.get(scale, scale[3:])
        )
        expected = "counts, RPKM, TPM ...: at least 0" if scale == "raw" else f"at most {limit}"
        hint = "set expression_scale=log2, ln or log10 if they are logarithms, or choose columns with samples"
        hint = hint if scale == "raw" else "leave expression_scale out for plain values, or set another base"
        line, gene = int(frame.index[row]) + table.first_line, frame.iloc[row, 0]
        raise table.bad_cell(what, layout.samples[sample], line, gene, expected, f"{values[row, sample]:g}", hint)
    if scale == "raw" and config.pseudocount == 0 and (there == 0).any():
        what, hint = "the logarithm of 0 does not exist", "set pseudocount above 0"
        raise UserError(what, where="pseudocount=0", received=f"{int((there == 0).sum()):,} values of 0", hint=hint)
    fractions = bool((there % 1 != 0).any())
    said = next((name for name in [*layout.samples, table.path.stem] if _LOG.search(name.lower())), None)
    if scale == "raw" and said is not None:
        ledger.warn(f"{said!r} says that these are logarithms, but expression_scale is raw; is it log2, ln or log10?")
    elif scale == "raw" and len(there) and fractions and there.max() < _LARGEST_LOG2:
        ledger.warn(
            f"all values of {table.path.name} are below {_LARGEST_LOG2}, as logarithms are: expression_scale=log2, ln "
            "or log10 takes them as they are; raw takes their logarithm"
        )
    elif scale != "raw" and len(there) > 20 and not fractions and there.max() > 0:
        ledger.warn(
            f"all values of {table.path.name} are whole numbers, as counts are, but expression_scale is {scale}"
        )
