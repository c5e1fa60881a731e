"""Starting with weights: those of another run (a warm start), or of the run itself when it is resumed."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from genexp.blocks import PROMOTER
from genexp.config.words import word
from genexp.dataset.alignment import align
from genexp.dataset.description import Source
from genexp.errors import UserError
from genexp.features.kmer_vectors import load_vectors
from genexp.models.layers.kmer_config import CountConfig, EmbeddingConfig, KmerConfig
from genexp.run import RunDirectory, check_checkpoint, find_run

if TYPE_CHECKING:
    import keras

    from genexp.training.config import RunConfig

KEY = "training.start_from"
#: Settings of a model that may differ from those of the run to start from, and those that are compared by themselves.
NOT_SIZES = {"window", "initializer", "dropout", "promoter_dropout", "embedding", "k", "chunk", "embed_dim"}
OTHER_MODEL = "the weights to start from belong to another model"
OTHER_DATASET = "restore the dataset of the run, or start a new run"


def check_start(config: RunConfig, source: Source, window: tuple[int, int] | None) -> Source:
    """Check that the run to start from has the model, blocks and promoters of this one; imports no Keras.

    Return the dataset as that run reads it: its columns in the order, its values in the scale of the weights.
    """
    from genexp.training.config import read_config, read_description

    run = find_run(str(config.training.start_from), KEY)
    check_checkpoint(run, "best")
    other, description = read_config(run), source.description
    _check_same([("model", other.model.name, config.model.name), ("data", other.data.name, config.data.name)])
    seen = read_description(run)
    aligned = align(seen, source, config.data.name, f"name another dataset, or leave {KEY} out")
    if window and seen.window and config.model.reads == "bases":
        _check_same([("nt of promoter", seen.window[1] - seen.window[0], window[1] - window[0])])
    counted = PROMOTER in config.data.name and description.promoter == "bases"
    if counted and isinstance(config.model, CountConfig):
        keys = [key for key in ("k", "chunk", "embed_dim") if hasattr(config.model, key)]
        _check_same((f"model.{key}", getattr(other.model, key), getattr(config.model, key)) for key in keys)
    if counted and isinstance(config.model, KmerConfig) and isinstance(other.model, KmerConfig):
        forms = embedding_form(other.model.embedding), embedding_form(config.model.embedding)
        _check_same([("model.embedding", *forms)])
    _check_sizes(other, config)
    return aligned


def check_same_dataset(run: RunDirectory, fingerprint: str) -> None:
    """Raise a UserError if a run that is resumed was started on other genes, labels, bases or features."""
    from genexp.training.config import read_description

    started_on = read_description(run).fingerprint if run.environment.is_file() else None
    if started_on not in (None, fingerprint):
        what = "the dataset has changed since this run was started, so the run cannot be resumed"
        hint = f"{OTHER_DATASET}; {KEY}={run.path} gives it the weights of this one"
        raise UserError(what, where=run.path, expected=f"fingerprint {started_on}", received=fingerprint, hint=hint)


def _check_same(settings: Iterable[tuple[str, object, object]]) -> None:
    """Raise a UserError at the first of (key, theirs, own) that differs."""
    for key, theirs, own in settings:
        if theirs != own:
            expected, hint = f"{key}: {theirs}, as in that run", f"change it, or leave {KEY} out"
            raise UserError(OTHER_MODEL, where=KEY, expected=expected, received=own, hint=hint)


def _check_sizes(other: RunConfig, config: RunConfig) -> None:
    """Raise a UserError if settings of the model differ: those that no weight shows, such as pools, do too."""
    theirs, ours = (run.model.model_dump(mode="json", exclude=NOT_SIZES) for run in (other, config))
    if differ := [key for key, value in theirs.items() if value != ours.get(key)]:
        expected, received = (
            " ".join(shlex.quote(word(f"model.{key}", of.get(key))) for key in differ) for of in (theirs, ours)
        )
        raise UserError(OTHER_MODEL, where=KEY, expected=expected, received=received, hint=f"add {expected}")


def embedding_form(settings: EmbeddingConfig) -> str:
    """Return what the layers above an embedding are fed: counts, learned vectors or frozen ones."""
    if settings.kind == "counts":
        return "counts of k-mers"
    learned = settings.kind == "learned" or settings.trainable
    return "vectors learned with the model" if learned else "frozen vectors"


def take_weights(
    model: keras.Model, config: RunConfig, vectors: np.ndarray | None, labels: Sequence[str]
) -> tuple[Path, list[str]]:
    """Set the weights of a model to those of the best checkpoint of another run.

    `vectors` are the k-mer vectors that the model is built on, (4**k, dimension); `labels` names its outputs. Return
    that run, and the labels that it does not have, whose outputs keep their initial weights. The optimizer starts anew.
    """
    from genexp.evaluation.report import load_checkpoint
    from genexp.training.config import read_description

    directory = str(config.training.start_from)
    run = find_run(directory, KEY)
    own = {v.path: v for v in model.weights if "seed" not in v.path}
    values = {v.path: np.asarray(v) for v in load_checkpoint(run, "best").weights if "seed" not in v.path}
    initial = _match_outputs(own, values, labels, read_description(run).labels)
    differ = [p for p in {**own, **values} if p not in own or p not in values or own[p].shape != values[p].shape]
    if differ:
        path = differ[0]
        raise UserError(
            OTHER_MODEL,
            where=f"{KEY}={directory}",
            expected=f"{path} {tuple(own[path].shape)}" if path in own else f"no {path}",
            received=f"{tuple(values[path].shape) if path in values else 'none'} ({len(differ)} variables differ)",
            hint="choose model, data and window of that run, as in its config.yaml",
        )
    frozen = isinstance(config.model, KmerConfig) and embedding_form(config.model.embedding) == "frozen vectors"
    theirs = load_vectors(run.vectors).vectors if frozen and run.vectors.is_file() else None
    if theirs is not None and not np.array_equal(np.asarray(vectors), theirs):
        what, hint = "the weights to start from were trained on other k-mer vectors", f"embedding.vectors={run.vectors}"
        raise UserError(what, where=f"{KEY}={directory}", hint=f"model.{hint}")
    for path, variable in own.items():
        variable.assign(values[path])
    return run.path, initial


def _match_outputs(
    own: Mapping[str, keras.Variable], values: dict[str, np.ndarray], ours: Sequence[str], theirs: Sequence[str]
) -> list[str]:
    """Order the weights of the output layer in `values` as our labels; return those that keep their initial weights.

    One label and one label belong together whatever their names, as most files name none.
    """
    from genexp.models.layers.common import OUTPUT

    if list(ours) == list(theirs) or len(ours) == len(theirs) == 1:
        return []
    common = [name for name in ours if name in theirs]
    to, source = [list(ours).index(name) for name in common], [list(theirs).index(name) for name in common]
    for path in (path for path in values if path in own and path.split("/")[0] == OUTPUT):
        matched = np.array(own[path])
        matched[..., to] = values[path][..., source]
        values[path] = matched
    return [name for name in ours if name not in common]
