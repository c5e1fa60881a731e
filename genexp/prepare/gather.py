"""The genes of any source with their raw values: joined with targets, without those that are masked."""

from __future__ import annotations

import re
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
from genexp.prepare.target_columns import check_columns
from genexp.prepare.targets import check_file, read_targets


def gather(config: Config, ledger: Ledger) -> RawGenes:
    """Return the genes of any source, with expression and targets, that are not masked and can be read."""
    targets = {key: getattr(config, key).file for key in TARGETS}
    features = config.halflife if isinstance(config.halflife, str) else None
    for key, name in targets.items():  # what can be seen now, before the long work
        check_columns(getattr(config, key), getattr(config, f"{key}_columns"), key)
        if name:
            check_file(Path(name), key)
    for key, name in {"split.file": config.split.file, "halflife": features}.items():
        if name:
            look_at(Path(name), key)
    genes = source.load(config.source).gather(config, ledger)
    if config.mask:
        genes = masked(genes, Path(config.mask), ledger)
    if features:
        genes = with_features(genes, config, ledger)
    for block, row in BLOCKS.items():
        if targets.get(row.input):
            genes = _with_targets(genes, block, config, ledger)
    return source.readable(config, genes, ledger)


def masked(genes: RawGenes, path: Path, ledger: Ledger) -> RawGenes:
    """Leave out the genes that a file names: by id, by another name, or by the id without its version."""
    with open_text(path) as file:
        named = {re.split(r"[\s,;]", line.strip())[0].strip("\"'") for line in file if not line.startswith("#")} - {""}
    ids = genes.names.ids.tolist()
    hit = np.isin(ids, list(named))
    for others in genes.names.others.values():
        hit |= np.isin(others, list(named))
    exact = set(ids).union(*(others.tolist() for others in genes.names.others.values()))
    plain = {without_version(name) for name in named - exact}
    hit |= np.array([without_version(gene) in plain for gene in ids])
    if hit.all():
        received, hint = f"the names of all {len(hit):,} genes", "list the genes to leave out, not those to keep"
        raise UserError("the mask leaves no genes", where=f"mask={path}", received=received, hint=hint)
    ledger.count("not masked", int((~hit).sum()), f"{len(named):,} names in {path.name}")
    if not hit.any():
        ledger.warn(f"none of the {len(named):,} names in {path} is a gene of this dataset; nothing was masked")
    return genes.take(~hit)


def _with_targets(genes: RawGenes, block: str, config: Config, ledger: Ledger) -> RawGenes:
    key = BLOCKS[block].input
    asked = getattr(config, key)
    targets = read_targets(Path(asked.file), key, genes.names, asked.values, getattr(config, f"{key}_columns"))
    for warning in targets.warnings:
        ledger.warn(f"{key}: {warning}")
    absent = getattr(config.absent, key)
    drop = targets.wide if absent is None else absent == "drop"
    there = targets.join.found
    genes = replace(genes, targets={**genes.targets, block: targets})
    lacking = int((~there).sum())
    remark = f"{len(targets.names):,} columns, {targets.form}{targets.join.remark()}; {lacking:,} genes absent"
    why = " (the table lists genes)" if drop and absent is None else " (it lists pairs)" if absent is None else ""
    ledger.rule(key, f"{asked.values}, {remark}: {'dropped' if drop else 'zeros'}{why}")
    if drop:
        genes = genes.take(there)
    ledger.count(f"{'with' if drop else 'after'} {key}", len(genes), remark + ": zeros" * bool(lacking and not drop))
    names = [targets.names[n] for n in np.flatnonzero(~genes.targets[block].values.any(axis=0))]
    if names:
        sentence = f"columns of {key} that are 0 for every gene: {len(names):,} of {len(targets.names):,}"
        ledger.rule(f"{key}, empty columns", f"{sentence} ({few(names, 4)})", report=ledger.warn)
    return genes
