"""From files to a table of predictions: what ``genexp predict`` and `Run.predict_table` do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from genexp import console
from genexp.api import evaluation, promoters, sites
from genexp.api.gene_features import MEAN, check_features, far_outside, features_by_id, known_ranges, read_table
from genexp.api.loci import record, window_around_tss
from genexp.api.prediction import Predictor, check_usable, common_window, members_of
from genexp.api.prediction_tables import check_table, columns_of, table_writer
from genexp.api.promoters import Genes
from genexp.api.requests import requested
from genexp.api.unfinished import Keep, kept_beside
from genexp.blocks import PROMOTER
from genexp.dataset.config import OtherDataset
from genexp.errors import UserError
from genexp.features.tokens import N_TOKEN
from genexp.prepare.config import TranscriptRules
from genexp.prepare.opening import existing
from genexp.schema import Index, PathText, Schema

if TYPE_CHECKING:
    import pandas as pd

    from genexp.api.ensembles import Ensemble
    from genexp.api.runs import Run

#: Rows that are in memory at a time, or one batch of the model where that is larger.
ROWS = 1024


class Request(Schema):
    """What is predicted, and from what."""

    fasta: PathText | None = Field(description="FASTA file of promoters; with bed or gtf, of the genome")
    table: PathText | None = Field(description="table of promoters: ids, and a column sequence")
    bed: PathText | None = Field(description="BED file of TSSs, or of promoters as long as those of the run")
    gtf: PathText | None = Field(description="annotation, GTF or GFF3: the promoters of its genes")
    dataset: OtherDataset
    split: Literal["all", "train", "valid", "test"] | None = Field(
        description="genes of a dataset, by default the run's own; null: all"
    )
    features: Literal["mean"] | PathText | None = Field(
        description="table of features: ids, and a column for each feature of the run; mean: the training mean"
    )
    missing: Literal["error", "mean"] = Field(description="genes and cells without features: the training mean")
    scaled: bool = Field(description="features are scaled as in the dataset of the run")
    tss: Index | None = Field(
        description="index of the TSS in each sequence; null: known by its length, else the middle"
    )
    long: Literal["refuse", "cut"] = Field(description="sequences that reach beyond the window of the run")
    both_strands: bool = Field(description="also predict from the other strand, in a row of its own")
    bed_tss: Literal["five_prime", "middle"] | None = Field(
        description="base of a BED interval that is the TSS; null: only where the file or its length tells"
    )
    genes: TranscriptRules
    out: PathText | None = Field(description="table of predictions to write, .tsv or .parquet")


_FILES = ("fasta", "table", "bed", "gtf")
#: What genes come from, by the keys that name their files.
SOURCES = {
    ("fasta",): "fasta",
    ("table",): "table",
    ("fasta", "bed"): "bed",
    ("fasta", "gtf"): "gtf",
    ("dataset",): "dataset",
}
#: Of what genes a key says something, and its value where it says nothing.
_USES = {
    "tss": (("fasta", "table"), None),
    "long": (("fasta", "table"), "refuse"),
    "bed_tss": (("bed",), None),
    "both_strands": (_FILES, False),
    "scaled": ((*_FILES, "features"), False),
    "missing": ((*_FILES, "features"), "error"),
}


@dataclass(frozen=True)
class Plan:
    """Predictions that can be made: the run, and its genes with their features, all of them checked."""

    run: Run | Ensemble
    checkpoint: str
    request: Request
    genes: Genes


def check(run: Run | Ensemble, request: Request, checkpoint: str = "best") -> None:
    """Look at the run, or ensemble, at the files that it needs, and at the table to write."""
    if request.out:
        check_table(Path(request.out))
    check_usable(run, checkpoint)
    source = _source(request, run)
    if source != "dataset":
        check_features(run, given=request.features is not None)
    for key, (sources, idle) in _USES.items():
        if source not in sources and (value := getattr(request, key)) != idle:
            raise UserError(f"{key} has no effect on genes from {source}", received=value, hint=f"leave {key} out")
    for key in (*_FILES, "features"):
        if (path := getattr(request, key)) not in (None, MEAN):
            existing(path, key)


def _source(request: Request, run: Run | Ensemble) -> str:
    """Return what the genes come from: one of `SOURCES`, or ``features`` for a run without promoters."""
    given = [key for key in _FILES if getattr(request, key)]
    given += ["dataset"] * bool(request.split or request.dataset.model_dump(exclude_none=True))
    source, blocks = SOURCES.get(tuple(given)), run.config.data.name
    if source == "dataset" and request.features:
        what, hint = "a dataset brings its own features", "leave features out"
        raise UserError(what, where=f"features={request.features}", hint=hint)
    expected = ""
    if PROMOTER not in blocks and source != "dataset":
        source = "features"
        if given or request.features in (None, MEAN):
            expected = "features=FILE or dataset.root=DIR, alone"
    elif source is None:
        expected = "fasta= or table=, fasta=GENOME with bed= or gtf=, or dataset.root="
    if expected or source is None:
        received = ", ".join(given) or "none of them"
        raise UserError(f"a run on data={blocks} needs {expected}", where=f"run_dir={run.path}", received=received)
    return source


def plan(run: Run | Ensemble, request: Request, checkpoint: str = "best") -> Plan:
    """Read and check all that is predicted from; no TensorFlow."""
    source = _source(request, run)
    if source == "dataset":
        return Plan(run, checkpoint, request, _from_dataset(request, run))
    if source == "features":
        genes = Genes({"id": np.array(read_table(str(request.features), "features").index, str)})
    else:
        genes = _read(source, request, run)
    ids = genes.columns["id"].tolist()
    features = features_by_id(run, ids, request.features, scaled=request.scaled, missing=request.missing)
    return Plan(run, checkpoint, request, replace(genes, features=features))


def _read(source: str, request: Request, run: Run | Ensemble) -> Genes:
    """Return the promoters of files, without features."""
    window = window_around_tss(run) if source in ("bed", "gtf") else (0, 0)
    place, both = promoters.placement(run, request.tss), request.both_strands
    if source in ("fasta", "table"):
        path = Path(str(getattr(request, source)))
        records = promoters.from_fasta(path) if source == "fasta" else promoters.from_table(path)
        return promoters.sequences(records, f"{source}={path}", place, cut_long=request.long == "cut", both=both)
    from genexp.genomes.genome import Genome

    circular: dict[str, int] = {}
    if source == "bed":
        found = sites.from_bed(Path(str(request.bed)), place, request.bed_tss, both=both)
    else:
        found, circular = sites.from_annotation(Path(str(request.gtf)), request.genes)
    genome = Genome(str(request.fasta), sorted({site.chromosome for site in found}), circular, console.say)
    return sites.at_sites(found, genome, window, both=both)


def _from_dataset(request: Request, run: Run | Ensemble) -> Genes:
    """Return the genes of a dataset, whose features are matched by name, and converted to the scale of the run."""
    members, changes = members_of(run), request.dataset.model_dump(exclude_none=True)
    split, window = request.split or "all", common_window(members)
    found = evaluation.check(members[0].files, split=split, dataset=changes)
    if window:
        seen = found.trained_on.model_copy(update={"window": window})
        found = replace(found, window=evaluation.same_window(seen, found.matched.source.description))
    splits = {name: each for name, each in evaluation.read_genes(found).splits.items() if name in found.splits}

    def tokens(size: int) -> Iterator[np.ndarray]:
        for each in splits.values():
            for first in range(0, len(each), size):
                yield each.blocks[PROMOTER][first : first + size]

    columns = {
        "id": np.concatenate([each.genes for each in splits.values()]),
        "split": np.repeat([*splits], [len(each) for each in splits.values()]),
    }
    letters = [letter for letter in run.config.data.name if letter != PROMOTER]
    features = {k: np.concatenate([each.blocks[k] for each in splits.values()]) for k in letters}
    return Genes(columns, tokens if PROMOTER in run.config.data.name else None, features)


def predictions(plan: Plan, keep: Keep | None = None) -> Iterator[pd.DataFrame]:
    """Yield the rows of the table of predictions, some at a time, and report what is unlike the training genes."""
    import pandas as pd

    predictor, ranges, genes = Predictor(plan.run, plan.checkpoint, keep), known_ranges(plan.run), plan.genes
    batch = predictor.config.training.batch_size
    unlike = mostly_unknown = 0
    with console.progress("predicting", len(genes), "genes") as done:
        for rows, tokens in genes.batches(batch * max(1, ROWS // batch)):
            features = {letter: np.asarray(values[rows], np.float32) for letter, values in genes.features.items()}
            columns = {name: values[rows] for name, values in genes.columns.items()}
            columns |= columns_of(predictor(tokens, features), predictor.dataset)
            if predictor.window and tokens is not None:
                columns["unknown_bases"] = (tokens == N_TOKEN).sum(axis=1)
                mostly_unknown += int((columns["unknown_bases"] > tokens.shape[1] / 2).sum())
            if features and ranges:
                columns["outside"] = far_outside(features, ranges, plan.run)
                unlike += int((columns["outside"] != "").sum())
            yield pd.DataFrame(columns)
            done(rows.stop)
    if mostly_unknown:
        console.warn(f"{mostly_unknown:,} of {len(genes):,} promoters are N for more than half (column unknown_bases)")
    if unlike:
        console.warn(
            f"{unlike:,} of {len(genes):,} genes have features far outside the training range (column outside)"
        )
    if genes.features and not ranges:
        console.say("the range of the training features is not recorded: these features were not compared with it")


def write(plan: Plan, command: str) -> None:
    """Predict, and write the table, with a record of how it was made."""
    request, out = plan.request, Path(str(plan.request.out))
    named = {key: getattr(request, key) for key in (*_FILES, "features")}
    files = {key: Path(path) for key, path in named.items() if path not in (None, MEAN)}
    made = record(plan.run, command, request, files, checkpoint=plan.checkpoint, rows=len(plan.genes))
    with kept_beside(out, command) as keep, table_writer(out, made) as add:
        for rows in predictions(plan, keep):
            add(rows)


def called(run: Run | Ensemble, checkpoint: str, keys: Mapping[str, Any]) -> pd.DataFrame:
    """Return the table for the keys of ``genexp predict``; see `genexp.api.Run.predict_table`."""
    import pandas as pd

    request = requested("predict", Request, {**keys, "out": None})
    check(run, request, checkpoint)
    return pd.concat(predictions(plan(run, request, checkpoint)), ignore_index=True)
