"""genexp predicts gene expression from DNA: config-driven experiments, from the command line or a notebook.

Examples
--------
>>> import genexp
>>> run = genexp.train("model=xpresso", "data=PH", "training.epochs=2")
>>> run.metrics["best"]["test"]["r2"]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from genexp.version import __version__

if TYPE_CHECKING:
    from genexp.api import (
        Comparison,
        Ensemble,
        Run,
        RunConfig,
        Study,
        UserError,
        baselines,
        compare,
        compose,
        embed_dataset,
        import_checkpoint,
        load_dataset,
        load_model,
        open_ensemble,
        open_run,
        open_study,
        prepare_dataset,
        report,
        train,
        train_many,
        tune,
    )

__all__ = [
    "Comparison",
    "Ensemble",
    "Run",
    "RunConfig",
    "Study",
    "UserError",
    "__version__",
    "baselines",
    "compare",
    "compose",
    "embed_dataset",
    "import_checkpoint",
    "load_dataset",
    "load_model",
    "open_ensemble",
    "open_run",
    "open_study",
    "prepare_dataset",
    "report",
    "train",
    "train_many",
    "tune",
]


def __getattr__(name: str) -> Any:
    """Import the library when one of its names is first used: ``genexp --help`` needs none of it."""
    if name in __all__ and name != "__version__":
        from genexp import api

        return getattr(api, name)
    raise AttributeError(f"module 'genexp' has no attribute {name!r}")
