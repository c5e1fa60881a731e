"""The genes of each kind of source with their raw values; bases are read last, in their final order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from genexp.blocks import BLOCKS, HALFLIFE_FEATURES
from genexp.errors import UserError
from genexp.features.tokens import ALPHABET
from genexp.prepare.annotation import read_annotation
from genexp.prepare.config import TARGETS, Config
from genexp.prepare.expression import read_expression
from genexp.prepare.fasta import read_fasta
from genexp.prepare.genes import GeneNames, RawGenes, check_unique, join, without_version
from genexp.prepare.genome import Intervals, cut_genome, promoter_windows
from genexp.prepare.ledger import Ledger
from genexp.prepare.peaks import tss_from_peaks
from genexp.prepare.published import read_numbers, read_promoters
from genexp.prepare.sources import few, open_text
from genexp.prepare.tables import look_at
from genexp.prepare.targets import is_gmt, read_targets
from genexp.prepare.transcripts import check_parts_fit, choose_transcripts, halflife_lengths, regions

_REGIONS = ("UTR5", "CDS", "UTR3")


@dataclass(frozen=True)
class Bases:
    """What is known once the bases are read: (n, length) uint8 promoters, the TSS in them, (n, 8) half-life with GC."""

    promoters: np.ndarray | None = None
    tss: int | None = None
    halflife: np.ndarray | None = None

    @cached_property
    def composition(self) -> np.ndarray:
        """How many promoters have each token at each position, (length, 5) int64."""
        promoters = np.empty((0, 0), np.uint8) if self.promoters is None else self.promoters
        counts = np.zeros((promoters.shape[1], len(ALPHABET)), np.int64)
        for first in range(0, len(promoters), 256):  # a few at a time: no second array of that size
            for token in range(len(ALPHABET)):
                counts[:, token] += (promoters[first : first + 256] == token).sum(axis=0)
        return counts


def gather(config: Config, ledger: Ledger) -> RawGenes:
    """Return the genes of any source, joined with expression and targets, without those that are masked."""
    targets = {key: getattr(config, key) for key in TARGETS}
    for key, name in {**targets, "split.file": config.split.file}.items():
        if name and not is_gmt(Path(name)):
            look_at(Path(name), key)  # its first lines now, before the long work
    genes = {"genome": _from_genome, "xpresso_table": _from_table, "tables": _from_tables}[config.source](
        config, ledger
    )
    if config.mask:
        genes = _masked(genes, Path(config.mask), ledger)
    for block, row in BLOCKS.items():
        if targets.get(row.input):
            drop = getattr(config.absent, row.input) == "drop"
            genes = _with_targets(genes, block, Path(targets[row.input]), ledger, drop=drop)
    return genes


def _from_table(config: Config, ledger: Ledger) -> RawGenes:
    genes = read_numbers(Path(str(config.table)))
    ledger.count("in the table", len(genes))
    if config.genes.strip_versions:
        genes = replace(genes, names=GeneNames(np.array([without_version(gene) for gene in genes.names.ids])))
        check_unique(genes.names.ids.tolist(), f"table={config.table}, without versions")
    return genes


def _from_tables(config: Config, ledger: Ledger) -> RawGenes:
    genes, _, remark = read_expression(config, ledger)
    ledger.count("with expression", len(genes), remark)
    return genes


def _from_genome(config: Config, ledger: Ledger) -> RawGenes:
    rules = config.genes
    next(read_fasta(Path(str(config.fasta)), 1 << 16))  # its first header now, before the long work
    found, table, remark = read_expression(config, ledger)
    annotation = read_annotation(Path(str(config.gtf)), skip_chromosomes=rules.skip_chromosomes, id_key=rules.id)
    genes = choose_transcripts(annotation, rules, ledger, need_cds=config.halflife)
    if genes.names.is_gene(table.columns[0]):
        raise table.no_header(["gene", "S1"])
    joined = join(genes.names, found.names.ids.tolist(), table.where)
    genes = replace(genes.take(joined.found), expression=found.expression[joined.rows[joined.found]])
    unused = f"{len(found) - len(genes):,} rows of the table match no annotated gene"
    ledger.count("with expression", len(genes), f"{remark}{joined.remark()}; {unused}")
    if config.halflife:
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


def _masked(genes: RawGenes, path: Path, ledger: Ledger) -> RawGenes:
    with open_text(path) as file:
        named = {line.split()[0] for line in file if line.strip() and not line.startswith("#")}
    plain = {without_version(name) for name in named}
    hit = np.array([gene in named or without_version(gene) in plain for gene in genes.names.ids])
    for others in genes.names.others.values():
        hit |= np.isin(others, list(named))
    if hit.all():
        received, hint = f"the names of all {len(hit):,} genes", "list the genes to leave out, not those to keep"
        raise UserError("the mask leaves no genes", where=f"mask={path}", received=received, hint=hint)
    ledger.count("not masked", int((~hit).sum()), f"{len(named):,} names in {path.name}")
    if not hit.any():
        ledger.warn(f"none of the {len(named):,} names in {path} is a gene of this dataset; nothing was masked")
    return genes.take(~hit)


def _with_targets(genes: RawGenes, block: str, path: Path, ledger: Ledger, *, drop: bool) -> RawGenes:
    key = BLOCKS[block].input
    targets = read_targets(path, key, genes.names)
    there = targets.join.found
    genes = replace(genes, targets={**genes.targets, block: targets})
    lacking = int((~there).sum())
    remark = f"{len(targets.names):,} columns, {targets.form}{targets.join.remark()}; {lacking:,} genes absent"
    ledger.rule(key, f"{remark}: {'dropped' if drop else 'zeros'}")
    if drop:
        genes = genes.take(there)
    ledger.count(f"{'with' if drop else 'after'} {key}", len(genes), remark + ": zeros" * bool(lacking and not drop))
    names = [targets.names[n] for n in np.flatnonzero(~genes.targets[block].values.any(axis=0))]
    if names:
        sentence = f"columns of {key} that are 0 for every gene: {len(names):,} of {len(targets.names):,}"
        ledger.rule(f"{key}, empty columns", f"{sentence} ({few(names, 4)})", report=ledger.warn)
    return genes


def read_bases(config: Config, genes: RawGenes, ledger: Ledger) -> Bases:
    """Read promoters, one row for each gene in the given order, and what else needs the bases."""
    if config.source == "tables":
        return Bases()
    if config.source == "genome":
        return _cut(config, genes, ledger)
    rename = without_version if config.genes.strip_versions else str
    place = {str(gene): row for row, gene in enumerate(genes.names.ids)}
    tokens = read_promoters(Path(str(config.table)), place, rename, ledger.progress)
    return Bases(tokens, tokens.shape[1] // 2, genes.halflife if config.halflife else None)


def _cut(config: Config, genes: RawGenes, ledger: Ledger) -> Bases:
    """Cut promoters and count the bases of UTRs and CDS in one pass over the genome."""
    windows = promoter_windows(genes, config.upstream, config.downstream)
    pieces = [regions(t, config.genes.stop_codon) for t in genes.transcripts] if config.halflife else []
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
    if not config.halflife:
        return Bases(cut.promoters, config.upstream)
    halflife = genes.halflife.copy()
    counts = np.zeros((len(_REGIONS), len(genes), len(ALPHABET)), np.int64)
    np.add.at(counts, (region, gene), cut.counts)
    for name, count in zip(_REGIONS, counts, strict=True):
        known = np.maximum(count[:, :4].sum(axis=1), 1)
        halflife[:, HALFLIFE_FEATURES.index(f"{name}GC")] = count[:, 1:3].sum(axis=1) / known
    return Bases(cut.promoters, config.upstream, halflife)
