"""Cutting promoters and counting bases while a genome is read as a stream."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genexp.errors import UserError
from genexp.features.tokens import ALPHABET, N_TOKEN
from genexp.prepare.fasta import Stretch, chromosome_aliases, plain_name, read_fasta
from genexp.prepare.genes import RawGenes
from genexp.prepare.ledger import Progress, ignore
from genexp.prepare.opening import few

#: Token of the base on the other strand.
_COMPLEMENT = np.array([3, 2, 1, 0, N_TOKEN], np.uint8)


@dataclass(frozen=True)
class Intervals:
    """Half-open intervals (n,); `start` may be negative and `end` beyond the chromosome."""

    chromosome: np.ndarray
    start: np.ndarray
    end: np.ndarray


def promoter_windows(genes: RawGenes, upstream: int, downstream: int) -> Intervals:
    """Return the window of each promoter (n,): along its strand, the TSS is base number `upstream`, from 0."""
    start = np.where(genes.strand == "+", genes.tss - upstream, genes.tss + 1 - downstream)
    return Intervals(genes.chromosome, start, start + upstream + downstream)


@dataclass(frozen=True)
class Cut:
    """What is cut from a genome in one pass.

    `promoters` (n, length) uint8 tokens along each gene's strand, N beyond a chromosome's end; `counts` (pieces, 5)
    int64, how often each token is in each piece; `outside`, how many promoters reach past a chromosome's end;
    `renamed`, the FASTA file's name of chromosomes that it calls otherwise.
    """

    promoters: np.ndarray
    counts: np.ndarray
    outside: int
    renamed: dict[str, str]


def cut_genome(
    fasta: Path, windows: Intervals, strand: np.ndarray, pieces: Intervals, progress: Progress = ignore
) -> Cut:
    """Read a genome once, in memory that does not depend on its size; `windows` are of equal length.

    Promoters whose `strand` is ``-`` are reverse-complemented; the bases of `pieces` are counted; `progress` takes the
    number of promoters cut, and of all. A UserError is raised if a chromosome is missing or shorter than a promoter, or
    a piece lies outside its chromosome.
    """
    promoters = np.full((len(strand), int(windows.end[0] - windows.start[0])), N_TOKEN, np.uint8)
    counts = np.zeros((len(pieces.start), len(ALPHABET)), np.int64)
    wanted = sorted(set(windows.chromosome) | set(pieces.chromosome))
    by_alias = {plain_name(name): name for name in wanted} | {name: name for name in wanted}
    windows_of, pieces_of = ({name: _Sorted(found, name) for name in wanted} for found in (windows, pieces))
    lengths: dict[str, int] = {}
    in_fasta: dict[str, str] = {}
    ours: dict[str, str | None] = {}
    done = 0
    for stretch in read_fasta(fasta):
        if not len(stretch.tokens):
            ours[stretch.chromosome] = _name_of(stretch, by_alias, in_fasta)
        name = ours[stretch.chromosome]
        if name is None or not len(stretch.tokens):
            continue
        left, right = stretch.start, stretch.start + len(stretch.tokens)
        lengths[name] = right
        for row, start, first, last in windows_of[name].within(left, right):
            promoters[row, first - start : last - start] = stretch.tokens[first - left : last - left]
            done += int(start >= left or left == 0)  # a promoter counts where it begins
        progress(done, len(promoters))
        for row, _, first, last in pieces_of[name].within(left, right):
            counts[row] += np.bincount(stretch.tokens[first - left : last - left], minlength=len(ALPHABET))
    _check_assembly(fasta, lengths, list(ours), windows, pieces, promoters.shape[1])
    for minus in np.flatnonzero(strand == "-"):
        promoters[minus] = _COMPLEMENT[promoters[minus, ::-1]]
    ends = np.array([lengths[name] for name in windows.chromosome])
    outside = int(((windows.start < 0) | (windows.end > ends)).sum())
    return Cut(promoters, counts, outside, {a: b for a, b in in_fasta.items() if a != b})


class _Sorted:
    """Intervals of one chromosome, by start."""

    def __init__(self, intervals: Intervals, chromosome: str) -> None:
        rows = np.flatnonzero(intervals.chromosome == chromosome)
        self.rows = rows[np.argsort(intervals.start[rows], kind="stable")]
        self.start, self.end = intervals.start[self.rows], intervals.end[self.rows]
        self.longest = int((self.end - self.start).max(initial=0))

    def within(self, left: int, right: int) -> list[tuple[int, int, int, int]]:
        """Return (row, start, first, last) of each interval that has bases [first, last) in [left, right)."""
        first = np.searchsorted(self.start, left - self.longest, "right")
        last = np.searchsorted(self.start, right, "left")
        found = np.arange(first, last)[self.end[first:last] > left]
        start, end = self.start[found], self.end[found]
        columns = self.rows[found], start, np.maximum(start, left), np.minimum(end, right)
        return list(zip(*(column.tolist() for column in columns), strict=True))


def _name_of(stretch: Stretch, by_alias: dict[str, str], in_fasta: dict[str, str]) -> str | None:
    """Return the annotation's name of a chromosome, or None when no gene lies on it; note it in `in_fasta`."""
    aliases = [stretch.chromosome, *chromosome_aliases(stretch.chromosome, stretch.header)]
    name = next((by_alias[alias] for alias in aliases if alias in by_alias), None)
    if name is None or name in in_fasta:
        return None
    in_fasta[name] = stretch.chromosome
    return name


def _check_assembly(
    fasta: Path, lengths: dict[str, int], there: list[str], windows: Intervals, pieces: Intervals, length: int
) -> None:
    """Check that annotation and genome are of one assembly, as far as names and lengths show it."""
    where, hint = f"fasta={fasta}", "use a genome and an annotation of one assembly"
    missing = sorted((set(windows.chromosome) | set(pieces.chromosome)) - set(lengths))
    if missing:
        genes = int(np.isin(windows.chromosome, missing).sum())
        what = f"the genome lacks {len(missing)} chromosome{'s' if len(missing) > 1 else ''} with {genes:,} genes"
        hint += f", or set 'genes.skip_chromosomes=[{','.join(missing[:8])}]'"
        raise UserError(what, where=where, expected=few(missing, 8), received=few(there, 8), hint=hint)
    short = [name for name in np.unique(windows.chromosome) if lengths[name] < length]
    if short:
        what, expected = "a promoter window is longer than its chromosome", f"at most {lengths[short[0]]:,} nt"
        where = f"upstream + downstream, chromosome {short[0]}"
        hint = f"take a shorter window, or set 'genes.skip_chromosomes=[{','.join(short)}]'"
        raise UserError(what, where=where, expected=expected, received=f"{length:,} nt", hint=hint)
    for n in np.flatnonzero(pieces.end > np.array([lengths[name] for name in pieces.chromosome]))[:1]:
        name, what = pieces.chromosome[n], "an exon lies beyond the end of its chromosome"
        expected, received = f"positions up to {lengths[name]:,}", f"{pieces.end[n]:,}"
        raise UserError(what, where=f"{where}, chromosome {name}", expected=expected, received=received, hint=hint)
