"""One transcript for each gene, and what Xpresso's half-life features are made of.

Features as defined by Agarwal and Shendure (2020, Cell Reports 31, 107663) and the scripts of the Xpresso repository:
lengths and GC of 5' UTR, CDS and 3' UTR from spliced exons, intron length = transcript span minus those three, CDS
exons per kb.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Sequence
from copy import deepcopy
from itertools import combinations, pairwise

import numpy as np

from genexp.blocks import HALFLIFE_FEATURES
from genexp.errors import UserError
from genexp.prepare.config import TranscriptRules
from genexp.prepare.genes import GeneNames, RawGenes, without_version
from genexp.prepare.ledger import Ledger
from genexp.prepare.left_out import Reason
from genexp.prepare.opening import few
from genexp.prepare.records import Annotation, Transcript

CANONICAL_TAGS = ("MANE_Select", "MANE Select", "Ensembl_canonical", "RefSeq Select", "appris_principal_1")

#: The most bases that a ribosome skips, or reads twice, where it slips: an annotation has two CDS rows there, which lie
#: apart or overlap by so much, but it is no intron.
SLIP = 2

#: Contigs that show a part of a chromosome again, or that have no place on one, as UCSC, NCBI, Ensembl and GENCODE
#: name them.
_EXTRA_CONTIG = re.compile(r".*_(alt|fix|random|hap\d+)|(chr)?Un_.*|CHR_.*|N[TW]_\d.*|(?!C[MP])[A-Z]{2}\d{6,}[.v]\d+")

Pieces = list[tuple[int, int]]


def choose_transcripts(
    annotation: Annotation, rules: TranscriptRules, ledger: Ledger, *, stop_codon: str | None
) -> RawGenes:
    """Choose one transcript for each gene, with CDS where there is a rule for its `stop_codon`; expression is NaN.

    It is the first that can be read of those with a tag of `CANONICAL_TAGS`, in that order, else the longest CDS, else
    the longest transcript, else the first id; with ``transcript=longest_cds`` tags do not count. Where none can be
    read, the first has the `problem`. A UserError is raised if no gene is left.
    """
    _report_rows(annotation, ledger)
    biotypes, need_cds = rules.biotypes, stop_codon is not None
    by_gene = _candidates(annotation, biotypes, need_cds=need_cds)
    several = sum([_take_longest_protein(t) for found in by_gene.values() for t in found])
    if several:
        sentence = f"{several:,} transcripts with several: the longest, of the CDS rows of one protein id"
        ledger.rule("proteins", sentence, report=ledger.note, prefix="proteins: ")
    copies, best = 0, {}
    for gene, found in by_gene.items():
        ranked = sorted(found, key=lambda t: _rank(t, rules.transcript))
        best[gene], copied = _first_readable(ranked, stop_codon)
        copies += copied
    if copies:
        sentence = f"{copies:,} genes have copies on alternative, unplaced or unlocalised contigs: not used"
        ledger.rule("copies", sentence, report=ledger.note, prefix="copies: ")
    any_biotype = biotypes is None or not _has_biotypes(annotation)
    kept = "any biotype" if any_biotype else "/".join(biotypes or [])
    ledger.count(f"{kept}{', with CDS' if need_cds else ''}", len(best))
    _report_choice(best, by_gene, rules, ledger)
    return _chosen(annotation, best, strip_versions=rules.strip_versions)


def _report_rows(annotation: Annotation, ledger: Ledger) -> None:
    for name in annotation.absent:
        ledger.warn(f"genes.skip_chromosomes: no chromosome {name} in the annotation")
    ledger.count("in the annotation", len(annotation.genes), annotation.flavour)
    if annotation.nameless:
        rows = f"{annotation.nameless:,} rows of exons, CDS or stop codons"
        ledger.rule("rows without a gene", f"{rows} name no gene; passed over", report=ledger.warn)
    if annotation.repeated:
        rows = f"{annotation.repeated:,} rows of exons, CDS or stop codons"
        ledger.rule("repeated rows", f"{rows} are in the annotation twice; counted once", report=ledger.warn)


def _has_biotypes(annotation: Annotation) -> bool:
    return any(gene.biotype not in ("", "pseudogene") for gene in annotation.genes.values())


def _candidates(annotation: Annotation, biotypes: list[str] | None, *, need_cds: bool) -> dict[str, list[Transcript]]:
    every = annotation.transcripts
    if need_cds and not any(t.cds for t in every):
        what = "the annotation has no CDS rows of a gene, which half-life features need"
        received = "exons only" if any(t.exons for t in every) else "neither exons nor CDS"
        hint = "use the full annotation, or set halflife=false for promoters alone"
        raise UserError(what, where=annotation.path, received=received, hint=hint)
    plain = () if _has_biotypes(annotation) else ("",)  # pseudogenes are known without biotypes
    by_gene: dict[str, list[Transcript]] = {}
    for t in every:
        wanted = biotypes is None or annotation.genes[t.gene].biotype in (*biotypes, *plain)
        if wanted and (t.cds or t.proteins or not need_cds) and (t.problem or t.exons or t.cds or t.own):
            by_gene.setdefault(t.gene, []).append(t)
    if not by_gene:
        received = few(sorted({gene.biotype for gene in annotation.genes.values()}))
        where, hint = f"{annotation.path}, genes.biotypes={biotypes}", "change genes.biotypes; null keeps all"
        raise UserError("no gene of the annotation is left", where=where, received=received, hint=hint)
    return by_gene


def _take_longest_protein(transcript: Transcript) -> bool:
    """Keep the CDS rows of the longest protein alone, and return whether there were several.

    Protein ids tell them apart; IDs of rows do only where the proteins overlap each other, since many annotations
    number the rows of one protein.
    """
    names = set(transcript.proteins)
    if len(names) < 2 or transcript.problem or names & {"", "ID="}:
        return False
    proteins = {name: [row for row in transcript.rows("cds") if row[2] == name] for name in names}
    length = {name: sum(end - start for start, end, _ in rows) for name, rows in proteins.items()}
    by_row = any(name.startswith("ID=") for name in names)
    if by_row and not all(_overlap(some, others) for some, others in combinations(proteins.values(), 2)):
        return False
    transcript.set_rows("cds", proteins[max(dict.fromkeys(transcript.proteins), key=length.__getitem__)])
    if transcript.stop:  # the other proteins' stop codons
        first, last = min(transcript.cds) - 3, max(transcript.cds) + 3
        mine = [row for row in transcript.rows("stop") if first <= row[0] and row[1] <= last]
        transcript.set_rows("stop", mine)
    return True


def _overlap(some: Sequence[tuple[int, int, str]], others: Sequence[tuple[int, int, str]]) -> bool:
    return any(a[0] < b[1] - SLIP and b[0] < a[1] - SLIP for a in some for b in others)


def _rank(transcript: Transcript, rule: str) -> tuple[int, int, int, str]:
    """Return a key that is lowest for the best transcript."""
    tags = transcript.tags if rule == "canonical" else ()
    tag = next((n for n, name in enumerate(CANONICAL_TAGS) if name in tags), len(CANONICAL_TAGS))
    return tag, -_length(transcript.cds), -_length(transcript.exons), transcript.name


def _length(flat: array[int]) -> int:
    return sum(flat[1::2]) - sum(flat[::2])


def _first_readable(ranked: Sequence[Transcript], stop_codon: str | None) -> tuple[Transcript, bool]:
    """Return the first transcript that can be read, and whether copies on other contigs were passed over.

    `stop_codon` is the rule for it, or None where the CDS is not used.
    """
    readable = [t for t in ranked if t.problem is None]
    places = {(t.chromosome, t.strand) for t in readable}
    copied = False
    if len(places) > 1:
        main = [t for t in readable if not _EXTRA_CONTIG.fullmatch(t.chromosome)]
        copied = len({(t.chromosome, t.strand) for t in main}) == 1
        if not copied:
            first = readable[0]
            other = next(t for t in readable if (t.chromosome, t.strand) != (first.chromosome, first.strand))
            other.problem = Reason.PLACES
            return other, False
        readable = main
    for transcript in readable if stop_codon else ():
        transcript.problem = parts_problem(transcript, stop_codon or "")
        if transcript.problem is None:
            return transcript, copied
    return (readable or ranked)[0], copied


def _report_choice(
    best: dict[str, Transcript], by_gene: dict[str, list[Transcript]], rules: TranscriptRules, ledger: Ledger
) -> None:
    tagged = sum(_rank(t, rules.transcript)[0] < len(CANONICAL_TAGS) for t in best.values())
    ledger.rule(
        "transcript",
        f"one for each gene ({rules.transcript}): {tagged:,} by a canonical tag ({', '.join(CANONICAL_TAGS)}), "
        f"{sum(len(found) == 1 for found in by_gene.values()):,} genes have only one, the rest by the longest CDS",
    )
    passed = [t for gene, found in by_gene.items() for t in found if t.problem and not best[gene].problem]
    if passed:
        reasons = few(sorted({t.problem.value for t in passed if t.problem}))
        sentence = f"{len(passed):,} of genes that have others cannot be read, and were passed over: {reasons}"
        ledger.rule("transcripts", sentence, report=ledger.note, prefix="transcripts: ")
    rule = "5' end of the first exon of the chosen transcript (where it has no exon rows, of the transcript itself)"
    other = sum(bool(t.exons) and bool(t.own) and (min(t.own), max(t.own)) != span(t) for t in best.values())
    if other:
        remark = f"transcripts whose row ends elsewhere than their exons, which count: {other:,}"
        rule = f"{rule}; {remark}"
        ledger.warn(remark)
    ledger.rule("tss", rule)


def _chosen(annotation: Annotation, best: dict[str, Transcript], *, strip_versions: bool) -> RawGenes:
    transcripts = deepcopy(list(best.values()))  # which lie together in memory, so that the others leave no holes
    kinds = sorted({kind for gene in best for kind in annotation.genes[gene].names})
    others = {kind: np.array([annotation.genes[gene].names.get(kind, "") for gene in best]) for kind in kinds}
    ids = list(map(without_version, best)) if strip_versions else list(best)
    if len(set(ids)) < len(ids):
        twice = next(name for n, name in enumerate(ids) if name in ids[:n])
        what, hint = f"without versions, gene {twice} occurs twice", "set genes.strip_versions=false"
        raise UserError(what, where=annotation.path, hint=hint)
    chromosome, strand = (np.array([getattr(t, name) for t in transcripts]) for name in ("chromosome", "strand"))
    return RawGenes(
        GeneNames(np.array(ids), others),
        np.full((len(ids), 1), np.nan),
        chromosome=chromosome,
        strand=strand,
        tss=np.array([_tss(t) for t in transcripts]),
        transcripts=transcripts,
    )


def _tss(transcript: Transcript) -> int:
    if transcript.problem:
        return 0  # nobody asks, and there may be no coordinates
    start, end = span(transcript)
    tss = start if transcript.strand == "+" else end - 1
    return tss % transcript.circular if transcript.circular else tss


def span(transcript: Transcript) -> tuple[int, int]:
    """Return first base and end of a transcript, introns included: its exons', if it has any."""
    parts = transcript.exons or transcript.cds + transcript.own
    return min(parts), max(parts)


def parts_problem(transcript: Transcript, stop_codon: str = "as_annotated") -> Reason | None:
    """Return why UTRs and CDS cannot be told: parts overlap by more than a ribosome's slip, or do not fit."""
    exons, cds = _pairs(transcript.exons), _pairs(transcript.cds)
    whole = merged(exons)
    if any(b[0] < a[1] for a, b in pairwise(exons)):
        return Reason.EXONS
    if any(b[0] < a[1] - SLIP for a, b in pairwise(cds)):
        return Reason.CDS
    if exons and any(not any(s <= start and end <= e for s, e in whole) for start, end in cds):
        return Reason.OUTSIDE
    if stop_codon != "as_annotated" and not transcript.stop:
        return Reason.STOP
    return None


def regions(transcript: Transcript, stop_codon: str = "as_annotated") -> dict[str, Pieces]:
    """Return the spliced pieces of UTR5, CDS and UTR3, each sorted by position, of a transcript with CDS.

    `stop_codon` says whether the CDS is to hold it: ``"included"``, ``"excluded"`` or ``"as_annotated"``. One that the
    CDS does not hold belongs to no region, as in Ensembl's UTR rows.
    """
    cds = merged(_pairs(transcript.cds), touching=False)  # where a ribosome slips back, bases are read twice
    exons = _pairs(transcript.exons)
    if not exons:  # SGD, PomBase, bacteria: the CDS and UTR rows, extended to the transcript's ends
        exons, (start, end) = merged([*cds, *_pairs(transcript.utr)]), span(transcript)
        exons[0] = (start, exons[0][1])
        exons[-1] = (exons[-1][0], end)
    first, last = cds[0][0], max(end for _, end in cds)
    left = [(start, min(end, first)) for start, end in exons if start < first]
    right = [(max(start, last), end) for start, end in exons if end > last]
    plus = transcript.strand == "+"
    utr5, utr3 = (left, right) if plus else (right, left)
    stop = _pairs(transcript.stop)
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
    slips = _slips(transcript, pieces["CDS"])
    intron = end - start - one_less - sum(length.values()) - sum(slips)
    density = 1000 * (len(pieces["CDS"]) - len(slips)) / length["CDS"] if length["CDS"] > 0 else 0.0
    values = (length["UTR5"], length["CDS"], intron, length["UTR3"], round(density, 2) if one_less else density)
    return dict(zip((*HALFLIFE_FEATURES[:4], HALFLIFE_FEATURES[7]), map(float, values), strict=True))


def _slips(transcript: Transcript, cds: Pieces) -> list[int]:
    """Return how many bases a ribosome skips between CDS pieces, where no exon ends."""
    whole = merged(_pairs(transcript.exons))
    gaps = [(a[1], b[0]) for a, b in pairwise(cds) if 0 < b[0] - a[1] <= SLIP]
    return [end - start for start, end in gaps if not whole or any(s < start and end < e for s, e in whole)]
