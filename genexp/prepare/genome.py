"""Cutting promoters and counting bases while a genome is read as a stream."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genexp.errors import UserError
from genexp.features.tokens import ALPHABET, N_TOKEN
from genexp.prepare.fasta import Stretch, chromosome_aliases, plain_name, read_fasta
from genexp.prepare.ledger import Progress, ignore

#: Token of the base on the other strand.
_COMPLEMENT = np.array([3, 2, 1, 0, N_TOKEN], np.uint8)


@dataclass(frozen=True)
class Intervals:
    """Half-open intervals; `start` may be negative and `end` beyond the chromosome.

    Attributes
    ----------
    chromosome : (n,) array of str
    start, end : (n,) int64
    """

    chromosome: np.ndarray
    start: np.ndarray
    end: np.ndarray

    def __len__(self) -> int:
        return len(self.start)


def promoter_windows(
    chromosome: np.ndarray, strand: np.ndarray, tss: np.ndarray, upstream: int, downstream: int
) -> Intervals:
    """Return the window of each promoter; read along its strand, the TSS is base number `upstream`, from 0.

    Parameters
    ----------
    chromosome, strand : (n,) array of str
    tss : (n,) int64
        Position of the first transcribed base, from 0.
    upstream, downstream
        Bases before the TSS, and from the TSS on.
    """
    start = np.where(strand == "+", tss - upstream, tss + 1 - downstream)
    return Intervals(chromosome, start, start + upstream + downstream)


@dataclass(frozen=True)
class Cut:
    """What is cut from a genome in one pass.

    Attributes
    ----------
    promoters : (n, length) uint8
        Tokens along each gene's strand; N beyond a chromosome's end.
    counts : (pieces, 5) int64
        How often each token is in each piece.
    lengths
        Bases of each chromosome that was needed, by the annotation's name.
    renamed
        Chromosomes that the FASTA file calls otherwise: annotation's name to FASTA's.
    """

    promoters: np.ndarray
    counts: np.ndarray
    lengths: dict[str, int]
    renamed: dict[str, str]


def cut_genome(
    fasta: Path, windows: Intervals, strand: np.ndarray, pieces: Intervals, progress: Progress = ignore
) -> Cut:
    """Read a genome once; memory does not depend on its size.

    Parameters
    ----------
    fasta
        The genome.
    windows : n intervals of equal length
        The promoters.
    strand : (n,) array of str
        Promoters on ``-`` are reverse-complemented.
    pieces
        Intervals whose bases are counted.
    progress
        Takes the number of promoters cut, and of all.

    Raises
    ------
    UserError
        If a chromosome is missing or shorter than a promoter, or a piece lies outside its chromosome.
    """
    length = int(windows.end[0] - windows.start[0]) if len(windows) else 0
    promoters = np.full((len(windows), length), N_TOKEN, np.uint8)
    counts = np.zeros((len(pieces), len(ALPHABET)), np.int64)
    wanted = sorted(set(windows.chromosome) | set(pieces.chromosome))
    by_alias = {plain_name(name): name for name in wanted}
    windows_of = {name: _Sorted(windows, windows.chromosome == name) for name in wanted}
    pieces_of = {name: _Sorted(pieces, pieces.chromosome == name) for name in wanted}
    lengths: dict[str, int] = {}
    in_fasta: dict[str, str] = {}
    ours: dict[str, str | None] = {}
    done = 0
    for stretch in read_fasta(fasta):
        if not len(stretch.tokens):
            ours[stretch.chromosome] = _name_of(stretch, set(wanted), by_alias, in_fasta)
            continue
        name = ours[stretch.chromosome]
        if name is None:
            continue
        left, right = stretch.start, stretch.start + len(stretch.tokens)
        lengths[name] = right
        for row, start, first, last in windows_of[name].within(left, right):
            promoters[row, first - start : last - start] = stretch.tokens[first - left : last - left]
            done += int(start >= left or left == 0)  # a promoter counts where it begins
        progress(done, len(windows))
        for row, _, first, last in pieces_of[name].within(left, right):
            counts[row] += np.bincount(stretch.tokens[first - left : last - left], minlength=len(ALPHABET))
    _check_chromosomes(fasta, wanted, lengths, list(ours), windows, length)
    _check_inside(pieces, lengths, fasta)
    for minus in np.flatnonzero(strand == "-"):
        promoters[minus] = _COMPLEMENT[promoters[minus, ::-1]]
    return Cut(promoters, counts, lengths, {a: b for a, b in in_fasta.items() if a != b})


class _Sorted:
    """Intervals of one chromosome, by start."""

    def __init__(self, intervals: Intervals, mine: np.ndarray) -> None:
        rows = np.flatnonzero(mine)
        self.rows = rows[np.argsort(intervals.start[rows], kind="stable")]
        self.start, self.end = intervals.start[self.rows], intervals.end[self.rows]
        self.longest = int((self.end - self.start).max()) if len(rows) else 0

    def within(self, left: int, right: int) -> list[tuple[int, int, int, int]]:
        """Return (row, start, first, last) of each interval that has bases [first, last) in [left, right)."""
        first = np.searchsorted(self.start, left - self.longest, "right")
        last = np.searchsorted(self.start, right, "left")
        found = np.arange(first, last)[self.end[first:last] > left]
        start, end = self.start[found], self.end[found]
        columns = self.rows[found], start, np.maximum(start, left), np.minimum(end, right)
        return list(zip(*(column.tolist() for column in columns), strict=True))


def _name_of(stretch: Stretch, wanted: set[str], by_alias: dict[str, str], in_fasta: dict[str, str]) -> str | None:
    """Return the annotation's name of a chromosome, or None when no gene lies on it."""
    name = stretch.chromosome if stretch.chromosome in wanted else None
    if name is None:
        aliases = chromosome_aliases(stretch.chromosome, stretch.header)
        name = next((by_alias[alias] for alias in aliases if alias in by_alias), None)
    if name is None or name in in_fasta:
        return None
    in_fasta[name] = stretch.chromosome
    return name


def _few(names: list[str]) -> str:
    return ", ".join(names[:8]) + (" ..." if len(names) > 8 else "")


def _check_chromosomes(
    fasta: Path, wanted: list[str], lengths: dict[str, int], there: list[str], windows: Intervals, length: int
) -> None:
    missing = [name for name in wanted if name not in lengths]
    if missing:
        genes = int(np.isin(windows.chromosome, missing).sum())
        raise UserError(
            f"the genome lacks {len(missing)} chromosome{'s' if len(missing) > 1 else ''} with {genes:,} genes",
            where=f"fasta={fasta}",
            expected=_few(missing),
            received=_few(there),
            hint=f"use files of one assembly, or set 'genes.skip_chromosomes=[{','.join(missing[:8])}]'",
        )
    short = [name for name in np.unique(windows.chromosome) if lengths[name] < length]
    if short:
        raise UserError(
            "a promoter window is longer than its chromosome",
            where=f"upstream + downstream, chromosome {short[0]}",
            expected=f"at most {lengths[short[0]]:,} nt",
            received=f"{length:,} nt",
            hint=f"take a shorter window, or set 'genes.skip_chromosomes=[{','.join(short)}]'",
        )


def _check_inside(pieces: Intervals, lengths: dict[str, int], fasta: Path) -> None:
    """Check that annotation and genome are of one assembly, as far as lengths show it."""
    for name in np.unique(pieces.chromosome):
        last = int(pieces.end[pieces.chromosome == name].max())
        if last > lengths[name]:
            raise UserError(
                "an exon lies beyond the end of its chromosome",
                where=f"fasta={fasta}, chromosome {name}",
                expected=f"positions up to {lengths[name]:,}",
                received=f"{last:,}",
                hint="use a genome and an annotation of one assembly",
            )
