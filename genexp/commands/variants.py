"""``genexp variants``: what variants near genes do to their predicted expression."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from genexp import console
from genexp.api import variant_carriers, variant_effects
from genexp.api.ensembles import open_runs
from genexp.api.training import relative
from genexp.config.compose import Composed
from genexp.schema import Checkpoint, PathText, UsedRuns
from genexp.training.config import HardwareConfig

ORDER = 27

EXAMPLES = (
    ("genexp variants run_dir=SWEEP vcf=v.vcf.gz fasta=genome.fa gtf=genes.gtf out=v.tsv", "by an ensemble, with sd"),
    ("genexp variants run_dir=DIR vcf=v.tsv fasta=g.fa gtf=g.gtf features=h.csv out=v.tsv", "a table, a run on PH"),
    (
        "genexp variants run_dir=DIR vcf=phased.bcf fasta=g.fa gtf=g.gtf haplotypes=true out=v.parquet",
        "what each sample carries near a gene, together",
    ),
)


class Config(variant_carriers.Request):
    """The whole config of ``genexp variants``."""

    run_dir: UsedRuns
    checkpoint: Checkpoint
    out: PathText = Field(description="table to write: .tsv or .parquet; or the VCF again: .vcf or .vcf.gz")
    hardware: HardwareConfig


def check(config: Config) -> variant_carriers.Plan:
    """Look at the run and the table to write, and read all files."""
    variant_effects.check_out(Path(config.out), config)
    return variant_carriers.check(open_runs(config.run_dir), config, config.checkpoint)


def run(composed: Composed[Config]) -> None:
    """Predict both alleles, and write a table."""
    from genexp.training.strategy import set_up_hardware

    plan, out = check(composed.config), Path(composed.config.out)
    set_up_hardware(composed.config.hardware, verbose=composed.verbose)
    variant_effects.write(plan, out, composed.command)
    console.say(f"written to {relative(out)}")
