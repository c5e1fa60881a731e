"""A dataset made to fit a run: feature columns matched by name, labels and features in the scale of the run.

Names decide, not widths: the same columns in another order would give other predictions without a message.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from genexp.blocks import BLOCKS, PROMOTER
from genexp.dataset.description import DatasetDescription, Source, listed
from genexp.dataset.genes import Dataset, Split
from genexp.dataset.problems import wrong
from genexp.dataset.scaling import Conversion, scales_of
from genexp.errors import nearest

#: The part of a dataset, beside its feature blocks, that has a scale.
LABEL = "label"

UNREADABLE = "the model cannot read this dataset"

#: By part, one for each column; None where a column stays as it is.
Conversions = Mapping[str, tuple[Conversion | None, ...]]


@dataclass(frozen=True)
class Columns:
    """Where the columns that a run knows are in a table, in the order of the run; and a sentence, or an empty one."""

    order: tuple[int, ...]
    note: str


def match_columns(
    block: str,
    wanted: Sequence[str] | None,
    width: int,
    found: Sequence[str] | int,
    where: object,
    hint: str,
    beside: Sequence[str] = (),
) -> Columns:
    """Match the columns of a block with those of a run by name; by their number where one side has no names.

    `wanted` are the names that the run knows, or None, and `width` is their number; `found` are the names there, or
    only their number. Columns that the run does not know are left out; missing ones are an error, which names those
    that there are instead, if need be `beside` these.
    """
    title, number = BLOCKS[block].title, found if isinstance(found, int) else len(found)
    if wanted is None or isinstance(found, int):
        if number != width:
            raise wrong(UNREADABLE, where, f"{width:,} features", f"{number:,} features", hint)
        side = "the run" if wanted is None else "the dataset"
        return Columns(
            tuple(range(width)), f"{side} does not name its {title}: only their number, {width:,}, is compared"
        )
    place, times, asked = {name: n for n, name in enumerate(found)}, Counter(found), set(wanted)
    missing, others = [name for name in wanted if name not in place], [name for name in found if name not in asked]
    if missing:
        what = f"{len(missing):,} of the {width:,} {title} of the run are missing"
        others = others or list(beside)
        raise wrong(what, where, listed(missing), listed(others) or "no others", nearest(missing[0], others) + hint)
    twice = [name for name in wanted if times[name] > 1]
    if twice and list(wanted) != list(found):
        raise wrong("columns of the same name cannot be matched", where, "each name once", listed(twice), "rename one")
    order = tuple(range(width)) if twice else tuple(place[name] for name in wanted)
    dropped = f"{len(others):,} {title} that the run does not know are left out: {listed(others)}" if others else ""
    moved = f"the {width:,} {title} are put into the order of the run" if list(order) != sorted(order) else ""
    return Columns(order, "; ".join(filter(None, (moved, dropped))))


def align(trained_on: DatasetDescription, source: Source, blocks: str, hint: str, *, own: bool = False) -> Source:
    """Return a dataset as a run reads it that was trained on these blocks of another; refuse one that cannot be.

    Its labels are matched already (`genexp.dataset.labels`). `own` tells that it is the dataset of the run: what is
    unknown on both sides is not mentioned then.
    """
    _check_promoters(trained_on, blocks, source.description, hint)
    found, notes, columns = source.description, list(source.notes), dict(source.columns)
    widths, names = dict(found.widths), dict(found.feature_names)
    for block in (block for block in blocks if block != PROMOTER):
        known, given = trained_on.feature_names.get(block), found.feature_names.get(block)
        width, number = trained_on.widths.get(block, 0), found.widths.get(block, 0)
        where = f"{BLOCKS[block].title} of {found.source}"
        matched = match_columns(block, known, width, given or number, where, hint)
        if matched.note and not (own and known == given):
            notes.append(matched.note)
        if matched.order != tuple(range(number)):
            columns[block] = matched.order
        widths[block] = width
        if known or given:
            names[block] = known or given or ()
    described = found.model_copy(update={"widths": widths, "feature_names": names})
    conversions, warnings = _conversions(trained_on, described, blocks)
    if conversions:
        parts = ", ".join(_title(part) for part in conversions)
        notes.append(f"converted from the scale of the dataset to the scale of the run: {parts}")
        described = described.model_copy(update=_rescaled(trained_on, described, conversions))
    warned = source.warnings if own else (*source.warnings, *warnings)
    changes: dict[str, Any] = {"columns": columns, "conversions": conversions, "notes": tuple(notes)}
    return replace(source, description=described, warnings=warned, **changes)


def _check_promoters(trained_on: DatasetDescription, blocks: str, found: DatasetDescription, hint: str) -> None:
    """Refuse a dataset whose promoters are of another kind, or whose embeddings have another size."""
    if PROMOTER not in blocks:
        return
    expected, received = (_promoters_in_words(description) for description in (trained_on, found))
    if expected == received and trained_on.embedding and found.embedding:  # of one size, and not the same numbers
        expected, received = trained_on.embedding, found.embedding
    if expected != received:
        where = f"{BLOCKS[PROMOTER].title} of {found.source}"
        raise wrong(UNREADABLE, where, expected, received, hint)


def _promoters_in_words(description: DatasetDescription) -> str:
    if description.promoter == "embedded":
        return f"{description.promoter_length:,} chunks of {description.embed_dim:,} numbers (precomputed embeddings)"
    return "no promoters" if description.promoter is None else "bases (one-hot or tokens)"


def _title(part: str) -> str:
    return "labels" if part == LABEL else BLOCKS[part].title


def _conversions(
    trained_on: DatasetDescription, found: DatasetDescription, blocks: str
) -> tuple[dict[str, tuple[Conversion | None, ...]], list[str]]:
    """Return how each part that is scaled otherwise becomes as in the run; and a warning where that is unknown."""
    conversions: dict[str, tuple[Conversion | None, ...]] = {}
    warnings = []
    for part in (LABEL, *(block for block in blocks if block != PROMOTER)):
        names = _scaled_names(part, trained_on, found)
        theirs, ours = (scales_of(each, part, mine) for each, mine in ((found, names[0]), (trained_on, names[1])))
        title = _title(part)
        if theirs is None and ours is None:
            continue
        if theirs is None or ours is None:
            side = "this dataset" if theirs is None else "the run"
            warnings.append(f"how {side} scaled its {title} is not recorded: they are compared as they are")
            continue
        pairs = list(zip(theirs, ours, strict=True))
        same_unit = part != LABEL or not _other_unit(trained_on.unit, found.unit)
        if all(a.is_like(b) for a, b in pairs) and same_unit:
            continue
        if not same_unit or not all(a.can_become(b) for a, b in pairs):
            units = f" ({found.unit}; {trained_on.unit})" if part == LABEL and found.unit and trained_on.unit else ""
            warnings.append(f"the {title} of this dataset have another unit than those of the run{units}")
            continue
        every = found.labels if part == LABEL else names[0]
        by_name = dict(zip(names[0], (Conversion(a, b) for a, b in pairs), strict=True))
        conversions[part] = tuple(by_name.get(name) for name in every)
    return conversions, warnings


def _scaled_names(
    part: str, trained_on: DatasetDescription, found: DatasetDescription
) -> tuple[Sequence[str], Sequence[str]]:
    """Return the names of the columns of a part that both sides have, as each side calls them."""
    if part != LABEL:
        names = found.feature_names.get(part, ())
        return names, names
    if len(found.labels) == len(trained_on.labels) == 1:
        return found.labels, trained_on.labels
    common = [name for name in found.labels if name in trained_on.labels]
    return common, common


def _other_unit(ours: str | None, theirs: str | None) -> bool:
    """Tell whether two units name different measures or logarithms; ``expression`` is any measure."""
    a, b = (set(re.findall(r"[A-Za-z]\w*", unit or "")) - {"expression"} for unit in (ours, theirs))
    return bool(ours and theirs and a - b and b - a)


def _rescaled(trained_on: DatasetDescription, found: DatasetDescription, conversions: Conversions) -> dict[str, Any]:
    """Return what the description of a dataset says of its scaling once it is converted."""
    scaling: dict[str, Any] = dict(found.scaling or {})
    for part, each in conversions.items():
        if part != LABEL:
            names = found.feature_names[part]
            scaling[BLOCKS[part].input] = {n: c.ours.model_dump() for n, c in zip(names, each, strict=True) if c}
        elif "labels" in scaling:
            known = {name: c.ours.model_dump() for name, c in zip(found.labels, each, strict=True) if c}
            scaling["labels"] = {**scaling["labels"], **known}
        else:
            scaling["label"] = each[0].ours.model_dump() if each[0] else scaling["label"]
    return {"scaling": scaling, "unit": trained_on.unit if LABEL in conversions else found.unit}


def converted(dataset: Dataset, conversions: Conversions) -> Dataset:
    """Return the genes of a dataset with labels and features in the scale of the run."""
    if not conversions:
        return dataset
    return replace(dataset, splits={n: _converted_split(s, conversions) for n, s in dataset.splits.items()})


def _converted_split(split: Split, conversions: Conversions) -> Split:
    values = {LABEL: split.labels, **split.blocks}
    for part, each in conversions.items():
        new = np.array(values[part], np.float32)
        for column, conversion in enumerate(each):
            if conversion is not None:
                new[:, column] = conversion(new[:, column])
        lost = ~np.isfinite(new) & np.isfinite(values[part])
        if lost.any():
            gene = split.genes[int(np.argwhere(lost)[0][0])]
            what, hint = "a value has no counterpart in the scale of the run", "correct or remove this gene"
            raise wrong(what, f"{_title(part)}, gene {gene}", "finite numbers", None, hint)
        values[part] = new
    labels = values.pop(LABEL)
    return replace(split, labels=labels, blocks=values)
