"""Promoters by coordinates: TSSs of a BED file or an annotation, and the bases around them from a genome."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from genexp import console
from genexp.api.promoters import Genes, Placement
from genexp.errors import UserError
from genexp.prepare.config import TranscriptRules

if TYPE_CHECKING:
    from genexp.genomes.genome import Genome


class Site(NamedTuple):
    """A TSS: the first transcribed base, from 0."""

    name: str
    chromosome: str
    tss: int
    strand: str


def from_bed(path: Path, place: Placement, bed_tss: str | None, *, both: bool = False) -> list[Site]:
    """Return the TSSs of a BED file.

    An interval of one base is the TSS, one as long as the promoter or the window of the run is that; of others
    `bed_tss` says which base it is: ``five_prime`` or ``middle``. Lines need a strand, unless `both` are predicted and
    the TSS is the same on both.
    """
    from genexp.prepare.peaks import read_bed

    rules: dict[str, int] = {}

    def wide(start: int, end: int, strand: str) -> int | None:
        length, plus = end - start, strand == "+"
        if strand == "." and bed_tss != "middle":
            return None
        if bed_tss is None and length in (place.length, place.size):
            at = (place.tss or 0) - (place.window[0] if length == place.size else 0)
            found, rule = (start + at if plus else end - 1 - at), "promoters or windows of the run"
        elif bed_tss is None:
            return None
        elif bed_tss == "middle":
            found, rule = start + length // 2, "intervals whose middle is the TSS"
        else:
            found, rule = (start if plus else end - 1), "intervals that begin at the TSS"
        rules[rule] = rules.get(rule, 0) + 1
        return found

    peaks, kind = read_bed(path, "bed", wide, unstranded=both)
    if not peaks:
        raise UserError("this BED file has no rows", where=f"bed={path}")
    rules = {f"TSSs as {kind.name} has them": len(peaks) - sum(rules.values())} | rules
    console.say(f"bed: {', '.join(f'{number:,} {rule}' for rule, number in rules.items() if number)}")
    return [
        Site(
            p.name if p.name not in (".", "") else f"{p.place[0]}:{p.position + 1}{p.place[1].strip('.')}",
            p.place[0],
            p.position,
            p.place[1].replace(".", "+"),
        )
        for p in peaks
    ]


def from_annotation(path: Path, rules: TranscriptRules) -> tuple[list[Site], dict[str, int]]:
    """Return the TSSs of the genes of an annotation, and the lengths of its circular chromosomes."""
    from genexp.genomes.genes import read_genes

    genes, circular = read_genes(path, rules, console.say, console.warn)
    rows = zip(genes.names.ids, genes.chromosome, genes.tss, genes.strand, strict=True)
    return [Site(str(name), str(chromosome), int(tss), str(strand)) for name, chromosome, tss, strand in rows], circular


def at_sites(sites: list[Site], genome: Genome, window: tuple[int, int], *, both: bool) -> Genes:
    """Return the promoters around TSSs, `window` counted from them; those of absent chromosomes are left out."""
    there = [site for site in sites if site.chromosome in genome]
    if lost := sorted({site.chromosome for site in sites if site.chromosome not in genome}):
        what = f"{len(sites) - len(there):,} of {len(sites):,} TSSs are on chromosomes that the genome lacks"
        if not there:
            received = f"{lost[0]}, and {genome.names[0]} in the genome"
            raise UserError(what, where=f"fasta={genome.path}", received=received, hint="use files of one assembly")
        console.warn(f"{what}, and are left out: {', '.join(lost[:4])}")
    if both:
        there = [each for site in there for each in (site, site._replace(strand="-" if site.strand == "+" else "+"))]
    left, right = window
    for site in there:
        genome.promoter(*site[1:], (0, 1))  # an error now for a TSS beyond the end of its chromosome

    def tokens(size: int) -> Iterator[np.ndarray]:
        for first in range(0, len(there), size):
            yield np.stack([genome.promoter(*site[1:], window) for site in there[first : first + size]])

    begin = np.array([site.tss + left if site.strand == "+" else site.tss + 1 - right for site in there])
    length = np.array([genome.length(site.chromosome) for site in there])
    columns = {
        "id": np.array([site.name for site in there]),
        "chromosome": np.array([genome.name(site.chromosome) for site in there]),
        "start": np.clip(begin, 0, length),
        "end": np.clip(begin + right - left, 0, length),
        "strand": np.array([site.strand for site in there]),
    }
    return Genes(columns, tokens)
