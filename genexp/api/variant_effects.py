"""What variants near TSSs do to the predicted expression of genes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import Field

from genexp import console
from genexp.api.ensembles import Ensemble
from genexp.api.gene_features import features_by_id
from genexp.api.loci import record, window_around_tss
from genexp.api.prediction import Predictor, check_usable
from genexp.api.prediction_tables import table_writer
from genexp.api.requests import requested
from genexp.api.runs import Run
from genexp.dataset.scaling import scales_of
from genexp.errors import UserError
from genexp.features.tokens import tokens_from_text
from genexp.genomes.genes import read_genes
from genexp.genomes.genome import Genome
from genexp.genomes.variants import (
    Call,
    Edit,
    Site,
    carrying,
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
    import pandas as pd

#: The share of reference alleles that may differ from the genome; more are another assembly.
MOST_MISMATCHES = 0.1
#: Sequences that are in memory at a time.
CHUNK = 1024
#: Columns that say what a gene carries: a variant, or a haplotype of a sample.
VARIANT, HAPLOTYPE = ("id", "position", "ref", "alt", "distance"), ("sample", "haplotype", "variants")
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
    """A gene, by its row, with what it carries; `cells` say in the table what that is."""

    gene: int
    edits: tuple[Edit, ...]
    cells: tuple[Any, ...]


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


# --- which variants lie near which genes ---


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
                    for call in site.calls:
                        genotypes.setdefault((gene, call.sample), []).append((site, call, edits))
                else:
                    plan.carriers += [
                        Carrier(gene, (edit,), (site.name, site.position + 1, site.ref, site.alts[n - 1], edit.start))
                        for n, edit in edits.items()
                    ]
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
    seen = [(site, call, edits) for site, call, edits in found if edits]
    mixed = [call for _, call, _ in seen if len({*call.alleles}) > 1]
    phased = len(mixed) < 2 or (all(call.phased for call in mixed) and len({call.phase_set for call in mixed}) == 1)
    if not phased or any(None in call.alleles for _, call, _ in seen):
        plan.counts["genes of samples whose phase is unknown"] += 1
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
            plan.carriers.append(Carrier(gene, edits, (sample, copy + 1, ",".join(name for _, name in own))))


# --- predictions ---

#: One sequence to predict, as a mean over shifts: the row of a gene, what it carries, and the shifts of the window.
_Key = tuple[int, tuple[Edit, ...], tuple[int, ...]]


def effects(plan: Plan) -> Iterator[pd.DataFrame]:
    """Predict both alleles; yield the rows of the table of `genexp.api.Run.variants`, some at a time."""
    predictor = Predictor(plan.run, plan.checkpoint)
    known: dict[_Key, np.ndarray] = {}
    waiting: list[Carrier] = []
    with console.progress("variants", len(plan.carriers), "carriers") as report:
        for number, carrier in enumerate(plan.carriers, 1):
            waiting.append(carrier)
            sequences = sum(len(key[2]) for each in waiting for key in _keys(plan, each))
            if sequences < CHUNK and number < len(plan.carriers):
                continue
            keys = [key for each in waiting for key in _keys(plan, each)]
            known |= _means(plan, predictor, [key for key in dict.fromkeys(keys) if key not in known])
            yield _table(plan, waiting, np.stack([known[key] for key in keys]))
            if not plan.request.haplotypes:  # an allele occurs once, a reference again
                known = {key: value for key, value in known.items() if not key[1]}
            waiting = []
            report(number)


def _keys(plan: Plan, carrier: Carrier) -> tuple[_Key, _Key]:
    """Return the reference and the alternative of a carrier.

    Where bases move, each lies elsewhere in the pools of a network, which changes predictions by itself: several
    windows are averaged.
    """
    shifts = tuple(plan.request.shifts) if any(edit.shifts for edit in carrier.edits) else (0,)
    return (carrier.gene, (), shifts), (carrier.gene, carrier.edits, shifts)


def _means(plan: Plan, predictor: Predictor, keys: list[_Key]) -> dict[_Key, np.ndarray]:
    """Return the predictions of some sequences as means over their shifts, (members, labels) float64."""
    if not keys:
        return {}
    tokens = [carrying(plan.genome, plan.place(gene), plan.window, edits, shifts) for gene, edits, shifts in keys]
    sizes = np.array([len(each) for each in tokens])
    genes = np.repeat([gene for gene, *_ in keys], sizes)
    features = {letter: values[genes] for letter, values in plan.features.items()}
    every = predictor(np.concatenate(tokens), features).astype(np.float64)
    means = np.add.reduceat(every, np.cumsum(sizes) - sizes, axis=1) / sizes[:, None]
    return {key: means[:, n] for n, key in enumerate(keys)}


def _table(plan: Plan, carriers: list[Carrier], found: np.ndarray) -> pd.DataFrame:
    """Return a row for each carrier; `found` is (2 * carriers, members, labels), reference and alternative in turn."""
    import pandas as pd

    about = HAPLOTYPE if plan.request.haplotypes else VARIANT
    genes, rows = plan.genes, [carrier.gene for carrier in carriers]
    columns: dict[str, Any] = {"gene": genes.names.ids[rows], "chromosome": genes.chromosome[rows]}
    columns |= {"strand": genes.strand[rows], "tss": genes.tss[rows] + 1}
    columns |= {name: [carrier.cells[n] for carrier in carriers] for n, name in enumerate(about)}
    labels = plan.run.dataset.labels
    for place, label in enumerate(labels):
        own = _compared(found[0::2, :, place], found[1::2, :, place], plan, label)
        columns |= own if len(labels) == 1 else {f"{name}_{label}": values for name, values in own.items()}
    return pd.DataFrame(columns)


def _compared(reference: np.ndarray, alternative: np.ndarray, plan: Plan, label: str) -> dict[str, np.ndarray]:
    """Return the columns of one label from predictions, (carriers, members)."""
    difference = alternative - reference
    mean = difference.mean(axis=1)
    columns = {"reference": reference.mean(axis=1), "alternative": alternative.mean(axis=1), "difference": mean}
    if difference.shape[1] > 1:
        columns["sd"] = difference.std(axis=1, ddof=1)
        columns["agreement"] = (np.sign(difference) == np.sign(mean)[:, None]).mean(axis=1)
    scales = scales_of(plan.run.dataset, "label", [label])
    if scales and scales[0].log10_offset is not None:
        columns["log10_difference"] = mean * scales[0].sd
    return columns


def write(plan: Plan, out: Path, command: str) -> None:
    """Predict, and write the table, with a record of how it was made."""
    files = {key: Path(getattr(plan.request, key)) for key in ("vcf", "fasta", "gtf")}
    more = {"checkpoint": plan.checkpoint, "window": plan.window, "counts": dict(plan.counts)}
    with table_writer(out, record(plan.run, command, plan.request, files, **more)) as add:
        for rows in effects(plan):
            add(rows)


def called(run: Run | Ensemble, checkpoint: str, keys: Mapping[str, Any]) -> pd.DataFrame:
    """Return the table for the keys of ``genexp variants``; see `genexp.api.Run.variants`."""
    import pandas as pd

    plan = check(run, requested("variants", Request, keys), checkpoint)
    return pd.concat(effects(plan), ignore_index=True)
