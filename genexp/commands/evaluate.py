"""``genexp evaluate``: metrics, predictions and plots again from a finished run."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from genexp import console
from genexp.api import evaluation
from genexp.api.ensembles import Ensemble, open_runs
from genexp.api.training import relative
from genexp.config.compose import Composed
from genexp.dataset.config import OtherDataset
from genexp.errors import UserError
from genexp.evaluation.figure_formats import Formats
from genexp.schema import Checkpoint, PathText, Schema, UsedRuns
from genexp.training.config import HardwareConfig

ORDER = 20

EXAMPLES = (
    ("genexp evaluate run_dir=DIR", "the run's own metrics again"),
    ("genexp evaluate run_dir=DIR checkpoint=last split=test", "the last epoch instead of the best"),
    ("genexp evaluate run_dir=DIR dataset.root=OTHER out=results", "the same model on another dataset"),
    ("genexp evaluate run_dir=SWEEP", "all runs of a sweep as one ensemble, whose predictions are averaged"),
)


class Config(Schema):
    """The whole config of ``genexp evaluate``."""

    run_dir: UsedRuns
    checkpoint: Checkpoint
    split: Literal["all", "train", "valid", "test"] | None = Field(description="genes; null: validation and test")
    out: PathText | None = Field(description="folder for the results; null: inside the run directory")
    plots: Formats = Field(description="file formats of the plots: png, pdf, svg; one or a list; []: no plots")
    dataset: OtherDataset
    hardware: HardwareConfig


def check(config: Config) -> tuple[list[evaluation.Plan], Ensemble | None, Path]:
    """Look at the run, or the members of an ensemble, the dataset, and the folder for the results."""
    found, changes = open_runs(config.run_dir), config.dataset.model_dump(exclude_none=True)
    plans = found.check(checkpoint=config.checkpoint, split=config.split, dataset=changes)
    if len(config.run_dir) > 1 and config.out is None:
        raise UserError("the results of several runs need a folder", where="out", hint="add out=DIR")
    out = evaluation.results_folder(found.named, config.checkpoint, config.split, config.dataset.root, config.out)
    return plans, found if isinstance(found, Ensemble) else None, out


def run(composed: Composed[Config]) -> None:
    """Evaluate and write the results."""
    from genexp.training.strategy import set_up_hardware

    plans, ensemble, out = check(composed.config)
    set_up_hardware(composed.config.hardware, verbose=composed.verbose)
    if ensemble:
        ensemble.evaluated(plans, out, composed.config.plots)
    else:
        evaluation.evaluate(plans[0], out, composed.config.plots)
    console.say(f"written to {relative(out)}")
