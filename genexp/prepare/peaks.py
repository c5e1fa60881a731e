"""Transcription start sites from a BED file of CAGE peaks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genexp.errors import UserError
from genexp.prepare.fasta import plain_name
from genexp.prepare.genes import RawGenes
from genexp.prepare.names import GeneNames
from genexp.prepare.sources import bad_line, open_text

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

    @property
    def place(self) -> tuple[str, str]:
        """Chromosome, without ``chr``, and strand."""
        return plain_name(self.chromosome), self.strand


def tss_from_peaks(path: Path, genes: RawGenes) -> tuple[np.ndarray, str]:
    """Return the TSS of each gene, from a peak where there is one, and a sentence about it.

    A peak belongs to the gene it is named after (its id, or FANTOM5's ``p1@SYMBOL``, of which only p1 counts), on the
    same chromosome and strand. If no peak is named after a gene, the one with the highest score within `NEAR` nt of the
    annotated TSS is taken. A peak's position is its ``thickStart`` where that is a single base, else its middle. A
    UserError is raised if no peak belongs to any gene.
    """
    found = genes.places()
    if found is None:
        raise TypeError("peaks need genes with a place")
    peaks, annotated = _read_bed(path), found[2]
    places = [(plain_name(name), str(strand)) for name, strand in zip(*found[:2], strict=True)]
    how, moved = "named after the gene", _named(peaks, genes.names, places)
    if not moved:
        how, moved = f"the strongest within {NEAR} nt of the annotated TSS", _nearest(peaks, annotated, places)
    if not moved:
        first = f", the first named {peaks[0].name} on {peaks[0].chromosome}" if peaks else ""
        raise UserError(
            "no CAGE peak belongs to any gene",
            where=f"tss={path}",
            expected=f"peaks named {genes.names.ids[0]} or p1@SYMBOL, or near annotated TSSs",
            received=f"{len(peaks):,} peaks{first}",
            hint="use peaks of the same assembly and organism",
        )
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
            peaks.append(Peak(columns[0], position, columns[3], score, strand))
    return peaks


def _named(peaks: list[Peak], names: GeneNames, places: list[tuple[str, str]]) -> dict[int, int]:
    """Return new TSSs by gene, from the best peak of each name: the highest score, and the first of equals."""
    best: dict[str, Peak] = {}
    for peak in peaks:
        for part in peak.name.split(","):
            match = re.fullmatch(r"p(\d+)@(.+)", part)
            label = match[2] if match else part
            if (not match or match[1] == "1") and (label not in best or peak.score > best[label].score):
                best[label] = peak
    kinds = [names.ids, *names.others.values()]
    found: dict[int, int] = {}
    for gene, place in enumerate(places):
        mine = (best[kind[gene]] for kind in kinds if kind[gene] in best)
        position = next((peak.position for peak in mine if peak.place == place), None)
        if position is not None:
            found[gene] = position
    return found


def _nearest(peaks: list[Peak], annotated: np.ndarray, places: list[tuple[str, str]]) -> dict[int, int]:
    """Return new TSSs by gene, from the strongest peak near the annotated one."""
    peaks_at: dict[tuple[str, str], list[Peak]] = {}
    for peak in sorted(peaks, key=lambda p: p.position):
        peaks_at.setdefault(peak.place, []).append(peak)
    positions = {place: np.array([peak.position for peak in found]) for place, found in peaks_at.items()}
    found: dict[int, int] = {}
    for gene, (place, tss) in enumerate(zip(places, annotated.tolist(), strict=True)):
        if place in positions:
            first, last = np.searchsorted(positions[place], [tss - NEAR, tss + NEAR + 1])
            near = peaks_at[place][first:last]
            if near:
                found[gene] = max(near, key=lambda p: (p.score, -abs(p.position - tss))).position
    return found
