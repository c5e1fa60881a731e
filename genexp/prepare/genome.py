"""Cutting promoters and counting bases while a genome is read, a chromosome at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genexp.features.tokens import ALPHABET, N_TOKEN, cut, reverse_complement, tokens_from_text
from genexp.prepare.fasta import Chromosome, chromosome_aliases, plain_name, read_fasta
from genexp.prepare.genes import RawGenes
from genexp.prepare.ledger import Progress, ignore
from genexp.prepare.left_out import Reason
from genexp.prepare.records import Transcript
from genexp.prepare.transcripts import Pieces, span


@dataclass(frozen=True)
class Windows:
    """Half-open intervals (n,); `start` may be negative and `end` beyond the chromosome.

    `circular` is the length of the chromosome if it is circular, else 0.
    """

    chromosome: np.ndarray
    start: np.ndarray
    end: np.ndarray
    circular: np.ndarray


def promoter_windows(genes: RawGenes, upstream: int, downstream: int) -> Windows:
    """Return the window of each promoter (n,): along its strand, the TSS is base number `upstream`, from 0."""
    start = np.where(genes.strand == "+", genes.tss - upstream, genes.tss + 1 - downstream)
    circular = np.array([transcript.circular for transcript in genes.transcripts])
    return Windows(genes.chromosome, start, start + upstream + downstream, circular)


@dataclass(frozen=True)
class Cut:
    """What is cut from a genome in one pass.

    `promoters` (n, length) uint8 tokens along each gene's strand, N beyond the ends of a linear chromosome; `counts`
    (n, regions, 5) int64, how often each token is in each region; `problems` why a gene, by its row, does not fit the
    genome; `outside` and `wrapped` count the promoters that reach past an end, and past an origin; `renamed` has the
    FASTA file's name of chromosomes that it calls otherwise, `there` all its names. Of the promoters' bases that lie
    `inside` a chromosome, `unknown` are N.
    """

    promoters: np.ndarray
    counts: np.ndarray
    problems: dict[int, Reason]
    outside: int
    wrapped: int
    renamed: dict[str, str]
    there: list[str]
    unknown: int
    inside: int


def cut_genome(
    fasta: Path, genes: RawGenes, windows: Windows, pieces: Sequence[Sequence[Pieces]], progress: Progress = ignore
) -> Cut:
    """Read a genome once, a chromosome at a time; `windows` (n,) are of equal length.

    Promoters on strand ``-`` are reverse-complemented; the bases of `pieces` are counted, which are the pieces of each
    region, for each gene; `progress` takes the number of promoters cut, and of all.
    """
    number, length = len(genes), int(windows.end[0] - windows.start[0])
    promoters = np.full((number, length), N_TOKEN, np.uint8)
    counts = np.zeros((number, max(map(len, pieces), default=0), len(ALPHABET)), np.int64)
    rows_of = {str(name): np.flatnonzero(genes.chromosome == name).tolist() for name in np.unique(genes.chromosome)}
    by_alias = {plain_name(name): name for name in rows_of} | {name: name for name in rows_of}
    in_fasta: dict[str, str] = {}
    there: list[str] = []
    problems: dict[int, Reason] = {}
    beyond = {False: 0, True: 0}
    unknown = inside = 0
    for chromosome in read_fasta(fasta):
        there.append(chromosome.name)
        name = _name_of(chromosome, by_alias, in_fasta)
        bases = tokens_from_text(chromosome.bases if name else "")
        for row in rows_of[name] if name else ():
            transcript, start, end = genes.transcripts[row], int(windows.start[row]), int(windows.end[row])
            if problem := _misfit(transcript, int(genes.tss[row]), length, len(chromosome.bases)):
                problems[row] = problem
                continue
            circular = bool(transcript.circular)
            beyond[circular] += start < 0 or end > len(chromosome.bases)
            tokens = cut(bases, start, end, circular=circular)
            padding = 0 if circular else max(0, -start) + max(0, end - len(bases))
            inside += length - padding
            unknown += int((tokens == N_TOKEN).sum()) - padding
            promoters[row] = tokens if transcript.strand == "+" else reverse_complement(tokens)
            for region, found in enumerate(pieces[row] if pieces else ()):
                for part in (cut(bases, *piece, circular=circular) for piece in found):
                    counts[row, region] += np.bincount(part, minlength=len(ALPHABET))
        progress(sum(len(rows_of[known]) for known in in_fasta), number)
        del chromosome, bases  # before the next one is read
    missing = [row for name, rows in rows_of.items() if name not in in_fasta for row in rows]
    problems |= dict.fromkeys(missing, Reason.MISSING)
    progress(number, number)
    renamed = {ours: theirs for ours, theirs in in_fasta.items() if ours != theirs}
    return Cut(promoters, counts, problems, beyond[False], beyond[True], renamed, there, unknown, inside)


def _misfit(transcript: Transcript, tss: int, window: int, length: int) -> Reason | None:
    """Return why a transcript and its window do not fit a chromosome of this length."""
    if transcript.circular and transcript.circular != length:
        return Reason.LENGTH
    if window > length:
        return Reason.WINDOW
    if not transcript.circular and max(span(transcript)[1], tss + 1) > length:
        return Reason.BEYOND
    return None


def _name_of(chromosome: Chromosome, by_alias: dict[str, str], in_fasta: dict[str, str]) -> str | None:
    """Return the annotation's name of a chromosome, or None when no gene lies on it; note it in `in_fasta`."""
    aliases = [chromosome.name, *chromosome_aliases(chromosome.name, chromosome.header)]
    name = next((by_alias[alias] for alias in aliases if alias in by_alias), None)
    if name is None or name in in_fasta:
        return None
    in_fasta[name] = chromosome.name
    return name
