"""Several runs as one model: the mean of their predictions, and how far the runs are apart."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from glob import has_magic
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from genexp import console
from genexp.api import evaluation
from genexp.api.found import find_runs
from genexp.api.runs import Run
from genexp.api.using import Using
from genexp.blocks import PROMOTER
from genexp.dataset.description import DatasetDescription, listed
from genexp.dataset.scaling import scales_of
from genexp.errors import UserError
from genexp.evaluation.figure_formats import known
from genexp.evaluation.metrics import label_metrics
from genexp.evaluation.repeats import mean_and_sd, plain, summaries
from genexp.run import check_checkpoint, damage, find_run, runs_inside
from genexp.training.config import RunConfig
from genexp.training.strategy import import_tensorflow

if TYPE_CHECKING:
    import pandas as pd

    from genexp.arrays import Embedded, Features, PerGene, PerLabel, Tokens
    from genexp.evaluation.report import Evaluated


class Predicted(NamedTuple):
    """Predictions of an ensemble: mean and standard deviation (n - 1) over its members, (n,) or (n, labels) float32."""

    mean: PerGene | PerLabel
    sd: PerGene | PerLabel


class Ensemble(Using):
    """Runs whose predictions are averaged.

    Parameters
    ----------
    runs
        A directory that holds run directories, such as that of a sweep; a pattern; or a list of run directories. Of a
        directory or pattern, runs without results, or that cannot be read, are left out with a warning.

    Raises
    ------
    UserError
        If there are fewer than two runs, if a run of a list has no results or is damaged, or if the runs differ in
        blocks, labels, or names or scales of either.
    """

    def __init__(self, runs: str | Path | Iterable[str | Path]) -> None:
        named = [runs] if isinstance(runs, str | Path) else list(runs)
        if not named:
            raise UserError("an ensemble needs at least two runs", where="run_dir", received="none")
        found, begun = find_runs(named, "run_dir")
        every = {run: _status(run, among_many=len(named) == 1) for run in map(Run, found)}
        usable = [run for run, status in every.items() if status == "completed"]
        unusable = dict.fromkeys(begun, "not started")
        unusable |= {run.path: status for run, status in every.items() if run not in usable}
        for path, status in unusable.items():
            if len(named) > 1:
                what, hint = "a member of the ensemble has no results", "leave it out"
                raise UserError(what, where=path, received=f"status: {status}", hint=hint)
            console.warn(f"left out of the ensemble: {path.name}, {status}")
        if len(usable) < 2 and len(named) > 1:
            hint = f"name each run once; one run alone: run_dir={shlex.quote(str(found[0]))}"
            raise UserError("the same run is named twice", where=f"run_dir=[{','.join(map(str, named))}]", hint=hint)
        if len(usable) < 2:
            raise UserError("an ensemble needs at least two runs", where=f"run_dir={named[0]}", received=len(usable))
        self.runs: tuple[Run, ...] = tuple(usable)
        #: As the user may give it: the one directory, or a list of the runs.
        self.named = str(Path(named[0]).expanduser().resolve()) if len(named) == 1 else f"[{','.join(map(str, found))}]"
        for run in self.runs[1:]:
            _check_like(self.runs[0], run)

    def __repr__(self) -> str:
        return f"Ensemble({self.named!r})"

    @property
    def path(self) -> Path:
        """The directory of the first member."""
        return self.runs[0].path

    @property
    def config(self) -> RunConfig:
        """The config of the first member."""
        return self.runs[0].config

    @property
    def dataset(self) -> DatasetDescription:
        """The description of the dataset of the first member."""
        return self.runs[0].dataset

    def check(
        self, *, checkpoint: str = "best", split: str | None = None, dataset: Mapping[str, Any] | None = None
    ) -> list[evaluation.Plan]:
        """Look at runs and dataset; no TensorFlow. The parameters are those of `evaluate`."""
        if "root" not in (dataset or {}):
            _check_own_dataset(self.runs)
        return [evaluation.check(run.files, checkpoint=checkpoint, split=split, dataset=dataset) for run in self.runs]

    def evaluate(
        self,
        *,
        checkpoint: str = "best",
        split: str | None = None,
        dataset: Mapping[str, Any] | None = None,
        out: str | Path | None = None,
        plots: str | Sequence[str] = "png",
        progress: bool = True,
    ) -> dict[str, Any]:
        """Compute the metrics of the mean prediction; parameters and errors are those of `Run.evaluate`.

        Returns
        -------
        dict
            As of `Run.evaluate`. ``members`` has the directories, and by split the mean, standard deviation and 95 %
            interval of each metric over the members (``best`` or ``last``), and ``prediction_sd``: the standard
            deviation over members of a prediction, as the mean over genes and labels.
        """
        with console.quiet(not progress):
            formats, plans = known(plots), self.check(checkpoint=checkpoint, split=split, dataset=dataset)
            import_tensorflow()
            folder = None if out is None else evaluation.results_folder(self.named, checkpoint, split, None, str(out))
            return self.evaluated(plans, folder, formats)

    def evaluated(
        self, plans: Sequence[evaluation.Plan], out: Path | None, plots: Sequence[str] = ("png",)
    ) -> dict[str, Any]:
        """Evaluate the members one after another, print the results, write them and return them as metrics.json."""
        first, checkpoint = plans[0], plans[0].checkpoint
        found = list(_each(plans))
        result = _joined(found, self.config.seed)
        each = {split: plain(summaries([member.metrics[split] for member in found])) for split in first.splits}
        spread = {split: float(values.mean()) for split, values in (result.spread or {}).items()}
        directories = [str(run.path) for run in self.runs]
        members = {"directories": directories, checkpoint: each, "prediction_sd": spread}
        seen = evaluation.count(plans, result.dataset, f"the {len(plans)} members")
        models = ", ".join(dict.fromkeys(run.config.model.name for run in self.runs))
        title = f"ensemble of {len(plans)}: {models}"
        content = evaluation.report(first, self.named, title, result, seen, out, plots, members=members)
        for split, metrics in each.items():
            r2 = metrics["r2"]
            console.say(
                f"{split}, members alone: Pearson r² {r2['mean']:.3f} on average, sd {r2['sd']:.3f}; "
                f"mean sd of a prediction over members: {spread[split]:.3f}"
            )
        return content

    def predict(
        self,
        promoters: Tokens | Embedded | str | Path | None = None,
        features: Mapping[str, Features | pd.DataFrame] | None = None,
        *,
        checkpoint: str = "best",
    ) -> Predicted:
        """Predict the expression of other promoters; parameters and errors are those of `Run.predict`."""
        from genexp.api.prediction import Predictor, predict

        found = predict(Predictor(self, checkpoint), promoters, features or {})
        return Predicted(*mean_and_sd(found[:, :, 0] if found.shape[2] == 1 else found))


def open_runs(named: Sequence[str]) -> Run | Ensemble:
    """Return the run of a key ``run_dir``, or the ensemble of a list, or of a directory that holds runs."""
    place = Path(named[0])
    holds_runs = not (place / "config.yaml").is_file() and runs_inside(place)
    if len(named) > 1 or holds_runs or (has_magic(named[0]) and not place.exists()):
        return Ensemble(named)
    return Run(find_run(place).path)


def _status(run: Run, *, among_many: bool) -> str:
    """Return how a run ended, or, `among_many` in a directory, why it cannot be read; else that is an error."""
    try:
        status = str(run.metrics.get("status", "not finished"))
        if status == "completed":
            _made_for(run)
            check_checkpoint(run.files, "best")
        return status
    except UserError as error:
        if among_many:
            return damage(error)
        raise


def _each(plans: Sequence[evaluation.Plan]) -> Iterator[Evaluated]:
    """Yield predictions and metrics of each member; one model is in memory at a time."""
    read, dataset, agree = None, None, 0
    genes: dict[str, list[str]] = {}
    for number, plan in enumerate(plans, 1):
        console.say(f"member {number} of {len(plans)}: {plan.run.path.name}")
        if dataset is None or read != (plan.matched, plan.window):
            read, dataset = (plan.matched, plan.window), evaluation.read_genes(plan)
        names = {split: dataset.splits[split].genes.tolist() for split in plan.splits}
        genes = genes or names
        if names != genes:
            hint = "leave it out, or set dataset.drop_ambiguous=false"
            raise UserError("members of the ensemble read different genes", where=plan.run.path, hint=hint)
        result = evaluation.evaluated(plan, dataset)
        for line, warning in evaluation.against_stored(plan, result.metrics, dataset):
            agree += not warning
            if warning:
                console.warn(line)
        yield result
    if agree == len(plans):
        console.say("each member has the metrics stored with its run, to the last digit")


def _joined(found: Sequence[Evaluated], seed: int) -> Evaluated:
    """Return predictions and metrics of an ensemble from those of its members."""
    dataset = found[0].dataset
    predictions, spread, metrics = {}, {}, {}
    for split in found[0].predictions:
        predictions[split], spread[split] = mean_and_sd([member.predictions[split] for member in found])
        labels, names = dataset.splits[split].labels, dataset.description.labels
        metrics[split] = label_metrics(labels, predictions[split], names, seed=seed)
    return replace(found[0], predictions=predictions, metrics=metrics, spread=spread)


def _check_like(first: Run, other: Run) -> None:
    """Raise a UserError unless the predictions of two runs can be averaged."""
    theirs = _made_for(other)
    for what, mine in _made_for(first).items():
        if mine != theirs.get(what):
            hint = "name runs that agree; genexp compare shows others side by side"
            found = {"expected": mine, "received": theirs.get(what, "none")}
            raise UserError(f"members of an ensemble differ in {what}", where=other.path, **found, hint=hint)


def _made_for(run: Run) -> dict[str, str]:
    """Return what the members of an ensemble have in common, as text."""
    described = run.dataset
    found = {"blocks": run.config.data.name, "labels": listed(described.labels), "unit": described.unit or "unknown"}
    names = {letter: described.feature_names.get(letter, ()) for letter in found["blocks"] if letter != PROMOTER}
    for part, columns in {"label": described.labels, **names}.items():
        found[f"columns of {part}"] = ", ".join(columns)
        found[f"scale of {part}"] = "; ".join(map(str, scales_of(described, part, columns) or ("unknown",)))
    return found


def _check_own_dataset(runs: Sequence[Run]) -> None:
    """Raise a UserError unless all runs have one dataset: test genes of one may be training genes of another."""
    datasets = [_settings(run) for run in runs]
    for run, settings in zip(runs, datasets, strict=True):
        if settings != datasets[0]:
            different = [key for key in datasets[0] | settings if datasets[0].get(key) != settings.get(key)]
            expected, received = (
                ", ".join(f"dataset.{key}={each.get(key)}" for key in different) for each in (datasets[0], settings)
            )
            what = "the runs have different datasets: test genes of one may be training genes of another"
            hint = "evaluate them on genes that none has seen: dataset.root=DIR"
            raise UserError(what, where=run.path, expected=expected, received=received, hint=hint)


def _settings(run: Run) -> dict[str, Any]:
    """Return which genes a run was trained on, as its config says."""
    dataset = run.config.dataset
    return dataset.model_dump(mode="json", exclude={"stream"}) if dataset else {}
