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
#: By strand, or the lack of one, whether a line may be on strand ``+``.
_STRANDS = {"+": (True,), "-": (False,), ".": (True, False)}
#: Chromosome without ``chr``, and strand.
Place = tuple[str, str]
#: Takes start, end and strand (``.``: either), and returns a position, or None where there is none.
Wide = Callable[[int, int, str], int | None]


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
    """One kind of file, which its number of columns shows, and the base that stands for a peak (0-based) or None."""

    name: str
    more_columns: str
    position: Callable[[Sequence[str], int, int, bool], int | None]

    def columns(self) -> str:
        return f"chromosome, start, end, name, score, + or -{self.more_columns}"


_BED = Format("BED", "", _single)
#: By number of columns; files with another number are BED6 with columns of their own.
_FORMATS = {
    8: Format("EPDnew", ", thick start, thick end", _thick),
    9: Format("BED9", ", thick start, thick end, colour", _thick),
    10: Format("narrowPeak", ", signal, p, q, summit", _summit),
    12: Format("BED12", ", thick start, thick end, colour, number, sizes and starts of blocks", _blocks),
}
#: Names of peaks with the number of the gene's promoter, of which the first counts: FANTOM5's and EPDnew's.
_NUMBERED = (re.compile(r"p(?P<number>\d+)@(?P<label>.+)"), re.compile(r"(?P<label>.+)_(?P<number>\d+)"))


def tss_from_peaks(path: Path, genes: RawGenes) -> tuple[np.ndarray, str]:
    """Return the TSS of each gene, from a peak where there is one, and a sentence about it.

    A peak belongs to the gene it is named after (its id, or FANTOM5's ``p1@SYMBOL`` and EPDnew's ``SYMBOL_1``, of which
    only the first counts), on the same chromosome and strand. If no peak is named after a gene, the one with the
    highest score within `NEAR` nt of the annotated TSS is taken. A UserError is raised if no peak belongs to any gene,
    or one has no single base that can be the TSS.
    """
    (peaks, kind), annotated = read_bed(path, "tss"), genes.tss
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
        f"{kind.name} peaks ({how}) for {len(moved):,} genes; those that moved did by a median of {median:.0f} nt; "
        f"the annotated TSS for {len(genes) - len(moved):,}"
    )


def read_bed(path: Path, key: str, wide: Wide | None = None, *, unstranded: bool = False) -> tuple[list[Peak], Format]:
    """Return the lines of a BED file, and its kind; `key` is the config key that names it.

    `wide` chooses the base of an interval of several bases that has neither a thick part nor a summit. `unstranded`
    allows lines without a strand, ``.``, where the base is the same on both.
    """
    peaks: list[Peak] = []
    width = 0
    with open_text(path) as file:
        for number, line in enumerate(file, 1):
            if line.startswith(("#", "track", "browser")) or not line.strip():
                continue
            columns = line.rstrip("\r\n").split("\t")
            width = width or len(columns)
            at = f"{key}={path}", number
            peaks.append(_peak(columns, _FORMATS.get(width, _BED), width, at, wide, unstranded=unstranded))
    return peaks, _FORMATS.get(width, _BED)


def _peak(
    columns: Sequence[str], kind: Format, width: int, at: tuple[str, int], wide: Wide | None, *, unstranded: bool
) -> Peak:
    (where, line), text = at, " ".join(columns)
    name, score, strand = (*columns[3:6], ".", ".", ".")[:3]
    try:
        start, end, number = int(columns[1]), int(columns[2]), float(score) if score != "." else 0.0
        if not 0 <= start < end < 1 << 40 or strand not in _STRANDS or len(columns) != width:
            raise ValueError
        positions = {kind.position(columns, start, end, plus) for plus in _STRANDS[strand]}
    except (IndexError, ValueError):
        raise bad_line("a line is not BED with six columns and a strand", where, line, kind.columns(), text) from None
    if strand == "." and not unstranded:
        hint = "give each line + or - in column 6" + (", or predict both: both_strands=true" if wide else "")
        raise bad_line("a line has no strand", where, line, kind.columns(), text, hint)
    position = positions.pop() if len(positions) == 1 else None
    if position is None and wide:
        position = wide(start, end, strand)
    if position is None:
        what, expected = "a peak is wide, and no single base of it is the TSS", "one base, a thick part or a summit"
        hint = "give one base for each TSS, or peaks with a thick part (EPDnew, FANTOM5) or a summit (narrowPeak)"
        if wide:
            hint = f"say which base is the TSS: {'' if strand == '.' else 'bed_tss=five_prime or '}bed_tss=middle"
        raise bad_line(what, where, line, expected, f"{end - start:,} nt: {text}", hint)
    if not start <= position < end:
        raise bad_line("the TSS of a peak lies outside it", where, line, kind.columns(), text)
    return Peak((plain_name(columns[0]), strand), position, name, number)


def _named(peaks: list[Peak], names: GeneNames, places: list[Place]) -> dict[int, int]:
    """Return new TSSs by gene, from the best peak of each name: the highest score, and the first of equals."""
    best: dict[str, Peak] = {}
    for peak in peaks:
        for part in peak.name.split(","):
            found = [pattern.fullmatch(part) for pattern in _NUMBERED]
            labels = {part, *(match["label"] for match in found if match and match["number"] == "1")}
            for label in labels:
                if label not in best or peak.score > best[label].score:
                    best[label] = peak
    moved: dict[int, int] = {}
    for gene, (place, *called) in enumerate(zip(places, names.ids, *names.others.values(), strict=True)):
        for peak in (best[name] for name in called if name in best and best[name].place == place):
            moved.setdefault(gene, peak.position)
    return moved


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
