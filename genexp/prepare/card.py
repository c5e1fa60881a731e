"""Writing a dataset: HDF5 files, dataset.yaml, genes.tsv and the picture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import OmegaConf

from genexp.blocks import PROMOTER
from genexp.dataset.description import DatasetDescription
from genexp.dataset.genes import SPLITS
from genexp.dataset.writer import write_dataset
from genexp.features.tokens import ALPHABET, rows_with_n
from genexp.files import write_atomically
from genexp.prepare import picture
from genexp.prepare.assemble import completed, scaled
from genexp.prepare.bases import Bases
from genexp.prepare.config import Config, input_files
from genexp.prepare.genes import RawGenes
from genexp.prepare.ledger import Ledger
from genexp.prepare.left_out import by_reason
from genexp.prepare.opening import checksum
from genexp.prepare.planning import Plan
from genexp.version import __version__

_HEAD = "# A dataset written by genexp prepare. Train on it with: genexp train dataset=files dataset.root=THIS_FOLDER\n"

#: The description and scaling of a fold.
_Written = tuple[DatasetDescription, dict[str, Any]]


def write(folder: Path, config: Config, plan: Plan, bases: Bases, ledger: Ledger, command: str) -> None:
    """Write every file of a dataset to an empty folder."""
    plan = completed(plan, bases)
    written = [_write_fold(folder, config, plan, bases, ledger, number) for number in range(1, len(plan.folds) + 1)]
    write_genes(folder, plan, folds=bool(config.split.folds))
    if ledger.left_out:
        rows = ["gene\treason\twhere", *(f"{g.gene}\t{g.reason.value}\t{g.where}" for g in ledger.left_out)]
        write_atomically(folder / "left_out.tsv", "\n".join(rows) + "\n")
    write_card(folder, config, plan, bases, written, ledger, command)


def _write_fold(folder: Path, config: Config, plan: Plan, bases: Bases, ledger: Ledger, number: int) -> _Written:
    """Write the files of one fold, and with the first the picture."""
    source = f"genexp prepare source={config.source}: " + ", ".join(Path(p).name for p in input_files(config).values())
    rows = plan.folds[number - 1]
    found = scaled(config, plan.genes, bases, rows, ledger)
    fold = number if config.split.folds else None
    write_dataset(folder, found.dataset, source=source, scaling=found.scaling, fold=fold)
    if found.svd is not None:
        directions, names = found.svd
        np.savez_compressed(folder / f"{fold or ''}svd.npz", directions=directions, names=names)
    if number == 1:
        picture.draw_dataset(folder / "dataset.png", source, found.dataset, plan, bases, ledger)
    ledger.note(f"written: {f'fold {number}, ' if fold else ''}" + " / ".join(f"{len(r):,}" for r in rows.values()))
    return found.dataset.description, found.scaling


def write_card(
    folder: Path, config: Config, plan: Plan, bases: Bases, written: Sequence[_Written], ledger: Ledger, command: str
) -> None:
    """Write dataset.yaml: sources with checksums, the rule for every choice, counts at every join, statistics."""
    sizes = [{name: len(rows[name]) for name in SPLITS} for rows in plan.folds]
    made = {"by": f"genexp {__version__}", "at": datetime.now(UTC).isoformat(timespec="seconds"), "command": command}
    content: dict[str, Any] = {
        "made": made,
        "sources": {key: _source(Path(path).expanduser().resolve()) for key, path in input_files(config).items()},
        "genes": ledger.steps,
        "left_out": {reason.value: len(found) for reason, found in by_reason(ledger.left_out).items()},
        "rules": ledger.rules,
        "splits": [{"fold": n} | size for n, size in enumerate(sizes, 1)] if config.split.folds else sizes,
        "blocks": _blocks(written[0][0]),
        "statistics": _statistics(plan.genes, bases),
        "scaling": [scaling for _, scaling in written],
        "config": config.model_dump(),
    }
    write_atomically(folder / "dataset.yaml", _HEAD + OmegaConf.to_yaml(OmegaConf.create(content)))


def _source(path: Path) -> dict[str, Any]:
    return {"path": str(path), "bytes": path.stat().st_size, "sha256": checksum(path)}


def _blocks(description: DatasetDescription) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if description.promoter is not None:
        found[PROMOTER] = {"length": description.promoter_length, "tss": description.tss}
    for block, width in description.widths.items():
        names = description.feature_names[block]
        found[block] = {"width": width, "columns": list(names) if width <= 20 else [*names[:5], "...", names[-1]]}
    return found


def _statistics(genes: RawGenes, bases: Bases) -> dict[str, Any]:
    found: dict[str, Any] = {n: summary(v) for n, v in zip(genes.label_names, genes.labels.T, strict=True)}
    if len(genes.halflife):
        found["halflife"] = {n: summary(v) for n, v in zip(genes.halflife_names, genes.halflife.T, strict=True)}
    if bases.promoters is not None:
        counts = bases.composition.sum(axis=0)
        parts = {base: round(float(count / counts.sum()), 6) for base, count in zip(ALPHABET, counts, strict=True)}
        found["promoter"] = {"bases": parts, "genes_with_n": int(rows_with_n(bases.promoters).sum())}
    for block, targets in genes.targets.items():
        if targets.values.dtype == np.uint8:
            per_gene = targets.values.sum(axis=1)
            found[block] = {"targets_per_gene": summary(per_gene), "zeros_only": int((per_gene == 0).sum())}
    return found


def summary(values: np.ndarray) -> dict[str, float]:
    """Return minimum, median, mean, maximum and standard deviation, to six digits, and how many are missing, if any."""
    if missing := int(np.isnan(values).sum()):
        return summary(values[~np.isnan(values)]) | {"missing": missing}
    found = {"min": values.min(), "median": np.median(values), "mean": values.mean(), "max": values.max()}
    return {name: float(f"{value:.6g}") for name, value in (found | {"sd": values.std()}).items()}


def write_genes(folder: Path, plan: Plan, *, folds: bool) -> None:
    """Write genes.tsv: every gene with its place, split and raw values."""
    genes = plan.genes
    columns: list[tuple[str, Iterable[Any]]] = [("gene", genes.names.ids)]
    columns += [(kind, genes.names.others[kind]) for kind in ("gene_name", "Name") if kind in genes.names.others]
    if genes.transcripts:
        columns += [("chromosome", genes.chromosome), ("strand", genes.strand), ("tss", genes.tss + 1)]
        columns += [("transcript", [t.name for t in genes.transcripts])]
    split = np.full(len(genes), "", dtype="U8")
    for number, mine in enumerate(plan.folds, 1):
        for name in SPLITS if not folds else ("test",):
            split[mine[name]] = str(number) if folds else name
    columns += [("fold" if folds else "split", split), *zip(genes.label_names, genes.labels.T, strict=True)]
    if len(genes.halflife):
        columns += zip(genes.halflife_names, genes.halflife.T, strict=True)
    rows = zip(*([_cell(value) for value in values] for _, values in columns), strict=True)
    lines = ("\t".join(row) + "\n" for row in ([name for name, _ in columns], *rows))
    write_atomically(folder / "genes.tsv", "".join(lines))


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "" if np.isnan(value) else f"{value:.10g}"
    return str(value)
