"""Which transcription factor or microRNA targets which gene: a wide table, a list of pairs, or a GMT file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from genexp.errors import UserError
from genexp.prepare.config import TargetsColumns
from genexp.prepare.formats import between, column, recognised
from genexp.prepare.formats.targets import FORMATS, SIGNS, TAXA, TargetsFormat
from genexp.prepare.genes import GeneNames, Join, check_rows_are_genes, check_unique, join, spoiled
from genexp.prepare.opening import bad_line, few, open_text
from genexp.prepare.row_numbers import without_row_numbers
from genexp.prepare.tables import MISSING, SPREADSHEET_ERRORS, Table, is_text, look_at, numbers_in, shown
from genexp.prepare.target_columns import PAIRS, best_column, find_factors, find_pairs, is_name, no_header


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


def read_targets(
    path: Path, key: str, genes: GeneNames, values: str = "binary", columns: TargetsColumns | None = None
) -> Targets:
    """Read a table of targets for these genes; a UserError is raised if no gene joins.

    A GMT file has a factor, a description and genes on each line. Lists of pairs are recognised by their headings; a
    table of ids and numbers is wide: a row for each gene, a column for each factor. `values` of pairs are ``binary``,
    ``sign`` or ``score``; `columns` say what the columns are.
    """
    if columns is None and is_gmt(path):
        return _of_pairs(_gmt_pairs(path, key), f"{key}={path}", TargetsFormat("GMT"), genes, values)
    table = without_row_numbers(look_at(path, key), is_name, _given(columns))
    if columns is None:
        pairs = find_pairs(table, key, genes)
        if pairs:
            return _read_pairs(pairs.with_header(table), pairs, genes, values)
        table.check_rows()
        return _read_wide(table, *find_factors(table, key, genes), "wide", genes, values)
    where, known = f"{key}_columns", recognised(table, FORMATS)
    table = known.with_header(table) if known else table
    gene = column(table, columns.gene, where)
    if columns.factors is not None:
        table.check_rows()
        return _read_wide(table, gene, between(table, columns.factors, where), f"wide, by {where}", genes, values)
    named = [column(table, name, where) if name else "" for name in (columns.factor, columns.sign, columns.value)]
    factor, sign, value = named
    format = TargetsFormat(f"by {where}", gene=(gene,), factor=factor, sign=sign, value=value)
    return _read_pairs(table, format, genes, values)


def _given(columns: TargetsColumns | None) -> list[str]:
    if columns is None:
        return []
    one = [columns.gene, columns.factor, columns.sign, columns.value]
    return [name for name in [*one, *(columns.factors or [])] if name]


def check_file(path: Path, key: str) -> None:
    """Raise a UserError if the first lines of a file are not those of a table of targets."""
    if not is_gmt(path):
        look_at(path, key)


def is_gmt(path: Path) -> bool:
    """Return whether a file is GMT, by its name or as Enrichr writes it: an empty description in rows of genes."""
    if path.name.removesuffix(".gz").endswith(".gmt"):
        return True
    if not is_text(path):
        return False
    with open_text(path) as file:
        lines = [line.rstrip("\r\n").split("\t") for _, line in zip(range(2), file, strict=False)]
    return bool(lines) and all(len(cells) > 2 and cells[0] and not cells[1] and cells[2] for cells in lines)


def _read_wide(table: Table, gene: str, factors: list[str], form: str, genes: GeneNames, values: str) -> Targets:
    """Read a table with a row for each gene, a column for each factor."""
    names: list[str] = []
    blocks = []
    hint = "write 1 where a factor targets a gene, 0 where it does not, or a score"
    for line, chunk in table.chunks(texts=[gene], columns=[gene, *factors]):
        block = table.numbers(chunk, factors, line, hint)
        for row, factor in np.argwhere(np.isnan(block))[:1].tolist():
            what, at = "a target table has an empty cell", int(chunk.index[row]) + table.first_line
            raise table.bad_cell(what, factors[factor], at, chunk.iloc[row, 0], "a number", "nothing", hint)
        names += chunk[gene].tolist()
        blocks.append(_packed(block))
    check_unique([name for name in names if name], table.where, line=lambda n: _line(table, names, n))
    check_rows_are_genes(genes, names, factors, table.where)
    found = join(genes, names, table.where)
    whole = np.concatenate(blocks)
    matrix = np.zeros((len(genes.ids), len(factors)), whole.dtype)
    matrix[found.found] = whole[found.rows[found.found]]
    if values == "sign":
        if not (whole < 0).any():
            raise _lacks(table.where, "signs", table.key, "no value is negative")
        matrix = np.sign(matrix)
    form = ", ".join([form, f"genes in column {shown(gene)}", *table.remarks])
    return Targets(_packed(matrix), tuple(factors), found, form, wide=True, warnings=_damage(names, "genes"))


def _line(table: Table, names: list[str], number: int) -> int:
    """Return the line of a name, counted among those that are not empty."""
    return table.line_of([n for n, name in enumerate(names) if name][number])


def _packed(values: np.ndarray) -> np.ndarray:
    binary = values.dtype == np.uint8 or bool(((values == 0) | (values == 1)).all())
    return values.astype(np.uint8 if binary else np.float32, copy=False)


def _read_pairs(table: Table, format: TargetsFormat, genes: GeneNames, values: str) -> Targets:
    """Read a list of pairs."""
    factor, sign, value, species, support = (
        next(iter(format.columns(table, [name])), "")
        for name in (format.factor, format.sign, format.value, format.species, format.negative[0])
    )
    ids, reference = format.columns(table, format.gene), format.columns(table, format.reference)
    texts = list(dict.fromkeys([*ids, factor, *reference, *(name for name in (sign, species, support) if name)]))
    frame = table.read(texts, [*texts, *([value] if value and value not in texts else [])])
    gene = best_column(frame, ids, genes)
    frame, remark = _named_pairs(frame[~frame[gene].isin(format.no_genes)], gene, factor, genes)
    if not len(frame):
        raise no_header(table, table.key, genes)
    frame, which = _of_one_species(frame, gene, species, genes, reference, table)
    remark += which
    if support and (wrong := frame[support].str.startswith(format.negative[1])).any():
        remark.append(f"{int(wrong.sum()):,} rows of {few(frame[support][wrong].unique())} left out")
        frame = frame[~wrong]
    pairs = pd.DataFrame({"gene": frame[gene], "factor": frame[factor]})
    if value:  # whose zeros, where it has some, count for binary targets, too
        strict = values != "binary"
        pairs["score"] = table.numbers(frame, [value])[:, 0] if strict else numbers_in(frame[value])
    if sign and values == "sign":
        pairs["sign"] = _signs(table, frame[sign], sign)
    form = f"{format.name}{' of' if format.name == PAIRS else ':'} {gene} and {factor}"
    form = ", ".join([form, *table.remarks, *remark])
    return _of_pairs(pairs, table.where, replace(format, name=form), genes, values)


def _named_pairs(frame: pd.DataFrame, gene: str, factor: str, genes: GeneNames) -> tuple[pd.DataFrame, list[str]]:
    """Return the pairs that name a gene and a factor, and a remark on the others; flies have genes na and nan."""
    missing = {*MISSING, *SPREADSHEET_ERRORS}
    absent = (frame[gene].isin(missing - (genes.known() & {"na", "nan"})) | frame[factor].isin(missing)).to_numpy()
    remark = f"{int(absent.sum()):,} pairs without a gene or factor left out"
    return frame[~absent], [remark] if absent.any() else []


def _of_one_species(
    frame: pd.DataFrame, gene: str, species: str, genes: GeneNames, reference: list[str], table: Table
) -> tuple[pd.DataFrame, list[str]]:
    """Return the rows of the species whose genes join best, or that the ids of `reference` are of, and a remark."""
    if not species or frame[species].nunique() < 2:
        return frame, []
    if reference:
        best = _species_of(frame, reference, genes)
        if best not in set(frame[species]):
            what, hint = "nothing tells of which species the targets are to be taken", "keep the rows of one species"
            where, received = f"{table.where}, column {species}", few(frame[species].unique())
            raise UserError(what, where=where, received=received, hint=hint)
    else:
        hits = frame[frame[gene].isin(genes.known())].groupby(species)[gene].nunique()
        if not len(hits):
            return frame, []
        best = str(hits.idxmax())
    rows = frame[species] == best
    return frame[rows], [f"the rows of {'species ' * bool(reference)}{best} ({int((~rows).sum()):,} others left out)"]


def _species_of(frame: pd.DataFrame, reference: list[str], genes: GeneNames) -> str:
    """Return the taxon that the ids of most rows show, else those of the genes; "" if none does."""
    for ids in [*(frame[name] for name in reference), pd.Series(genes.ids.astype(str))]:
        taxa = ids.str.extract(r"^([A-Za-z]+)\d", expand=False).map(TAXA).value_counts()
        if len(taxa) and taxa.iloc[0] > len(ids) / 2:
            return str(taxa.index[0])
    return ""


def _signs(table: Table, column: pd.Series[str], name: str) -> np.ndarray:
    words = column.str.lower()
    signs = words.map(SIGNS).fillna(np.sign(numbers_in(words)))
    unknown = words[signs.isna()].unique()
    if len(unknown):
        what, expected = "effects are in words that are not known", "+, -, activation, repression, 1, -1, dual, unknown"
        where, hint = f"{table.where}, column {name}", "translate these words"
        raise UserError(what, where=where, expected=expected, received=few(unknown), hint=hint)
    return signs.to_numpy(float)


def _gmt_pairs(path: Path, key: str) -> pd.DataFrame:
    pairs = []
    with open_text(path) as file:
        for number, line in enumerate(file, 1):
            factor, *rest = line.rstrip("\r\n").split("\t")
            if len(rest) < 2 and line.strip():
                what, expected = "a line of a GMT file names no genes", "set, description and genes, separated by tabs"
                raise bad_line(what, f"{key}={path}", number, expected, line)
            targets = [gene.partition(",") for gene in rest[1:] if gene]
            pairs += [(gene.strip(), factor.strip(), score) for gene, _, score in targets]
    found = pd.DataFrame(pairs, columns=["gene", "factor", "score"], dtype=str)
    scores = numbers_in(found.pop("score"))
    return found.assign(score=scores) if len(scores) and np.isfinite(scores).all() else found


def _of_pairs(pairs: pd.DataFrame, where: str, format: TargetsFormat, genes: GeneNames, values: str) -> Targets:
    """Return the matrix of pairs; factors none of whose targets is among the genes are left out."""
    value, form = _values(pairs, where, format.name, values), format.name
    listed = ~np.isnan(value)
    if "score" in pairs and (format.zero_is_none or values == "score"):
        listed &= (pairs["score"] != 0).to_numpy()
    if not listed.all():
        form += f", {int((~listed).sum()):,} pairs with a score of 0 or none left out"
    row_of, names = pd.factorize(pairs["gene"])
    found = join(genes, list(names), where)
    gene_of = np.full(len(names), -1)
    gene_of[found.rows[found.found]] = np.flatnonzero(found.found)
    used = (gene_of[row_of] >= 0) & listed
    rows, value = gene_of[row_of][used], value[used]
    factors, columns = np.unique(pairs["factor"].to_numpy(str)[used], return_inverse=True)
    matrix = np.zeros((len(genes.ids), len(factors)), np.uint8 if values == "binary" else np.float32)
    if values == "sign":
        for sign in (1, -1):  # a pair with both is dual
            places = np.unique(np.stack([rows, columns])[:, value == sign], axis=1)
            matrix[tuple(places)] += sign
        cells = np.unique(rows * len(factors) + columns)
        form += f", {int((matrix.ravel()[cells] == 0).sum()):,} of dual or unknown effect are 0"
    else:  # of several scores of a pair, the largest in size
        order = np.argsort(np.abs(value), kind="stable") if values == "score" else slice(None)
        matrix[rows[order], columns[order]] = value[order]
    damage = [_damage(pairs[kind].unique().tolist(), f"{kind}s") for kind in ("gene", "factor")]
    return Targets(matrix, tuple(map(str, factors)), found, form, warnings=(*damage[0], *damage[1]))


def _values(pairs: pd.DataFrame, where: str, name: str, values: str) -> np.ndarray:
    """Return the value of each pair, NaN where it has none."""
    key = where.partition("=")[0]
    if values == "binary":
        return np.ones(len(pairs))
    if values == "sign" and "sign" in pairs:
        return pairs["sign"].to_numpy(float)
    if "score" not in pairs or (values == "sign" and not (pairs["score"] < 0).any()):
        lacks = "no column of effects, and no score below 0" if values == "sign" else "no column of scores"
        raise _lacks(where, f"{values}s", key, f"{name}: {lacks}")
    scores = pairs["score"].to_numpy(float)
    return np.sign(scores) if values == "sign" else scores


def _damage(names: Sequence[str], kind: str) -> tuple[str, ...]:
    damaged = [name for name, bad in zip(names, spoiled(names), strict=True) if bad]
    what = f"names of {kind} are dates or numbers that a spreadsheet made of them: {few(damaged, 4)}"
    return (f"{len(damaged):,} {what}",) if damaged else ()


def _lacks(where: str, what: str, key: str, reason: str) -> UserError:
    hint = f"leave {key}.values out for 1 and 0"
    return UserError(f"this table has no {what}", where=where, received=reason, hint=hint)
