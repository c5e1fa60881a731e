"""Genes and transcripts as an annotation has them, and the rows they are read from.

Coordinates are turned from 1-based, closed intervals into 0-based, half-open ones at once. What cannot be read is noted
on its transcript (`Transcript.problem`): it matters only if the gene is wanted.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from sys import intern
from typing import NamedTuple

from genexp.prepare.left_out import Reason

#: Kinds of names that several genes may share, several in a value.
SYNONYMS = ("Alias", "gene_synonym")
_NAME_KEYS = (
    *("gene_name", "gene", "Name", "gene_symbol", "symbol", "locus_tag", "old_locus_tag", "locus", "sequence_name"),
    *SYNONYMS,
)
_BIOTYPE_KEYS = ("gene_biotype", "gene_type", "biotype")
#: Rows of the parts of a transcript, by the field that holds them.
PARTS = {"exon": "exons", "CDS": "cds", "stop_codon": "stop"}

INTERVALS = ("own", "exons", "cds", "utr", "stop")
_none = partial(array, "q")


@dataclass(slots=True)
class Transcript:
    """One transcript; intervals are flat arrays: start, end, start, end, ...

    `own` are the rows of the transcript itself; `proteins` the protein of each CDS row, or ``ID=...`` where only the
    row has a name; `line` is the first line, or the one that shows the `problem`, which is why it cannot be read;
    `circular` is the length of its chromosome if that is circular, else 0.
    """

    name: str
    gene: str
    chromosome: str
    strand: str
    line: int = 0
    tags: frozenset[str] = frozenset()
    own: array[int] = field(default_factory=_none)
    exons: array[int] = field(default_factory=_none)
    cds: array[int] = field(default_factory=_none)
    utr: array[int] = field(default_factory=_none)
    stop: array[int] = field(default_factory=_none)
    proteins: list[str] = field(default_factory=list)
    circular: int = 0
    problem: Reason | None = None

    def add(self, part: str, row: Row, protein: str = "") -> None:
        """Add the interval of a row to one of the fields."""
        if part == "cds":
            self.proteins.append(intern(protein))
        interval = row.interval()
        if interval is None:
            self.fail(Reason.COORDINATES, row.line)
        else:
            getattr(self, part).extend(interval)

    def fail(self, reason: Reason, line: int) -> None:
        """Note why it cannot be read; the first reason counts."""
        if self.problem is None:
            self.problem, self.line = reason, line

    def intervals(self) -> list[array[int]]:
        """Return all fields of intervals, in the order of `INTERVALS`."""
        return [self.own, self.exons, self.cds, self.utr, self.stop]

    def rows(self, part: str) -> list[tuple[int, int, str]]:
        """Return start, end and protein, "" but for CDS, of each row of one of the fields."""
        flat = getattr(self, part)
        proteins = self.proteins if part == "cds" else [""] * len(flat)
        return list(zip(flat[::2], flat[1::2], proteins, strict=False))

    def set_rows(self, part: str, rows: list[tuple[int, int, str]]) -> None:
        """Set one of the fields."""
        setattr(self, part, array("q", [position for row in rows for position in row[:2]]))
        if part == "cds":
            self.proteins = [row[2] for row in rows]


@dataclass(slots=True)
class Gene:
    """What is said about a gene; `names` are other names by kind."""

    biotype: str = ""
    names: dict[str, str] = field(default_factory=dict)


@dataclass
class Annotation:
    """All genes, by id, and their transcripts, in the order of the file.

    `flavour` is ``"GTF"`` or ``"GFF3"``; `circular` has the length of each circular chromosome, `absent` the
    chromosomes to skip that do not occur; `nameless` counts the rows that name no gene or parent, and `repeated` those
    of exons, CDS and stop codons that say what another row says, and were dropped.
    """

    path: Path
    flavour: str = ""
    genes: dict[str, Gene] = field(default_factory=dict)
    transcripts: list[Transcript] = field(default_factory=list)
    circular: dict[str, int] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)
    nameless: int = 0
    repeated: int = 0


class Row(NamedTuple):
    """The columns of one row that are used."""

    line: int
    chromosome: str
    kind: str
    first: str
    last: str
    strand: str
    attributes: str

    def interval(self) -> tuple[int, int] | None:
        """Return start and end, or None if they are impossible."""
        try:
            start, end = int(self.first) - 1, int(self.last)
        except ValueError:
            return None
        return (start, end) if 0 <= start < end < 1 << 40 else None

    def is_transcript(self) -> bool:
        """Return whether this is the row of a transcript."""
        return self.kind.endswith(("transcript", "RNA", "gene_segment"))


@cache
def tags_of(tags: tuple[str, ...]) -> frozenset[str]:
    """Return tags as a set, one for all transcripts that have the same."""
    return frozenset(tags)


def gene_of(values: Mapping[str, str], kind: str = "") -> Gene:
    """Return what attributes say about a gene; `kind` is that of the gene's own row."""
    biotype = next((values[key] for key in _BIOTYPE_KEYS if values.get(key)), "")
    if (values.get("pseudo") == "true" or kind == "pseudogene") and "pseudogene" not in biotype:
        biotype = "pseudogene"
    names = {key: values[key] for key in _NAME_KEYS if values.get(key)}
    names |= {key: names[key].split(",")[0] for key in SYNONYMS if key in names}
    cross = re.search(r"GeneID:(\d+)", values.get("Dbxref", "") + values.get("db_xref", ""))
    return Gene(biotype, names | ({"GeneID": cross[1]} if cross else {}))
