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
from genexp.prepare.config import GenesConfig
from genexp.prepare.genes import GeneNames, RawGenes, without_version
from genexp.prepare.ledger import Ledger
from genexp.prepare.opening import few

CANONICAL_TAGS = ("MANE_Select", "MANE Select", "Ensembl_canonical", "RefSeq Select", "appris_principal_1")

#: A ribosome that slips back reads at most this number of bases twice; NCBI writes such a CDS as two rows that overlap.
SLIP = 2

Pieces = list[tuple[int, int]]


def choose_transcripts(annotation: Annotation, rules: GenesConfig, ledger: Ledger, *, need_cds: bool) -> RawGenes:
    """Choose one transcript for each gene, only among those with CDS if `need_cds`; expression is NaN so far.

    It is the one with a tag of `CANONICAL_TAGS`, in that order, else the longest CDS, else the longest transcript, else
    the first id; with ``transcript=longest_cds`` tags do not count. A UserError is raised if no gene is left.
    """
    ledger.count("in the annotation", len(annotation.genes), annotation.flavour)
    if annotation.repeated:
        rows = f"{annotation.repeated:,} rows of exons, CDS or stop codons"
        ledger.rule("repeated rows", f"{rows} are in the annotation twice; counted once", report=ledger.warn)
    biotypes = rules.biotypes if any(gene.biotype for gene in annotation.genes.values()) else None
    by_gene = _candidates(annotation, biotypes, need_cds=need_cds)
    best = {gene: min(found, key=lambda t: _rank(t, rules.transcript)) for gene, found in by_gene.items()}
    kept = "/".join(biotypes) if biotypes is not None else "any biotype"
    ledger.count(f"{kept}{', with CDS' if need_cds else ''}", len(best))
    tagged = sum(_rank(t, rules.transcript)[0] < len(CANONICAL_TAGS) for t in best.values())
    ledger.rule(
        "transcript",
        f"one for each gene ({rules.transcript}): {tagged:,} by a canonical tag ({', '.join(CANONICAL_TAGS)}), "
        f"{sum(len(found) == 1 for found in by_gene.values()):,} genes have only one, the rest by the longest CDS",
    )
    rule = "5' end of the first exon of the chosen transcript (where it has no exon rows, of the transcript itself)"
    other = sum(bool(t.exons) and t.start >= 0 and (t.start, t.end) != span(t) for t in best.values())
    if other:
        remark = f"transcripts whose row ends elsewhere than their exons, which count: {other:,}"
        rule = f"{rule}; {remark}"
        ledger.warn(remark)
    ledger.rule("tss", rule)
    return _chosen(annotation, best, strip_versions=rules.strip_versions)


def _candidates(annotation: Annotation, biotypes: list[str] | None, *, need_cds: bool) -> dict[str, list[Transcript]]:
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
        received = few(sorted({gene.biotype for gene in annotation.genes.values()}))
        where, hint = f"{annotation.path}, genes.biotypes={biotypes}", "change genes.biotypes; null keeps all"
        raise UserError("no gene of the annotation is left", where=where, received=received, hint=hint)
    return by_gene


def _rank(transcript: Transcript, rule: str) -> tuple[int, int, int, str]:
    """Return a key that is lowest for the best transcript."""
    tags = transcript.tags if rule == "canonical" else ()
    tag = next((n for n, name in enumerate(CANONICAL_TAGS) if name in tags), len(CANONICAL_TAGS))
    return tag, -_length(transcript.cds), -_length(transcript.exons), transcript.name


def _length(flat: array[int]) -> int:
    return sum(flat[1::2]) - sum(flat[::2])


def _chosen(annotation: Annotation, best: dict[str, Transcript], *, strip_versions: bool) -> RawGenes:
    transcripts = list(best.values())
    kinds = sorted({kind for gene in best for kind in annotation.genes[gene].names})
    others = {kind: np.array([annotation.genes[gene].names.get(kind, "") for gene in best]) for kind in kinds}
    ids = list(map(without_version, best)) if strip_versions else list(best)
    if len(set(ids)) < len(ids):
        twice = next(name for n, name in enumerate(ids) if name in ids[:n])
        what, hint = f"without versions, gene {twice} occurs twice", "set genes.strip_versions=false"
        raise UserError(what, where=annotation.path, hint=hint)
    spans = np.array([span(t) for t in transcripts])
    chromosome, strand = (np.array([getattr(t, name) for t in transcripts]) for name in ("chromosome", "strand"))
    return RawGenes(
        GeneNames(np.array(ids), others),
        np.full((len(ids), 1), np.nan),
        chromosome=chromosome,
        strand=strand,
        tss=np.where(strand == "+", spans[:, 0], spans[:, 1] - 1),
        transcripts=transcripts,
    )


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
    outside = [[row] for row in cds if exons and not any(s <= row[0] and row[1] <= e for s, e in whole)]
    found = {
        "two exons overlap": [[a, b] for a, b in pairwise(exons) if b[0] < a[1]],
        "two CDS rows overlap": [[a, b] for a, b in pairwise(cds) if b[0] < a[1] - SLIP],
        "CDS lies outside the exons": outside,
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
    """Return the spliced pieces of UTR5, CDS and UTR3, each sorted by position, of a transcript with CDS.

    `stop_codon` says whether the CDS is to hold it: ``"included"``, ``"excluded"`` or ``"as_annotated"``. One that the
    CDS does not hold belongs to no region, as in Ensembl's UTR rows. A UserError is raised if the CDS has to be
    changed, but the annotation does not say whether it holds the stop codon.
    """
    cds = merged(_pairs(transcript.cds), touching=False)  # where a ribosome slips back, bases are read twice
    exons = _pairs(transcript.exons)
    if not exons:  # SGD, bacteria: the CDS, extended to the transcript's ends
        exons, (start, end) = merged(cds), span(transcript)
        exons[0] = (start, exons[0][1])
        exons[-1] = (exons[-1][0], end)
    first, last = cds[0][0], max(end for _, end in cds)
    left = [(start, min(end, first)) for start, end in exons if start < first]
    right = [(max(start, last), end) for start, end in exons if end > last]
    plus = transcript.strand == "+"
    utr5, utr3 = (left, right) if plus else (right, left)
    stop = _pairs(transcript.stop)
    if not stop and stop_codon != "as_annotated":
        what, where = "the annotation does not say whether the CDS holds the stop codon", f"gtf, {transcript.name}"
        hint = "set genes.stop_codon=as_annotated"
        raise UserError(what, where=where, expected="stop_codon rows", received="none", hint=hint)
    if stop and (stop[0][0] < first or stop[-1][1] > last):
        codon, utr3 = split_spliced(utr3, 3, from_left=plus)
        if stop_codon == "included":
            cds = merged([*cds, *codon])
    elif stop and stop_codon == "excluded":
        _, cds = split_spliced(cds, 3, from_left=not plus)
    return {"UTR5": utr5, "CDS": cds, "UTR3": utr3}


def _pairs(flat: array[int]) -> Pieces:
    return sorted(zip(flat[::2], flat[1::2], strict=True))


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
    """Take a number of bases off one end of spliced pieces; return those taken and those left, each sorted."""
    taken: Pieces = []
    rest: Pieces = []
    for start, end in pieces if from_left else reversed(pieces):
        part = min(bases, end - start)
        bases -= part
        cut = start + part if from_left else end - part
        mine, left = ((start, cut), (cut, end)) if from_left else ((cut, end), (start, cut))
        taken += [mine] * (mine[0] < mine[1])
        rest += [left] * (left[0] < left[1])
    return sorted(taken), sorted(rest)


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
