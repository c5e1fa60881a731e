"""Which transcription factor or microRNA targets which gene: a wide table, a list of pairs, or a GMT file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from genexp.errors import UserError
from genexp.prepare.names import GeneNames, Join, check_unique, is_gene, join
from genexp.prepare.sources import open_text
from genexp.prepare.tables import check_rows, first_line, no_header, number_column, read_chunks, text_columns

#: Headings that name the column with the factor in a list of pairs.
_FACTOR_HEADINGS = (
    "tf",
    "mirna",
    "mir",
    "factor",
    "regulator",
    "source",
    "set",
    "transcription_factor",
    "mature_mirna",
)


@dataclass(frozen=True)
class Targets:
    """Which factor targets which gene.

    Attributes
    ----------
    values : (n, width)
        One row for each gene that was asked for; uint8 where all values are 0 or 1, else float32. Genes that the file
        lacks are zeros.
    names
        Of the columns.
    join
        How the genes were found.
    form
        ``"wide"``, ``"pairs"`` or ``"GMT"``.
    """

    values: np.ndarray
    names: tuple[str, ...]
    join: Join
    form: str


def read_targets(path: Path, key: str, genes: GeneNames) -> Targets:
    """Read a table of targets for these genes; which form it has is told by looking.

    A table whose name ends in ``.gmt`` has a factor, a description and genes on each line. Other tables have a header.
    With numbers, and each gene once, they are wide: a row for each gene, a column for each factor. Otherwise they are
    lists of pairs: one column names genes (the one that joins best), another the factor.

    Raises
    ------
    UserError
        If it cannot be understood, or no gene joins.
    """
    if is_gmt(path):
        pairs = _gmt_pairs(path, key)
        return _from_pairs(pairs, f"{key}={path}", genes, "GMT")
    check_rows(path, key)
    head = next(read_chunks(path, key))
    numbers = [name for name in head.columns[1:] if name not in text_columns(head)]
    if numbers and not head.iloc[:, 0].duplicated().any():
        if is_gene(head.columns[0], genes):
            raise no_header(path, key, list(head.columns), ["gene", "FACTOR1", "FACTOR2"])
        return _wide(path, key, genes, numbers)
    return _long(path, key, genes)


def is_gmt(path: Path) -> bool:
    """Tell whether a file is GMT, by its name."""
    return path.name.removesuffix(".gz").endswith(".gmt")


def _wide(path: Path, key: str, genes: GeneNames, factors: list[str]) -> Targets:
    where, head = f"{key}={path}", first_line(path, key)
    names = [str(name) for chunk in read_chunks(path, key) for name in chunk.iloc[:, 0]]
    check_unique(names, where, head)
    found = join(genes, names, where)
    gene_of = np.full(len(names), -1)
    gene_of[found.rows[found.found]] = np.flatnonzero(found.found)
    values = np.zeros((len(genes.ids), len(factors)), np.float32)
    first, do = 0, "mend the value: 1 where a factor targets a gene, 0 where it does not, or a score"
    for chunk in read_chunks(path, key):
        block = np.column_stack([number_column(chunk, name, where, first + head, do) for name in factors])
        empty = np.argwhere(np.isnan(block))
        if len(empty):
            row, column = empty[0]
            raise UserError(
                "a target table has an empty cell",
                where=f"{where}, column {factors[column]}, row {first + row + head:,} (gene {chunk.iloc[row, 0]})",
                expected="a number",
                received="nothing",
                do="write 0 where a factor does not target a gene",
            )
        mine = gene_of[first : first + len(chunk)]
        values[mine[mine >= 0]] = block[mine >= 0]
        first += len(chunk)
    return Targets(_narrow(values), tuple(map(str, factors)), found, "wide")


def _narrow(values: np.ndarray) -> np.ndarray:
    """Return uint8 where all values are 0 or 1."""
    return values.astype(np.uint8) if ((values == 0) | (values == 1)).all() else values


def _long(path: Path, key: str, genes: GeneNames) -> Targets:
    table = pd.concat(list(read_chunks(path, key)), ignore_index=True)
    texts = [table.columns[0], *text_columns(table)]
    where = f"{key}={path}"
    if len(texts) < 2:
        gene = next(iter(table.iloc[:, 0][table.iloc[:, 0].duplicated()]), None)
        raise UserError(
            "the list of pairs names no factors" if gene is None else f"gene {gene} is there twice in a wide table",
            where=where if gene is None else f"{where}, rows {_rows_of(table, gene, first_line(path, key))}",
            expected="a wide table with each gene once, or pairs: a column of genes and one of factors",
            received=f"columns {', '.join(map(str, table.columns[:8]))}",
            do="keep one row for each gene, or one row for each pair",
        )
    known = genes.known()
    hits = {name: len(known.intersection(table[name].dropna().unique())) for name in texts}
    # A factor may be a gene, too; an id joins more surely than a symbol: of two columns with as many hits, the first.
    headed = {name for name in texts if str(name).lower() in _FACTOR_HEADINGS}
    gene_column = max(texts, key=lambda name: (hits[name] > 0 and name not in headed, hits[name], -texts.index(name)))
    others = [name for name in texts if name != gene_column]
    named = [name for name in others if str(name).lower() in _FACTOR_HEADINGS]
    factor_column = named[0] if named else others[-1]
    if is_gene(gene_column, genes) or factor_column in set(table[factor_column]):
        example = ["gene" if name == gene_column else key for name in table.columns]
        raise no_header(path, key, list(table.columns), example)
    pairs = table[[gene_column, factor_column]].dropna().drop_duplicates()
    return _from_pairs(
        list(zip(*pairs.to_numpy().T, strict=True)), where, genes, f"pairs of {gene_column} and {factor_column}"
    )


def _rows_of(table: pd.DataFrame, gene: str, first_line: int) -> str:
    return " and ".join(f"{row + first_line:,}" for row in np.flatnonzero(table.iloc[:, 0] == gene)[:2])


def _gmt_pairs(path: Path, key: str) -> list[tuple[str, str]]:
    pairs = []
    with open_text(path) as file:
        for number, line in enumerate(file, 1):
            factor, *rest = line.rstrip("\r\n").split("\t")
            if len(rest) < 2 and line.strip():
                raise UserError(
                    "a line of a GMT file names no genes",
                    where=f"{key}={path}, line {number:,}",
                    expected="set, description and genes, separated by tabs",
                    received=line.strip()[:60],
                    do="mend or remove the line",
                )
            pairs += [(gene.split(",")[0], factor) for gene in rest[1:] if gene]
    return pairs


def _from_pairs(pairs: Sequence[tuple[str, str]], where: str, genes: GeneNames, form: str) -> Targets:
    names = list(dict.fromkeys(str(gene) for gene, _ in pairs))
    found = join(genes, names, where)
    factors = sorted({str(factor) for _, factor in pairs})
    column = {factor: n for n, factor in enumerate(factors)}
    row = {names[r]: gene for gene, r in enumerate(found.rows) if r >= 0}
    values = np.zeros((len(genes.ids), len(factors)), np.uint8)
    for gene, factor in pairs:
        if gene in row:
            values[row[gene], column[factor]] = 1
    used = np.flatnonzero(values.any(axis=0))  # a factor none of whose targets is here says nothing
    return Targets(values[:, used], tuple(factors[n] for n in used), found, form)
