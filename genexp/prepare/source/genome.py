"""A genome, its annotation and expression: promoters, half-life features and labels of any organism."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from genexp.blocks import HALFLIFE_FEATURES
from genexp.features.tokens import ALPHABET
from genexp.prepare.annotation import Annotation, read_annotation
from genexp.prepare.bases import Bases
from genexp.prepare.config import Config
from genexp.prepare.expression import read_expression
from genexp.prepare.fasta import read_fasta
from genexp.prepare.genes import RawGenes, join
from genexp.prepare.genome import Intervals, cut_genome, promoter_windows
from genexp.prepare.ledger import Ledger
from genexp.prepare.opening import few
from genexp.prepare.peaks import tss_from_peaks
from genexp.prepare.transcripts import check_parts_fit, choose_transcripts, halflife_lengths, regions

_REGIONS = ("UTR5", "CDS", "UTR3")


def gather(config: Config, ledger: Ledger) -> RawGenes:
    """Return the annotated genes that have expression."""
    rules = config.genes
    next(read_fasta(Path(str(config.fasta)), 1 << 16))  # its first header now, before the long work

    @cache
    def annotated() -> Annotation:
        return read_annotation(Path(str(config.gtf)), skip_chromosomes=rules.skip_chromosomes, id_key=rules.id)

    def gene_of() -> dict[str, str]:
        return {name: transcript.gene for name, transcript in annotated().transcripts.items()}

    found, table, remark = read_expression(config, ledger, gene_of)
    annotation = annotated()
    genes = choose_transcripts(annotation, rules, ledger, need_cds=config.halflife is True)
    if genes.names.is_gene(table.columns[0]):
        raise table.no_header(["gene", "S1"])
    joined = join(genes.names, found.names.ids.tolist(), table.where)
    genes = replace(genes.take(joined.found), labels=found.labels[joined.rows[joined.found]])
    unused = f"{len(found) - len(genes):,} rows of the table match no annotated gene"
    ledger.count("with expression", len(genes), f"{remark}{joined.remark()}; {unused}")
    if config.halflife is True:
        genes = _with_lengths(config, genes, ledger)
    if not config.tss:
        return genes
    tss, sentence = tss_from_peaks(Path(config.tss), genes)
    ledger.rule("tss", sentence, report=ledger.note, prefix="TSS: ")
    return replace(genes, tss=tss)


def _with_lengths(config: Config, genes: RawGenes, ledger: Ledger) -> RawGenes:
    """Add the features that need no bases; leave out the genes that the rule for missing UTRs drops."""
    rules = config.genes
    for transcript in genes.transcripts:
        check_parts_fit(transcript, config.gtf)
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


def read_bases(config: Config, genes: RawGenes, ledger: Ledger) -> Bases:
    """Cut promoters and count the bases of UTRs and CDS in one pass over the genome."""
    windows = promoter_windows(genes, config.upstream, config.downstream)
    pieces = [regions(t, config.genes.stop_codon) for t in genes.transcripts] if config.halflife is True else []
    flat = [
        (gene, region, start, end)
        for gene, found in enumerate(pieces)
        for region, name in enumerate(_REGIONS)
        for start, end in found[name]
    ]
    gene, region, start, end = np.array(flat, np.int64).reshape(-1, 4).T
    parts = Intervals(genes.chromosome[gene], start, end)
    cut = cut_genome(Path(str(config.fasta)), windows, genes.strand, parts, ledger.progress)
    if cut.renamed:
        names = few([f"{ours} is {theirs}" for ours, theirs in cut.renamed.items()], 4)
        sentence = f"the genome's differ from the annotation's and were matched: {names}"
        ledger.rule("chromosome names", sentence, report=ledger.note, prefix="chromosome names: ")
    ledger.rule("padding", f"{cut.outside:,} promoters reach past a chromosome's end: N there")
    if config.halflife is not True:
        return Bases(cut.promoters, config.upstream)
    halflife = genes.halflife.copy()
    counts = np.zeros((len(_REGIONS), len(genes), len(ALPHABET)), np.int64)
    np.add.at(counts, (region, gene), cut.counts)
    for name, count in zip(_REGIONS, counts, strict=True):
        known = np.maximum(count[:, :4].sum(axis=1), 1)
        halflife[:, HALFLIFE_FEATURES.index(f"{name}GC")] = count[:, 1:3].sum(axis=1) / known
    return Bases(cut.promoters, config.upstream, halflife)
