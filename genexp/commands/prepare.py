"""``genexp prepare``: raw files (FASTA, GTF, tables) to a dataset, for any organism."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from genexp import console
from genexp import prepare as library
from genexp.api.training import TRAIN, folder_dataset
from genexp.api.training import check as check_run
from genexp.blocks import PROMOTER
from genexp.config.compose import Composed, compose_words
from genexp.config.words import quoted
from genexp.dataset.sources import inspect
from genexp.errors import UserError
from genexp.prepare import Config

ORDER = 30

#: Models to begin with, as they are chosen: the default, and those for promoters that are too short for it.
MODELS = ((), ("model=legnet",), ("model=legnet", "model.pools=[1,1,1]"))
#: The best model in docs/benchmark.md where promoters around a TSS were measured, all of fewer genes than this.
SMALL, FEW_GENES = ("model=kmer_net",), 8000

SHORT_FORMS = library.SHORT_FORMS

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
    (
        "genexp prepare source=sequences table=mpra.csv split.by=similarity out=datasets/mpra",
        "sequences with labels, as of a reporter assay",
    ),
)

check = library.check


def run(composed: Composed[Config]) -> None:
    """Make the dataset, and print what is done."""
    started = time.monotonic()
    with _bar() as progress:
        out = library.prepare(
            composed.config, note=console.say, warn=console.warn, progress=progress, command=composed.command
        )
    console.say(f"done in {console.duration(time.monotonic() - started)}: {out}")
    console.say(f"train on it with: {training_command(out, composed.config.split.folds is not None)}")


def training_command(out: Path, folds: bool) -> str:
    """Return a command that trains on the dataset, ready to be pasted into a shell.

    It has `SMALL` for promoters of few genes, else the first of `MODELS` that can read them.
    """
    settings = {"root": str(out)} | ({"fold": 1} if folds else {})
    described = inspect(folder_dataset(**settings), "").description
    blocks, few = described.blocks, described.tss is not None and described.genes["train"] < FEW_GENES
    root = str(out) if re.fullmatch(r"[\w./-]+", str(out), re.ASCII) else quoted(out)
    words = [f"data={blocks}", f"dataset.root={root}", *(["dataset.fold=1"] if folds else [])]
    models = ((SMALL, *MODELS) if few else MODELS) if PROMOTER in blocks else (("model=fc_net",),)
    for model in models:
        whole = [*words[:1], *model, *words[1:]]
        with suppress(UserError):  # sequences that are too short for its pools
            check_run(compose_words(TRAIN, whole).config.run())
            break
    return shlex.join(["genexp", "train", *whole])


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
