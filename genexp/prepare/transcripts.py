"""One transcript for each gene, and what Xpresso's half-life features are made of.

Features as defined by Agarwal and Shendure (2020, Cell Reports 31, 107663) and the scripts of the Xpresso repository:
lengths and GC of 5' UTR, CDS and 3' UTR from spliced exons, intron length = transcript span minus those three, CDS
exons per kb.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from itertools import pairwise

import numpy as np

from genexp.blocks import HALFLIFE_FEATURES
from genexp.errors import UserError
from genexp.prepare.annotation import Annotation, Transcript
from genexp.prepare.genes import RawGenes
from genexp.prepare.ledger import Ledger
from genexp.prepare.names import GeneNames, without_version

CANONICAL_TAGS = ("MANE_Select", "MANE Select", "Ensembl_canonical", "RefSeq Select", "appris_principal_1")

#: A ribosome that slips back reads so many bases twice at most; NCBI writes such a CDS as two rows that overlap.
SLIP = 2

Pieces = list[tuple[int, int]]


def choose_transcripts(
    annotation: Annotation,
    ledger: Ledger,
    *,
    rule: str = "canonical",
    biotypes: list[str] | None = None,
    strip_versions: bool = False,
    need_cds: bool = True,
) -> RawGenes:
    """Choose one transcript for each gene; expression is NaN until it is joined.

    Parameters
    ----------
    rule
        ``"canonical"``: the one with a tag of `CANONICAL_TAGS`, in that order, else the longest CDS, else the longest
        transcript, else the first id; ``"longest_cds"`` ignores the tags.
    biotypes
        Biotypes to keep where the annotation has any; None keeps all.
    need_cds
        Only transcripts with CDS count.

    Raises
    ------
    UserError
        If no gene is left.
    """
    ledger.count("in the annotation", len(annotation.genes), annotation.flavour)
    if annotation.repeated:
        sentence = (
            f"{annotation.repeated:,} rows of exons, CDS or stop codons are in the annotation twice; counted once"
        )
        ledger.rule("repeated rows", sentence, report=ledger.warn)
    if not any(gene.biotype for gene in annotation.genes.values()):
        biotypes = None
    by_gene = _candidates(annotation, biotypes, need_cds=need_cds)
    best = {gene: min(found, key=lambda t: _rank(t, rule)) for gene, found in by_gene.items()}
    kept = "/".join(biotypes) if biotypes is not None else "any biotype"
    ledger.count(f"{kept}{', with CDS' if need_cds else ''}", len(best))
    tagged = sum(_rank(t, rule)[0] < len(CANONICAL_TAGS) for t in best.values())
    ledger.rule(
        "transcript",
        f"one for each gene ({rule}): {tagged:,} by a canonical tag ({', '.join(CANONICAL_TAGS)}), "
        f"{sum(len(found) == 1 for found in by_gene.values()):,} genes have only one, the rest by the longest CDS",
    )
    _note_tss(list(best.values()), ledger)
    return _chosen(annotation, best, strip_versions=strip_versions)


def _candidates(annotation: Annotation, biotypes: list[str] | None, *, need_cds: bool) -> dict[str, list[Transcript]]:
    """Return the transcripts of each gene that is kept."""
    every = list(annotation.transcripts.values())
    if need_cds and not any(t.cds for t in every):
        what = "the annotation has no CDS rows, which half-life features need"
        received = "exons only" if any(t.exons for t in every) else "neither exons nor CDS"
        hint = "use the full annotation, or set halflife=false for promoters alone"
        raise UserError(what, where=annotation.path, received=received, hint=hint)
    by_gene: dict[str, list[Transcript]] = {}
    for t in every:
        wanted = biotypes is None or annotation.genes[t.gene].biotype in biotypes
        if wanted and (t.cds or not need_cds) and (t.exons or t.cds or t.start >= 0):
            by_gene.setdefault(t.gene, []).append(t)
    if not by_gene:
        received = ", ".join(sorted({gene.biotype for gene in annotation.genes.values()})[:12])
        where, hint = f"{annotation.path}, genes.biotypes={biotypes}", "change genes.biotypes; null keeps all"
        raise UserError("no gene of the annotation is left", where=where, received=received, hint=hint)
    return by_gene


def _note_tss(transcripts: list[Transcript], ledger: Ledger) -> None:
    """Keep the rule of the TSS, and how often a transcript's own row says otherwise."""
    other = sum(bool(t.exons) and t.start >= 0 and (t.start, t.end) != span(t) for t in transcripts)
    remark = f"transcripts whose row ends elsewhere than their exons, which count: {other:,}" if other else ""
    rule = "5' end of the first exon of the chosen transcript (where it has no exon rows, of the transcript itself)"
    ledger.rule("tss", rule + (f"; {remark}" if remark else ""))
    if remark:
        ledger.warn(remark)


def _rank(transcript: Transcript, rule: str) -> tuple[int, int, int, str]:
    """Return a key that is lowest for the best transcript."""
    tag = len(CANONICAL_TAGS)
    if rule == "canonical":
        tag = next((n for n, name in enumerate(CANONICAL_TAGS) if name in transcript.tags), tag)
    return tag, -_length(transcript.cds), -_length(transcript.exons), transcript.name


def _length(flat: array[int]) -> int:
    return sum(flat[1::2]) - sum(flat[::2])


def _chosen(annotation: Annotation, best: dict[str, Transcript], *, strip_versions: bool) -> RawGenes:
    transcripts = list(best.values())
    kinds = sorted({kind for gene in best for kind in annotation.genes[gene].names})
    others = {kind: np.array([annotation.genes[gene].names.get(kind, "") for gene in best]) for kind in kinds}
    ids = [without_version(gene) if strip_versions else gene for gene in best]
    if len(set(ids)) < len(ids):
        twice = next(name for n, name in enumerate(ids) if name in ids[:n])
        what, hint = f"without versions, gene {twice} occurs twice", "set genes.strip_versions=false"
        raise UserError(what, where=annotation.path, hint=hint)
    spans = np.array([span(t) for t in transcripts])
    chromosome, strand = (np.array([getattr(t, name) for t in transcripts]) for name in ("chromosome", "strand"))
    tss = np.where(strand == "+", spans[:, 0], spans[:, 1] - 1)
    names, unknown = GeneNames(np.array(ids), others), np.full(len(ids), np.nan)
    return RawGenes(names, unknown, None, chromosome, strand, tss, transcripts)


def span(transcript: Transcript) -> tuple[int, int]:
    """Return first base and end of a transcript, introns included: its exons', if it has any."""
    parts = transcript.exons or transcript.cds
    starts, ends = list(parts[::2]), list(parts[1::2])
    if transcript.start >= 0 and not transcript.exons:
        starts.append(transcript.start)
        ends.append(transcript.end)
    return min(starts), max(ends)


def check_parts_fit(transcript: Transcript, path: object) -> None:
    """Raise a UserError if exons overlap, or CDS by more than a ribosome's slip, or the CDS lies outside the exons."""
    exons, cds = _pairs(transcript.exons), _pairs(transcript.cds)
    whole = merged(exons)
    found = {
        "two exons overlap": [[a, b] for a, b in pairwise(exons) if b[0] < a[1]],
        "two CDS rows overlap": [[a, b] for a, b in pairwise(cds) if b[0] < a[1] - SLIP],
        "CDS lies outside the exons": [
            [row] for row in cds if exons and not any(s <= row[0] and row[1] <= e for s, e in whole)
        ],
    }
    for what, rows in found.items():
        if rows:
            places = ", ".join(f"{start + 1:,} to {end:,}" for start, end in rows[0])
            raise UserError(
                f"gene {transcript.gene}: {what}",
                where=f"{path}, transcript {transcript.name}, which begins at line {transcript.line:,}",
                received=f"{transcript.chromosome}: {places}",
                hint="correct the rows, or leave the gene out of the expression table",
            )


def regions(transcript: Transcript, stop_codon: str = "as_annotated") -> dict[str, Pieces]:
    """Return the spliced pieces of UTR5, CDS and UTR3, each sorted by position.

    Parameters
    ----------
    transcript
        One with CDS.
    stop_codon
        Whether the CDS is to hold the stop codon: ``"included"``, ``"excluded"`` or ``"as_annotated"``. A stop codon
        that the CDS does not hold belongs to no region, as in Ensembl's UTR rows.

    Raises
    ------
    ValueError
        If the CDS has to be changed, but the annotation does not say whether it holds the stop codon.
    """
    cds = merged(_pairs(transcript.cds), touching=False)  # where a ribosome slips back, bases are read twice
    exons = _pairs(transcript.exons) or _exons_without_rows(transcript, cds)
    first, last = cds[0][0], max(end for _, end in cds)
    left = [(start, min(end, first)) for start, end in exons if start < first]
    right = [(max(start, last), end) for start, end in exons if end > last]
    plus = transcript.strand == "+"
    utr5, utr3 = (left, right) if plus else (right, left)
    stop = _pairs(transcript.stop)
    holds_stop = stop[0][0] >= first and stop[-1][1] <= last if stop else None
    if holds_stop is None and stop_codon != "as_annotated":
        raise ValueError(transcript.name)
    if holds_stop is False:
        codon, utr3 = split_spliced(utr3, 3, from_left=plus)
        if stop_codon == "included":
            cds = merged([*cds, *codon])
    elif holds_stop and stop_codon == "excluded":
        _, cds = split_spliced(cds, 3, from_left=not plus)
    return {"UTR5": utr5, "CDS": cds, "UTR3": utr3}


def _pairs(flat: array[int]) -> Pieces:
    return sorted(zip(flat[::2], flat[1::2], strict=True))


def _exons_without_rows(transcript: Transcript, cds: Pieces) -> Pieces:
    """Return exons where there are no exon rows (SGD, bacteria): the CDS, extended to the transcript's ends."""
    start, end = span(transcript)
    exons = merged(cds)
    exons[0] = (min(start, exons[0][0]), exons[0][1])
    exons[-1] = (exons[-1][0], max(end, exons[-1][1]))
    return exons


def merged(pieces: Iterable[tuple[int, int]], *, touching: bool = True) -> Pieces:
    """Join pieces that overlap, and those that touch if `touching`."""
    result: Pieces = []
    for start, end in sorted(pieces):
        if result and start < result[-1][1] + touching:
            result[-1] = (result[-1][0], max(end, result[-1][1]))
        else:
            result.append((start, end))
    return result


def split_spliced(pieces: Pieces, bases: int, *, from_left: bool) -> tuple[Pieces, Pieces]:
    """Take so many bases off one end of spliced pieces; return those taken and those left, each sorted."""
    taken: Pieces = []
    rest = list(pieces)
    while bases > 0 and rest:
        start, end = rest.pop(0 if from_left else -1)
        part = min(bases, end - start)
        cut = start + part if from_left else end - part
        taken.append((start, cut) if from_left else (cut, end))
        left_over = (cut, end) if from_left else (start, cut)
        if left_over[0] < left_over[1]:
            rest.insert(0 if from_left else len(rest), left_over)
        bases -= part
    return sorted(taken), rest


def halflife_lengths(transcript: Transcript, pieces: dict[str, Pieces], lengths: str = "exact") -> dict[str, float]:
    """Return the five half-life features that need no sequence, for one transcript and its `regions`.

    Lengths are ``"exact"``, or ``"published"`` for those of Xpresso's script: end minus start of 1-based, closed rows,
    which is one base too few for each row, and a density with two decimals.
    """
    one_less = lengths == "published"
    length = {name: sum(e - s - one_less for s, e in found) for name, found in pieces.items()}
    start, end = span(transcript)
    intron = end - start - one_less - sum(length.values())
    density = 1000 * len(pieces["CDS"]) / length["CDS"] if length["CDS"] > 0 else 0.0
    values = (length["UTR5"], length["CDS"], intron, length["UTR3"], round(density, 2) if one_less else density)
    return dict(zip((*HALFLIFE_FEATURES[:4], HALFLIFE_FEATURES[7]), map(float, values), strict=True))
