"""``genexp report``: a run, or a comparison of several, as one HTML page."""

from __future__ import annotations

from pydantic import Field

from genexp import console
from genexp.api import reporting
from genexp.api.training import relative
from genexp.config.compose import Composed
from genexp.schema import PathText, PathTexts, Schema

ORDER = 23

EXAMPLES = (
    ("genexp report runs=DIR", "report.html in the run directory"),
    ("genexp report runs=SWEEP", "the runs of a sweep beside one another"),
    ("genexp report 'runs=outputs/*/*-PHT-*' out=pht.html", "those that match a pattern"),
)


class Config(Schema):
    """The whole config of ``genexp report``."""

    runs: PathTexts = Field(description="run directories, directories with some in them, patterns; one or a list")
    out: PathText | None = Field(description="HTML file to write; null: report.html in the one directory named")


def check(config: Config) -> reporting.Plan:
    """Look at the runs and the file to write."""
    return reporting.check(config.runs, config.out)


def run(composed: Composed[Config]) -> None:
    """Write the page."""
    out = reporting.write(check(composed.config))
    console.say(f"{out.stat().st_size / 1e3:,.0f} kB, opens in any browser without a network: {relative(out)}")
