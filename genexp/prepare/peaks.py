"""Transcription start sites from peaks: BED, EPDnew, FANTOM5's CAGE peaks, narrowPeak."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
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


def _single(columns: Sequence[str], start: int, end: int, plus: bool) -> int | None:
    return start if end - start == 1 else None


def _thick(columns: Sequence[str], start: int, end: int, plus: bool) -> int | None:
    """EPDnew's thick part begins at the TSS, FANTOM5's is the TSS; one as wide as the peak says nothing."""
    first, last = int(columns[6]), int(columns[7])
    if first >= last or (first, last) == (start, end):
        return _single(columns, start, end, plus)
    return first if plus else last - 1


def _summit(columns: Sequence[str], start: int, end: int, plus: bool) -> int | None:
    offset = int(columns[9])
    return start + offset if offset >= 0 else _single(columns, start, end, plus)


def _blocks(columns: Sequence[str], start: int, end: int, plus: bool) -> int | None:
    """A transcript begins at the end that its strand says; its thick part is the CDS, unless that is a single base."""
    first, last = int(columns[6]), int(columns[7])
    return first if last - first == 1 else start if plus else end - 1


class Format(NamedTuple):
    """One kind of file, and the base that stands for a peak (columns, start, end, on the plus strand)."""

    name: str
    columns: str
    position: Callable[[Sequence[str], int, int, bool], int | None]


_BED = Format("BED", "chromosome, start, end, name, score, + or -, and perhaps more", _single)
_WITH_THICK = Format("BED with a thick part", f"{_BED.columns[:-18]}, thick start, thick end, perhaps colour", _thick)
#: By number of columns; files with another number are BED6 with columns of their own.
_FORMATS = {
    8: _WITH_THICK,
    9: _WITH_THICK,
    10: Format("narrowPeak", f"{_BED.columns[:-18]}, signal, p, q, summit", _summit),
    12: Format("BED12", f"{_BED.columns[:-18]}, thick start, thick end, colour, blocks, sizes, starts", _blocks),
}


def tss_from_peaks(path: Path, genes: RawGenes) -> tuple[np.ndarray, str]:
    """Return the TSS of each gene, from a peak where there is one, and a sentence about it.

    A peak belongs to the gene it is named after (its id, or FANTOM5's ``p1@SYMBOL``, of which only p1 counts), on the
    same chromosome and strand. If no peak is named after a gene, the one with the highest score within `NEAR` nt of the
    annotated TSS is taken. A UserError is raised if no peak belongs to any gene, or one has no single base that can be
    the TSS.
    """
    (peaks, kind), annotated = _read_bed(path), genes.tss
    places = [(plain_name(name), str(strand)) for name, strand in zip(genes.chromosome, genes.strand, strict=True)]
    how, moved = "named after the gene", _named(peaks, genes.names, places)
    if not moved:
        how, moved = f"the strongest within {NEAR} nt of the annotated TSS", _nearest(peaks, annotated, places)
    if not moved:
        expected = f"peaks named {genes.names.ids[0]} or p1@SYMBOL, or near annotated TSSs"
        first = f", the first named {peaks[0].name} on {peaks[0].place[0]}" if peaks else ""
        received, hint = f"{len(peaks):,} peaks{first}", "use peaks of the same assembly and organism"
        what, where = "no peak belongs to any gene", f"tss={path}"
        raise UserError(what, where=where, expected=expected, received=received, hint=hint)
    tss = annotated.copy()
    tss[list(moved)] = list(moved.values())
    distance = np.abs(tss - annotated)
    median = np.median(distance[distance > 0]) if distance.any() else 0
    return tss, (
        f"{kind} peaks ({how}) for {len(moved):,} genes; those that moved did by a median of {median:.0f} nt; "
        f"the annotated TSS for {len(genes) - len(moved):,}"
    )


def _read_bed(path: Path) -> tuple[list[Peak], str]:
    """Return the peaks, and the name of the format that the number of columns shows."""
    peaks: list[Peak] = []
    width = 0
    with open_text(path) as file:
        for number, line in enumerate(file, 1):
            columns = line.rstrip("\r\n").split("\t")
            if line.startswith(("#", "track", "browser")) or not line.strip():
                continue
            width = width or len(columns)
            expected = _FORMATS.get(width, _BED)
            try:
                start, end, strand = int(columns[1]), int(columns[2]), columns[5]
                if not 0 <= start < end or strand not in ("+", "-") or len(columns) != width:
                    raise ValueError
                found = expected.position(columns, start, end, strand == "+")
                score = float(columns[4]) if columns[4] != "." else 0.0
            except (IndexError, ValueError):
                what = "a line is not BED with a strand"
                raise bad_line(what, f"tss={path}", number, expected.columns, line, at="") from None
            if found is None or not start <= found < end:
                what = "a peak is wide, and no single base of it is the TSS"
                hint = "give one base for each TSS, or peaks with a summit: narrowPeak, EPDnew, FANTOM5"
                where = "one base, or a thick part or summit in it"
                raise bad_line(what, f"tss={path}", number, where, f"{end - start:,} nt: {line}", hint)
            peaks.append(Peak((plain_name(columns[0]), strand), found, columns[3], score))
    return peaks, _FORMATS.get(width, _BED).name


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
