"""The rows of a GFF3 file: ID and Parent say which belong together."""

from __future__ import annotations

import re
from array import array
from collections import defaultdict
from collections.abc import Mapping
from sys import intern
from urllib.parse import unquote

from genexp.prepare.left_out import Reason
from genexp.prepare.records import PARTS, Annotation, Row, Transcript, gene_of, tags_of

_PARTS = {**PARTS, "five_prime_UTR": "utr", "three_prime_UTR": "utr"}
#: What names the gene of a row that stands without a gene's row.
_GENE_KEYS = ("gene_id", "geneID", "locus_tag", "gene")

#: Chromosome and ID: some files number the rows of each chromosome anew.
_Key = tuple[str, str]


class Gff3Reader:
    """Reads rows into an annotation; a part's parent is a transcript, or in bacteria the gene itself."""

    def __init__(self, annotation: Annotation, id_key: str | None) -> None:
        self.annotation, self.id_key = annotation, id_key
        self.found: dict[_Key, Transcript] = {}
        self.gene_rows: dict[_Key, tuple[str, array[int]]] = {}  # id and intervals of each gene
        self.attributes: dict[_Key, str] = {}  # of the first part of each transcript

    def read(self, row: Row) -> None:
        """Take one row."""
        values = dict(part.strip().split("=", 1) for part in row.attributes.split(";") if "=" in part)
        parents = [unquote(parent) for parent in values.get("Parent", "").split(",") if parent]
        if "%" in row.attributes:
            values = {key: unquote(value) for key, value in values.items()}
        row_id = values.get("ID", "")
        if row.kind in _PARTS:
            if row.kind == "CDS" and not parents:  # Prokka, Prodigal: a CDS is a gene
                parents = [self._own_gene(row, values)]
            self.annotation.nameless += not parents
            for parent in parents:
                self._add_part(parent, row, values)
        elif parents and row_id:
            transcript = self._transcript(row_id, row)
            transcript.gene, transcript.tags = parents[0], tags_of(tuple(values.get("tag", "").split(",")))
            transcript.add("own", row)
        elif not parents and (row.kind.endswith("gene") or "gene_id" in values):
            self._gene(row, row_id, values)
        elif not parents and row_id and row.kind in ("mRNA", "transcript"):
            self._own_gene(row, values)
            self._transcript(row_id, row).add("own", row)

    def _add_part(self, parent: str, row: Row, values: Mapping[str, str]) -> None:
        transcript, part = self._transcript(parent, row), _PARTS[row.kind]
        self.attributes.setdefault((row.chromosome, parent), row.attributes)
        transcript.add(part, row, values.get("protein_id") or f"ID={values.get('ID', '')}")

    def _transcript(self, name: str, row: Row) -> Transcript:
        key = row.chromosome, name
        found = self.found.get(key)
        if found is None:
            found = self.found[key] = Transcript(name, "", intern(row.chromosome), row.strand, row.line)
        if row.strand not in ("+", "-"):
            found.fail(Reason.NO_STRAND, row.line)
        elif found.strand != row.strand:
            found.fail(Reason.BOTH_STRANDS, row.line)
        return found

    def _gene(self, row: Row, row_id: str, values: Mapping[str, str]) -> None:
        without_prefix = re.sub(r"^gene[:_-]", "", row_id, flags=re.IGNORECASE)
        gene = values.get(self.id_key, "") if self.id_key else values.get("gene_id") or values.get("locus_tag")
        gene = gene or ("" if self.id_key else without_prefix)
        if not gene:
            self.annotation.nameless += 1
            return
        key = row.chromosome, row_id
        known = self.gene_rows.get(key)
        if gene in self.annotation.genes and (known is None or known[0] != gene):
            gene = without_prefix  # RefSeq gives the genes of X and Y one locus_tag or name, but an ID each
        intervals = known[1] if known else array("q")
        intervals.extend(row.interval() or ())
        self.gene_rows[key] = gene, intervals
        self.annotation.genes[gene] = gene_of(values, row.kind)

    def _own_gene(self, row: Row, values: Mapping[str, str]) -> str:
        """Make a row without a parent the row of its gene, too; return its ID."""
        keys = (self.id_key,) if self.id_key else (*_GENE_KEYS, "ID")
        gene = next((values[key] for key in keys if values.get(key)), "")
        name = values.get("ID") or gene
        if gene:
            self.gene_rows.setdefault((row.chromosome, name), (gene, array("q")))
            self.annotation.genes.setdefault(gene, gene_of(values))
        else:
            self.annotation.nameless += 1
        return name

    def finish(self) -> None:
        """Give the transcripts of each gene to the annotation; those without a gene are dropped."""
        if not self.gene_rows:
            self._genes_of_parts()
        self._mark_strays()
        for key, transcript in self.found.items():
            row = self._gene_row(key)
            if row is None:
                continue
            gene, intervals = row
            if not transcript.gene:
                transcript.own.extend(intervals)
            transcript.gene = gene
            self.annotation.transcripts.append(transcript)

    def _gene_row(self, key: _Key) -> tuple[str, array[int]] | None:
        """Find the row of the gene that a transcript belongs to, also as its parent's child."""
        transcript = self.found[key]
        above = transcript.gene or transcript.name
        if not any((transcript.exons, transcript.cds)):
            return self.gene_rows.get((key[0], above))
        for _ in range(4):
            at = key[0], above
            if at in self.gene_rows or at not in self.found or not self.found[at].gene:
                break
            above = self.found[at].gene
        return self.gene_rows.get((key[0], above))

    def _genes_of_parts(self) -> None:
        """Take the genes from the attributes of parts, in a file that has no other rows."""
        for (chromosome, name), attributes in self.attributes.items():
            values = dict(part.strip().split("=", 1) for part in attributes.split(";") if "=" in part)
            keys = (self.id_key,) if self.id_key else _GENE_KEYS
            gene = unquote(next((values[key] for key in keys if values.get(key)), ""))
            if gene:
                above = self.found[chromosome, name].gene or name
                self.gene_rows[chromosome, above] = gene, array("q")
                self.annotation.genes.setdefault(gene, gene_of(values))

    def _mark_strays(self) -> None:
        """Note the transcripts of which parts lie on another chromosome than their own row."""
        homes: dict[str, list[Transcript]] = defaultdict(list)
        for transcript in self.found.values():
            if transcript.own:
                homes[transcript.name].append(transcript)
        for key, transcript in self.found.items():
            if not transcript.own and key not in self.gene_rows:
                for home in homes.get(transcript.name, []):
                    home.fail(Reason.CHROMOSOMES, transcript.line)
