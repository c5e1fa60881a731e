"""Beginning a run with the weights of another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from genexp.console import say
from genexp.errors import UserError
from genexp.evaluation.report import load_checkpoint
from genexp.run import open_run

if TYPE_CHECKING:
    import keras


def take_weights(model: keras.Model, directory: str) -> None:
    """Set the weights of a model to those of a run's best checkpoint; its optimiser begins anew.

    Raises
    ------
    UserError
        If the other model has other layers or shapes, or stands on other k-mer vectors.
    """
    run = open_run(directory, "training.start_from")
    other = load_checkpoint(run, "best")
    own = {v.path: v for v in model.weights if "seed" not in v.path}
    values = {v.path: np.asarray(v) for v in other.weights if "seed" not in v.path}
    differ = [p for p in {**own, **values} if p not in own or p not in values or own[p].shape != values[p].shape]
    if differ:
        path = differ[0]
        raise UserError(
            "the weights to start from belong to another model",
            where=f"training.start_from={directory}",
            expected=f"{path} {tuple(own[path].shape)}" if path in own else f"no {path}",
            received=f"{tuple(values[path].shape) if path in values else 'none'} ({len(differ)} variables differ)",
            do="choose the model, data and window of that run, as its config.yaml has them",
        )
    check_vectors(model, other, directory)
    for path, variable in own.items():
        variable.assign(values[path])
    say(f"starting from the weights of {run.path}")


def check_vectors(model: keras.Model, other: keras.Model, directory: str) -> None:
    """Refuse weights that were learned on other frozen k-mer vectors than the model stands on."""
    frozen = []
    for each in (model, other):
        layer = next((x for x in each.layers if x.name == "embedding"), None)
        vectors = getattr(layer, "vectors", None)
        frozen.append(vectors if isinstance(vectors, np.ndarray) else None)
    own, theirs = frozen
    same = own is theirs if own is None or theirs is None else np.array_equal(own, theirs)
    if not same:
        raise UserError(
            "the weights to start from stand on other k-mer vectors",
            where=f"training.start_from={directory}",
            expected="the vectors of that run",
            received="vectors made for this one",
            do=f"model.embedding.vectors={directory}/embedding/vectors.npz",
        )
