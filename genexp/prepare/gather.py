"""The genes of a dataset with their raw values, from each kind of source; bases are read last, in their final order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from genexp import console
from genexp.config import PrepareConfig
from genexp.dataset.genes import HALFLIFE_FEATURES
from genexp.errors import UserError
from genexp.features.tokens import ALPHABET
from genexp.prepare.annotation import Transcript, read_annotation
from genexp.prepare.expression import Expression, read_expression
from genexp.prepare.fasta import look_at_fasta
from genexp.prepare.genome import Intervals, cut_genome, promoter_windows
from genexp.prepare.ledger import Ledger
from genexp.prepare.names import GeneNames, check_unique, is_gene, join, without_version
from genexp.prepare.peaks import tss_from_peaks
from genexp.prepare.published import read_numbers, read_promoters
from genexp.prepare.sources import open_text
from genexp.prepare.tables import look_at, no_header
from genexp.prepare.targets import Targets, is_gmt, read_targets
from genexp.prepare.transcripts import Chosen, Pieces, check_parts_fit, choose_transcripts, halflife_lengths, regions

_REGIONS = ("UTR5", "CDS", "UTR3")


@dataclass(frozen=True)
class RawGenes:
    """Genes before any scaling; every array has one row per gene.

    Attributes
    ----------
    names
        What the genes are called.
    expression : (n,) float64
    halflife : (n, 8) float64 or None
        Of a genome, GC is not known before the genome is read.
    chromosome, strand : (n,) array of str or None
    tss : (n,) int64 or None
        From 0.
    transcripts
        Of a genome.
    targets
        ``"T"`` and ``"M"``.
    """

    names: GeneNames
    expression: np.ndarray
    halflife: np.ndarray | None = None
    chromosome: np.ndarray | None = None
    strand: np.ndarray | None = None
    tss: np.ndarray | None = None
    transcripts: list[Transcript] | None = None
    targets: dict[str, Targets] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.expression)

    def take(self, rows: np.ndarray) -> RawGenes:
        """Return the genes selected by an index or boolean array."""
        index = np.arange(len(self))[rows]
        arrays = ("expression", "halflife", "chromosome", "strand", "tss")
        changed: dict[str, Any] = {
            name: None if getattr(self, name) is None else getattr(self, name)[index] for name in arrays
        }
        targets = {
            block: replace(found, values=found.values[index], join=replace(found.join, rows=found.join.rows[index]))
            for block, found in self.targets.items()
        }
        transcripts = None if self.transcripts is None else [self.transcripts[n] for n in index]
        return replace(self, names=self.names.take(index), transcripts=transcripts, targets=targets, **changed)


@dataclass(frozen=True)
class Bases:
    """What only the bases tell.

    Attributes
    ----------
    promoters : (n, length) uint8 tokens or None
    tss
        Index of the TSS in the promoters.
    halflife : (n, 8) float64 or None
        With GC.
    """

    promoters: np.ndarray | None
    tss: int | None
    halflife: np.ndarray | None

    @cached_property
    def composition(self) -> np.ndarray:
        """How many promoters have each token at each position, (length, 5) int64."""
        promoters = np.empty((0, 0), np.uint8) if self.promoters is None else self.promoters
        counts = np.zeros((promoters.shape[1], len(ALPHABET)), np.int64)
        for first in range(0, len(promoters), 256):  # a few at a time: no second array of that size
            for token in range(len(ALPHABET)):
                counts[:, token] += (promoters[first : first + 256] == token).sum(axis=0)
        return counts


def gather(config: PrepareConfig, ledger: Ledger) -> RawGenes:
    """Return the genes of any source, joined with expression and targets, without those that are masked."""
    readers: dict[str, Callable[[PrepareConfig, Ledger], RawGenes]] = {
        "genome": _from_genome,
        "xpresso_table": _from_table,
        "tables": _from_tables,
    }
    _look_at_tables(config)
    genes = readers[config.source](config, ledger)
    if config.mask:
        genes = _masked(genes, Path(config.mask), ledger)
    for block, key, absent in (("T", "tf", config.absent.tf), ("M", "mirna", config.absent.mirna)):
        if getattr(config, key):
            genes = _with_targets(genes, block, key, Path(getattr(config, key)), absent, ledger)
    return genes


def _look_at_tables(config: PrepareConfig) -> None:
    """Look at the first lines of tables that are read last."""
    for key, name in (("tf", config.tf), ("mirna", config.mirna), ("split.file", config.split.file)):
        if name and not is_gmt(Path(name)):
            look_at(Path(name), key)


def _from_table(config: PrepareConfig, ledger: Ledger) -> RawGenes:
    table = read_numbers(Path(str(config.table)))
    ledger.count("in the table", len(table.genes))
    ids = table.genes
    if config.genes.strip_versions:
        ids = np.array([without_version(gene) for gene in ids])
        check_unique(ids.tolist(), f"table={config.table}, without versions")
    return RawGenes(GeneNames(ids), table.expression, table.halflife if config.halflife else None)


def _from_tables(config: PrepareConfig, ledger: Ledger) -> RawGenes:
    found = _expression(config, ledger)
    ledger.count("with expression", len(found.values), _expression_note(config, found))
    return RawGenes(found.names, found.values)


def _expression(config: PrepareConfig, ledger: Ledger) -> Expression:
    found = read_expression(
        Path(str(config.expression)),
        samples=config.samples,
        statistic=config.statistic,
        scale=config.expression_scale,
        strip_versions=config.genes.strip_versions,
    )
    what = "taken as log10" if config.expression_scale == "log10" else "then log10(x + 0.1)"
    ledger.rule("expression", f"{found.columns(config.statistic)}; {what}")
    return found


def _expression_note(config: PrepareConfig, found: Expression) -> str:
    return found.columns(config.statistic) + (f"; {found.without:,} rows without a value" if found.without else "")


def _from_genome(config: PrepareConfig, ledger: Ledger) -> RawGenes:
    rules = config.genes
    look_at_fasta(Path(str(config.fasta)))
    found = _expression(config, ledger)
    annotation = read_annotation(Path(str(config.gtf)), skip_chromosomes=rules.skip_chromosomes, id_key=rules.id)
    chosen = choose_transcripts(
        annotation,
        ledger,
        rule=rules.transcript,
        biotypes=rules.biotypes,
        strip_versions=rules.strip_versions,
        need_cds=config.halflife,
    )
    if is_gene(found.heading, chosen.names):
        raise no_header(Path(str(config.expression)), "expression", [found.heading, *found.samples], ["gene", "S1"])
    joined = join(chosen.names, found.names.ids.tolist(), f"expression={config.expression}")
    chosen, values = chosen.take(joined.found), found.values[joined.rows[joined.found]]
    unused = len(found.values) - len(values)
    note = _expression_note(config, found) + joined.words()
    ledger.count("with expression", len(values), f"{note}; {unused:,} rows of the table are no such gene")
    halflife = None
    if config.halflife:
        chosen, values, halflife = _lengths(config, chosen, values, ledger)
    tss = chosen.tss
    if config.tss:
        tss, words = tss_from_peaks(Path(config.tss), chosen)
        ledger.rule("tss", words)
        console.say(f"TSS: {words}")
    return RawGenes(chosen.names, values, halflife, chosen.chromosome, chosen.strand, tss, chosen.transcripts)


def _lengths(
    config: PrepareConfig, chosen: Chosen, values: np.ndarray, ledger: Ledger
) -> tuple[Chosen, np.ndarray, np.ndarray]:
    """Return the features that need no bases, and the genes that are left by the rule for missing UTRs."""
    rules = config.genes
    for transcript in chosen.transcripts:
        check_parts_fit(transcript, config.gtf)
    pieces = _regions(chosen.transcripts, rules.stop_codon, str(config.gtf))
    found = [halflife_lengths(t, p, rules.lengths) for t, p in zip(chosen.transcripts, pieces, strict=True)]
    features = np.array([[row.get(name, 0.0) for name in HALFLIFE_FEATURES] for row in found])
    lacks = np.array([not (p["UTR5"] and p["UTR3"]) for p in pieces])
    ledger.rule(
        "half-life",
        f"lengths {rules.lengths}, from spliced exons; stop codon {rules.stop_codon.replace('_', ' ')}; "
        "intron length = transcript span - (UTR5 + CDS + UTR3); "
        "ORFEXONDENSITY = CDS exons per kb of CDS; GC over A, C, G, T",
    )
    ledger.rule(
        "missing UTR",
        f"{int(lacks.sum()):,} genes without a 5' or 3' UTR: "
        + ("dropped" if rules.missing_utr == "drop" else "length and GC are 0"),
    )
    if rules.missing_utr == "drop" and lacks.any():
        chosen, values, features = chosen.take(~lacks), values[~lacks], features[~lacks]
        ledger.count("with both UTRs", len(values))
    return chosen, values, features


def _regions(transcripts: list[Transcript], stop_codon: str, gtf: str) -> list[dict[str, Pieces]]:
    try:
        return [regions(transcript, stop_codon) for transcript in transcripts]
    except ValueError as error:
        raise UserError(
            "the annotation does not say whether the CDS holds the stop codon",
            where=f"genes.stop_codon={stop_codon}, gtf={gtf}, transcript {error}",
            expected="stop_codon rows",
            received="none",
            do="set genes.stop_codon=as_annotated",
        ) from None


def _masked(genes: RawGenes, path: Path, ledger: Ledger) -> RawGenes:
    """Leave out the genes that a file names, one on each line."""
    with open_text(path) as file:
        named = {line.split()[0] for line in file if line.strip() and not line.startswith("#")}
    plain = {without_version(name) for name in named}
    hit = np.array([gene in named or without_version(gene) in plain for gene in genes.names.ids])
    for others in genes.names.others.values():
        hit |= np.array([name in named for name in others])
    if hit.all():
        raise UserError(
            "the mask leaves no genes",
            where=f"mask={path}",
            expected="names of the genes to leave out",
            received=f"{len(named):,} names, which all {len(hit):,} genes are among",
            do="give the genes to leave out, not those to keep",
        )
    ledger.count("not masked", int((~hit).sum()), f"{len(named):,} names in {path.name}")
    if not hit.any():
        console.warn(f"none of the {len(named):,} names in {path} is a gene of this dataset; nothing was masked")
    return genes.take(~hit)


def _with_targets(genes: RawGenes, block: str, key: str, path: Path, absent: str, ledger: Ledger) -> RawGenes:
    targets = read_targets(path, key, genes.names)
    there = targets.join.found
    genes = replace(genes, targets={**genes.targets, block: targets})
    lacking = int((~there).sum())
    note = f"{len(targets.names):,} columns, {targets.form}{targets.join.words()}; {lacking:,} genes absent"
    if absent == "drop":
        genes = genes.take(there)
        ledger.count(f"with {key}", len(genes), note)
    else:
        ledger.count(f"after {key}", len(genes), f"{note}: zeros" if lacking else note)
    ledger.rule(key, f"{note}: {'dropped' if absent == 'drop' else 'zeros'}")
    _note_empty_columns(genes.targets[block], key, ledger)
    return genes


def _note_empty_columns(targets: Targets, key: str, ledger: Ledger) -> None:
    """Count factors that target none of the genes."""
    empty = np.flatnonzero(~targets.values.any(axis=0))
    if len(empty):
        few = ", ".join(targets.names[n] for n in empty[:4]) + (" ..." if len(empty) > 4 else "")
        words = f"columns of {key} that are 0 for every gene: {len(empty):,} of {len(targets.names):,} ({few})"
        ledger.rule(f"{key}, empty columns", words)
        console.warn(words)


def read_bases(config: PrepareConfig, genes: RawGenes, ledger: Ledger) -> Bases:
    """Read promoters, one row for each gene in the given order, and what else the bases tell."""
    if config.source == "xpresso_table":
        place = {str(gene): row for row, gene in enumerate(genes.names.ids)}
        path = Path(str(config.table))
        if config.genes.strip_versions:
            names = read_numbers(path).genes
            place = {str(name): place[without_version(name)] for name in names if without_version(name) in place}
        tokens = read_promoters(path, place, _table_length(path))
        return Bases(tokens, tokens.shape[1] // 2, genes.halflife)
    if config.source == "tables":
        return Bases(None, None, None)
    return _cut(config, genes, ledger)


def _table_length(path: Path) -> int:
    with open_text(path) as file:
        header, line = (file.readline().rstrip("\r\n").split("\t") for _ in range(2))
    return len(line[[name.strip() for name in header].index("PROMOTER")])


def _cut(config: PrepareConfig, genes: RawGenes, ledger: Ledger) -> Bases:
    """Cut promoters and count the bases of UTRs and CDS in one pass over the genome."""
    if genes.chromosome is None or genes.strand is None or genes.tss is None:
        raise TypeError("genes of a genome have a place")
    windows = promoter_windows(genes.chromosome, genes.strand, genes.tss, config.upstream, config.downstream)
    pieces = _regions(genes.transcripts or [], config.genes.stop_codon, str(config.gtf)) if config.halflife else []
    flat = [
        (gene, region, start, end)
        for gene, found in enumerate(pieces)
        for region, name in enumerate(_REGIONS)
        for start, end in found[name]
    ]
    gene, region, start, end = np.array(flat, np.int64).reshape(-1, 4).T
    cut = cut_genome(Path(str(config.fasta)), windows, genes.strand, Intervals(genes.chromosome[gene], start, end))
    if cut.renamed:
        words = ", ".join(f"{ours} is {theirs}" for ours, theirs in list(cut.renamed.items())[:4])
        ledger.rule("chromosome names", f"the genome's differ from the annotation's and were matched: {words} ...")
        console.say(f"chromosome names: {ledger.rules['chromosome names']}")
    outside = _bases_outside(windows, cut.lengths)
    ledger.rule("padding", f"{int((outside > 0).sum()):,} promoters reach past a chromosome's end: N there")
    halflife = None
    if config.halflife and genes.halflife is not None:
        halflife = genes.halflife.copy()
        for number, name in enumerate(_REGIONS):
            counts = np.zeros((len(genes), cut.counts.shape[1]), np.int64)
            np.add.at(counts, gene[region == number], cut.counts[region == number])
            known = counts[:, :4].sum(axis=1)
            halflife[:, HALFLIFE_FEATURES.index(f"{name}GC")] = counts[:, 1:3].sum(axis=1) / np.maximum(known, 1)
    return Bases(cut.promoters, config.upstream, halflife)


def _bases_outside(windows: Intervals, lengths: dict[str, int]) -> np.ndarray:
    """Return how many bases of each window lie outside its chromosome."""
    length = np.array([lengths[name] for name in windows.chromosome])
    return np.maximum(0, -windows.start) + np.maximum(0, windows.end - length)
