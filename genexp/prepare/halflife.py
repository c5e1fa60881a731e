"""Numeric features of each gene from a table, such as half-life features; they become block H."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from genexp.blocks import HALFLIFE_FEATURES
from genexp.config.words import spelled
from genexp.errors import UserError, nearest
from genexp.prepare.config import Config
from genexp.prepare.formats import is_id
from genexp.prepare.genes import GeneNames, RawGenes, check_unique, join_best, without_version
from genexp.prepare.ledger import Ledger
from genexp.prepare.opening import few
from genexp.prepare.recipe import LOGGED
from genexp.prepare.row_numbers import odd_numbers, without_row_numbers
from genexp.prepare.tables import Table, headings, look_at, nameless, text_columns

if TYPE_CHECKING:
    import pandas as pd

#: Headings of gene columns, as `_plain` spells them; the first that a table has names its genes.
GENE_HEADINGS = (
    *("geneid", "ensemblgeneid", "ensemblid", "ensid", "ensembl", "genestableid", "locustag", "id", "sequenceid"),
    *("seqid", "gene", "genes", "", "genename", "genesymbol", "symbol", "name"),
)
#: Headings of what describes a gene and is no feature.
_ABOUT_GENES = frozenset(
    {"chrom", "chromosome", "chr", "seqname", "seqnames", "start", "end", "strand", "tss", "genename", "genesymbol"}
    | {"symbol", "name", "description", "genedescription", "biotype", "genebiotype", "genetype", "transcript"}
    | {"transcriptid", "transcriptstableid", "entrezid", "entrezgene", "ncbigeneid", "hgncid"}
)
#: Published intron lengths lie up to two bases below zero.
_LOWEST_LENGTH = -2


def with_features(genes: RawGenes, config: Config, ledger: Ledger) -> RawGenes:
    """Return the genes that a table of features has, with its values; a UserError is raised if it cannot be read."""
    given = config.halflife_columns
    named = [given.gene, *given.features] if given else []
    table = without_row_numbers(look_at(Path(str(config.halflife)), "halflife"), _is_gene, named)
    gene, others, names, remark = _columns(table, config, genes.names)
    rows = table.read([gene, *others], [gene, *others, *names])
    if (without := nameless(rows[gene])).any():
        table.remarks.append(f"{int(without.sum()):,} rows without the name of a gene are left out")
        rows = rows[~without]
    ids = rows[gene].map(without_version) if config.genes.strip_versions else rows[gene]
    check_unique(ids.tolist(), table.where, line=lambda n: table.line_of(rows.index[n]))
    values = table.numbers(rows, names)
    in_table = GeneNames(ids.to_numpy(str), {name: rows[name].to_numpy(str) for name in others})
    found, column = join_best(genes.names, in_table, table.where)
    if column:
        table.remarks.append(f"genes are joined by column {column}, which has more of their names")
    absent, whole = ~found.found, ~np.isnan(values).any(axis=1)
    there = found.found & whole[found.rows]
    empty = int((found.found & ~there).sum())
    if not there.any():
        what = "no gene has a value in every column of this table"
        columns = {"gene": gene, "features": _full(values, names)}
        hint = f"name those that are full: {spelled('halflife_columns', columns)}"
        raise UserError(what, where=table.where, expected="numbers", received="empty cells", hint=hint)
    logged, sentence = _logged(names, values)
    sentence = "; ".join([sentence + remark, *table.remarks])
    ledger.rule("features", sentence, report=ledger.note, prefix="features of block H: ")
    genes = genes.take(there)
    lost = [(int(absent.sum()), "genes absent"), (empty, "with empty cells")]
    dropped = "".join(f"; {number:,} {which}: dropped" for number, which in lost if number)
    ledger.count("with features", len(genes), f"{len(names):,} columns{found.remark()}{dropped}")
    chosen = values[found.rows[there]]
    return replace(genes, halflife=chosen, halflife_names=tuple(names), halflife_logged=logged)


def _is_gene(heading: str) -> bool:
    return is_id(heading) or (heading != "" and _plain(heading) in GENE_HEADINGS)


def _columns(table: Table, config: Config, genes: GeneNames) -> tuple[str, list[str], list[str], str]:
    """Return the gene column, others with its names, the features, and a remark on what is none; or ask for them."""
    given = config.halflife_columns
    if given:
        for name in (given.gene, *given.features):
            if name not in table.columns:
                hint = nearest(name, table.columns) or None
                where, received = f"halflife_columns, {table.where}", f"columns {headings(table.columns)}"
                raise UserError(f"there is no column {name}", where=where, received=received, hint=hint)
        return given.gene, [], given.features, ""
    _, head = next(table.chunks())
    texts, plain = text_columns(head), {_plain(name): name for name in table.columns}
    gene = next((plain[heading] for heading in GENE_HEADINGS if heading in plain), None)
    about = [name for name in table.columns if name != gene and _plain(name) in _ABOUT_GENES]
    features = [name for name in table.columns if name not in (gene, *about)]
    odd = odd_numbers(table, _is_gene)
    unknown = [name for name in features if name in texts or name in odd]
    if gene is None or unknown or not features:
        raise _ask(table, head, gene, genes, [name for name in features if name not in unknown], odd)
    others = [name for name in about if _is_gene(name)]
    return gene, others, features, f"; not features: {', '.join(about)}" if about else ""


def _ask(
    table: Table, head: pd.DataFrame, gene: str | None, genes: GeneNames, numbers: list[str], odd: list[str]
) -> UserError:
    """Return the error for a table that is not recognised, with the key that reads it."""
    known = genes.known()
    best = max(table.columns, key=lambda name: len(known.intersection(head[name].astype(str))))
    columns = {"gene": gene or best, "features": [name for name in numbers if name != (gene or best)]}
    what = "a column of this table of features is no number, and not known to describe genes"
    if odd:
        what = f"column {headings(odd)} of this table may be a feature or number the rows"
    if gene is None:
        what = "no column of this table of features is called gene_id, gene, id or the like"
    hint = f"name its columns: {spelled('halflife_columns', columns)}"
    if not columns["features"]:
        what, hint = "this table of features has no column of numbers", "use a table with numbers"
    return UserError(what, where=table.where, received=f"columns {headings(table.columns)}", hint=hint)


def _full(values: np.ndarray, names: list[str]) -> list[str]:
    there = (~np.isnan(values)).sum(axis=0)
    return [name for name, number in zip(names, there, strict=True) if number == there.max()]


def _logged(names: list[str], values: np.ndarray) -> tuple[tuple[bool, ...], str]:
    """Return which features become logarithms, as Xpresso's lengths do that are not negative, and a sentence."""
    rule = dict(zip(HALFLIFE_FEATURES, LOGGED, strict=True))
    lengths = [name for name in names if rule.get(name)]
    logged = [name for name in lengths if _are_lengths(values[:, names.index(name)])]
    negative = [name for name in lengths if name not in logged]
    others = [name for name in names if name not in lengths]
    parts = [(logged, "log10(x + 0.1)"), (negative, "taken as they are, since some are negative")]
    parts += [(others, "taken as they are")]
    sentence = "; ".join(f"{few(which, 8)}: {how}" for which, how in parts if which)
    return tuple(name in logged for name in names), f"{sentence}; then standardised"


def _are_lengths(values: np.ndarray) -> bool:
    known = values[~np.isnan(values)]
    whole = bool((known == np.round(known)).all())
    return bool((known >= (_LOWEST_LENGTH if whole else 0)).all())


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
