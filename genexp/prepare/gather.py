"""The genes of any source with their raw values: joined with targets, without those that are masked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from genexp.blocks import BLOCKS
from genexp.errors import UserError
from genexp.prepare import source
from genexp.prepare.config import TARGETS, Config
from genexp.prepare.genes import RawGenes, without_version
from genexp.prepare.halflife import with_features
from genexp.prepare.ledger import Ledger
from genexp.prepare.opening import few, open_text
from genexp.prepare.tables import look_at
from genexp.prepare.targets import is_gmt, read_targets


def gather(config: Config, ledger: Ledger) -> RawGenes:
    """Return the genes of any source, with expression and targets, that are not masked and can be read."""
    targets = {key: getattr(config, key).file for key in TARGETS}
    features = config.halflife if isinstance(config.halflife, str) else None
    for key, name in {**targets, "split.file": config.split.file, "halflife": features}.items():
        if name and not is_gmt(Path(name)):
            look_at(Path(name), key)  # its first lines now, before the long work
    genes = source.load(config.source).gather(config, ledger)
    if config.mask:
        genes = masked(genes, Path(config.mask), ledger)
    if features:
        genes = with_features(genes, config, ledger)
    for block, row in BLOCKS.items():
        if targets.get(row.input):
            drop = getattr(config.absent, row.input) == "drop"
            genes = _with_targets(genes, block, Path(targets[row.input]), ledger, drop=drop)
    return source.readable(config, genes, ledger)


def masked(genes: RawGenes, path: Path, ledger: Ledger) -> RawGenes:
    """Leave out the genes that a file names."""
    with open_text(path) as file:
        named = {line.split()[0] for line in file if line.strip() and not line.startswith("#")}
    ids = genes.names.ids.tolist()
    stripped = list(map(without_version, ids))
    # Where names differ in nothing but what follows the dot (SPAC1000.03), it is no version.
    plain = set(map(without_version, named.difference(ids))) if len(set(stripped)) == len(ids) else set()
    hit = np.array([gene in named or name in plain for gene, name in zip(ids, stripped, strict=True)])
    for others in genes.names.others.values():
        hit |= np.isin(others, list(named))
    if hit.all():
        received, hint = f"the names of all {len(hit):,} genes", "list the genes to leave out, not those to keep"
        raise UserError("the mask leaves no genes", where=f"mask={path}", received=received, hint=hint)
    ledger.count("not masked", int((~hit).sum()), f"{len(named):,} names in {path.name}")
    if not hit.any():
        ledger.warn(f"none of the {len(named):,} names in {path} is a gene of this dataset; nothing was masked")
    return genes.take(~hit)


def _with_targets(genes: RawGenes, block: str, path: Path, ledger: Ledger, *, drop: bool) -> RawGenes:
    key = BLOCKS[block].input
    targets = read_targets(path, key, genes.names)
    there = targets.join.found
    genes = replace(genes, targets={**genes.targets, block: targets})
    lacking = int((~there).sum())
    remark = f"{len(targets.names):,} columns, {targets.form}{targets.join.remark()}; {lacking:,} genes absent"
    ledger.rule(key, f"{remark}: {'dropped' if drop else 'zeros'}")
    if drop:
        genes = genes.take(there)
    ledger.count(f"{'with' if drop else 'after'} {key}", len(genes), remark + ": zeros" * bool(lacking and not drop))
    names = [targets.names[n] for n in np.flatnonzero(~genes.targets[block].values.any(axis=0))]
    if names:
        sentence = f"columns of {key} that are 0 for every gene: {len(names):,} of {len(targets.names):,}"
        ledger.rule(f"{key}, empty columns", f"{sentence} ({few(names, 4)})", report=ledger.warn)
    return genes
