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
from genexp.api.gene_features import MEAN, far_outside, features_by_id, known_ranges, read_table
from genexp.api.prediction import Predictor, check_usable, common_window, members_of
from genexp.api.prediction_tables import check_table, columns_of, table_writer
from genexp.api.promoters import Genes
from genexp.blocks import PROMOTER
from genexp.config.compose import Command, compose_words
from genexp.config.validation import validate
from genexp.dataset.config import OtherDataset
from genexp.errors import UserError
from genexp.features.tokens import N_TOKEN
from genexp.prepare.config import TranscriptRules
from genexp.prepare.opening import checksum, existing
from genexp.run import package_versions
from genexp.schema import Index, PathText, PathTexts, Schema
from genexp.training.config import HardwareConfig

if TYPE_CHECKING:
    import pandas as pd

    from genexp.api.ensembles import Ensemble
    from genexp.api.runs import Run

#: Rows that are in memory at a time, or one batch of the model where that is larger.
ROWS = 1024


class Config(Schema):
    """The whole config of ``genexp predict``."""

    run_dir: PathTexts = Field(description="the run; a list, or the directory of a sweep, is an ensemble")
    checkpoint: Literal["best", "last"] = Field(description="lowest validation loss, or last epoch")
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
    hardware: HardwareConfig


PREDICT = Command("predict", Config)

#: What genes come from, by the keys that name their files.
SOURCES = {
    ("fasta",): "fasta",
    ("table",): "table",
    ("fasta", "bed"): "bed",
    ("fasta", "gtf"): "gtf",
    ("dataset",): "dataset",
}


@dataclass(frozen=True)
class Plan:
    """Predictions that can be made: the run, and its genes with their features, all of them checked."""

    config: Config
    run: Run | Ensemble
    genes: Genes


def check(config: Config, run: Run | Ensemble) -> None:
    """Look at the run, or ensemble, at the files that it needs, and at the table to write."""
    check_usable(run, config.checkpoint)
    _source(config, run)
    for key in (*_FILES, "features"):
        if (path := getattr(config, key)) not in (None, MEAN):
            existing(path, key)
    if config.out:
        check_table(Path(config.out))


_FILES = ("fasta", "table", "bed", "gtf")


def _source(config: Config, run: Run | Ensemble) -> str:
    """Return what the genes come from: one of `SOURCES`, or ``features`` for a run without promoters."""
    given = [key for key in _FILES if getattr(config, key)]
    given += ["dataset"] * bool(config.split or config.dataset.model_dump(exclude_none=True))
    source, blocks = SOURCES.get(tuple(given)), run.config.data.name
    if source == "dataset" and config.features:
        what, hint = "a dataset brings its own features", "leave features out"
        raise UserError(what, where=f"features={config.features}", hint=hint)
    expected = ""
    if PROMOTER not in blocks and source != "dataset":
        source = "features"
        if given or config.features in (None, MEAN):
            expected = "features=FILE or dataset.root=DIR, alone"
    elif source is None:
        expected = "fasta= or table=, fasta=GENOME with bed= or gtf=, or dataset.root="
    if expected or source is None:
        received = ", ".join(given) or "none of them"
        raise UserError(f"a run on data={blocks} needs {expected}", where=f"run_dir={run.path}", received=received)
    return source


def plan(config: Config, run: Run | Ensemble) -> Plan:
    """Read and check all that is predicted from; no TensorFlow."""
    source = _source(config, run)
    if source == "dataset":
        return Plan(config, run, _from_dataset(config, run))
    table = read_table(str(config.features), "features") if source == "features" else config.features
    genes = (
        Genes({"id": np.array(table.index, str)}) if not isinstance(table, str | None) else _read(source, config, run)
    )
    ids = genes.columns["id"].tolist()
    features = features_by_id(run, ids, table, scaled=config.scaled, missing=config.missing)
    return Plan(config, run, replace(genes, features=features))


def _read(source: str, config: Config, run: Run | Ensemble) -> Genes:
    """Return the promoters of files, without features."""
    place, both = promoters.placement(run, config.tss), config.both_strands
    if source in ("fasta", "table"):
        path = Path(str(getattr(config, source)))
        records = promoters.from_fasta(path) if source == "fasta" else promoters.from_table(path)
        return promoters.sequences(records, f"{source}={path}", place, cut_long=config.long == "cut", both=both)
    if place.tss is None or config.tss is not None:
        what = "the sequences of this run have no TSS" if place.tss is None else "the TSSs are those of the file"
        hint = "give sequences: fasta= or table= alone" if place.tss is None else "leave tss out"
        raise UserError(what, where=source, hint=hint)
    from genexp.genomes.genome import Genome

    circular: dict[str, int] = {}
    if source == "bed":
        found = sites.from_bed(Path(str(config.bed)), place, config.bed_tss)
    else:
        found, circular = sites.from_annotation(Path(str(config.gtf)), config.genes)
    genome = Genome(str(config.fasta), {site.chromosome for site in found}, circular, console.say)
    return sites.at_sites(found, genome, place, both=both)


def _from_dataset(config: Config, run: Run | Ensemble) -> Genes:
    """Return the genes of a dataset, whose features are matched by name, and converted to the scale of the run."""
    members, changes = members_of(run), config.dataset.model_dump(exclude_none=True)
    split, window = config.split or "all", common_window(members)
    found = evaluation.check(members[0].files, checkpoint=config.checkpoint, split=split, dataset=changes)
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


def predictions(plan: Plan) -> Iterator[pd.DataFrame]:
    """Yield the rows of the table of predictions, some at a time, and report what is unlike the training genes."""
    import pandas as pd

    predictor, ranges, genes = Predictor(plan.run, plan.config.checkpoint), known_ranges(plan.run), plan.genes
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
    config, out = plan.config, Path(str(plan.config.out))
    files = {key: getattr(config, key) for key in (*_FILES, "features") if getattr(config, key) not in (None, MEAN)}
    record = {
        "command": command,
        "runs": {str(run.path): run.dataset.fingerprint for run in members_of(plan.run)},
        "files": {key: {"path": path, "sha256": checksum(Path(path))} for key, path in files.items()},
        "config": config.model_dump(mode="json"),
        "packages": package_versions(),
    }
    with table_writer(out, record) as add:
        for rows in predictions(plan):
            add(rows)


def predict_table(run: Run | Ensemble, keys: Mapping[str, Any]) -> pd.DataFrame:
    """Return the table of predictions; `keys` are those of ``genexp predict``, see `Run.predict_table`."""
    import pandas as pd

    default = compose_words(PREDICT, ["run_dir=.", "out=."]).config.model_dump()
    given = {k: {**default[k], **v} if isinstance(v, Mapping) else v for k, v in keys.items()}
    given = {k: str(v) if isinstance(v, Path) else v for k, v in given.items()}
    own = {"run_dir": [str(member.path) for member in members_of(run)], "out": None}
    config = validate({**default, **given, **own}, Config, "predict_table")
    check(config, run)
    return pd.concat(predictions(plan(config, run)), ignore_index=True)
