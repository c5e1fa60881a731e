"""The baselines of a dataset: fitted once, kept in the cache, and compared with a network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from genexp import cache, console
from genexp.dataset.genes import Dataset
from genexp.evaluation.baselines import Baseline, Baselines, Task, encoded, fit, stored, tasks
from genexp.evaluation.metrics import as_text


def find(dataset: Dataset, fingerprint: str, *, shuffled: bool, seed: int) -> Baselines:
    """Return the baselines of a dataset with this fingerprint, from the cache where they are in it."""
    found: list[Baseline] = []
    for task in tasks(dataset, fingerprint, shuffled=shuffled):
        each: list[Baseline] = cache.once(
            task.file,
            lambda task=task: _fit(task),  # type: ignore[misc]
            read=lambda path, task=task: stored(path, task),  # type: ignore[misc]
            encode=encoded,
            say=console.say,
            warn=console.warn,
        )
        found += each
    baselines = Baselines(dataset, found, seed)
    several = "mean " if len(dataset.description.labels) > 1 else ""
    r2s = [
        f"{each} {as_text(about['best']['valid']['r2'])}" for each, about in zip(found, baselines.metrics, strict=True)
    ]
    console.say(f"baselines, {several}r2 on validation genes: {'; '.join(r2s)}")
    return baselines


def _fit(task: Task) -> list[Baseline]:
    """Fit the baselines of a task with progress, after a line that says what and how long."""
    labels, genes = len(task.dataset.description.labels), len(task.dataset.splits["train"])
    of = f"{task.genes:,} of the {genes:,}" if task.genes < genes else f"{genes:,}"
    number = f", {labels} labels" if labels > 1 else ""
    console.say(
        f"fitting {' and '.join(task.names).replace('_', ' ')} on {task.blocks}: {of} training genes, {task.columns:,} "
        f"columns{number}; about {console.duration(max(task.expected_seconds, 1))}, once for this dataset"
    )
    done = 0
    with console.progress("baselines", labels * len(task.names), "models") as report:

        def fitted() -> None:
            nonlocal done
            done += 1
            report(done)

        return fit(task, fitted)


def verdict(difference: Mapping[str, Any], network: float) -> str:
    """Return in one sentence whether the network was worth it, from what `Baselines.difference` found."""
    low, high = difference["r2_ci95"]
    name = f"{difference['name']} on {difference['data']}"
    other = as_text(network - difference["r2"])
    found = f"test r2 {as_text(network)}, {name} {other}"
    interval = f"difference {difference['r2']:+.3f}, 95 % interval {low:+.3f} to {high:+.3f}"
    judged = "no clear difference between the network and the" if low <= 0 <= high else None
    better = f"the network is {'better' if low > 0 else 'worse'} than the"
    return f"{judged or better} strongest baseline on validation genes: {found}; {interval}"
