"""The closing table of a sweep."""

from __future__ import annotations

from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.table import Table

from genexp.run import HELD_OUT, RunDirectory, read_metrics, read_yaml, unreadable

#: Widest that the column of the jobs may be, so that the table fits 80 columns; longer text is folded.
JOB_WIDTH = 24


def jobs_of(directory: Path) -> list[Path]:
    """Return the run directories of a sweep, in the order of their numbers."""
    folders = (p for p in directory.iterdir() if p.is_dir() and not p.name.startswith("."))
    return sorted(folders, key=lambda p: (len(p.name.split("-")[0]), p.name))


def statuses(directory: Path) -> dict[Path, str]:
    """Return the status of each job of a sweep, from its metrics.json."""
    found = {job: read_metrics(RunDirectory(job)) or {} for job in jobs_of(directory)}
    return {job: str(metrics.get("status", "not started")) for job, metrics in found.items()}


def sweep_table(directory: Path) -> Table:
    """Return one row per job of a sweep directory, from its metrics.json; swept values stand below the job's name."""
    table = Table(title="sweep", title_justify="left", title_style="bold", box=SIMPLE_HEAD, show_edge=False)
    table.padding, table.pad_edge = (0, 1, 0, 0), False
    table.add_column("job", max_width=JOB_WIDTH, overflow="fold")
    table.add_column("status", no_wrap=True)
    for column in ("seed", "epochs", "valid\nr2", "test\nr2", "95 %\ninterval"):
        table.add_column(column, justify="right", no_wrap=True)
    jobs = jobs_of(directory)
    swept = swept_values(jobs)
    for number, job in enumerate(jobs):
        found = read_metrics(RunDirectory(job)) or {"status": "not started"}
        values = [f"  {key}={given[number]}" for key, given in swept.items() if given[number]]
        cells = [found.get("status", ""), found.get("seed", ""), found.get("epochs_run", "")]
        if {*HELD_OUT} <= {*found.get("best", {})}:
            valid, test = (found["best"][split] for split in HELD_OUT)
            interval = "{:.3f}-{:.3f}".format(*test["r2_ci95"]) if "r2_ci95" in test else ""
            cells += [f"{valid['r2']:.3f}", f"{test['r2']:.3f}", interval]
        table.add_row("\n".join([job.name, *values]), *map(str, cells))
    return table


def swept_values(jobs: list[Path]) -> dict[str, list[str]]:
    """Return the values, as given, of each key that differs between jobs; a job's name says model and data."""
    typed = [dict(word.lstrip("+").split("=", 1) for word in _overrides(job) if "=" in word) for job in jobs]
    keys = dict.fromkeys(key for words in typed for key in words if key not in ("model", "data", "seed"))
    values = {key: [words.get(key, "") for words in typed] for key in keys if not key.startswith("hydra.")}
    return {key: found for key, found in values.items() if len(set(found)) > 1}


def _overrides(job: Path) -> list[str]:
    """Return the command-line overrides of a job, as Hydra has stored them; none of a job that did not start."""
    path = job / ".hydra" / "overrides.yaml"
    found = (read_yaml(path) or []) if path.is_file() else []
    if not isinstance(found, list) or not all(isinstance(word, str) for word in found):
        raise unreadable(path, "no list of overrides")
    return found
