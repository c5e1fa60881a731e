"""Which variants lie near which genes: what is predicted of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import Field

from genexp import console
from genexp.api.gene_features import features_by_id
from genexp.api.loci import window_around_tss
from genexp.api.prediction import check_usable
from genexp.errors import UserError
from genexp.features.tokens import tokens_from_text
from genexp.genomes.genome import Genome
from genexp.genomes.variants import (
    Call,
    Edit,
    Site,
    edit_of,
    exclude_each_other,
    in_window,
    is_sequence,
    reach_of,
    read_sites,
)
from genexp.prepare.config import TranscriptRules
from genexp.prepare.opening import existing, few
from genexp.schema import PathText, Schema

if TYPE_CHECKING:
    from genexp.api.ensembles import Ensemble
    from genexp.api.runs import Run
    from genexp.prepare.genes import RawGenes

#: The share of reference alleles that may differ from the genome; more are another assembly.
MOST_MISMATCHES = 0.1
Shift = Annotated[int, Field(ge=-1000, le=1000)]


class Request(Schema):
    """Variants, the genes near them, and how they are compared."""

    vcf: PathText = Field(description="variants: VCF, BCF, or a table: chromosome, position, ref, alt, id")
    fasta: PathText = Field(description="FASTA file of the genome")
    gtf: PathText = Field(description="GTF or GFF3 of the genes")
    genes: TranscriptRules
    features: Literal["mean"] | PathText | None = Field(
        description="table of features: ids, and a column for each feature of the run; mean: the training mean"
    )
    scaled: bool = Field(description="features are scaled as in the dataset of the run")
    missing: Literal["error", "mean"] = Field(description="genes and cells without features: the training mean")
    haplotypes: bool = Field(description="predict each phased haplotype of each sample, not each variant")
    shifts: Annotated[list[Shift], Field(min_length=1)] = Field(
        description="windows that are averaged where a variant moves other bases, in nt from the usual one"
    )


class Carrier(NamedTuple):
    """A gene, by its row, with what it carries.

    `cells` say in the table what that is; `chromosome` is what the file of variants calls its chromosome.
    """

    gene: int
    edits: tuple[Edit, ...]
    cells: tuple[Any, ...]
    chromosome: str


class Genes:
    """Genes of a genome, by row, and what the models see of it around their TSSs: `window`, counted from the TSS."""

    def __init__(self, genome: Genome, genes: RawGenes, window: tuple[int, int]) -> None:
        self.genome, self.raw, self.window = genome, genes, window
        starts = np.where(genes.strand == "+", genes.tss + window[0], genes.tss + 1 - window[1])
        names = np.array([genome.name(name) for name in genes.chromosome])
        order = np.argsort(starts, kind="stable")
        turns = {str(name): genome.turns(str(name), max(map(abs, window))) for name in np.unique(names)}
        self._turns = [turns[name] for name in names.tolist()]  # how far copies of a base of a circle are from it
        self._start = starts.tolist()
        self._rows = {str(name): order[names[order] == name] for name in np.unique(names)}
        self._starts = {name: starts[rows] for name, rows in self._rows.items()}

    def place(self, gene: int) -> tuple[str, int, str]:
        """Return chromosome, TSS and strand of a gene."""
        return str(self.raw.chromosome[gene]), int(self.raw.tss[gene]), str(self.raw.strand[gene])

    def near(self, chromosome: str, start: int, end: int) -> list[int]:
        """Return the genes whose windows [start, end) of a chromosome may touch."""
        name, length = self.genome.name(chromosome), self.window[1] - self.window[0]
        found: set[int] = set()
        for turn in self._turns[self._rows[name][0]]:
            first, last = np.searchsorted(self._starts[name], [start + turn - length, end + turn + 1])
            found.update(self._rows[name][first:last].tolist())
        return sorted(found)

    def sees(self, gene: int, start: int, end: int) -> bool:
        """Tell whether bases of [start, end) are in the window of a gene of the chromosome."""
        first, last = self._start[gene], self._start[gene] + self.window[1] - self.window[0]
        return any(start + turn < last and end + turn > first for turn in self._turns[gene])

    def edits(self, gene: int, site: Site, alt: str) -> tuple[Edit, ...]:
        """Return what an allele changes in the window of a gene, in which a small circular chromosome repeats."""
        _, tss, strand = self.place(gene)
        copies = (edit_of(site, alt, tss - turn, strand) for turn in self._turns[gene])
        return tuple(sorted(edit for edit in copies if in_window(edit, self.window)))


@dataclass(frozen=True)
class Plan:
    """Variants near genes that can be predicted.

    `features` are those of the genes, by block; `counts` says what became of the variants.
    """

    run: Run | Ensemble
    checkpoint: str
    request: Request
    genes: Genes
    features: Mapping[str, np.ndarray]
    carriers: list[Carrier]
    counts: Counter[str]


def check(run: Run | Ensemble, request: Request, checkpoint: str = "best") -> Plan:
    """Look at the run, and read all files; imports no TensorFlow."""
    from genexp.genomes.genes import read_genes

    check_usable(run, checkpoint)
    window = window_around_tss(run)
    paths = {key: existing(getattr(request, key), key) for key in ("vcf", "fasta", "gtf")}
    raw, circular = read_genes(paths["gtf"], request.genes, console.say, console.warn)
    genome = Genome(paths["fasta"], sorted({*map(str, raw.chromosome)}), circular, console.say)
    known = np.array([name in genome for name in raw.chromosome])
    if not known.all():
        gone = few(sorted({*map(str, raw.chromosome[~known])}))
        console.warn(f"{np.count_nonzero(~known):,} genes lie on chromosomes that the genome lacks: {gone}")
    genes = Genes(genome, raw.take(known), window)
    carriers, counts = _find_carriers(genes, request, paths["vcf"])
    used, rows = np.unique([carrier.gene for carrier in carriers], return_inverse=True)
    carriers = [carrier._replace(gene=int(row)) for carrier, row in zip(carriers, rows, strict=True)]
    genes = Genes(genome, genes.raw.take(used), window)
    for gene in range(len(used)):
        genome.promoter(*genes.place(gene), (0, 1))  # an error now for a TSS beyond the end of its chromosome
    ids = genes.raw.names.ids.tolist()
    features = features_by_id(run, ids, request.features, scaled=request.scaled, missing=request.missing)
    return Plan(run, checkpoint, request, genes, features, carriers, counts)


#: A site with what a sample carries, None where it is unknown, and the edits of the alleles that change what is seen.
_Genotype = tuple[Site, Call, dict[int, tuple[Edit, ...]]]
#: By gene and sample.
_Genotypes = dict[tuple[int, str], list[_Genotype]]


def _find_carriers(genes: Genes, request: Request, path: Path) -> tuple[list[Carrier], Counter[str]]:
    """Return what is to be predicted, and what became of the variants, which is reported, too."""
    counts: Counter[str] = Counter()
    carriers: list[Carrier] = []
    genotypes: _Genotypes = {}
    different: list[str] = []
    called: dict[str, str] = {}
    for site in read_sites(path, genotypes=request.haplotypes):
        counts["variants"] += 1
        if site.chromosome not in genes.genome:
            counts["variants on chromosomes without genes"] += 1
            continue
        if site.chromosome not in called:
            called[site.chromosome] = genes.genome.name(site.chromosome)
        usable = {n: alt for n, alt in enumerate(site.alts, 1) if is_sequence(alt)}
        if not _agrees(genes.genome, site):
            different.append(f"{site.chromosome}:{site.position + 1} {site.ref}")
            usable = {}
        else:
            counts["alleles that are no sequence"] += len(site.alts) - len(usable)
        if request.haplotypes:
            _add_calls(genotypes, genes, site, usable)
        else:
            carriers += _singles(genes, site, usable)
    if renamed := few([f"{ours} is {theirs}" for ours, theirs in called.items() if ours != theirs], 4):
        console.say(f"chromosomes of {path.name} in {genes.genome.path.name}: {renamed}")
    _check_reference(counts, different, path, genes.genome)
    for (gene, sample), found in genotypes.items():
        carriers += _haplotypes(gene, sample, found, counts)
    for what, number in counts.items():
        if number:
            console.say(f"{what}: {number:,}")
    counts["reference alleles that differ from the genome"] = len(different)
    if not carriers:
        what, (left, right) = "no variant changes what the models see", genes.window
        expected = f"some within [{left:,}, {right:,}) around a TSS"
        raise UserError(what, where=f"vcf={path}", expected=expected, hint="use variants near genes of the gtf")
    kind = "haplotypes of genes" if request.haplotypes else "pairs of allele and gene"
    console.say(f"{kind} to predict: {len(carriers):,}")
    return carriers, counts


def _singles(genes: Genes, site: Site, usable: Mapping[int, str]) -> Iterator[Carrier]:
    """Yield the genes near a site, each with the alleles that change what is seen of it."""
    for gene in genes.near(site.chromosome, site.position, site.position + len(site.ref)):
        for alt in usable.values():
            if edits := genes.edits(gene, site, alt):
                distance = min((edit.start for edit in edits), key=abs)
                yield Carrier(gene, edits, (site.name, site.position + 1, site.ref, alt, distance), site.chromosome)


def _agrees(genome: Genome, site: Site) -> bool:
    """Tell whether the reference allele is what the genome has there.

    N, which stands there for any base in lines whose alleles are all symbolic, agrees.
    """
    if site.ref.upper() == "N" and not any(map(is_sequence, site.alts)):
        return True
    if not site.ref or set(site.ref.upper()) - set("ACGTNRYSWKMBDHV"):
        return False
    there = genome.fetch(site.chromosome, site.position, site.position + len(site.ref))
    return bool(np.array_equal(there, tokens_from_text(site.ref)))


def _check_reference(counts: Counter[str], different: list[str], path: Path, genome: Genome) -> None:
    """Report reference alleles that are not in the genome; too many are an error."""
    if not counts["variants"]:
        what, hint = "this file has no variants", "make it again: perhaps a filter has left none"
        raise UserError(what, where=f"vcf={path}", expected="rows after the header", hint=hint)
    elsewhere = counts["variants on chromosomes without genes"]
    compared = counts["variants"] - elsewhere
    if not compared:
        received = f"{elsewhere:,} variants on others"
        what, expected = "no variant lies on a chromosome that has genes", f"variants on {few(genome.names)}"
        raise UserError(what, where=f"vcf={path}", expected=expected, received=received, hint="use files of one genome")
    share = f"{len(different):,} of {compared:,} reference alleles"
    if len(different) > MOST_MISMATCHES * compared:
        what, hint = "the variants are of another assembly than the genome", "use files of one assembly"
        raise UserError(what, where=f"vcf={path}", received=f"{share} differ: {few(different, 3)}", hint=hint)
    if different:
        console.warn(f"{share} differ from the genome; these variants are left out: {few(different, 3)}")


def _add_calls(genotypes: _Genotypes, genes: Genes, site: Site, usable: Mapping[int, str]) -> None:
    """Add what samples carry at a site near genes; alleles that are not `usable` are unknown where they reach.

    ``*`` stands for a base that another variant of the same copy deletes: it changes nothing more.
    """
    alts = enumerate(site.alts or (".",), 1)  # a line without alternatives has missing calls
    reach = {n: reach_of(site, alt) for n, alt in alts if n not in usable and alt != "*"}
    starts, ends = zip((site.position, site.position + len(site.ref)), *reach.values(), strict=True)
    for gene in genes.near(site.chromosome, min(starts), max(ends)):
        edits = {n: each for n, alt in usable.items() if (each := genes.edits(gene, site, alt))}
        unknown = {n for n, bases in reach.items() if genes.sees(gene, *bases)}
        for call in site.calls if edits or unknown else ():
            alleles = tuple(None if allele in unknown else allele for allele in call.alleles)
            genotypes.setdefault((gene, call.sample), []).append((site, call._replace(alleles=alleles), edits))


def _haplotypes(gene: int, sample: str, found: list[_Genotype], counts: Counter[str]) -> Iterator[Carrier]:
    """Yield the haplotypes of one sample that change what is seen of one gene; count those that cannot be told."""
    seen = [(site, call, edits) for site, call, edits in found if edits or None in call.alleles]
    mixed = [call for _, call, _ in seen if len({*call.alleles}) > 1]
    phased = len(mixed) < 2 or (all(call.phased for call in mixed) and len({call.phase_set for call in mixed}) == 1)
    if not phased or any(None in call.alleles for _, call, _ in seen):
        counts["genes of samples with unknown phase or alleles"] += 1
        return
    for copy in range(max((len(call.alleles) for _, call, _ in seen), default=0)):
        own = sorted(
            (edits[allele], f"{site.position + 1}:{site.ref}>{site.alts[allele - 1]}")
            for site, call, edits in seen
            if copy < len(call.alleles) and (allele := call.alleles[copy]) and allele in edits
        )
        edits = tuple(sorted(edit for each, _ in own for edit in each))
        if exclude_each_other(edits):
            counts["haplotypes with alleles that exclude each other"] += 1
        elif edits:
            cells = (sample, copy + 1, ",".join(name for _, name in own))
            yield Carrier(gene, edits, cells, seen[0][0].chromosome)
