"""The closing table of a sweep."""

from __future__ import annotations

from pathlib import Path

import yaml
from rich.table import Table

from genexp.run.directory import RunDirectory, read_metrics


def interrupted_jobs(directory: Path) -> list[Path]:
    """Return the run directories of a sweep that can go on."""
    found = ((path, read_metrics(RunDirectory(path)) or {}) for path in sorted(directory.iterdir()) if path.is_dir())
    return [path for path, metrics in found if metrics.get("status") == "interrupted"]


def sweep_table(directory: Path) -> Table:
    """Return one row per job of a sweep directory, from its metrics.json."""
    table = Table(title="sweep", title_justify="left", title_style="bold")
    folders = (p for p in directory.iterdir() if p.is_dir() and not p.name.startswith("."))
    jobs = sorted(folders, key=lambda p: (len(p.name.split("-")[0]), p.name))
    swept = swept_values(jobs)
    # With nothing swept but model, data and seed it fits 80 columns.
    for column in ("job", *swept, "seed", "status", "epochs", "valid r2", "test r2", "95 % interval"):
        table.add_column(column, justify="left" if column in ("job", *swept, "status") else "right", no_wrap=True)
    for number, job in enumerate(jobs):
        found = read_metrics(RunDirectory(job)) or {"status": "not started"}
        cells = [*(values[number] for values in swept.values()), found.get("seed", ""), found["status"]]
        cells.append(found.get("epochs_run", ""))
        if "best" in found:
            test = found["best"]["test"]
            cells += [f"{found['best']['valid']['r2']:.3f}", f"{test['r2']:.3f}"]
            cells.append("{:.3f} to {:.3f}".format(*test["r2_ci95"]))
        table.add_row(job.name, *map(str, cells))
    return table


def swept_values(jobs: list[Path]) -> dict[str, list[str]]:
    """Return the values of each key that differs from job to job, as it was typed; a job's name says model and data."""
    typed = [dict(word.lstrip("+").split("=", 1) for word in overrides_of(job)) for job in jobs]
    keys = dict.fromkeys(key for words in typed for key in words if key not in ("model", "data", "seed"))
    values = {key: [words.get(key, "") for words in typed] for key in keys if not key.startswith("hydra.")}
    return {key: found for key, found in values.items() if len(set(found)) > 1}


def overrides_of(job: Path) -> list[str]:
    """Return the words of the command line of a job, as Hydra has kept them; none of a job that did not start."""
    path = job / ".hydra" / "overrides.yaml"
    return yaml.safe_load(path.read_text(encoding="utf-8")) or [] if path.is_file() else []
