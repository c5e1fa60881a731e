"""``genexp import``: a published checkpoint (SavedModel, .h5, .keras) as a run directory."""

from __future__ import annotations

from genexp.api.importing import IMPORT, Config, check, import_checkpoint
from genexp.config.compose import Composed

ORDER = 50
MAKES_RUNS = True

EXAMPLES = (
    ("genexp import checkpoint=saved_model model=transformer data=PH", "written by TensorFlow 2; no code of it runs"),
    (
        "genexp import checkpoint=human.h5 model=xpresso data=P name=human",
        "Xpresso's public weights, half-life features at their mean",
    ),
    ("genexp import checkpoint=ckpt model=xpresso data=PHM dataset.root=DIR", "checked against a dataset"),
    ("genexp train training.start_from=outputs/human data=P dataset.root=DIR", "a warm start from it"),
)

SHORT_FORMS, IMPLIED = IMPORT.short_forms, IMPORT.implied

__all__ = ["EXAMPLES", "IMPLIED", "MAKES_RUNS", "ORDER", "SHORT_FORMS", "Config", "check", "run"]


def run(composed: Composed[Config]) -> None:
    """Make a run directory of a checkpoint."""
    import_checkpoint(composed)
