"""Reading GTF and GFF3 as Ensembl, GENCODE, RefSeq, SGD and NCBI's bacteria write them, into transcripts.

Coordinates are turned from 1-based, closed intervals into 0-based, half-open ones at once.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from genexp.errors import UserError, nearest
from genexp.prepare.fasta import plain_name
from genexp.prepare.opening import bad_line, few, open_text

_GTF_ATTRIBUTE = re.compile(r'(\w+) +"?([^";]*)"?')
_NAME_KEYS = ("gene_name", "gene", "Name", "gene_symbol", "locus_tag", "old_locus_tag")
_BIOTYPE_KEYS = ("gene_biotype", "gene_type", "biotype")
#: Rows that say nothing that exons and CDS do not say.
_IGNORED = frozenset(
    {"UTR", "five_prime_utr", "three_prime_utr", "start_codon", "intron", "Selenocysteine", "chromosome", "region"}
    | {"biological_region", "scaffold", "contig", "supercontig", "protein", "cDNA_match", "match"}
)
#: Rows of the parts of a transcript; untranslated regions only show that it is there.
_PARTS = {"exon": "exons", "CDS": "cds", "stop_codon": "stop"}
_UTR_ROWS = frozenset({"five_prime_UTR", "three_prime_UTR"})


def _no_intervals() -> array[int]:
    return array("q")


@dataclass(slots=True)
class Transcript:
    """One transcript; intervals are flat arrays: start, end, start, end, ..."""

    name: str
    gene: str
    chromosome: str
    strand: str
    start: int = -1
    end: int = -1
    line: int = 0
    tags: frozenset[str] = frozenset()
    exons: array[int] = field(default_factory=_no_intervals)
    cds: array[int] = field(default_factory=_no_intervals)
    stop: array[int] = field(default_factory=_no_intervals)


@dataclass(slots=True)
class Gene:
    """What a gene's own row says; `names` are other names by kind."""

    biotype: str = ""
    names: dict[str, str] = field(default_factory=dict)


@dataclass
class Annotation:
    """All genes and transcripts of a file, by id, in its order.

    `flavour` is ``"GTF"`` or ``"GFF3"``; `repeated` counts rows of exons, CDS and stop codons that say what another row
    says, and were dropped. GFF3 names a parent by the ID of its row, which need not be the gene's id: `gene_rows` has
    the gene, start and end of each.
    """

    path: Path
    flavour: str
    genes: dict[str, Gene] = field(default_factory=dict)
    transcripts: dict[str, Transcript] = field(default_factory=dict)
    gene_rows: dict[str, tuple[str, int, int]] = field(default_factory=dict)
    repeated: int = 0


class _Row(NamedTuple):
    """The columns of one row that are used."""

    path: Path
    line: int
    chromosome: str
    kind: str
    first: str
    last: str
    strand: str
    attributes: str

    def error(self, what: str, column: str, expected: str, received: str, hint: str) -> UserError:
        return bad_line(what, self.path, self.line, expected, received, hint, f", column{column}")

    def interval(self) -> tuple[int, int]:
        try:
            start, end = int(self.first) - 1, int(self.last)
        except ValueError:
            start, end = 0, 0
        if not 0 <= start < end:
            what, expected = "a row has impossible coordinates", "first and last base, counted from 1"
            raise self.error(what, "s 4 and 5", expected, f"{self.first} {self.last}", "correct or remove the row")
        return start, end

    def lacks(self, key: str) -> UserError:
        hint = f"{'' if key == 'transcript_id' else 'set genes.id to the attribute that names a gene, or '}use another"
        return self.error(f"a row has no {key}", " 9", f'{key} "..."', self.attributes, f"{hint} annotation")


def read_annotation(path: Path, *, skip_chromosomes: Collection[str] = (), id_key: str | None = None) -> Annotation:
    """Read a GTF or GFF3 file, plain or gzip; the first row decides which of the two it is.

    `skip_chromosomes` may have ``chr`` or not; `id_key` is the attribute that names a gene, by default ``gene_id``, and
    in GFF3 files without it ``locus_tag`` or ``ID``. A UserError is raised if a row cannot be understood, the file has
    no rows, or a chromosome that is to be skipped is not there.
    """
    skipped = {plain_name(name) for name in skip_chromosomes}
    annotation: Annotation | None = None
    chromosomes: set[str] = set()
    for row in _rows(path):
        chromosomes.add(row.chromosome)
        if annotation is None:  # GFF3 has key=value; and GTF key "value";
            annotation = Annotation(path, "GFF3" if re.match(r"\s*[\w.-]+=", row.attributes) else "GTF")
        if row.kind in _IGNORED or (skipped and plain_name(row.chromosome) in skipped):
            continue
        (_read_gtf_row if annotation.flavour == "GTF" else _read_gff3_row)(annotation, row, id_key)
    if annotation is None:
        raise UserError("this annotation has no rows", where=path, expected="GTF or GFF3")
    _check_skipped(path, skip_chromosomes, chromosomes)
    _name_genes(annotation)
    _check_places(annotation)
    return annotation


def _check_skipped(path: Path, skip: Collection[str], there: set[str]) -> None:
    plain = {plain_name(name) for name in there}
    unknown = next((name for name in skip if plain_name(name) not in plain), None)
    if unknown is not None:
        what, hint = f"the annotation has no chromosome {unknown}", f"{nearest(unknown, there)}leave it out"
    elif not plain - {plain_name(name) for name in skip}:
        what, hint = "genes.skip_chromosomes skips every chromosome", "skip fewer"
    else:
        return
    where, expected = f"genes.skip_chromosomes, {path}", f"some of {few(sorted(there), 40)}"
    raise UserError(what, where=where, expected=expected, received=", ".join(skip), hint=hint)


def _rows(path: Path) -> Iterator[_Row]:
    with open_text(path) as file:
        for number, line in enumerate(file, 1):
            if line.startswith("#"):
                if line.startswith("##FASTA"):
                    return
                continue
            columns = line.rstrip("\r\n").split("\t")
            if len(columns) == 9:
                chromosome, _, kind, first, last, _, strand, _, attributes = columns
                yield _Row(path, number, chromosome, kind, first, last, strand, attributes)
            elif line.strip():
                what, received = "this row is neither GTF nor GFF3", f"{len(columns)} columns"
                raise bad_line(what, path, number, "nine columns, separated by tabs", received, "check gtf=FILE")


def _read_gtf_row(annotation: Annotation, row: _Row, id_key: str | None) -> None:
    gene_key = id_key or "gene_id"
    if row.kind in _PARTS:  # most rows, of which two attributes are enough
        gene, name = _gtf_value(row, gene_key), _gtf_value(row, "transcript_id")
        if not gene or not name:
            raise row.lacks("transcript_id" if gene else gene_key)
        getattr(_transcript(annotation, name, gene, row), _PARTS[row.kind]).extend(row.interval())
        return
    pairs = _GTF_ATTRIBUTE.findall(row.attributes)
    values = dict(reversed(pairs))  # the first of each key
    gene = values.get(gene_key, "")
    if not gene:
        raise row.lacks(gene_key)
    if row.kind != "gene" and values.get("transcript_id"):
        transcript = _transcript(annotation, values["transcript_id"], gene, row)
        transcript.tags = frozenset(value for key, value in pairs if key == "tag")
        transcript.start, transcript.end = row.interval()
    if row.kind == "gene" or (values.get("transcript_id") and gene not in annotation.genes):
        annotation.genes[gene] = _gene(values)


def _gtf_value(row: _Row, key: str) -> str:
    found = _gtf_pattern(key).search(row.attributes)
    return found[1].strip() if found else ""


@cache
def _gtf_pattern(key: str) -> re.Pattern[str]:
    return re.compile(rf'(?:^|[ ;]){re.escape(key)} +"?([^";]*)')


def _transcript(annotation: Annotation, name: str, gene: str, row: _Row) -> Transcript:
    """Return a transcript, made at its first row; a later row in another place, or of another gene, gets its own."""
    if row.strand not in ("+", "-"):  # genes that are spliced from both strands are found in organelles
        what = "a row has no strand, so its promoter cannot be found"
        hint = "correct or remove the row, or skip its chromosome with 'genes.skip_chromosomes=[NAME]'"
        raise row.error(what, " 7", "+ or -", row.strand, hint)
    place = row.chromosome, row.strand
    found = annotation.transcripts.get(name)
    if found is not None and (found.chromosome, found.strand) != place:
        # RefSeq's genes of X and Y, and transcripts that lie twice; or unassigned_transcript_1 of many genes.
        name = f"{name}@{''.join(place)}" if not gene or found.gene == gene else f"{name}@{gene}"
        found = annotation.transcripts.get(name)
    if found is not None and gene and found.gene not in ("", gene):
        name = f"{name}@{gene}"
        found = annotation.transcripts.get(name)
    if found is None:
        found = annotation.transcripts[name] = Transcript(name, gene, *place, line=row.line)
    return found


def _gene(values: Mapping[str, str]) -> Gene:
    biotype = next((values[key] for key in _BIOTYPE_KEYS if key in values), "")
    names = {key: values[key] for key in _NAME_KEYS if values.get(key)}
    cross = re.search(r"GeneID:(\d+)", values.get("Dbxref", "") + values.get("db_xref", ""))
    return Gene(biotype, names | ({"GeneID": cross[1]} if cross else {}))


def _read_gff3_row(annotation: Annotation, row: _Row, id_key: str | None) -> None:
    values = dict(part.strip().split("=", 1) for part in row.attributes.split(";") if "=" in part)
    if "%" in row.attributes:
        values = {key: unquote(value) for key, value in values.items()}
    row_id, parents = values.get("ID", ""), values["Parent"].split(",") if "Parent" in values else []
    if row.kind in _PARTS or row.kind in _UTR_ROWS:
        for parent in parents:
            transcript, interval = _transcript(annotation, parent, "", row), row.interval()
            if row.kind in _PARTS:
                getattr(transcript, _PARTS[row.kind]).extend(interval)
    elif not parents and (row.kind.endswith("gene") or "gene_id" in values):
        if id_key and id_key not in values:
            raise row.lacks(id_key)
        without_prefix = re.sub(r"^(gene[:-]|gene_)", "", row_id)
        gene = values.get(id_key or "gene_id") or values.get("locus_tag") or without_prefix
        if gene in annotation.genes and annotation.gene_rows.get(row_id, ("",))[0] != gene:
            gene = without_prefix  # RefSeq gives the genes of X and Y one locus_tag or name, but an ID each
        annotation.gene_rows[row_id] = (gene, *row.interval())
        annotation.genes[gene] = _gene(values)
    elif parents and row_id:
        transcript = _transcript(annotation, row_id, "", row)
        transcript.gene, transcript.tags = parents[0], frozenset(values.get("tag", "").split(","))
        transcript.start, transcript.end = row.interval()


def _name_genes(annotation: Annotation) -> None:
    """Name the gene of each GFF3 transcript by the gene's id; transcripts without a gene are dropped."""
    for name, transcript in list(annotation.transcripts.items()) if annotation.flavour == "GFF3" else ():
        row = transcript.gene or name.split("@")[0]  # bacteria and tRNAs: the CDS is a child of the gene itself
        if row not in annotation.gene_rows:
            del annotation.transcripts[name]
            continue
        gene, start, end = annotation.gene_rows[row]
        if not transcript.gene:
            transcript.start, transcript.end = start, end
        transcript.gene = gene


def _check_places(annotation: Annotation) -> None:
    """Drop repeated rows, and check that a gene lies in one place."""
    first_of: dict[str, Transcript] = {}
    for found in annotation.transcripts.values():
        annotation.repeated += sum(_drop_repeated(getattr(found, part)) for part in _PARTS.values())
        first = first_of.setdefault(found.gene, found)
        if (first.chromosome, first.strand) != (found.chromosome, found.strand):
            raise UserError(
                f"gene {found.gene} occurs twice, in two places",
                where=f"{annotation.path}, lines {first.line:,} and {found.line:,}",
                received=f"{first.chromosome}{first.strand} and {found.chromosome}{found.strand}",
                hint="correct the ids, or skip a chromosome: 'genes.skip_chromosomes=[NAME]' (Y, for genes of X and Y)",
            )
        annotation.genes.setdefault(found.gene, Gene())


def _drop_repeated(flat: array[int]) -> int:
    """Drop intervals that are there already, as in files that were concatenated twice; return how many."""
    pairs = list(zip(flat[::2], flat[1::2], strict=True))
    unique = dict.fromkeys(pairs)
    if len(unique) < len(pairs):
        flat[:] = array("q", [position for pair in unique for position in pair])
    return len(pairs) - len(unique)
