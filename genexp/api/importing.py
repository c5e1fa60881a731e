"""Weights that others trained, as a run directory."""

from __future__ import annotations

import glob
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from genexp import console
from genexp.api.training import identity, relative
from genexp.blocks import BLOCKS
from genexp.config.validation import to_yaml
from genexp.dataset.config import DataConfig
from genexp.dataset.description import DatasetDescription
from genexp.dataset.sources import check_inputs, choose_window, inspect
from genexp.errors import UserError
from genexp.files import write_atomically, write_json
from genexp.run import RunDirectory, check_free, create, provenance
from genexp.schema import Count, PathText, Schema
from genexp.training.config import AnyDataset, AnyModel, HardwareConfig, RunConfig, TrainingConfig

if TYPE_CHECKING:
    from genexp.porting import Ported

HINT = "leave dataset= out here, and evaluate on one that fits"


class ImportConfig(Schema):
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


@dataclass(frozen=True)
class Prepared:
    """An imported model, and the config of its run."""

    config: RunConfig
    ported: Ported


def check(config: ImportConfig) -> None:
    """Raise a UserError if there is nothing at the path of the checkpoint, before TensorFlow is imported."""
    from genexp.porting.reading import EXPECTED

    path = Path(config.checkpoint)
    if not path.exists() and not (path.parent.is_dir() and any(path.parent.glob(f"{glob.escape(path.name)}.*"))):
        raise UserError("there is no such checkpoint", where=f"checkpoint={config.checkpoint}", expected=EXPECTED)


def prepare(config: ImportConfig, *, verbose: bool = False) -> Prepared:
    """Read the checkpoint into our model.

    Raises
    ------
    UserError
        If there is no checkpoint, it is damaged, or it belongs to another model.
    """
    from genexp.features.kmer_vectors import load_vectors
    from genexp.porting import port
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
    )
    window = list(ported.window) if ported.window and ported.shapes.promoter_kind == "bases" else None
    run = RunConfig(
        seed=config.seed,
        logger=None,
        data=config.data.model_copy(update={"window": window}),
        dataset=config.dataset,
        model=ported.config,
        training=config.training,
        hardware=config.hardware,
    )
    if run.dataset is not None:
        source = inspect(run.dataset, run.data.name)
        choose_window(run.data, run.model.window, run.model.multiple(), source.description)
        check_inputs(trained_on(ported), run.data.name, source.description, HINT)
    return Prepared(run, ported)


def import_checkpoint(
    config: ImportConfig,
    directory: str | Path,
    *,
    command: str,
    verbose: bool = False,
    created: Callable[[Path], None] = lambda path: None,
) -> RunDirectory:
    """Make a run directory of a checkpoint.

    Parameters
    ----------
    config
        What is imported.
    directory, command, verbose, created
        As `genexp.api.training.start` has them.

    Raises
    ------
    UserError
        If there is no checkpoint, it is damaged, or it belongs to another model.
    """
    from genexp.training.loop import save_model

    check_free(directory)
    prepared = prepare(config, verbose=verbose)
    run, ported, checkpoint = create(directory), prepared.ported, prepared.ported.checkpoint
    created(run.path)
    with console.log_to(run.log):
        console.say(
            f"read {checkpoint.path}: {checkpoint.kind}, {len(checkpoint.layers)} layers with "
            f"{checkpoint.parameters:,} weights; {checkpoint.skipped} other variables left out (optimiser, counters)"
        )
        for line in (*ported.notes, f"the model takes {what_it_takes(ported)}"):
            console.say(line)
        for line in ported.warnings:
            console.warn(line)
        for name in ("best", "last"):
            save_model(ported.model, run, name)
        if ported.vectors is not None:
            run.vectors.parent.mkdir(parents=True, exist_ok=True)
            ported.vectors.save(run.vectors)
        write_atomically(run.config, to_yaml(prepared.config))
        dataset = trained_on(ported).model_dump(mode="json")
        write_json(run.environment, provenance(command, config.seed, dataset))
        write_json(run.metrics, _metrics(prepared))
        console.say(f"imported: {relative(run.path)}")
        if config.dataset is None:
            where = shlex.quote(relative(run.path))
            console.say(f"evaluate it with: genexp evaluate run_dir={where} dataset.root=DIR")
    return run


def what_it_takes(ported: Ported) -> str:
    """Return the inputs of the model in words."""
    shapes = ported.shapes
    blocks = "".join(f", {width:,} features of block {block}" for block, width in shapes.widths.items())
    if shapes.promoter is None:
        return f"no promoters{blocks}"
    if shapes.promoter_kind == "embedded":
        return f"precomputed promoter embeddings, {shapes.promoter[0]} chunks of {shapes.promoter[1]} numbers{blocks}"
    kind = "k-mers of promoters" if shapes.promoter_kind == "kmers" else "promoters"
    return f"{kind}, window {list(ported.window or ())} of 20,000 nt{blocks}"


def trained_on(ported: Ported) -> DatasetDescription:
    """Return the description of the dataset of training, as far as the weights tell."""
    from genexp.porting.sizes import PUBLISHED_LENGTH, PUBLISHED_TSS

    shapes = ported.shapes
    names = {b: BLOCKS[b].features for b, n in shapes.widths.items() if n == len(BLOCKS[b].features)}
    promoter: dict[str, Any] = {}
    if shapes.promoter is not None and shapes.promoter_kind == "embedded":
        chunks, dimension = shapes.promoter
        promoter = {"promoter": "embedded", "promoter_length": chunks, "embed_dim": dimension}
    elif shapes.promoter is not None:
        promoter = {"promoter": "bases", "promoter_length": PUBLISHED_LENGTH, "tss": PUBLISHED_TSS}
        promoter["window"] = ported.window
    return DatasetDescription(
        source=ported.checkpoint.path,
        layout="imported",
        genes={},
        widths=shapes.widths,
        feature_names=names,
        **promoter,
    )


def _metrics(prepared: Prepared) -> dict[str, Any]:
    """Return what metrics.json holds: where the model comes from, and no results."""
    checkpoint = prepared.ported.checkpoint
    return {
        "status": "completed",
        **identity(prepared.config),
        "parameters": prepared.ported.model.count_params(),
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
