"""The closing tables of a sweep: its jobs, and what runs that differ only in seed or fold found together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from genexp.errors import UserError
from genexp.evaluation.metrics import METRICS, TITLES, as_text
from genexp.evaluation.repeats import Summary
from genexp.run import HELD_OUT, UNUSABLE, RunDirectory, read_metrics, read_overrides

#: Widest that the column of the jobs may be, so that the table fits 80 columns; longer text is folded.
JOB_WIDTH = 24


def jobs_of(directory: Path) -> list[Path]:
    """Return the run directories of a sweep, in the order of their numbers."""
    folders = (p for p in directory.iterdir() if p.is_dir() and not p.name.startswith("."))
    return sorted(folders, key=lambda p: (len(p.name.split("-")[0]), p.name))


def sweep_table(statuses: Mapping[Path, str]) -> Table:
    """Return one row per run directory, with its status; what else differs stands below its name."""
    table = _plain_table("sweep")
    table.add_column("job", max_width=JOB_WIDTH, overflow="fold")
    table.add_column("status", no_wrap=True)
    for column in ("seed", "epochs", "valid\nr2", "test\nr2", "95 %\ninterval"):
        table.add_column(column, justify="right", no_wrap=True)
    swept = swept_values(list(statuses))
    for number, (job, status) in enumerate(statuses.items()):
        found = {} if status == UNUSABLE else _metrics(job)
        values = [f"  {key}={given[number]}" for key, given in swept.items() if given[number]]
        cells = [status, found.get("seed", ""), found.get("epochs_run", "")]
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


def _metrics(job: Path) -> Mapping[str, Any]:
    """Return the metrics of a run; none of one with damaged files, whose error is reported elsewhere."""
    try:
        return read_metrics(RunDirectory(job)) or {}
    except UserError:
        return {}


def _overrides(job: Path) -> list[str]:
    """Return the overrides of a run; likewise."""
    try:
        return read_overrides(job)
    except UserError:
        return []


def metrics_table(title: str, found: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return mean, sd and t interval of every metric of each split; `found` are summaries by split, then metric."""
    table = _plain_table(title)
    table.padding = (0, 0, 0, 0)  # to fit 80 columns
    table.add_column("metric")
    for split in found:
        for column in (f"{split}\nmean", "\nsd", "95 % t\ninterval"):
            table.add_column(column, justify="right", no_wrap=True)
    for name in METRICS:
        cells = [_cells(found[split].get(name)) for split in found]
        table.add_row(TITLES.get(name, name), *(cell for three in cells for cell in three))
    return table


def groups_table(rows: Sequence[tuple[str, Mapping[str, Mapping[str, Any]]]]) -> Table:
    """Return n, and mean, sd and t interval of r2, of each of several groups."""
    table = _plain_table("Pearson r² of runs that differ only in seed or fold")
    table.add_column("group", max_width=JOB_WIDTH, overflow="fold")
    for column in ("n", "valid\nmean", "\nsd", "test\nmean", "\nsd", "95 % t\ninterval"):
        table.add_column(column, justify="right", no_wrap=True)
    for name, found in rows:
        valid, test = (found.get(split, {}).get("r2") for split in HELD_OUT)
        n = next((str(x.n) for x in (test, valid) if x is not None), "")
        table.add_row(name, n, *_cells(valid)[:2], *_cells(test))
    return table


def _plain_table(title: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, show_edge=False)
    table.padding, table.pad_edge = (0, 1, 0, 0), False
    return table


def _cells(found: Summary | None) -> tuple[str, str, str]:
    """Return mean, sd and interval as text; empty where one value says nothing."""
    if found is None:
        return "", "", ""
    mean, sd = as_text(found.mean), "" if found.sd is None else as_text(found.sd)
    return mean, sd, "" if found.low is None or found.high is None else f"{found.low:.3f} to {found.high:.3f}"
