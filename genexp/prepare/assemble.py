"""From raw genes and rows of splits to the datasets that are written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from genexp.blocks import BLOCKS, PROMOTER
from genexp.dataset.description import DatasetDescription
from genexp.dataset.genes import Dataset, Split
from genexp.errors import UserError
from genexp.prepare import recipe, splits
from genexp.prepare.bases import Bases
from genexp.prepare.config import Config
from genexp.prepare.genes import RawGenes
from genexp.prepare.ledger import Ledger
from genexp.prepare.opening import few
from genexp.prepare.planning import Plan

#: Absolute correlation with a label above which a feature is reported.
ALIKE = 0.99
#: Sums of products below this are of columns that do not vary; columns in memory at a time.
CONSTANT, _COLUMNS = 1e-9, 64

#: Letter of each block by the name of its input.
LETTERS = {block.input: letter for letter, block in BLOCKS.items()}


@dataclass(frozen=True)
class Scaled:
    """A dataset to be written, how it was scaled, and the directions of an SVD with the names of their columns."""

    dataset: Dataset
    scaling: dict[str, Any]
    svd: tuple[np.ndarray, np.ndarray] | None = None


def completed(plan: Plan, bases: Bases) -> Plan:
    """Return the genes with the half-life features that the bases complete."""
    return plan if bases.halflife is None else replace(plan, genes=replace(plan.genes, halflife=bases.halflife))


def scaled(config: Config, genes: RawGenes, bases: Bases, rows: splits.Rows, ledger: Ledger) -> Scaled:
    """Scale labels and features of one fold, and put everything together."""
    fit_on = rows["train"] if config.recipe == "honest" else np.arange(len(genes))
    scale = config.expression_scale
    label = recipe.log_label(genes.labels, scale, config.pseudocount)
    _check_varied(genes, label[fit_on])
    scalers = {"label": recipe.fit(label[fit_on])}
    blocks: dict[str, np.ndarray] = {}
    names: dict[str, tuple[str, ...]] = {}
    if bases.promoters is not None:
        blocks[PROMOTER] = bases.promoters
    if len(genes.halflife):
        logged, letter = recipe.log_halflife(genes.halflife, genes.halflife_logged), LETTERS["halflife"]
        scalers["halflife"] = recipe.fit(logged[fit_on])
        blocks[letter], names[letter] = scalers["halflife"].apply(logged), genes.halflife_names
    svd = None
    for block in genes.targets:
        blocks[block], names[block], directions = _targets(config, genes, block, fit_on, ledger)
        svd = svd if directions is None else directions
        if config.recipe == "honest" and blocks[block].dtype != np.uint8:
            scalers[block] = recipe.fit(blocks[block][fit_on])
            blocks[block] = scalers[block].apply(blocks[block])
            ledger.rule(f"scale of {block}", "real values: standardised with mean and sd of the training genes")
    labels = scalers["label"].apply(label)
    _warn_of_labels(genes, labels, blocks, names, ledger)
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
        labels=genes.label_names,
        unit=recipe.unit_text(genes.unit, None if scale == "as_is" else scale, config.pseudocount),
    )
    record = recipe.scaling_record(
        config.recipe,
        scale,
        scalers["label"],
        scalers.get("halflife"),
        pseudocount=config.pseudocount,
        labels=genes.label_names,
        features=genes.halflife_names,
        logged=genes.halflife_logged,
        targets={BLOCKS[block].input: (scalers[block], names[block]) for block in genes.targets if block in scalers},
    )
    return Scaled(Dataset(description, parts), record, svd)


def _warn_of_labels(
    genes: RawGenes,
    labels: np.ndarray,
    blocks: Mapping[str, np.ndarray],
    names: Mapping[str, tuple[str, ...]],
    ledger: Ledger,
) -> None:
    """Warn of features that are a label under another name, or follow from it alone."""
    for name, column in zip(genes.label_names, labels.T, strict=True):
        known = ~np.isnan(column)
        y = column[known] - column[known].mean()
        for block, columns in names.items():
            found = few([columns[n] for n in _like(y, blocks[block], known)], 4)
            if found:
                sentence = (
                    f"{found} of block {block}: correlation above {ALIKE} with the label {name}; is it the label?"
                )
                ledger.rule(f"features like {name}", sentence, report=ledger.warn)


def _like(label: np.ndarray, values: np.ndarray, known: np.ndarray) -> list[int]:
    """Return the columns of values whose correlation with a label, known and centred, is above `ALIKE`."""
    found: list[int] = []
    for first in range(0, values.shape[1], _COLUMNS):
        x = values[known, first : first + _COLUMNS].astype(np.float64)
        x -= x.mean(axis=0)
        size = np.sqrt((x * x).sum(axis=0) * (label @ label))
        found += (first + np.flatnonzero((size > CONSTANT) & (np.abs(label @ x) > ALIKE * size))).tolist()
    return found


def _check_varied(genes: RawGenes, label: np.ndarray) -> None:
    """Raise a UserError if all genes that a scaling is fitted on have the same value of a label, (n, labels)."""
    for name, values in zip(genes.label_names, label.T, strict=True):
        known = values[~np.isnan(values)]
        if (known == known[:1]).all():
            what, received = f"all genes have the same {name}", f"{known[0]:g} for all {len(known):,} genes"
            hint = "check the table, or name other columns"
            raise UserError(f"{what}: there is nothing to learn", where=name, received=received, hint=hint)


def _targets(
    config: Config, genes: RawGenes, block: str, fit_on: np.ndarray, ledger: Ledger
) -> tuple[np.ndarray, tuple[str, ...], tuple[np.ndarray, np.ndarray] | None]:
    """Return the values and names of a block of targets, and with an SVD what it is made of."""
    targets = genes.targets[block]
    values, names, svd = targets.values, targets.names, None
    if config.svd and block == LETTERS["mirna"]:
        values, directions = _reduced(values, fit_on, config.svd, ledger)
        names = tuple(f"SVD{n}" for n in range(1, len(directions) + 1))
        svd = directions, np.array(targets.names)
    return values, names, svd


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
