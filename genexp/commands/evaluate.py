"""``genexp evaluate``: metrics, predictions and plots again, from a finished run."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from genexp import console
from genexp.commands.train import display, report_dataset
from genexp.config import DatasetConfig, DemoConfig, EvaluateConfig, TrainConfig
from genexp.dataset.genes import SPLITS
from genexp.dataset.sources import Source, check_inputs, inspect, load
from genexp.errors import UserError
from genexp.files import free_folder, whole_or_nothing, write_json
from genexp.run.directory import RunDirectory, check_checkpoint, dataset_record, open_run, read_metrics
from genexp.training.inputs import encode
from genexp.validation import validate

if TYPE_CHECKING:
    from genexp.evaluation.report import Evaluated

#: What an evaluation writes.
RESULTS = {"metrics.json", "predictions.csv", "plots"}

EXAMPLES = (
    ("genexp evaluate run_dir=DIR", "the run's own metrics again"),
    ("genexp evaluate run_dir=DIR checkpoint=last split=test", "the last epoch instead of the best"),
    ("genexp evaluate run_dir=DIR dataset.root=OTHER out=results", "the same model on another dataset"),
)


@dataclass(frozen=True)
class Checked:
    """An evaluation that can be started."""

    config: EvaluateConfig
    run: RunDirectory
    trained: TrainConfig
    source: Source
    window: tuple[int, int] | None
    out: Path


def check(config: EvaluateConfig) -> Checked:
    """Look at the run and the dataset.

    Raises
    ------
    UserError
        If the run has no such checkpoint, or the dataset is not one that its model can read.
    """
    run = open_run(config.run_dir, "run_dir")
    trained = validate(OmegaConf.load(run.config), TrainConfig, str(run.config))  # type: ignore[arg-type]
    check_checkpoint(run, config.checkpoint)
    dataset = chosen_dataset(config, trained)
    source = inspect(dataset, trained.data.name)
    do = "name a dataset like the one that the model was trained on"
    check_inputs(dataset_record(run), trained.data.name, source.description, do)
    window = same_window(run, trained, source)
    return Checked(config, run, trained, source, window, folder_for_results(config, run))


def folder_for_results(config: EvaluateConfig, run: RunDirectory) -> Path:
    """Return the folder to write: a free one, or one with an earlier evaluation of the same run, which is replaced."""
    out = Path(config.out).expanduser().resolve() if config.out else run.path / own_folder(config)
    if is_evaluation(out, run.path):
        return out
    return free_folder(str(out))


def is_evaluation(folder: Path, run: Path) -> bool:
    """Tell whether a folder holds an evaluation of a run, wherever the run was then, and nothing else."""
    if not (folder / "metrics.json").is_file() or {path.name for path in folder.iterdir()} - RESULTS:
        return False
    found = read_metrics(RunDirectory(folder)) or {}
    return folder.parent == run or found.get("run_dir") == str(run)


def own_folder(config: EvaluateConfig) -> str:
    """Return the name of the folder for results when none is given: checkpoint, splits and any other dataset."""
    other = f"-{Path(config.dataset.root).name}" if config.dataset.root else ""
    return f"evaluation-{config.checkpoint}-{config.split or 'valid-test'}{other}"


def chosen_dataset(config: EvaluateConfig, trained: TrainConfig) -> DatasetConfig | DemoConfig:
    """Return the run's own dataset with what the command line changes."""
    changes = {f.name: getattr(config.dataset, f.name) for f in fields(config.dataset)}
    changes = {name: value for name, value in changes.items() if value is not None}
    if "root" not in changes and getattr(trained.dataset, "root", None) == "":
        raise UserError(
            "this run was imported, and has no dataset of its own",
            where="dataset.root",
            expected="the folder of a dataset",
            received="none",
            do=f"genexp evaluate run_dir={config.run_dir} dataset.root=DIR",
        )
    if not changes:
        return trained.dataset
    if isinstance(trained.dataset, DemoConfig) and "root" not in changes:
        raise UserError(
            "the demo genes have no such setting",
            where=", ".join(f"dataset.{name}" for name in changes),
            do="leave it out, or evaluate on files with dataset.root=DIR",
        )
    own = {} if "root" in changes else {f.name: getattr(trained.dataset, f.name) for f in fields(trained.dataset)}
    return DatasetConfig(**({"name": "files"} | own | changes))


def same_window(run: RunDirectory, trained: TrainConfig, source: Source) -> tuple[int, int] | None:
    """Return the run's window, moved so that it lies around the TSS of this dataset as it did in training."""
    if "P" not in trained.data.name or source.description.promoter != "bases":
        return None
    seen = dataset_record(run)
    found = source.description
    shift = found.tss - seen["tss"]
    left, right = (edge + shift for edge in seen["window"])
    if left < 0 or right > found.promoter_length:
        raise UserError(
            "the model's window does not fit the promoters of this dataset",
            where=f"dataset.root, {found.source}",
            expected=f"promoters that hold [{left - found.tss}, {right - found.tss}) around the TSS",
            received=f"{found.promoter_length:,} nt with the TSS at {found.tss:,}",
            do="use a dataset with longer promoters, or set dataset.tss if the TSS is elsewhere",
        )
    return left, right


def prepare(config: EvaluateConfig, *, verbose: bool = False) -> Checked:
    """Check everything, and find the devices."""
    checked = check(config)
    from genexp.training.strategy import set_up_hardware

    set_up_hardware(config.hardware, verbose=verbose)
    return checked


def run(checked: Checked, directory: Path) -> None:
    """Evaluate and write the results."""
    from genexp.evaluation.report import HELD_OUT, evaluate_checkpoint, results_table, write_report

    config, trained = checked.config, checked.trained
    status = (read_metrics(checked.run) or {}).get("status", "unfinished")
    if status != "completed":
        console.warn(f"this run is {status}: its checkpoints are those of the epochs that it had done")
    dataset = load(checked.source, trained.data.name, checked.window)
    report_dataset(dataset, trained.data.name)
    wanted = {None: HELD_OUT, "all": SPLITS}.get(config.split, (str(config.split),))
    encoded = encode(dataset, trained.model)
    result = evaluate_checkpoint(checked.run, config.checkpoint, encoded, trained, wanted)
    found = {
        "model": trained.model.name,
        "data": trained.data.name,
        "run_dir": str(checked.run.path),
        "dataset": dataset.description.source,
        "fingerprint": dataset.fingerprint(),
        config.checkpoint: result.metrics,
    }
    with whole_or_nothing(checked.out) as folder:
        folder.mkdir()
        write_report(result, folder / "predictions.csv", folder / "plots", f"{found['model']}, {found['data']}")
        write_json(folder / "metrics.json", found)
        if is_evaluation(checked.out, checked.run.path):
            shutil.rmtree(checked.out)
    console.table(results_table(found, (config.checkpoint,)))
    compare_with_stored(checked, result, dataset.fingerprint())
    console.say(f"written to {display(checked.out.resolve())}")


def compare_with_stored(checked: Checked, result: Evaluated, found: str) -> None:
    """Say whether these are the metrics that the run itself reported."""
    stored = (read_metrics(checked.run) or {}).get(checked.config.checkpoint)
    own_data = all(getattr(checked.config.dataset, f.name) is None for f in fields(checked.config.dataset))
    if not stored or not own_data:
        return
    trained_on = dataset_record(checked.run)["fingerprint"]
    if trained_on != found:
        console.warn(f"the dataset has changed since the run: fingerprint {found}, in the run {trained_on}")
    both = [split for split in result.metrics if split in stored]
    worst = max((_difference(stored[s], result.metrics[s]) for s in both), default=None)
    if worst == 0:
        console.say("the same as the metrics stored with the run, to the last digit")
    elif worst is not None:
        why = "the dataset has changed" if trained_on != found else "other hardware or library versions"
        console.warn(f"differs from the metrics stored with the run by up to {worst:.2g}: {why}")


def _difference(a: dict[str, Any], b: dict[str, Any]) -> float:
    pairs = [(a[k], b[k]) for k in a if k != "r2_ci95"] + list(zip(a["r2_ci95"], b["r2_ci95"], strict=True))
    return max(abs(x - y) for x, y in pairs)
