"""``genexp evaluate``: metrics, predictions and plots again from a finished run."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from genexp import console
from genexp.api import evaluation
from genexp.api.training import relative
from genexp.config.compose import Composed
from genexp.dataset.config import SharedGenes
from genexp.run import RunDirectory, find_run
from genexp.schema import Count, Index, PathText, Schema
from genexp.training.config import HardwareConfig

ORDER = 20

EXAMPLES = (
    ("genexp evaluate run_dir=DIR", "the run's own metrics again"),
    ("genexp evaluate run_dir=DIR checkpoint=last split=test", "the last epoch instead of the best"),
    ("genexp evaluate run_dir=DIR dataset.root=OTHER out=results", "the same model on another dataset"),
)


class OtherDataset(Schema):
    """What replaces the dataset settings of a run; null keeps them."""

    root: PathText | None = Field(description="folder of another dataset")
    layout: str | None = Field(description="name of its layout")
    fold: Count | None = Field(description="cross-validation fold")
    folds: PathText | None = Field(description="table of genes and folds")
    tss: Index | None = Field(description="index of the transcription start site in the promoter")
    drop_ambiguous: bool | None = Field(description="drop the genes with N in the window")
    stream: bool | None = Field(description="promoters in a memory-mapped file in place of memory")
    shared_genes: SharedGenes | None = Field(description="genes in two splits: error, drop or keep")


class Config(Schema):
    """The whole config of ``genexp evaluate``."""

    run_dir: PathText = Field(description="the run")
    checkpoint: Literal["best", "last"] = Field(description="lowest validation loss, or last epoch")
    split: Literal["all", "train", "valid", "test"] | None = Field(description="genes; null: validation and test")
    out: PathText | None = Field(description="folder for the results; null: inside the run directory")
    dataset: OtherDataset
    hardware: HardwareConfig


def check(config: Config) -> tuple[evaluation.Plan, RunDirectory]:
    """Look at the run, the dataset and the folder for the results."""
    run, changes = find_run(config.run_dir), config.dataset.model_dump(exclude_none=True)
    return evaluation.check(run, checkpoint=config.checkpoint, split=config.split, dataset=changes), run


def run(composed: Composed[Config]) -> None:
    """Evaluate and write the results."""
    from genexp.training.strategy import set_up_hardware

    config = composed.config
    plan, files = check(config)
    out = evaluation.results_folder(files, config.checkpoint, config.split, config.dataset.root, config.out)
    set_up_hardware(config.hardware, verbose=composed.verbose)
    evaluation.evaluate(plan, out)
    console.say(f"written to {relative(out)}")
