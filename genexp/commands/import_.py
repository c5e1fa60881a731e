"""``genexp import``: weights that others trained, as a run directory."""

from __future__ import annotations

import glob
import hashlib
import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from genexp import console
from genexp.commands.train import display, identity
from genexp.config import DatasetConfig, ImportConfig, KmerModelConfig, TrainConfig
from genexp.dataset.genes import HALFLIFE_FEATURES
from genexp.dataset.sources import check_inputs, choose_window, inspect
from genexp.errors import UserError
from genexp.features.kmer_vectors import KmerVectors, load_vectors
from genexp.files import write_atomically, write_json
from genexp.models import InputShapes, build_model
from genexp.porting.attention import with_parts
from genexp.porting.match import match
from genexp.porting.reading import EXPECTED, read_checkpoint
from genexp.porting.sizes import PUBLISHED_LENGTH, PUBLISHED_TSS, Sizes, find_sizes, fitted_config
from genexp.porting.weights import Checkpoint
from genexp.run.directory import RunDirectory, exact_command, git_state, package_versions
from genexp.validation import to_yaml

if TYPE_CHECKING:
    import keras

ORDER = 50
MAKES_RUNS = True

EXAMPLES = (
    ("genexp import checkpoint=saved_model model=transformer data=PH", "written by TensorFlow 2.4; no code of it runs"),
    (
        "genexp import checkpoint=human.h5 model=xpresso data=PH name=human",
        "Xpresso's public weights, in outputs/human",
    ),
    ("genexp import checkpoint=ckpt model=xpresso data=PHM dataset=xpresso_mirna dataset.root=DIR", "checked on genes"),
    ("genexp train training.start_from=outputs/human dataset=files dataset.root=DIR", "train on from it"),
)


@dataclass(frozen=True)
class Prepared:
    """An imported model, with what it is fed with."""

    config: TrainConfig
    checkpoint: Checkpoint
    sizes: Sizes
    shapes: InputShapes
    vectors: KmerVectors | None
    model: keras.Model
    lines: tuple[str, ...]
    guessed: tuple[str, ...] = ()


def check(config: ImportConfig) -> None:
    """Raise a UserError if there is nothing at the path of the checkpoint; worth asking before TensorFlow comes."""
    path = Path(config.checkpoint).expanduser()
    if not path.exists() and not (path.parent.is_dir() and any(path.parent.glob(f"{glob.escape(path.name)}.*"))):
        raise UserError(
            "there is no such checkpoint",
            where=f"checkpoint={config.checkpoint}",
            expected=EXPECTED,
            received="no such file or folder",
            do="check the path",
        )


def prepare(config: ImportConfig, *, verbose: bool = False) -> Prepared:
    """Read the checkpoint, build our model for it and set its weights.

    Raises
    ------
    UserError
        If there is no checkpoint, it is broken, or it belongs to another model.
    """
    from genexp.training.strategy import set_up_hardware

    check(config)
    set_up_hardware(replace(config.hardware, precision="float32"), verbose=verbose)
    checkpoint = with_parts(read_checkpoint(config.checkpoint), getattr(config.model, "heads", None))
    model_config, lines = fitted_config(config.model, checkpoint)
    sizes = find_sizes(model_config, config.data, checkpoint, config.widths)
    checkpoint, vectors = separate_vectors(model_config, checkpoint)
    shapes = input_shapes(model_config, config, sizes, vectors)
    model = build_model(model_config, shapes)
    matched = match(checkpoint, model)
    set_weights(model, matched.values)
    window = list(sizes.window) if sizes.window and shapes.promoter_kind == "bases" else None
    trained = TrainConfig(
        seed=config.seed,
        resume=None,
        data=replace(config.data, window=window),
        dataset=config.dataset or DatasetConfig(name="none", root=""),
        model=model_config,
        training=config.training,
        hardware=config.hardware,
    )
    if config.dataset is not None:
        check_dataset(trained, sizes, shapes)
    return Prepared(trained, checkpoint, sizes, shapes, vectors, model, (*lines, *sizes.told), matched.notes)


def separate_vectors(model: Any, checkpoint: Checkpoint) -> tuple[Checkpoint, KmerVectors | None]:
    """Return the k-mer vectors a model is built on: those the user names, or those genexp saved beside the weights."""
    if not isinstance(model, KmerModelConfig):
        return checkpoint, None
    if model.embedding.vectors is not None:
        return checkpoint, load_vectors(Path(model.embedding.vectors))
    own = [layer for layer in checkpoint.layers if "vectors" in layer.arrays]
    if not own or model.embedding.trainable or model.embedding.kind == "learned":
        return checkpoint, None
    rest = tuple(layer for layer in checkpoint.layers if layer not in own)
    vectors = KmerVectors(model.k, own[0].arrays["vectors"], {"method": "import", "file": checkpoint.path})
    return replace(checkpoint, layers=rest), vectors


def input_shapes(model: Any, config: ImportConfig, sizes: Sizes, vectors: KmerVectors | None) -> InputShapes:
    """Return what the imported model is fed with: bases, k-mer counts, or promoters that come embedded."""
    if "P" not in config.data.name:
        return InputShapes(None, sizes.widths, None)
    if not isinstance(model, KmerModelConfig):
        left, right = sizes.window or (0, 0)
        return InputShapes((right - left,), sizes.widths)
    chunks = sizes.chunks or 0
    if vectors is not None or model.embedding.kind in ("counts", "learned"):
        found = None if vectors is None else vectors.vectors
        return InputShapes((chunks, 4**model.k), sizes.widths, "kmers", found)
    return InputShapes((chunks, model.embed_dim), sizes.widths, "embedded")


def set_weights(model: keras.Model, values: dict[str, np.ndarray]) -> None:
    """Set every weight of a model, and check that none was left out."""
    weights = {v.path: v for v in model.weights if "seed" not in v.path}
    if weights.keys() != values.keys():
        raise TypeError(f"weights that were not matched: {sorted(weights.keys() ^ values.keys())}")
    for path, variable in weights.items():
        variable.assign(values[path])


def check_dataset(config: TrainConfig, sizes: Sizes, shapes: InputShapes) -> None:
    """Look whether the dataset has the blocks, widths and window of the imported model."""
    source = inspect(config.dataset, config.data.name)
    choose_window(config.data, config.model, source.description)
    trained_on = {"promoter": promoter_kind(shapes), "widths": sizes.widths, **promoter_record(shapes)}
    check_inputs(
        trained_on, config.data.name, source.description, "leave dataset= out here, and evaluate on one that fits"
    )


def run(prepared: Prepared, directory: Path) -> None:
    """Write the run directory."""
    from genexp.training.loop import save_model

    files = RunDirectory(directory)
    checkpoint = prepared.checkpoint
    with console.log_to(files.log):
        console.say(
            f"read {checkpoint.path}: {checkpoint.kind}, {len(checkpoint.layers)} layers with "
            f"{checkpoint.parameters:,} weights; {checkpoint.skipped} other variables left out (optimiser, counters)"
        )
        for line in (*prepared.lines, what_it_reads(prepared)):
            console.say(line)
        if prepared.guessed:
            console.warn(f"compare the answers with the original's: {'; '.join(prepared.guessed)}")
        for name in ("best", "last"):
            save_model(prepared.model, files, name)
        if prepared.vectors is not None:
            files.vectors.parent.mkdir(parents=True, exist_ok=True)
            prepared.vectors.save(files.vectors)
        write_atomically(files.config, to_yaml(prepared.config))
        write_json(files.environment, environment(prepared))
        write_json(files.metrics, metrics(prepared))
        console.say(f"imported: {display(files.path)}")
        if getattr(prepared.config.dataset, "root", None) == "":
            where = shlex.quote(display(files.path))
            console.say(f"evaluate it with: genexp evaluate run_dir={where} dataset.root=DIR")


def what_it_reads(prepared: Prepared) -> str:
    """Return a sentence that says what the model is fed with."""
    shapes, sizes = prepared.shapes, prepared.sizes
    blocks = "".join(f", {width:,} features of block {block}" for block, width in sizes.widths.items())
    if shapes.promoter_kind == "embedded" and shapes.promoter:
        reads = f"promoters that come embedded, {shapes.promoter[0]} chunks of {shapes.promoter[1]} numbers"
    elif sizes.window and shapes.promoter_kind:
        left, right = sizes.window
        reads = f"{'k-mers of ' * (shapes.promoter_kind == 'kmers')}promoters, window [{left}, {right}) of 20,000 nt"
    else:
        reads = "no promoters"
    return f"the model reads {reads}{blocks}"


def environment(prepared: Prepared) -> dict[str, Any]:
    """Return what environment.json holds; of the dataset, what the weights tell of the one it was trained on."""
    config, shapes = prepared.config, prepared.shapes
    names = {"H": list(HALFLIFE_FEATURES)} if prepared.sizes.widths.get("H") == len(HALFLIFE_FEATURES) else {}
    return {
        "command": exact_command(),
        "directory": str(Path.cwd()),
        "packages": package_versions(),
        "git": git_state(Path(__file__).parent),
        "seed": config.seed,
        "dataset": {
            "source": getattr(config.dataset, "root", None) or None,
            "layout": "imported",
            "promoter": promoter_kind(shapes),
            **promoter_record(shapes),
            "window": prepared.sizes.window,
            "widths": prepared.sizes.widths,
            "feature_names": names,
            "fingerprint": None,
        },
    }


def promoter_kind(shapes: InputShapes) -> str | None:
    """Return the kind of promoters that a dataset must have for an imported model."""
    if shapes.promoter_kind == "embedded":
        return "embedded"
    return "bases" if shapes.promoter else None


def promoter_record(shapes: InputShapes) -> dict[str, int | None]:
    """Return the size of the promoters that an imported model was trained on, as far as it is known."""
    if shapes.promoter_kind == "embedded" and shapes.promoter:
        return {"promoter_length": shapes.promoter[0], "embed_dim": shapes.promoter[1], "tss": None}
    known = shapes.promoter is not None
    return {"promoter_length": PUBLISHED_LENGTH if known else None, "tss": PUBLISHED_TSS if known else None}


def metrics(prepared: Prepared) -> dict[str, Any]:
    """Return what metrics.json holds: where the model comes from, and no results."""
    checkpoint = prepared.checkpoint
    return {
        "status": "completed",
        **identity(prepared.config),
        "parameters": prepared.model.count_params(),
        "epochs_run": 0,
        "best_epoch": 0,
        "train_seconds": 0.0,
        "imported": {
            "checkpoint": checkpoint.path,
            "format": checkpoint.kind,
            "layers": len(checkpoint.layers),
            "weights": checkpoint.parameters,
            "left_out": checkpoint.skipped,
            "fingerprint": fingerprint(checkpoint),
        },
    }


def fingerprint(checkpoint: Checkpoint) -> str:
    """Return 16 hex digits that change when any weight changes."""
    digest = hashlib.blake2b(digest_size=8)
    for layer in checkpoint.layers:
        for role, array in layer.arrays.items():
            digest.update(f"{role}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
