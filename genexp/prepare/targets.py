"""Which transcription factor or microRNA targets which gene: a wide table, a list of pairs, or a GMT file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from genexp.errors import UserError
from genexp.prepare.config import TargetsColumns, TargetsConfig
from genexp.prepare.formats import DESCRIBING, IDS, between, column, counts_rows, plain, proposal, recognised, spanning
from genexp.prepare.formats.targets import ABOUT, FACTOR, FORMATS, GENE, SIGN, SIGNS, VALUE, TargetsFormat
from genexp.prepare.genes import GeneNames, Join, check_unique, join, spoiled
from genexp.prepare.opening import bad_line, few, open_text
from genexp.prepare.tables import MISSING, Table, is_numeric, is_text, look_at, numbers_in


@dataclass(frozen=True)
class Targets:
    """Which factor targets which gene.

    `values` (n, width) has one row for each gene that was asked for, zeros for genes that the file lacks: uint8 if
    all are 0 or 1, else float32. `names` are the columns', `form` says what the file is. `wide` tables list genes;
    `warnings` are what looks wrong.
    """

    values: np.ndarray
    names: tuple[str, ...]
    join: Join
    form: str
    wide: bool = False
    warnings: tuple[str, ...] = ()

    def take(self, rows: np.ndarray) -> Targets:
        """Return the genes selected by an index array."""
        return replace(self, values=self.values[rows], join=replace(self.join, rows=self.join.rows[rows]))


@dataclass(frozen=True)
class _Asked:
    """What is read, for which genes."""

    key: str
    genes: GeneNames
    values: str = "binary"
    columns: TargetsColumns | None = None


def read_targets(
    path: Path, key: str, genes: GeneNames, values: str = "binary", columns: TargetsColumns | None = None
) -> Targets:
    """Read a table of targets for these genes; a UserError is raised if no gene joins.

    A GMT file has a factor, a description and genes on each line. Lists of pairs are recognised by their headings; a
    table of ids and numbers is wide: a row for each gene, a column for each factor. `values` of pairs are ``binary``,
    ``sign`` or ``score``; `columns` say what the columns are.
    """
    asked = _Asked(key, genes, values, columns)
    if columns is None and is_gmt(path):
        return _of_pairs(_gmt_pairs(path, key), f"{key}={path}", asked, TargetsFormat("GMT"))
    table = look_at(path, key)
    format = None if columns else recognised(table, FORMATS)
    if columns is not None:
        return _as_named(table, asked, columns)
    if format is not None:
        return _long(format.with_header(table), asked, format)
    if pairs := _pairs(table):
        return _long(table, asked, pairs)
    table.check_rows()
    _, head = next(table.chunks(texts=table.columns[:1]))
    return _wide(table, asked, head)


def check_file(path: Path, key: str) -> None:
    """Raise a UserError if the first lines of a file are not those of a table of targets."""
    if not is_gmt(path):
        look_at(path, key)


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


def is_gmt(path: Path) -> bool:
    """Return whether a file is GMT, by its name or as Enrichr writes it: an empty description in rows of genes."""
    if path.name.removesuffix(".gz").endswith(".gmt"):
        return True
    if not is_text(path):
        return False
    with open_text(path) as file:
        lines = [line.rstrip("\r\n").split("\t") for _, line in zip(range(2), file, strict=False)]
    return bool(lines) and all(len(cells) > 2 and cells[0] and not cells[1] and cells[2] for cells in lines)


# Wide tables.


def _wide(table: Table, asked: _Asked, head: pd.DataFrame) -> Targets:
    """Read a table with a row for each gene; every column that is no id must be a factor."""
    columns = table.columns[counts_rows(table, head.iloc[:, 0].tolist()) :]
    numeric = {name for name in columns if is_numeric(head[name]) or pd.api.types.is_bool_dtype(head[name])}
    if columns[0] in numeric and plain(columns[0]) not in IDS and columns is table.columns:
        numeric.discard(columns[0])
    ids = [name for name in columns if plain(name) in IDS] or columns[:1]
    rest = [name for name in columns if name not in ids]
    strange = [name for name in rest if name not in numeric or plain(name) in DESCRIBING]
    factors = [name for name in rest if name not in strange]
    if asked.genes.is_gene(columns[0]) and not strange:
        raise table.no_header(["gene", *(f"FACTOR{n}" for n in range(1, len(columns)))])
    if strange or not factors:
        raise _not_explained(table, asked, ids, factors, strange)
    return _read_wide(table, asked, _best(table, ids, asked.genes), factors, "wide")


def _read_wide(table: Table, asked: _Asked, gene: str, factors: list[str], form: str) -> Targets:
    names: list[str] = []
    blocks = []
    hint = "write 1 where a factor targets a gene, 0 where it does not, or a score"
    for line, chunk in table.chunks(texts=[gene], columns=[gene, *factors]):
        block = table.numbers(chunk, factors, line, hint)
        empty = np.argwhere(np.isnan(block))
        if len(empty):
            row, factor = map(int, empty[0])
            what, at = "a target table has an empty cell", int(chunk.index[row]) + table.first_line
            raise table.bad_cell(what, factors[factor], at, chunk.iloc[row, 0], "a number", "nothing", hint)
        names += chunk[gene].tolist()
        blocks.append(_packed(block))
    check_unique(names, table.where, table.first_line)
    found = join(asked.genes, names, table.where)
    whole = np.concatenate(blocks)
    values = np.zeros((len(asked.genes.ids), len(factors)), whole.dtype)
    values[found.found] = whole[found.rows[found.found]]
    if asked.values == "sign" and not (values < 0).any():
        raise _lacks(table.where, "signs", asked.key, "no value is negative")
    values = _packed(np.sign(values) if asked.values == "sign" else values)
    form = f"{form}, genes in column {gene or 1}" + "".join(f", {remark}" for remark in table.remarks)
    return Targets(values, tuple(map(str, factors)), found, form, wide=True, warnings=_damage(names, "genes"))


def _packed(values: np.ndarray) -> np.ndarray:
    binary = values.dtype == np.uint8 or bool(((values == 0) | (values == 1)).all())
    return values.astype(np.uint8 if binary else np.float32, copy=False)


def _best(table: Table, columns: Sequence[str], genes: GeneNames) -> str:
    """Return the column whose names are those of the most genes; the first of equals."""
    return columns[0] if len(columns) == 1 else _best_of(table.read(columns, columns), columns, genes)


def _best_of(frame: pd.DataFrame, columns: Sequence[str], genes: GeneNames) -> str:
    known = genes.known()
    return max(columns, key=lambda name: _hits(frame, name, known))


def _hits(frame: pd.DataFrame, name: str, known: set[str]) -> int:
    return len(known.intersection(frame[name].astype(str).unique().tolist()))


# Lists of pairs.


def _pairs(table: Table) -> TargetsFormat | None:
    """Return what the columns of a list of pairs are by their headings, if one names the gene and one the factor."""
    words = {"factor": FACTOR, "gene": GENE, "sign": SIGN, "value": VALUE, "also": ABOUT}
    roles: dict[str, list[str]] = {role: [] for role in words}
    for n, name in enumerate(table.columns):
        role = next((role for role, headings in words.items() if plain(name) in headings), None)
        if n == 0 and plain(name) == "":  # the names of rows of pandas and R
            role = "also"
        if role:
            roles[role].append(name)
    if len(roles["factor"]) != 1 or not roles["gene"] or len(roles["sign"]) > 1 or len(roles["value"]) > 1:
        return None
    _, head = next(table.chunks(texts=table.columns[:1]))
    if table.columns[0] != roles["factor"][0] and is_numeric(head[roles["factor"][0]]):
        return None  # a wide table
    sign, value = (next(iter(roles[role]), "") for role in ("sign", "value"))
    gene, also = tuple(roles["gene"]), tuple(roles["also"])
    return TargetsFormat("pairs", also=also, gene=gene, factor=roles["factor"][0], sign=sign, value=value)


def _as_named(table: Table, asked: _Asked, columns: TargetsColumns) -> Targets:
    """Read the columns that the config names."""
    key = f"{asked.key}_columns"
    format = recognised(table, FORMATS)
    table = format.with_header(table) if format else table
    gene = column(table, columns.gene, key)
    if columns.factors is not None:
        table.check_rows()
        return _read_wide(table, asked, gene, between(table, columns.factors, key), f"wide, by {key}")
    factor, sign, value = (
        column(table, name, key) if name else "" for name in (columns.factor, columns.sign, columns.value)
    )
    return _long(table, asked, TargetsFormat(f"by {key}", gene=(gene,), factor=factor, sign=sign, value=value))


def _long(table: Table, asked: _Asked, format: TargetsFormat) -> Targets:
    """Read a list of pairs."""
    explained = [*format.gene, format.factor, format.sign, format.value, format.species, *format.also]
    unexplained = [name for name in table.columns if plain(name) not in map(plain, explained)]
    if unexplained and asked.columns is None:
        raise _not_explained(table, asked, format.columns(table, format.gene), [], unexplained, format)
    roles = {role: next(iter(format.columns(table, [getattr(format, role)])), "") for role in _ROLES}
    genes = format.columns(table, format.gene)
    wanted = list(dict.fromkeys([*genes, *filter(None, roles.values())]))
    frame = table.read([name for name in wanted if name != roles["value"]], wanted)
    gene = _best_of(frame, genes, asked.genes)
    there = ~(frame[[gene, roles["factor"]]].isin(MISSING).any(axis=1) | frame[gene].isin(format.no_genes))
    frame = frame[there]
    if not len(frame) or (asked.columns is None and asked.genes.is_gene(gene)):
        raise _no_header(table, asked)
    rows, remark = _of_one_species(frame, gene, roles["species"], asked.genes)
    frame = frame[rows]
    pairs = pd.DataFrame({"gene": frame[gene], "factor": frame[roles["factor"]].astype(str)})
    if roles["value"]:
        try:
            pairs["score"] = table.numbers(frame, [roles["value"]])[:, 0]
        except UserError:
            if asked.values == "score" or format.name.startswith("by "):
                raise
    if roles["sign"]:
        pairs["sign"] = _signs(table, frame, roles["sign"])
    form = (
        f"{format.name}: {gene} and {roles['factor']}"
        if format.name != "pairs"
        else f"pairs of {gene} and {roles['factor']}"
    )
    form += "".join(f", {text}" for text in (*table.remarks, remark) if text)
    return _of_pairs(pairs, table.where, asked, replace(format, name=form))


_ROLES = ("factor", "sign", "value", "species")


def _of_one_species(frame: pd.DataFrame, gene: str, species: str, genes: GeneNames) -> tuple[np.ndarray, str]:
    """Return which rows are of the species whose genes join best, and a remark."""
    if not species or frame[species].nunique() < 2:
        return np.ones(len(frame), bool), ""
    known = genes.known()
    hits = frame[frame[gene].isin(known)].groupby(species)[gene].nunique()
    if not len(hits):
        return np.ones(len(frame), bool), ""
    best = str(hits.idxmax())
    rows = (frame[species] == best).to_numpy()
    return rows, f"the rows of {best} ({int((~rows).sum()):,} others left out)"


def _signs(table: Table, frame: pd.DataFrame, name: str) -> np.ndarray:
    words = frame[name].astype(str).str.strip().str.lower()
    signs = words.map(SIGNS)
    unknown = words[signs.isna()]
    if len(unknown):
        numbers = numbers_in(unknown)
        if numbers.notna().all():
            return signs.fillna(np.sign(numbers)).to_numpy(float)
        what = "effects of a factor are in words that are not known"
        expected = "+, -, activation, repression, 1, -1, dual, unknown ..."
        hint = "translate them, or leave the column out: name the others with " + f"{table.key}_columns"
        raise UserError(
            what, where=f"{table.where}, column {name}", expected=expected, received=few(unknown.unique()), hint=hint
        )
    return signs.to_numpy(float)


def _gmt_pairs(path: Path, key: str) -> pd.DataFrame:
    pairs = []
    with open_text(path) as file:
        for number, line in enumerate(file, 1):
            factor, *rest = line.rstrip("\r\n").split("\t")
            if len(rest) < 2 and line.strip():
                what, expected = "a line of a GMT file names no genes", "set, description and genes, separated by tabs"
                raise bad_line(what, f"{key}={path}", number, expected, line)
            pairs += [
                (gene.partition(",")[0].strip(), factor.strip(), gene.partition(",")[2]) for gene in rest[1:] if gene
            ]
    found = pd.DataFrame(pairs, columns=["gene", "factor", "score"], dtype=str)
    scores = numbers_in(found.pop("score"))
    return found.assign(score=scores.to_numpy(float)) if scores.notna().all() and len(scores) else found


def _of_pairs(pairs: pd.DataFrame, where: str, asked: _Asked, format: TargetsFormat) -> Targets:
    """Return the matrix of pairs; factors none of whose targets is among the genes are left out."""
    kind, form = asked.values, format.name
    value = np.ones(len(pairs))
    if kind == "sign":
        if "sign" not in pairs and ("score" not in pairs or not (pairs["score"] < 0).any()):
            raise _lacks(where, "signs", asked.key, f"{format.name}: no column of effects or negative scores")
        value = (pairs["sign"] if "sign" in pairs else np.sign(pairs["score"])).to_numpy(float)
    elif kind == "score":
        if "score" not in pairs:
            raise _lacks(where, "scores", asked.key, f"{format.name}: no column of scores")
        value = pairs["score"].to_numpy(float)
    listed = ~np.isnan(value)
    if "score" in pairs and (format.zero_is_none or kind == "score"):
        listed &= (pairs["score"] != 0).to_numpy()
    warnings = [
        *_damage(pairs["gene"].unique().tolist(), "genes"),
        *_damage(pairs["factor"].unique().tolist(), "factors"),
    ]
    if not listed.all():
        form += f", {int((~listed).sum()):,} pairs with a score of 0 or none left out"
    row_of, names = pd.factorize(pairs["gene"])
    found = join(asked.genes, list(names), where)
    gene_of = np.full(len(names), -1)
    gene_of[found.rows[found.found]] = np.flatnonzero(found.found)
    rows = gene_of[row_of]
    used = (rows >= 0) & listed
    factors, columns = np.unique(pairs["factor"].to_numpy(str)[used], return_inverse=True)
    values = np.zeros((len(asked.genes.ids), len(factors)), np.uint8 if kind == "binary" else np.float32)
    if kind == "binary":
        values[rows[used], columns] = 1
    elif kind == "score":  # of several scores, the largest in size
        order = np.argsort(np.abs(value[used]), kind="stable")
        values[rows[used][order], columns[order]] = value[used][order]
    else:
        np.add.at(values, (rows[used], columns), value[used])
        values = np.sign(values)
        form += f", {_without_sign(values, rows[used], columns):,} of dual or unknown effect are 0"
    return Targets(values, tuple(map(str, factors)), found, form, warnings=tuple(warnings))


def _without_sign(values: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> int:
    cells = np.unique(rows * values.shape[1] + columns)
    return int((values.ravel()[cells] == 0).sum())


# What cannot be read.


def _damage(names: Sequence[str], kind: str) -> tuple[str, ...]:
    damaged = [name for name, bad in zip(names, spoiled(names), strict=True) if bad]
    what = f"names of {kind} are dates or numbers that a spreadsheet made of them: {few(damaged, 4)}"
    return (f"{len(damaged):,} {what}",) if damaged else ()


def _lacks(where: str, what: str, key: str, reason: str) -> UserError:
    hint = f"leave {key}.values out for 1 and 0"
    return UserError(f"this table has no {what}", where=where, received=reason, hint=hint)


def _no_header(table: Table, asked: _Asked) -> UserError:
    """Return the error for pairs without a header, with the line to add: one that is recognised."""
    frame, known = table.read(table.columns), asked.genes.known()
    gene = max(table.columns, key=lambda name: _hits(frame, name, known))
    others = [name for name in table.columns if name != gene]
    roles = {gene: "gene"} | dict.fromkeys(others[:1], asked.key)
    for n, name in enumerate(others[1:], 1):
        words = set(frame[name].astype(str).str.lower())
        sign = words <= SIGNS.keys() and "sign" not in roles.values()
        roles[name] = "sign" if sign else f"note{n}"
    return table.no_header([roles[name] for name in table.columns])


def _not_explained(
    table: Table,
    asked: _Asked,
    ids: list[str],
    factors: list[str],
    strange: list[str],
    format: TargetsFormat | None = None,
) -> UserError:
    """Return the error for a table with columns that cannot be told, and the key that says what they are."""
    frame = table.read(table.columns)
    texts = [name for name in table.columns if not numbers_in(frame[name]).notna().any()]
    known = asked.genes.known()
    headless = [n for n in table.columns if asked.genes.is_gene(n) or (n in texts and n in set(frame[n]))]
    if format is None and headless:
        return _no_header(table, asked)
    gene = max([*ids, *texts, *table.columns], key=lambda name: _hits(frame, name, known))
    columns: dict[str, object] = {"gene": gene, "factors": spanning(table, factors)}
    others = [name for name in texts if name != gene and plain(name) not in IDS]
    if format is not None or not factors or frame[gene].duplicated().any():
        headed = [name for name in table.columns if plain(name) in FACTOR and name != gene]
        repeated = sorted(others, key=lambda name: frame[name].nunique())
        factor = format.columns(table, [format.factor]) if format else [*headed, *repeated, *others]
        columns = {"gene": gene, "factor": next(iter(factor), next((n for n in table.columns if n != gene), gene))}
        for role, words in (("sign", SIGN), ("value", VALUE)):
            columns[role] = next((n for n in table.columns if plain(n) in words and n not in columns.values()), None)
    known_as = (
        f"this table is {'a list of ' * (format.name == 'pairs')}{format.name}, and has"
        if format
        else "this table is no format that is known, and has"
    )
    what = f"{known_as} columns that are not explained: {few(strange)}"
    if not strange:
        what = "this table names no factors"
    hint = f"say what its columns are: {proposal(f'{asked.key}_columns', columns)}"
    return UserError(what, where=table.where, received=f"columns {few(table.columns, 30)}", hint=hint)
