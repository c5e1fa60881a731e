"""``genexp predict``: the expression of other sequences, by the model of a run."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from genexp import console
from genexp.api import predicting
from genexp.api.ensembles import Ensemble, open_runs
from genexp.api.runs import Run
from genexp.api.training import relative
from genexp.config.compose import Composed
from genexp.schema import Checkpoint, PathText, UsedRuns
from genexp.training.config import HardwareConfig

ORDER = 25

EXAMPLES = (
    ("genexp predict run_dir=DIR fasta=promoters.fa out=p.tsv", "sequences through a run on data=P"),
    ("genexp predict run_dir=DIR table=seqs.csv features=halflife.csv out=p.tsv", "and raw features, joined by id"),
    ("genexp predict run_dir=DIR fasta=genome.fa gtf=genes.gtf features=mean out=p.parquet", "all genes of a genome"),
    ("genexp predict run_dir=SWEEP fasta=promoters.fa out=p.tsv", "mean and sd of all runs of a sweep"),
    ("genexp predict run_dir=DIR dataset.root=OTHER out=p.tsv", "the genes of a dataset"),
    ("genexp predict run_dir=DIR features=tf.tsv scaled=true out=p.tsv", "features scaled as in the run's dataset"),
)


class Config(predicting.Request):
    """The whole config of ``genexp predict``."""

    run_dir: UsedRuns
    checkpoint: Checkpoint
    out: PathText = Field(description="table of predictions to write, .tsv or .parquet")
    hardware: HardwareConfig


def check(config: Config) -> Run | Ensemble:
    """Look at the run, or ensemble, at the files that it needs, and at the table to write."""
    found = open_runs(config.run_dir)
    predicting.check(found, config, config.checkpoint)
    return found


def run(composed: Composed[Config]) -> None:
    """Predict, and write a table."""
    from genexp.training.strategy import set_up_hardware

    config = composed.config
    plan = predicting.plan(check(config), config, config.checkpoint)
    set_up_hardware(config.hardware, verbose=composed.verbose)
    predicting.write(plan, composed.command)
    console.say(f"{len(plan.genes):,} predictions: {relative(Path(config.out))}")
