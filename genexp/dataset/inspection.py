"""What a folder of HDF5 files holds: its layout, sizes, blocks and names, read without reading genes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from genexp.blocks import BLOCKS, PROMOTER, feature_blocks
from genexp.dataset import layouts
from genexp.dataset.config import DatasetConfig
from genexp.dataset.description import DatasetDescription, Source
from genexp.dataset.folds import check_fold, read_folds
from genexp.dataset.genes import SPLITS
from genexp.dataset.hdf5 import StoredArray, read_names
from genexp.dataset.labels import names_of
from genexp.dataset.layouts import GENE, LABEL, LAYOUTS, Contents, FoundSet, keys, look_into, named
from genexp.dataset.problems import damaged, unlike, wrong

#: Where the promoters of the set beside a token file lie, which must be the same.
ONE_HOT = "one_hot"

#: The arrays of a split: by block letter, `LABEL`, `GENE` (missing without gene names) and `ONE_HOT`.
_Arrays = dict[str, StoredArray]


def inspect_files(config: DatasetConfig, need: str) -> Source:
    """Look at a dataset that must have the blocks in `need`: reads names, shapes, types and attributes only."""
    root = Path(config.root).expanduser()
    folds = read_folds(config.folds) if config.folds else None
    sets = layouts.find_sets(root, None if folds else config.fold)
    chosen = layouts.choose_set(root, sets, config.layout, need)
    found = {split: _look_at(chosen, split, config) for split in SPLITS}
    arrays = {split: arrays for split, (arrays, _) in found.items()}
    facts = {split: _facts(*pair) for split, pair in found.items()}
    for split in SPLITS[1:]:
        ours, theirs = facts["train"], facts[split]
        differing = [key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key)]
        if differing:
            what, name = differing[0]
            where = f"{arrays['train'][name]}; {arrays[split][name]}"
            expected, received = (x.get(differing[0], "missing") for x in (ours, theirs))
            raise unlike(f"the splits 'train' and '{split}' disagree: {what}", where, expected, received)
    train = found["train"][1]
    if config.drop_ambiguous and train.promoter != "bases":
        what, where = "genes with N need bases, and there are none", f"dataset.drop_ambiguous; {root}"
        raise wrong(what, where, "bases", chosen.layout, "leave it out")
    genes = {split: described.genes[split] for split, (_, described) in found.items()}
    warnings = _oddities(chosen, sets, arrays)
    if folds:
        genes, left_out = check_fold(folds, config.fold, _all_names(arrays))
        warnings += [left_out] if left_out else []
    description = train.model_copy(update={"source": str(root), "genes": genes})
    return Source(description, config, arrays, tuple(warnings), folds=folds)


def _all_names(arrays: Mapping[str, _Arrays]) -> dict[str, np.ndarray]:
    """Return the gene names of each file; raise a UserError if a file has none."""
    nameless = next((mine[LABEL] for mine in arrays.values() if GENE not in mine), None)
    if nameless:
        what, hint = "a table of folds needs gene names, and a file has none", "leave dataset.folds out"
        raise wrong(what, nameless.path, " or ".join(keys()[GENE]), None, hint)
    return {split: read_names(mine[GENE]) for split, mine in arrays.items()}


def _oddities(chosen: FoundSet, sets: list[FoundSet], arrays: Mapping[str, _Arrays]) -> list[str]:
    """Return a sentence for a layout that is there twice, and one for missing gene names."""
    sentences = []
    same = [str(other) for other in sets if other.layout == chosen.layout and other is not chosen]
    if same:
        sentences.append(f"Besides {chosen} the folder has another {chosen.layout} set, which is not used: {same[0]}.")
    nameless = [split for split in arrays if GENE not in arrays[split]]
    if nameless:
        sentences.append(
            f"The {chosen.layout} set has no gene names in {', '.join(nameless)}: genes are called {nameless[0]}_0, "
            f"{nameless[0]}_1 ..., and genes that are in two splits cannot be found."
        )
    return sentences


def _look_at(found: FoundSet, split: str, config: DatasetConfig) -> tuple[_Arrays, DatasetDescription]:
    """Return where the arrays of one split lie, which must agree with each other, and what it says of itself."""
    contents = look_into(found.files[split])
    arrays = {name: array for name, known in keys().items() if (array := contents.find(known))}
    for name, known in keys().items():
        promised = name == LABEL or (name in found.blocks and not (name == PROMOTER and found.tokens))
        if promised and name not in arrays:
            what = f"a file has no key for the {'labels' if name == LABEL else f'block {named(name)}'}"
            raise contents.lacking(what, known, "add it to the file, or choose another dataset.layout")
    attributes = _attributes(contents)
    if found.tokens is not None:
        if PROMOTER in arrays:
            arrays[ONE_HOT] = arrays[PROMOTER]
        tokens = look_into(found.tokens).find(layouts.SPLIT_NAMES[split])
        if tokens is not None:  # as it was when the set was recognised
            arrays[PROMOTER] = tokens
    _check_arrays(arrays)
    widths = {block: arrays[block].shape[1] for block in feature_blocks() if block in arrays}
    facts: dict[str, Any] = {"widths": widths}
    if PROMOTER in arrays:
        stated = found.tokens is None and str(attributes["promoter"]) == "embedded"
        kind = _promoter_kind(arrays[PROMOTER], embedded=stated or LAYOUTS[found.layout].embedded)
        _, length, *depth = arrays[PROMOTER].shape
        facts |= {"promoter": kind, "promoter_length": length, "embed_dim": depth[0] if kind == "embedded" else None}
    try:
        description = DatasetDescription(
            source=str(contents.path),
            layout=found.layout,
            genes={split: arrays[LABEL].shape[0]},
            feature_names=_feature_names(arrays, widths, json.loads(attributes["feature_names"])),
            fold=config.fold,
            made_from=attributes["source"],
            scaling=json.loads(attributes["scaling"]),
            labels=names_of(arrays[LABEL], attributes[layouts.NAMES]),
            unit=attributes[layouts.UNIT],
            embedding=attributes[layouts.EMBEDDING] if facts.get("promoter") == "embedded" else None,
            **facts,
        )
        without = str(attributes["tss"]) == layouts.NO_TSS
        stored = None if without or attributes["tss"] is None else int(attributes["tss"])
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise damaged("the attributes of a file are damaged", contents.path, error) from error
    return arrays, description.model_copy(update={"tss": _tss_index(description, stored, config.tss, without)})


def _attributes(contents: Contents) -> dict[str, Any]:
    """Return the root attributes that genexp writes; None, or its JSON, for those that are not there."""
    if not np.array_equal(contents.attributes.get(layouts.MARK, layouts.VERSION), layouts.VERSION):
        what, where = "a file has a newer layout than this genexp knows", f"{contents.path}, attribute '{layouts.MARK}'"
        raise wrong(what, where, layouts.VERSION, contents.attributes[layouts.MARK], "update genexp")
    absent = {"promoter": None, "tss": None, "source": None, "feature_names": "{}", "scaling": "null"}
    found = {**absent, **dict.fromkeys((*layouts.OF_LABELS, layouts.EMBEDDING)), **contents.attributes}
    if layouts.MARK not in found:  # another program may use the same names for something else
        found |= {name: absent[name] for name in layouts.OF_COLUMNS if not _is_group(found[name])}
    return found


def _is_group(text: Any) -> bool:
    """Tell whether an attribute is a JSON object."""
    try:
        return isinstance(json.loads(text), dict)
    except (TypeError, ValueError):
        return False


def _check_arrays(arrays: _Arrays) -> None:
    """Check ranks, types and row counts of all arrays but the promoter's rank, which `_promoter_kind` checks."""
    for name, array in arrays.items():
        shape = array.shape
        right, expected = len(shape) == 2 and shape[1] > 0, "(genes, features)"
        if name == GENE:
            right, expected = len(shape) > 0 and shape[1:] in ((), (1,)), "(genes,)"
        elif name == LABEL:
            right, expected = right or len(shape) == 1, "(genes,) or (genes, labels)"
        if name not in (PROMOTER, ONE_HOT) and not right:
            raise wrong("an array has the wrong shape", array, expected, shape, "write it with that shape")
        if name != GENE and array.kind not in [*"biuf"]:
            received = {"": "a group", "S": "text", "U": "text", "O": "text"}.get(array.kind, f"kind {array.kind}")
            raise wrong("an array holds no numbers", array, "numbers", received, "write it as numbers")
    labels = arrays[LABEL]
    genes = labels.shape[0]
    for array in arrays.values():
        rows = array.shape[0] if array.shape else 0
        if rows != genes:
            what = "two arrays of a split disagree about the number of genes"
            raise unlike(what, f"{array}; {labels}", f"{genes:,} rows, one for each label", f"{rows:,} rows")
    if genes == 0:
        raise wrong("a split has no genes", labels.path, None, None, "write at least two genes into it")


def _promoter_kind(array: StoredArray, *, embedded: bool) -> str:
    """Return ``"bases"`` or ``"embedded"``, whichever the shape and type allow."""
    shape, turned = array.shape, array.shape[1:2] == (4,) and len(array.shape) == 3
    if 0 not in shape and not embedded and (len(shape) == 2 or (len(shape) == 3 and shape[2] == 4)):
        return "bases"
    if 0 not in shape and len(shape) == 3 and array.kind == "f" and (embedded or not turned):
        return "embedded"
    bases = "" if embedded else "(genes, length, 4) one-hot bases, (genes, length) tokens or "
    hint = "exchange the last two axes: the channels ACGT come last" if turned else "write them with that shape"
    received = f"{shape} {({'b': 'bool', 'f': 'float'}).get(array.kind, 'integer')}"
    expected = f"{bases}(genes, chunks, dimension) float vectors"
    raise wrong("the promoters have the wrong shape", array, expected, received, hint)


def _feature_names(arrays: _Arrays, widths: Mapping[str, int], given: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return the column names that the file brings, else those of a block of exactly that many known columns."""
    names = {}
    for block, width in widths.items():
        names[block] = tuple(given.get(block, BLOCKS[block].features))
        if block in given and len(names[block]) != width:
            what, expected = f"a file names {len(names[block])} columns of block {block}", f"{width} names"
            raise wrong(what, arrays[block], expected, None, "write the file again with genexp prepare")
    return {block: columns for block, columns in names.items() if len(columns) == widths[block]}


def _tss_index(found: DatasetDescription, stored: int | None, given: int | None, without: bool) -> int | None:
    """Return the TSS index: the file's own, else the one given, else the middle of the promoter (Xpresso's layout).

    It is None for sequences `without` a TSS, unless one is given.
    """
    where, leave_out = "dataset.tss", "leave dataset.tss out"
    if found.promoter != "bases" or found.promoter_length is None:
        if given is not None:
            raise wrong("a TSS index needs bases, and there are none", where, None, given, leave_out)
        return None
    if None not in (stored, given) and stored != given:
        where = f"{where}; {found.source}, attribute 'tss'"
        raise wrong("the TSS index given is not the one that the files bring", where, stored, given, leave_out)
    if without and given is None:
        return None
    tss = next((index for index in (given, stored) if index is not None), found.promoter_length // 2)
    if not 0 <= tss <= found.promoter_length:
        what, expected = "the TSS index lies outside the promoter", f"0 to {found.promoter_length:,}"
        raise wrong(what, f"{where}; {found.source}", expected, tss, leave_out)
    return tss


def _facts(arrays: _Arrays, found: DatasetDescription) -> dict[tuple[str, str], object]:
    """Return what every split must have in common; with the name of each fact goes the array that it is about."""
    facts: dict[tuple[str, str], object] = {
        (f"block {named(block)}", LABEL): "present" if block in arrays else "missing" for block in BLOCKS
    }
    # One-hot and token promoters of one length are the same.
    shape = (found.promoter, found.promoter_length, found.embed_dim)
    facts["promoters", PROMOTER] = " x ".join(str(part) for part in shape if part is not None)
    facts["TSS index", LABEL] = found.tss
    facts["number of labels", LABEL] = len(found.labels)
    facts |= {(f"label {number}", LABEL): name for number, name in enumerate(found.labels, 1)}
    if found.unit is not None:
        facts["unit of the labels", LABEL] = found.unit
    for block, width in found.widths.items():
        facts[f"number of {BLOCKS[block].input} columns", block] = width
        for i, name in enumerate(found.feature_names.get(block, ())):
            facts[f"column {i} of {BLOCKS[block].input}", block] = name
    return facts
