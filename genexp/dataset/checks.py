"""Checks of the genes that were read: wrong values are errors, oddities are notes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

import numpy as np

from genexp.blocks import BLOCKS, PROMOTER
from genexp.dataset.config import SharedGenes
from genexp.dataset.genes import Split
from genexp.dataset.hdf5 import Location
from genexp.errors import UserError, nearest
from genexp.features.tokens import N_TOKEN

#: Genes of a split on which r2 has no meaning.
FEW_GENES = 4

#: Promoters that are enough to see how bases are encoded.
LOOKED_AT = 1000

#: Standardised values have mean 0 and standard deviation 1; beyond these limits there is a note.
MEAN_LIMIT = 0.5
DEVIATION_RANGE = (0.5, 2.0)


def check_finite(values: np.ndarray, location: Location, genes: np.ndarray, columns: tuple[str, ...] | None) -> None:
    """Raise a UserError that names the first value that is NaN or infinite.

    Parameters
    ----------
    values : (n, ...) float32
    location
        Where they come from.
    genes : (n,) array of str
    columns
        Names of the columns, if there are any.
    """
    row_step = max(1, (1 << 22) // max(1, values[:1].size))
    number, first = 0, None
    for start in range(0, len(values), row_step):
        wrong = ~np.isfinite(values[start : start + row_step])
        count = int(wrong.sum())
        if count and first is None:
            first = [int(i) for i in np.argwhere(wrong)[0]]
            first[0] += start
        number += count
    if first is None:
        return
    row, *rest = first
    column = f", column {columns[rest[0]] if columns else rest[0]}" if len(rest) == 1 and values.shape[1] > 1 else ""
    raise UserError(
        f"{number:,} of {values.size:,} values {'is' if number == 1 else 'are'} not finite",
        where=f"{location}, row {row} (gene {genes[row]}){column}",
        expected="finite numbers within the range of float32",
        received=values[tuple(first)],
        hint="correct or remove these genes",
    )


def check_labels(labels: np.ndarray, split: str, location: Location) -> None:
    """Raise a UserError if a split has no gene (left) or if all its labels are the same: nothing to learn or score."""
    if len(labels) == 0:
        hint = "see the settings dataset.drop_ambiguous and dataset.shared_genes, which drop genes"
        raise UserError(f"no gene is left in the split '{split}'", where=location.path, hint=hint)
    if len(labels) == 1:
        hint = "split the genes in another way, for example with genexp prepare"
        raise UserError(f"the split '{split}' has one gene", where=location, expected="at least two genes", hint=hint)
    if (labels == labels[0]).all():
        raise UserError(
            f"all labels of the split '{split}' are the same",
            where=location,
            expected="labels that differ: log10(median expression + 0.1), standardised",
            received=f"{labels[0]:g} for all {len(labels):,} genes",
            hint="write the labels of the genes",
        )


def ambiguous_sentence(counts: Mapping[str, int], window: tuple[int, int] | None, dropped: bool) -> list[str]:
    """Return a sentence that counts the genes with N in the window, if there are any."""
    total = sum(counts.values())
    if not total or window is None:
        return []
    genes = f"{_counted(total)} ({_each(counts)}) with N in the window [{window[0]}, {window[1]})"
    return [f"Dropped {genes}." if dropped else f"Kept {genes}; dataset.drop_ambiguous=true drops them."]


def few_genes_sentence(splits: Mapping[str, Split]) -> list[str]:
    """Return a sentence that counts the genes of splits too small to score a model on, if there are any."""
    counts = {name: len(split) for name, split in splits.items() if name != "train" and len(split) < FEW_GENES}
    return [f"Few genes ({_each(counts)}): their r2 has no meaning."] if counts else []


def check_bases(tokens: np.ndarray, location: Location) -> None:
    """Raise a UserError if there are no bases, or if they are numbered from 1: A never occurs then, and T would be N.

    Parameters
    ----------
    tokens : (n, window) uint8
    location
        Where they come from.
    """
    few = tokens[:LOOKED_AT]
    if tokens.size and (few == N_TOKEN).all() and all((row == N_TOKEN).all() for row in tokens):
        raise UserError(
            "the promoters hold no bases at all, only N",
            where=location,
            expected="A, C, G and T",
            received=f"N at every position of the window, in all {len(tokens):,} genes",
            hint="write the bases, or choose another data.window",
        )
    if few.size and few.min() > 0 and few.max() == N_TOKEN and (few == N_TOKEN).any(axis=1).mean() > 0.5:
        raise UserError(
            "the bases seem to be numbered from 1: there is no 0, and most promoters hold a 4",
            where=location,
            expected="A=0 C=1 G=2 T=3 N=4",
            received=f"tokens {', '.join(map(str, np.unique(few)))}",
            hint="subtract 1 from the tokens",
        )


def duplicate_sentence(splits: Mapping[str, Split]) -> list[str]:
    """Return a sentence that counts the genes which a split holds more than once, if there are any."""
    counts, example = {}, ""
    for name, split in splits.items():
        genes, number = np.unique(split.genes, return_counts=True)
        counts[name] = int((number > 1).sum())
        if counts[name] and not example:
            example = str(genes[number > 1][0])
    total = sum(counts.values())
    return [f"Found {_counted(total)} more than once in a split ({_each(counts)}), first {example}."] if total else []


def settle_shared_genes(splits: Mapping[str, Split], setting: str, source: str) -> tuple[dict[str, Split], list[str]]:
    """Find genes that are in two splits and do what the setting says.

    Parameters
    ----------
    splits
        ``train``, ``valid`` and ``test``.
    setting
        ``"error"``, ``"drop"`` (from train, and from valid if they are in test) or ``"keep"``.
    source
        Folder, for the message.

    Returns
    -------
    splits, sentences

    Raises
    ------
    UserError
        If there are any and the setting is ``"error"``, or if there is no such setting.
    """
    known = get_args(SharedGenes)
    if setting not in known:
        hint, where = f"{nearest(setting, known)}set it to one of these", "dataset.shared_genes"
        raise UserError(f"there is no setting '{setting}'", where=where, expected=", ".join(known), hint=hint)
    result, shared = dict(splits), {}
    for name, later in (("train", ("valid", "test")), ("valid", ("test",))):
        other = np.concatenate([splits[split].genes for split in later])
        shared[name] = np.isin(splits[name].genes, other)
    counts = {name: int(rows.sum()) for name, rows in shared.items()}
    total = sum(counts.values())
    if not total:
        return result, []
    found = f"{_counted(total)} in two splits ({_each(counts)})"
    if setting == "keep":
        return result, [f"Kept {found}: results look better than they are."]
    if setting == "drop":
        for name in shared:
            result[name] = splits[name].take(~shared[name])
        return result, [f"Dropped {found}; they stay in the later one."]
    first = [str(gene) for name in shared for gene in splits[name].genes[shared[name]]][:3]
    raise UserError(
        f"found {found}, first {', '.join(first)}",
        where=source,
        expected="each gene in one split: otherwise the test scores genes that were trained on",
        hint="set dataset.shared_genes=drop to remove them from training, or dataset.shared_genes=keep to train anyway",
    )


def standardised_sentences(train: Split, names: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Return a sentence for training labels, and one for features, that are far from mean 0 and deviation 1."""
    sentences = []
    mean, deviation = float(train.labels.mean(dtype=float)), float(train.labels.std(dtype=float))
    if _far(np.array(mean), np.array(deviation)):
        sentences.append(
            f"The {len(train):,} training labels have mean {mean:.3g} and standard deviation {deviation:.3g}: "
            "the models' settings are for standardised labels."
        )
    far: list[str] = []
    total = 0
    for block, values in train.blocks.items():
        if block == PROMOTER or values.dtype == np.uint8:
            continue
        columns = names.get(block) or [f"{BLOCKS[block].input} {i}" for i in range(values.shape[1])]
        binary = ((values == 0) | (values == 1)).all(axis=0)
        wrong = _far(values.mean(axis=0, dtype=float), values.std(axis=0, dtype=float)) & ~binary
        total += values.shape[1]
        far += [columns[i] for i in np.flatnonzero(wrong)]
    if far:
        more = f" and {len(far) - 8} more" if len(far) > 8 else ""
        sentences.append(
            f"{len(far)} of {total} feature columns are not standardised (mean beyond {MEAN_LIMIT} or standard "
            f"deviation outside {DEVIATION_RANGE[0]} to {DEVIATION_RANGE[1]}): {', '.join(far[:8])}{more}."
        )
    return sentences


def _far(mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    low, high = DEVIATION_RANGE
    return np.asarray((np.abs(mean) > MEAN_LIMIT) | (deviation < low) | (deviation > high))


def _counted(genes: int) -> str:
    return f"{genes:,} gene{'' if genes == 1 else 's'}"


def _each(counts: Mapping[str, int]) -> str:
    """Write counts by split: ``"train 3, test 1"``."""
    return ", ".join(f"{name} {count:,}" for name, count in counts.items() if count)
