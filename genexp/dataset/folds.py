"""Cross-validation by a table of folds: the genes of all files together, split anew for each fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from genexp.dataset.config import DatasetConfig
from genexp.dataset.genes import ROWS_AT_ONCE, SPLITS, Split
from genexp.dataset.problems import wrong
from genexp.errors import UserError
from genexp.files import damage_reported, in_short
from genexp.memory import allocate, is_on_disk

if TYPE_CHECKING:
    import pandas as pd

#: Headings of the columns of a table of folds; case does not matter, and other columns are ignored.
GENE, FOLD = "gene", "fold"
KEY = "dataset.folds"

#: The genes of a split, and a mark for each of them, (n,) bool.
Marked = tuple[Split, np.ndarray]


def split_codes(fold_of: np.ndarray, folds: int, fold: int) -> np.ndarray:
    """Return the split of each gene, (n,): 2 (test) in `fold`, 1 (valid) in the next one, else 0; -1 of no fold (-1).

    Folds are counted from 0, and the first follows on the last.
    """
    codes = np.where(fold_of == fold, 2, np.where(fold_of == (fold + 1) % folds, 1, 0))
    return np.where(fold_of < 0, -1, codes)


@dataclass(frozen=True)
class FoldTable:
    """Which fold each gene is in, from 0; `path` is where it was read."""

    path: Path
    fold_of: Mapping[str, int]

    @cached_property
    def folds(self) -> int:
        """The number of folds."""
        return max(self.fold_of.values(), default=-1) + 1

    def codes(self, genes: np.ndarray, fold: int) -> np.ndarray:
        """Return the `split_codes` of genes, (n,) names, where `fold`, from 1, is tested."""
        return split_codes(np.array([self.fold_of.get(gene, -1) for gene in genes.tolist()], int), self.folds, fold - 1)


def number_of_folds(config: DatasetConfig) -> int:
    """Return how many folds a dataset has: those of its table, else those of its files; 0 without folds."""
    if config.folds is not None:
        return read_folds(config.folds).folds
    from genexp.dataset.layouts import fold_numbers  # imports h5py

    found = fold_numbers(Path(config.root).expanduser())
    if found and found != list(range(1, len(found) + 1)):
        numbers = ", ".join(map(str, found))
        raise wrong("files of some folds are missing", config.root, f"folds 1 to {found[-1]}", numbers, "add the files")
    return len(found)


def read_folds(table: str) -> FoldTable:
    """Read a table with a gene and its fold, a number from 1, in each row; genes with an empty fold are left out."""
    import pandas as pd

    path = Path(table).expanduser()
    where, hint = f"{KEY}={table}", f"a CSV or TSV table with the columns {GENE} and {FOLD}"
    with damage_reported(lambda error: wrong("the table of folds cannot be read", where, None, in_short(error), hint)):
        with path.open(encoding="utf-8-sig") as file:
            heading = file.readline()
        separator = next((mark for mark in "\t;," if mark in heading), ",")
        rows = pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    rows.columns = [str(name).strip().lower() for name in rows.columns]
    for name in (GENE, FOLD):
        if list(rows.columns).count(name) != 1:
            raise wrong(f"the table of folds needs one column {name}", where, hint, ", ".join(rows.columns), hint)
    return FoldTable(path, _numbers(rows, where))


def _numbers(rows: pd.DataFrame, where: str) -> dict[str, int]:
    """Return the fold of each gene, from 0."""
    genes, texts = (rows[name].str.strip() for name in (GENE, FOLD))
    texts = texts.str.replace(r"\.0+$", "", regex=True)  # pandas writes 4.0 where other genes have no fold
    bad = (texts != "") & ~texts.str.fullmatch("[1-9][0-9]{0,5}")
    if bad.any():
        row = int(bad.to_numpy().argmax())
        place, hint = f"{where}, gene {genes[row]}", "correct it, or leave it empty"
        raise wrong("this is no number of a fold", place, "1, 2, 3 ...", texts[row], hint)
    twice = genes[genes.duplicated()]
    if len(twice):
        raise wrong(f"gene {twice.iloc[0]} is in the table twice", where, "each gene once", None, "remove a row")
    found = {gene: int(text) - 1 for gene, text in zip(genes, texts, strict=True) if text}
    missing = sorted({*range(max(found.values(), default=0) + 1)} - {*found.values()})
    if missing or len({*found.values()}) < 3:
        received = f"no gene in fold {missing[0] + 1}" if missing else None
        hint = "one fold is tested, the next one validates, and the others are trained on"
        raise wrong("folds are missing in the table", where, "at least three folds, from 1", received, hint)
    return found


def check_fold(
    table: FoldTable, fold: int | None, names: Mapping[str, np.ndarray]
) -> tuple[dict[str, int], str | None]:
    """Return the number of genes in each split of a fold, from the names by file.

    Also return what is to be said of genes that the table or the dataset lacks, or None.
    """
    if fold is None or fold > table.folds:
        hint = f"dataset.fold=1, or folds={table.folds} of genexp train for a run on each"
        raise wrong("which fold is tested is not known", "dataset.fold", f"1 to {table.folds}", fold, hint)
    codes = np.concatenate([table.codes(genes, fold) for genes in names.values()])
    sizes = {split: int((codes == n).sum()) for n, split in enumerate(SPLITS)}
    empty = next((split for split, size in sizes.items() if not size), None)
    if empty:
        genes = next(iter(names.values()))
        expected = f"names as in the dataset: {', '.join(map(str, genes[:3]))} ..."
        received = f"{', '.join([*table.fold_of][:3])} ..."
        what, hint = f"the table of folds leaves no gene in the split '{empty}'", "use the names of the dataset"
        raise wrong(what, f"{KEY}={table.path}", expected, received, hint)
    out, there = int((codes < 0).sum()), {gene for genes in names.values() for gene in genes.tolist()}
    absent = [gene for gene in table.fold_of if gene not in there]
    said = [f"Left out {out:,} gene{'s' * (out > 1)} that are in no fold of {table.path.name}."] if out else []
    if absent:
        said.append(f"Of {table.path.name}, {len(absent):,} names are not in the dataset, such as {absent[0]}.")
    return sizes, " ".join(said) or None


def refold(read: Mapping[str, Marked], table: FoldTable, fold: int) -> dict[str, Marked]:
    """Split genes of all files anew, each with its mark; `read` is by the split that the files say."""
    old = [(split, mark, table.codes(split.genes, fold)) for split, mark in read.values()]
    result = {}
    for n, name in enumerate(SPLITS):
        mine = [(split, mark, np.flatnonzero(codes == n)) for split, mark, codes in old]
        genes = np.concatenate([split.genes[rows] for split, _, rows in mine])
        labels = np.concatenate([split.labels[rows] for split, _, rows in mine])
        blocks = {block: _gathered([(s.blocks[block], rows) for s, _, rows in mine]) for block in old[0][0].blocks}
        result[name] = Split(genes, labels, blocks), np.concatenate([mark[rows] for _, mark, rows in mine])
    return result


def _gathered(parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Return some rows of several arrays, one after the other; what is on disk stays there."""
    arrays = [values for values, _ in parts]
    shape = (sum(len(rows) for _, rows in parts), *arrays[0].shape[1:])
    result = allocate(shape, np.result_type(*arrays), on_disk=any(map(is_on_disk, arrays)))
    start = 0
    for values, rows in parts:
        for first in range(0, len(rows), ROWS_AT_ONCE):
            some = rows[first : first + ROWS_AT_ONCE]
            result[start : start + len(some)] = values[some]
            start += len(some)
    return result


def no_folds(config: DatasetConfig) -> UserError:
    """Return the error for a dataset without folds."""
    expected = f"files of folds (1train.h5 ...), or {KEY}=TABLE with the columns {GENE} and {FOLD}"
    hint = f"make folds with genexp prepare ... split.folds=10, or name a table: {KEY}=folds.tsv"
    return UserError("this dataset has no folds", where=config.root, expected=expected, hint=hint)
