"""Regions of a chromosome as genome browsers write them."""

from __future__ import annotations

import re
from typing import NamedTuple

from genexp.errors import UserError
from genexp.genomes.genome import Genome

_WRITTEN = re.compile(r"(?P<chromosome>.*?[^\s:])(?::(?P<first>[\d,_]+)-(?P<last>[\d,_]+))?")


class Written(NamedTuple):
    """A region as it is written: `start` from 0, `end` None for that of the chromosome."""

    chromosome: str
    start: int
    end: int | None


class Region(NamedTuple):
    """Part of a chromosome of a genome, 0-based and half-open."""

    chromosome: str
    start: int
    end: int

    def __str__(self) -> str:
        return f"{self.chromosome}:{self.start + 1}-{self.end}"


def parse(text: str) -> Written:
    """Return the region of ``chr1:1001-2000``, which counts from 1 and has both ends, or of ``chr1``."""
    found = _WRITTEN.fullmatch(text.strip())
    if found is None or (found["first"] is None and re.search(r":[\d,_-]*$", text)):
        raise _wrong("this is no region", text, "a chromosome, or chromosome:first-last")
    if found["first"] is None:
        return Written(found["chromosome"], 0, None)
    first, last = (int(re.sub("[,_]", "", found[name]) or 0) for name in ("first", "last"))
    if not 1 <= first <= last:
        raise _wrong("this region has no bases", text, "first-last with 1 <= first <= last")
    return Written(found["chromosome"], first - 1, last)


def _wrong(what: str, text: str, expected: str) -> UserError:
    hint = "for example region=chr1:1001-2000"
    return UserError(what, where=f"region={text}", expected=expected, hint=hint)


def region_in(genome: Genome, written: Written) -> Region:
    """Return a region with the genome's own name of the chromosome; a UserError is raised if it goes beyond its end."""
    name, length = genome.name(written.chromosome), genome.length(written.chromosome)
    if (written.end or 0) > length or written.start >= length:
        what, hint = "the region goes past the end of its chromosome", f"region={name}:1-{length} is the whole of it"
        where = f"region={written.chromosome}:{written.start + 1}-{written.end}"
        raise UserError(what, where=where, expected=f"at most {length:,}", received=f"{written.end:,}", hint=hint)
    return Region(name, written.start, written.end or length)
