"""Checks of the genes that were read: wrong values are errors, oddities are notes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from genexp.blocks import BLOCKS, PROMOTER
from genexp.dataset.config import SharedGenes
from genexp.dataset.description import listed
from genexp.dataset.genes import Split
from genexp.dataset.hdf5 import StoredArray
from genexp.dataset.labels import UNNAMED
from genexp.dataset.problems import misnumbered, wrong
from genexp.features.tokens import N_TOKEN, other_numbering

#: Genes of a split on which r2 has no meaning.
FEW_GENES = 4

#: Promoters that are enough to see how bases are encoded.
LOOKED_AT = 1000

#: Standardised values have mean 0 and standard deviation 1; beyond these limits there is a note.
MEAN_LIMIT = 0.5
#: A column that varies less cannot be standardised.
CONSTANT = 1e-5
DEVIATION_RANGE = (0.5, 2.0)


def check_finite(values: np.ndarray, array: StoredArray, genes: np.ndarray, columns: Sequence[str] = ()) -> None:
    """Raise an error that names the first of (n, ...) float32 values that is NaN or infinite."""
    row_step = max(1, (1 << 22) // max(1, values[:1].size))
    number, first = 0, None
    for start in range(0, len(values), row_step):
        bad = ~np.isfinite(values[start : start + row_step])
        count = int(bad.sum())
        if count and first is None:
            first = np.argwhere(bad)[0].tolist()
            first[0] += start
        number += count
    if first is None:
        return
    row, *rest = first
    column = f", column {columns[rest[0]] if columns else rest[0]}" if len(rest) == 1 and values.shape[1] > 1 else ""
    what = f"{number:,} of {values.size:,} values {'is' if number == 1 else 'are'} not finite"
    where, expected = f"{array}, row {row} (gene {genes[row]}){column}", "finite numbers within the range of float32"
    raise wrong(what, where, expected, values[tuple(first)], "correct or remove these genes")


def check_values(labels: np.ndarray, array: StoredArray, genes: np.ndarray, names: Sequence[str]) -> None:
    """Raise an error for the first of (n, labels) values that is infinite, or missing where the gene has no other."""
    missing = np.isnan(labels) if len(names) > 1 else np.zeros(labels.shape, bool)
    check_finite(np.where(missing, 0, labels), array, genes, names)
    without = missing.all(axis=1)
    if without.any():
        row, number = int(without.argmax()), int(without.sum())
        what = f"{number:,} gene{' has' if number == 1 else 's have'} no label at all"
        where, hint = f"{array}, row {row} (gene {genes[row]})", "remove these genes"
        raise wrong(what, where, f"a number for at least one of the {len(names)} labels", "NaN for each", hint)


def check_labels(labels: np.ndarray, split: str, array: StoredArray, names: Sequence[str]) -> None:
    """Raise an error if a split has less than two genes (left) with a label, or if all have the same."""
    if len(labels) == 0:
        hint = "see the settings dataset.drop_ambiguous and dataset.shared_genes, which drop genes"
        raise wrong(f"no gene is left in the split '{split}'", array.path, None, None, hint)
    if len(labels) == 1:
        hint = "split the genes in another way, for example with genexp prepare"
        raise wrong(f"the split '{split}' has one gene", array, "at least two genes", None, hint)
    for name, column in zip(names, labels.T, strict=True):
        values = column[~np.isnan(column)]
        which = f" '{name}'" if len(names) > 1 else ""
        if len(values) < 2:
            what, received = f"too few genes of the split '{split}' have the label{which}", f"{len(values)}"
            hint = "split the genes in another way, or leave the label out (data.labels of genexp train)"
            raise wrong(what, array, "at least two genes", received, hint)
        if (values == values[0]).all():
            what, received = f"all labels{which} of the split '{split}' are the same", f"{values[0]:g}"
            received += f", {len(values):,} times"
            raise wrong(what, array, "labels that differ", received, "write the labels of the genes")


def check_bases(tokens: np.ndarray, array: StoredArray) -> None:
    """Raise an error if (n, window) tokens are all N, or seem to be numbered in another way."""
    few = tokens[:LOOKED_AT]
    if (few == N_TOKEN).all() and all((row == N_TOKEN).all() for row in tokens):
        what, received = "the promoters hold no bases at all, only N", f"N everywhere, in all {len(tokens):,} genes"
        raise wrong(what, array, "A, C, G and T", received, "write the bases, or choose another data.window")
    numbering = other_numbering(few) if len(array.shape) == 2 else None
    if numbering:
        raise misnumbered(numbering, array)


def ambiguous_sentence(counts: Mapping[str, int], window: tuple[int, int] | None, dropped: bool) -> list[str]:
    """Return a sentence that counts the genes with N in the window, if there are any."""
    if window is None or not any(counts.values()):
        return []
    genes = f"{counted(counts)} with N in the window [{window[0]}, {window[1]})"
    return [f"Dropped {genes}." if dropped else f"Kept {genes}; dataset.drop_ambiguous=true drops them."]


def unlabelled_sentence(counts: Mapping[str, int], names: Sequence[str]) -> list[str]:
    """Return a sentence that counts the genes without any of the labels that were chosen, if there are any."""
    return [f"Dropped {counted(counts)} without a value of {listed(names)}."] if any(counts.values()) else []


def oddities(
    splits: Mapping[str, Split], names: Mapping[str, tuple[str, ...]], labels: Sequence[str] = UNNAMED
) -> list[str]:
    """Return a sentence for each of: genes twice in a split, too few genes, values that are not standardised."""
    sentences = []
    twice = {}
    for name, split in splits.items():
        genes, number = np.unique(split.genes, return_counts=True)
        twice[name] = genes[number > 1]
    first = [str(gene) for genes in twice.values() for gene in genes[:1]]
    if first:
        numbers = {name: len(genes) for name, genes in twice.items()}
        sentences.append(f"Found {counted(numbers, ' more than once in a split')}, first {first[0]}.")
    sentences += _few(splits, labels) + _labels_not_standardised(splits["train"].labels, labels)
    return sentences + _not_standardised(splits["train"], names)


def _few(splits: Mapping[str, Split], labels: Sequence[str]) -> list[str]:
    """Return a sentence for splits in which a label is known of a few genes only."""
    found = {name: int((~np.isnan(s.labels)).sum(axis=0).min()) for name, s in splits.items() if name != "train"}
    few = {name: number for name, number in found.items() if number < FEW_GENES}
    with_label = " with one of the labels" if len(labels) > 1 else ""
    return [f"Few genes{with_label} ({_each(few)}): their r2 has no meaning."] if few else []


def _labels_not_standardised(train: np.ndarray, labels: Sequence[str]) -> list[str]:
    """Return a sentence for training labels that are far from mean 0 and deviation 1."""
    far = []
    for name, column in zip(labels, train.T, strict=True):
        values = column[~np.isnan(column)]
        if _far(values[:, None])[0]:
            of = "training labels" if len(labels) == 1 else f"training labels '{name}'"
            mean, deviation = values.mean(dtype=float), values.std(dtype=float)
            far.append(f"{len(values):,} {of} have mean {mean:.3g} and standard deviation {deviation:.3g}")
    more = f" (and {len(far) - 1} of the other labels differ likewise)" if len(far) > 1 else ""
    return [f"The {far[0]}{more}: the models' settings are for standardised labels."] if far else []


def _not_standardised(train: Split, names: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Return a sentence for features that are far from mean 0 and deviation 1."""
    sentences, far, total = [], [], 0
    for block, values in train.blocks.items():
        if block != PROMOTER and values.dtype != np.uint8:
            columns = names.get(block) or [f"{BLOCKS[block].input} {i}" for i in range(values.shape[1])]
            binary, constant = ((values == 0) | (values == 1)).all(axis=0), np.ptp(values, axis=0) < CONSTANT
            far += [columns[i] for i in np.flatnonzero(_far(values) & ~binary & ~constant)]
            total += values.shape[1]
    if far:
        more = f" and {len(far) - 8} more" if len(far) > 8 else ""
        sentences.append(
            f"{len(far)} of {total} feature columns are not standardised (mean beyond {MEAN_LIMIT} or standard "
            f"deviation outside {DEVIATION_RANGE[0]} to {DEVIATION_RANGE[1]}): {', '.join(far[:8])}{more}."
        )
    return sentences


def _far(values: np.ndarray) -> np.ndarray:
    """Return which columns are not standardised."""
    (low, high), deviation = DEVIATION_RANGE, values.std(axis=0, dtype=float)
    far: np.ndarray = (np.abs(values.mean(axis=0, dtype=float)) > MEAN_LIMIT) | (deviation < low) | (deviation > high)
    return far


def settle_shared_genes(
    splits: Mapping[str, Split], setting: SharedGenes, source: str
) -> tuple[Mapping[str, Split], list[str]]:
    """Refuse, drop (from train, and from valid if they are in test) or keep genes in two splits; return a sentence."""
    shared = {}
    for name, later in (("train", ("valid", "test")), ("valid", ("test",))):
        shared[name] = np.isin(splits[name].genes, np.concatenate([splits[split].genes for split in later]))
    counts = {name: int(rows.sum()) for name, rows in shared.items()}
    if not any(counts.values()):
        return splits, []
    found = counted(counts, " in two splits")
    if setting == "keep":
        return splits, [f"Kept {found}: results look better than they are."]
    if setting == "drop":
        kept = {name: splits[name].take(~rows) for name, rows in shared.items()}
        return {**splits, **kept}, [f"Dropped {found}; they stay in the later one."]
    first = [str(gene) for name in shared for gene in splits[name].genes[shared[name]]][:3]
    expected = "each gene in one split: otherwise the test scores genes that were trained on"
    hint = "dataset.shared_genes=drop removes them from training, dataset.shared_genes=keep trains anyway"
    raise wrong(f"found {found}, first {', '.join(first)}", source, expected, None, hint)


def counted(counts: Mapping[str, int], which: str = "") -> str:
    """Write counts of genes by split: ``"4 genes (train 3, test 1)"``."""
    total = sum(counts.values())
    return f"{total:,} gene{'' if total == 1 else 's'}{which} ({_each(counts)})"


def _each(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items() if count)
