"""Xpresso's published table: ENSID, EXPRESSION, eight half-life features and PROMOTER, one gene on each line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genexp.console import progress
from genexp.dataset.genes import HALFLIFE_FEATURES
from genexp.errors import UserError
from genexp.features.tokens import tokens_from_text
from genexp.prepare.names import check_unique
from genexp.prepare.sources import open_text

COLUMNS = ("ENSID", "EXPRESSION", *HALFLIFE_FEATURES, "PROMOTER")


@dataclass(frozen=True)
class Table:
    """The table without its promoters.

    Attributes
    ----------
    genes : (n,) array of str
    expression : (n,) float64
    halflife : (n, 8) float64
    length
        Bases of a promoter.
    """

    genes: np.ndarray
    expression: np.ndarray
    halflife: np.ndarray
    length: int


def read_numbers(path: Path) -> Table:
    """Read everything but the bases; they are long, so they are read once their place is known.

    Raises
    ------
    UserError
        If columns are missing, a value is no number or negative, promoters differ in length, or a gene is there twice.
    """
    genes: list[str] = []
    rows: list[list[float]] = []
    length = None
    for number, cells in _lines(path):
        gene, *values, promoter = cells
        genes.append(gene)
        rows.append(
            [_number(path, number, gene, name, value) for name, value in zip(COLUMNS[1:-1], values, strict=True)]
        )
        length = len(promoter) if length is None else length
        if len(promoter) != length:
            raise UserError(
                "promoters differ in length",
                where=f"table={path}, line {number:,} (gene {gene})",
                expected=f"{length:,} bases, as on the first line",
                received=f"{len(promoter):,}",
                do="mend or remove the line",
            )
    if not genes or not length:
        raise UserError("the table has no genes", where=f"table={path}", do="copy or download it again")
    check_unique(genes, f"table={path}")
    numbers = np.array(rows)
    return Table(np.array(genes), numbers[:, 0], numbers[:, 1:], length)


def read_promoters(path: Path, place: dict[str, int], length: int) -> np.ndarray:
    """Read the promoters of these genes, each into its row.

    Parameters
    ----------
    path
        The table.
    place
        Row of each gene that is wanted.
    length
        Bases of a promoter.

    Returns
    -------
    (len(place), length) uint8 tokens
    """
    tokens = np.empty((len(place), length), np.uint8)
    with progress("reading promoters", len(place), "genes") as done:
        for number, cells in _lines(path):
            row = place.get(cells[0])
            if row is None:
                continue
            try:
                tokens[row] = tokens_from_text(cells[-1])
            except ValueError as error:
                raise UserError(
                    "a promoter holds something that is no base",
                    where=f"table={path}, line {number:,} (gene {cells[0]}), column PROMOTER",
                    received=error,
                    do="mend or remove the line",
                ) from None
            done(row)
    return tokens


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and cells, in the order of `COLUMNS`."""
    with open_text(path) as file:
        header = [name.strip() for name in file.readline().rstrip("\r\n").split("\t")]
        lacking = [name for name in COLUMNS if name not in header]
        if lacking:
            raise UserError(
                f"the table lacks the column{'s' if len(lacking) > 1 else ''} {', '.join(lacking)}",
                where=f"table={path}, line 1",
                expected="\\t".join(COLUMNS),
                received="\\t".join(header)[:200],
                do="use a table in Xpresso's layout (*.InputData.pM10Kb.txt.gz), or source=genome",
            )
        order = [header.index(name) for name in COLUMNS]
        for number, line in enumerate(file, 2):
            cells = line.rstrip("\r\n").split("\t")
            if len(cells) != len(header):
                if not line.strip():
                    continue
                raise UserError(
                    "a line has the wrong number of columns",
                    where=f"table={path}, line {number:,}",
                    expected=len(header),
                    received=len(cells),
                    do="mend or remove the line, or copy or download the table again",
                )
            yield number, [cells[n] for n in order]


def _number(path: Path, line: int, gene: str, column: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not 0 <= value < np.inf:
        raise UserError(
            f"a value of {column} is negative" if value < 0 else f"a value of {column} is no number",
            where=f"table={path}, line {line:,} (gene {gene}), column {column}",
            expected="a number, at least 0",
            received=text,
            do="mend or remove the line",
        )
    return value
