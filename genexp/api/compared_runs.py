"""The rows of a comparison: groups of runs, and their baselines, with the test genes and predictions of each run."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from genexp.api.found import find_runs
from genexp.api.groups import Group, Member, group_members, read_member
from genexp.api.runs import Run
from genexp.errors import UserError
from genexp.evaluation.baselines import SHUFFLED
from genexp.evaluation.metrics import mean_r2
from genexp.evaluation.repeats import over_folds
from genexp.evaluation.tables import prediction_columns
from genexp.files import damage_reported, in_short
from genexp.run import RunDirectory, damage, read_metrics, unreadable
from genexp.training.config import read_description

if TYPE_CHECKING:
    import pandas as pd

#: Predictions of baselines for the test genes, (n, labels) float64, by name and blocks.
Beside = Mapping[tuple[str, str], np.ndarray]
#: r2 in metrics.json and r2 of predictions.csv agree but for the order of sums.
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Genes:
    """What runs must have in common to be compared: labels and genes of one fold; test and validation as digests."""

    labels: tuple[str, ...]
    unit: str | None
    numbers: tuple[tuple[str, int], ...]
    fold: int | None
    test: str
    valid: str

    def differs(self, other: Genes) -> str:
        """Return in words the first thing in which other genes differ from these."""
        numbers = (", ".join(f"{n:,} {split}" for split, n in genes.numbers) for genes in (self, other))
        for differs, what in (
            (self.labels != other.labels, f"labels {', '.join(self.labels)} / {', '.join(other.labels)}"),
            (self.unit != other.unit, f"labels in {self.unit} / {other.unit}"),
            (self.numbers != other.numbers, "genes: " + " / ".join(numbers)),
            (self.test != other.test, "other test genes, or other labels of them"),
            (self.valid != other.valid, "other validation genes, or other labels of them"),
        ):
            if differs:
                return what
        return "other folds"


@dataclass(frozen=True)
class Row:
    """What is compared: a group of runs, or a baseline, with metrics and test genes of each member.

    `predictions` are those of each member for the test genes, (n, labels) float64; empty where a baseline has none.
    `beside` are likewise those of the baselines of each member, by name and blocks.
    """

    name: str
    model: str
    data: str
    members: tuple[Member, ...]
    metrics: tuple[Mapping[str, Any], ...]
    genes: tuple[Genes, ...]
    predictions: tuple[np.ndarray, ...]
    labels: Mapping[Genes, np.ndarray]
    beside: tuple[Beside, ...] = ()
    baseline: bool = False

    def by_fold(self) -> list[list[int]]:
        """Return the places of the members of each fold, in the order of the folds."""
        return [[n for n, genes in enumerate(self.genes) if genes == fold] for fold in folds_of(self.genes)]

    def values(self) -> list[Mapping[str, Any]]:
        """Return the metrics of each run; of a cross-validation the means of the runs of each fold."""
        return over_folds(self.metrics, [genes.fold for genes in self.genes])


def folds_of(genes: Iterable[Genes]) -> tuple[Genes, ...]:
    """Return the genes of each fold, once, in the order of the folds."""
    return tuple(sorted(dict.fromkeys(genes), key=lambda each: each.fold or 0))


def grouped(named: str | Path | Iterable[str | Path]) -> tuple[list[Group], list[dict[str, str]]]:
    """Return the runs that have results, in groups, and the others."""
    runs, begun = find_runs(named)
    left_out = [{"directory": str(path), "status": "not started", "group": ""} for path in begun]
    completed = []
    for run in map(RunDirectory, runs):
        try:
            metrics = read_metrics(run) or {}
            status = metrics.get("status", "not finished")
            tested = "test" in metrics.get("best", {})
            if status == "completed" and run.predictions.is_file() and tested:
                read_description(run)  # without it the run would be a group of its own
                completed.append(read_member(run.path))
                continue
        except UserError as error:
            left_out.append({"directory": str(run.path), "status": damage(error), "group": ""})
            continue
        if status == "completed":
            status = "without predictions.csv" if tested else "not tested"
        of = " ".join(str(metrics[key]) for key in ("model", "data") if key in metrics)
        left_out.append({"directory": str(run.path), "status": status, "group": of})
    return group_members(completed), left_out


def read_row(group: Group, left_out: list[dict[str, str]]) -> Row | None:
    """Return a group with its predictions; None if no member can be read.

    Members that cannot be read are left out, and those with the seed and fold of another.
    """
    members, genes, predictions, labels, beside = [], [], [], {}, []
    known: set[tuple[int, int | None]] = set()
    for member in group.members:
        if (member.config.seed, member.fold) in known:
            status = f"with seed {member.config.seed} a second time"
            left_out.append({"directory": str(member.run.path), "status": status, "group": group.name})
            continue
        try:
            found, mine, values, others = _read(member)
        except UserError as error:
            left_out.append({"directory": str(member.run.path), "status": damage(error), "group": group.name})
            continue
        known.add((member.config.seed, member.fold))
        members.append(member)
        genes.append(found)
        predictions.append(values)
        labels[found] = mine
        beside.append(others)
    if not members:
        return None
    config = members[0].config
    metrics = tuple(member.metrics["best"]["test"] for member in members)
    whole = (group.name, config.model.name, config.data.name, tuple(members), metrics, tuple(genes))
    return Row(*whole, tuple(predictions), labels, tuple(beside))


def _read(member: Member) -> tuple[Genes, np.ndarray, np.ndarray, Beside]:
    """Return the genes of a run; labels and predictions of its test genes, (n, labels) float64; those of baselines."""
    path, described = member.run.predictions, read_description(member.run)
    table = Run(member.run.path).predictions
    columns, number = prediction_columns(described.labels), len(described.labels)
    values = _of_test(path, table, columns)
    with damage_reported(lambda error: unreadable(path, in_short(error))):
        digests = {split: _digest(table[table["split"] == split], columns[:number]) for split in ("test", "valid")}
    labels, predictions = values[:, :number], values[:, number:]
    _check_r2(path, labels, predictions, member.metrics["best"])
    genes = Genes(described.labels, described.unit, tuple(described.genes.items()), member.fold, **digests)
    return genes, labels, predictions, _baselines_of(member, labels, described.labels)


def _baselines_of(member: Member, labels: np.ndarray, names: Sequence[str]) -> Beside:
    """Return the predictions of the baselines of a run; those of shuffled labels are not written."""
    path, found = member.run.baselines, {}
    if not path.is_file():
        return {}
    table = Run(member.run.path).baselines
    for each in member.metrics.get("baselines", ()):
        if not each["name"].startswith(SHUFFLED):
            values = _of_test(path, table, prediction_columns(names, [f"{each['name']}_{each['data']}"]))
            _check_r2(path, labels, values, each["best"])
            found[each["name"], each["data"]] = values
    return found


def _of_test(path: Path, table: pd.DataFrame, columns: Sequence[str]) -> np.ndarray:
    """Return columns of the test genes in the table of a file, (n, columns) float64."""
    if missing := [column for column in ("gene", "split", *columns) if column not in table]:
        raise unreadable(path, f"no column {missing[0]}")
    with damage_reported(lambda error: unreadable(path, in_short(error))):
        return table.loc[table["split"] == "test", list(columns)].to_numpy(np.float64)


def _check_r2(path: Path, labels: np.ndarray, predictions: np.ndarray, best: Mapping[str, Any]) -> None:
    """Raise a UserError unless a table has the predictions whose metrics, by split, stand in metrics.json."""
    stored = best["test"]["r2"]
    if not len(predictions) or len(labels) != len(predictions):
        raise unreadable(path, f"{len(predictions)} test genes, of {len(labels)}" if len(labels) else "no test genes")
    with damage_reported(lambda error: unreadable(path, in_short(error))):
        same = abs(mean_r2(labels, predictions) - stored) <= _ROUNDING
    if not same:
        raise unreadable(path, f"its test r2 is not that of metrics.json, {stored:.6f}")


def _digest(rows: pd.DataFrame, labels: Sequence[str]) -> str:
    """Return a text that changes with any gene or label."""
    digest = hashlib.blake2b("\n".join(rows["gene"]).encode(), digest_size=8)
    digest.update(np.ascontiguousarray(rows[list(labels)].to_numpy(np.float64)).data)
    return digest.hexdigest()


def baselines(rows: Sequence[Row]) -> list[Row]:
    """Return a row for each baseline that the runs report; runs with another window may have another."""
    found: dict[tuple[str, str], dict[tuple[float, ...], Row]] = defaultdict(dict)
    for row in rows:
        kinds = {(b["name"], b["data"]) for member in row.members for b in member.metrics.get("baselines", ())}
        for kind in sorted(kinds):
            if (made := _baseline(row, *kind)) is not None:
                found[kind].setdefault(tuple(m["r2"] for m in made.metrics), made)
    several = [name for name, by_r2 in found.items() if len(by_r2) > 1]
    return [
        replace(row, name=" ".join(kind) + (f" beside {row.name}" if kind in several else ""))
        for kind, by_r2 in found.items()
        for row in by_r2.values()
    ]


def _baseline(row: Row, name: str, data: str) -> Row | None:
    """Return one baseline of a row, with a member for each fold; None unless each fold has it."""
    members, metrics, predictions = [], [], []
    for places in row.by_fold():
        for place in places:
            reported = row.members[place].metrics.get("baselines", ())
            best = next((b["best"]["test"] for b in reported if (b["name"], b["data"]) == (name, data)), None)
            if best is not None:
                members.append(row.members[place])
                metrics.append(best)
                predictions += [row.beside[place][name, data]] if (name, data) in row.beside[place] else []
                break
    genes = folds_of(row.genes)
    if len(members) < len(genes):
        return None
    return Row(
        row.name, name, data, tuple(members), tuple(metrics), genes, tuple(predictions), row.labels, baseline=True
    )
