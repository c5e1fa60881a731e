"""``genexp import``: weights that others trained, as a run directory."""

from __future__ import annotations

import glob
import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from genexp import console
from genexp.blocks import BLOCKS
from genexp.commands.train import display, identity
from genexp.config import DatasetConfig, ImportConfig, TrainConfig
from genexp.dataset.sources import check_inputs, choose_window, inspect
from genexp.errors import UserError
from genexp.features.kmer_vectors import load_vectors
from genexp.files import write_atomically, write_json
from genexp.porting import Ported
from genexp.porting.reading import EXPECTED
from genexp.porting.sizes import PUBLISHED_LENGTH, PUBLISHED_TSS
from genexp.run.directory import RunDirectory, exact_command, git_state, package_versions
from genexp.validation import to_yaml

EXAMPLES = (
    ("genexp import checkpoint=saved_model model=transformer data=PH", "written by TensorFlow 2; no code of it runs"),
    (
        "genexp import checkpoint=human.h5 model=xpresso data=P name=human",
        "Xpresso's public weights, half-life features at their mean",
    ),
    ("genexp import checkpoint=ckpt model=xpresso data=PHM dataset=xpresso_mirna dataset.root=DIR", "checked on genes"),
    ("genexp train training.start_from=outputs/human dataset=files dataset.root=DIR", "train on from it"),
)


@dataclass(frozen=True)
class Prepared:
    """An imported model, and the config of its run."""

    config: TrainConfig
    ported: Ported


def check(config: ImportConfig) -> None:
    """Raise a UserError if there is nothing at the path of the checkpoint, before TensorFlow is imported."""
    path = Path(config.checkpoint).expanduser()
    if not path.exists() and not (path.parent.is_dir() and any(path.parent.glob(f"{glob.escape(path.name)}.*"))):
        raise UserError("there is no such checkpoint", where=f"checkpoint={config.checkpoint}", expected=EXPECTED)


def prepare(config: ImportConfig, *, verbose: bool = False) -> Prepared:
    """Read the checkpoint into our model.

    Raises
    ------
    UserError
        If there is no checkpoint, it is damaged, or it belongs to another model.
    """
    from genexp.porting import port
    from genexp.training.strategy import set_up_hardware

    check(config)
    set_up_hardware(replace(config.hardware, precision="float32"), verbose=verbose)
    file = config.model.embedding.vectors if hasattr(config.model, "embedding") else None
    ported = port(
        config.checkpoint,
        config.model,
        config.data.name,
        widths=config.widths,
        window=config.data.window,
        vectors=load_vectors(Path(file)) if file else None,
    )
    trained = TrainConfig(
        seed=config.seed,
        resume=None,
        data=replace(
            config.data,
            window=list(ported.window) if ported.window and ported.shapes.promoter_kind == "bases" else None,
        ),
        dataset=config.dataset or DatasetConfig(name="none", root=""),
        model=ported.config,
        training=config.training,
        hardware=config.hardware,
    )
    if config.dataset is not None:
        source = inspect(config.dataset, config.data.name)
        choose_window(trained.data, trained.model, source.info)
        hint = "leave dataset= out here, and evaluate on one that fits"
        check_inputs(dataset_record(ported), config.data.name, source.info, hint)
    return Prepared(trained, ported)


def run(prepared: Prepared, directory: Path) -> None:
    """Write the run directory."""
    from genexp.training.loop import save_model

    files, ported, checkpoint = RunDirectory(directory), prepared.ported, prepared.ported.checkpoint
    with console.log_to(files.log):
        console.say(
            f"read {checkpoint.path}: {checkpoint.kind}, {len(checkpoint.layers)} layers with "
            f"{checkpoint.parameters:,} weights; {checkpoint.skipped} other variables left out (optimiser, counters)"
        )
        for line in (*ported.notes, f"the model takes {what_it_takes(ported)}"):
            console.say(line)
        for line in ported.warnings:
            console.warn(line)
        for name in ("best", "last"):
            save_model(ported.model, files, name)
        if ported.vectors is not None:
            files.vectors.parent.mkdir(parents=True, exist_ok=True)
            ported.vectors.save(files.vectors)
        write_atomically(files.config, to_yaml(prepared.config))
        write_json(files.environment, environment(prepared))
        write_json(files.metrics, metrics(prepared))
        console.say(f"imported: {display(files.path)}")
        if getattr(prepared.config.dataset, "root", None) == "":
            where = shlex.quote(display(files.path))
            console.say(f"evaluate it with: genexp evaluate run_dir={where} dataset.root=DIR")


def what_it_takes(ported: Ported) -> str:
    """Return the inputs of the model in words."""
    shapes = ported.shapes
    blocks = "".join(f", {width:,} features of block {block}" for block, width in shapes.widths.items())
    if shapes.promoter is None:
        return f"no promoters{blocks}"
    if shapes.promoter_kind == "embedded":
        return f"precomputed promoter embeddings, {shapes.promoter[0]} chunks of {shapes.promoter[1]} numbers{blocks}"
    kind = "k-mers of promoters" if shapes.promoter_kind == "kmers" else "promoters"
    return f"{kind}, window {list(ported.window or ())} of {PUBLISHED_LENGTH:,} nt{blocks}"


def dataset_record(ported: Ported) -> dict[str, Any]:
    """Return what environment.json says of the dataset of training, as far as the weights tell."""
    shapes = ported.shapes
    names = {b: list(BLOCKS[b].features) for b, n in shapes.widths.items() if n == len(BLOCKS[b].features)}
    record: dict[str, Any] = {"promoter": None, "promoter_length": None, "tss": None}
    if shapes.promoter is not None and shapes.promoter_kind == "embedded":
        chunks, dimension = shapes.promoter
        record = {"promoter": "embedded", "promoter_length": chunks, "embed_dim": dimension, "tss": None}
    elif shapes.promoter is not None:
        record = {"promoter": "bases", "promoter_length": PUBLISHED_LENGTH, "tss": PUBLISHED_TSS}
    return {**record, "window": ported.window, "widths": shapes.widths, "feature_names": names}


def environment(prepared: Prepared) -> dict[str, Any]:
    """Return what environment.json holds."""
    return {
        "command": exact_command(),
        "directory": str(Path.cwd()),
        "packages": package_versions(),
        "git": git_state(Path(__file__).parent),
        "seed": prepared.config.seed,
        "dataset": {
            "source": getattr(prepared.config.dataset, "root", None) or None,
            "layout": "imported",
            **dataset_record(prepared.ported),
            "fingerprint": None,
        },
    }


def metrics(prepared: Prepared) -> dict[str, Any]:
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
