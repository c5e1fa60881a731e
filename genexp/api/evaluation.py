"""Evaluating a finished run: metrics, predictions and plots again, on its own dataset or another."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import or_
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from genexp import console
from genexp.api.seen import SEEN, Seen, count_seen, recorded_genes
from genexp.api.training import folder_dataset, read
from genexp.config.validation import validate
from genexp.dataset.alignment import align
from genexp.dataset.config import DatasetConfig, DemoConfig
from genexp.dataset.description import DatasetDescription
from genexp.dataset.genes import SPLITS, Dataset
from genexp.dataset.labels import Matched, match
from genexp.dataset.sources import inspect
from genexp.errors import UserError
from genexp.files import free_folder, whole_or_nothing, write_json
from genexp.models import inputs
from genexp.run import EXPORTED, HELD_OUT, RunDirectory, check_checkpoint, read_metrics
from genexp.training.config import RunConfig, read_config, read_description

if TYPE_CHECKING:
    from genexp.evaluation.report import Evaluated

#: What an evaluation writes.
RESULTS = {"metrics.json", "predictions.csv", "plots"}


@dataclass(frozen=True)
class Plan:
    """An evaluation that can be started.

    `trained_on` describes the dataset of training; `matched` and `window` are what is evaluated on; `own_data` tells
    whether that is the run's own dataset, with its own settings.
    """

    run: RunDirectory
    config: RunConfig
    trained_on: DatasetDescription
    checkpoint: str
    splits: Sequence[str]
    matched: Matched
    window: tuple[int, int] | None
    own_data: bool


def check(
    run: RunDirectory, *, checkpoint: str = "best", split: str | None = None, dataset: Mapping[str, Any] | None = None
) -> Plan:
    """Look at the run and the dataset; no TensorFlow. The parameters are those of `genexp.api.Run.evaluate`."""
    config = read_config(run)
    check_checkpoint(run, checkpoint)
    trained_on = read_description(run)
    source = inspect(_chosen_dataset(run, config, dataset or {}), config.data.name)
    hint = "name a dataset like the one of training"
    if trained_on.layout == "imported":
        hint += ", or import with data=P: it leaves out the 6 half-life features of Xpresso's public weights"
    matched = match(trained_on, source)
    aligned = align(trained_on, matched.source, config.data.name, hint, own=not dataset)
    window = same_window(trained_on, source.description)
    choices: dict[str | None, Sequence[str]] = {None: HELD_OUT, "all": SPLITS, **{name: (name,) for name in SPLITS}}
    if split not in choices:
        names = [name for name in choices if name]
        raise UserError("split is impossible", expected=f"one of {', '.join(names)}", received=split)
    shapes = inputs.input_shapes(config.model, aligned.description, config.data.name, window, run.vectors)
    matched = replace(matched, source=inputs.with_encoded_size(aligned, config.model, shapes, choices[split]))
    return Plan(run, config, trained_on, checkpoint, choices[split], matched, window, not dataset)


def _chosen_dataset(run: RunDirectory, config: RunConfig, changes: Mapping[str, Any]) -> DatasetConfig | DemoConfig:
    """Return the run's own dataset with what is changed."""
    own = config.dataset
    if own is None and "root" not in changes:
        hint = f"genexp evaluate run_dir={shlex.quote(str(run.path))} dataset.root=DIR"
        raise UserError("this run was imported, and has no dataset of its own", where="dataset.root", hint=hint)
    exported = run.checkpoint("best").name == EXPORTED
    if exported and isinstance(own, DatasetConfig) and "root" not in changes:
        hint = "add dataset.root=DIR, a dataset like the one of training"
        raise UserError("a folder of genexp export has no dataset", where=f"run_dir={run.path}", hint=hint)
    if own is not None and "root" not in changes:
        return validate({**own.model_dump(mode="json"), **changes}, type(own), "dataset")
    return folder_dataset(**changes)


def same_window(trained_on: DatasetDescription, found: DatasetDescription) -> tuple[int, int] | None:
    """Return the run's window, moved so that it lies around the TSS of this dataset as it did in training.

    Without a TSS in both, the sequences must be as long as those of training.
    """
    if trained_on.window is None or found.promoter != "bases":
        return None
    if trained_on.tss is None or found.tss is None:
        if trained_on.tss == found.tss and found.promoter_length == trained_on.promoter_length:
            return trained_on.window
        what = "the model's window cannot be placed in this dataset"
        tss = ["without TSS" if d.tss is None else f"with the TSS at {d.tss:,}" for d in (trained_on, found)]
        expected, received = f"{trained_on.promoter_length:,} nt {tss[0]}", f"{found.promoter_length:,} nt {tss[1]}"
        hint = "use a dataset like the one of training"
        if found.tss is None and trained_on.tss is not None:
            hint += ", or say where the TSS is: dataset.tss=INDEX"
        raise UserError(what, where=found.source, expected=expected, received=received, hint=hint)
    left, right = (edge + found.tss - trained_on.tss for edge in trained_on.window)
    if left < 0 or right > (found.promoter_length or 0):
        what = "the model's window does not fit the promoters of this dataset"
        expected = f"promoters that hold [{left - found.tss}, {right - found.tss}) around the TSS"
        received = f"{found.promoter_length:,} nt with the TSS at {found.tss:,}"
        hint = "use a dataset with longer promoters, or set dataset.tss if the TSS is elsewhere"
        raise UserError(what, where=found.source, expected=expected, received=received, hint=hint)
    return left, right


def evaluate(plan: Plan, out: str | Path | None = None, plots: Sequence[str] = ("png",)) -> dict[str, Any]:
    """Evaluate, print the results, write them into folder `out` unless it is None, and return them as metrics.json."""
    status = (read_metrics(plan.run) or {}).get("status", "unfinished")
    if status != "completed":
        console.warn(f"this run is {status}: its checkpoints are those of the epochs that it completed")
    dataset = read_genes(plan)
    seen = count([plan], dataset, plan.run.path.name)
    result = evaluated(plan, dataset)
    found = report(plan, str(plan.run.path), plan.config.model.name, result, seen, out, plots)
    for line, warning in against_stored(plan, result.metrics, dataset):
        (console.warn if warning else console.say)(line)
    return found


def read_genes(plan: Plan) -> Dataset:
    """Read the genes to evaluate on, and print what was found."""
    for line in plan.matched.notes:
        console.say(line)
    for line in plan.matched.warnings:
        console.warn(line)
    return read(plan.matched.source, plan.config.data.name, plan.window)


def evaluated(plan: Plan, dataset: Dataset) -> Evaluated:
    """Return predictions and metrics of the run of a plan."""
    from genexp.evaluation.report import evaluate_checkpoint

    config = plan.config
    return evaluate_checkpoint(
        plan.run,
        plan.checkpoint,
        inputs.encode(dataset, config.model, console.warn, plan.splits),
        batch_size=config.training.batch_size,
        seed=config.seed,
        splits=plan.splits,
        outputs=plan.matched.outputs,
    )


def report(
    plan: Plan,
    named: str,
    model: str,
    result: Evaluated,
    seen: Seen,
    out: str | Path | None,
    plots: Sequence[str],
    **more: Any,
) -> dict[str, Any]:
    """Print results, write them into folder `out` unless it is None, and return them as metrics.json, with `more`.

    `named` is the directory of the run; of an ensemble that of the sweep, or a list, and `plan` is its first member's.
    `plots` are the formats of the plots.
    """
    from genexp.evaluation.report import results_table, tied_predictions, write_report

    dataset, tied = result.dataset, tied_predictions(result)
    found = {
        "model": model,
        "data": plan.config.data.name,
        "run_dir": named,
        **more,
        "dataset": dataset.description.source,
        "fingerprint": dataset.fingerprint(),
        **({"adapted": list(plan.matched.source.notes)} if plan.matched.source.notes else {}),
        **({SEEN: seen} if seen else {}),
        **({"warnings": tied} if tied else {}),
        plan.checkpoint: result.metrics,
    }
    if out is not None:
        target = Path(out)
        with whole_or_nothing(target) as folder:
            folder.mkdir()
            title = f"{found['model']}, {found['data']}"
            write_report(result, folder / "predictions.csv", folder / "plots", title, formats=plots)
            write_json(folder / "metrics.json", found)
            if _is_evaluation(target, named):
                shutil.rmtree(target)
    console.table(results_table(found, (plan.checkpoint,)))
    for line in tied:
        console.warn(line)
    return found


def count(plans: Sequence[Plan], dataset: Dataset, name: str) -> Seen:
    """Count the genes that some runs, called `name`, were trained on, unless this is their own dataset, unchanged."""
    if all(plan.own_data and dataset.fingerprint() == plan.trained_on.fingerprint for plan in plans):
        return {}
    recorded = [recorded_genes(plan.run) for plan in plans]
    known = [genes for genes in recorded if genes is not None]
    union = reduce(or_, known) if len(known) == len(recorded) else None
    return count_seen(name, union, plans[0].matched.source, dataset, plans[0].splits)


def against_stored(plan: Plan, metrics: Mapping[str, Any], dataset: Dataset) -> Iterator[tuple[str, bool]]:
    """Yield whether these are the metrics that the run itself reported, each sentence with whether it is a warning."""
    stored = (read_metrics(plan.run) or {}).get(plan.checkpoint)
    if not stored or not plan.own_data:
        return
    found, trained_on = dataset.fingerprint(), plan.trained_on.fingerprint
    if trained_on != found:
        yield f"the dataset has changed since the run: fingerprint {found}, in the run {trained_on}", True
    worst = max((_difference(stored[s], metrics[s]) for s in metrics if s in stored), default=None)
    if worst == 0:
        yield "the same as the metrics stored with the run, to the last digit", False
    elif worst is not None:
        why = "the dataset has changed" if trained_on != found else "other hardware or library versions"
        yield f"differs from the metrics stored with the run by up to {worst:.2g}: {why}", True


def results_folder(named: str, checkpoint: str, split: str | None, root: str | None, out: str | None) -> Path:
    """Return the folder to write: a free one, or one with an earlier evaluation of the same run, which is replaced."""
    other = f"-{Path(root).name}" if root else ""
    own = Path(named) / f"evaluation-{checkpoint}-{split or 'valid-test'}{other}"
    folder = Path(out).expanduser().resolve() if out else own
    return folder if _is_evaluation(folder, named, root) else free_folder(str(folder))


def _is_evaluation(folder: Path, named: str, root: str | None = None) -> bool:
    """Tell whether a folder holds an evaluation of a run, wherever the run was then, and nothing else.

    Where `root` is a dataset, it must be an evaluation on this one.
    """
    if not (folder / "metrics.json").is_file() or {path.name for path in folder.iterdir()} - RESULTS:
        return False
    found = read_metrics(RunDirectory(folder)) or {}
    if root and found.get("dataset") != str(Path(root).expanduser().resolve()):
        return False
    return folder.parent == Path(named) or found.get("run_dir") == named


def _difference(stored: Mapping[str, Any], found: Mapping[str, Any]) -> float:
    """Return the largest difference between the metrics that two results have in common.

    Intervals are left out: earlier versions computed them in another way.
    """
    largest = 0.0
    common = [name for name in found if name in stored and name != "r2_ci95"]
    for ours, theirs in ((stored[name], found[name]) for name in common):
        if isinstance(ours, dict) and isinstance(theirs, dict):
            largest = max(largest, _difference(ours, theirs))
        elif not isinstance(ours, dict) and not isinstance(theirs, dict):
            largest = max(largest, float(np.abs(np.subtract(ours, theirs)).max(initial=0)))
    return largest
