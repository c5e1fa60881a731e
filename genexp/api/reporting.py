"""The report of a run, or of several beside one another: one HTML file that needs no network."""

from __future__ import annotations

import re
import shlex
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from genexp import console
from genexp.api import comparing, report_genes
from genexp.api.found import find_runs
from genexp.api.hub import citations, dataset_card, tested
from genexp.api.runs import Run
from genexp.api.simple_models import verdict
from genexp.blocks import BLOCKS
from genexp.config.words import unquoted
from genexp.dataset.description import DatasetDescription
from genexp.errors import UserError
from genexp.evaluation.comparison_report import Cells, described, tables
from genexp.evaluation.metrics import TITLES, as_text, in_all
from genexp.evaluation.pages import render
from genexp.evaluation.pages.charts import Chart, Row, curves, forest
from genexp.evaluation.plots import MOST_LABELS, loss_limits
from genexp.files import damage_reported, in_short, why_not_writable, write_atomically
from genexp.run import read_environment, read_json, unreadable
from genexp.training.optimizers import LOSSES
from genexp.units import duration
from genexp.version import __version__

if TYPE_CHECKING:
    import pandas as pd

#: Runs whose curves are drawn; genes whose explanation is shown.
CURVES, EXPLAINED = 60, 3
COLOURS = ("c1", "c2", "c3", "c4", "c5")
REPORT = "report.html"

Pairs = list[tuple[str, str]]


@dataclass(frozen=True)
class Plan:
    """A report that can be written: the runs, the comparison of several, and the file."""

    runs: tuple[Run, ...]
    compared: comparing.Comparison | None
    place: Path
    out: Path


def check(named: str | Path | Iterable[str | Path], out: str | Path | None) -> Plan:
    """Look at the runs and the file to write; None: report.html in the one directory that is named, written anew."""
    places = [named] if isinstance(named, str | Path) else list(named)
    runs = tuple(map(Run, find_runs(places)[0]))
    place = Path(places[0]).expanduser().resolve() if len(places) == 1 else runs[0].path
    if out is None and (len(places) > 1 or not place.is_dir()):
        raise UserError("the report of several places needs a file", where="out", hint="add out=report.html")
    target = place / REPORT if out is None else Path(out).expanduser().resolve()
    taken = target.is_dir() or (out is not None and target.exists())
    reason = "it exists already" if taken else why_not_writable(target.parent)
    if reason:
        raise UserError("the report cannot be written", where=f"out={target}", received=reason, hint="out=OTHER.html")
    if target.suffix.lower() not in (".html", ".htm"):
        hint = f"out={shlex.quote(str(Path(out or REPORT).with_suffix('.html')))}"
        raise UserError("a report is an HTML file", where=f"out={out}", expected="a name in .html or .htm", hint=hint)
    compared = comparing.compare(places) if len(runs) > 1 else None
    return Plan(runs, compared, place, target)


def write(plan: Plan) -> Path:
    """Write the report, and return its path."""
    with damage_reported(lambda error: unreadable(plan.place, in_short(error))):
        content = _content(plan)
    write_atomically(plan.out, render("report.html", **content))
    return plan.out


def _content(plan: Plan) -> dict[str, Any]:
    """Return what the template shows."""
    best = _best(plan)
    return {
        **(_compared(plan.compared.content) if plan.compared else _single(plan.runs[0])),
        "curves": _curves(plan.runs) if plan.compared else _history(plan.runs[0]),
        "labels": list(report_genes.shown(best)),
        "pictures": list(_pictures(plan.place)),
        "dataset": _dataset(best[0].dataset),
        "made": _made(best[0]),
        "version": __version__,
    }


def _best(plan: Plan) -> list[Run]:
    """Return the runs whose genes are shown one by one: the one run, or those of the group with the highest r2."""
    if plan.compared is None:
        return [plan.runs[0]]
    groups = [group for group in plan.compared.content["sets"][0]["groups"] if group["kind"] == "runs"]
    return [Run(run["directory"]) for run in groups[0]["runs"]]


# --- one run ---


def _single(run: Run) -> dict[str, Any]:
    """Return head and results of one run."""
    found, config = run.metrics, run.config
    results = found.get("best", {})
    status = found.get("status", "not finished")
    warnings = [*found.get("warnings", ())]
    if status != "completed":
        warnings.insert(0, f"This run is {status}; it has no results. {found.get('reason', '')}".strip())
    seen = found.get("seen_in_training", {})
    warnings += [f"{n['genes']:,} of the {n['of']:,} {split} genes were seen in training" for split, n in seen.items()]
    tiles: Pairs = []
    if shown := results.get("test") or results.get("valid"):
        low, high = shown["r2_ci95"]
        split = "test" if "test" in results else "valid"
        tiles = [
            (f"{shown['r2']:.3f}", f"Pearson r², {split} genes{_mean(run)}; 95 % interval {low:.3f} to {high:.3f}"),
            (as_text(shown["spearman"]), "Spearman correlation"),
            (f"{shown['n']:,}", f"{split} genes"),
        ]
    if "parameters" in found:
        tiles.append((f"{found['parameters']:,}", "parameters"))
    if "train_seconds" in found:
        epochs = f"{found['epochs_run']:,} epochs, best epoch {found['best_epoch']:,}"
        tiles.append((duration(found["train_seconds"]), f"of training: {epochs}"))
    return {
        "title": f"{config.model.name} on {config.data.name}, {run.dataset.name}",
        "subtitle": f"One run: {run.dataset.measured}. {run.path}",
        "tiles": tiles,
        "warnings": warnings,
        "results": _results(run, found, results) if results else None,
        "sets": [],
    }


def _mean(run: Run) -> str:
    return f", mean of {len(run.dataset.labels)} labels" if len(run.dataset.labels) > 1 else ""


def _results(run: Run, found: Mapping[str, Any], results: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metrics as a table, and r2 beside that of baselines, ceiling and published result."""
    splits = list(results.items())
    rows = [["genes", *(f"{each['n']:,}" for _, each in splits)]]
    for name in in_all(results.values()):
        rows.append([TITLES.get(name, name), *(as_text(each[name]) for _, each in splits)])
        if name == "r2":
            rows.append(["95 % interval", *("{:.3f} to {:.3f}".format(*each["r2_ci95"]) for _, each in splits)])
    rows += [
        [f"Pearson r² of {label}", *(as_text(each["labels"][label]["r2"]) for _, each in splits)]
        for label in list(splits[0][1].get("labels", ()))[:MOST_LABELS]
    ]
    chart, sentence = None, ""
    if "test" in results:
        chart = _beside(run, found, results["test"])
        if difference := found.get("above_baseline"):
            sentence = verdict(difference, results["test"]["r2"])
            sentence = f"{sentence[0].upper()}{sentence[1:]}."
    return {
        "head": ["best checkpoint", *(split for split, _ in splits)],
        "rows": rows,
        "chart": chart,
        "text": sentence,
    }


def _beside(run: Run, found: Mapping[str, Any], test: Mapping[str, Any]) -> Chart | None:
    """Return r2 of the test genes of the run and of what it is to be compared with; None where there is nothing."""

    def row(name: str, r2: float, interval: Sequence[float] | None = None, css: str = "grey") -> Row:
        low, high = interval or (None, None)
        return Row(name, r2, low, high, f"{r2:.3f}", css=css)

    rows = [row(run.config.model.name, test["r2"], test["r2_ci95"], "c1")]
    for each in tested(found):
        other = each["best"]["test"]
        name = f"{each['name'].replace('_', ' ')}, {each['data']}"
        rows.append(row(name, other["r2"], other["r2_ci95"]))
    if (ceiling := found.get("noise_ceiling_r2")) is not None:
        rows.append(row("noise ceiling", ceiling))
    published = run.config.experiment
    if published and published.r2 is not None:
        rows.append(row("published", published.r2, published.r2_ci95))
    title = f"Pearson r² on the test genes{_mean(run)}"
    note = "Lines: 95 % intervals over test genes; of a published result, over runs."
    return forest(title, rows, "Pearson r²", note=note) if len(rows) > 1 else None


def _epochs(run: Run) -> pd.DataFrame | None:
    """Return the epochs of a run whose losses are finite; None where fewer than two make no curve."""
    if not run.files.history.is_file():
        return None
    with damage_reported(lambda error: unreadable(run.files.history, in_short(error))):
        table = run.history.astype({"epoch": int, "loss": float, "val_loss": float, "val_r2": float})
        table = table.loc[np.isfinite(table[["loss", "val_loss", "val_r2"]].to_numpy()).all(axis=1)]
    return table if len(table) > 1 else None


def _history(run: Run) -> list[Chart]:
    """Return losses and validation r2 over the epochs of a run."""
    if (table := _epochs(run)) is None:
        return []
    epochs = table["epoch"].tolist()
    loss = LOSSES[run.config.training.loss]
    series = [
        ("c1", "training", epochs, table["loss"].tolist()),
        ("c2", "validation", epochs, table["val_loss"].tolist()),
    ]
    best = run.metrics.get("best_epoch")
    marks: list[tuple[float, float, str] | None] = [None, None]
    kept = table[table["epoch"] == best]
    for place, (column, name) in enumerate((("val_loss", loss), ("val_r2", "Pearson r²")) if len(kept) else ()):
        value = float(kept[column].iloc[-1])
        marks[place] = (float(kept["epoch"].iloc[-1]), value, f"best epoch {best}: {name} {value:.4g}")
    limits = loss_limits(table["loss"].to_numpy(), table["val_loss"].to_numpy())
    r2 = [("c3", "validation", epochs, table["val_r2"].tolist())]
    return [
        curves(f"Loss: {loss}", series, loss, mark=marks[0], limits=limits),
        curves("Pearson r² of the validation genes", r2, "Pearson r²", mark=marks[1], level=_strongest(run.metrics)),
    ]


def _strongest(found: Mapping[str, Any]) -> tuple[str, float] | None:
    """Return name and validation r2 of the baseline that is strongest on the validation genes."""
    difference = found.get("above_baseline", {})
    for each in found.get("baselines", ()):
        if (each["name"], each["data"]) == (difference.get("name"), difference.get("data")):
            return f"baseline {each['name'].replace('_', ' ')}, {each['data']}", each["best"]["valid"]["r2"]
    return None


# --- several runs ---


def _compared(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return head and results of a comparison."""
    sets = list(map(_with_short_names, content["sets"]))
    groups = [group for each in sets for group in each["groups"] if group["kind"] == "runs"]
    runs, first = sum(len(group["runs"]) for group in groups), groups[0]
    r2, over = first["metrics"]["r2"], sets[0]["over"]
    interval = "" if r2["low"] is None else f"; 95 % interval over {over} {r2['low']:.3f} to {r2['high']:.3f}"
    best = f" of the best group, {first['name']}" if len(groups) > 1 else ""
    tiles = [(f"{r2['mean']:.3f}", f"mean Pearson r²{best}{interval}")]
    if first["ensemble_r2"] is not None:
        tiles.append((f"{first['ensemble_r2']:.3f}", "Pearson r² of the mean prediction of its runs"))
    tiles.append((f"{runs:,}", f"runs in {len(groups):,} group{'s' * (len(groups) > 1)}"))
    if content["left_out"]:
        tiles.append((f"{len(content['left_out']):,}", "runs without results, in no mean"))
    shown = []
    for each in sets:
        own = [part for part in tables({**content, "sets": [each]}) if isinstance(part, Cells)]
        shown.append({"title": f"Set {each['set']}: {described(each)}", "chart": _groups(each), "tables": own})
    text = [part for part in tables({**content, "notes": []}) if isinstance(part, str) and not part.startswith("set ")]
    return {
        "title": f"{runs:,} runs in {len(groups):,} groups" if len(groups) > 1 else f"{runs:,} runs of {first['name']}",
        "subtitle": f"Comparison on {described(sets[0])}" + (f", and {len(sets) - 1:,} other sets" * (len(sets) > 1)),
        "tiles": tiles,
        "warnings": content["notes"],
        "results": None,
        "sets": shown,
        "notes": text,
    }


def _with_short_names(of_set: Mapping[str, Any]) -> dict[str, Any]:
    """Return a set whose groups are named by what tells them apart in this set; `group_members` names them in all."""
    kinds: dict[tuple[str, str], list[list[str]]] = {}
    parts = {group["name"]: re.split(r" (?=[\w.]+=)", group["name"]) for group in of_set["groups"]}
    for group in of_set["groups"]:
        kinds.setdefault((group["model"], group["data"]), []).append(parts[group["name"]])
    short = {}
    for group in of_set["groups"]:
        head, *settings = parts[group["name"]]
        alike = kinds[group["model"], group["data"]]
        short[group["name"]] = " ".join([head, *(x for x in settings if not all(x in other for other in alike))])
    groups = [{**group, "name": short[group["name"]]} for group in of_set["groups"]]
    tests = [{**test, **{side: short[test[side]] for side in ("first", "second")}} for test in of_set["tests"]]
    return {**of_set, "groups": groups, "tests": tests, "T_alone": short.get(of_set["T_alone"])}


def _groups(of_set: Mapping[str, Any]) -> Chart:
    """Return mean, interval and runs of each group of a set."""
    rows = []
    for group in of_set["groups"]:
        r2 = group["metrics"]["r2"]
        each = [(run["r2"], f"{Path(run['directory']).name}: {run['r2']:.3f}") for run in group["runs"]]
        own = each if group["kind"] == "runs" and len(each) > 1 else []
        css = "c1" if group["kind"] == "runs" else "grey"
        rows.append(Row(group["name"], r2["mean"], r2["low"], r2["high"], f"{r2['mean']:.3f}", own, css))
    several = "mean of the labels; " if len(of_set["labels"]) > 1 else ""
    note = f"Large points: means, with 95 % intervals over {of_set['over']}. Small points: runs. Grey: baselines."
    return forest("Pearson r² on the test genes", rows, f"{several}Pearson r²", note=note)


def _curves(runs: Sequence[Run]) -> list[Chart]:
    """Return validation r2 over the epochs of the runs, a colour for each model and blocks."""
    kinds: dict[str, str] = {}
    series = []
    for run in runs[:CURVES]:
        try:
            table, kind = _epochs(run), f"{run.config.model.name}, {run.config.data.name}"
        except UserError as error:
            console.warn(f"{run.path.name} has no curve: {error.what}, {error.where}")
            continue
        if table is not None:
            css = kinds.setdefault(kind, COLOURS[len(kinds) % len(COLOURS)])
            series.append((f"{css} thin", kind, table["epoch"].tolist(), table["val_r2"].tolist()))
    more = f", the first {CURVES} of {len(runs):,} runs" if len(runs) > CURVES else ""
    return [curves(f"Pearson r² of the validation genes{more}", series, "Pearson r²")] if series else []


# --- what it was made from ---


def _pictures(place: Path) -> Iterator[tuple[str, str]]:
    """Yield title and data of each figure that ``genexp explain`` wrote."""
    folder = place / "explain"
    if not (folder / "explain.json").is_file():
        return
    methods = read_json(folder / "explain.json").get("methods", {})
    for path in [*sorted(folder.glob("*.png")), *sorted(folder.glob("genes/*.png"))[:EXPLAINED]]:
        about = methods.get(path.stem)
        title = about.get("title", path.stem) if isinstance(about, dict) else path.stem
        yield str(title), b64encode(path.read_bytes()).decode()


def _dataset(described: DatasetDescription) -> dict[str, Any]:
    """Return what is known of the dataset, and its card where the folder still has it."""
    genes = " / ".join(f"{number:,} {split}" for split, number in described.genes.items())
    scaling = described.scaling or {}
    facts = [
        ("source", described.source),
        ("layout", described.layout),
        ("genes", genes),
        ("labels", described.measured),
        ("blocks", ", ".join(f"{letter} ({BLOCKS[letter].title})" for letter in described.blocks)),
        ("window", str(list(described.window)) if described.window else ""),
        ("made from", described.made_from or ""),
        ("scaling", f"{scaling.get('recipe', '')}, fitted on {scaling.get('fitted_on', '')}" if scaling else ""),
        ("fingerprint", described.fingerprint or ""),
    ]
    card = dataset_card(described) or {}
    steps = [(s["step"], f"{s['genes']:,} genes. {s.get('note', '')}") for s in card.get("genes", ())]
    return {
        "facts": [(name, value) for name, value in facts if value],
        "steps": steps,
        "sources": [
            [key, each["path"], f"{each['bytes']:,}", each["sha256"]] for key, each in card.get("sources", {}).items()
        ],
        "rules": [(str(name), str(rule)) for name, rule in card.get("rules", {}).items()],
        "made": card.get("made", {}),
    }


def _made(run: Run) -> dict[str, Any]:
    """Return how the run was made, and what to cite."""
    environment = read_environment(run.files)
    packages, git = environment.get("packages", {}), environment.get("git") or {}
    dirty = " with changes that are not committed" if git.get("dirty") else ""
    facts = [
        ("devices", ", ".join(environment.get("devices", ()))),
        ("precision", environment.get("precision", "")),
        ("seed", str(environment.get("seed", run.config.seed))),
        ("git commit", f"{git['commit']}{dirty}" if git else ""),
    ]
    install = f"pip install genexp=={packages['genexp']}" if "genexp" in packages else ""
    folder = f"cd {shlex.quote(environment['directory'])}" if "directory" in environment else ""
    command = environment.get("command", "")
    if command.startswith("genexp "):
        command = shlex.join(map(unquoted, shlex.split(command)))
    commands = [install, folder, command, f"genexp evaluate run_dir={shlex.quote(str(run.path))}"]
    return {
        "commands": "\n".join(line for line in commands if line),
        "facts": [(name, value) for name, value in facts if value],
        "packages": [(name, value) for name, value in packages.items() if value != "not installed"],
        "config": yaml.safe_dump(run.config.model_dump(mode="json"), sort_keys=False, allow_unicode=True),
        "citations": citations(run.config),
    }
