"""Raw files (FASTA, GTF, tables) to a dataset folder, for any organism: ``genexp.prepare.prepare(config)``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from genexp.prepare.config import AbsentConfig, Config, GenesConfig, SplitConfig, check
from genexp.prepare.ledger import Note, Progress, ignore

if TYPE_CHECKING:
    from genexp.prepare.assemble import Plan, Scaled
    from genexp.prepare.gather import Bases
    from genexp.prepare.ledger import Ledger

__all__ = ["AbsentConfig", "Config", "GenesConfig", "SplitConfig", "check", "prepare"]


def prepare(
    config: Config,
    *,
    note: Note = ignore,
    warn: Note = ignore,
    progress: Progress | None = None,
    command: str = "genexp.prepare.prepare(...)",
) -> Path:
    """Read, split, scale and write; the folder appears whole at the end, or not at all.

    Parameters
    ----------
    config
        What ``genexp prepare`` takes on the command line.
    note, warn
        Take one line each: the genes left after each step, and what looks wrong.
    progress
        Takes the number of promoters read, and of all.
    command
        What dataset.yaml says that the dataset was made by.

    Returns
    -------
    Path
        The folder: HDF5 files, dataset.yaml (every rule, count and checksum), genes.tsv and dataset.png.

    Raises
    ------
    UserError
        If a key or a file is wrong, or the folder holds something already.
    """
    from genexp.files import whole_or_nothing
    from genexp.prepare import gather
    from genexp.prepare.assemble import plan
    from genexp.prepare.ledger import Ledger

    out, ledger = check(config), Ledger(note, warn, progress or ignore)
    planned = plan(config, gather.gather(config, ledger), ledger)
    with whole_or_nothing(out) as folder:
        folder.mkdir()
        _write(config, planned, gather.read_bases(config, planned.genes, ledger), ledger, folder, command)
    return out


def _write(config: Config, planned: Plan, bases: Bases, ledger: Ledger, folder: Path, command: str) -> None:
    """Write every file of the dataset."""
    from genexp.prepare import card

    folds = [_write_fold(config, planned, bases, ledger, folder, n) for n in range(1, len(planned.folds) + 1)]
    card.write_genes(folder, planned, bases, folds=bool(config.split.folds))
    card.write_card(folder, config, planned, bases, folds, ledger, command)


def _write_fold(config: Config, planned: Plan, bases: Bases, ledger: Ledger, folder: Path, number: int) -> Scaled:
    """Write the files of one fold, and with the first the picture; return all but its genes, which are large."""
    from dataclasses import replace

    import numpy as np

    from genexp.dataset.writer import write_dataset
    from genexp.prepare import picture
    from genexp.prepare.assemble import scaled
    from genexp.prepare.config import input_files

    source = f"genexp prepare source={config.source}: " + ", ".join(Path(p).name for p in input_files(config).values())
    rows = planned.folds[number - 1]
    found = scaled(config, planned.genes, bases, rows, ledger)
    fold = number if config.split.folds else None
    write_dataset(folder, found.dataset, source=source, scaling=found.scaling, fold=fold)
    if found.svd is not None:
        directions, names = found.svd
        np.savez_compressed(folder / f"{fold or ''}svd.npz", directions=directions, names=names)
    if number == 1:
        picture.draw_dataset(folder / "dataset.png", source, found.dataset, planned, bases, ledger)
    ledger.note(f"written: {f'fold {number}, ' if fold else ''}" + " / ".join(f"{len(r):,}" for r in rows.values()))
    return replace(found, dataset=replace(found.dataset, splits={}), svd=None)
