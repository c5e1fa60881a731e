"""Train every model and block combination of plan.yaml with ten seeds, and write docs/benchmark.md.

    python benchmarks/real/run.py DATA OUT [DATASET ...] [--finished]

DATA holds the raw files, OUT gets datasets, runs and comparisons. Only commands of genexp compute; this script calls
them and sets their results in a table. Started again, it does what is missing; with --finished, the table has the runs
that there are, and none is trained. On two cores the whole plan takes days.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path
from statistics import fmean

import yaml
from operons import write_operons

HERE = Path(__file__).parent
PAGE, RESULTS = HERE.parents[1] / "docs" / "benchmark.md", HERE / "results.csv"
COLUMNS = (
    *("dataset", "label", "model", "data", "n", "collapsed", "r2", "low", "high", "ensemble"),
    *("parameters", "minutes", "commit"),
)

#: What a row is about: a row of the same is replaced, so that machines can share the plan.
ROW = ("dataset", "label", "model", "data")

#: Digits behind the point in results.csv; the page rounds to three, and must not round a rounded number.
DIGITS = 6

HEAD = """# Benchmark

Pearson r² on test genes: mean over runs with different seeds, 95 % t interval of this mean, and r² of the mean
prediction of the runs (ensemble). Settings are those that genexp takes by default (`settings=auto`,
[Training settings](settings.md)). Ridge and gradient boosting read the same genes ([Baselines](baselines.md)), and the
same window: where models see different windows, a row names the model that the baseline stands beside. Times are those
of training alone, on a machine of two cores that other work shared; before commit 2a41045a, epochs also waited for a
thread of tf.data, for up to as long again. `6 of 10` runs, if any: the others collapsed, in every attempt (of
divide_et_impera on P of yeast, one with each seed). The commands are in `benchmarks/real/plan.yaml`;
`python benchmarks/real/run.py DATA OUT` runs them and writes this page. Models and blocks of the plan that a table
lacks have not been run.

The interval is about other seeds on the same test genes; with other genes, r² varies more. `genexp compare` tests
differences over both. The highest of many rows, picked by test genes, is somewhat too high."""


def genexp(*words: str) -> int:
    """Run a command, and return its exit code; 2 of a sweep means that runs collapsed, which the comparison shows."""
    print("genexp", *words, flush=True)
    code = subprocess.run([sys.executable, "-m", "genexp", *words], check=False).returncode
    if code not in (0, 2):
        raise SystemExit(code)
    return code


def train_dataset(name: str, about: dict, repeats: int, data: Path, out: Path) -> None:
    """Prepare a dataset, and train all runs on it."""
    dataset = ["dataset=demo"]
    if about["prepare"]:
        root = out / "datasets" / name
        if not root.exists():
            if "operons" in about:
                write_operons(Path(about["operons"].format(data=data)), out / "operons.tsv")
            words = [word.format(data=data, out=out) for word in about["prepare"]]
            if genexp("prepare", *words, f"out={root}"):
                raise SystemExit(2)
        dataset = [f"dataset.root={root}"]
    for model, blocks in about["runs"].items():
        for letters in blocks:
            place = f"hydra.sweep.dir={out / 'runs' / name / f'{model}-{letters}'}"
            words = about.get("words", {}).get(f"{model} {letters}", [])
            genexp("train", f"model={model}", f"data={letters}", f"repeats={repeats}", *words, *dataset, place)


def compare_dataset(name: str, out: Path) -> Path:
    """Compare the runs on a dataset, and return the comparison's folder."""
    comparison = out / "comparisons" / name
    shutil.rmtree(comparison, ignore_errors=True)
    genexp("compare", f"runs={out / 'runs' / name}", f"out={comparison}")
    return comparison


def commits_of(runs: list[Path]) -> str:
    """Return the commits that runs were made with."""
    found = (json.loads((run / "environment.json").read_text())["git"]["commit"][:10] for run in runs)
    return " ".join(sorted(set(found)))


def rows_of(name: str, comparison: Path) -> list[dict]:
    """Return a row of results.csv for each group and label of a comparison, and each group whose runs all collapsed."""
    compared = json.loads((comparison / "comparison.json").read_text())
    collapsed: dict[str, list[Path]] = {}
    for run in compared["left_out"]:
        if run["status"] == "collapsed":
            collapsed.setdefault(run["group"], []).append(Path(run["directory"]))
    rows = []
    for each in compared["sets"]:
        for group in each["groups"]:
            runs = [Path(run["directory"]) for run in group["runs"]]
            found = [json.loads((run / "metrics.json").read_text()) for run in runs]
            network = group["kind"] == "runs"
            about = {
                "dataset": name,
                # Baselines of another window are "beside" a network.
                "model": group["model"] if network else group["name"].replace(f" {group['data']}", "", 1),
                "data": group["data"],
                "n": len(runs) if network else "",
                "collapsed": len(collapsed.pop(group["name"], [])) if network else "",
                "parameters": found[0]["parameters"] if network else "",
                "minutes": round(fmean(one["train_seconds"] for one in found) / 60, 1) if network else "",
                "commit": commits_of(runs),
            }
            labels = group["metrics"].get("labels") or {each["labels"][0]: group["metrics"]}
            for label, metrics in labels.items():
                r2 = metrics["r2"]
                r2s = {"r2": r2["mean"], "low": r2["low"], "high": r2["high"]}
                r2s["ensemble"] = group["ensemble_labels"].get(label, group["ensemble_r2"])
                rounded = {key: "" if value is None else round(value, DIGITS) for key, value in r2s.items()}
                rows.append({**about, "label": label, **rounded})
    for group, runs in collapsed.items():
        about = dict(zip(("model", "data"), group.split(), strict=True))
        counts = {"n": 0, "collapsed": len(runs), "commit": commits_of(runs)}
        labels = dict.fromkeys(row["label"] for row in rows)
        rows += [{"dataset": name, "label": label, **about, **counts} for label in labels]
    return rows


def page(plan: dict, rows: list[dict]) -> str:
    """Return docs/benchmark.md."""
    parts = [HEAD]
    for name, about in plan["datasets"].items():
        for label in dict.fromkeys(row["label"] for row in rows if row["dataset"] == name):
            mine = [row for row in rows if (row["dataset"], row["label"]) == (name, label)]
            labels = {row["label"] for row in rows if row["dataset"] == name}
            title = f"{about['title']}, {label}" if len(labels) > 1 else about["title"]
            commits = sorted({commit for row in mine for commit in row["commit"].split()})
            parts.append(f"\n## {title}\n\nCommits {', '.join(commits)}.\n")
            parts.append(
                "| model | data | runs | Pearson r² | ensemble | parameters | minutes a run |\n" + "| --- " * 7 + "|"
            )
            parts += [f"| {' | '.join(cells(row))} |" for row in sorted(mine, key=lambda row: -float(row["r2"] or -1))]
    return "\n".join(parts) + "\n"


def cells(row: dict[str, str]) -> list[str]:
    """Return the cells of a row of the page."""
    numbers = (row[key] for key in ("r2", "low", "high", "ensemble"))
    r2, low, high, ensemble = (f"{float(number):.3f}" if number else "" for number in numbers)
    runs = f"{row['n']} of {int(row['n']) + int(row['collapsed'])}" if row["collapsed"] not in ("", "0") else row["n"]
    size = f"{int(row['parameters']):,}" if row["parameters"] else ""
    mean = f"{r2} [{low}, {high}]" if low else r2 or "collapsed"
    return [row["model"], row["data"], runs, mean, ensemble, size, row["minutes"]]


def main(data: Path, out: Path, names: list[str], *, finished: bool) -> None:
    """Run what is missing, and write the table and the page; rows that were not run here stay."""
    plan = yaml.safe_load((HERE / "plan.yaml").read_text())
    rows = list(csv.DictReader(RESULTS.open())) if RESULTS.is_file() else []
    for name in names or plan["datasets"]:
        if not finished:
            train_dataset(name, plan["datasets"][name], plan["repeats"], data, out)
        found = rows_of(name, compare_dataset(name, out))
        keys = {tuple(row[key] for key in ROW) for row in found}
        rows = [row for row in rows if tuple(row[key] for key in ROW) not in keys] + found
        with RESULTS.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
        PAGE.write_text(page(plan, list(csv.DictReader(RESULTS.open()))))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("names", nargs="*", metavar="DATASET")
    parser.add_argument("--finished", action="store_true")
    given = parser.parse_args()
    main(given.data.resolve(), given.out.resolve(), given.names, finished=given.finished)
