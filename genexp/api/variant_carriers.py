"""Which variants lie near which genes: what is predicted of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
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
from genexp.genomes.genes import read_genes
from genexp.genomes.genome import Genome
from genexp.genomes.variants import (
    Call,
    Edit,
    Site,
    edit_of,
    exclude_each_other,
    in_window,
    is_sequence,
    read_sites,
)
from genexp.prepare.config import TranscriptRules
from genexp.prepare.genes import RawGenes
from genexp.prepare.opening import existing, few
from genexp.schema import PathText, Schema

if TYPE_CHECKING:
    from genexp.api.ensembles import Ensemble
    from genexp.api.runs import Run

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


@dataclass
class Plan:
    """Variants near genes that can be predicted; `window` is what the models see, counted from the TSS.

    `features` are those of all `genes`, by block; `counts` says what became of the variants.
    """

    run: Run | Ensemble
    checkpoint: str
    request: Request
    window: tuple[int, int]
    genome: Genome
    genes: RawGenes
    features: Mapping[str, np.ndarray] = field(default_factory=dict)
    carriers: list[Carrier] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def place(self, gene: int) -> tuple[str, int, str]:
        """Return chromosome, TSS and strand of a gene."""
        return str(self.genes.chromosome[gene]), int(self.genes.tss[gene]), str(self.genes.strand[gene])


def check(run: Run | Ensemble, request: Request, checkpoint: str = "best") -> Plan:
    """Look at the run, and read all files; imports no TensorFlow."""
    check_usable(run, checkpoint)
    window = window_around_tss(run)
    paths = {key: existing(getattr(request, key), key) for key in ("vcf", "fasta", "gtf")}
    genes, circular = read_genes(paths["gtf"], request.genes, console.say, console.warn)
    genome = Genome(paths["fasta"], sorted({*map(str, genes.chromosome)}), circular, console.say)
    known = np.array([name in genome for name in genes.chromosome])
    if not known.all():
        gone = few(sorted({*map(str, genes.chromosome[~known])}))
        console.warn(f"{np.count_nonzero(~known):,} genes lie on chromosomes that the genome lacks: {gone}")
    plan = Plan(run, checkpoint, request, window, genome, genes.take(known))
    _find_carriers(plan, paths["vcf"])
    used, rows = np.unique([carrier.gene for carrier in plan.carriers], return_inverse=True)
    plan.carriers = [c._replace(gene=int(row)) for c, row in zip(plan.carriers, rows, strict=True)]
    plan.genes = plan.genes.take(used.astype(int))
    ids = plan.genes.names.ids.tolist()
    plan.features = features_by_id(run, ids, request.features, scaled=request.scaled, missing=request.missing)
    return plan


class _Windows:
    """Finds the genes whose windows lie near a place on a chromosome."""

    def __init__(self, plan: Plan) -> None:
        (left, right), genes = plan.window, plan.genes
        self.length = right - left
        starts = np.where(genes.strand == "+", genes.tss + left, genes.tss + 1 - right)
        names = np.array([plan.genome.name(name) for name in genes.chromosome])
        order = np.argsort(starts, kind="stable")
        self.rows = {str(name): order[names[order] == name] for name in np.unique(names)}
        self.starts = {name: starts[rows] for name, rows in self.rows.items()}

    def near(self, chromosome: str, start: int, end: int) -> list[int]:
        """Return the rows of the genes whose windows [start, end) may touch."""
        first, last = np.searchsorted(self.starts[chromosome], [start - self.length, end + 1])
        return sorted(self.rows[chromosome][first:last].tolist())


#: By gene and sample: its variants, each with the edit of every allele that is a sequence.
_Genotypes = dict[tuple[int, str], list[tuple[Site, Call, dict[int, Edit]]]]


def _find_carriers(plan: Plan, path: Path) -> None:
    """Add what is to be predicted to a plan, and report what became of the variants."""
    windows, counts = _Windows(plan), plan.counts
    genotypes: _Genotypes = {}
    different: list[str] = []
    for site in read_sites(path, genotypes=plan.request.haplotypes):
        counts["variants"] += 1
        if site.chromosome not in plan.genome:
            counts["on chromosomes without genes"] += 1
        elif not _agrees(plan.genome, site):
            different.append(f"{site.chromosome}:{site.position + 1} {site.ref}")
        else:
            usable = {n: alt for n, alt in enumerate(site.alts, 1) if is_sequence(alt)}
            counts["alleles that are no sequence"] += len(site.alts) - len(usable)
            end = site.position + len(site.ref)
            for gene in windows.near(plan.genome.name(site.chromosome), site.position, end):
                _, tss, strand = plan.place(gene)
                edits = {n: edit_of(site, alt, tss, strand) for n, alt in usable.items()}
                edits = {n: edit for n, edit in edits.items() if in_window(edit, plan.window)}
                if plan.request.haplotypes:
                    known = {0, *usable, *(n for n, alt in enumerate(site.alts, 1) if alt == "*")}
                    for call in site.calls:
                        alleles = tuple(allele if allele in known else None for allele in call.alleles)
                        own = genotypes.setdefault((gene, call.sample), [])
                        own.append((site, call._replace(alleles=alleles), edits))
                else:
                    plan.carriers += [_single(gene, site, n, edit) for n, edit in edits.items()]
    _check_reference(plan, path, different)
    for (gene, sample), found in genotypes.items():
        _add_haplotypes(plan, gene, sample, found)
    kind = "haplotypes of genes" if plan.request.haplotypes else "pairs of allele and gene"
    for what, number in counts.items():
        if number:
            console.say(f"{what}: {number:,}")
    if not plan.carriers:
        left, right = plan.window
        what, expected = "no variant changes what the models see", f"some within [{left:,}, {right:,}) around a TSS"
        raise UserError(what, where=f"vcf={path}", expected=expected, hint="use variants near genes of the gtf")
    console.say(f"{kind} to predict: {len(plan.carriers):,}")


def _single(gene: int, site: Site, allele: int, edit: Edit) -> Carrier:
    cells = (site.name, site.position + 1, site.ref, site.alts[allele - 1], edit.start)
    return Carrier(gene, (edit,), cells, site.chromosome)


def _agrees(genome: Genome, site: Site) -> bool:
    """Tell whether the reference allele is what the genome has there."""
    if not site.ref or set(site.ref.upper()) - set("ACGTNRYSWKMBDHV"):
        return False
    there = genome.fetch(site.chromosome, site.position, site.position + len(site.ref))
    return bool(np.array_equal(there, tokens_from_text(site.ref)))


def _check_reference(plan: Plan, path: Path, different: list[str]) -> None:
    """Report reference alleles that are not in the genome; too many are an error."""
    compared = plan.counts["variants"] - plan.counts["on chromosomes without genes"]
    if not compared:
        received = f"{plan.counts['variants']:,} variants on others" if plan.counts["variants"] else "no variants"
        what, expected = "no variant lies on a chromosome that has genes", f"variants on {few(plan.genome.names)}"
        raise UserError(what, where=f"vcf={path}", expected=expected, received=received)
    share = f"{len(different):,} of {compared:,} reference alleles"
    if len(different) > MOST_MISMATCHES * compared:
        what, hint = "the variants are of another assembly than the genome", "use files of one assembly"
        raise UserError(what, where=f"vcf={path}", received=f"{share} differ: {few(different, 3)}", hint=hint)
    if different:
        console.warn(f"{share} differ from the genome; these variants are left out: {few(different, 3)}")
    plan.counts["reference alleles that differ from the genome"] = len(different)


def _add_haplotypes(plan: Plan, gene: int, sample: str, found: list[tuple[Site, Call, dict[int, Edit]]]) -> None:
    """Add the haplotypes of one sample that change what is seen of one gene."""
    seen = [(site, call, edits) for site, call, edits in found if edits or None in call.alleles]
    mixed = [call for _, call, _ in seen if len({*call.alleles}) > 1]
    phased = len(mixed) < 2 or (all(call.phased for call in mixed) and len({call.phase_set for call in mixed}) == 1)
    if not phased or any(None in call.alleles for _, call, _ in seen):
        plan.counts["genes of samples with unknown phase or alleles"] += 1
        return
    for copy in range(max((len(call.alleles) for _, call, _ in seen), default=0)):
        own = [
            (edits[allele], f"{site.position + 1}:{site.ref}>{site.alts[allele - 1]}")
            for site, call, edits in seen
            if copy < len(call.alleles) and (allele := call.alleles[copy]) in edits and allele
        ]
        own.sort(key=lambda each: each[0])
        edits = tuple(edit for edit, _ in own)
        if exclude_each_other(edits):
            plan.counts["haplotypes with alleles that exclude each other"] += 1
        elif edits:
            plan.carriers.append(
                Carrier(gene, edits, (sample, copy + 1, ",".join(name for _, name in own)), seen[0][0].chromosome)
            )
