"""Transcription start sites from a BED file of CAGE peaks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from genexp.errors import UserError
from genexp.prepare.fasta import plain_name
from genexp.prepare.genes import GeneNames, RawGenes
from genexp.prepare.opening import bad_line, open_text

#: A peak without a gene's name belongs to the gene whose TSS it lies this near, in nt, on the same strand.
NEAR = 500
#: Chromosome without ``chr``, and strand.
Place = tuple[str, str]


class Peak(NamedTuple):
    """One line of a BED file; `position` is the base that stands for the peak, from 0."""

    place: Place
    position: int
    name: str
    score: float


def tss_from_peaks(path: Path, genes: RawGenes) -> tuple[np.ndarray, str]:
    """Return the TSS of each gene, from a peak where there is one, and a sentence about it.

    A peak belongs to the gene it is named after (its id, or FANTOM5's ``p1@SYMBOL``, of which only p1 counts), on the
    same chromosome and strand. If no peak is named after a gene, the one with the highest score within `NEAR` nt of the
    annotated TSS is taken. A peak's position is its ``thickStart`` where that is a single base, else its middle. A
    UserError is raised if no peak belongs to any gene.
    """
    peaks, annotated = _read_bed(path), genes.tss
    places = [(plain_name(name), str(strand)) for name, strand in zip(genes.chromosome, genes.strand, strict=True)]
    how, moved = "named after the gene", _named(peaks, genes.names, places)
    if not moved:
        how, moved = f"the strongest within {NEAR} nt of the annotated TSS", _nearest(peaks, annotated, places)
    if not moved:
        expected = f"peaks named {genes.names.ids[0]} or p1@SYMBOL, or near annotated TSSs"
        first = f", the first named {peaks[0].name} on {peaks[0].place[0]}" if peaks else ""
        received, hint = f"{len(peaks):,} peaks{first}", "use peaks of the same assembly and organism"
        what, where = "no CAGE peak belongs to any gene", f"tss={path}"
        raise UserError(what, where=where, expected=expected, received=received, hint=hint)
    tss = annotated.copy()
    tss[list(moved)] = list(moved.values())
    distance = np.abs(tss - annotated)
    median = np.median(distance[distance > 0]) if distance.any() else 0
    return tss, (
        f"CAGE peaks ({how}) for {len(moved):,} genes; those that moved did by a median of {median:.0f} nt; "
        f"the annotated TSS for {len(genes) - len(moved):,}"
    )


def _read_bed(path: Path) -> list[Peak]:
    peaks = []
    with open_text(path) as file:
        for number, line in enumerate(file, 1):
            if line.startswith(("#", "track", "browser")) or not line.strip():
                continue
            columns = line.rstrip("\r\n").split("\t")
            try:
                start, end, strand, score = int(columns[1]), int(columns[2]), columns[5], float(columns[4])
                thick = (int(columns[6]), int(columns[7])) if len(columns) > 7 else (start, end)
            except (IndexError, ValueError):
                start, end, strand, score, thick = 0, 0, "", 0.0, (0, 0)
            if strand not in ("+", "-") or not 0 <= start < end:
                what = "a line is not BED with six columns and a strand"
                raise bad_line(what, f"tss={path}", number, "chromosome, start, end, name, score, + or -", line)
            position = thick[0] if thick[1] - thick[0] == 1 else (start + end - 1) // 2
            peaks.append(Peak((plain_name(columns[0]), strand), position, columns[3], score))
    return peaks


def _named(peaks: list[Peak], names: GeneNames, places: list[Place]) -> dict[int, int]:
    """Return new TSSs by gene, from the best peak of each name: the highest score, and the first of equals."""
    best: dict[str, Peak] = {}
    for peak in peaks:
        for part in peak.name.split(","):
            number, label = match.groups() if (match := re.fullmatch(r"p(\d+)@(.+)", part)) else ("1", part)
            if number == "1" and (label not in best or peak.score > best[label].score):
                best[label] = peak
    found: dict[int, int] = {}
    for gene, (place, *called) in enumerate(zip(places, names.ids, *names.others.values(), strict=True)):
        for peak in (best[name] for name in called if name in best and best[name].place == place):
            found.setdefault(gene, peak.position)
    return found


def _nearest(peaks: list[Peak], annotated: np.ndarray, places: list[Place]) -> dict[int, int]:
    """Return new TSSs by gene, from the strongest peak near the annotated one."""
    peaks_at: dict[Place, list[Peak]] = {}
    for peak in sorted(peaks, key=lambda p: p.position):
        peaks_at.setdefault(peak.place, []).append(peak)
    positions = {place: np.array([peak.position for peak in found]) for place, found in peaks_at.items()}
    found: dict[int, int] = {}
    for gene, (place, tss) in enumerate(zip(places, annotated.tolist(), strict=True)):
        if place in positions:
            first, last = np.searchsorted(positions[place], [tss - NEAR, tss + NEAR + 1])
            for peak in sorted(peaks_at[place][first:last], key=lambda p: (-p.score, abs(p.position - tss)))[:1]:
                found[gene] = peak.position
    return found
