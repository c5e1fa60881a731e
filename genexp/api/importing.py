"""Importing a published checkpoint (SavedModel, .h5, .keras) as a run directory."""

from __future__ import annotations

import glob
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from genexp import console
from genexp.api.evaluation import same_window
from genexp.api.training import TRAIN, identity, relative
from genexp.blocks import BLOCKS
from genexp.config.compose import Command, Composed
from genexp.config.validation import to_yaml
from genexp.dataset.alignment import align
from genexp.dataset.config import DataConfig
from genexp.dataset.description import DatasetDescription
from genexp.dataset.labels import default_names, match
from genexp.dataset.sources import inspect
from genexp.errors import UserError
from genexp.features.kmer_vectors import load_vectors
from genexp.files import write_atomically, write_json
from genexp.porting import Ported, port
from genexp.porting.reading import EXPECTED
from genexp.porting.sizes import PUBLISHED_LENGTH, PUBLISHED_TSS
from genexp.run import CHECKPOINTS, check_free, created_whole, provenance
from genexp.schema import Count, PathText, Schema, combination
from genexp.training.config import (
    AnyDataset,
    AnyModel,
    HardwareConfig,
    RunConfig,
    TrainingConfig,
    check_combination,
)


class Config(Schema):
    """The whole config of ``genexp import``."""

    checkpoint: PathText = Field(description="SavedModel folder, .h5 or .keras file, or prefix of a checkpoint")
    name: str = Field(description="name of the run; a trailing XXXX makes it unique")
    widths: list[Count] | None = Field(description="widths of the feature blocks, in order; null: as the weights tell")
    seed: Annotated[int, Field(ge=0, lt=2**31)] = Field(description="of training that starts from the run")
    data: DataConfig
    dataset: AnyDataset | None = Field(default=None, description="genes to evaluate on")
    model: AnyModel
    training: TrainingConfig
    hardware: HardwareConfig

    @model_validator(mode="after")
    def _possible_together(self) -> Self:
        check_combination(self.data, self.model)
        window = self.data.window
        if window and window[1] > PUBLISHED_LENGTH:
            expected = f"[left, right) within promoters of {PUBLISHED_LENGTH:,} nt, whose TSS is at {PUBLISHED_TSS:,}"
            hint = "data.window=[3000,13500]"
            raise combination("data.window leaves the promoters", "data.window", expected, window, hint)
        return self


def check(config: Config) -> None:
    """Raise a UserError if there is nothing at the path of the checkpoint, before TensorFlow is imported."""
    path = Path(config.checkpoint)
    if not path.exists() and not (path.parent.is_dir() and any(path.parent.glob(f"{glob.escape(path.name)}.*"))):
        raise UserError("the checkpoint is missing", where=f"checkpoint={config.checkpoint}", expected=EXPECTED)


def read(config: Config, verbose: bool) -> tuple[RunConfig, Ported]:
    """Read the checkpoint into our model; returns it with the config of its run."""
    from genexp.training.strategy import set_up_hardware

    check(config)
    set_up_hardware(config.hardware.model_copy(update={"precision": "float32"}), verbose=verbose)
    file = config.model.embedding.vectors if hasattr(config.model, "embedding") else None
    ported = port(
        config.checkpoint,
        config.model,
        config.data.name,
        widths=config.widths,
        window=config.data.window,
        vectors=load_vectors(Path(file)) if file else None,
        labels=len(config.data.labels) if config.data.labels else None,
    )
    check_names(config.data.labels, ported.shapes.labels)
    window = list(ported.window) if ported.window and ported.shapes.promoter_kind == "bases" else None
    data = config.data.model_copy(update={"window": window})
    same = {key: getattr(config, key) for key in ("seed", "dataset", "training", "hardware")}
    run = RunConfig(logger=None, data=data, model=ported.config, **same)
    if run.dataset is not None:
        source, theirs = inspect(run.dataset, data.name), trained_on(ported, data.labels)
        align(theirs, source, data.name, "leave dataset= out here, and evaluate on one that fits")
        same_window(theirs, source.description)
        match(theirs, source)
    return run, ported


def import_checkpoint(composed: Composed[Config], directory: str | Path | None = None) -> Path:
    """Make a run directory of a checkpoint, at `directory` or as ``hydra.run.dir`` says, whole or not at all."""
    config, place = composed.config, directory or composed.run_dir
    check_free(place)
    run_config, ported = read(config, composed.verbose)
    from genexp.training.loop import save_model  # imports Keras, so not before the hardware is set up

    checkpoint = ported.checkpoint
    with created_whole(place) as run, console.log_to(run.log):
        composed.write_hydra(run.path)
        console.say(
            f"read {checkpoint.path}: {checkpoint.kind}, {len(checkpoint.layers)} layers with "
            f"{checkpoint.parameters:,} weights; {checkpoint.skipped} other variables left out (optimizer, counters)"
        )
        for line in (*ported.notes, f"the model takes {what_it_takes(ported)}"):
            console.say(line)
        for line in ported.warnings:
            console.warn(line)
        for name in CHECKPOINTS:
            save_model(ported.model, run, name)
        if ported.vectors is not None:
            run.vectors.parent.mkdir(parents=True, exist_ok=True)
            ported.vectors.save(run.vectors)
        write_atomically(run.config, to_yaml(run_config))
        dataset = trained_on(ported, run_config.data.labels).model_dump(mode="json")
        write_json(run.environment, provenance(composed.command, config.seed, dataset))
        write_json(run.metrics, _metrics(run_config, ported))
        console.say(f"imported: {relative(run.path)}")
        if config.dataset is None:
            where = shlex.quote(relative(run.path))
            console.say(f"evaluate it with: genexp evaluate run_dir={where} dataset.root=DIR")
    return run.path


def what_it_takes(ported: Ported) -> str:
    """Return the inputs of the model in words."""
    shapes = ported.shapes
    blocks = "".join(f", {width:,} features of block {block}" for block, width in shapes.widths.items())
    if shapes.labels > 1:
        blocks += f"; it predicts {shapes.labels} labels"
    if shapes.promoter is None:
        return f"no promoters{blocks}"
    if shapes.promoter_kind == "embedded":
        return f"precomputed promoter embeddings, {shapes.promoter[0]} chunks of {shapes.promoter[1]} numbers{blocks}"
    kind = "k-mers of promoters" if shapes.promoter_kind == "kmers" else "promoters"
    return f"{kind}, window {list(ported.window or ())} of 20,000 nt{blocks}"


def check_names(names: Sequence[str] | None, outputs: int) -> None:
    """Raise a UserError if the names of the labels are not one for each output of the model."""
    if names is not None and not len(names) == len(set(names)) == outputs:
        expected = f"{outputs} different names, one for each output of the model"
        raise UserError("these names do not fit the checkpoint", where="data.labels", expected=expected, received=names)


def trained_on(ported: Ported, labels: Sequence[str] | None) -> DatasetDescription:
    """Return the description of the dataset of training, as far as the weights tell; `labels` are those given."""
    shapes = ported.shapes
    promoter: dict[str, Any] = {}
    if shapes.promoter is not None and shapes.promoter_kind == "embedded":
        promoter = {"promoter": "embedded", "promoter_length": shapes.promoter[0], "embed_dim": shapes.promoter[1]}
    elif shapes.promoter is not None:
        promoter = {"promoter": "bases", "promoter_length": PUBLISHED_LENGTH, "tss": PUBLISHED_TSS}
        promoter["window"] = ported.window
    names = {b: BLOCKS[b].features for b, n in shapes.widths.items() if n == len(BLOCKS[b].features)}
    blocks: dict[str, Any] = {"widths": shapes.widths, "feature_names": names}
    blocks["labels"] = tuple(labels or default_names(shapes.labels))
    return DatasetDescription(source=ported.checkpoint.path, layout="imported", genes={}, **blocks, **promoter)


def _metrics(config: RunConfig, ported: Ported) -> dict[str, Any]:
    """Return what metrics.json holds: where the model comes from, and no results."""
    checkpoint = ported.checkpoint
    return {
        "status": "completed",
        **identity(config),
        "parameters": ported.model.count_params(),
        "epochs_run": 0,
        "best_epoch": 0,
        "train_seconds": 0.0,
        "imported": {
            "checkpoint": checkpoint.path,
            "format": checkpoint.kind,
            "layers": len(checkpoint.layers),
            "weights": checkpoint.parameters,
            "left_out": checkpoint.skipped,
            "fingerprint": checkpoint.fingerprint,
        },
    }


IMPORT = Command("import", Config, short_forms=TRAIN.short_forms, implied=TRAIN.implied)
