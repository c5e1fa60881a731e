"""A comparison of runs as tables: on a terminal, as Markdown and as CSV. It takes the content of comparison.json."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from genexp.dataset.description import listed

if TYPE_CHECKING:
    import pandas as pd

Content = Mapping[str, Any]

#: Widest that a name, or a pair of names, may be in a terminal's table, so that it fits 80 columns.
NAME_WIDTH, PAIR_WIDTH = 20, 30
#: Rows that a terminal lists; Markdown and CSV have all.
LISTED = 20


@dataclass(frozen=True)
class Cells:
    """A table of text: its title, its columns, of which the first has names, and its rows."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    width: int = NAME_WIDTH

    def rich(self) -> Table:
        """Return the table for a terminal."""
        rule = {"title_justify": "left", "title_style": "bold", "box": SIMPLE_HEAD, "show_edge": False}
        table = Table(title=self.title, padding=(0, 1, 0, 0), **rule)  # type: ignore[arg-type]
        table.add_column(self.columns[0], max_width=self.width, overflow="fold")
        for column in self.columns[1:]:
            table.add_column(column, justify="right", no_wrap=True)
        for name, *row in self.rows[:LISTED]:
            table.add_row(_broken(name, self.width), *row)
        if len(self.rows) > LISTED:
            table.add_row(f"{len(self.rows) - LISTED} more: with out=DIR")
        return table

    def markdown(self) -> str:
        """Return the table in Markdown."""
        sides = ["---", *(["---:"] * (len(self.columns) - 1))]
        lines = [self.columns, sides, *([cell.replace("|", "\\|") for cell in row] for row in self.rows)]
        return "\n".join([f"**{self.title}**", "", *(f"| {' | '.join(line)} |" for line in lines)])


def _broken(name: str, width: int) -> str:
    """Return a name with a line break within each word that is wider, behind a key's group: it reads better so."""
    return " ".join(word if len(word) <= width else word.replace(".", ".\n", 1) for word in name.split(" "))


def tables(content: Content, most: int | None = None) -> Iterator[Cells | str]:
    """Yield the tables of a comparison, and the sentences between and after them; of the latter at most `most` each."""
    for each in content["sets"]:
        yield f"set {each['set']}: {described(each)}"
        yield _groups(each)
        yield from (f"published: {line}" for line in _published(each))
        yield from _tests(each)
    for lines in ([f"in no mean and no test: {line}" for line in _left_out(content)], content["notes"]):
        yield from lines[:most]
        if most is not None and len(lines) > most:
            yield f"{len(lines) - most} more lines: with out=DIR"


def _left_out(content: Content) -> Iterator[str]:
    """Yield the runs without results, a sentence for each group and status."""
    found: dict[tuple[str, str], list[str]] = {}
    for entry in content["left_out"]:
        found.setdefault((entry["status"], entry["group"]), []).append(entry["directory"])
    for (status, group), directories in found.items():
        of = f" of {group}" if group else ""
        yield f"{len(directories)} {status}{of}: {listed(directories)}"


def described(of_set: Content) -> str:
    """Return in words on which genes a set of groups was tested."""
    numbers = [genes["test"] for genes in of_set["genes"]]
    genes = f"{sum(numbers):,} test genes of {of_set['dataset']}"
    one = "".join(f" in fold {n}" for n in of_set["folds"] or ())
    folds = f" in {len(numbers)} folds" if of_set["over"] == "folds" else one
    labels = f", {len(of_set['labels'])} labels: {listed(of_set['labels'])}" if len(of_set["labels"]) > 1 else ""
    return f"{genes}{folds}{labels}"


def _groups(of_set: Content) -> Cells:
    """Return the table of groups; of several labels r2 is the mean, and below each group stand those of the labels."""
    several = len(of_set["labels"]) > 1
    columns = ["group", of_set["over"], "r²", "sd", "95 % interval", "ensemble", "- T alone"]
    rows, numbers = [], _numbers(of_set)
    for group in of_set["groups"]:
        ensemble, above = group["ensemble_r2"], group["above_T"]
        name = " ".join([*([numbers[group["name"]]] if numbers else []), group["name"]])
        rows.append([name, *_summary(group["metrics"]["r2"]), _number(ensemble), _number(above, "+.3f")])
        for label, metrics in group["metrics"].get("labels", {}).items():
            rows.append([f"  {label}", *_summary(metrics["r2"]), _number(group["ensemble_labels"].get(label)), ""])
    kept = [n for n, _ in enumerate(columns) if n < 5 or any(row[n] for row in rows)]
    title = "mean Pearson r² of the labels" if several else "Pearson r² of the test genes"
    return Cells(title, [columns[n] for n in kept], [[row[n] for n in kept] for row in rows])


def _numbers(of_set: Content) -> dict[str, str]:
    """Return a number for each group where names are too long to stand in pairs; else nothing."""
    longest = max((len(_pair(test, {})) for test in of_set["tests"]), default=0)
    names = [group["name"] for group in of_set["groups"]]
    return {name: str(n) for n, name in enumerate(names, 1)} if longest > PAIR_WIDTH else {}


def _pair(test: Content, numbers: Mapping[str, str]) -> str:
    return " - ".join(numbers.get(test[side], test[side]) for side in ("first", "second"))


def _summary(found: Content) -> list[str]:
    interval = "" if found["low"] is None else f"{found['low']:.3f} to {found['high']:.3f}"
    return [str(found["n"]), f"{found['mean']:.3f}", _number(found["sd"]), interval]


def _number(value: float | None, form: str = ".3f") -> str:
    return "" if value is None else f"{value:{form}}"


def _published(of_set: Content) -> Iterator[str]:
    """Yield the published results of which groups are replications, once each."""
    found = {group["published"]["name"]: group["published"] for group in of_set["groups"] if group["published"]}
    for name, result in found.items():
        if result["r2"] is not None:
            low, high = result["r2_ci95"] or (None, None)
            interval = "" if low is None else f" ({low:.3f} to {high:.3f})"
            yield f"{name} r² {result['r2']:.3f}{interval}, {result['source']}"


def _tests(of_set: Content) -> Iterator[Cells | str]:
    """Yield the table of tests of each label, the smallest p first; before all, those of groups that are listed."""
    found, numbers = of_set["tests"], _numbers(of_set)
    shown = {group["name"] for group in of_set["groups"][:LISTED]}
    for label in dict.fromkeys(test["label"] for test in found):
        own = [test for test in found if test["label"] == label]
        own.sort(key=lambda test: (not {test["first"], test["second"]} <= shown, test["p_holm"], test["p"]))
        rows = [
            [
                _pair(test, numbers),
                f"{test['difference']:+.3f}",
                f"{test['low']:+.3f} to {test['high']:+.3f}",
                _p(test["p"]),
                _p(test["p_holm"]) + "*" * _single(test),
            ]
            for test in own
        ]
        of = f", {label or 'mean of the labels'}" if len(of_set["labels"]) > 1 else ""
        across = "genes" if all(map(_single, own)) else "genes and runs"
        across = "folds" if of_set["over"] == "folds" else across
        title = f"differences of mean r²{of}: tests across {across}"
        yield Cells(title, ("groups", "r²", "95 % interval", "p", "p (Holm)"), rows, PAIR_WIDTH)
    if any(map(_single, found)):
        yield "* with a group of one run: across genes alone, so it says nothing of other seeds"


def _single(test: Content) -> bool:
    return bool(test["across"] == "genes")


def _p(value: float) -> str:
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def as_markdown(content: Content) -> str:
    """Return a comparison as a Markdown page."""
    parts = [part.markdown() if isinstance(part, Cells) else part for part in tables(content)]
    return "\n\n".join(["# Comparison of runs", *parts]) + "\n"


def groups_frame(content: Content) -> pd.DataFrame:
    """Return a row for each set, group, label and metric; the label of the mean over several labels is "".

    ``ensemble`` is r2 of the mean prediction.
    """
    rows: list[dict[str, Any]] = []
    for of_set in content["sets"]:
        for group in of_set["groups"]:
            found = group["metrics"]
            of_label = {"": found} | found["labels"] if "labels" in found else {of_set["labels"][0]: found}
            head = {"set": of_set["set"]} | {key: group[key] for key in ("name", "model", "data", "kind")}
            for label, metrics in of_label.items():
                own = {name: summary for name, summary in metrics.items() if name != "labels"}
                own["r2"] = {**own["r2"], "ensemble": group["ensemble_labels"].get(label, group["ensemble_r2"])}
                rows += [{**head, "label": label, "metric": name, **summary} for name, summary in own.items()]
    return _frame(rows)


#: The columns of `tests_frame`.
TESTS = ["set", "label", "first", "second", "difference", "low", "high", "p", "p_holm", "across"]


def tests_frame(content: Content) -> pd.DataFrame:
    """Return a row for each set, label and pair of groups; the label of the mean over several labels is ""."""
    return _frame([{"set": of_set["set"], **test} for of_set in content["sets"] for test in of_set["tests"]], TESTS)


def runs_frame(content: Content) -> pd.DataFrame:
    """Return a row for each run, those without results last."""
    rows = [
        {"set": of_set["set"], "group": group["name"], "status": "completed"}
        | {key: value for key, value in run.items() if key != "labels"}
        for of_set in content["sets"]
        for group in of_set["groups"]
        if group["kind"] == "runs"
        for run in group["runs"]
    ]
    return _frame([*rows, *content["left_out"]])


def _frame(rows: Sequence[Content], columns: list[str] | None = None) -> pd.DataFrame:
    import pandas as pd

    frame = pd.DataFrame(rows, columns=columns)
    whole = {name: "Int64" for name in ("set", "n", "seed", "fold") if name in frame}
    return frame.astype(whole)
