"""``genexp prepare``: from raw files to a dataset, for any organism."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from genexp import console
from genexp.config import PrepareConfig
from genexp.errors import UserError
from genexp.files import free_folder, whole_or_nothing
from genexp.run.directory import exact_command

if TYPE_CHECKING:
    from genexp.prepare.assemble import Plan, Scaled
    from genexp.prepare.gather import Bases
    from genexp.prepare.ledger import Ledger

ORDER = 30

EXAMPLES = (
    (
        "genexp prepare source=genome fasta=g.fa.gz gtf=g.gtf.gz expression=e.tsv out=datasets/mine",
        "promoters, half-life features and labels of any organism",
    ),
    (
        "genexp prepare source=genome fasta=g.fa.gz gtf=g.gtf.gz expression=e.tsv tf=tf.tsv split.by=chromosome "
        "'split.test=[VII,XV]' out=datasets/yeast",
        "and TFs; two chromosomes held out",
    ),
    (
        "genexp prepare source=xpresso_table table=T.txt.gz mask=mask.txt recipe=published out=datasets/xpresso",
        "the published dataset from the published table",
    ),
    (
        "genexp prepare source=tables expression=labels.tsv tf=tf.tsv.gz mirna=pairs.tsv.gz out=datasets/tm",
        "TFs and miRNAs only",
    ),
)

#: Keys of input files: what each source must have, and may have.
NEEDS = {"genome": ("fasta", "gtf", "expression"), "xpresso_table": ("table",), "tables": ("expression",)}
MAY_HAVE = {
    "genome": ("tss", "tf", "mirna", "mask", "split.file"),
    "xpresso_table": ("tf", "mirna", "mask", "split.file"),
    "tables": ("tf", "mirna", "mask", "split.file"),
}


@dataclass(frozen=True)
class Checked:
    """A preparation that can be started."""

    config: PrepareConfig
    out: Path
    command: str


def check(config: PrepareConfig) -> Checked:
    """Look at everything that needs no reading: the files, the keys together, the folder to write.

    Raises
    ------
    UserError
        If a file is missing, a key has no effect, or `out` holds something.
    """
    from genexp.prepare.card import FILE_KEYS, input_files
    from genexp.prepare.sources import existing

    given, source = input_files(config), config.source
    for key in NEEDS[source]:
        if key not in given:
            raise UserError(
                f"source={source} needs {key}",
                where=key,
                expected=" ".join(f"{name}=FILE" for name in NEEDS[source]),
                received=" ".join(f"{name}={path}" for name, path in given.items()) or "no files",
                do=f"add {key}=FILE",
            )
    for key in FILE_KEYS:
        if key in given and key not in NEEDS[source] + MAY_HAVE[source]:
            raise UserError(
                f"source={source} has no use for {key}",
                where=f"{key}={given[key]}",
                expected=f"of {', '.join(NEEDS[source] + MAY_HAVE[source])}",
                do=f"leave {key} out, or choose another source",
            )
    values: dict[Path, str] = {}  # a split, or a list of genes to mask, may well stand in one file with others
    for key, path in given.items():
        found = existing(path, key).resolve()
        other = values.setdefault(found, key) if key in ("expression", "tf", "mirna") else key
        if other != key:
            raise UserError(
                f"{other} and {key} name the same file",
                where=f"{other}, {key}",
                expected="a file for each",
                received=path,
                do=f"correct one of them, or leave {key} out",
            )
    _check_together(config)
    return Checked(config, free_folder(config.out), exact_command())


def _check_together(config: PrepareConfig) -> None:
    """Check what only several keys together can get wrong."""
    ask = config.split
    if ask.by in ("file", "group") and ask.file is None:
        raise UserError(f"split.by={ask.by} needs a file", where="split.file", do="add split.file=FILE")
    if ask.file is not None and ask.by == "random":
        raise UserError(
            "split.by=random has no use for a file", where="split.file", received=ask.file, do="set split.by"
        )
    sized = [key for key in ("valid", "test") if getattr(ask, key) is not None]
    if sized and (ask.by == "file" or (ask.folds and not (config.recipe == "published" and sized == ["valid"]))):
        raise UserError(
            f"split.{sized[0]} would have no effect",
            where=f"split.{sized[0]}",
            received=f"split.by={ask.by}, split.folds={ask.folds}",
            do="leave it out: the file, or the number of folds, says how many genes are held out",
        )
    if config.source == "genome" and config.upstream + config.downstream < 1:
        raise UserError(
            "the promoters would be empty", where="upstream, downstream", do="make one of them larger than 0"
        )
    if config.source == "tables" and not (config.tf or config.mirna):
        raise UserError(
            "there would be labels but nothing to predict them from", where="tf, mirna", do="give one of them"
        )
    if config.svd and not config.mirna:
        raise UserError("svd is of the block M, which is not there", where="svd", do="add mirna=FILE, or leave svd out")


def prepare(config: PrepareConfig, *, verbose: bool = False) -> Checked:
    """Check everything that can be told without reading."""
    return check(config)


def run(prepared: Checked, directory: Path | None = None) -> None:
    """Read, split, scale and write; the folder appears whole at the end, or not at all."""
    from genexp.prepare.assemble import plan
    from genexp.prepare.gather import gather, read_bases
    from genexp.prepare.ledger import Ledger

    config, started, ledger = prepared.config, time.monotonic(), Ledger()
    genes = gather(config, ledger)
    planned = plan(config, genes, ledger)
    with whole_or_nothing(prepared.out) as folder:
        folder.mkdir()
        bases = read_bases(config, planned.genes, ledger)
        write(prepared, planned, bases, ledger, folder)
    console.say(f"done in {console.duration(time.monotonic() - started)}: {prepared.out}")
    console.say(f"train on it with: genexp train dataset=files dataset.root={prepared.out}")


def write(prepared: Checked, planned: Plan, bases: Bases, ledger: Ledger, folder: Path) -> None:
    """Write every file of the dataset."""
    from genexp.prepare.card import write_card, write_genes

    folds = [
        write_fold(prepared.config, planned, bases, ledger, folder, number)
        for number in range(1, len(planned.folds) + 1)
    ]
    write_genes(folder, planned, bases, folds=bool(prepared.config.split.folds))
    write_card(folder, prepared.config, planned, bases, folds, ledger, prepared.command)


def write_fold(config: PrepareConfig, planned: Plan, bases: Bases, ledger: Ledger, folder: Path, number: int) -> Scaled:
    """Write the files of one fold, and with the first the picture; return all but its genes, which are large."""
    import numpy as np

    from genexp.dataset.writer import write_dataset
    from genexp.prepare.assemble import scaled
    from genexp.prepare.card import input_files
    from genexp.prepare.picture import draw_dataset

    source = f"genexp prepare source={config.source}: " + ", ".join(Path(p).name for p in input_files(config).values())
    rows = planned.folds[number - 1]
    found = scaled(config, planned.genes, bases, rows, ledger)
    fold = number if config.split.folds else None
    write_dataset(folder, found.dataset, source=source, scaling=found.scaling, fold=fold)
    if found.svd is not None:
        names = np.array(planned.genes.targets["M"].names)
        np.savez_compressed(folder / f"{fold or ''}svd.npz", directions=found.svd, names=names)
    if number == 1:
        draw_dataset(folder / "dataset.png", source, found.dataset, planned, bases, ledger)
    console.say(f"written: {f'fold {number}, ' if fold else ''}" + " / ".join(f"{len(r):,}" for r in rows.values()))
    return replace(found, dataset=replace(found.dataset, splits={}), svd=None)
