"""Xpresso's published table: ENSID, EXPRESSION, eight half-life features and PROMOTER, one gene on each line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from genexp.blocks import HALFLIFE_FEATURES
from genexp.errors import UserError
from genexp.features.tokens import tokens_from_text
from genexp.prepare.genes import RawGenes
from genexp.prepare.ledger import Progress, ignore
from genexp.prepare.names import GeneNames, check_unique
from genexp.prepare.sources import bad_line, open_text

COLUMNS = ("ENSID", "EXPRESSION", *HALFLIFE_FEATURES, "PROMOTER")


def read_numbers(path: Path) -> RawGenes:
    """Read everything but the bases; they are long, so they are read once their place is known.

    A UserError is raised if columns are missing, a value is negative or not a number, promoters differ in length, or a
    gene occurs twice.
    """
    genes: list[str] = []
    rows: list[list[float]] = []
    length = 0
    for number, (gene, *values, promoter) in _lines(path):
        genes.append(gene)
        rows.append([_number(path, number, gene, *cell) for cell in zip(COLUMNS[1:-1], values, strict=True)])
        length = length if len(rows) > 1 else len(promoter)
        if len(promoter) != length:
            expected, received = f"{length:,} bases, as on the first line", f"{len(promoter):,}"
            raise _error("promoters differ in length", path, number, gene, expected, received)
    if not length:
        raise UserError("the table has no genes", where=f"table={path}", hint="copy or download it again")
    check_unique(genes, f"table={path}")
    numbers = np.array(rows)
    return RawGenes(GeneNames(np.array(genes)), numbers[:, 0], numbers[:, 1:])


def read_promoters(
    path: Path, place: Mapping[str, int], *, rename: Callable[[str], str] = str, progress: Progress = ignore
) -> np.ndarray:
    """Read the promoters of the genes in `place`, each into its row, as (genes, length) uint8 tokens.

    `rename` turns the table's name of a gene into the one in `place`; `progress` takes the promoters read, and all.
    """
    tokens, done = np.empty((0, 0), np.uint8), 0
    for number, cells in _lines(path):
        if not tokens.size:
            tokens = np.empty((len(place), len(cells[-1])), np.uint8)
        row = place.get(rename(cells[0]))
        if row is None:
            continue
        try:
            tokens[row] = tokens_from_text(cells[-1])
        except ValueError as error:
            what = "a promoter holds something other than bases"
            raise _error(what, path, number, cells[0], "A C G T N", error, COLUMNS[-1]) from None
        done += 1
        progress(done, len(place))
    return tokens


def _error(
    what: str, path: Path, line: int, gene: str, expected: object, received: object, column: str = ""
) -> UserError:
    at = f" (gene {gene})" + (f", column {column}" if column else "")
    return bad_line(what, f"table={path}", line, expected, received, at=at)


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and cells, in the order of `COLUMNS`."""
    with open_text(path) as file:
        header = [name.strip() for name in file.readline().rstrip("\r\n").split("\t")]
        lacking = [name for name in COLUMNS if name not in header]
        if lacking:
            what = f"the table lacks the column{'s' if len(lacking) > 1 else ''} {', '.join(lacking)}"
            hint = "use a table in Xpresso's layout (*.InputData.pM10Kb.txt.gz), or source=genome"
            raise bad_line(what, f"table={path}", 1, "\\t".join(COLUMNS), "\\t".join(header), hint)
        order = [header.index(name) for name in COLUMNS]
        for number, line in enumerate(file, 2):
            cells = line.rstrip("\r\n").split("\t")
            if len(cells) == len(header):
                yield number, [cells[n] for n in order]
            elif line.strip():
                what = "a line has the wrong number of columns"
                raise bad_line(what, f"table={path}", number, len(header), len(cells))


def _number(path: Path, line: int, gene: str, column: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not 0 <= value < np.inf:
        what = f"a value of {column} is {'negative' if value < 0 else 'not a number'}"
        raise _error(what, path, line, gene, "a number, at least 0", text, column)
    return value
