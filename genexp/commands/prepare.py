"""``genexp prepare``: from raw files to a dataset, for any organism."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from genexp import console
from genexp import prepare as library
from genexp.prepare import Config
from genexp.run.directory import exact_command

__all__ = ["EXAMPLES", "SUMMARY", "Config", "check", "run"]

SUMMARY = "raw files (FASTA, GTF, tables) or Xpresso's table to a dataset, for any organism"

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


def check(config: Config) -> Config:
    """Check everything that can be checked without reading: the files, the keys together, the folder to write."""
    library.check(config)
    return config


def prepare(config: Config, *, verbose: bool = False) -> Config:
    """Check before a run directory or a process is started."""
    return check(config)


def run(config: Config, directory: Path | None = None) -> None:
    """Make the dataset, and print what is done."""
    started = time.monotonic()
    with _bar() as progress:
        out = library.prepare(config, note=console.say, warn=console.warn, progress=progress, command=exact_command())
    console.say(f"done in {console.duration(time.monotonic() - started)}: {out}")
    console.say(f"train on it with: genexp train dataset=files dataset.root={out}")


@contextmanager
def _bar() -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar from the first promoter to the last."""
    with ExitStack() as stack:
        bars: list[Callable[[int], None]] = []

        def progress(done: int, total: int) -> None:
            if not bars:
                bars.append(stack.enter_context(console.progress("reading promoters", total, "genes")))
            bars[0](done)
            if done >= total:
                stack.close()

        yield progress
