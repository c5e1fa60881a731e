"""Which columns of an expression table are samples, and of which unit: by the format that it has, or as it is said."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from genexp.config.words import spelled
from genexp.errors import UserError
from genexp.prepare.config import Config, ExpressionColumns
from genexp.prepare.formats import (
    AMBIGUOUS,
    DESCRIBING,
    IDS,
    between,
    column,
    is_id,
    is_summary,
    plain,
    proposal,
    recognised,
    spanning,
)
from genexp.prepare.formats.expression import ADDITIVE, FORMATS, UNITS, ExpressionFormat
from genexp.prepare.opening import few
from genexp.prepare.row_numbers import odd_numbers, without_row_numbers
from genexp.prepare.tables import MISSING, Table, headings, is_numeric, numbers_in

#: A plain table: an id, other names, and samples.
PLAIN = ExpressionFormat("genes x samples")
NAMED = ExpressionFormat("columns that expression_columns names")


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


@dataclass(frozen=True)
class _Columns:
    """What a table's columns are by its format: `about` describe genes, `strange` are not explained.

    `doubtful` are those of the strange ones that have numbers, and the heading of a summary or of a condition.
    """

    gene: str | None
    names: list[str]
    samples: list[str]
    about: list[str]
    strange: list[str]
    doubtful: list[str]


def find_samples(config: Config, table: Table) -> Layout:
    """Recognise a table, and find its columns; raise a UserError if it has some that are not explained."""
    table = without_row_numbers(table, is_id, _named(config))
    format = recognised(table, [each for each in FORMATS if not each.last or _has_rows(each, table)]) or PLAIN
    table = format.with_header(table)
    units = _units(format, table.columns)
    if config.expression_columns is not None:
        return _as_named(config, config.expression_columns, table, units)
    _, head = next(table.chunks(2000, table.columns[:1]))
    if format is PLAIN and not is_id(table.columns[0]) and _is_data(table.columns, head.iloc[:, 0]):
        raise table.no_header(["gene", *(f"S{n}" for n in range(1, len(table.columns)))])
    found = _columns(format, table, head)
    asked = config.label or config.samples
    if format.refused and not asked:
        what, hint = f"this table is {format.refused}", "use the table of expression that it was made from"
        raise UserError(what, where=table.where, received=f"{format.name}: {headings(table.columns)}", hint=hint)
    if found.gene is None or not (asked or (found.samples and not found.strange)):
        raise _not_explained(format, table, found, units)
    if found.about and not asked:
        table.remarks.append(f"not samples: {few(found.about)}")
    labels = _asked(config, table) if asked else {"expression": found.samples}
    return _checked(Layout(format, table, found.gene, found.names, labels, units))


def _named(config: Config) -> set[str]:
    """Return the columns that the config names."""
    given, label = config.expression_columns, config.label
    names = [*([given.gene, *given.names, *given.samples] if given else []), *(config.samples or [])]
    if isinstance(label, dict):
        return {*names, *(name for group in label.values() for name in group)}
    return {*names, *([label] if isinstance(label, str) else label or [])}


def _is_data(columns: list[str], first: pd.Series[Any]) -> bool:
    """Whether headings are data: numbers, or a name as those below it, with letters and digits in the same places.

    Above names of genes, an empty heading is that of their column, and numbers are samples, such as Seurat's clusters.
    """
    if columns[0] == "" and numbers_in(first).isna().all() and not first.isin(MISSING).any():
        return False
    if any(re.fullmatch(r"-?[0-9.]+(e[-+]?[0-9]+)?", name, re.IGNORECASE) for name in columns[1:]):
        return True
    shapes = [re.sub(r"\d", "0", re.sub("[A-Za-z]", "A", name)) for name in [columns[0], *map(str, first)]]
    return "0" in shapes[0] and shapes.count(shapes[0]) > len(shapes) / 2


def _as_named(config: Config, named: ExpressionColumns, table: Table, units: dict[str, str | None]) -> Layout:
    """Return the layout that ``expression_columns`` says; rows are genes."""
    key = "expression_columns"
    if config.samples:
        raise UserError("samples and expression_columns both name samples", where="samples", hint="leave samples out")
    gene, names = column(table, named.gene, key), between(table, named.names, key)
    labels = _asked(config, table) if config.label else {"expression": between(table, named.samples, key)}
    return _checked(Layout(NAMED, table, gene, names, labels, units))


def _asked(config: Config, table: Table) -> dict[str, list[str]]:
    """Return the samples of each label that the config names."""
    if isinstance(config.label, dict):
        return {name: between(table, group, f"label.{name}") for name, group in config.label.items()}
    if config.label:
        columns = [config.label] if isinstance(config.label, str) else config.label
        return {name: [name] for name in between(table, columns, "label")}
    return {"expression": between(table, config.samples or [], "samples")}


def _checked(layout: Layout) -> Layout:
    """Return a layout, or raise a UserError if a column is two things, or a label has no samples."""
    twice = {layout.gene, *layout.names}.intersection(layout.samples)
    for what, wrong in {
        "a column cannot be both an id and a sample": ", ".join(twice),
        "the gene's column is among its other names": layout.gene if layout.gene in layout.names else "",
        "a label has no samples": next((name for name, group in layout.labels.items() if not group), ""),
    }.items():
        if wrong:
            raise UserError(what, where=layout.table.where, received=wrong, hint="name each column once")
    return _of_one_unit(layout)


def _of_one_unit(layout: Layout) -> Layout:
    """Raise a UserError if samples have several units, which cannot be averaged; return the layout."""
    best = _of_best_unit(layout.units, layout.samples)
    if len(best) < len(layout.samples):
        hint = "choose one: " + spelled("samples", spanning(layout.table, best))
        what, received = "the table has several units of one sample, which cannot be averaged", few(layout.samples)
        raise UserError(what, where=layout.table.where, received=received, hint=hint)
    return layout


def _of_best_unit(unit_of: Mapping[str, str | None], samples: list[str]) -> list[str]:
    """Return the samples of the best of their units, in the order of `UNITS`; all, where some have none."""
    units, order = [unit_of[name] for name in samples], list(UNITS.values())
    best = min(units, key=lambda unit: order.index(unit) if unit in order else len(order), default=None)
    return samples if None in units else [name for name in samples if unit_of[name] == best]


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


def _columns(format: ExpressionFormat, table: Table, head: pd.DataFrame) -> _Columns:
    """Return what the columns of a table are by its format."""
    columns = table.columns
    numeric = [name for name in columns if is_numeric(head[name])]
    if format is PLAIN:
        # Whatever its heading, a first column of text names the genes, if there is no other id.
        ids = [name for name in columns if is_id(name) or name == columns[0] == ""]
        ids = ids or [name for name in columns[:1] if not numbers_in(head[name]).notna().all()]
        gene, names, explained = next(iter(ids), None), ids[1:], ids
    else:
        gene = next(iter(format.columns(table, [format.gene])), columns[0])
        names = format.columns(table, format.names) + columns[1 : 1 + table.metadata]
        explained = [gene, *names, *format.columns(table, [*format.has, *format.also, *format.values])]
    rest = [name for name in columns if name not in explained]
    odd = odd_numbers(table, is_id)
    if format.unit is not None or table.mark.startswith("#1."):  # a tool's own, whose samples may be called anything
        left, about = [name for name in rest if name in numeric and name not in odd], []
    else:
        left = _samples([name for name in rest if name in numeric and name not in odd], head)
        about = [name for name in rest if plain(name) in DESCRIBING and all(map(_unit_of, left))]
    samples = format.columns(table, format.values)[:1] or left
    strange = [name for name in rest if name not in left and name not in about]
    doubtful = [name for name in strange if name in numeric and is_summary(name, AMBIGUOUS)]
    return _Columns(gene, names, samples, about, strange, doubtful)


def _samples(numeric: list[str], head: pd.DataFrame) -> list[str]:
    """Return the columns of numbers of a plain table that can be samples."""
    left = [name for name in numeric if plain(name) not in DESCRIBING | IDS]
    kinds = [
        {name for name in left if is_summary(name)},
        _fewer({name for name in left if not _unit_of(name)}, set(left)),
    ]
    if len(head) > 9:  # one value for all genes: a version, say, or a taxon
        kinds.append({name for name in left if head[name].nunique(dropna=False) == 1 and head[name].iloc[0] != 0})
    for kind in kinds:  # but not where all are of this kind
        left = [name for name in left if name not in kind] or left
    return left


def _fewer(some: set[str], every: set[str]) -> set[str]:
    """Return these names or all others, whichever are fewer: a count of reads beside samples, or ranks beside TPM."""
    return min(some, every - some, key=len)


def _not_explained(format: ExpressionFormat, table: Table, found: _Columns, units: dict[str, str | None]) -> UserError:
    samples = _of_best_unit(units, found.samples if found.gene is not None else table.columns[1:])
    if not samples:
        hint = "name columns with 'samples=[NAME,...]'"
        return UserError("no column holds numbers", where=table.where, received=headings(table.columns, 30), hint=hint)
    gene = table.columns[0] if found.gene is None else found.gene
    genes = table.read([gene], [gene])[gene]
    if genes.nunique() <= len(genes) / 2:
        what, hint = "this is a long table: genes have several rows", "make a column for each sample (pandas: pivot)"
        return UserError(what, where=table.where, received=f"columns {headings(table.columns, 30)}", hint=hint)
    every = [name for name in table.columns if name in (*samples, *found.doubtful)]
    columns = {"gene": gene, "samples": spanning(table, every), "names": found.names}
    what = f"this table is {'no format that is known' if format is PLAIN else format.name}, and has columns that "
    what += f"can hardly be samples: {headings(found.strange)}" if found.strange else "may be ids or samples"
    hint = f"say what its columns are: {proposal('expression_columns', columns)}"
    if found.doubtful:
        hint += f", without those of its samples that are none: {few(found.doubtful)}"
    return UserError(what, where=table.where, received=f"columns {headings(table.columns, 30)}", hint=hint)
