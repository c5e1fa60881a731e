"""Reading GTF and GFF3 as Ensembl, GENCODE, RefSeq, SGD and NCBI's bacteria write them, into transcripts.

Coordinates are turned from 1-based, closed intervals into 0-based, half-open ones at once.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from genexp.errors import UserError, nearest
from genexp.prepare.fasta import plain_name
from genexp.prepare.sources import open_text

_GTF_ATTRIBUTE = re.compile(r'(\w+) +"?([^";]*)"?')
_NAME_KEYS = ("gene_name", "gene", "Name", "gene_symbol", "locus_tag", "old_locus_tag")
_BIOTYPE_KEYS = ("gene_biotype", "gene_type", "biotype")
#: Rows that say nothing that exons and CDS do not say.
_IGNORED = frozenset(
    {"UTR", "five_prime_utr", "three_prime_utr", "start_codon", "intron", "Selenocysteine", "chromosome", "region"}
    | {"biological_region", "scaffold", "contig", "supercontig", "protein", "cDNA_match", "match"}
)
_UTR_ROWS = frozenset({"five_prime_UTR", "three_prime_UTR"})
_PARTS = {"exon": "exons", "CDS": "cds", "stop_codon": "stop"}


@dataclass(slots=True)
class Transcript:
    """One transcript; intervals are flat arrays: start, end, start, end, ..."""

    name: str
    gene: str = ""
    chromosome: str = ""
    strand: str = ""
    start: int = -1
    end: int = -1
    line: int = 0
    tags: frozenset[str] = frozenset()
    biotype: str = ""
    exons: array[int] = field(default_factory=lambda: array("q"))
    cds: array[int] = field(default_factory=lambda: array("q"))
    stop: array[int] = field(default_factory=lambda: array("q"))


@dataclass(slots=True)
class Gene:
    """What a gene's own row says; `names` are other names by kind."""

    name: str
    biotype: str = ""
    names: dict[str, str] = field(default_factory=dict)


@dataclass
class Annotation:
    """All genes and transcripts of a file.

    Attributes
    ----------
    flavour
        ``"GTF"`` or ``"GFF3"``.
    genes, transcripts
        By id, in the order of the file.
    repeated
        Rows of exons, CDS and stop codons that say what another row says, and were dropped.
    """

    path: Path
    flavour: str
    genes: dict[str, Gene] = field(default_factory=dict)
    transcripts: dict[str, Transcript] = field(default_factory=dict)
    #: GFF3 names a parent by the ID of its row, which need not be the gene's id.
    gene_of_row: dict[str, str] = field(default_factory=dict)
    span_of_row: dict[str, tuple[int, int]] = field(default_factory=dict)
    repeated: int = 0


def read_annotation(path: Path, *, skip_chromosomes: Collection[str] = (), id_key: str | None = None) -> Annotation:
    """Read a GTF or GFF3 file; which of the two is told by looking.

    Parameters
    ----------
    path
        Plain, gzip or bgzip.
    skip_chromosomes
        Chromosomes whose rows are not read, with or without ``chr``.
    id_key
        The attribute that names a gene; by default ``gene_id``, and in GFF3 files without it ``locus_tag`` or ``ID``.

    Raises
    ------
    UserError
        If a row cannot be understood, the file has no rows, or a chromosome that is to be skipped is not there.
    """
    skipped = {plain_name(name) for name in skip_chromosomes}
    annotation: Annotation | None = None
    chromosomes: set[str] = set()
    for number, row in _rows(path):
        chromosomes.add(row[0])
        if annotation is None:
            annotation = Annotation(path, "GFF3" if _is_gff3(row[8]) else "GTF")
        if row[2] in _IGNORED or (skipped and plain_name(row[0]) in skipped):
            continue
        if annotation.flavour == "GTF":
            _read_gtf_row(annotation, number, row, id_key)
        else:
            _read_gff3_row(annotation, number, row, id_key)
    if annotation is None:
        raise UserError("this annotation has no rows", where=path, expected="GTF or GFF3", do="give it with gtf=FILE")
    _check_skipped(path, skip_chromosomes, chromosomes)
    return _settled(annotation)


def _check_skipped(path: Path, skip: Collection[str], there: set[str]) -> None:
    """Check that every chromosome that is to be skipped is there, and that others are left."""
    plain = {plain_name(name) for name in there}
    unknown = next((name for name in map(str, skip) if plain_name(name) not in plain), None)
    if unknown is None and plain - {plain_name(name) for name in skip}:
        return
    what = "genes.skip_chromosomes skips every chromosome"
    raise UserError(
        what if unknown is None else f"the annotation has no chromosome {unknown}",
        where=f"genes.skip_chromosomes, {path}",
        expected=("some of " if unknown is None else "") + ", ".join(sorted(there)[:40]),
        received=", ".join(map(str, skip)),
        do="name fewer" if unknown is None else f"{nearest(unknown, there)}leave it out of genes.skip_chromosomes",
    )


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and the nine columns of each row."""
    with open_text(path) as file:
        for number, line in enumerate(file, 1):
            if line.startswith("#"):
                if line.startswith("##FASTA"):
                    return
                continue
            columns = line.rstrip("\r\n").split("\t")
            if len(columns) == 9:
                yield number, columns
            elif line.strip():
                raise UserError(
                    "this row is neither GTF nor GFF3",
                    where=f"{path}, line {number:,}",
                    expected="nine columns, separated by tabs",
                    received=f"{len(columns)} columns",
                    do="give the annotation with gtf=FILE",
                )


def _is_gff3(attributes: str) -> bool:
    """Tell GFF3 (key=value;) from GTF (key "value";)."""
    return re.match(r"\s*[\w.-]+=", attributes) is not None


def _interval(path: Path, number: int, row: list[str]) -> tuple[int, int]:
    try:
        start, end = int(row[3]) - 1, int(row[4])
    except ValueError:
        start, end = 0, 0
    if not 0 <= start < end:
        raise UserError(
            "a row has impossible coordinates",
            where=f"{path}, line {number:,}, columns 4 and 5",
            expected="first and last base, counted from 1",
            received=f"{row[3]} {row[4]}",
            do="mend or remove the row",
        )
    return start, end


def _check_strand(path: Path, number: int, row: list[str]) -> None:
    if row[6] not in ("+", "-"):
        raise UserError(
            "a row has no strand, so its promoter cannot be found",
            where=f"{path}, line {number:,}, column 7",
            expected="+ or -",
            received=row[6],
            do="mend or remove the row, or skip its chromosome with 'genes.skip_chromosomes=[NAME]' "
            "(genes that are spliced from both strands are found in organelles)",
        )


def _read_gtf_row(annotation: Annotation, number: int, row: list[str], id_key: str | None) -> None:
    kind, attributes = row[2], row[8]
    if kind in _PARTS:
        gene, name = _gtf_value(attributes, id_key or "gene_id"), _gtf_value(attributes, "transcript_id")
        if not gene:
            raise _no_gene_id(annotation.path, number, id_key or "gene_id", attributes)
        if not name:
            raise _no_transcript_id(annotation.path, number, attributes)
        transcript = _transcript(annotation, name, gene, number, row)
        start, end = _interval(annotation.path, number, row)
        getattr(transcript, _PARTS[kind]).extend((start, end))
        return
    values: dict[str, str] = {}
    tags = []
    for key, value in _GTF_ATTRIBUTE.findall(attributes):
        values.setdefault(key, value)
        if key == "tag":
            tags.append(value)
    gene = values.get(id_key or "gene_id", "")
    if not gene:
        raise _no_gene_id(annotation.path, number, id_key or "gene_id", attributes)
    if kind == "gene":
        _gene(annotation, gene, values)
    elif values.get("transcript_id"):
        transcript = _transcript(annotation, values["transcript_id"], gene, number, row)
        transcript.start, transcript.end = _interval(annotation.path, number, row)
        transcript.tags = frozenset(tags)
        transcript.biotype = next((values[k] for k in ("transcript_biotype", "transcript_type") if k in values), "")
        if gene not in annotation.genes:
            _gene(annotation, gene, values)


def _gtf_value(attributes: str, key: str) -> str:
    """Return one attribute of a GTF row, fast; "" if it is not there."""
    at = attributes.find(key + " ")
    while at > 0 and attributes[at - 1] not in " ;":
        at = attributes.find(key + " ", at + 1)
    if at < 0:
        return ""
    return attributes[at + len(key) :].split(";", 1)[0].strip().strip('"')


def _no_gene_id(path: Path, number: int, key: str, attributes: str) -> UserError:
    return UserError(
        f"a row has no {key}",
        where=f"{path}, line {number:,}, column 9",
        expected=f'{key} "..."',
        received=attributes[:80],
        do="set genes.id to the attribute that names a gene, or use another annotation",
    )


def _no_transcript_id(path: Path, number: int, attributes: str) -> UserError:
    return UserError(
        "a row has no transcript_id, so the transcript it is a part of is not known",
        where=f"{path}, line {number:,}, column 9",
        expected='transcript_id "..." in each row of an exon, CDS or stop codon',
        received=attributes[:80],
        do="add it, or use another annotation",
    )


def _transcript(annotation: Annotation, name: str, gene: str, number: int, row: list[str]) -> Transcript:
    """Return a transcript, made when it is met first; check that a later row agrees about where it lies."""
    _check_strand(annotation.path, number, row)
    found = annotation.transcripts.get(name)
    if found is not None and found.strand and (found.chromosome, found.strand) != (row[0], row[6]):
        # RefSeq's genes of X and Y, and transcripts that lie twice; or unassigned_transcript_1 of many genes.
        name = f"{name}@{row[0]}{row[6]}" if not gene or found.gene == gene else f"{name}@{gene}"
        found = annotation.transcripts.get(name)
    if found is not None and gene and found.gene not in ("", gene):
        name = f"{name}@{gene}"
        found = annotation.transcripts.get(name)
    if found is None:
        found = annotation.transcripts[name] = Transcript(name)
    if not found.strand:
        found.gene, found.chromosome, found.strand, found.line = gene, row[0], row[6], number
    return found


def _gene(annotation: Annotation, gene: str, values: Mapping[str, str]) -> None:
    """Note a gene's names and biotype."""
    biotype = next((values[key] for key in _BIOTYPE_KEYS if key in values), "")
    names = {key: values[key] for key in _NAME_KEYS if values.get(key)}
    cross = re.search(r"GeneID:(\d+)", values.get("Dbxref", "") + values.get("db_xref", ""))
    if cross:
        names["GeneID"] = cross[1]
    annotation.genes[gene] = Gene(gene, biotype, names)


def _read_gff3_row(annotation: Annotation, number: int, row: list[str], id_key: str | None) -> None:
    kind = row[2]
    values = dict(part.strip().split("=", 1) for part in row[8].split(";") if "=" in part)
    if "%" in row[8]:
        values = {key: unquote(value) for key, value in values.items()}
    parents = values["Parent"].split(",") if "Parent" in values else []
    if kind in _PARTS or kind in _UTR_ROWS:
        for parent in parents:
            transcript = _transcript(annotation, parent, "", number, row)
            interval = _interval(annotation.path, number, row)
            if kind in _PARTS:
                getattr(transcript, _PARTS[kind]).extend(interval)
        return
    row_id = values.get("ID", "")
    if not parents and (kind.endswith("gene") or "gene_id" in values):
        gene = values.get(id_key or "gene_id") or values.get("locus_tag") or _without_prefix(row_id)
        if id_key and id_key not in values:
            raise _no_gene_id(annotation.path, number, id_key, row[8])
        if gene in annotation.genes and annotation.gene_of_row.get(row_id) != gene:
            gene = _without_prefix(row_id)  # RefSeq gives the genes of X and Y one locus_tag or name, but an ID each
        annotation.gene_of_row[row_id] = gene
        annotation.span_of_row[row_id] = _interval(annotation.path, number, row)
        _gene(annotation, gene, values)
    elif parents and row_id:
        transcript = _transcript(annotation, row_id, "", number, row)
        transcript.gene = parents[0]
        transcript.start, transcript.end = _interval(annotation.path, number, row)
        transcript.tags = frozenset(values.get("tag", "").split(","))
        transcript.biotype = next((values[k] for k in ("biotype", "transcript_type") if k in values), "")


def _without_prefix(row_id: str) -> str:
    return re.sub(r"^(gene[:-]|gene_)", "", row_id)


def _settled(annotation: Annotation) -> Annotation:
    """Name each GFF3 transcript's gene by the gene's id, and check that a gene lies in one place."""
    if annotation.flavour == "GFF3":
        kept = {}
        for name, transcript in annotation.transcripts.items():
            row = transcript.gene or name.split("@")[0]  # bacteria and tRNAs: the CDS hangs on the gene itself
            if row in annotation.gene_of_row:
                if not transcript.gene:
                    transcript.start, transcript.end = annotation.span_of_row[row]
                transcript.gene = annotation.gene_of_row[row]
                kept[name] = transcript
        annotation.transcripts = kept
    place: dict[str, Transcript] = {}
    for transcript in annotation.transcripts.values():
        for part in _PARTS.values():
            annotation.repeated += _drop_repeated(getattr(transcript, part))
        if not transcript.strand:
            continue
        first = place.setdefault(transcript.gene, transcript)
        if (first.chromosome, first.strand) != (transcript.chromosome, transcript.strand):
            raise UserError(
                f"gene {transcript.gene} is there twice, in two places",
                where=f"{annotation.path}, lines {first.line:,} and {transcript.line:,}",
                expected="each gene id on one strand of one chromosome",
                received=f"{first.chromosome}{first.strand} and {transcript.chromosome}{transcript.strand}",
                do="mend the ids, or leave a chromosome out: 'genes.skip_chromosomes=[NAME]' (Y, for the genes that "
                "X and Y share)",
            )
        annotation.genes.setdefault(transcript.gene, Gene(transcript.gene))
    return annotation


def _drop_repeated(flat: array[int]) -> int:
    """Drop intervals that are there already, as in files that were put together twice; return how many."""
    if len(flat) < 4:
        return 0
    pairs = list(zip(flat[::2], flat[1::2], strict=True))
    unique = dict.fromkeys(pairs)
    if len(unique) < len(pairs):
        flat[:] = array("q", [position for pair in unique for position in pair])
    return len(pairs) - len(unique)
