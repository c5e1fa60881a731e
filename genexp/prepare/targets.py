"""Which transcription factor or microRNA targets which gene: a wide table, a list of pairs, or a GMT file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from genexp.errors import UserError
from genexp.prepare.names import GeneNames, Join, check_unique, is_gene, join
from genexp.prepare.sources import bad_line, open_text
from genexp.prepare.tables import bad_cell, check_rows, first_line, no_header, number_column, read_chunks, text_columns

#: Headings that name the column with the factor in a list of pairs.
_FACTOR_HEADINGS = frozenset(
    {"tf", "mirna", "mir", "factor", "regulator", "source", "set", "transcription_factor", "mature_mirna"}
)


@dataclass(frozen=True)
class Targets:
    """Which factor targets which gene.

    `values` (n, width) has one row for each gene that was asked for, zeros for genes that the file lacks: uint8 if
    all are 0 or 1, else float32. `names` are the columns', `form` is ``"wide"``, ``"pairs of ..."`` or ``"GMT"``.
    """

    values: np.ndarray
    names: tuple[str, ...]
    join: Join
    form: str

    def take(self, rows: np.ndarray) -> Targets:
        """Return the genes selected by an index array."""
        return replace(self, values=self.values[rows], join=replace(self.join, rows=self.join.rows[rows]))


def read_targets(path: Path, key: str, genes: GeneNames) -> Targets:
    """Read a table of targets for these genes, in any of three forms; a UserError is raised if no gene joins.

    A table whose name ends in ``.gmt`` has a factor, a description and genes on each line. Other tables have a header.
    With numbers, and each gene once, they are wide: a row for each gene, a column for each factor. Otherwise they are
    lists of pairs: one column names genes (the one that joins best), another the factor.
    """
    if is_gmt(path):
        return _from_pairs(_gmt_pairs(path, key), f"{key}={path}", genes, "GMT")
    check_rows(path, key)
    head = next(read_chunks(path, key))
    texts = text_columns(head)
    numbers = [name for name in head.columns[1:] if name not in texts]
    if numbers and not head.iloc[:, 0].duplicated().any():
        if is_gene(head.columns[0], genes):
            raise no_header(path, key, list(head.columns), ["gene", "FACTOR1", "FACTOR2"])
        return _wide(path, key, genes, numbers)
    return _long(path, key, genes)


def is_gmt(path: Path) -> bool:
    """Return whether a file is GMT, by its name."""
    return path.name.removesuffix(".gz").endswith(".gmt")


def _wide(path: Path, key: str, genes: GeneNames, factors: list[str]) -> Targets:
    where, first = f"{key}={path}", first_line(path, key)
    names = [str(name) for chunk in read_chunks(path, key) for name in chunk.iloc[:, 0]]
    check_unique(names, where, first)
    found = join(genes, names, where)
    gene_of = np.full(len(names), -1)
    gene_of[found.rows[found.found]] = np.flatnonzero(found.found)
    values = np.zeros((len(genes.ids), len(factors)), np.float32)
    at, hint = 0, "write 1 where a factor targets a gene, 0 where it does not, or a score"
    for chunk in read_chunks(path, key):
        block = np.column_stack([number_column(chunk, name, where, at + first, hint) for name in factors])
        empty = np.argwhere(np.isnan(block))
        if len(empty):
            row, column = map(int, empty[0])
            what, gene = "a target table has an empty cell", chunk.iloc[row, 0]
            raise bad_cell(what, where, factors[column], at + row + first, gene, "a number", "nothing", hint)
        mine = gene_of[at : at + len(chunk)]
        values[mine[mine >= 0]] = block[mine >= 0]
        at += len(chunk)
    binary = bool(((values == 0) | (values == 1)).all())
    return Targets(values.astype(np.uint8) if binary else values, tuple(map(str, factors)), found, "wide")


def _long(path: Path, key: str, genes: GeneNames) -> Targets:
    table = pd.concat(list(read_chunks(path, key)), ignore_index=True)
    texts = [table.columns[0], *text_columns(table)]
    if len(texts) < 2:
        raise _no_pairs(table, path, key)
    known = genes.known()
    hits = {name: len(known.intersection(table[name].dropna().unique())) for name in texts}
    # A factor may be a gene, too; an id joins more surely than a symbol: of two columns with as many hits, the first.
    headed = {name for name in texts if str(name).lower() in _FACTOR_HEADINGS}
    gene_column = max(texts, key=lambda name: (hits[name] > 0 and name not in headed, hits[name], -texts.index(name)))
    others = [name for name in texts if name != gene_column]
    factor_column = next((name for name in others if name in headed), others[-1])
    if is_gene(gene_column, genes) or factor_column in set(table[factor_column]):
        example = ["gene" if name == gene_column else key for name in table.columns]
        raise no_header(path, key, list(table.columns), example)
    pairs = table[[gene_column, factor_column]].dropna()
    return _from_pairs(pairs, f"{key}={path}", genes, f"pairs of {gene_column} and {factor_column}")


def _no_pairs(table: pd.DataFrame, path: Path, key: str) -> UserError:
    names = table.iloc[:, 0]
    gene = next(iter(names[names.duplicated()]), None)
    rows = np.flatnonzero(names == gene)[:2] + first_line(path, key)
    return UserError(
        "the list of pairs names no factors" if gene is None else f"gene {gene} occurs twice in a wide table",
        where=f"{key}={path}" + ("" if gene is None else f", rows {' and '.join(f'{row:,}' for row in rows)}"),
        expected="a wide table with each gene once, or pairs: a column of genes and one of factors",
        received=f"columns {', '.join(map(str, table.columns[:8]))}",
        hint="keep one row for each gene, or one row for each pair",
    )


def _gmt_pairs(path: Path, key: str) -> pd.DataFrame:
    pairs = []
    with open_text(path) as file:
        for number, line in enumerate(file, 1):
            factor, *rest = line.rstrip("\r\n").split("\t")
            if len(rest) < 2 and line.strip():
                what, expected = "a line of a GMT file names no genes", "set, description and genes, separated by tabs"
                raise bad_line(what, f"{key}={path}", number, expected, line)
            pairs += [(gene.split(",")[0], factor) for gene in rest[1:] if gene]
    return pd.DataFrame(pairs, columns=["gene", "factor"], dtype=str)


def _from_pairs(pairs: pd.DataFrame, where: str, genes: GeneNames, form: str) -> Targets:
    """Return the matrix of (gene, factor) pairs; factors none of whose targets is among the genes are left out."""
    gene, factor = (pairs.iloc[:, n].astype(str) for n in (0, 1))
    row_of, names = pd.factorize(gene)
    found = join(genes, list(names), where)
    gene_of = np.full(len(names), -1)
    gene_of[found.rows[found.found]] = np.flatnonzero(found.found)
    rows = gene_of[row_of]
    factors, columns = np.unique(factor.to_numpy(str)[rows >= 0], return_inverse=True)
    values = np.zeros((len(genes.ids), len(factors)), np.uint8)
    values[rows[rows >= 0], columns] = 1
    return Targets(values, tuple(map(str, factors)), found, form)
