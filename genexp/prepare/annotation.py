"""Reading GTF and GFF3 as Ensembl, GENCODE, RefSeq, UCSC, SGD, FlyBase, Prokka ... write them, into transcripts."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from genexp.errors import UserError
from genexp.prepare.fasta import plain_name
from genexp.prepare.gff3 import Gff3Reader
from genexp.prepare.gtf import GtfReader
from genexp.prepare.opening import bad_line, few, open_text
from genexp.prepare.records import INTERVALS, PARTS, Annotation, Row, Transcript

#: Rows that say nothing that exons and CDS do not say.
_IGNORED = frozenset(
    {"UTR", "five_prime_utr", "three_prime_utr", "start_codon", "intron", "Selenocysteine", "chromosome", "region"}
    | {"biological_region", "scaffold", "contig", "supercontig", "protein", "cDNA_match", "match"}
)

#: A last attribute without quotes, such as ``level 2``; that of an id may be cut short.
_UNQUOTED = r";\s*(?!gene_id|transcript_id|protein_id)[\w.-]+ +[^\s;\"]+$"


def read_annotation(path: Path, *, skip_chromosomes: Collection[str] = (), id_key: str | None = None) -> Annotation:
    """Read a GTF or GFF3 file, plain or gzip; the first row with attributes decides which of the two it is.

    `skip_chromosomes` may have ``chr`` or not, and may be patterns (``*_alt``); `id_key` is the attribute that names a
    gene, by default ``gene_id``, and in GFF3 files without it ``locus_tag`` or ``ID``. A UserError is raised if a line
    is no row, the file has no rows, no row names a gene, or every chromosome is skipped.
    """
    annotation = Annotation(path)
    reader: GtfReader | Gff3Reader | None = None
    skipped: dict[str, list[str]] = {}  # by chromosome: the words that skip it
    example = ""
    for row in _rows(path):
        if row.chromosome not in skipped:
            skipped[row.chromosome] = [word for word in skip_chromosomes if _skips(word, row.chromosome)]
        if skipped[row.chromosome]:
            continue
        if row.kind not in PARTS and "Is_circular=true" in row.attributes and (whole := row.interval()):
            annotation.circular[row.chromosome] = whole[1]
        if row.kind in _IGNORED:
            continue
        example = example or row.attributes
        if reader is None and (first := re.match(r"\s*[\w.-]+( *=| +\S)", row.attributes)):
            annotation.flavour = "GFF3" if first[1].endswith("=") else "GTF"
            reader = (Gff3Reader if annotation.flavour == "GFF3" else GtfReader)(annotation, id_key)
        if reader is not None:
            reader.read(row)
    annotation.absent = [word for word in skip_chromosomes if not any(word in found for found in skipped.values())]
    _check_rows(path, skipped, skip_chromosomes)
    if reader is not None:
        reader.finish()
    if not annotation.genes:
        expected, hint = f'{id_key or "gene_id"} "..." or ID=...', "set genes.id to the attribute that names a gene"
        raise UserError("no row names a gene", where=path, expected=expected, received=example[:80], hint=hint)
    for transcript in annotation.transcripts:
        annotation.repeated += _drop_repeated(transcript)
        transcript.circular = annotation.circular.get(transcript.chromosome, 0)
        if transcript.circular:
            _join_at_origin(transcript)
    return annotation


def _skips(word: str, chromosome: str) -> bool:
    if any(letter in word for letter in "*?["):
        return fnmatchcase(chromosome.lower(), word.lower())
    return plain_name(word) == plain_name(chromosome)


def _check_rows(path: Path, skipped: Mapping[str, list[str]], skip: Collection[str]) -> None:
    if not skipped:
        raise UserError("this annotation has no rows", where=path, expected="GTF or GFF3")
    if all(skipped.values()):
        where, expected = f"genes.skip_chromosomes, {path}", f"some of {few(sorted(skipped), 40)}"
        what = "genes.skip_chromosomes skips every chromosome"
        raise UserError(what, where=where, expected=expected, received=", ".join(skip), hint="skip fewer")


def _rows(path: Path) -> Iterator[Row]:
    with open_text(path) as file:
        begun = False
        for number, line in enumerate(file, 1):
            if line.startswith("#"):
                if line.startswith("##FASTA"):
                    return
                continue
            columns = line.rstrip("\r\n").split("\t")
            if not line.endswith("\n") and _is_cut(columns):
                what, received = "the last row of this annotation is cut short", line[-60:]
                expected, hint = "a whole row", "copy or download the file again"
                raise bad_line(what, path, number, expected, received, hint)
            if len(columns) == 8:
                columns.append("")  # a row without attributes
            if len(columns) > 9 and not "".join(columns[9:]).strip():
                del columns[9:]
            if len(columns) == 9:
                begun = True
                chromosome, _, kind, first, last, _, strand, _, attributes = columns
                yield Row(number, chromosome, kind, first, last, strand, attributes)
            elif begun and line.startswith(">"):
                return  # sequences, without the ##FASTA that announces them
            elif line.strip() and not line.lstrip().startswith("#") and line.split()[0] not in ("track", "browser"):
                what, received = "this row is neither GTF nor GFF3", f"{len(columns)} columns"
                raise bad_line(what, path, number, "nine columns, separated by tabs", received, "check gtf=FILE")


def _is_cut(columns: list[str]) -> bool:
    """Tell whether the last row of a file ends within its attributes, or before them."""
    attributes = columns[8].strip() if len(columns) > 8 else ""
    open_quote = attributes.count('"') % 2 == 1
    whole = attributes.endswith((";", '"')) or re.search(_UNQUOTED, attributes)
    return len(columns) in range(2, 9) or open_quote or ('"' in attributes and not whole)


def _drop_repeated(transcript: Transcript) -> int:
    """Drop rows that are there already, as in files that were concatenated twice; return how many."""
    dropped = 0
    for part in ("exons", "cds", "utr", "stop"):
        rows = transcript.rows(part)
        unique = list(dict.fromkeys(rows))
        if len(unique) < len(rows):
            dropped += len(rows) - len(unique)
            transcript.set_rows(part, unique)
    return dropped


def _join_at_origin(transcript: Transcript) -> None:
    """Move what follows the origin of a circular chromosome behind its end, where a transcript spans both."""
    size, parts = transcript.circular, {part: transcript.rows(part) for part in INTERVALS}
    every = [row for rows in parts.values() for row in rows]
    touches = any(start == 0 for start, *_ in every) and any(end == size for _, end, _ in every)
    if not touches or any(end > size or (start, end) == (0, size) for start, end, _ in every):
        return
    for part, rows in parts.items():
        rows = [(s + size, e + size, protein) if s < size // 2 else (s, e, protein) for s, e, protein in rows]
        behind = {protein: end for start, end, protein in rows if start == size}  # continues the row that ends there
        ended = {protein for _, end, protein in rows if end == size}
        rows = [(s, behind.get(p, e) if e == size else e, p) for s, e, p in rows if s != size or p not in ended]
        transcript.set_rows(part, rows)
