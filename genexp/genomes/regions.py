"""Regions of a chromosome as genome browsers write them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from genexp.errors import UserError
from genexp.genomes.genome import Genome

_WRITTEN = re.compile(r"(?P<chromosome>.+?)(?::(?P<first>[\d,_]+)-(?P<last>[\d,_]+))?")


@dataclass(frozen=True)
class Region:
    """Part of a chromosome, 0-based and half-open; `end` is None for the whole of it."""

    chromosome: str
    start: int = 0
    end: int | None = None

    @classmethod
    def parse(cls, text: str) -> Region:
        """Return the region of ``chr1:1001-2000``, which counts from 1 and has both ends, or of ``chr1``."""
        found = _WRITTEN.fullmatch(text.strip())
        if found is None or found["first"] is None:
            if found is None or re.search(r":[\d,_-]*$", text):
                raise cls._wrong("this is no region", text, "a chromosome, or chromosome:first-last")
            return cls(found["chromosome"])
        first, last = (int(re.sub("[,_]", "", found[name]) or 0) for name in ("first", "last"))
        if not 1 <= first <= last:
            raise cls._wrong("this region has no bases", text, "first-last with 1 <= first <= last")
        return cls(found["chromosome"], first - 1, last)

    @staticmethod
    def _wrong(what: str, text: str, expected: str) -> UserError:
        return UserError(
            what, where="region", expected=expected, received=text, hint="for example region=chr1:1001-2000"
        )

    def within(self, genome: Genome) -> Region:
        """Return the region with the genome's own name and both ends; a UserError is raised if it goes beyond it."""
        name, length = genome.name(self.chromosome), genome.length(self.chromosome)
        end = length if self.end is None else self.end
        if end > length:
            what, hint = "the region goes past the end of its chromosome", f"region={name}:{self.start + 1}-{length}"
            expected = f"at most {name}:{length:,}"
            raise UserError(what, where=genome.path, expected=expected, received=f"{end:,}", hint=hint)
        return Region(name, self.start, end)

    def __str__(self) -> str:
        return self.chromosome if self.end is None else f"{self.chromosome}:{self.start + 1}-{self.end}"
