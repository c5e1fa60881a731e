"""Which genes are trained on, which validate and which test: at random, by chromosome or by group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from genexp.dataset.folds import split_codes
from genexp.dataset.genes import SPLITS
from genexp.errors import UserError, nearest
from genexp.prepare.fasta import plain_name
from genexp.prepare.opening import few

#: Rows of the genes in each split.
Rows = dict[str, np.ndarray]

#: Size of each held-out split by default: of the published split, and as a part of the genes.
PUBLISHED_SIZE = 1000
DEFAULT_PART = 0.1


def rows_of(code: np.ndarray) -> Rows:
    """Return the rows of each split from (n,) codes: 0 train, 1 valid, 2 test."""
    return {name: np.flatnonzero(code == n) for n, name in enumerate(SPLITS)}


def size_of(wanted: object, genes: int, published: bool, key: str) -> int:
    """Return a number of genes from a number, a part below 1, or null; raise a UserError if it is none of these."""
    if wanted is None:
        return PUBLISHED_SIZE if published else round(DEFAULT_PART * genes)
    if isinstance(wanted, bool) or not isinstance(wanted, int | float) or wanted <= 0:
        expected = "a number of genes, a part of them below 1, or with split.by=chromosome a list of chromosomes"
        hint = f"for example {key}=1000 or {key}=0.1"
        raise UserError(f"{key} is impossible", expected=expected, received=wanted, hint=hint)
    return round(wanted * genes) if wanted < 1 else int(wanted)


def _cut(order: np.ndarray, valid: int, test: int) -> Rows:
    """The last genes of an order test, those before them validate; or all that there are."""
    cuts = [max(0, len(order) - valid - test), max(0, len(order) - test)]
    return dict(zip(SPLITS, np.split(order, cuts), strict=True))


def published_split(genes: int, valid: int, test: int, seed: int = 1) -> Rows:
    """Shuffle as pandas' ``sample(frac=1, random_state=seed)`` does; the last test, those before them validate."""
    return _cut(np.random.RandomState(seed).permutation(genes), valid, test)


def published_folds(genes: int, folds: int, valid: int, seed: int = 1) -> list[Rows]:
    """Cut the published order into folds; the first `valid` genes outside a test fold validate (Xpresso's ``--cv``)."""
    order = np.random.RandomState(seed).permutation(genes)
    result = []
    for test in np.array_split(order, folds):
        rest = order[~np.isin(order, test)]
        result.append({"train": rest[valid:], "valid": rest[:valid], "test": test})
    return result


def split_at_random(genes: int, valid: int, test: int, seed: int) -> Rows:
    """Split single genes at random, each split in the order of the genes."""
    order = np.random.default_rng(seed).permutation(genes)
    return {name: np.sort(rows) for name, rows in _cut(order, valid, test).items()}


def split_groups(groups: np.ndarray, valid: int, test: int, seed: int) -> Rows:
    """Share out whole groups of genes, (n,) values, at random until the held-out splits have about their sizes.

    A group is added to a split as long as that brings it nearer to its size.
    """
    names, members, number = np.unique(groups, return_inverse=True, return_counts=True)
    free = np.random.default_rng(seed).permutation(len(names)).tolist()
    split_of = np.zeros(len(names), int)
    for code, size in ((2, test), (1, valid)):
        have, rest = 0, []
        for group in free:
            if abs(have + number[group] - size) < abs(have - size):
                have += number[group]
                split_of[group] = code
            else:
                rest.append(group)
        free = rest
    return rows_of(split_of[members])


def fold_groups(groups: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Return the fold of each gene (n,) from 0, with whole groups in folds of about equal size.

    The largest group is first; each goes to the smallest fold.
    """
    names, members, number = np.unique(groups, return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(names))
    order = order[np.argsort(-number[order], kind="stable")]
    size, fold_of = np.zeros(folds, int), np.zeros(len(names), int)
    for group in order:
        fold_of[group] = int(np.argmin(size))
        size[fold_of[group]] += number[group]
    return np.asarray(fold_of[members])


def rotate(fold_of: np.ndarray, folds: int) -> list[Rows]:
    """Let each fold test once, and the next one validate; genes of no fold (-1) are left out."""
    return [rows_of(split_codes(fold_of, folds, n)) for n in range(folds)]


def split_chromosomes(chromosome: np.ndarray, valid: Sequence[str] | int, test: Sequence[str] | int, seed: int) -> Rows:
    """Split by chromosome: those named, or whole chromosomes at random that hold about a number of genes.

    A UserError is raised if a chromosome is named that no gene lies on, or twice.
    """
    plain = np.array([plain_name(name) for name in chromosome])
    valid, test = (size if isinstance(size, int) else [plain_name(name) for name in size] for size in (valid, test))
    return split_named(plain, plain, valid, test, seed, "chromosome", sorted(set(map(str, chromosome))))


def split_named(
    values: np.ndarray,
    groups: np.ndarray,
    valid: Sequence[str] | int,
    test: Sequence[str] | int,
    seed: int,
    kind: str,
    there: Sequence[str] | None = None,
) -> Rows:
    """Hold out the genes with the values that are named, or about a number of the others, whole groups at random.

    `values` and `groups` are (n,); `kind` is what a value is, and `there` are the values as messages name them.
    """
    code = np.zeros(len(values), int)
    wanted = sorted({"test": test, "valid": valid}.items(), key=lambda item: isinstance(item[1], int))  # names first
    for split, names in wanted:
        if isinstance(names, int):
            left = np.flatnonzero((code == 0) & ~np.isin(groups, groups[code > 0]))
            mine = left[split_groups(groups[left], 0, names, seed)["test"]]
        else:
            for unknown in sorted(set(names) - set(values))[:1]:
                known = there or sorted({str(value) for value in values} - {""})
                hint = nearest(unknown, known) or None
                what = "no gene lies on chromosome" if kind == "chromosome" else f"there is no {kind}"
                raise UserError(f"{what} {unknown}", where=f"split.{split}", expected=few(known, 40), hint=hint)
            mine = np.flatnonzero(np.isin(values, names))
            if (code[mine] > 0).any():
                received = few(np.unique(values[mine[code[mine] > 0]]))
                raise UserError(f"a {kind} is in two splits", where="split.valid, split.test", received=received)
        code[mine] = SPLITS.index(split)
    return rows_of(code)


def separated(rows: Rows, groups: np.ndarray) -> int:
    """Return how many genes have another of their group (n,) in another split."""
    code = np.full(len(groups), -1)
    for n, name in enumerate(SPLITS):
        code[rows[name]] = n
    used = np.flatnonzero(code >= 0)
    _, group = np.unique(groups[used], return_inverse=True)
    inside = np.zeros((group.max(initial=-1) + 1, len(SPLITS)), bool)
    inside[group, code[used]] = True
    return int((inside.sum(axis=1) > 1)[group].sum())


def overlapping(
    rows: Mapping[str, np.ndarray], chromosome: np.ndarray, start: np.ndarray, length: int, circular: np.ndarray
) -> Rows:
    """Find genes whose promoter window overlaps one of a later split: train with valid or test, valid with test.

    Windows begin at `start` (n,) of `chromosome` (n,), whose length is `circular` (n,) where it has no ends, else 0,
    and have `length` bases. For each split a bool array of its genes is returned.
    """
    _, place = np.unique(chromosome, return_inverse=True)
    # One line for all chromosomes, far enough apart.
    lowest, around = int(start.min()), int(circular.max(initial=0))
    line = place * (int(start.max()) - lowest + 2 * (length + around) + 1) + (start - lowest)
    found = {name: np.zeros(len(mine), bool) for name, mine in rows.items()}
    for name, later in (("train", ("valid", "test")), ("valid", ("test",))):
        theirs = np.concatenate([rows[split] for split in later])
        others = np.sort(np.concatenate([line[theirs] + turn * circular[theirs] for turn in (-1, 0, 1)]))
        mine = line[rows[name]]
        first = np.searchsorted(others, mine - length, "right")
        found[name] = first < np.searchsorted(others, mine + length, "left")
    return found
