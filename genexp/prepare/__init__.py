"""Raw files (FASTA, GTF, tables) to a dataset folder, for any organism: ``genexp.prepare.prepare(config)``."""

from __future__ import annotations

from pathlib import Path

from genexp.prepare.config import SHORT_FORMS, AbsentConfig, Config, GenesConfig, SplitConfig, check
from genexp.prepare.ledger import Ledger, Note, Progress, ignore

__all__ = ["SHORT_FORMS", "AbsentConfig", "Config", "GenesConfig", "SplitConfig", "check", "prepare"]


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
    from genexp.prepare import card, gather, source
    from genexp.prepare.planning import plan

    out, ledger = check(config), Ledger(note, warn, progress or ignore)
    genes, reader = gather.gather(config, ledger), source.load(config.source)
    # Bases are read in the order in which they are written, unless the split depends on them.
    first = reader.read_bases(config, genes, ledger) if config.split.by == "similarity" else None
    sequences = first.promoters if first else genes.promoters if config.source == "sequences" else None
    planned = plan(config, genes, sequences, ledger)
    del genes  # whose promoters are large
    with whole_or_nothing(out) as folder:
        folder.mkdir()
        bases = first.take(planned.order) if first else reader.read_bases(config, planned.genes, ledger)
        card.write(folder, config, planned, bases, ledger, command)
    return out
