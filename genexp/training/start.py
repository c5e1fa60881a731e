"""Beginning a run with the weights of another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from genexp.config import KmerModelConfig
from genexp.console import say
from genexp.dataset.sources import Source, check_inputs
from genexp.errors import UserError
from genexp.features.kmer_vectors import load_vectors
from genexp.run.directory import RunDirectory, check_checkpoint, dataset_record, open_run
from genexp.training.config import RunConfig as TrainConfig
from genexp.training.config import read_config

if TYPE_CHECKING:
    import keras


def check_start(config: TrainConfig, source: Source, window: tuple[int, int] | None) -> None:
    """Refuse weights to start from that were trained on other blocks, promoters or widths, before anything is made."""
    run = open_run(str(config.training.start_from), "training.start_from")
    check_checkpoint(run, "best")
    other, seen, info = read_config(run), dataset_record(run), source.description
    check_same(
        config,
        [
            ("model", other.model.name, config.model.name, "model"),
            ("data", other.data.name, config.data.name, "data"),
        ],
    )
    where = f"training.start_from={config.training.start_from}"
    check_inputs(seen, config.data.name, info, f"name another dataset, or leave {where} out")
    pairs: list[tuple[str, Any, Any, str]] = []
    if window and seen.get("window") and config.model.reads == "bases":
        length = seen["window"][1] - seen["window"][0]
        pairs.append(("nt of promoter", length, window[1] - window[0], "data.window"))
    if isinstance(config.model, KmerModelConfig) and "P" in config.data.name and info.promoter == "bases":
        pairs += [
            (f"model.{key}", getattr(other.model, key), getattr(config.model, key), f"model.{key}")
            for key in ("k", "chunk", "embed_dim")
        ]
        theirs_of = {key: getattr(other.model.embedding, key) for key in ("kind", "trainable")}
        settings = config.model.embedding
        form, own_form = embedding_form(**theirs_of), embedding_form(settings.kind, settings.trainable)
        pairs.append(("embedding", form, own_form, f"model.embedding (there it is {theirs_of['kind']})"))
    check_same(config, pairs)


def check_same(config: TrainConfig, pairs: Sequence[tuple[str, Any, Any, str]]) -> None:
    """Raise a UserError at the first of (what, theirs, own, what to change) in which the two runs differ."""
    for what, theirs, own, change in pairs:
        if theirs != own:
            raise UserError(
                "the weights to start from belong to another model",
                where=f"training.start_from={config.training.start_from}",
                expected=f"{what}: {theirs}, as that run has",
                received=own,
                do=f"change {change} to fit, or leave training.start_from out",
            )


def embedding_form(kind: str, trainable: bool) -> str:
    """Return what the embedding is to the weights that stand on it: counts, learned vectors or frozen ones."""
    if kind == "counts":
        return "counts of k-mers"
    return "vectors learned with the model" if kind == "learned" or trainable else "frozen vectors"


def take_weights(model: keras.Model, directory: str, vectors: np.ndarray | None) -> None:
    """Set the weights of a model to those of a run's best checkpoint; its optimiser begins anew.

    Parameters
    ----------
    model
        The model to be trained.
    directory
        The run directory of the other.
    vectors
        The k-mer vectors that the model is built on, or starts from.

    Raises
    ------
    UserError
        If the other model has other layers or shapes, or stands on other k-mer vectors.
    """
    from genexp.evaluation.report import load_checkpoint

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
    if "embedding/kernel" not in own:
        check_vectors(vectors, run, directory)
    for path, variable in own.items():
        variable.assign(values[path])
    say(f"starting from the weights of {run.path}")


def check_vectors(own: np.ndarray | None, run: RunDirectory, directory: str) -> None:
    """Refuse weights that were learned on other frozen k-mer vectors than the model has."""
    theirs = load_vectors(run.vectors).vectors if run.vectors.is_file() else None
    same = own is theirs if own is None or theirs is None else np.array_equal(own, theirs)
    if not same:
        raise UserError(
            "the weights to start from belong to other k-mer vectors",
            where=f"training.start_from={directory}",
            hint=f"use model.embedding.vectors={directory}/embedding/vectors.npz",
        )
