"""From raw genes and the keys of a split to the rows of each split."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genexp.dataset.genes import SPLITS
from genexp.errors import UserError
from genexp.prepare import similarity, split_files, splits
from genexp.prepare.config import Config, names_of
from genexp.prepare.fasta import plain_name
from genexp.prepare.genes import RawGenes
from genexp.prepare.genome import promoter_windows
from genexp.prepare.ledger import Ledger
from genexp.prepare.opening import few


@dataclass(frozen=True)
class Plan:
    """Which genes are kept, in the order in which they are written, and the rows of each split, for each fold.

    Without cross-validation there is one fold, and the genes of one split are together. `order` are the rows that the
    genes had before.
    """

    genes: RawGenes
    folds: list[splits.Rows]
    order: np.ndarray


def plan(config: Config, genes: RawGenes, sequences: np.ndarray | None, ledger: Ledger) -> Plan:
    """Split the genes, or raise a UserError if the config asks for a split that is not possible.

    `sequences` are their promoters, (n, length) uint8 tokens, where identical or similar ones are to stay together.
    """
    whole = _folds(config, genes, sequences, ledger)
    folds = [_guarded(config, genes, rows, ledger) for rows in whole]
    for number, (before, rows) in enumerate(zip(whole, folds, strict=True), 1):
        for name in SPLITS:
            if len(rows[name]) < 2:
                raise _too_small(config, name, before, rows, number)
            _check_labels(config, genes, rows[name], name)
    used = np.unique(np.concatenate([rows[name] for rows in folds for name in SPLITS]))
    order = np.concatenate([folds[0][name] for name in SPLITS])
    order = np.concatenate([order, used[~np.isin(used, order)]])
    place = np.full(len(genes), -1)
    place[order] = np.arange(len(order))
    fold = " in fold 1" if config.split.folds else ""
    ledger.count("in the dataset", len(order), _counts(folds[0]) + fold)
    return Plan(genes.take(order), [{name: place[rows[name]] for name in SPLITS} for rows in folds], order)


def _counts(rows: splits.Rows) -> str:
    return " / ".join(f"{len(rows[name]):,}" for name in SPLITS) + " to train / validate / test"


def _check_labels(config: Config, genes: RawGenes, rows: np.ndarray, split: str) -> None:
    """Raise a UserError if fewer than two genes of a split have one of the labels."""
    number = (~np.isnan(genes.labels[rows])).sum(axis=0)
    for few_have in np.flatnonzero(number < 2)[:1]:
        name, have = genes.label_names[few_have], int(number[few_have])
        what = f"{f'only {have}' if have else 'no'} gene of the split '{split}' has the label {name}"
        where, expected = f"split.by={config.split.by or 'random'}, label", "at least 2 in each split"
        raise UserError(what, where=where, expected=expected, hint="leave the label out, or split in another way")


def _too_small(config: Config, name: str, before: splits.Rows, rows: splits.Rows, fold: int) -> UserError:
    """Return the error for a split with too few genes, with the key that makes it so."""
    ask, number = config.split, len(rows[name])
    by = ask.by or "random"
    split = f"split.by={by}, {'train' if name == 'train' else f'split.{name}'}"
    default = f"; recipe=published holds out {splits.PUBLISHED_SIZE:,} in each by default"
    fewer = f"make fewer folds{'' if by == 'random' else '; each holds whole groups'}"
    shorter = "set split.guard=false, take shorter promoters, or set split.by=chromosome"
    alike = "similar sequences stay together: ask for other sizes, or raise split.similarity"
    file = f"split.file={ask.file}" if ask.file else "split.column"
    reasons = [
        (ask.guard and len(before[name]) >= 2, "split.guard", shorter),
        (by == "file", file, "list more of the dataset's genes, or set another split.column"),
        (ask.folds and config.recipe == "published" and by == "random", "split.valid", f"set it{default}"),
        (ask.folds, "split.folds", fewer),
        (by == "chromosome", split, "name chromosomes: 'split.valid=[2]' and 'split.test=[8]'"),
        (by == "group", split, "groups stay whole: ask for other sizes, or give smaller groups"),
        (by == "similarity", split, alike),
        (True, "split.valid, split.test", f"change them{default if config.recipe == 'published' else ''}"),
    ]
    where, hint = next(reason[1:] for reason in reasons if reason[0])
    where += f", fold {fold}" if ask.folds else ""
    what = f"the split '{name}' has {number} gene{'' if number == 1 else 's'}"
    return UserError(what, where=where, expected="at least 2 in each split", received=_counts(rows), hint=hint)


def _folds(config: Config, genes: RawGenes, sequences: np.ndarray | None, ledger: Ledger) -> list[splits.Rows]:
    ask = config.split
    by = ask.by or ("file" if _is_given(config, genes) else "random")
    same = None
    if sequences is not None:
        near = by == "similarity"
        same = similarity.alike(sequences, ask.similarity) if near else similarity.identical(sequences)
    rows = _given(config, genes, ledger) if by == "file" else _shared_out(config, genes, by, same, ledger)
    apart = 0 if same is None else max(splits.separated(fold, same) for fold in rows)
    if apart:
        sentence = (
            f"{apart:,} sequences are in another split than {'a similar' if by == 'similarity' else 'an identical'} one"
        )
        ledger.rule("sequences in two splits", sentence, report=ledger.warn)
    return rows


def _is_given(config: Config, genes: RawGenes) -> bool:
    """Return whether a column of the table of sequences decides the split; sizes beside it would have no effect."""
    ask = config.split
    if not genes.split_column or names_of(ask.valid) + names_of(ask.test):
        return False
    for key in ("valid", "test"):
        if getattr(ask, key) is not None:
            what = f"split.{key} would have no effect: column {genes.split_column} of the table says the split"
            hint = f"leave it out, set split.by=random, or name values of the column: 'split.{key}=[NAME]'"
            raise UserError(what, where=f"table={config.table}", hint=hint)
    return True


def _given(config: Config, genes: RawGenes, ledger: Ledger) -> list[splits.Rows]:
    """Return the split that a file, or a column of the table of sequences, says."""
    ask = config.split
    if ask.file:
        path = Path(ask.file)
        column, rows = split_files.read_split_file(path, genes.names, ask.column, folds=ask.folds)
    else:
        path, column = Path(str(config.table)), genes.split_column
        rows = split_files.in_folds(split_files.codes_given(genes.split, ask.folds, column, f"table={path}"), ask.folds)
    listed = len(np.unique(np.concatenate([fold[name] for fold in rows for name in SPLITS])))
    ledger.count("with a split", listed, f"column {column} of {path.name}")
    ledger.rule("split", f"as column {column} of {path} says")
    return rows


def _shared_out(config: Config, genes: RawGenes, by: str, same: np.ndarray | None, ledger: Ledger) -> list[splits.Rows]:
    """Share the genes out by a rule; members of the groups in `same` (n,) stay together."""
    ask, number = config.split, len(genes)
    published = config.recipe == "published"
    if published and by == "random" and ask.folds:
        valid = splits.size_of(ask.valid, number, True, "split.valid")
        order = f"{ask.folds} folds of pandas' order, seed {ask.seed}"
        ledger.rule("split", f"{order}; the first {valid:,} others validate")
        return splits.published_folds(number, ask.folds, valid, ask.seed)
    values = _values(config, genes, by, ledger)
    groups = _groups(values, by, same, number)
    how = {"random": "at random", "similarity": f"by similarity of at least {ask.similarity:g}"}.get(by, f"by {by}")
    how += f", seed {ask.seed}"
    if (several := len(np.unique(groups))) < number and by != "chromosome":
        how += f": {several:,} groups, each in one split"
    if ask.folds:
        ledger.rule("split", f"{ask.folds} folds {how}; a fold tests once, the next one validates")
        return splits.rotate(splits.fold_groups(groups, ask.folds, ask.seed), ask.folds)
    if values is not None and (by == "chromosome" or names_of(ask.valid) + names_of(ask.test)):
        return [_by_name(config, by, values, groups, how, ledger)]
    valid, test = (splits.size_of(getattr(ask, key), number, published, f"split.{key}") for key in ("valid", "test"))
    if by == "random" and published:
        rule = f"pandas' sample(frac=1, random_state={ask.seed}); the last test, those before them validate"
        ledger.rule("split", rule)
        return [splits.published_split(number, valid, test, ask.seed)]
    ledger.rule("split", how)
    if by == "random" and several == number:
        return [splits.split_at_random(number, valid, test, ask.seed)]
    return [splits.split_groups(groups, valid, test, ask.seed)]


def _groups(values: np.ndarray | None, by: str, same: np.ndarray | None, number: int) -> np.ndarray:
    """Return what stays together, (n,): chromosomes or groups, identical or similar sequences, or each gene alone."""
    if values is None or by in ("random", "similarity"):
        return np.arange(number) if same is None else same
    return values if same is None or by == "chromosome" else similarity.joined(values, same)


def _by_name(config: Config, by: str, values: np.ndarray, groups: np.ndarray, how: str, ledger: Ledger) -> splits.Rows:
    """Hold out chromosomes, groups or values of a column by name, or about a number of the other genes."""
    ask, chromosomes = config.split, values if by == "chromosome" else None
    valid, test = (_names_or_size(config, key, chromosomes, len(values)) for key in ("valid", "test"))
    if by == "chromosome":
        rows = splits.split_chromosomes(values, valid, test, ask.seed)
        held_out = [", ".join(sorted(set(values[rows[name]]))) for name in ("valid", "test")]
    else:
        rows = splits.split_named(values, groups, valid, test, ask.seed, "group" if by == "group" else "value")
        held_out = [few(w) if isinstance(w, list) else f"{w:,} others" for w in (valid, test)]
    ledger.rule("split", f"{how}: {held_out[0]} to validate, {held_out[1]} to test")
    return rows


def _names_or_size(config: Config, key: str, chromosomes: np.ndarray | None, number: int) -> list[str] | int:
    value = getattr(config.split, key)
    if names := names_of(value):
        return names
    if chromosomes is not None and isinstance(value, int) and str(value) in {plain_name(name) for name in chromosomes}:
        what = f"split.{key}={value} is a number of genes, but {value} is also a chromosome"
        raise UserError(what, hint=f"write 'split.{key}=[{value}]' for the chromosome, or a part such as 0.1")
    return splits.size_of(value, number, config.recipe == "published", f"split.{key}")


def _values(config: Config, genes: RawGenes, by: str, ledger: Ledger) -> np.ndarray | None:
    """Return each gene's chromosome, group, or value in the column of a split, (n,); None where none is asked for."""
    ask = config.split
    if by == "chromosome" and len(genes.chromosome):
        return genes.chromosome
    single = by in ("random", "similarity")
    if single and not names_of(ask.valid) + names_of(ask.test):
        return None
    name = "values that are held out" if single else f"{by} of a gene"
    if ask.file is None and genes.split_column:
        sentence = f"column {genes.split_column} of {Path(str(config.table)).name}"
        ledger.rule(name, sentence, report=ledger.note, prefix=f"{name}: ")
        return np.where(genes.split == "", [f"gene {gene} alone" for gene in genes.names.ids], genes.split)
    if ask.file is None and config.source == "sequences":
        what, hint = "this split needs a column of the table", "add split.column=NAME"
        raise UserError(what, where=f"split.by={by}, split.valid, split.test", hint=hint)
    if ask.file is None:
        if single:
            return None
        what = f"source={config.source} does not say on which chromosome a gene lies"
        hint = "set split.file to a table with the gene in the first column and a column chromosome"
        raise UserError(what, where=f"split.by={by}", hint=hint)
    path = Path(ask.file)
    column, groups = split_files.read_groups(path, genes.names, ask.column, by)
    ledger.rule(name, f"column {column} of {path.name}", report=ledger.note, prefix=f"{name}: ")
    return groups


def _guarded(config: Config, genes: RawGenes, rows: splits.Rows, ledger: Ledger) -> splits.Rows:
    """Count promoters that overlap one of another split, and drop them where asked."""
    guard = config.split.guard
    if not len(genes.tss):
        if guard:
            what = f"source={config.source} does not say where promoters lie, so overlaps cannot be found"
            raise UserError(what, where="split.guard", hint="set split.guard=false")
        return rows
    windows = promoter_windows(genes, config.upstream, config.downstream)
    length = config.upstream + config.downstream
    found = splits.overlapping(rows, windows.chromosome, windows.start, length, windows.circular)
    train, valid = (int(found[name].sum()) for name in ("train", "valid"))
    sentence = f"{train + valid:,} genes whose promoter overlaps one of a held-out split"
    sentence += f" ({train:,} train, {valid:,} valid)" if train + valid else ""
    ledger.rule("guard", sentence + (": dropped" if guard else ": kept"))
    if train + valid and not guard:
        ledger.warn(f"{sentence}; split.guard=true drops them, and split.by=chromosome avoids them")
    elif train + valid:
        ledger.note(f"split.guard drops {sentence}")
    return {name: rows[name][~found[name]] for name in SPLITS} if guard else rows
