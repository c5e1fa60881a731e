"""Predictions along a chromosome: what the models say if transcription began at one position after another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from pydantic import BeforeValidator, Field

from genexp import console
from genexp.api.gene_features import MEAN, features_by_id
from genexp.api.loci import record, window_around_tss
from genexp.api.prediction import Predictor, check_usable, members_of
from genexp.api.prediction_tables import columns_of
from genexp.api.requests import requested
from genexp.api.unfinished import kept_beside
from genexp.dataset.description import listed
from genexp.errors import UserError
from genexp.evaluation.figure_formats import Formats
from genexp.features.tokens import N_TOKEN, reverse_complement
from genexp.files import free_folder, whole_or_nothing, write_json
from genexp.genomes.genome import Genome
from genexp.genomes.regions import Region, parse, region_in
from genexp.genomes.tracks import FORMATS, Track, check_packages
from genexp.prepare.config import TranscriptRules
from genexp.prepare.opening import existing
from genexp.schema import Count, Name, OneOf, PathText, Schema, listed_text

if TYPE_CHECKING:
    import pandas as pd

    from genexp.api.ensembles import Ensemble
    from genexp.api.runs import Run
    from genexp.prepare.genes import RawGenes

#: The strands, with the names of their files.
STRANDS = {"+": "plus", "-": "minus"}
#: Sequences that are in memory at a time.
CHUNK = 1024


_Format = Annotated[str, OneOf(FORMATS)]


class Request(Schema):
    """A locus, and how it is scanned."""

    fasta: PathText = Field(description="FASTA file of the genome")
    region: Name = Field(description="chromosome:first-last, counted from 1, or a whole chromosome")
    step: Count = Field(description="bases from one position to the next")
    features: Literal["mean"] | PathText | None = Field(
        description="table of features, of which those of `gene` are taken; mean: the training mean"
    )
    gene: Name | None = Field(description="the gene whose features are taken at every position")
    scaled: bool = Field(description="features are scaled as in the dataset of the run")
    gtf: PathText | None = Field(
        description="GTF or GFF3 of the genes that the plot shows, and of what chromosomes are circular"
    )
    genes: TranscriptRules
    label: Name | None = Field(description="of a run on several labels, the one that tracks and plot show")
    tracks: Annotated[list[_Format], BeforeValidator(listed_text, json_schema_input_type=_Format | list[_Format])] = (
        Field(description="formats of the tracks; one or a list")
    )
    plots: Formats = Field(description="formats of the plot; []: none")
    out: PathText | None = Field(description="folder to write: tracks, table and plot")


@dataclass(frozen=True)
class Plan:
    """A scan that can be started.

    `window` is what the models see, counted from the TSS; `features` are those of every position, (1, width) by block;
    `shown` is the column of the table that tracks and plot show; `out` is the folder to write, if any.
    """

    run: Run | Ensemble
    checkpoint: str
    request: Request
    window: tuple[int, int]
    features: Mapping[str, np.ndarray]
    genome: Genome
    region: Region
    genes: RawGenes | None
    shown: str
    out: Path | None

    @property
    def positions(self) -> np.ndarray:
        """The positions that are taken for a TSS, (n,) int64, from 0."""
        return np.arange(self.region.start, self.region.end, self.request.step)


def check(run: Run | Ensemble, request: Request, checkpoint: str = "best") -> Plan:
    """Look at the run, the files and the folder to write; this reads the chromosome, and imports no TensorFlow."""
    from genexp.genomes.genes import read_genes

    check_usable(run, checkpoint)
    window, written = window_around_tss(run), parse(request.region)
    out, shown = None, ""
    if request.out:
        out, shown = free_folder(request.out), _shown(run.dataset.labels, request.label)
        check_packages(request.tracks)
    if (request.gene is None) != (request.features in (None, MEAN)):
        what, hint = "the features of a scan are those of one gene", "features=FILE gene=ID, or features=mean"
        received = f"features={request.features} gene={request.gene}"
        raise UserError(what, where="gene", received=received, hint=hint)
    features = features_by_id(run, [request.gene or MEAN], request.features, scaled=request.scaled, gene=request.gene)
    fasta, genes = existing(request.fasta, "fasta"), None
    circular: dict[str, int] = {}
    if request.gtf:
        genes, circular = read_genes(existing(request.gtf, "gtf"), request.genes, console.say, console.warn)
    genome = Genome(fasta, [written.chromosome], circular, console.say)
    region = region_in(genome, written)
    return Plan(run, checkpoint, request, window, features, genome, region, genes, shown, out)


def _shown(labels: tuple[str, ...], label: str | None) -> str:
    """Return the column of predictions of a label, of several labels the one that is named."""
    if label in labels or (label is None and len(labels) == 1):
        return f"prediction_{label}" if len(labels) > 1 else "prediction"
    what = "the run has no such label" if label else "the run predicts several labels, and tracks show one"
    raise UserError(what, where="label", expected=listed(labels), received=label, hint=f"label={labels[0]}")


def scan(plan: Plan, command: str) -> pd.DataFrame:
    """Predict, and write what was asked for; see `genexp.api.Run.scan`."""
    import pandas as pd

    number, (left, right) = len(plan.positions), plan.window
    console.say(f"{plan.region}: {number:,} positions on both strands, one every {plan.request.step:,} nt")
    console.say(f"the models see [{left:,}, {right:,}) around each position")
    with kept_beside(plan.out, command) as keep:
        predictor, parts, done = Predictor(plan.run, plan.checkpoint, keep), [], 0
        with console.progress("scan", len(STRANDS) * number, "predictions") as report:
            for strand in STRANDS:
                for rows in _predicted(plan, predictor, strand):
                    parts.append(rows)
                    done += len(rows)
                    report(done)
        table = pd.concat(parts, ignore_index=True)
        if unknown := int((table["unknown_bases"] > 0).sum()):
            share = f"{unknown:,} of {len(table):,} windows"
            console.warn(f"{share} have unknown bases, as past the end of the chromosome (column unknown_bases)")
        if plan.out:
            _write(plan, table, plan.out, command)
    return table


def _predicted(plan: Plan, predictor: Predictor, strand: str) -> Iterator[pd.DataFrame]:
    """Yield the rows of one strand, some at a time; see `genexp.api.Run.scan` for their columns."""
    import pandas as pd

    left, right = plan.window if strand == "+" else (1 - plan.window[1], 1 - plan.window[0])
    positions, name = plan.positions, plan.region.chromosome
    bases = plan.genome.fetch(name, int(positions[0]) + left, int(positions[-1]) + right)
    windows = sliding_window_view(bases, right - left)[:: plan.request.step]  # a view: no window is copied yet
    for first in range(0, len(positions), CHUNK):
        rows = slice(first, first + CHUNK)
        tokens = np.ascontiguousarray(windows[rows]) if strand == "+" else reverse_complement(windows[rows])
        features = {letter: np.repeat(values, len(tokens), axis=0) for letter, values in plan.features.items()}
        place = {"chromosome": name, "start": positions[rows], "end": positions[rows] + 1, "strand": strand}
        columns = columns_of(predictor(tokens, features), predictor.dataset)
        yield pd.DataFrame({**place, **columns, "unknown_bases": (tokens == N_TOKEN).sum(axis=1)})


def _write(plan: Plan, table: pd.DataFrame, out: Path, command: str) -> None:
    """Write the tracks of both strands, the table, the plot and the record of a scan."""
    from genexp.evaluation.scan_figure import plot_scan

    unit = plan.run.dataset.unit or "unit not stated"
    length, request = plan.genome.length(plan.region.chromosome), plan.request
    named = {key: getattr(request, key) for key in ("fasta", "gtf", "features")}
    files = {key: Path(path) for key, path in named.items() if path not in (None, MEAN)}
    members, config = len(members_of(plan.run)), plan.run.config
    title = f"{plan.region}: {config.model.name} on {config.data.name}, trained on {plan.run.dataset.name}"
    title += f"; mean and sd of {members} runs" if members > 1 else ""
    with whole_or_nothing(out) as folder:
        folder.mkdir()
        for strand, rows in table.groupby("strand"):
            start = rows["start"].to_numpy()
            end = np.minimum(start + request.step, plan.region.end)
            name = f"{_called(plan.run)}, strand {strand}, {unit}"
            track = Track(name, plan.region.chromosome, length, start, end, rows[plan.shown].to_numpy())
            for each in request.tracks:
                FORMATS[each].write(folder / f"{STRANDS[str(strand)]}{FORMATS[each].suffix}", track)
        table.to_csv(folder / "scan.tsv", sep="\t", index=False)
        if request.plots:
            plot_scan(folder / "scan.png", table, plan.shown, _starts(plan), title, unit, request.plots)
        made = record(plan.run, command, request, files, checkpoint=plan.checkpoint, window=plan.window, unit=unit)
        write_json(folder / "scan.json", made)


def _called(run: Run | Ensemble) -> str:
    """Return what a genome browser shows as the name of the model."""
    members = members_of(run)
    return run.path.name if len(members) == 1 else f"mean of {len(members)} runs ({run.path.name}, ...)"


def _starts(plan: Plan) -> list[tuple[str, int, str]]:
    """Return name, TSS and strand of the genes that begin in the region."""
    if plan.genes is None:
        return []
    names, genome, region = plan.genes.names, plan.genome, plan.region
    symbols = names.others.get("gene_name", names.ids)
    rows = zip(names.ids, symbols, plan.genes.chromosome, plan.genes.tss, plan.genes.strand, strict=True)
    return [
        (str(symbol or gene), int(tss), str(strand))
        for gene, symbol, name, tss, strand in rows
        if name in genome and genome.name(name) == region.chromosome and region.start <= tss < region.end
    ]


def called(run: Run | Ensemble, checkpoint: str, keys: Mapping[str, Any]) -> pd.DataFrame:
    """Return the table for the keys of ``genexp scan``; see `genexp.api.Run.scan`."""
    plan = check(run, requested("scan", Request, {"out": None, **keys}), checkpoint)
    return scan(plan, f"{run!r}.scan({', '.join(f'{key}={value!r}' for key, value in keys.items())})")
