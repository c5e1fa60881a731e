"""Xpresso's published table: ENSID, EXPRESSION, eight half-life features and PROMOTER, one gene on each line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from genexp.blocks import HALFLIFE_FEATURES
from genexp.features.tokens import tokens_from_text
from genexp.prepare.bases import Bases
from genexp.prepare.config import Config
from genexp.prepare.genes import GeneNames, RawGenes, check_unique, without_version
from genexp.prepare.ledger import Ledger, Progress
from genexp.prepare.opening import bad_line
from genexp.prepare.scale import check_scale, warn_of_scale
from genexp.prepare.tables import look_at

#: Rows in memory at a time, for promoters may be long.
_AT_ONCE = 500
_TEXTS = ("ENSID", "PROMOTER")
COLUMNS = ("ENSID", "EXPRESSION", *HALFLIFE_FEATURES, "PROMOTER")


def gather(config: Config, ledger: Ledger) -> RawGenes:
    """Return the genes of the table."""
    genes = read_numbers(config)
    warn_of_scale(config.expression_scale, genes.labels, [COLUMNS[1], Path(str(config.table)).name], ledger)
    ledger.count("in the table", len(genes))
    if not config.halflife:
        genes = replace(genes, halflife=np.empty(0))
    if config.genes.strip_versions:
        genes = replace(genes, names=GeneNames(np.array([without_version(gene) for gene in genes.names.ids])))
        check_unique(genes.names.ids.tolist(), f"table={config.table}, without versions")
    return genes


def read_bases(config: Config, genes: RawGenes, ledger: Ledger) -> Bases:
    """Read the promoters of the table; the TSS is in their middle."""
    rename = without_version if config.genes.strip_versions else str
    place = {str(gene): row for row, gene in enumerate(genes.names.ids)}
    tokens = read_promoters(Path(str(config.table)), place, rename, ledger.progress)
    return Bases(tokens, tokens.shape[1] // 2)


def read_numbers(config: Config) -> RawGenes:
    """Read everything but the bases; they are long, so they are read once their place is known.

    A UserError is raised if columns are missing, a value is not a number, a length is negative, expression is
    impossible on its scale, promoters differ in length, or a gene occurs twice.
    """
    table = look_at(Path(str(config.table)), "table")
    lacking = [name for name in COLUMNS if name not in table.columns]
    if lacking:
        what = f"the table lacks the column{'s' if len(lacking) > 1 else ''} {', '.join(lacking)}"
        hint = "use a table in Xpresso's layout (*.InputData.pM10Kb.txt.gz), or source=genome"
        raise bad_line(what, table.where, table.skip + 1, "\\t".join(COLUMNS), "\\t".join(table.columns), hint)
    table.check_rows()
    genes: list[str] = []
    parts, length = [], 0
    for line, chunk in table.chunks(_AT_ONCE, _TEXTS):
        values = table.numbers(chunk, COLUMNS[1:-1], line)
        lengths = chunk["PROMOTER"].fillna("").str.len().to_numpy()
        length = length or lengths[0]
        checks = [
            ("a value is missing", ~np.isnan(values[:, :1]), COLUMNS[1:2], "a number"),
            ("a value is negative or missing", values[:, 1:] >= 0, COLUMNS[2:-1], "a number, at least 0"),
            ("promoters differ in length", lengths[:, None] == (length or -1), COLUMNS[-1:], f"{length:,} bases"),
        ]
        for what, right, names, expected in checks:
            for row, column in np.argwhere(~right)[:1]:
                gene, cell = chunk["ENSID"].iloc[row], str(chunk[names[column]].iloc[row])
                hint, received = "correct or remove the line", cell if len(cell) < 40 else f"{len(cell):,}"
                raise table.bad_cell(what, names[column], line + row, gene, expected, received, hint)
        genes += chunk["ENSID"].tolist()
        parts.append(values)
    check_unique(genes, table.where, table.first_line)
    numbers = np.concatenate(parts)
    check_scale(config, numbers[:, :1], table, COLUMNS[1:2], pd.Series(genes))
    return RawGenes(GeneNames(np.array(genes)), numbers[:, :1], halflife=numbers[:, 1:])


def read_promoters(
    path: Path, place: Mapping[str, int], rename: Callable[[str], str], progress: Progress
) -> np.ndarray:
    """Read the promoters of the genes in `place`, each into its row, as (genes, length) uint8 tokens.

    `rename` turns the table's name of a gene into the one in `place`; `progress` takes the promoters read, and all.
    """
    table, tokens, done = look_at(path, "table"), np.empty((0, 0), np.uint8), 0
    for line, chunk in table.chunks(_AT_ONCE, _TEXTS):
        if not tokens.size:
            tokens = np.empty((len(place), len(chunk["PROMOTER"].iloc[0])), np.uint8)
        for n, (gene, bases) in enumerate(zip(chunk["ENSID"], chunk["PROMOTER"], strict=True)):
            row = place.get(rename(gene))
            if row is None:
                continue
            try:
                tokens[row] = tokens_from_text(bases)
            except ValueError as error:
                what, hint = "a promoter holds something other than bases", "correct or remove the line"
                raise table.bad_cell(what, "PROMOTER", line + n, gene, "A C G T N", error, hint) from None
            done += 1
        progress(done, len(place))
    return tokens
