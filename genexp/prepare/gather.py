"""The genes of any source with their raw values: joined with targets, without those that are masked."""

from __future__ import annotations

import re
from collections.abc import Sequence
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
    named, which = _names_in(path, genes)
    ids = genes.names.ids.tolist()
    hit = np.isin(ids, list(named))
    main = genes.names.main()
    for others in main.values():
        hit |= np.isin(others, list(named))
    exact = set(ids).union(*(others.tolist() for others in main.values()))
    plain = {without_version(name) for name in named - exact}
    hit |= np.array([without_version(gene) in plain for gene in ids])
    if hit.all():
        received, hint = f"the names of all {len(hit):,} genes", "list the genes to leave out, not those to keep"
        raise UserError("the mask leaves no genes", where=f"mask={path}", received=received, hint=hint)
    ledger.count("not masked", int((~hit).sum()), f"{len(named):,} names in {which}{path.name}")
    if not hit.any():
        ledger.warn(f"none of the {len(named):,} names in {path} is a gene of this dataset; nothing was masked")
    return genes.take(~hit)


def _names_in(path: Path, genes: RawGenes) -> tuple[set[str], str]:
    """Return the names in a file, and their column if it is another than the first.

    They are in the first column, unless that counts the rows or none of its names is one of the genes'.
    """
    with open_text(path) as file:
        lines = [line.strip(" \r\n") for line in file if line.strip() and not line.startswith("#")]
    split = [re.split(r"[,;\t]" if re.search(r"[,;\t]", line) else " +", line) for line in lines]
    rows = [[cell.strip().split(" ")[0].strip("\"'") for cell in cells] for cells in split]
    columns = [[row[n] for row in rows if n < len(row)] for n in range(max(map(len, rows), default=0))]
    known = genes.names.known()
    hits = [len(known.intersection(column)) for column in columns]
    if len(hits) > 1 and (not hits[0] or _counts(columns[0])):
        hits[0] = 0
    best = int(np.argmax(hits)) if any(hits[1:]) and not hits[0] else 0
    return set(columns[best] if columns else ()) - {""}, f"column {best + 1} of " if best else ""


def _counts(cells: Sequence[str]) -> bool:
    """Whether cells are 0, 1, 2, ... or 1, 2, 3, ..., below a heading that is no number."""
    numbers = cells[0 if cells[0].isdecimal() else 1 :]
    return bool(numbers) and any(numbers == [str(n + start) for n in range(len(numbers))] for start in (0, 1))


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
