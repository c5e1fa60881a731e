"""Expression and features of each gene in tables; there are no promoters."""

from __future__ import annotations

from genexp.prepare.bases import Bases
from genexp.prepare.config import Config
from genexp.prepare.expression import read_expression
from genexp.prepare.genes import RawGenes
from genexp.prepare.ledger import Ledger


def gather(config: Config, ledger: Ledger) -> RawGenes:
    """Return the genes of the expression table."""
    genes, _, remark = read_expression(config, ledger)
    ledger.count("with expression", len(genes), remark)
    return genes


def read_bases(config: Config, genes: RawGenes, ledger: Ledger) -> Bases:
    """Return no bases."""
    return Bases()
