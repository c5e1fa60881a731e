"""From raw genes and rows of splits to the datasets that are written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from genexp import console
from genexp.config import PrepareConfig
from genexp.dataset.description import DatasetDescription
from genexp.dataset.genes import HALFLIFE_FEATURES, SPLITS, Dataset, Split
from genexp.errors import UserError
from genexp.prepare import recipe, splits
from genexp.prepare.fasta import plain_name
from genexp.prepare.gather import Bases, RawGenes
from genexp.prepare.ledger import Ledger


@dataclass(frozen=True)
class Plan:
    """Which genes are kept, in which order, and what each split of each fold has of them.

    Attributes
    ----------
    genes
        In the order in which they are written; those of one split together, where there are no folds.
    folds
        Rows of `genes` by split; one without cross-validation.
    """

    genes: RawGenes
    folds: list[splits.Rows]


def plan(config: PrepareConfig, genes: RawGenes, ledger: Ledger) -> Plan:
    """Split the genes.

    Raises
    ------
    UserError
        If the config asks for a split that cannot be.
    """
    folds = _folds(config, genes, ledger)
    whole, folds = folds, [_guarded(config, genes, rows, ledger) for rows in folds]
    for number, (before, rows) in enumerate(zip(whole, folds, strict=True), 1):
        small = next((name for name in SPLITS if len(rows[name]) < 2), None)
        if small:
            raise _too_small(config, small, before, rows, number)
    used = np.unique(np.concatenate([rows[name] for rows in folds for name in SPLITS]))
    order = np.concatenate([folds[0][name] for name in SPLITS])
    order = np.concatenate([order, used[~np.isin(used, order)]])
    place = np.full(len(genes), -1)
    place[order] = np.arange(len(order))
    counts = " / ".join(f"{len(folds[0][name]):,}" for name in SPLITS)
    ledger.count(
        "in the dataset", len(order), f"{counts} to train / validate / test{' in fold 1' if config.split.folds else ''}"
    )
    return Plan(genes.take(order), [{name: place[rows[name]] for name in SPLITS} for rows in folds])


def _too_small(config: PrepareConfig, name: str, before: splits.Rows, rows: splits.Rows, fold: int) -> UserError:
    """Return the error of a split with too few genes, with the key that makes it so."""
    ask, number = config.split, len(rows[name])
    held_out = "train" if name == "train" else f"split.{name}"
    if ask.guard and len(before[name]) >= 2:
        key, do = "split.guard", "set split.guard=false, take shorter promoters, or set split.by=chromosome"
    elif ask.by == "file":
        key, do = (
            f"split.file={ask.file}",
            "name more of the dataset's genes there, or another column with split.column",
        )
    elif ask.folds and config.recipe == "published" and ask.by == "random":
        key, do = "split.valid", f"set it; recipe=published lets {splits.PUBLISHED_SIZE:,} genes validate otherwise"
    elif ask.folds:
        key, do = "split.folds", f"make fewer folds{'' if ask.by == 'random' else '; each holds whole groups'}"
    elif ask.by == "chromosome":
        key, do = f"split.by=chromosome, {held_out}", "name chromosomes, as in 'split.valid=[2]' and 'split.test=[8]'"
    elif ask.by == "group":
        key, do = f"split.by=group, {held_out}", "groups stay whole: ask for larger splits, or give smaller groups"
    else:
        key, do = "split.valid, split.test", "change them"
    return UserError(
        f"the split '{name}' has {number} gene{'' if number == 1 else 's'}",
        where=key + (f", fold {fold}" if ask.folds else ""),
        expected="at least 2 in each split",
        received=" / ".join(f"{len(rows[split]):,}" for split in SPLITS) + " to train / validate / test",
        do=do,
    )


def _folds(config: PrepareConfig, genes: RawGenes, ledger: Ledger) -> list[splits.Rows]:
    """Return the rows of each split, for each fold."""
    ask, published, number = config.split, config.recipe == "published", len(genes)
    words = f"by {ask.by}, seed {ask.seed}"
    if ask.by == "file":
        column, code = splits.read_split_file(Path(str(ask.file)), genes.names, ask.column, folds=ask.folds)
        ledger.count("with a split", int((code >= 0).sum()), f"column {column} of {Path(str(ask.file)).name}")
        ledger.rule("split", f"as column {column} of {ask.file} says")
        if ask.folds:
            return [
                {name: rows[code[rows] >= 0] for name, rows in fold.items()} for fold in splits.rotate(code, ask.folds)
            ]
        return [{name: np.flatnonzero(code == n) for n, name in enumerate(SPLITS)}]
    if ask.by == "random":
        return _random_folds(config, genes, ledger)
    groups = _chromosomes(config, genes, ledger) if ask.by == "chromosome" else _groups(config, genes, ledger)
    if ask.folds:
        ledger.rule("split", f"{ask.folds} folds {words}; a fold tests once, the next one validates")
        return splits.rotate(splits.fold_groups(groups, ask.folds, ask.seed), ask.folds)
    if ask.by == "chromosome":
        _check_no_name(groups, ask.valid, ask.test)
        named = [
            _names_or_size(value, number, published, f"split.{key}")
            for key, value in (("valid", ask.valid), ("test", ask.test))
        ]
        rows = splits.split_chromosomes(groups, named[0], named[1], ask.seed)
        held_out = [", ".join(sorted(set(groups[rows[name]]))) for name in ("valid", "test")]
        ledger.rule("split", f"{words}: {held_out[0]} to validate, {held_out[1]} to test")
        return [rows]
    ledger.rule("split", f"{words}: {len(np.unique(groups)):,} groups, each in one split")
    return [splits.split_groups(groups, splits.sizes(ask.valid, ask.test, number, published=published), ask.seed)]


def _random_folds(config: PrepareConfig, genes: RawGenes, ledger: Ledger) -> list[splits.Rows]:
    ask, published, number = config.split, config.recipe == "published", len(genes)
    if ask.folds and published:
        valid = splits.size_of(ask.valid, number, published, "split.valid")
        ledger.rule(
            "split", f"{ask.folds} folds of pandas' order, seed {ask.seed}; the first {valid:,} others validate"
        )
        return splits.published_folds(number, ask.folds, valid, ask.seed)
    if ask.folds:
        ledger.rule("split", f"{ask.folds} folds at random, seed {ask.seed}; a fold tests once, the next one validates")
        return splits.rotate(splits.fold_groups(np.arange(number), ask.folds, ask.seed), ask.folds)
    wanted = splits.sizes(ask.valid, ask.test, number, published=published)
    if published:
        ledger.rule(
            "split", f"pandas' sample(frac=1, random_state={ask.seed}); the last test, those before them validate"
        )
        return [splits.published_split(number, wanted, ask.seed)]
    ledger.rule("split", f"at random, seed {ask.seed}")
    order = np.random.default_rng(ask.seed).permutation(number)
    cuts = np.split(order, [number - wanted.valid - wanted.test, number - wanted.test])
    return [{name: np.sort(rows) for name, rows in zip(SPLITS, cuts, strict=True)}]


def _check_no_name(chromosomes: np.ndarray, valid: Any, test: Any) -> None:
    """Refuse a number of genes that is a chromosome's name."""
    there = {plain_name(name) for name in chromosomes}
    for key, value in (("valid", valid), ("test", test)):
        if isinstance(value, int) and str(value) in there:
            raise UserError(
                f"split.{key}={value} is a number of genes, but {value} is a chromosome, too",
                where=f"split.{key}",
                expected="a list of chromosomes, or a part of the genes",
                received=value,
                do=f"write 'split.{key}=[{value}]' for the chromosome, or a part such as 0.1",
            )


def _names_or_size(value: Any, genes: int, published: bool, key: str) -> list[str] | int:
    if isinstance(value, list):
        return [str(name) for name in value]
    if isinstance(value, str):
        return [value]
    return splits.size_of(value, genes, published, key)


def _groups(config: PrepareConfig, genes: RawGenes, ledger: Ledger) -> np.ndarray:
    """Return each gene's group or chromosome from a table."""
    path = Path(str(config.split.file))
    column, groups = splits.read_groups(path, genes.names, config.split.column)
    ledger.rule(f"{config.split.by} of a gene", f"column {column} of {path.name}")
    console.say(f"{config.split.by} of a gene: {ledger.rules[f'{config.split.by} of a gene']}")
    return groups


def _chromosomes(config: PrepareConfig, genes: RawGenes, ledger: Ledger) -> np.ndarray:
    """Return each gene's chromosome, from the annotation or from a table."""
    if genes.chromosome is not None:
        return genes.chromosome
    if config.split.file is None:
        raise UserError(
            f"source={config.source} does not say on which chromosome a gene lies",
            where="split.by=chromosome",
            expected="a table with the gene in the first column and a column chromosome",
            do="give it with split.file=FILE",
        )
    return _groups(config, genes, ledger)


def _guarded(config: PrepareConfig, genes: RawGenes, rows: splits.Rows, ledger: Ledger) -> splits.Rows:
    """Count promoters that overlap one of another split, and drop them where asked."""
    if genes.chromosome is None or genes.strand is None or genes.tss is None:
        if config.split.guard:
            raise UserError(
                f"source={config.source} does not say where promoters lie, so overlaps cannot be found",
                where="split.guard",
                expected="source=genome",
                do="set split.guard=false, or split by chromosome",
            )
        return rows
    start = np.where(genes.strand == "+", genes.tss - config.upstream, genes.tss + 1 - config.downstream)
    found = splits.overlapping(rows, genes.chromosome, start, config.upstream + config.downstream)
    total = sum(int(hit.sum()) for hit in found.values())
    words = f"{total:,} genes whose promoter overlaps one of a held-out split"
    words += f" ({int(found['train'].sum()):,} train, {int(found['valid'].sum()):,} valid)" if total else ""
    ledger.rule("guard", words + (": dropped" if config.split.guard else ": kept"))
    if total and config.split.guard:
        console.say(f"split.guard drops {words}")
    elif total:
        console.warn(f"{words}; split.guard=true drops them, and split.by=chromosome avoids them")
    return {name: rows[name][~found[name]] for name in SPLITS} if config.split.guard else rows


@dataclass(frozen=True)
class Scaled:
    """A dataset to be written, and how it was scaled."""

    dataset: Dataset
    scaling: dict[str, Any]
    svd: np.ndarray | None = None


def scaled(config: PrepareConfig, genes: RawGenes, bases: Bases, rows: splits.Rows, ledger: Ledger) -> Scaled:
    """Scale labels and features of one fold, and put everything together."""
    fit_on = rows["train"] if config.recipe == "honest" else np.arange(len(genes))
    label = recipe.log_label(genes.expression, config.expression_scale)[:, None]
    label_scaler = recipe.fit(label[fit_on])
    _check_varies(label[fit_on])
    blocks: dict[str, np.ndarray] = {}
    names: dict[str, tuple[str, ...]] = {}
    halflife_scaler = None
    if bases.promoters is not None:
        blocks["P"] = bases.promoters
    if bases.halflife is not None:
        logged = recipe.log_halflife(bases.halflife)
        halflife_scaler = recipe.fit(logged[fit_on])
        blocks["H"], names["H"] = halflife_scaler.apply(logged), HALFLIFE_FEATURES
    record = recipe.scaling_record(config.recipe, config.expression_scale, label_scaler, halflife_scaler)
    directions = None
    for block, targets in genes.targets.items():
        blocks[block], names[block] = targets.values, targets.names
        if block == "M" and config.svd:
            blocks["M"], directions, kept = recipe.truncated_svd(targets.values, fit_on, config.svd)
            names["M"] = tuple(f"SVD{n}" for n in range(1, len(directions) + 1))
            _note_svd(config.svd, directions, kept, ledger)
        if config.recipe == "honest" and blocks[block].dtype != np.uint8:
            blocks[block] = recipe.fit(blocks[block][fit_on]).apply(blocks[block])
            ledger.rule(f"scale of {block}", "real values: standardised with mean and sd of the training genes")
    standard = label_scaler.apply(label)[:, 0]
    parts = {
        name: Split(genes.names.ids[mine], standard[mine], {b: _rows(x, mine) for b, x in blocks.items()})
        for name, mine in rows.items()
    }
    promoters = bases.promoters
    info = DatasetDescription(
        source=str(config.out),
        layout="genexp",
        genes={name: len(part) for name, part in parts.items()},
        promoter=None if promoters is None else "bases",
        promoter_length=None if promoters is None else promoters.shape[1],
        tss=bases.tss,
        widths={block: values.shape[1] for block, values in blocks.items() if block != "P"},
        feature_names=names,
    )
    return Scaled(Dataset(info, parts), record, directions)


def _note_svd(asked: int, directions: np.ndarray, kept: float, ledger: Ledger) -> None:
    found, width = directions.shape
    fewer = f"; svd={asked} asked for more than the {found:,} that the genes it is fitted on have" * (found < asked)
    ledger.rule("svd", f"{found:,} of {width:,} directions, {kept:.1%} of the sum of squares{fewer}")
    if fewer:
        console.warn(f"svd: {ledger.rules['svd']}")


def _rows(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return some rows; a view where they follow each other, for promoters are large."""
    if len(rows) and (np.diff(rows) == 1).all():
        return values[rows[0] : rows[-1] + 1]
    return values[rows]


def _check_varies(labels: np.ndarray) -> None:
    if (labels == labels[0]).all():
        raise UserError(
            "all genes have the same expression: there is nothing to learn",
            where="expression",
            received=f"{labels[0, 0]:g} for all {len(labels):,} genes",
            do="check the table, or name other columns with samples",
        )
