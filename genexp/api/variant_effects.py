"""What variants near TSSs do to the predicted expression of genes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from genexp import console
from genexp.api.gene_features import MEAN
from genexp.api.loci import record
from genexp.api.prediction import Predictor
from genexp.api.prediction_tables import check_table, table_writer
from genexp.api.requests import requested
from genexp.api.unfinished import Keep, kept_beside
from genexp.api.variant_carriers import Carrier, Plan, Request, check
from genexp.dataset.scaling import scales_of
from genexp.errors import UserError
from genexp.files import whole_or_nothing, why_not_writable, write_json
from genexp.genomes.variants import VCF, Allele, Edit, annotate, begins_as, carrying
from genexp.prepare.opening import existing

if TYPE_CHECKING:
    import pandas as pd

    from genexp.api.ensembles import Ensemble
    from genexp.api.runs import Run

#: Sequences that are in memory at a time.
CHUNK = 1024
#: What the name of a VCF to write ends in.
AS_VCF = (".vcf", ".vcf.gz")
#: Columns that say what a gene carries: a variant, or a haplotype of a sample.
VARIANT, HAPLOTYPE = ("id", "position", "ref", "alt", "distance"), ("sample", "haplotype", "variants")

#: One sequence to predict, as a mean over shifts: the row of a gene, what it carries, and the shifts of the window.
_Key = tuple[int, tuple[Edit, ...], tuple[int, ...]]


def effects(plan: Plan, keep: Keep | None = None) -> Iterator[pd.DataFrame]:
    """Predict both alleles; yield the rows of the table of `genexp.api.Run.variants`, some at a time."""
    predictor = Predictor(plan.run, plan.checkpoint, keep)
    known: dict[_Key, np.ndarray] = {}
    waiting: list[Carrier] = []
    sequences = 0
    with console.progress("variants", len(plan.carriers), "carriers") as report:
        for number, carrier in enumerate(plan.carriers, 1):
            waiting.append(carrier)
            sequences += sum(len(shifts) for _, _, shifts in _keys(plan, carrier))
            if sequences < CHUNK and number < len(plan.carriers):
                continue
            keys = [key for each in waiting for key in _keys(plan, each)]
            known |= _means(plan, predictor, [key for key in dict.fromkeys(keys) if key not in known])
            yield _table(plan, waiting, np.stack([known[key] for key in keys]))
            if not plan.request.haplotypes:  # an allele occurs once, a reference again
                known = {key: value for key, value in known.items() if not key[1]}
            waiting, sequences = [], 0
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
    near = plan.genes
    tokens = [carrying(near.genome, near.place(gene), near.window, edits, shifts) for gene, edits, shifts in keys]
    sizes = np.array([len(each) for each in tokens])
    rows = np.repeat([gene for gene, *_ in keys], sizes)
    features = {letter: values[rows] for letter, values in plan.features.items()}
    every = predictor(np.concatenate(tokens), features).astype(np.float64)
    means = np.add.reduceat(every, np.cumsum(sizes) - sizes, axis=1) / sizes[:, None]
    return {key: means[:, n] for n, key in enumerate(keys)}


def _table(plan: Plan, carriers: list[Carrier], found: np.ndarray) -> pd.DataFrame:
    """Return a row for each carrier; `found` is (2 * carriers, members, labels), reference and alternative in turn."""
    import pandas as pd

    about = HAPLOTYPE if plan.request.haplotypes else VARIANT
    genes, rows = plan.genes.raw, [carrier.gene for carrier in carriers]
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


def check_out(out: Path, request: Request) -> None:
    """Raise a UserError unless the results can be written to `out`, which is a table, or the VCF again."""
    writable = not request.haplotypes and begins_as(existing(request.vcf, "vcf"), VCF)
    if not out.name.endswith(AS_VCF):
        check_table(out, others=AS_VCF if writable else ())
        return
    if not writable:
        what, hint = "only single variants of a VCF can be written as a VCF", "name a table: out=effects.tsv"
        raise UserError(what, where=f"out={out}", received=f"vcf={request.vcf}", hint=hint)
    if reason := "it exists already" if out.exists() else why_not_writable(out):
        raise UserError("the VCF cannot be written", where=f"out={out}", received=reason, hint="choose another name")


def write(plan: Plan, out: Path, command: str) -> None:
    """Predict, and write a table, or the VCF with the results in its INFO field, with a record of how it was made."""
    named = {key: getattr(plan.request, key) for key in ("vcf", "fasta", "gtf", "features")}
    files = {key: Path(path) for key, path in named.items() if path not in (None, MEAN)}
    more = {"checkpoint": plan.checkpoint, "window": plan.genes.window, "counts": dict(plan.counts)}
    made = record(plan.run, command, plan.request, files, **more)
    with kept_beside(out, command) as keep:
        if out.name.endswith(AS_VCF):
            with whole_or_nothing(out) as file:
                _annotate(plan, effects(plan, keep), files["vcf"], file)
            write_json(out.with_name(f"{out.name}.json"), made)
            return
        with table_writer(out, made) as add:
            for rows in effects(plan, keep):
                add(rows)


def _annotate(plan: Plan, tables: Iterator[pd.DataFrame], path: Path, out: Path) -> None:
    """Write a VCF again with an entry for each allele and gene, also where several lines have the allele."""
    found: dict[Allele, dict[int, list[str]]] = {}
    carriers, names = iter(plan.carriers), [""]
    for rows in tables:
        shown = rows.drop(columns=["chromosome", "tss", "id", "position", "ref"])
        shown.insert(0, "alt", shown.pop("alt"))
        names = [str(name) for name in shown.columns]
        for row, carrier in zip(shown.itertuples(index=False), carriers, strict=False):
            cells = [f"{value:.6g}" if isinstance(value, float) else str(value) for value in row]
            _, position, ref, alt, _ = carrier.cells
            found.setdefault((carrier.chromosome, position - 1, ref, alt), {})[carrier.gene] = cells
    entries = {allele: [*of_genes.values()] for allele, of_genes in found.items()}
    annotate(path, out, "GENEXP", "Effects of alleles on genes, predicted by genexp", names, entries)


def called(run: Run | Ensemble, checkpoint: str, keys: Mapping[str, Any]) -> pd.DataFrame:
    """Return the table for the keys of ``genexp variants``; see `genexp.api.Run.variants`."""
    import pandas as pd

    plan = check(run, requested("variants", Request, keys), checkpoint)
    return pd.concat(effects(plan), ignore_index=True)
