"""``genexp train``: one run, end to end: dataset, model, training, metrics and plots."""

from __future__ import annotations

from genexp import console
from genexp.api.training import TRAIN, TrainConfig, decided, resume, start
from genexp.api.training import check as check_run
from genexp.config.compose import Composed

ORDER = 10
MAKES_RUNS = True

EXAMPLES = (
    ("genexp train", "the demo genes, about a minute on two cores"),
    (
        "genexp train model=divide_et_impera data=PHT dataset=xpresso_tf dataset.root=DIR",
        "published settings on published data",
    ),
    ("genexp train -m model=xpresso,divide_et_impera seed=0,1", "a sweep of four runs with a closing table"),
)

Config = TrainConfig
SHORT_FORMS, IMPLIED, before, settle = TRAIN.short_forms, TRAIN.implied, TRAIN.before, TRAIN.settle


def check(config: TrainConfig) -> None:
    """Look at dataset, window and model."""
    check_run(config.run())


def run(composed: Composed[TrainConfig]) -> None:
    """Train, or resume."""
    config, given = composed.config, composed.words.keys
    if config.resume:
        resume(
            config.resume,
            epochs=config.training.epochs if "training.epochs" in given else None,
            patience=config.training.patience if "training.patience" in given else "unchanged",
            hardware=config.hardware if any(key.startswith("hardware") for key in given) else None,
            command=composed.command,
            verbose=composed.verbose,
        )
        return
    chosen = decided(composed)
    for key in (*chosen.model.idle(given), *chosen.training.idle(given)):
        console.warn(f"{key} has no effect beside the other keys of its group")
    start(
        chosen,
        composed.run_dir,
        command=composed.command,
        verbose=composed.verbose,
        created=composed.write_hydra,
    )
