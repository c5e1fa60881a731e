"""A run without TensorFlow for what is predicted on genomes: its models are linear in the bases and features."""

from types import SimpleNamespace
from zipfile import ZipFile

import numpy as np

from genexp.dataset.description import DatasetDescription

#: What the models see, around the TSS.
WINDOW = (-60, 40)


def made_run(folder, labels=("label",), **changes):
    """Return a run on promoters of 400 nt with the TSS at 200."""
    with ZipFile(folder / "best.keras", "w"):
        pass
    shapes = {"promoter": "bases", "promoter_length": 400, "tss": 200, "window": (140, 240), "labels": labels}
    described = DatasetDescription(source="made", layout="made", genes={}, **{**shapes, **changes})
    return SimpleNamespace(
        dataset=described,
        config=SimpleNamespace(data=SimpleNamespace(name="P"), model=SimpleNamespace(name="linear")),
        path=folder,
        files=SimpleNamespace(checkpoint=lambda name: folder / f"{name}.keras", path=folder),
        metrics={"status": "completed"},
    )


class LinearPredictor:
    """In place of `genexp.api.prediction.Predictor`: three members; `calls` has the number of genes of each call."""

    def __init__(self, run, checkpoint="best", keep=None):
        self.dataset, self.calls = run.dataset, []
        shape = (3, WINDOW[1] - WINDOW[0], 5, len(run.dataset.labels))
        self.weights = np.random.default_rng(0).normal(size=shape)

    def __call__(self, tokens, features):
        assert tokens.dtype == np.uint8
        self.calls.append(len(tokens))
        picked = self.weights[:, np.arange(tokens.shape[1]), tokens]
        return picked.sum(axis=2).astype(np.float32)
