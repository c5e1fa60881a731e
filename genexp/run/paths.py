"""The paths of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

#: What a run writes; a directory with any of it is taken.
CONTENT = (
    *(".hydra", "config.yaml", "environment.json", "train.log", "history.csv", "checkpoints", "metrics.json"),
    *("predictions.csv", "plots", "embedding", "tensorboard", "multirun.yaml"),
)

CHECKPOINTS = ("best", "last")


@dataclass(frozen=True)
class RunDirectory:
    """The paths of one run."""

    path: Path

    config = property(lambda self: self.path / "config.yaml")
    environment = property(lambda self: self.path / "environment.json")
    log = property(lambda self: self.path / "train.log")
    history = property(lambda self: self.path / "history.csv")
    metrics = property(lambda self: self.path / "metrics.json")
    predictions = property(lambda self: self.path / "predictions.csv")
    plots = property(lambda self: self.path / "plots")
    checkpoints = property(lambda self: self.path / "checkpoints")
    state = property(lambda self: self.path / "checkpoints" / "state" / "state.npz")
    vectors = property(lambda self: self.path / "embedding" / "vectors.npz")
    tensorboard = property(lambda self: self.path / "tensorboard")

    def checkpoint(self, name: str) -> Path:
        """Return the path of the ``best`` or ``last`` model."""
        return self.path / "checkpoints" / f"{name}.keras"
