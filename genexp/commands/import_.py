"""``genexp import``: a published checkpoint (SavedModel, .h5, .keras) as a run directory."""

from __future__ import annotations

from genexp.api import importing
from genexp.api.importing import ImportConfig
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
    ("genexp train training.start_from=outputs/human dataset.root=DIR", "a warm start from it"),
)

Config = ImportConfig
SHORT_FORMS = {"model.embedding": "model.embedding.kind"}
IMPLIED = {"dataset.root": "dataset=files"}

check = importing.check


def run(composed: Composed[ImportConfig]) -> None:
    """Import."""
    importing.import_checkpoint(
        composed.config,
        composed.run_dir,
        command=composed.command,
        verbose=composed.verbose,
        created=composed.write_hydra,
    )
