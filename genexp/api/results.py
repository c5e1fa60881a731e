"""What the runs of a sweep found together: means with intervals, out-of-fold predictions, and what failed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genexp import console
from genexp.api.groups import Group, Member, group_members, read_member
from genexp.api.jobs import DONE, Ended, outcome_of
from genexp.api.runs import Run
from genexp.api.training import relative
from genexp.dataset.scaling import scales_of
from genexp.errors import UserError
from genexp.evaluation.metrics import label_metrics
from genexp.evaluation.repeats import Summary, over_folds, plain, summaries
from genexp.evaluation.sweep import groups_table, metrics_table, sweep_table
from genexp.evaluation.tables import prediction_columns
from genexp.files import damage_reported, in_short, write_atomically, write_csv, write_json
from genexp.run import CHECKPOINTS, HELD_OUT, UNUSABLE, read_json, read_table, resume_command, unreadable
from genexp.training.config import read_description

if TYPE_CHECKING:
    import pandas as pd

#: What is written into a sweep directory beside the runs.
SUMMARY, TABLE, OUT_OF_FOLD = "summary.json", "summary.csv", "out_of_fold.csv"
COLUMNS = ("group", "checkpoint", "split", "label", "metric", "n", "mean", "sd", "low", "high")
#: Columns that hold names, by table.
NAMES = {TABLE: COLUMNS[:5], OUT_OF_FOLD: ("group", "gene")}
#: Rows of the closing table, tables of means and error messages that are shown at most.
MOST_ROWS, MOST_TABLES, MOST_ERRORS = 40, 3, 10
#: The split of `OUT_OF_FOLD` in the summary.
POOLED = "out_of_fold"


@dataclass(frozen=True)
class Found:
    """What a group of runs found, by checkpoint and split, then by metric; and its out-of-fold predictions, if any.

    Runs that repeat seed and fold of another, on other hardware perhaps, are in no mean.
    """

    group: Group
    metrics: Mapping[str, Mapping[str, Mapping[str, Any]]]
    predictions: pd.DataFrame | None = None
    pooled: Mapping[str, Any] | None = None


def _found(group: Group) -> Found:
    metrics = {}
    for checkpoint in CHECKPOINTS:
        each = [member.metrics.get(checkpoint, {}) for member in group.distinct]
        splits = [split for split in HELD_OUT if all(split in found for found in each)]
        folds = [member.fold for member in group.distinct]
        metrics[checkpoint] = {split: summaries(over_folds([one[split] for one in each], folds)) for split in splits}
    predictions = out_of_fold(group)
    return Found(group, metrics, predictions, None if predictions is None else _pooled(group, predictions))


def out_of_fold(group: Group) -> pd.DataFrame | None:
    """Return the predictions of all test genes of all folds, for each seed; None of runs that are no folds.

    The columns are seed, fold, gene, and labels and predictions as in predictions.csv. Where the folds scaled their
    labels in different ways, both are in the unit before scaling.
    """
    import pandas as pd

    members = [member for member in group.distinct if member.fold is not None and member.run.predictions.is_file()]
    if len({member.fold for member in members}) < 2:
        return None
    members.sort(key=lambda member: (member.config.seed, member.fold or 0))
    columns = prediction_columns(_labels(members[0]))
    scales, tables = [_scales(member) for member in members], []
    unscale = None not in scales and any(each != scales[0] for each in scales)
    for member, own in zip(members, scales, strict=True):
        table = _of_fold(member)
        if unscale:
            for column, (mean, sd) in zip(columns, 2 * (own or []), strict=True):
                table[column] = table[column] * sd + mean
        table.insert(0, "seed", member.config.seed)
        table.insert(1, "fold", member.fold)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def _of_fold(member: Member) -> pd.DataFrame:
    """Return genes, labels and predictions of the test genes of a run."""
    table = Run(member.run.path).predictions
    with damage_reported(lambda error: unreadable(member.run.predictions, in_short(error))):
        columns = prediction_columns(_labels(member))
        return table.loc[table["split"] == "test", ["gene", *columns]].astype(dict.fromkeys(columns, float))


def _labels(member: Member) -> tuple[str, ...]:
    return read_description(member.run).labels


def _scales(member: Member) -> list[tuple[float, float]] | None:
    """Return mean and sd by which each label was scaled; None where that is not recorded."""
    described = read_description(member.run)
    scales = scales_of(described, "label", described.labels)
    return None if scales is None else [(scale.mean, scale.sd) for scale in scales]


def _pooled(group: Group, predictions: pd.DataFrame) -> dict[str, Any] | None:
    """Return the metrics of out-of-fold predictions of each seed that has all folds, and their summary over seeds.

    None if no seed has all.
    """
    names = _labels(group.completed[0])
    n, columns, folds = len(names), prediction_columns(names), sorted({int(fold) for fold in predictions["fold"]})
    of_seed = {str(seed): mine for seed, mine in predictions.groupby("seed")}
    both = {seed: m[columns].to_numpy(float) for seed, m in of_seed.items() if m["fold"].nunique() == len(folds)}
    if not both:
        return None
    each = {seed: label_metrics(values[:, :n], values[:, n:], names) for seed, values in both.items()}
    partial = [seed for seed in of_seed if seed not in both]
    return {"folds": folds, "seeds": each, "seeds_without_some_folds": partial, **summaries([*each.values()])}


def write_results(
    directory: Path, found: Sequence[Found], command: str, failed: Mapping[str, Mapping[str, str]]
) -> None:
    """Write summary.json, summary.csv and, of folds, out_of_fold.csv; `failed` are status and error by run."""
    groups = [
        {
            "name": each.group.name,
            "runs": [_place(member.run.path, directory) for member in each.group.completed],
            "seeds": sorted({member.config.seed for member in each.group.completed}),
            "folds": sorted({member.fold for member in each.group.completed if member.fold is not None}),
            **{checkpoint: plain(metrics) for checkpoint, metrics in each.metrics.items()},
            **({POOLED: plain(each.pooled)} if each.pooled else {}),
        }
        for each in found
    ]
    write_json(directory / SUMMARY, {"format": 1, "command": command, "groups": groups, "without_result": dict(failed)})
    write_csv(directory / TABLE, COLUMNS, [row for each in found for row in _rows(each)])
    tables = [(each.group.name, each.predictions) for each in found if each.predictions is not None]
    if tables:
        import pandas as pd

        whole = pd.concat(dict(tables), names=["group"]).reset_index("group")
        if len(tables) == 1:
            whole = whole.drop(columns="group")
        write_atomically(directory / OUT_OF_FOLD, whole.to_csv(index=False))


def _place(path: Path, directory: Path) -> str:
    return str(path.relative_to(directory) if path.is_relative_to(directory) else path)


def _rows(found: Found) -> Iterator[list[Any]]:
    """Yield the rows of summary.csv of one group."""
    splits = [(checkpoint, split, m) for checkpoint, all_ in found.metrics.items() for split, m in all_.items()]
    if found.pooled:
        splits.append(("best", POOLED, found.pooled))
    for checkpoint, split, metrics in splits:
        by_label = {"": metrics, **metrics.get("labels", {})}
        for label, own in by_label.items():
            for metric, summary in own.items():
                if isinstance(summary, Summary):
                    yield [found.group.name, checkpoint, split, label, metric, *asdict(summary).values()]


def report(
    directory: Path, jobs: Sequence[Path], command: str, ended: Sequence[Ended] = (), resume: str | None = None
) -> int:
    """Print what the runs of a sweep found, and what failed; write it into the sweep directory.

    `ended` says more of jobs of this process than their directories do. `resume` is the command that does what is
    missing, where that is not all in this process.

    Returns
    -------
    int
        The exit code: 0 if all runs are completed.
    """
    outcomes = {job: outcome_of(job) for job in jobs}
    outcomes |= {each.job.directory: (each.status, each.error) for each in ended if each.job.directory}
    members = []
    for job in (job for job, (status, _) in outcomes.items() if status == "completed"):
        try:
            member = read_member(job)
            if member.fold is not None and member.run.predictions.is_file():
                _of_fold(member)
            members.append(member)
        except UserError as error:  # a damaged file of one run hides no other run
            outcomes[job] = UNUSABLE, str(error)
    failed = {job: outcome for job, outcome in outcomes.items() if outcome[0] != "completed"}
    if shown := failed if len(jobs) > MOST_ROWS else outcomes:
        console.table(sweep_table({job: status for job, (status, _) in shown.items()}))
    found = [_found(group) for group in group_members(members)]
    without = {_place(job, directory): {"status": status, "error": e} for job, (status, e) in failed.items()}
    write_results(directory, found, command, without)
    _print_means(found)
    for place, outcome in [*without.items()][:MOST_ERRORS]:
        console.warn(f"{place} {outcome['status']}" + (f": {outcome['error']}" if outcome["error"] else ""))
    completed = f"{len(jobs) - len(failed)} of {len(jobs)} runs completed"
    console.say(f"{completed}, see {SUMMARY} and {TABLE}: {relative(directory)}")
    left = [status for status, _ in failed.values() if status not in DONE]
    if left:
        first = "delete the directory of each that is unusable; then " * (UNUSABLE in left)
        again = resume or resume_command(relative(directory))
        console.warn(f"{len(left)} left; {first}do what is missing with: {again}")
    return max([each.code or 2 for each in ended if each.job.directory in failed], default=2) if failed else 0


def _print_means(found: Sequence[Found]) -> None:
    """Print means and intervals of groups that have several runs."""
    several = [each for each in found if len(each.group.distinct) > 1]
    if len(several) > MOST_TABLES:
        console.table(groups_table([(each.group.name, each.metrics["best"]) for each in several]))
    for each in several:
        if len(several) <= MOST_TABLES:
            runs, of = len(each.group.distinct), {member.fold for member in each.group.distinct}
            averaged = f" ({len(of)} folds, each with the mean of its runs)" * (None not in of and 1 < len(of) < runs)
            title = f"{each.group.name}: mean of {runs} runs{averaged}, best checkpoint"
            console.table(metrics_table(title, each.metrics["best"]))
        if each.pooled:
            genes = max(of_seed["n"] for of_seed in each.pooled["seeds"].values())
            folds, r2 = len(each.pooled["folds"]), each.pooled["r2"].mean
            partial = len(each.pooled["seeds_without_some_folds"])
            without = f" ({partial} seed{'s' * (partial > 1)} without some folds left out)" if partial else ""
            console.say(
                f"out of fold: {genes:,} genes of {folds} folds, Pearson r² {r2:.3f}{without}, see {OUT_OF_FOLD}"
            )
        if again := len(each.group.completed) - len(each.group.distinct):
            console.warn(
                f"{each.group.name}: {again} of its runs repeat seed and fold of another, and count in no mean"
            )


class Runs:
    """The runs of a sweep directory, which `genexp.train_many`, ``genexp train repeats=10`` or ``-m`` wrote.

    Parameters
    ----------
    path
        The directory.

    Raises
    ------
    UserError
        If it is not one.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser().resolve()
        self._summary = read_json(self.path / SUMMARY)

    def __repr__(self) -> str:
        return f"Runs({str(self.path)!r})"

    def __len__(self) -> int:
        return len(self.runs)

    @property
    def runs(self) -> list[Run]:
        """The runs that are completed, in groups that differ only in seed or fold."""
        return [Run(self.path / name) for group in self._summary["groups"] for name in group["runs"]]

    @property
    def failed(self) -> dict[str, str]:
        """The error messages of the runs without a result, by the names of their directories."""
        return {name: found["error"] for name, found in self._summary["without_result"].items()}

    def summary(self) -> pd.DataFrame:
        """Return n, mean, sd and 95 % t interval of each metric: a row for each group, checkpoint, split and label."""
        return self._table(TABLE)

    @property
    def out_of_fold(self) -> pd.DataFrame:
        """The predictions of all test genes of all folds: seed, fold, gene, label, prediction."""
        return self._table(OUT_OF_FOLD)

    def _table(self, name: str) -> pd.DataFrame:
        path = self.path / name
        if not path.is_file():
            hint = "it is written for the folds of a dataset"
            raise UserError(f"this sweep has no {name}", where=self.path, hint=hint)
        return read_table(path, NAMES[name])
