"""``genexp compare``: repeats side by side: means, intervals, tests, a table and a figure."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from genexp import console
from genexp.api.comparing import compare
from genexp.api.training import relative
from genexp.config.compose import Composed
from genexp.files import free_folder
from genexp.schema import PathText, PathTexts, Schema

ORDER = 22

EXAMPLES = (
    ("genexp compare runs=outputs/2026-01-31", "all runs of a day, also those in sweeps"),
    ("genexp compare runs=[SWEEP,DIR] out=comparison", "with tables and the figure in a folder"),
    ("genexp compare 'runs=outputs/*/*-PHT-*'", "those that match a pattern"),
)


class Config(Schema):
    """The whole config of ``genexp compare``."""

    runs: PathTexts = Field(description="run directories, directories with some in them, patterns; one or a list")
    out: PathText | None = Field(description="new folder for tables and figure; null: nothing is written")


def check(config: Config) -> Path | None:
    """Look at the folder to write."""
    return free_folder(config.out) if config.out else None


def run(composed: Composed[Config]) -> None:
    """Compare, print and write."""
    out = check(composed.config)
    found = compare(composed.config.runs)
    found.show()
    if out:
        console.say(f"written to {relative(found.write(out))}")
    else:
        console.say("nothing is written without out=DIR: tables (Markdown, CSV, JSON) and a figure (PDF, SVG, PNG)")
