"""The features of genes by id, from a table, scaled as the model of a run reads them; or the training mean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from genexp import console
from genexp.api.prediction import members_of
from genexp.blocks import PROMOTER
from genexp.dataset.alignment import match_columns
from genexp.dataset.description import listed
from genexp.dataset.genes import NUMBERED
from genexp.dataset.ranges import Ranges, common_ranges, read_ranges
from genexp.dataset.scaling import scales_of
from genexp.errors import UserError, nearest

if TYPE_CHECKING:
    import pandas as pd

    from genexp.api.ensembles import Ensemble
    from genexp.api.runs import Run
    from genexp.prepare.tables import Table

#: In place of a table: every gene has the mean of the training genes.
MEAN = "mean"
#: Published intron lengths lie up to two bases below zero.
LOWEST = -3
#: Features that a gene far outside the training range is reported with.
NAMED = 3


def features_by_id(
    run: Run | Ensemble,
    ids: Sequence[str],
    table: str | pd.DataFrame | None,
    *,
    scaled: bool,
    missing: str = "error",
    gene: str | None = None,
) -> dict[str, np.ndarray]:
    """Return the features of some genes as the models of a run read them.

    Parameters
    ----------
    run
        The run, or the ensemble.
    ids
        The genes, (n,); one may occur several times.
    table
        Path of a table whose first column has the ids, or one with ids as index; ``mean`` for the mean of the training
        genes in place of each feature. Columns are matched by name. None for a run without features.
    scaled
        The table is scaled as in the dataset of the run; otherwise it is raw.
    missing
        ``error``, or ``mean``: genes without a row, and empty cells, have the mean of the training genes.
    gene
        What the key `gene` says, where `ids` are that: an error that names it if the table lacks it.

    Returns
    -------
    dict
        By block letter, (n, width) float32. What was decided is printed.

    Raises
    ------
    UserError
        If ids do not join, columns are missing, values are no numbers, or the training mean is needed and unknown.
    """
    letters = check_features(run, given=table is not None)
    if table is None:
        return {}
    if isinstance(table, str) and table == MEAN:
        means = _means(run)
        console.warn("features=mean: every gene has the mean features of the training genes")
        return {letter: np.tile(mean, (len(ids), 1)) for letter, mean in means.items()}
    where = f"features={table}" if isinstance(table, str) else "features"
    source = None
    if isinstance(table, str):
        source, whole, names = _read(table, "features")
    else:
        whole, names = table, list(map(str, table.index))
    rows = _rows(ids, names, where, missing, gene)
    used = np.unique(rows[rows >= 0])
    whole, rows = whole.iloc[used], np.where(rows < 0, -1, np.searchsorted(used, rows))
    genes = (whole if source is None else whole.iloc[:, 1:]).set_axis([names[n] for n in used])
    values = {}
    for letter, (columns, places) in _columns(list(map(str, genes.columns)), letters, run, where).items():
        cells = genes.iloc[:, places]
        numbers = _numbers(cells, where) if source is None else source.numbers(whole, list(cells.columns))
        cells = cells.set_axis(columns, axis=1)
        values[letter] = _scaled(letter, numbers, cells, where, run, scaled=scaled, missing=missing)
    if (rows < 0).any() or any(np.isnan(found).any() for found in values.values()):
        means = _means(run)
        empty, absent = sum(int(np.isnan(found).sum()) for found in values.values()), len({*ids}) - len(genes)
        console.warn(
            f"missing=mean: {absent:,} genes without features and {empty:,} empty cells have the training mean"
        )
        values = {letter: np.where(np.isnan(found), means[letter], found) for letter, found in values.items()}
        values = {letter: np.concatenate([found, means[letter][None]]) for letter, found in values.items()}
    return {letter: found[rows] for letter, found in values.items()}


def check_features(run: Run | Ensemble, *, given: bool) -> list[str]:
    """Return the letters of the feature blocks of a run; features must be given just where there are some."""
    letters = [letter for letter in run.config.data.name if letter != PROMOTER]
    if bool(letters) != given:
        expected = "features=FILE or features=mean" if letters else "no features="
        raise UserError(f"a run on data={run.config.data.name} needs {expected}", where=f"run_dir={run.path}")
    return letters


def read_table(path: str, key: str) -> pd.DataFrame:
    """Return a table with its first column, the ids, as index. Sequences may lack ids."""
    _, table, names = _read(path, key)
    return table.iloc[:, 1:].set_axis(names)


def _read(path: str, key: str) -> tuple[Table, pd.DataFrame, list[str]]:
    """Look at a table, and return it with its rows and their ids."""
    from genexp.prepare.opening import existing
    from genexp.prepare.sequence_columns import HEADINGS, plain

    source = named_rows(existing(path, key), key)
    sequences = [name for name in source.columns if plain(name) in HEADINGS["sequence"]]
    table = source.read([source.columns[0], *sequences], source.columns)
    if source.columns[0] in sequences:
        names = [NUMBERED.format(n) for n in range(1, len(table) + 1)]
    else:
        names = table[source.columns[0]].tolist()
    twice = next((name for name, times in Counter(names).items() if times > 1), None)
    if "" in names or twice is not None or not names:
        received = f"none in row {names.index('') + 1}" if "" in names else f"{twice} twice" if twice else "no rows"
        raise UserError("ids of a table must be there, each once", where=f"{key}={path}", received=received)
    return source, table, names


def named_rows(path: Path, key: str) -> Table:
    """Look at a table with ids in its first column, or in the next one behind numbers of its rows."""
    from genexp.prepare.formats import is_id
    from genexp.prepare.row_numbers import without_row_numbers
    from genexp.prepare.sequence_columns import HEADINGS, plain
    from genexp.prepare.tables import look_at

    def names_rows(heading: str) -> bool:
        if not heading or heading.startswith("Unnamed"):  # as pandas calls a column without a heading
            return False
        return is_id(heading) or plain(heading) in HEADINGS["id"]

    table = look_at(path, key)
    if names_rows(table.columns[0]):
        return table
    known = len(table.remarks)
    found = without_row_numbers(table, names_rows)
    for remark in found.remarks[known:]:
        console.say(f"{path.name}: {remark}")
    return found


def known_ranges(run: Run | Ensemble) -> dict[str, Ranges]:
    """Return what the training features of a run, or of all members, were like; empty where that is not recorded."""
    widths = {letter: run.dataset.widths[letter] for letter in run.config.data.name if letter != PROMOTER}
    return common_ranges([read_ranges(member.files.training_features, widths) for member in members_of(run)])


def far_outside(features: Mapping[str, np.ndarray], ranges: Mapping[str, Ranges], run: Run | Ensemble) -> np.ndarray:
    """Return the names of the features of each gene that are far outside the training range, (n,) text."""
    found = [np.zeros((len(values), 0), bool) for values in features.values()][:1]
    names: list[str] = []
    for letter, values in features.items():
        found.append(ranges[letter].outside(values))
        names += run.dataset.feature_names.get(letter) or [f"{letter}{n}" for n in range(1, values.shape[1] + 1)]
    each = ([names[n] for n in np.flatnonzero(row)] for row in np.concatenate(found, axis=1))
    return np.array([",".join(few[:NAMED]) + f" and {len(few) - NAMED} more" * (len(few) > NAMED) for few in each])


def _means(run: Run | Ensemble) -> dict[str, np.ndarray]:
    """Return the mean of the training features by block, (width,) float32."""
    ranges = known_ranges(run)
    if not ranges:
        what, hint = "the mean of the training features is not recorded with this run", "give the features of all genes"
        if run.dataset.layout == "imported":
            hint += ", or import with data=P, for answers as if each feature were its mean"
        raise UserError(what, where=f"run_dir={run.path}", received="no training_features.csv", hint=hint)
    return {letter: found.mean.astype(np.float32) for letter, found in ranges.items()}


def _rows(ids: Sequence[str], names: list[str], where: str, missing: str, gene: str | None) -> np.ndarray:
    """Return the row of each gene among names, (n,); -1 where it has none, which is an error unless it is allowed."""
    from genexp.prepare.genes import GeneNames, join
    from genexp.prepare.opening import few

    unique, place = np.unique(np.asarray(ids, str), return_inverse=True)
    try:
        joined = join(GeneNames(unique), names, where)
    except UserError:
        if gene is None:
            raise
        hint = f"{nearest(gene, names)}name a gene of this table"
        raise UserError(f"gene={gene} is not in {where}", expected=few(names, 3), hint=hint) from None
    if remark := joined.remark():
        console.say(f"features{remark}")
    absent = unique[~joined.found]
    if len(absent) and missing == "error":
        what = f"{len(absent):,} of {len(unique):,} ids have no features, first {absent[0]}"
        raise UserError(what, where=where, hint="add them, or set missing=mean")
    return np.asarray(joined.rows[place])


def _columns(
    headings: Sequence[str], letters: Sequence[str], run: Run | Ensemble, where: str
) -> dict[str, tuple[list[str], list[int]]]:
    """Return the names of the columns of each block in the order of the run, and their places in a table."""
    trained_on, hint = run.dataset, "name the columns as in the dataset of the run"
    known = {name for letter in letters for name in trained_on.feature_names.get(letter, ())}
    columns = _in_case(list(headings), known)
    others = [name for name in columns if name not in known]
    found = {}
    for letter in letters:
        names, width = trained_on.feature_names.get(letter), trained_on.widths[letter]
        mine = [name for name in columns if name in set(names)] if names else others
        matched = match_columns(letter, names, width, mine, where, hint, others)
        if not names:
            console.say(matched.note)
        chosen = [mine[place] for place in matched.order]
        found[letter] = chosen, [columns.index(name) for name in chosen]
    if others and all(letter in trained_on.feature_names for letter in letters):
        console.say(f"columns that the run does not know are left out: {listed(others)}")
    return found


def _in_case(columns: list[str], known: set[str]) -> list[str]:
    """Return the columns of a table as the run writes them, where only upper and lower case differ, and say so."""
    times = Counter(map(str.casefold, columns))
    ours = {name.casefold(): name for name in known if times[name.casefold()] == 1}
    alike = Counter(map(str.casefold, known))
    found = [ours.get(name.casefold(), name) if alike[name.casefold()] == 1 else name for name in columns]
    if changed := [f"{theirs} is {our}" for theirs, our in zip(columns, found, strict=True) if theirs != our]:
        console.say(f"columns matched in upper or lower case: {listed(changed)}")
    return found


def _numbers(cells: pd.DataFrame, where: str) -> np.ndarray:
    """Return the numbers of a table from Python, (rows, columns) float64, NaN where empty."""
    import pandas as pd

    from genexp.prepare.tables import MISSING

    values: np.ndarray = cells.apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
    empty = (cells.isin(MISSING) | cells.isna()).to_numpy()
    if (bad := ~np.isfinite(values) & ~empty).any():
        raise _wrong_cell("a feature is no finite number", cells, bad, where)
    return values


def _wrong_cell(what: str, cells: pd.DataFrame, at: np.ndarray, where: str, hint: str | None = None) -> UserError:
    row, column = np.argwhere(at)[0]
    place = f"{where}, {cells.index[row]}, column {cells.columns[column]}"
    return UserError(what, where=place, received=repr(cells.iat[row, column]), hint=hint)


def _scaled(
    letter: str, values: np.ndarray, cells: pd.DataFrame, where: str, run: Run | Ensemble, *, scaled: bool, missing: str
) -> np.ndarray:
    """Return the numbers of a block scaled as in the dataset of the run, (rows, width) float32; NaN where allowed.

    `cells` are what the `values` were read from, with the columns of the run.
    """
    empty = np.isnan(values)
    if empty.any() and missing == "error":
        raise _wrong_cell("a feature is missing", cells, empty, where, "add it, or set missing=mean")
    scales = scales_of(run.dataset, letter, list(map(str, cells.columns)))
    if scaled or scales is None:
        if not scaled and not (np.isin(values, (0, 1)) | empty).all():
            console.warn(f"the run does not know how block {letter} was scaled: its values are taken as they are")
        return values.astype(np.float32)
    if (below := (values < LOWEST) & [scale.log10_offset is not None for scale in scales]).any():
        hint = "features that are scaled already need scaled=true"
        raise _wrong_cell("a raw length is negative", cells, below, where, hint)
    return np.stack([scale.of_raw(column) for scale, column in zip(scales, values.T, strict=True)], axis=1)
