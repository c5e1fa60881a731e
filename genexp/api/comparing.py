"""Comparing runs: groups that differ in more than seed or fold, on the same test genes, with tests between them."""

from __future__ import annotations

import hashlib
import shlex
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np

from genexp import console
from genexp.api.found import find_runs
from genexp.api.groups import Group, Member, group_members, read_member
from genexp.api.runs import Run
from genexp.errors import UserError
from genexp.evaluation.baselines import SHUFFLED
from genexp.evaluation.comparison import compare_folds, compare_runs, holm
from genexp.evaluation.comparison_report import LISTED, as_markdown, groups_frame, runs_frame, tables, tests_frame
from genexp.evaluation.metrics import by_label, mean_r2, r2
from genexp.evaluation.repeats import over_folds, plain, summaries
from genexp.evaluation.tables import prediction_columns
from genexp.files import damage_reported, free_folder, in_short, whole_or_nothing, write_atomically, write_json
from genexp.run import RunDirectory, damage, read_metrics, unreadable
from genexp.training.config import read_description

if TYPE_CHECKING:
    import pandas as pd

#: Fewer test genes say too little of r2 for a test.
FEWEST_GENES = 30
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


@dataclass(frozen=True)
class Comparison:
    """Groups of runs beside one another, and tests between them.

    Attributes
    ----------
    content
        Plain values, as comparison.json has them: ``sets`` of ``groups`` with the same test genes and the ``tests``
        between them, runs that were ``left_out``, and ``notes``, sentences.
    """

    content: dict[str, Any]

    @property
    def groups(self) -> pd.DataFrame:
        """One row per group, label and metric: n, mean, sd, and the 95 % interval from low to high."""
        return groups_frame(self.content)

    @property
    def tests(self) -> pd.DataFrame:
        """One row per label and pair of groups: difference of mean r2, 95 % interval, p, and p adjusted after Holm."""
        return tests_frame(self.content)

    @property
    def runs(self) -> pd.DataFrame:
        """One row per run: set, group, directory, status, seed, fold and test metrics."""
        return runs_frame(self.content)

    def show(self) -> None:
        """Print tables and notes."""
        for part in tables(self.content, LISTED):
            if isinstance(part, str):
                console.say(part)
            else:
                console.say("")
                console.table(part.rich())

    def write(self, out: str | Path) -> Path:
        """Write tables (Markdown, CSV, JSON) and the figure (PDF, SVG, PNG) into a new folder, and return it."""
        from genexp.evaluation.comparison_figure import draw
        from genexp.evaluation.figure_formats import FIGURES

        target = free_folder(str(out))
        with whole_or_nothing(target) as folder:
            folder.mkdir()
            write_json(folder / "comparison.json", self.content)
            write_atomically(folder / "comparison.md", as_markdown(self.content))
            for name in ("groups", "tests", "runs"):
                write_atomically(folder / f"{name}.csv", getattr(self, name).to_csv(index=False))
            values = sum(len(group["runs"]) for of_set in self.content["sets"] for group in of_set["groups"])
            for suffix in FIGURES if values > 1 else ():  # one point says nothing
                write_atomically(folder / f"comparison.{suffix}", draw(self.content, suffix))
        return target


def compare(named: str | Path | Iterable[str | Path]) -> Comparison:
    """Compare the runs below some places; see `genexp.api.compare`."""
    groups, left_out = _grouped(named)
    notes: list[str] = []
    count = 0
    sets: dict[tuple[Genes, ...], list[Row]] = defaultdict(list)
    with console.progress("reading runs", sum(len(group.members) for group in groups), "runs") as done:
        for group in groups:
            row = _row(group, left_out)
            count += len(group.members)
            if row is not None:
                sets[folds_of(row.genes)].append(row)
                notes += _warnings(row)
            done(count)
    if not sets:
        found = ", ".join(f"{entry['directory']}: {entry['status']}" for entry in left_out[:3])
        raise UserError("none of these runs has results to compare", expected="completed runs", received=found)
    if len(sets) > 1:
        notes += [f"set {n} is not compared with set 1: {why}" for n, why in enumerate(_apart(list(sets)), 2)]
    content = []
    for number, (genes, rows) in enumerate(sets.items(), 1):
        every = [*rows, *_baselines(rows)]
        content.append({"set": number, **_set(genes, every)})
        notes += _about_t(number, every)
    return Comparison({"sets": content, "left_out": left_out, "notes": notes})


def _grouped(named: str | Path | Iterable[str | Path]) -> tuple[list[Group], list[dict[str, str]]]:
    """Return the runs that have results, in groups, and the others; two runs with one seed count once."""
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
    groups = []
    for group in group_members(completed):
        by_seed: dict[tuple[int, int | None], Member] = {}
        for member in group.members:
            if by_seed.setdefault((member.config.seed, member.fold), member) is not member:
                status = f"with seed {member.config.seed} a second time"
                left_out.append({"directory": str(member.run.path), "status": status, "group": group.name})
        groups.append(replace(group, members=tuple(by_seed.values())))
    return groups, left_out


def _row(group: Group, left_out: list[dict[str, str]]) -> Row | None:
    """Return a group with its predictions; members that cannot be read are left out, and None if all are."""
    members, genes, predictions, labels, beside = [], [], [], {}, []
    for member in group.members:
        try:
            found, mine, values, others = _read(member)
        except UserError as error:
            left_out.append({"directory": str(member.run.path), "status": damage(error), "group": group.name})
            continue
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


def _warnings(row: Row) -> Iterator[str]:
    """Yield a sentence if runs of a group warn of themselves."""
    warned = [member.metrics["warnings"] for member in row.members if member.metrics.get("warnings")]
    if warned:
        yield f"{row.name}: {len(warned)} of {len(row.members)} runs have warnings, the first: {warned[0][0]}"


def _apart(sets: Sequence[tuple[Genes, ...]]) -> Iterator[str]:
    """Yield why each set but the first is no part of the first."""
    first = sets[0]
    for other in sets[1:]:
        folds = [", ".join(str(genes.fold or "none") for genes in each) for each in (first, other)]
        if folds[0] != folds[1]:
            yield f"folds {folds[0]} / {folds[1]}"
        else:
            yield next(one.differs(two) for one, two in zip(first, other, strict=True) if one != two)


def _baselines(rows: Sequence[Row]) -> list[Row]:
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


def _set(genes: tuple[Genes, ...], rows: Sequence[Row]) -> dict[str, Any]:
    """Return the content of one set: groups in the order of their mean r2, and the tests between them."""
    ordered = sorted(rows, key=lambda row: -float(np.mean([found["r2"] for found in row.values()])))
    groups = [_group(row) for row in ordered]
    alone = next((group for group in groups if _is_alone(group["data"], group["model"])), None)
    for group in groups:
        with_t = alone is not None and "T" in group["data"] and group["data"] != "T"
        group["above_T"] = group["metrics"]["r2"]["mean"] - alone["metrics"]["r2"]["mean"] if alone and with_t else None
    folds = [each.fold for each in genes if each.fold is not None]
    return {
        "dataset": read_description(ordered[0].members[0].run).source,
        "folds": folds or None,
        "genes": [dict(each.numbers) for each in genes],
        "labels": list(genes[0].labels),
        "T_alone": alone["name"] if alone else None,
        "groups": groups,
        "tests": _tests(genes, ordered),
    }


def _is_alone(data: str, model: str) -> bool:
    """Tell whether a group, or baseline, shows what T predicts alone; one of shuffled labels does not."""
    return data == "T" and not model.startswith(SHUFFLED)


def _group(row: Row) -> dict[str, Any]:
    """Return the content of one group."""
    values, config = row.values(), row.members[0].config
    published = None if row.baseline or not config.experiment else config.experiment.model_dump(mode="json")
    ensemble: dict[str, float] = {}
    if len(folds_of(row.genes)) == 1 and len(row.predictions) > 1:
        pairs = by_label(row.labels[row.genes[0]], np.mean(row.predictions, axis=0))
        ensemble = {name: r2(*pair) for name, pair in zip(row.genes[0].labels, pairs, strict=True)}
    return {
        "name": row.name,
        "model": row.model,
        "data": row.data,
        "kind": "baseline" if row.baseline else "runs",
        "runs": [
            {
                "directory": str(member.run.path),
                "seed": None if row.baseline else member.config.seed,
                "fold": genes.fold,
                **{name: value for name, value in found.items() if isinstance(value, int | float)},
                "labels": {name: of_label["r2"] for name, of_label in found.get("labels", {}).items()},
            }
            for member, genes, found in zip(row.members, row.genes, row.metrics, strict=True)
        ],
        "metrics": plain(summaries(values)),
        "ensemble_r2": fmean(ensemble.values()) if ensemble else None,
        "ensemble_labels": ensemble if len(ensemble) > 1 else {},
        "published": published,
    }


def _tests(genes: tuple[Genes, ...], rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return the tests between each two rows of which one at least is a group of runs, adjusted label by label."""
    numbers = [dict(each.numbers) for each in genes]
    folds = len(genes) > 1
    tested = [row for row in rows if folds or row.predictions]
    pairs = [p for p in combinations(range(len(tested)), 2) if not all(tested[place].baseline for place in p)]
    if not pairs or numbers[0]["test"] < FEWEST_GENES:
        return []
    if folds:
        held_out = float(np.mean([number["test"] / number["train"] for number in numbers]))
        found = compare_folds([_quantities(row.values()) for row in tested], held_out)
    else:
        found = compare_runs(tested[0].labels[genes[0]], [np.stack(row.predictions) for row in tested])
    names = [*(["mean"] if len(genes[0].labels) > 1 else []), *genes[0].labels]
    content = []
    for place, name in enumerate(names):
        adjusted = holm([found[pair][place].p for pair in pairs])
        for (one, other), p in zip(pairs, adjusted, strict=True):
            test, both = found[one, other][place], (tested[one], tested[other])
            content.append(
                {"label": name, "first": both[0].name, "second": both[1].name, **asdict(test), "p_holm": p}
                | {"across": "folds" if folds else _across(both)}
            )
    return content


def _quantities(values: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """Return r2 of each fold, (folds, quantities): of one label; of several their mean, and each."""
    return np.array([[found["r2"], *(of["r2"] for of in found.get("labels", {}).values())] for found in values])


def _across(rows: Sequence[Row]) -> str:
    """Return what a test between two rows is about: a single run says nothing of other seeds."""
    return "genes" if any(not row.baseline and len(row.predictions) == 1 for row in rows) else "genes, runs"


def _about_t(number: int, rows: Sequence[Row]) -> Iterator[str]:
    """Yield a sentence if runs with T stand without T alone, which is hard to exceed."""
    with_t = [row for row in rows if "T" in row.data]
    if with_t and not any(_is_alone(row.data, row.model) for row in with_t):
        words = ["model=fc_net", "data=T", *_words_of(with_t[0])]
        yield f"set {number} has no run on T alone to compare with; to add one: genexp train {shlex.join(words)}"


def _words_of(row: Row) -> list[str]:
    """Return the overrides that give another model the dataset, folds and repeats of a group."""
    config, folds = row.members[0].config, row.by_fold()
    many = {"folds": len(folds), "repeats": len(folds[0])}
    dataset, apart = config.dataset, {"fold"} if len(folds) > 1 else set()
    content = dataset.model_dump(mode="json", exclude_none=True, exclude=apart) if dataset else {}
    chosen = {"dataset": content.pop("name", "")} | {f"dataset.{key}": value for key, value in content.items()}
    labels = {"data.labels": f"[{','.join(config.data.labels)}]"} if config.data.labels else {}
    chosen |= labels | {key: number for key, number in many.items() if number > 1}
    return [f"{key}={str(value).lower() if isinstance(value, bool) else value}" for key, value in chosen.items()]
