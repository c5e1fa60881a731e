"""Comparing runs: groups that differ in more than seed or fold, on the same test genes, with tests between them."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np

from genexp import console
from genexp.api.compared_runs import Genes, Row, baselines, folds_of, grouped, read_row
from genexp.config.words import unquoted, word
from genexp.errors import UserError
from genexp.evaluation.baselines import SHUFFLED
from genexp.evaluation.comparison import compare_folds, compare_runs, holm
from genexp.evaluation.comparison_report import LISTED, as_markdown, groups_frame, runs_frame, tables, tests_frame
from genexp.evaluation.metrics import by_label, r2
from genexp.evaluation.repeats import plain, summaries
from genexp.files import free_folder, whole_or_nothing, write_atomically, write_json
from genexp.training.config import read_description

if TYPE_CHECKING:
    import pandas as pd

#: Fewer test genes say too little of r2 for a test.
FEWEST_GENES = 30


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
    groups, left_out = grouped(named)
    notes: list[str] = []
    count = 0
    sets: dict[tuple[Genes, ...], list[Row]] = defaultdict(list)
    with console.progress("reading runs", sum(len(group.members) for group in groups), "runs") as done:
        for group in groups:
            row = read_row(group, left_out)
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
        every = [*rows, *baselines(rows)]
        content.append({"set": number, **_set(genes, every)})
        notes += _about_t(number, every)
    return Comparison({"sets": content, "left_out": left_out, "notes": notes})


def _warnings(row: Row) -> Iterator[str]:
    """Yield a sentence if runs of a group warn of themselves."""
    warned = [member.metrics["warnings"] for member in row.members if member.metrics.get("warnings")]
    if warned:
        have = "has" if len(warned) == 1 else "have"
        yield f"{row.name}: {len(warned)} of {len(row.members)} runs {have} warnings, the first: {warned[0][0]}"


def _apart(sets: Sequence[tuple[Genes, ...]]) -> Iterator[str]:
    """Yield why each set but the first is no part of the first."""
    first = sets[0]
    for other in sets[1:]:
        folds = [", ".join(str(genes.fold or "none") for genes in each) for each in (first, other)]
        if folds[0] != folds[1]:
            yield f"folds {folds[0]} / {folds[1]}"
        else:
            yield next(one.differs(two) for one, two in zip(first, other, strict=True) if one != two)


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
        "over": "folds" if len(genes) > 1 else "runs",  # one fold is a split like another
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
    folds = len(genes) > 1
    tested = [row for row in rows if folds or row.predictions]
    pairs = [p for p in combinations(range(len(tested)), 2) if not all(tested[place].baseline for place in p)]
    quantities = _tested_labels(genes, rows[0].labels)
    if not pairs or not quantities:
        return []
    if folds:
        numbers = [dict(each.numbers) for each in genes]
        held_out = float(np.mean([number["test"] / number["train"] for number in numbers]))
        found = compare_folds([_quantities(row.values()) for row in tested], held_out)
    else:
        found = compare_runs(tested[0].labels[genes[0]], [np.stack(row.predictions) for row in tested])
    content = []
    for place, name in quantities.items():
        adjusted = holm([found[pair][place].p for pair in pairs])
        for (one, other), p in zip(pairs, adjusted, strict=True):
            test, both = found[one, other][place], (tested[one], tested[other])
            content.append(
                {"label": name, "first": both[0].name, "second": both[1].name, **asdict(test), "p_holm": p}
                | {"across": "folds" if folds else _across(both)}
            )
    return content


def _tested_labels(genes: Sequence[Genes], labels: Mapping[Genes, np.ndarray]) -> dict[int, str]:
    """Return the labels that enough test genes have in each fold, by the place of their r2 in `Difference` lists.

    Of several labels the mean over them comes first, and has the name ""; it is tested if each of them is.
    """
    names = genes[0].labels
    known = np.min([(~np.isnan(labels[fold])).sum(axis=0) for fold in genes], axis=0)
    if len(names) > 1:
        names, known = ("", *names), np.array([known.min(), *known])
    return {place: name for place, name in enumerate(names) if known[place] >= FEWEST_GENES}


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
        several = ["-m"] * (len(with_t[0].by_fold()) > 1)
        words = [*several, "model=fc_net", "data=T", *_words_of(with_t[0])]
        yield f"set {number} has no run on T alone to compare with; to add one: genexp train {shlex.join(words)}"


def _words_of(row: Row) -> list[str]:
    """Return the overrides that give another model the dataset, folds and repeats of a group."""
    config, folds = row.members[0].config, row.by_fold()
    dataset, apart = config.dataset, {"fold"} if len(folds) > 1 else set()
    content = dataset.model_dump(mode="json", exclude_none=True, exclude=apart) if dataset else {}
    chosen = {"dataset": content.pop("name", "")} | {f"dataset.{key}": value for key, value in content.items()}
    chosen |= {"data.labels": list(config.data.labels)} if config.data.labels else {}
    words = [unquoted(word(key, value)) for key, value in chosen.items()]
    if len(folds) > 1:  # those that are there: a collapsed one may be missing
        words.append(f"dataset.fold={','.join(str(row.genes[places[0]].fold) for places in folds)}")
    return [*words, *([f"repeats={len(folds[0])}"] * (len(folds[0]) > 1))]
