"""A genome, its annotation and expression: promoters, half-life features and labels of any organism."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from genexp.blocks import HALFLIFE_FEATURES
from genexp.prepare.annotation import read_annotation
from genexp.prepare.bases import Bases
from genexp.prepare.config import Config
from genexp.prepare.expression import read_expression
from genexp.prepare.fasta import check_fasta
from genexp.prepare.genes import RawGenes, check_rows_are_genes, join_best
from genexp.prepare.genome import Cut, cut_genome, promoter_windows
from genexp.prepare.ledger import Ledger
from genexp.prepare.left_out import LeftOut, Reason, check_tolerance
from genexp.prepare.opening import few
from genexp.prepare.peaks import tss_from_peaks
from genexp.prepare.records import Annotation, Transcript
from genexp.prepare.transcripts import Pieces, choose_transcripts, halflife_lengths, regions

_REGIONS = ("UTR5", "CDS", "UTR3")
#: A genome with more N than this in its promoters is doubted.
MASKED = 0.1


def gather(config: Config, ledger: Ledger) -> RawGenes:
    """Return the annotated genes that have expression; that they can be read is not checked yet."""
    rules = config.genes
    check_fasta(Path(str(config.fasta)))  # its beginning now, before the long work

    @cache
    def annotated() -> Annotation:
        return read_annotation(Path(str(config.gtf)), skip_chromosomes=rules.skip_chromosomes, id_key=rules.id)

    found, table, remark = read_expression(config, ledger, lambda: {t.name: t.gene for t in annotated().transcripts})
    annotation = annotated()
    genes = choose_transcripts(
        annotation, rules, ledger, stop_codon=rules.stop_codon if config.halflife is True else None
    )
    if genes.names.is_gene(table.columns[0]):
        raise table.no_header(["gene", "S1"])
    check_rows_are_genes(genes.names, found.names.ids.tolist(), table.columns, table.where)
    joined, column = join_best(genes.names, found.names, table.where)
    if column:
        sentence = f"genes are joined by column {column}, which has more names of the annotation"
        ledger.rule("column of genes", sentence, report=ledger.note, prefix="expression: ")
    labels = found.labels[joined.rows[joined.found]]
    genes = replace(genes.take(joined.found), labels=labels, label_names=found.label_names, unit=found.unit)
    unused = f"{len(found) - len(genes):,} rows of the table match no annotated gene"
    ledger.count("with expression", len(genes), f"{remark}{joined.remark()}; {unused}")
    return genes


def readable(config: Config, genes: RawGenes, ledger: Ledger) -> RawGenes:
    """Return the genes that can be read, with promoters and half-life features; the others are left out.

    A UserError is raised, with all reasons, if they are more than `genes.tolerance` allows.
    """
    number = len(genes)
    problems = {n: t.problem for n, t in enumerate(genes.transcripts) if t.problem}
    left = _left_out(genes, problems)
    there: list[str] = []
    if len(left) < number:
        genes = _without(genes, problems)
        if config.halflife is True:
            genes = _with_lengths(config, genes, ledger)
        if config.tss:
            tss, sentence = tss_from_peaks(Path(config.tss), genes)
            ledger.rule("tss", sentence, report=ledger.note, prefix="TSS: ")
            genes = replace(genes, tss=tss)
        genes, more, there = _with_bases(config, genes, ledger)
        left += more
    rules = config.genes
    check_tolerance(left, number, rules.tolerance, f"gtf={config.gtf}", rules.skip_chromosomes, there)
    ledger.leave_out(left, len(genes))
    return genes


def _left_out(genes: RawGenes, problems: dict[int, Reason]) -> list[LeftOut]:
    return [
        LeftOut(str(genes.names.ids[row]), reason, _place(genes.transcripts[row]), _to_skip(genes, row, reason))
        for row, reason in problems.items()
    ]


def _place(transcript: Transcript) -> str:
    return f"{transcript.chromosome}, {transcript.name}, line {transcript.line:,}"


def _to_skip(genes: RawGenes, row: int, reason: Reason) -> str:
    return str(genes.chromosome[row]) if reason in (Reason.MISSING, Reason.PLACES) else ""


def _without(genes: RawGenes, problems: dict[int, Reason]) -> RawGenes:
    return genes.take(~np.isin(np.arange(len(genes)), list(problems))) if problems else genes


def _with_lengths(config: Config, genes: RawGenes, ledger: Ledger) -> RawGenes:
    """Add the features that need no bases; leave out the genes that the rule for missing UTRs drops."""
    rules = config.genes
    pieces = [regions(transcript, rules.stop_codon) for transcript in genes.transcripts]
    found = [halflife_lengths(t, p, rules.lengths) for t, p in zip(genes.transcripts, pieces, strict=True)]
    genes = replace(genes, halflife=np.array([[row.get(name, 0.0) for name in HALFLIFE_FEATURES] for row in found]))
    ledger.rule(
        "half-life",
        f"lengths {rules.lengths}, from spliced exons; stop codon {rules.stop_codon.replace('_', ' ')}; "
        "intron length = transcript span - (UTR5 + CDS + UTR3); "
        "ORFEXONDENSITY = CDS exons per kb of CDS; GC over A, C, G, T",
    )
    lacks, drop = np.array([not (p["UTR5"] and p["UTR3"]) for p in pieces]), rules.missing_utr == "drop"
    fate = "dropped" if drop else "length and GC are 0"
    ledger.rule("missing UTR", f"{int(lacks.sum()):,} genes without a 5' or 3' UTR: {fate}")
    if drop and lacks.any():
        genes = genes.take(~lacks)
        ledger.count("with both UTRs", len(genes))
    return genes


def _with_bases(config: Config, genes: RawGenes, ledger: Ledger) -> tuple[RawGenes, list[LeftOut], list[str]]:
    """Cut promoters and count the bases of UTRs and CDS; return the genes that do not fit the genome, too.

    Also returned are the names of the genome's chromosomes.
    """
    halflife = config.halflife is True
    windows = promoter_windows(genes, config.upstream, config.downstream)
    pieces: list[list[Pieces]] = []
    if halflife:
        found = [regions(t, config.genes.stop_codon) for t in genes.transcripts]
        pieces = [[each[name] for name in _REGIONS] for each in found]
    cut = cut_genome(Path(str(config.fasta)), genes, windows, pieces, ledger.progress)
    _report_cut(cut, ledger)
    genes = replace(genes, promoters=cut.promoters)
    if halflife:
        genes = replace(genes, halflife=_with_gc(genes.halflife, cut))
    return _without(genes, cut.problems), _left_out(genes, cut.problems), cut.there


def _report_cut(cut: Cut, ledger: Ledger) -> None:
    if cut.renamed:
        names = few([f"{ours} is {theirs}" for ours, theirs in cut.renamed.items()], 4)
        sentence = f"the genome's differ from the annotation's and were matched: {names}"
        ledger.rule("chromosome names", sentence, report=ledger.note, prefix="chromosome names: ")
    sentence = f"{cut.outside:,} promoters reach past a chromosome's end: N there"
    if cut.wrapped:
        sentence += f"; {cut.wrapped:,} past the origin of a circular chromosome, and go on behind it"
    ledger.rule("padding", sentence)
    if cut.unknown > MASKED * cut.inside:
        sentence = (
            f"{cut.unknown / cut.inside:.1%} of the promoters' bases within the chromosomes are N: "
            "if the genome is hard-masked (dna_rm, .masked), use the one with all bases (dna, dna_sm)"
        )
        ledger.rule("N", sentence, report=ledger.warn)


def _with_gc(halflife: np.ndarray, cut: Cut) -> np.ndarray:
    halflife = halflife.copy()
    for region, name in enumerate(_REGIONS):
        count = cut.counts[:, region]
        known = np.maximum(count[:, :4].sum(axis=1), 1)
        halflife[:, HALFLIFE_FEATURES.index(f"{name}GC")] = count[:, 1:3].sum(axis=1) / known
    return halflife


def read_bases(config: Config, genes: RawGenes, ledger: Ledger) -> Bases:
    """Return promoters and half-life features, which `readable` has read."""
    return Bases(genes.promoters, config.upstream, genes.halflife if config.halflife is True else None)
