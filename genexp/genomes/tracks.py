"""Values along a chromosome as files that genome browsers read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np

from genexp.errors import UserError


@dataclass(frozen=True)
class Track:
    """Values of intervals of one chromosome: `start`, `end` (n,) int64, sorted and disjoint, and `values` (n,) float32.

    `length` is that of the chromosome.
    """

    name: str
    chromosome: str
    length: int
    start: np.ndarray
    end: np.ndarray
    values: np.ndarray


class Format(NamedTuple):
    """A format of tracks: the ending of its files, the package that it needs, and what writes it."""

    suffix: str
    package: str | None
    write: Callable[[Path, Track], None]


def _bedgraph(path: Path, track: Track) -> None:
    rows = zip(track.start.tolist(), track.end.tolist(), track.values, strict=True)
    name = track.name.replace('"', "'")  # the line cannot escape it
    lines = [f'track type=bedGraph name="{name}"', *(f"{track.chromosome}\t{s}\t{e}\t{v!s}" for s, e, v in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _bigwig(path: Path, track: Track) -> None:
    import pyBigWig

    file = pyBigWig.open(str(path), "w")
    file.addHeader([(track.chromosome, track.length)])
    names = np.full(len(track.start), track.chromosome)
    file.addEntries(names, track.start, ends=track.end, values=track.values.astype(np.float64))
    file.close()


FORMATS: dict[str, Format] = {
    "bedgraph": Format(".bedgraph", None, _bedgraph),
    "bigwig": Format(".bw", "pyBigWig", _bigwig),
}


def check_packages(formats: list[str]) -> None:
    """Raise a UserError if a format needs a package that is not installed."""
    for name in formats:
        package = FORMATS[name].package
        if package and find_spec(package) is None:
            what, hint = f"{name} needs a package that is not installed", "pip install 'genexp[genome]'"
            raise UserError(what, where=f"tracks={formats}", received=package, hint=f"{hint}, or tracks=[bedgraph]")
