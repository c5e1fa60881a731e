"""Which transcription factor or microRNA targets which gene: a wide table, a list of pairs, or a GMT file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from genexp.errors import UserError
from genexp.prepare.genes import GeneNames, Join, check_unique, join
from genexp.prepare.opening import bad_line, few, open_text
from genexp.prepare.tables import Table, look_at, text_columns

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
    table = look_at(path, key)
    table.check_rows()
    _, head = next(table.chunks())
    texts = text_columns(head)
    numbers = [name for name in head.columns[1:] if name not in texts]
    if not numbers or head.iloc[:, 0].duplicated().any():
        return _long(table, genes)
    if genes.is_gene(head.columns[0]):
        raise table.no_header(["gene", "FACTOR1", "FACTOR2"])
    return _wide(table, genes, numbers)


def is_gmt(path: Path) -> bool:
    """Return whether a file is GMT, by its name."""
    return path.name.removesuffix(".gz").endswith(".gmt")


def _wide(table: Table, genes: GeneNames, factors: list[str]) -> Targets:
    names: list[str] = []
    blocks = []
    hint = "write 1 where a factor targets a gene, 0 where it does not, or a score"
    for line, chunk in table.chunks():
        block = table.numbers(chunk, factors, line, hint)
        empty = np.argwhere(np.isnan(block))
        if len(empty):
            row, column = map(int, empty[0])
            what, gene = "a target table has an empty cell", chunk.iloc[row, 0]
            raise table.bad_cell(what, factors[column], row + line, gene, "a number", "nothing", hint)
        names += chunk.iloc[:, 0].tolist()
        blocks.append(block.astype(np.float32))
    check_unique(names, table.where, table.first_line)
    found = join(genes, names, table.where)
    values = np.zeros((len(genes.ids), len(factors)), np.float32)
    values[found.found] = np.concatenate(blocks)[found.rows[found.found]]
    binary = bool(((values == 0) | (values == 1)).all())
    return Targets(values.astype(np.uint8) if binary else values, tuple(map(str, factors)), found, "wide")


def _long(table: Table, genes: GeneNames) -> Targets:
    _, rows = next(table.chunks(None))
    texts = [rows.columns[0], *text_columns(rows)]
    if len(texts) < 2:
        check_unique(rows.iloc[:, 0].tolist(), table.where, table.first_line)
        what, received = "the list of pairs names no factors", f"columns {few(table.columns, 8)}"
        expected = "a wide table with each gene once, or pairs: a column of genes and one of factors"
        raise UserError(what, where=table.where, expected=expected, received=received)
    known = genes.known()
    hits = {name: len(known.intersection(rows[name].dropna().unique())) for name in texts}
    # A factor may be a gene, too; an id joins more surely than a symbol: of two columns with as many hits, the first.
    headed = {name for name in texts if str(name).lower() in _FACTOR_HEADINGS}
    gene_column = max(texts, key=lambda name: (hits[name] > 0 and name not in headed, hits[name], -texts.index(name)))
    others = [name for name in texts if name != gene_column]
    factor_column = next((name for name in others if name in headed), others[-1])
    if genes.is_gene(gene_column) or factor_column in set(rows[factor_column]):
        raise table.no_header(["gene" if name == gene_column else table.key for name in rows.columns])
    form = f"pairs of {gene_column} and {factor_column}"
    return _from_pairs(rows[[gene_column, factor_column]].dropna(), table.where, genes, form)


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
