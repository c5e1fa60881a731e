"""``genexp explain``: what a model has learned, from bases, motifs and features."""

from __future__ import annotations

from pydantic import Field

from genexp import console
from genexp.api import explaining
from genexp.api.ensembles import open_runs
from genexp.api.training import relative
from genexp.config.compose import Composed
from genexp.explain.config import Settings
from genexp.schema import PathText, UsedRuns
from genexp.training.config import HardwareConfig

ORDER = 27

EXAMPLES = (
    ("genexp explain run_dir=DIR", "all that the blocks of the run allow, for 20 test genes"),
    ("genexp explain run_dir=SWEEP methods=[mutagenesis] 'region=[-500,500]'", "the mean over an ensemble"),
    ("genexp explain run_dir=DIR genes=[BRCA1,TP53] motifs=jaspar.meme", "genes by name, and inserted motifs"),
    ("genexp explain run_dir=DIR methods=[gradients] most=1000 modisco=true", "motifs by TF-MoDISco"),
)


class Config(Settings):
    """The whole config of ``genexp explain``."""

    run_dir: UsedRuns
    out: PathText | None = Field(description="folder for the results; null: RUN_DIR/explain")
    hardware: HardwareConfig


def check(config: Config) -> explaining.Plan:
    """Look at the run, or ensemble, the dataset, the motifs, and the folder for the results."""
    found = open_runs(config.run_dir)
    return explaining.check(found, config, explaining.results_folder(found, config.out))


def run(composed: Composed[Config]) -> None:
    """Explain, and write the results."""
    from genexp.training.strategy import set_up_hardware

    plan = check(composed.config)
    set_up_hardware(composed.config.hardware, verbose=composed.verbose)
    explaining.explain(plan, composed.command)
    if plan.out:
        console.say(f"written to {relative(plan.out)}")
