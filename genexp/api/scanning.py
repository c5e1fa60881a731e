"""Predictions along a chromosome: what the models say if transcription began at one position after another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from pydantic import Field

from genexp import console
from genexp.api.ensembles import Ensemble
from genexp.api.gene_features import MEAN, features_by_id
from genexp.api.loci import check_runs, chosen_label, window_around_tss
from genexp.api.prediction import Predictor, members_of
from genexp.api.runs import Run
from genexp.api.standin import in_label_units
from genexp.errors import UserError
from genexp.evaluation.figure_formats import Formats
from genexp.features.tokens import N_TOKEN, reverse_complement
from genexp.files import free_folder, whole_or_nothing, write_json
from genexp.genomes.genes import read_genes
from genexp.genomes.genome import Genome
from genexp.genomes.regions import Region
from genexp.genomes.tracks import FORMATS, Track, check_packages
from genexp.prepare.config import Name, TranscriptRules
from genexp.prepare.genes import RawGenes
from genexp.prepare.opening import existing
from genexp.schema import Count, OneOf, PathText, Schema

if TYPE_CHECKING:
    import pandas as pd

#: The strands, with the names of their files.
STRANDS = {"+": "plus", "-": "minus"}
#: Sequences that are in memory at a time.
CHUNK = 1024


class Request(Schema):
    """A locus, and how it is scanned."""

    fasta: PathText = Field(description="FASTA file of the genome")
    region: Name = Field(description="chromosome:first-last, counted from 1, or a whole chromosome")
    step: Count = Field(description="bases from one position to the next")
    label: Name | None = Field(description="the label to predict, of a run on several")
    features: Name | None = Field(description="table of features, of which `gene` is taken; or mean")
    gene: Name | None = Field(description="the gene whose features are taken at every position")
    scaled: bool = Field(description="features are scaled as in the dataset of the run")
    gtf: PathText | None = Field(description="GTF or GFF3 of the genes that the plot shows")
    genes: TranscriptRules
    tracks: list[Annotated[str, OneOf(FORMATS)]] = Field(description="formats of the tracks")
    plots: Formats = Field(description="formats of the plot")
    out: PathText | None = Field(description="folder to write")


@dataclass(frozen=True)
class Plan:
    """A scan that can be started.

    `window` is what the models see, counted from the TSS; `features` are those of every position, (1, width); `out` is
    the folder to write, if any.
    """

    run: Run | Ensemble
    checkpoint: str
    request: Request
    window: tuple[int, int]
    label: int
    features: Mapping[str, np.ndarray]
    genome: Genome
    region: Region
    genes: RawGenes | None
    out: Path | None

    @property
    def positions(self) -> np.ndarray:
        """The positions that are taken for a TSS, (n,) int64, from 0."""
        return np.arange(self.region.start, self.region.end or 0, self.request.step)


def check(run: Run | Ensemble, request: Request, checkpoint: str = "best") -> Plan:
    """Look at the run, the files and the folder to write; this reads the chromosome, and imports no TensorFlow."""
    check_runs(run, checkpoint)
    window, label = window_around_tss(run), chosen_label(run, request.label)
    out = free_folder(request.out) if request.out else None
    if out:
        check_packages(request.tracks)
    if (request.gene is None) != (request.features in (None, MEAN)):
        expected = "gene=ID beside features=FILE, and not otherwise"
        raise UserError("features are those of one gene", where="gene", expected=expected, received=request.gene)
    features = features_by_id(run, [request.gene or MEAN], request.features, scaled=request.scaled)
    region, fasta = Region.parse(request.region), existing(request.fasta, "fasta")
    genes = None
    if request.gtf:
        genes, _ = read_genes(existing(request.gtf, "gtf"), request.genes, console.say, console.warn)
    genome = Genome(fasta, [region.chromosome], note=console.say)
    return Plan(run, checkpoint, request, window, label, features, genome, region.within(genome), genes, out)


def scan(plan: Plan) -> pd.DataFrame:
    """Predict, and write what was asked for; see `genexp.api.Run.scan`."""
    import pandas as pd

    number, (left, right) = len(plan.positions), plan.window
    console.say(f"{plan.region}: {number:,} positions on both strands, one every {plan.request.step:,} nt")
    console.say(f"the models see [{left:,}, {right:,}) around each position")
    predictor = Predictor(plan.run, plan.checkpoint)
    with console.progress("scan", len(STRANDS) * number, "predictions") as report:
        table = pd.concat(
            [
                _table(plan, strand, *_predicted(plan, predictor, strand, lambda n, before=before: report(before + n)))
                for strand, before in zip(STRANDS, (0, number), strict=True)
            ],
            ignore_index=True,
        )
    if unknown := int((table["unknown"] > 0).sum()):
        share = f"{unknown:,} of {len(table):,} windows"
        console.warn(f"{share} have unknown bases, as past the chromosome's end: see the column unknown")
    if plan.out:
        _write(plan, table, plan.out)
    return table


def _predicted(
    plan: Plan, predictor: Predictor, strand: str, report: Callable[[int], None]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the predictions of one strand, (members, n), and how many bases of each window are unknown, (n,)."""
    left, right = plan.window if strand == "+" else (1 - plan.window[1], 1 - plan.window[0])
    first, last = int(plan.positions[0]), int(plan.positions[-1])
    bases = plan.genome.fetch(plan.region.chromosome, first + left, last + right)
    windows = sliding_window_view(bases, right - left)[:: plan.request.step]  # a view: no window is copied yet
    found, unknown = [], []
    for start in range(0, len(windows), CHUNK):
        tokens = windows[start : start + CHUNK]
        tokens = np.ascontiguousarray(tokens) if strand == "+" else reverse_complement(tokens)
        features = {letter: np.repeat(values, len(tokens), axis=0) for letter, values in plan.features.items()}
        found.append(predictor(tokens, features)[..., plan.label])
        unknown.append((tokens == N_TOKEN).sum(axis=1))
        report(start + len(tokens))
    return np.concatenate(found, axis=1), np.concatenate(unknown)


def _table(plan: Plan, strand: str, found: np.ndarray, unknown: np.ndarray) -> pd.DataFrame:
    """Return a row for each position of one strand; see `genexp.api.Run.scan`."""
    import pandas as pd

    described, starts = plan.run.dataset, plan.positions
    mean = found.astype(np.float64).mean(axis=0).astype(np.float32)
    place: dict[str, Any] = {"chromosome": plan.region.chromosome, "start": starts, "end": starts + 1, "strand": strand}
    spread = {"sd": found.astype(np.float64).std(axis=0, ddof=1).astype(np.float32)} if len(found) > 1 else {}
    units = in_label_units(mean, described, described.labels[plan.label])
    return pd.DataFrame({**place, "prediction": mean, **spread, **units, "unknown": unknown})


def _write(plan: Plan, table: pd.DataFrame, out: Path) -> None:
    """Write the tracks of both strands, the table, the plot and the record of a scan."""
    from genexp.evaluation.scan_figure import plot_scan

    unit = plan.run.dataset.unit or "unit not stated"
    length = plan.genome.length(plan.region.chromosome)
    with whole_or_nothing(out) as folder:
        folder.mkdir()
        for strand, rows in table.groupby("strand"):
            start = rows["start"].to_numpy()
            end = np.minimum(start + plan.request.step, plan.region.end)
            name = f"{plan.run.path.name}, strand {strand}, {unit}"
            track = Track(name, plan.region.chromosome, length, start, end, rows["prediction"].to_numpy())
            for each in plan.request.tracks:
                FORMATS[each].write(folder / f"{STRANDS[str(strand)]}{FORMATS[each].suffix}", track)
        table.to_csv(folder / "scan.tsv", sep="\t", index=False)
        title = f"{plan.run.config.model.name}, {plan.run.config.data.name}: {plan.region}"
        plot_scan(folder / "scan.png", table, _starts(plan), title, unit, plan.request.plots)
        write_json(folder / "scan.json", _record(plan, unit))


def _starts(plan: Plan) -> list[tuple[str, int, str]]:
    """Return name, TSS and strand of the genes that begin in the region."""
    if plan.genes is None:
        return []
    genes, names = plan.genes, plan.genes.names
    shown = names.others.get("gene_name", names.ids)
    return [
        (str(symbol or gene), int(tss), str(strand))
        for gene, symbol, name, tss, strand in zip(
            names.ids, shown, genes.chromosome, genes.tss, genes.strand, strict=True
        )
        if name in plan.genome
        and plan.genome.name(name) == plan.region.chromosome
        and plan.region.start <= tss < (plan.region.end or 0)
    ]


def _record(plan: Plan, unit: str) -> dict[str, Any]:
    """Return what was predicted, and by what."""
    return {
        "runs": [str(member.path) for member in members_of(plan.run)],
        "checkpoint": plan.checkpoint,
        "label": plan.run.dataset.labels[plan.label],
        "unit": unit,
        "region": str(plan.region),
        "window": list(plan.window),
        **plan.request.model_dump(mode="json", exclude={"region", "label", "out"}),
    }
