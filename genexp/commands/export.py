"""``genexp export``: a run's model as .keras, SavedModel, ONNX or a model hub's folder, compared with the original."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from genexp import console
from genexp.api import exporting
from genexp.api.training import relative
from genexp.config.compose import Composed
from genexp.run import find_run
from genexp.schema import Checkpoint, Lower, OneOf, PathText, Positive, Schema

ORDER = 60

EXAMPLES = (
    ("genexp export run_dir=DIR format=onnx", "for ONNX Runtime, in any language; needs genexp[onnx]"),
    ("genexp export run_dir=DIR format=saved_model out=served/1", "for TensorFlow Serving"),
    ("genexp export run_dir=DIR checkpoint=last", "the last epoch, as a .keras file"),
    ("genexp export run_dir=DIR format=hub license=mit", "model, card, config and checksums, for a model hub"),
)


class Config(Schema):
    """The whole config of ``genexp export``."""

    run_dir: PathText = Field(description="the run")
    checkpoint: Checkpoint
    format: Annotated[str, OneOf(exporting.FORMATS), Lower] = Field(description="file format")
    out: PathText | None = Field(description="what to write; null: in export/ of the run")
    tolerance: Positive = Field(description="how far the answers may differ, in units of the label")
    license: str | None = Field(description="licence of the model, for the card of format=hub; null: unknown")


def check(config: Config) -> exporting.Plan:
    """Look at run, packages and target."""
    chosen = config.checkpoint, config.format, config.out, config.tolerance, config.license
    return exporting.check(find_run(config.run_dir), *chosen)


def run(composed: Composed[Config]) -> None:
    """Export on the CPU."""
    from genexp.training.strategy import use_cpu

    plan = check(composed.config)
    use_cpu(verbose=composed.verbose)
    console.say(f"written to {relative(exporting.export(plan))}")
