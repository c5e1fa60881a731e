"""The rows of a GTF file: gene_id and transcript_id on each row say what it belongs to."""

from __future__ import annotations

import re
from array import array
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from sys import intern

from genexp.prepare.left_out import Reason
from genexp.prepare.records import PARTS, Annotation, Row, Transcript, gene_of, tags_of

_ATTRIBUTE = re.compile(r'([\w.-]+) +(?:"([^"]*)"|([^";]+))')


class GtfReader:
    """Reads rows into an annotation; a transcript of one name has an entry for each gene, chromosome and strand."""

    def __init__(self, annotation: Annotation, id_key: str | None) -> None:
        self.annotation, self.gene_id = annotation, _finder(id_key or "gene_id")
        self.found: dict[tuple[str, str, str, str], Transcript] = {}
        self.last: Transcript | None = None
        self.place = ("", 0)
        self.by_position = True  # the rows of a chromosome are in the order of their positions
        #: By transcript whose rows come back, apart, after those of others: how many there were of each part.
        self.returns: dict[int, list[tuple[int, ...]]] = defaultdict(list)

    def read(self, row: Row) -> None:
        """Take one row."""
        genes = self.annotation.genes
        gene = self.gene_id(row.attributes)
        if not gene:
            self.annotation.nameless += row.kind in PARTS
            return
        if row.kind == "gene" or gene not in genes:
            genes[gene] = gene_of(_values(row.attributes))
        if row.kind in PARTS:  # those without a transcript belong to the gene itself
            transcript = self._transcript(gene, _transcript_id(row.attributes), row)
            transcript.add(PARTS[row.kind], row, _protein_id(row.attributes) if row.kind == "CDS" else "")
        elif row.is_transcript() and (name := _transcript_id(row.attributes)):
            transcript = self._transcript(gene, name, row)
            transcript.add("own", row)
            pairs = _ATTRIBUTE.findall(row.attributes)
            transcript.tags = tags_of(tuple(quoted or plain.strip() for key, quoted, plain in pairs if key == "tag"))

    def _transcript(self, gene: str, name: str, row: Row) -> Transcript:
        key = gene, name, row.chromosome, row.strand
        transcript = self.found.get(key)
        if transcript is None:
            gene, chromosome = intern(gene), intern(row.chromosome)
            transcript = Transcript(name or gene, gene, chromosome, row.strand, row.line)
            self.found[gene, name, chromosome, row.strand] = transcript
        if self.by_position:
            start = int(row.first) if row.first.isdecimal() else 0
            self.by_position = self.place[0] != row.chromosome or self.place[1] <= start
            self.place = row.chromosome, start
        if transcript is not self.last:
            if self.last is not None and _lies_apart(transcript, row):
                self.returns[id(transcript)].append(_counts(transcript))
            self.last = transcript
        return transcript

    def finish(self) -> None:
        """Give the transcripts to the annotation."""
        strands: dict[tuple[str, str, str], list[Transcript]] = defaultdict(list)
        has_names = {gene for gene, name, *_ in self.found if name}
        for (gene, name, chromosome, _), transcript in self.found.items():
            if name or gene not in has_names:
                strands[gene, name, chromosome].append(transcript)
        for found in strands.values():
            for transcript in found:
                if transcript.strand not in ("+", "-"):
                    transcript.fail(Reason.NO_STRAND, transcript.line)
                elif len(found) > 1:
                    transcript.fail(Reason.BOTH_STRANDS, transcript.line)
                copies = [] if self.by_position else _copies(transcript, self.returns.get(id(transcript), []))
                self.annotation.transcripts += copies or [transcript]


def _finder(key: str) -> Callable[[str], str]:
    """Return a function that takes attributes and returns the value of one, or an empty string."""
    search = re.compile(rf'(?:^|[ ;]){re.escape(key)} +(?:"([^"]*)"|([^";]*))').search

    def value(attributes: str) -> str:
        found = search(attributes)
        return (found[1] or found[2] or "").strip() if found else ""

    return value


_transcript_id, _protein_id = _finder("transcript_id"), _finder("protein_id")


def _values(attributes: str) -> dict[str, str]:
    """Return the attributes of a row; of those with one name the first."""
    found = reversed(_ATTRIBUTE.findall(attributes))
    return {key: quoted or plain.strip() for key, quoted, plain in found}


def _counts(transcript: Transcript) -> tuple[int, ...]:
    return tuple(map(len, transcript.intervals()))


def _lies_apart(transcript: Transcript, row: Row) -> bool:
    """Return whether a row lies beyond everything that a transcript has so far."""
    every = [position for part in transcript.intervals() for position in part]
    interval = row.interval()
    return bool(every) and interval is not None and not (min(every) < interval[1] and interval[0] < max(every))


def _copies(transcript: Transcript, returns: list[tuple[int, ...]]) -> list[Transcript]:
    """Return the copies of a transcript that a file has under one id, one after another, each with all its parts.

    UCSC's tables have a row for each place where a transcript aligns. Where the rows that lie apart are as long as the
    first, they are another copy; where they differ, nothing tells what they are.
    """
    if not returns:
        return []
    found: list[Transcript] = []
    for low, high in pairwise([(0, 0, 0, 0, 0), *returns, _counts(transcript)]):
        own, exons, cds, utr, stop = (
            part[first:last] for part, first, last in zip(transcript.intervals(), low, high, strict=True)
        )
        proteins = transcript.proteins[low[2] // 2 : high[2] // 2]
        found.append(replace(transcript, own=own, exons=exons, cds=cds, utr=utr, stop=stop, proteins=proteins))
    if len({tuple(map(bool, copy.intervals())) for copy in found}) > 1:  # such as all exons first, then all CDS
        return []
    if len({tuple(map(_lengths, copy.intervals())) for copy in found}) > 1:
        transcript.fail(Reason.APART, transcript.line)
        return []
    return found


def _lengths(flat: array[int]) -> tuple[int, ...]:
    return tuple(end - start for start, end in sorted(zip(flat[::2], flat[1::2], strict=True)))
