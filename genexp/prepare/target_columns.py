"""Which columns of a table of targets are genes and factors: by the format that it has, or as it is said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from genexp.errors import UserError
from genexp.prepare.config import TargetsColumns, TargetsConfig
from genexp.prepare.formats import DESCRIBING, IDS, plain, proposal, recognised, spanning
from genexp.prepare.formats.targets import ABOUT, FACTOR, FORMATS, GENE, SIGN, SIGNS, VALUE, TargetsFormat
from genexp.prepare.genes import GeneNames
from genexp.prepare.row_numbers import odd_numbers
from genexp.prepare.tables import Table, headings, is_numeric, numbers_in

#: Name of the format of pairs that are recognised by what their columns are called.
PAIRS = "pairs"
_ROLES = {"factor": FACTOR, "gene": GENE, "sign": SIGN, "value": VALUE, "also": ABOUT}
_NAMES = GENE | FACTOR | {plain(name) for format in FORMATS for name in (*format.gene, format.factor)}


def is_name(heading: str) -> bool:
    """Whether a heading is that of a column with names of genes or factors."""
    return plain(heading) in _NAMES


def check_columns(config: TargetsConfig, columns: TargetsColumns | None, key: str) -> None:
    """Raise a UserError if the columns that are named are those of no table."""
    if columns is None:
        return
    where = f"{key}_columns"
    if not config.file:
        raise UserError(f"{where} describes the table {key}, which is missing", where=where, hint=f"add {key}=FILE")
    if (columns.factor is None) == (columns.factors is None):
        expected = "factor (for pairs) or factors (for a wide table)"
        raise UserError("the columns are those of no table", where=where, expected=f"{expected}, one of the two")
    if columns.factors is not None and (columns.sign or columns.value):
        what, hint = "a wide table has its values in the columns of its factors", "leave sign and value out"
        raise UserError(what, where=where, hint=hint)


def find_pairs(table: Table, key: str, genes: GeneNames) -> TargetsFormat | None:
    """Return the format of a list of pairs, None for another table; a UserError if it does not explain all columns."""
    format = recognised(table, FORMATS) or _by_headings(table)
    if format is None:
        return None
    columns = format.with_header(table).columns
    explained = {*format.gene, format.factor, format.sign, format.value, format.species, *format.also}
    strange = [name for name in columns if plain(name) not in set(map(plain, explained))]
    if strange:
        roles = {role: next(iter(format.columns(table, [getattr(format, role)])), None) for role in ("sign", "value")}
        gene = best_column(table.read(columns), format.columns(table, format.gene), genes)
        named = {"gene": gene, "factor": format.columns(table, [format.factor])[0], **roles}
        kind = f"a list of {PAIRS}" if format.name == PAIRS else format.name
        raise _not_explained(table, f"this table is {kind}, and", strange, key, named)
    return format


def _by_headings(table: Table) -> TargetsFormat | None:
    """Return what the columns of a list of pairs are by their headings, if one names the gene and one the factor."""
    roles: dict[str, list[str]] = {role: [] for role in _ROLES}
    for n, name in enumerate(table.columns):
        role = next((role for role, headings in _ROLES.items() if plain(name) in headings), None)
        role = "also" if n == 0 and plain(name) == "" else role  # the names of rows of pandas and R
        if role:
            roles[role].append(name)
    if len(roles["factor"]) != 1 or not roles["gene"] or len(roles["sign"]) > 1 or len(roles["value"]) > 1:
        return None
    _, head = next(table.chunks(texts=table.columns[:1]))
    if table.columns[0] != roles["factor"][0] and is_numeric(head[roles["factor"][0]]):
        return None  # a wide table
    sign, value = (next(iter(roles[role]), "") for role in ("sign", "value"))
    gene, also = tuple(roles["gene"]), tuple(roles["also"])
    return TargetsFormat(PAIRS, also=also, gene=gene, factor=roles["factor"][0], sign=sign, value=value)


def find_factors(table: Table, key: str, genes: GeneNames) -> tuple[str, list[str]]:
    """Return the columns of gene and factors of a wide table, or raise a UserError that asks for them."""
    _, head = next(table.chunks(texts=table.columns[:1]))
    columns, odd = table.columns, odd_numbers(table, is_name)
    ids = [name for name in columns if plain(name) in IDS] or columns[:1]
    rest = [name for name in columns if name not in ids]
    numeric = {name for name in rest if is_numeric(head[name]) or pd.api.types.is_bool_dtype(head[name])}
    factors = [name for name in rest if name in numeric and plain(name) not in DESCRIBING and name not in odd]
    if genes.is_gene(columns[0]) and len(factors) == len(rest):
        raise table.no_header(["gene", *(f"FACTOR{n}" for n in range(1, len(columns)))])
    if not factors or len(factors) < len(rest):
        raise _unknown(table, key, genes, ids, factors)
    return (ids[0] if len(ids) == 1 else best_column(table.read(ids, ids), ids, genes)), factors


def best_column(frame: pd.DataFrame, columns: Sequence[str], genes: GeneNames) -> str:
    """Return the column whose names are those of the most genes; the first of equals."""
    known = genes.known() if len(columns) > 1 else set()
    hits = {name: len(known.intersection(map(str, pd.unique(frame[name])))) for name in columns}
    return max(hits, key=lambda name: hits[name])


def no_header(table: Table, key: str, genes: GeneNames) -> UserError:
    """Return the error for pairs without a header, with the line to add: one that is recognised."""
    frame = table.read(table.columns)
    gene = best_column(frame, table.columns, genes)
    others = [name for name in table.columns if name != gene]
    roles = {gene: "gene"} | dict.fromkeys(others[:1], key)
    for n, name in enumerate(others[1:], 1):
        signs = SIGNS.keys() >= set(frame[name].astype(str).str.lower()) and "sign" not in roles.values()
        roles[name] = "sign" if signs else f"note{n}"
    return table.no_header([roles[name] for name in table.columns])


def _unknown(table: Table, key: str, genes: GeneNames, ids: list[str], factors: list[str]) -> UserError:
    """Return the error for a table that is neither a list of pairs nor wide, with what it may be."""
    frame = table.read(table.columns)
    texts = [name for name in table.columns if not numbers_in(frame[name]).notna().any()]
    if any(genes.is_gene(name) or (name in texts and name in set(frame[name])) for name in table.columns):
        return no_header(table, key, genes)
    gene = best_column(frame, [*ids, *texts, *table.columns], genes)
    columns: dict[str, object] = {"gene": gene, "factors": spanning(table, factors)}
    if not factors or frame[gene].duplicated().any():
        others = sorted([name for name in texts if name != gene], key=lambda name: len(set(frame[name])))
        headed = [name for name in table.columns if plain(name) in FACTOR and name != gene]
        columns = {"gene": gene, "factor": next(iter([*headed, *others, *table.columns[1:], gene]))}
        for role in ("sign", "value"):
            named = [name for name in table.columns if plain(name) in _ROLES[role] and name not in columns.values()]
            columns[role] = next(iter(named), None)
    strange = [name for name in table.columns if name not in (*ids, *factors)]
    return _not_explained(table, "this table is no format that is known, and", strange, key, columns)


def _not_explained(table: Table, what: str, strange: list[str], key: str, columns: Mapping[str, object]) -> UserError:
    what += f" has columns that are not explained: {headings(strange)}" if strange else " names no factors"
    hint = f"say what its columns are: {proposal(f'{key}_columns', columns)}"
    return UserError(what, where=table.where, received=f"columns {headings(table.columns, 30)}", hint=hint)
