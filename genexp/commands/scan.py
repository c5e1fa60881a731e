"""``genexp scan``: predictions along a chromosome, on both strands, as tracks and a plot."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from genexp import console
from genexp.api import scanning
from genexp.api.ensembles import open_runs
from genexp.api.training import relative
from genexp.config.compose import Composed
from genexp.schema import Checkpoint, PathText, UsedRuns
from genexp.training.config import HardwareConfig

ORDER = 26

EXAMPLES = (
    ("genexp scan run_dir=DIR fasta=genome.fa region=chr7:27090000-27250000 out=hoxa", "a locus, every 100 nt"),
    (
        "genexp scan run_dir=SWEEP fasta=genome.fa region=II step=50 gtf=genes.gtf out=II",
        "a chromosome, by an ensemble",
    ),
    ("genexp scan run_dir=DIR fasta=genome.fa region=II features=mean out=II", "a run on PH: mean half-life features"),
)


class Config(scanning.Request):
    """The whole config of ``genexp scan``."""

    run_dir: UsedRuns
    checkpoint: Checkpoint
    out: PathText = Field(description="folder to write")
    hardware: HardwareConfig


def check(config: Config) -> scanning.Plan:
    """Look at the run, the files and the folder to write."""
    return scanning.check(open_runs(config.run_dir), config, config.checkpoint)


def run(composed: Composed[Config]) -> None:
    """Predict, and write tracks, table and plot."""
    from genexp.training.strategy import set_up_hardware

    plan = check(composed.config)
    set_up_hardware(composed.config.hardware, verbose=composed.verbose)
    scanning.scan(plan, composed.command)
    console.say(f"written to {relative(Path(composed.config.out))}")
