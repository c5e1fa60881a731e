"""The labels of a dataset: their names, which of them are read, and which a run and a dataset have in common."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from genexp.dataset.description import DatasetDescription, Source, listed
from genexp.dataset.problems import wrong
from genexp.errors import nearest

if TYPE_CHECKING:
    from genexp.dataset.hdf5 import StoredArray

#: The name of the only label of files that do not name it.
UNNAMED = ("label",)


def default_names(number: int) -> tuple[str, ...]:
    """Return the names of labels that nobody has named: ``label``, or ``label_1``, ``label_2`` ..."""
    return UNNAMED if number == 1 else tuple(f"label_{n}" for n in range(1, number + 1))


def names_of(array: StoredArray, given: Any) -> tuple[str, ...]:
    """Return the names of the columns of a label array: those of the attribute `labels`, if the file has it."""
    number = 1 if len(array.shape) == 1 else array.shape[1]
    if given is None:
        return default_names(number)
    try:
        names = json.loads(given) if isinstance(given, str | bytes) else [_text(name) for name in given]
    except (TypeError, ValueError):
        names = []
    if not isinstance(names, list) or not all(isinstance(name, str) and name.strip() for name in names):
        names = []
    if len(names) != number or len(set(names)) != number:
        expected = f"a JSON list of {number} different names, as there are columns"
        hint = "correct the attribute, or leave it out"
        raise wrong("a file does not name its labels", f"{array}, attribute 'labels'", expected, given, hint)
    return tuple(names)


def _text(name: Any) -> Any:
    return name.decode("utf-8") if isinstance(name, bytes) else name


def choose(source: Source, names: Sequence[str] | None) -> Source:
    """Return the source with only these labels, in this order; None for all that it has."""
    found = source.description.labels
    if names is None:
        return source
    where, hint = "data.labels", "correct it, or leave it out for all labels"
    unknown = [name for name in names if name not in found]
    if unknown:
        what = f"the dataset has no label '{unknown[0]}'"
        raise wrong(what, where, f"of {', '.join(found)}", unknown, f"{nearest(unknown[0], found)}{hint}")
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise wrong(f"the label '{twice[0]}' is there twice", where, "each label once", list(names), hint)
    return _with(source, names)


def _with(source: Source, names: Sequence[str]) -> Source:
    found = source.description
    columns = source.label_columns or range(len(found.labels))
    chosen = tuple(columns[found.labels.index(name)] for name in names)
    return replace(source, description=found.model_copy(update={"labels": tuple(names)}), label_columns=chosen)


@dataclass(frozen=True)
class Matched:
    """A dataset with the labels that a run predicts: `outputs` are their columns in the run's predictions.

    `notes` and `warnings` are sentences about what was left out.
    """

    source: Source
    outputs: tuple[int, ...]
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def match(trained_on: DatasetDescription, source: Source) -> Matched:
    """Match the labels of a dataset with those of a run by name, in the order of the run; refuse if none is common.

    The one label of a run and the one of a dataset belong together whatever their names, as most files name none.
    """
    ours, theirs = trained_on.labels, source.description.labels
    if len(ours) == len(theirs) == 1:
        warnings = []
        if ours != theirs and UNNAMED not in (ours, theirs):
            warnings.append(f"the run predicts the label '{ours[0]}', and this dataset has '{theirs[0]}'")
        return Matched(source, (0,), warnings=tuple(warnings))
    common = [name for name in ours if name in theirs]
    if not common:
        what, hint = "the dataset has none of the labels of the run", "use a dataset that has, and names, one of them"
        raise wrong(what, f"labels of {source.description.source}", listed(ours), listed(theirs), hint)
    notes = []
    if len(common) < len(ours):
        notes.append(f"the dataset has {len(common)} of the {len(ours)} labels of the run: {listed(common)}")
    others = [name for name in theirs if name not in ours]
    if others:
        notes.append(f"labels of the dataset that the run does not predict are left out: {listed(others)}")
    return Matched(_with(source, common), tuple(map(ours.index, common)), tuple(notes))
