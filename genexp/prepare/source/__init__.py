"""The kinds of raw files, one module each: its `gather` gives the genes, its `read_bases` their bases."""

from __future__ import annotations

from importlib import import_module
from typing import Protocol, cast

from genexp.prepare.bases import Bases
from genexp.prepare.config import Config
from genexp.prepare.genes import RawGenes
from genexp.prepare.ledger import Ledger


class Source(Protocol):
    """What a module of this package does."""

    def gather(self, config: Config, ledger: Ledger) -> RawGenes:
        """Return the genes with their raw values, without bases."""

    def read_bases(self, config: Config, genes: RawGenes, ledger: Ledger) -> Bases:
        """Read promoters, one row for each gene in the given order, and what else needs the bases."""


def load(name: str) -> Source:
    """Return the module of a source."""
    return cast(Source, import_module(f"{__name__}.{name}"))


def readable(config: Config, genes: RawGenes, ledger: Ledger) -> RawGenes:
    """Return the genes that can be read, where the module of the source has a rule for it; else all."""
    rule = getattr(load(config.source), "readable", None)
    return genes if rule is None else cast(RawGenes, rule(config, genes, ledger))
