"""The closing table of a sweep."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table

from genexp.run import RunDirectory, read_metrics


def interrupted_jobs(directory: Path) -> list[Path]:
    """Return the run directories of a sweep that can go on."""
    found = ((path, read_metrics(RunDirectory(path)) or {}) for path in sorted(directory.iterdir()) if path.is_dir())
    return [path for path, metrics in found if metrics.get("status") == "interrupted"]


def sweep_table(directory: Path) -> Table:
    """Return one row per job of a sweep directory, from its metrics.json."""
    table = Table(title="sweep", title_justify="left", title_style="bold")
    for column in ("job", "seed", "status", "epochs", "valid r2", "test r2", "95 % interval"):  # fits 80 columns
        table.add_column(column, justify="left" if column in ("job", "status") else "right", no_wrap=True)
    folders = (p for p in directory.iterdir() if p.is_dir() and not p.name.startswith("."))
    jobs = sorted(folders, key=lambda p: (len(p.name.split("-")[0]), p.name))
    for job in jobs:
        found = read_metrics(RunDirectory(job)) or {"status": "not started"}
        cells = [found.get("seed", ""), found["status"]]
        cells.append(found.get("epochs_run", ""))
        if "best" in found:
            test = found["best"]["test"]
            cells += [f"{found['best']['valid']['r2']:.3f}", f"{test['r2']:.3f}"]
            cells.append("{:.3f} to {:.3f}".format(*test["r2_ci95"]))
        table.add_row(job.name, *map(str, cells))
    return table
