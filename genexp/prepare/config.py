"""The config of ``genexp prepare``: its keys, and everything that can be checked without reading a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from genexp.errors import UserError
from genexp.files import free_folder
from genexp.prepare.opening import existing
from genexp.schema import PATH, Count, Name, Schema, Share

#: A path that YAML may read as a number.
File = Annotated[Name, PATH]
Absence = Literal["zero", "drop"]
Bases = Annotated[int, Field(ge=0, le=10_000_000)]
#: How much is held out: a number of genes, a part below 1, or chromosomes.
HeldOut = int | float | str | list[int | str] | None


#: Columns of a table: one name, or several.
Names = list[Name]


class AbsentConfig(Schema):
    """What becomes of genes that a table of targets lacks."""

    tf: Absence | None = Field(description="zero (no targets) or drop the gene; null: drop where the table lists genes")
    mirna: Absence | None = Field(
        description="zero (no targets) or drop the gene; null: drop where the table lists genes"
    )


class TargetsConfig(Schema):
    """A table of targets, and what is taken from it."""

    file: File | None = Field(description="a wide table, a list of pairs, or a GMT file")
    values: Literal["binary", "sign", "score"] = Field(
        default="binary",
        description="of pairs: binary (1 for a target), sign (1 or -1) or score; of a wide table: binary is as it is",
    )


#: A table of targets; a file alone stands for its binary targets.
Targets = Annotated[
    TargetsConfig,
    BeforeValidator(
        lambda value: {"file": value} if isinstance(value, str | None) else value,
        json_schema_input_type=TargetsConfig | str | None,
    ),
]


class ExpressionColumns(Schema):
    """Columns of an expression table whose format is not recognised."""

    gene: Name = Field(description="column of the gene ids")
    samples: Names = Field(description="columns of the samples")
    names: Names = Field(default=[], description="columns with other names of the gene, such as symbols")


class TargetsColumns(Schema):
    """Columns of a table of targets whose format is not recognised: pairs with `factor`, else wide."""

    gene: Name = Field(description="column of the gene ids")
    factor: Name | None = Field(default=None, description="pairs: column of the factor")
    value: Name | None = Field(default=None, description="pairs: column of the score")
    sign: Name | None = Field(default=None, description="pairs: column of the sign of the effect")
    factors: Names | None = Field(default=None, description="wide: columns of the factors")


class FeatureColumns(Schema):
    """Columns of a table of numeric features per gene."""

    gene: Name = Field(description="column of the gene ids")
    features: Names = Field(description="columns of the features")


class SequenceColumns(Schema):
    """Columns of a table of sequences, where they have other headings."""

    sequence: Name | None = Field(default=None, description="column of the sequence")
    id: Name | None = Field(default=None, description="column of the id")
    split: Name | None = Field(default=None, description="column of the split, as split.column")
    features: Names | None = Field(default=None, description="columns of numeric features, which become block H")


class TranscriptRules(Schema):
    """Which genes are taken from an annotation, and which transcript of each."""

    id: Name | None = Field(description="attribute that names a gene; null: gene_id, in GFF3 else locus_tag or ID")
    biotypes: list[Name] | None = Field(description="biotypes to keep where the annotation has them; null: all")
    transcript: Literal["canonical", "longest_cds"] = Field(
        description="canonical (MANE, Ensembl, RefSeq tags; else the longest CDS) or longest_cds"
    )
    strip_versions: bool = Field(description="ENSG00000141510.18 becomes ENSG00000141510")
    skip_chromosomes: list[Name] = Field(
        description="chromosomes to leave out, also patterns, for example [Y,MT,'*_alt']"
    )


class GenesConfig(TranscriptRules):
    """Which genes and transcripts are taken from an annotation, and by which conventions."""

    stop_codon: Literal["as_annotated", "included", "excluded"] = Field(description="whether the CDS holds it")
    missing_utr: Absence = Field(description="zero: length and GC 0, as Xpresso; or drop the gene")
    lengths: Literal["exact", "published"] = Field(description="published: Xpresso's, one base too few for each exon")
    tolerance: Share = Field(
        description="share of the genes that may be left out since they cannot be read; one always may, unless it is 0"
    )


class SplitConfig(Schema):
    """Which genes are trained on, which validate and which test."""

    by: Literal["random", "chromosome", "group", "similarity", "file"] | None = Field(
        description="what decides the split of a gene; null: the column split of a table of sequences, else random"
    )
    valid: HeldOut = Field(
        description="a number of genes, a part below 1, or chromosomes, groups or values of split.column; null: 0.1"
    )
    test: HeldOut = Field(
        description="a number of genes, a part below 1, or chromosomes, groups or values of split.column; null: 0.1"
    )
    folds: Annotated[int, Field(ge=3)] | None = Field(description="number of folds, each tested once")
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = Field(description="seed of the random split")
    guard: bool = Field(description="drop training genes whose promoter overlaps one of a held-out gene")
    file: File | None = Field(description="table with genes in the first column: splits, folds, groups or chromosomes")
    column: Name | None = Field(
        description="column of the file, or of the table of sequences; null: recognised by its content, or heading"
    )
    similarity: Share = Field(description="by=similarity: sequences that share this part of their k-mers stay together")


class Config(Schema):
    """The whole config of ``genexp prepare``."""

    source: Literal["xpresso_table", "genome", "tables", "sequences"] = Field(description="kind of raw files")
    out: File = Field(description="folder for the dataset; must not hold one yet")
    table: File | None = Field(
        description="xpresso_table: ENSID EXPRESSION, eight half-life features, PROMOTER; sequences: a table of them"
    )
    fasta: File | None = Field(description="genome: the chromosomes; sequences: those of the ids in the table")
    gtf: File | None = Field(description="genome: GTF or GFF3")
    expression: File | None = Field(
        description="genome, tables: a table of expression, in a known format or with expression_columns"
    )
    tss: File | None = Field(description="genome: BED, narrowPeak or EPDnew, which then decide where promoters are")
    tf: Targets
    mirna: Targets
    mask: File | None = Field(description="genes to leave out, one on each line")
    upstream: Bases = Field(description="bases of the promoter before the TSS")
    downstream: Bases = Field(description="bases of the promoter from the TSS on")
    recipe: Literal["honest", "published"] = Field(description="how labels and features are scaled")
    halflife: bool | File = Field(
        description="half-life features; false: none; or a table of numeric features per gene"
    )
    expression_columns: ExpressionColumns | None = Field(
        description="columns of an expression table whose format is not recognised"
    )
    tf_columns: TargetsColumns | None = Field(description="columns of tf, where its format is not recognised")
    mirna_columns: TargetsColumns | None = Field(description="columns of mirna, where its format is not recognised")
    halflife_columns: FeatureColumns | None = Field(description="columns of halflife, where they are not all features")
    table_columns: SequenceColumns | None = Field(description="sequences: columns of the table with other headings")
    samples: Names | None = Field(
        description="columns of the expression table, also [FIRST, ..., LAST]; null: all samples"
    )
    label: Name | Names | dict[str, Names] | None = Field(
        description="several labels: columns, each a label; or samples by label; null: one label"
    )
    statistic: Literal["median", "mean"] = Field(description="median or mean over the samples of a label")
    expression_scale: Literal["auto", "raw", "log2", "ln", "log10", "as_is"] = Field(
        description="raw becomes log10(x + pseudocount); logarithms are taken as they are; as_is: labels of sequences "
        "that are no logarithms; auto: raw, for source=sequences as_is"
    )
    pseudocount: Annotated[float, Field(ge=0, strict=False)] | None = Field(
        description="raw: what is added before the logarithm, null: 0.1; else what the file says was added, if known"
    )
    pad: Literal["left", "right", "both"] | None = Field(
        description="sequences of several lengths: the side that is padded with N; null: refused"
    )
    replicates: Literal["keep", "mean"] = Field(
        description="rows with the same sequence: keep each, or the mean of their labels"
    )
    svd: Count | None = Field(description="number of components of the microRNA block, fitted on the training genes")
    absent: AbsentConfig
    genes: GenesConfig
    split: SplitConfig

    @model_validator(mode="before")
    @classmethod
    def _decide_scale(cls, values: Any) -> Any:
        """Replace the scale ``auto`` by the one that belongs to the source."""
        if not isinstance(values, dict) or values.get("expression_scale") != "auto":
            return values
        return values | {"expression_scale": "as_is" if values.get("source") == "sequences" else "raw"}


#: Keys of target tables; each is the name of a feature block's input.
TARGETS = tuple(AbsentConfig.model_fields)
#: What is typed, and the key that it stands for: ``tf=FILE``.
SHORT_FORMS = {key: f"{key}.file" for key in TARGETS}
#: Keys of input files that every source may have.
_ALL_MAY_HAVE = (*TARGETS, "mask", "split.file")
#: Keys of input files that each source needs, and may have.
NEEDS = {
    "genome": ("fasta", "gtf", "expression"),
    "xpresso_table": ("table",),
    "tables": ("expression",),
    "sequences": ("table",),
}
MAY_HAVE = {
    "genome": ("tss", "halflife"),
    "xpresso_table": (),
    "tables": ("halflife",),
    "sequences": ("fasta", "halflife"),
}
_FILE_KEYS = ("table", "fasta", "gtf", "expression", "tss", "halflife", *_ALL_MAY_HAVE)


def input_files(config: Config) -> dict[str, str]:
    """Return the input files by key."""
    values = {key: getattr(config, key) for key in _FILE_KEYS if "." not in key}
    found = {key: value.file if isinstance(value, TargetsConfig) else value for key, value in values.items()}
    found["split.file"] = config.split.file
    return {key: path for key, path in found.items() if isinstance(path, str)}


def check(config: Config) -> Path:
    """Check the files, the keys together and the folder to write, before anything is read; return the folder.

    A UserError is raised if a file is missing, a key has no effect, or `out` holds something.
    """
    given, source = input_files(config), config.source
    for key in NEEDS[source]:
        if key not in given:
            raise UserError(f"source={source} needs {key}", where=key, hint=f"add {key}=FILE")
    useful = (*NEEDS[source], *MAY_HAVE[source], *_ALL_MAY_HAVE)
    seen: dict[Path, str] = {}  # a split, or a list of genes to mask, may well stand in one file with others
    for key, path in given.items():
        if key not in useful:
            what, expected = f"source={source} has no use for {key}", f"of {', '.join(useful)}"
            raise UserError(what, where=f"{key}={path}", expected=expected, hint=f"leave {key} out")
        found = existing(path, key).resolve()
        named = key == "halflife" and config.halflife_columns  # the columns of one table that are features
        other = seen.setdefault(found, key) if key in ("expression", "halflife", *TARGETS) and not named else key
        if other != key:
            what, hint = f"{other} and {key} name the same file", f"correct one of them, or leave {key} out"
            raise UserError(what, where=f"{other}, {key}", received=path, hint=hint)
    _check_together(config)
    return free_folder(config.out)


def names_of(wanted: HeldOut) -> list[str]:
    """Return the chromosomes, groups or values that a split holds out, none where it says how many genes."""
    names = wanted if isinstance(wanted, list) else [wanted] if isinstance(wanted, str) else []
    return [str(name) for name in names]


def _check_together(config: Config) -> None:
    ask, source = config.split, config.source
    sized = [f"split.{key}" for key in ("valid", "test") if getattr(ask, key) is not None]
    counted = ask.folds and not (config.recipe == "published" and sized == ["split.valid"])
    empty = source == "genome" and not config.upstream + config.downstream
    blockless = source == "tables" and input_files(config).keys().isdisjoint({"halflife", *TARGETS})
    decided = sized and (ask.by == "file" or counted)
    own = source == "sequences" and (ask.column or (config.table_columns and config.table_columns.split))
    named, by = names_of(ask.valid) + names_of(ask.test), ask.by or "random"
    useless = ask.file and not named and by in ("random", "similarity")
    fileless = "add split.file=FILE" + (", or split.column=NAME of the table" if source == "sequences" else "")
    other = "set split.by=file, group or chromosome, or name values to hold out: 'split.test=[NAME]'"
    rules = [
        (by in ("file", "group") and not (ask.file or own), f"split.by={by} needs a file", fileless),
        (useless, f"split.by={by} has no use for a file", other),
        (by == "similarity" and source == "tables", "source=tables has no sequences", "set split.by=group or file"),
        (decided, f"{''.join(sized[:1])} would have no effect", "leave it out: the file, or split.folds, decides"),
        (empty, "the promoters would be empty", "set upstream or downstream above 0"),
        (blockless, "there would be labels but nothing to predict them from", f"set {', '.join(TARGETS)} or halflife"),
        (config.svd and not config.mirna.file, "svd reduces the microRNA block, which is missing", "add mirna=FILE"),
        *_without_effect(config),
    ]
    for wrong, what, hint in rules:
        if wrong:
            raise UserError(what, hint=hint)


def _without_effect(config: Config) -> list[tuple[object, str, str]]:
    """Return the keys that a source has no use for: whether one is set, the error and the hint."""
    source, given = config.source, config.table_columns
    table = isinstance(config.halflife, str)
    keys: dict[str, object] = {"samples": config.samples, "expression_columns": config.expression_columns}
    if source != "sequences":
        keys = {"pad": config.pad, "replicates": config.replicates != "keep", "table_columns": given}
    if source == "xpresso_table":
        keys |= {"samples": config.samples, "label": config.label, "expression_columns": config.expression_columns}
    useless = [(set_, f"source={source} has no use for {key}", f"leave {key} out") for key, set_ in keys.items()]
    groups = source == "sequences" and isinstance(config.label, dict)
    twice = table and given and given.features
    as_is = config.expression_scale == "as_is" and source != "sequences"
    scales = "set expression_scale to raw, log2, ln or log10"
    return [
        *useless,
        (config.halflife_columns and not table, "halflife_columns needs a table", "add halflife=FILE"),
        (groups, "a label of source=sequences is a column", "write 'label=[A,B]'"),
        (config.samples and config.label, "samples and label both name columns", "leave samples out"),
        (twice, "halflife and table_columns.features both bring block H", "leave one of them out"),
        (as_is, "expression_scale=as_is is for source=sequences", scales),
    ]
