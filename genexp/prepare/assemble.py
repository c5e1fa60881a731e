"""From raw genes and rows of splits to the datasets that are written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from genexp.blocks import BLOCKS, HALFLIFE_FEATURES, PROMOTER
from genexp.dataset.description import DatasetDescription
from genexp.dataset.genes import SPLITS, Dataset, Split
from genexp.errors import UserError
from genexp.prepare import recipe, splits
from genexp.prepare.bases import Bases
from genexp.prepare.config import Config
from genexp.prepare.fasta import plain_name
from genexp.prepare.genes import RawGenes
from genexp.prepare.genome import promoter_windows
from genexp.prepare.ledger import Ledger

#: Letter of each block by the name of its input.
LETTERS = {block.input: letter for letter, block in BLOCKS.items()}


@dataclass(frozen=True)
class Plan:
    """Which genes are kept, in the order in which they are written, and the rows of each split, for each fold.

    Without cross-validation there is one fold, and the genes of one split are together.
    """

    genes: RawGenes
    folds: list[splits.Rows]


def plan(config: Config, genes: RawGenes, ledger: Ledger) -> Plan:
    """Split the genes, or raise a UserError if the config asks for a split that is not possible."""
    whole = _folds(config, genes, ledger)
    folds = [_guarded(config, genes, rows, ledger) for rows in whole]
    for number, (before, rows) in enumerate(zip(whole, folds, strict=True), 1):
        for small in (name for name in SPLITS if len(rows[name]) < 2):
            raise _too_small(config, small, before, rows, number)
    used = np.unique(np.concatenate([rows[name] for rows in folds for name in SPLITS]))
    order = np.concatenate([folds[0][name] for name in SPLITS])
    order = np.concatenate([order, used[~np.isin(used, order)]])
    place = np.full(len(genes), -1)
    place[order] = np.arange(len(order))
    fold = " in fold 1" if config.split.folds else ""
    ledger.count("in the dataset", len(order), _counts(folds[0]) + fold)
    return Plan(genes.take(order), [{name: place[rows[name]] for name in SPLITS} for rows in folds])


def _counts(rows: splits.Rows) -> str:
    return " / ".join(f"{len(rows[name]):,}" for name in SPLITS) + " to train / validate / test"


def _too_small(config: Config, name: str, before: splits.Rows, rows: splits.Rows, fold: int) -> UserError:
    """Return the error for a split with too few genes, with the key that makes it so."""
    ask, number = config.split, len(rows[name])
    split = f"split.by={ask.by}, {'train' if name == 'train' else f'split.{name}'}"
    default = f"; recipe=published holds out {splits.PUBLISHED_SIZE:,} in each by default"
    fewer = f"make fewer folds{'' if ask.by == 'random' else '; each holds whole groups'}"
    shorter = "set split.guard=false, take shorter promoters, or set split.by=chromosome"
    reasons = [
        (ask.guard and len(before[name]) >= 2, "split.guard", shorter),
        (ask.by == "file", f"split.file={ask.file}", "list more of the dataset's genes, or set another split.column"),
        (ask.folds and config.recipe == "published" and ask.by == "random", "split.valid", f"set it{default}"),
        (ask.folds, "split.folds", fewer),
        (ask.by == "chromosome", split, "name chromosomes: 'split.valid=[2]' and 'split.test=[8]'"),
        (ask.by == "group", split, "groups stay whole: ask for other sizes, or give smaller groups"),
        (True, "split.valid, split.test", f"change them{default if config.recipe == 'published' else ''}"),
    ]
    where, hint = next(reason[1:] for reason in reasons if reason[0])
    where += f", fold {fold}" if ask.folds else ""
    what = f"the split '{name}' has {number} gene{'' if number == 1 else 's'}"
    return UserError(what, where=where, expected="at least 2 in each split", received=_counts(rows), hint=hint)


def _folds(config: Config, genes: RawGenes, ledger: Ledger) -> list[splits.Rows]:
    ask, published, number = config.split, config.recipe == "published", len(genes)
    if ask.by == "file":
        path = Path(str(ask.file))
        column, code = splits.read_split_file(path, genes.names, ask.column, folds=ask.folds)
        ledger.count("with a split", int((code >= 0).sum()), f"column {column} of {path.name}")
        ledger.rule("split", f"as column {column} of {ask.file} says")
        return splits.rotate(code, ask.folds) if ask.folds else [splits.rows_of(code)]
    if ask.by == "random" and published and ask.folds:
        valid = splits.size_of(ask.valid, number, True, "split.valid")
        order = f"{ask.folds} folds of pandas' order, seed {ask.seed}"
        ledger.rule("split", f"{order}; the first {valid:,} others validate")
        return splits.published_folds(number, ask.folds, valid, ask.seed)
    groups = np.arange(number) if ask.by == "random" else _groups(config, genes, ledger)
    how = f"at random, seed {ask.seed}" if ask.by == "random" else f"by {ask.by}, seed {ask.seed}"
    if ask.folds:
        ledger.rule("split", f"{ask.folds} folds {how}; a fold tests once, the next one validates")
        return splits.rotate(splits.fold_groups(groups, ask.folds, ask.seed), ask.folds)
    if ask.by == "chromosome":
        wanted = {key: _chromosomes_or_size(config, key, groups) for key in ("valid", "test")}
        rows = splits.split_chromosomes(groups, **wanted, seed=ask.seed)
        held_out = [", ".join(sorted(set(groups[rows[name]]))) for name in ("valid", "test")]
        ledger.rule("split", f"{how}: {held_out[0]} to validate, {held_out[1]} to test")
        return [rows]
    valid, test = (splits.size_of(getattr(ask, key), number, published, f"split.{key}") for key in ("valid", "test"))
    if ask.by == "group":
        ledger.rule("split", f"{how}: {len(np.unique(groups)):,} groups, each in one split")
        return [splits.split_groups(groups, valid, test, ask.seed)]
    if published:
        how = f"pandas' sample(frac=1, random_state={ask.seed}); the last test, those before them validate"
    ledger.rule("split", how)
    return [(splits.published_split if published else splits.split_at_random)(number, valid, test, ask.seed)]


def _chromosomes_or_size(config: Config, key: str, chromosomes: np.ndarray) -> list[str] | int:
    value = getattr(config.split, key)
    if isinstance(value, list | str):
        return [value] if isinstance(value, str) else [str(name) for name in value]
    if isinstance(value, int) and str(value) in {plain_name(name) for name in chromosomes}:
        what = f"split.{key}={value} is a number of genes, but {value} is also a chromosome"
        raise UserError(what, hint=f"write 'split.{key}=[{value}]' for the chromosome, or a part such as 0.1")
    return splits.size_of(value, len(chromosomes), config.recipe == "published", f"split.{key}")


def _groups(config: Config, genes: RawGenes, ledger: Ledger) -> np.ndarray:
    """Return each gene's chromosome from the annotation, or its chromosome or group from a table."""
    ask = config.split
    if ask.by == "chromosome" and len(genes.chromosome):
        return genes.chromosome
    if ask.file is None:
        what = f"source={config.source} does not say on which chromosome a gene lies"
        hint = "set split.file to a table with the gene in the first column and a column chromosome"
        raise UserError(what, where="split.by=chromosome", hint=hint)
    path, name = Path(ask.file), f"{ask.by} of a gene"
    column, groups = splits.read_groups(path, genes.names, ask.column)
    ledger.rule(name, f"column {column} of {path.name}", report=ledger.note, prefix=f"{name}: ")
    return groups


def _guarded(config: Config, genes: RawGenes, rows: splits.Rows, ledger: Ledger) -> splits.Rows:
    """Count promoters that overlap one of another split, and drop them where asked."""
    guard = config.split.guard
    if not len(genes.tss):
        if guard:
            what = f"source={config.source} does not say where promoters lie, so overlaps cannot be found"
            raise UserError(what, where="split.guard", hint="set split.guard=false, or split by chromosome")
        return rows
    windows = promoter_windows(genes, config.upstream, config.downstream)
    found = splits.overlapping(rows, windows.chromosome, windows.start, config.upstream + config.downstream)
    train, valid = (int(found[name].sum()) for name in ("train", "valid"))
    sentence = f"{train + valid:,} genes whose promoter overlaps one of a held-out split"
    sentence += f" ({train:,} train, {valid:,} valid)" if train + valid else ""
    ledger.rule("guard", sentence + (": dropped" if guard else ": kept"))
    if train + valid and not guard:
        ledger.warn(f"{sentence}; split.guard=true drops them, and split.by=chromosome avoids them")
    elif train + valid:
        ledger.note(f"split.guard drops {sentence}")
    return {name: rows[name][~found[name]] for name in SPLITS} if guard else rows


@dataclass(frozen=True)
class Scaled:
    """A dataset to be written, how it was scaled, and the directions of an SVD with the names of their columns."""

    dataset: Dataset
    scaling: dict[str, Any]
    svd: tuple[np.ndarray, np.ndarray] | None = None


def scaled(config: Config, genes: RawGenes, bases: Bases, rows: splits.Rows, ledger: Ledger) -> Scaled:
    """Scale labels and features of one fold, and put everything together."""
    fit_on = rows["train"] if config.recipe == "honest" else np.arange(len(genes))
    label = recipe.log_label(genes.labels, config.expression_scale, config.pseudocount)
    if (label[fit_on] == label[fit_on][0]).all():
        what, received = "all genes have the same expression", f"{label[fit_on][0, 0]:g} for all {len(fit_on):,} genes"
        hint = "check the table, or name other columns with samples"
        raise UserError(f"{what}: there is nothing to learn", where="expression", received=received, hint=hint)
    scalers = {"label": recipe.fit(label[fit_on])}
    blocks: dict[str, np.ndarray] = {}
    names: dict[str, tuple[str, ...]] = {}
    if bases.promoters is not None:
        blocks[PROMOTER] = bases.promoters
    if bases.halflife is not None:
        logged, letter = recipe.log_halflife(bases.halflife), LETTERS["halflife"]
        scalers["halflife"] = recipe.fit(logged[fit_on])
        blocks[letter], names[letter] = scalers["halflife"].apply(logged), HALFLIFE_FEATURES
    svd = None
    for block, targets in genes.targets.items():
        blocks[block], names[block] = targets.values, targets.names
        if config.svd and block == LETTERS["mirna"]:
            blocks[block], directions = _reduced(targets.values, fit_on, config.svd, ledger)
            names[block] = tuple(f"SVD{n}" for n in range(1, len(directions) + 1))
            svd = directions, np.array(targets.names)
        if config.recipe == "honest" and blocks[block].dtype != np.uint8:
            blocks[block] = recipe.fit(blocks[block][fit_on]).apply(blocks[block])
            sentence = "real values: standardised with mean and sd of the training genes"
            ledger.rule(f"scale of {block}", sentence)
    labels = scalers["label"].apply(label)[:, 0]
    parts = {
        name: Split(genes.names.ids[mine], labels[mine], {b: _rows(x, mine) for b, x in blocks.items()})
        for name, mine in rows.items()
    }
    description = DatasetDescription(
        source=str(config.out),
        layout="genexp",
        genes={name: len(part) for name, part in parts.items()},
        promoter=None if bases.promoters is None else "bases",
        promoter_length=None if bases.promoters is None else bases.promoters.shape[1],
        tss=bases.tss,
        widths={block: values.shape[1] for block, values in blocks.items() if block != PROMOTER},
        feature_names=names,
    )
    record = recipe.scaling_record(
        config.recipe,
        config.expression_scale,
        scalers["label"],
        scalers.get("halflife"),
        pseudocount=config.pseudocount,
        labels=genes.label_names,
    )
    return Scaled(Dataset(description, parts), record, svd)


def _reduced(values: np.ndarray, fit_on: np.ndarray, asked: int, ledger: Ledger) -> tuple[np.ndarray, np.ndarray]:
    values, directions, kept = recipe.truncated_svd(values, fit_on, asked)
    found, width = directions.shape
    sentence = f"{found:,} of {width:,} directions, {kept:.1%} of the sum of squares"
    if found < asked:
        sentence += f"; svd={asked} asked for more than the {found:,} that the genes it is fitted on have"
        ledger.warn(f"svd: {sentence}")
    ledger.rule("svd", sentence)
    return values, directions


def _rows(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return some rows; a view where they follow each other, for promoters are large."""
    if len(rows) and (np.diff(rows) == 1).all():
        return np.asarray(values[rows[0] : rows[-1] + 1])
    return np.asarray(values[rows])
