"""Transcription start sites from a BED file of CAGE peaks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genexp.errors import UserError
from genexp.prepare.fasta import plain_name
from genexp.prepare.sources import open_text
from genexp.prepare.transcripts import Chosen

#: A peak without a gene's name belongs to the gene whose TSS it lies this near, in nt, on the same strand.
NEAR = 500


@dataclass(frozen=True)
class Peak:
    """One line of a BED file; `position` is the base that stands for the peak, from 0."""

    chromosome: str
    position: int
    name: str
    score: float
    strand: str


def tss_from_peaks(path: Path, chosen: Chosen) -> tuple[np.ndarray, str]:
    """Return the TSS of each gene with the peaks' where there is one, and a sentence about it.

    A peak belongs to the gene it is named after (its id, or FANTOM5's ``p1@SYMBOL``, of which only p1 counts), on the
    same chromosome and strand. If no peak is named after a gene, the one with the highest score within `NEAR` nt of the
    annotated TSS is taken. A peak's position is its ``thickStart`` where that is a single base, else its middle.

    Raises
    ------
    UserError
        If a line is not BED with a strand, or no peak goes with any gene.
    """
    peaks = list(_read_bed(path))
    by_name = _named(peaks)
    tss = chosen.tss.copy()
    taken = 0
    for gene in range(len(chosen)):
        names = [chosen.names.ids[gene], *(others[gene] for others in chosen.names.others.values())]
        place = plain_name(chosen.chromosome[gene]), chosen.strand[gene]
        found = [by_name[name] for name in names if name in by_name]
        mine = next((p for p in found if (plain_name(p.chromosome), p.strand) == place), None)
        if mine is not None:
            tss[gene], taken = mine.position, taken + 1
    how = "named after the gene"
    if not taken:
        taken, how = _nearest(peaks, chosen, tss), f"the strongest within {NEAR} nt of the annotated TSS"
    if not taken:
        raise UserError(
            "no CAGE peak goes with any gene",
            where=f"tss={path}",
            expected=f"peaks named as {chosen.names.ids[0]} or p1@SYMBOL, or near annotated TSSs",
            received=f"{len(peaks):,} peaks, the first named {peaks[0].name} on {peaks[0].chromosome}"
            if peaks
            else "none",
            do="use peaks of the same assembly and organism",
        )
    moved = float(np.median(np.abs(tss - chosen.tss)[tss != chosen.tss])) if (tss != chosen.tss).any() else 0
    return tss, (
        f"CAGE peaks ({how}) for {taken:,} genes; those that moved did by a median of {moved:.0f} nt; "
        f"the annotated TSS for {len(chosen) - taken:,}"
    )


def _read_bed(path: Path) -> list[Peak]:
    peaks = []
    with open_text(path) as file:
        for number, line in enumerate(file, 1):
            if line.startswith(("#", "track", "browser")) or not line.strip():
                continue
            columns = line.rstrip("\r\n").split("\t")
            try:
                start, end, strand = int(columns[1]), int(columns[2]), columns[5]
                score = float(columns[4])
                thick = (int(columns[6]), int(columns[7])) if len(columns) > 7 else (start, end)
            except (IndexError, ValueError):
                start, end, strand, score, thick = 0, 0, "", 0.0, (0, 0)
            if strand not in ("+", "-") or not 0 <= start < end:
                raise UserError(
                    "a line is no BED with six columns and a strand",
                    where=f"tss={path}, line {number:,}",
                    expected="chromosome, start, end, name, score, + or -, separated by tabs",
                    received=line.strip()[:80],
                    do="mend or remove the line",
                )
            position = thick[0] if thick[1] - thick[0] == 1 else (start + end - 1) // 2
            peaks.append(Peak(columns[0], position, columns[3], score, strand))
    return peaks


def _named(peaks: list[Peak]) -> dict[str, Peak]:
    """Return the best peak of each name: the highest score, and the first of equals."""
    found: dict[str, Peak] = {}
    for peak in peaks:
        for part in peak.name.split(","):
            match = re.fullmatch(r"p(\d+)@(.+)", part)
            if match and match[1] != "1":
                continue
            name = match[2] if match else part
            if name not in found or peak.score > found[name].score:
                found[name] = peak
    return found


def _nearest(peaks: list[Peak], chosen: Chosen, tss: np.ndarray) -> int:
    """Move each TSS to the strongest peak near it; return how many there are."""
    places: dict[tuple[str, str], list[Peak]] = {}
    for peak in sorted(peaks, key=lambda p: p.position):
        places.setdefault((plain_name(peak.chromosome), peak.strand), []).append(peak)
    positions = {place: np.array([p.position for p in found]) for place, found in places.items()}
    taken = 0
    for gene in range(len(chosen)):
        place = plain_name(chosen.chromosome[gene]), str(chosen.strand[gene])
        if place not in places:
            continue
        first, last = np.searchsorted(positions[place], [chosen.tss[gene] - NEAR, chosen.tss[gene] + NEAR + 1])
        near = places[place][first:last]
        if near:
            best = max(near, key=lambda p: (p.score, -abs(p.position - chosen.tss[gene])))
            tss[gene], taken = best.position, taken + 1
    return taken
