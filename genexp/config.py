"""The typed schema of every config group, and the one place where a config is validated.

The values live in ``conf/``; this file says which keys there are, of which type, and what is possible.
A config that has passed `validate` is a plain dataclass, and nothing behind it checks again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, ClassVar, TypeVar, get_type_hints

from omegaconf import MISSING, DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from genexp.errors import UserError, nearest

BLOCK_LETTERS = "PHTM"
OPTIMIZERS = ("sgd", "adam", "adadelta", "adamax", "original")
LOSSES = (
    *("mse", "mae", "mape", "msle", "huber", "log_cosh"),
    *("mean_squared_error", "mean_absolute_error", "mean_absolute_percentage_error", "mean_squared_logarithmic_error"),
)
LOGGERS = ("csv", "tensorboard", "mlflow", "wandb")
INITIALIZERS = (
    *("glorot_normal", "glorot_uniform", "he_normal", "he_uniform", "lecun_normal", "lecun_uniform"),
    *("orthogonal", "random_normal", "random_uniform", "truncated_normal", "variance_scaling"),
)


def key(
    *,
    choices: tuple[Any, ...] | None = None,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
    count_or: tuple[str, ...] | None = None,
    length: int | None = None,
    default: Any = MISSING,
) -> Any:
    """Declare a config key: its possible values, which hold for each item of a list. Null passes where allowed.

    `count_or` is for a positive integer that may be one of some words instead.
    """
    limits = {"choices": choices, "at_least": at_least, "above": above, "at_most": at_most, "below": below}
    limits["count_or"] = count_or
    metadata = {"limits": {k: v for k, v in limits.items() if v is not None}, "length": length}
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass
class DataConfig:
    """Which blocks the model sees, and which slice of the promoter."""

    name: str = key()
    window: list[int] | None = key(length=2, at_least=0)


@dataclass
class DatasetConfig:
    """Genes from files, in any layout that is read directly."""

    name: str = key()
    root: str = key()
    layout: str = key(default="auto")
    fold: int | None = key(at_least=1, default=None)
    tss: int | None = key(at_least=0, default=None)
    drop_ambiguous: bool = key(default=False)
    shared_genes: str = key(choices=("error", "drop", "keep"), default="error")


@dataclass
class DemoConfig:
    """Simulated genes."""

    name: str = key(choices=("demo",))
    genes: int = key(at_least=100, at_most=10_000_000)
    seed: int = key(at_least=0)
    drop_ambiguous: bool = key(default=False)


@dataclass
class ModelConfig:
    """What all models share. `window` is the published one, relative to the TSS."""

    reads: ClassVar[str | None] = "bases"
    name: str = key()
    window: list[int] | None = key(length=2, default=None)

    def multiple(self) -> int:
        """Return the length in nt that must divide the window."""
        return 1


@dataclass
class XpressoConfig(ModelConfig):
    """Two convolutions and a two-unit bottleneck."""

    filters: list[int] = key(at_least=1, length=2)
    kernels: list[int] = key(at_least=1, length=2)
    pools: list[int] = key(at_least=1, length=2)
    dense: list[int] = key(at_least=1, length=2)
    dropout: list[float] = key(at_least=0, below=1, length=2)
    initializer: str = key(choices=INITIALIZERS)


@dataclass
class DivideEtImperaConfig(ModelConfig):
    """The window in equal parts, each with convolutions of its own."""

    parts: int = key(at_least=1)
    filters: int = key(at_least=1)
    kernel: int = key(at_least=1)
    pool: int = key(at_least=1)
    dense: list[int] = key(at_least=1, length=2)
    dropout: list[float] = key(at_least=0, below=1, length=2)
    initializer: str = key(choices=INITIALIZERS)

    def multiple(self) -> int:
        """The parts are equal."""
        return self.parts


@dataclass
class FcNetConfig(ModelConfig):
    """Feature blocks only, fully connected."""

    reads: ClassVar[str | None] = None
    dense: list[int] = key(at_least=1, length=2)
    dropout: list[float] = key(at_least=0, below=1, length=2)


@dataclass
class EmbeddingConfig:
    """Where the vector of each k-mer comes from."""

    kind: str = key(choices=("word2vec", "random", "learned", "counts"))
    trainable: bool = key()
    vectors: str | None = key()
    window: int = key(at_least=1)
    epochs: int = key(at_least=1)
    negative: int = key(at_least=1)
    subsample: float = key(at_least=0)
    promoters: Any = key(count_or=("auto", "all"))
    workers: int = key(at_least=1)
    seed: int = key(at_least=0)


@dataclass
class KmerModelConfig(ModelConfig):
    """What the models share that read a promoter as chunks of k-mers."""

    reads: ClassVar[str | None] = "kmers"
    k: int = key(at_least=1, at_most=6)
    chunk: int = key(at_least=1)
    embed_dim: int = key(at_least=1)
    embedding: EmbeddingConfig = field(default_factory=EmbeddingConfig)

    def multiple(self) -> int:
        """No k-mer spans two chunks, and chunks are equal."""
        return self.chunk


@dataclass
class BioLstmConfig(KmerModelConfig):
    """Chunks of k-mers through one LSTM."""

    units: int = key(at_least=1)
    dense: int = key(at_least=1)
    dropout: float = key(at_least=0, below=1)


@dataclass
class TransformerConfig(KmerModelConfig):
    """Chunks of k-mers through Transformer encoder blocks."""

    heads: int = key(at_least=1)
    key_dim: int = key(at_least=1)
    ff_dim: int = key(at_least=1)
    depth: int = key(at_least=1)
    dense: int = key(at_least=1)
    dropout: float = key(at_least=0, below=1)


@dataclass
class TokenTransformerConfig(ModelConfig):
    """Bases through convolutions and a Transformer encoder block."""

    vocab_size: int = key(choices=(4, 5))
    embed_dim: int = key(at_least=1)
    kernels: list[int] = key(at_least=1, length=2)
    pools: list[int] = key(at_least=1, length=2)
    heads: int = key(at_least=1)
    key_dim: int = key(at_least=1)
    ff_dim: int = key(at_least=1)
    dense: list[int] = key(at_least=1, length=2)
    dropout: float = key(at_least=0, below=1)


#: Schema of each model, by name. What is not named here does not exist: no dotted path is ever followed.
MODELS: dict[str, type[ModelConfig]] = {
    "xpresso": XpressoConfig,
    "divide_et_impera": DivideEtImperaConfig,
    "biolstm": BioLstmConfig,
    "transformer": TransformerConfig,
    "token_transformer": TokenTransformerConfig,
    "fc_net": FcNetConfig,
}


@dataclass
class TrainingConfig:
    """How the model is fitted."""

    epochs: int = key(at_least=1)
    batch_size: int = key(at_least=1)
    learning_rate: float = key(above=0)
    optimizer: str = key(choices=OPTIMIZERS)
    momentum: float = key(at_least=0, below=1)
    warmup_steps: int = key(at_least=1)
    d_model: int = key(at_least=1)
    loss: str = key(choices=LOSSES)
    patience: int | None = key(at_least=1)
    milestone: int | None = key(at_least=1)
    milestone_factor: float = key(above=0)
    shuffle: bool = key()
    restarts: int = key(at_least=0)
    start_from: str | None = key(default=None)


@dataclass
class HardwareConfig:
    """Where and how it is computed."""

    name: str = key(choices=("auto", "cpu", "gpu", "tpu"))
    precision: str = key(choices=("float32", "mixed_bfloat16", "mixed_float16"))
    jit: bool | None = key()
    deterministic: bool = key()
    devices: int | None = key(at_least=1)
    tpu: str = key(default="local")


@dataclass
class ExperimentConfig:
    """A published result, to be shown beside the one that is measured: mean test r2 and its 95 % interval."""

    name: str = key()
    source: str = key()
    r2: float | None = key(at_least=0, at_most=1)
    r2_ci95: list[float] | None = key(length=2, at_least=0, at_most=1)
    repeats: int | None = key(at_least=1)


@dataclass
class TrainConfig:
    """The whole config of ``genexp train``, and what ``config.yaml`` in a run directory holds."""

    optional: ClassVar[tuple[str, ...]] = ("experiment",)
    seed: int = key(at_least=0, at_most=2**31 - 1)
    resume: str | None = key(default=None)
    logger: Any = key(choices=LOGGERS, default=None)
    experiment: Any = None
    data: DataConfig = field(default_factory=DataConfig)
    dataset: Any = None
    model: Any = None
    training: TrainingConfig = field(default_factory=TrainingConfig)
    hardware: HardwareConfig = field(default_factory=HardwareConfig)


@dataclass
class ImportConfig:
    """The whole config of ``genexp import``; without ``dataset`` the run is evaluated on one that is named then."""

    optional: ClassVar[tuple[str, ...]] = ("dataset",)
    checkpoint: str = key()
    name: str = key()
    widths: list[int] | None = key(at_least=1)
    seed: int = key(at_least=0, at_most=2**31 - 1)
    data: DataConfig = field(default_factory=DataConfig)
    dataset: Any = None
    model: Any = None
    training: TrainingConfig = field(default_factory=TrainingConfig)
    hardware: HardwareConfig = field(default_factory=HardwareConfig)


@dataclass
class ExportConfig:
    """The whole config of ``genexp export``."""

    run_dir: str = key()
    checkpoint: str = key(choices=("best", "last"))
    format: str = key(choices=("keras", "saved_model", "onnx"))
    out: str | None = key()
    tolerance: float = key(above=0)


@dataclass
class OtherDataset:
    """Overrides of the dataset of a finished run; null leaves a setting as the run had it."""

    root: str | None = key(default=None)
    layout: str | None = key(default=None)
    fold: int | None = key(at_least=1, default=None)
    tss: int | None = key(at_least=0, default=None)
    drop_ambiguous: bool | None = key(default=None)
    shared_genes: str | None = key(choices=("error", "drop", "keep"), default=None)


@dataclass
class EvaluateConfig:
    """The whole config of ``genexp evaluate``."""

    run_dir: str = key()
    checkpoint: str = key(choices=("best", "last"))
    split: str | None = key(choices=("all", "train", "valid", "test"))
    out: str | None = key()
    dataset: OtherDataset = field(default_factory=OtherDataset)
    hardware: HardwareConfig = field(default_factory=HardwareConfig)


@dataclass
class GenesConfig:
    """Which genes and transcripts ``genexp prepare`` takes from an annotation, and by which conventions."""

    id: str | None = key()
    biotypes: list[str] | None = key()
    transcript: str = key(choices=("canonical", "longest_cds"))
    strip_versions: bool = key()
    skip_chromosomes: list[str] = key()
    stop_codon: str = key(choices=("as_annotated", "included", "excluded"))
    missing_utr: str = key(choices=("zero", "drop"))
    lengths: str = key(choices=("exact", "published"))


@dataclass
class AbsentConfig:
    """What becomes of genes that a table of targets lacks."""

    tf: str = key(choices=("zero", "drop"))
    mirna: str = key(choices=("zero", "drop"))


@dataclass
class SplitConfig:
    """Which genes are trained on, which validate and which test."""

    by: str = key(choices=("random", "chromosome", "group", "file"))
    valid: Any = key()
    test: Any = key()
    folds: int | None = key(at_least=3)
    seed: int = key(at_least=0, at_most=2**32 - 1)
    guard: bool = key()
    file: str | None = key()
    column: str | None = key()


@dataclass
class PrepareConfig:
    """The whole config of ``genexp prepare``."""

    source: str = key(choices=("xpresso_table", "genome", "tables"))
    out: str = key()
    table: str | None = key()
    fasta: str | None = key()
    gtf: str | None = key()
    expression: str | None = key()
    tss: str | None = key()
    tf: str | None = key()
    mirna: str | None = key()
    mask: str | None = key()
    upstream: int = key(at_least=0)
    downstream: int = key(at_least=0)
    recipe: str = key(choices=("honest", "published"))
    halflife: bool = key()
    samples: list[str] | None = key()
    statistic: str = key(choices=("median", "mean"))
    expression_scale: str = key(choices=("raw", "log10"))
    svd: int | None = key(at_least=1)
    absent: AbsentConfig = field(default_factory=AbsentConfig)
    genes: GenesConfig = field(default_factory=GenesConfig)
    split: SplitConfig = field(default_factory=SplitConfig)


@dataclass
class WindowConfig:
    """The slice of the promoter that is embedded."""

    window: list[int] | None = key(length=2, at_least=0)


@dataclass
class EmbedConfig:
    """The whole config of ``genexp embed``."""

    out: str = key()
    k: int = key(at_least=1, at_most=6)
    dimension: int = key(at_least=1)
    window: int = key(at_least=1)
    epochs: int = key(at_least=1)
    negative: int = key(at_least=1)
    subsample: float = key(at_least=0)
    promoters: Any = key(count_or=("auto", "all"))
    workers: int = key(at_least=1)
    seed: int = key(at_least=0)
    chunk: int = key(at_least=1)
    write_dataset: bool = key()
    data: WindowConfig = field(default_factory=WindowConfig)
    dataset: Any = None


SCHEMAS: dict[str, type] = {
    "train": TrainConfig,
    "evaluate": EvaluateConfig,
    "embed": EmbedConfig,
    "prepare": PrepareConfig,
    "import": ImportConfig,
    "export": ExportConfig,
}

C = TypeVar("C")


def validate(config: Mapping[str, Any] | DictConfig, schema: type[C], source: str = "the config") -> C:
    """Turn a composed config into its dataclass.

    Parameters
    ----------
    config
        The config as Hydra composed it, or as a file holds it.
    schema
        `TrainConfig`, `EvaluateConfig`, ...
    source
        Where the config comes from, for messages.

    Raises
    ------
    UserError
        Naming every unknown key, wrong type, missing or impossible value, and impossible combination.
    """
    node = config if isinstance(config, DictConfig) else OmegaConf.create(dict(config))
    problems: list[UserError] = []
    built = _build(schema, node, "", source, problems)
    if not problems and isinstance(built, TrainConfig | ImportConfig):
        problems += _combinations(built, source)
    if len(problems) == 1:
        raise problems[0]
    if problems:
        rest = "\n".join(f"{n}. {p}" for n, p in enumerate(problems, 1))
        raise UserError(f"{len(problems)} mistakes in {source}\n{rest}")
    return built


def _build(schema: type[C], node: DictConfig, path: str, source: str, problems: list[UserError]) -> C:
    """Fill one dataclass from one config node, noting every problem."""
    known = {f.name: f for f in fields(schema)}  # type: ignore[arg-type]
    names = sorted(path + k for k in known)
    problems.extend(unknown_key(path + str(name), names, source) for name in node if name not in known)
    typed = OmegaConf.structured(schema)
    values: dict[str, Any] = {}
    for name, spec in known.items():
        inner = sub_schema(schema, name, node)
        dotted = path + name
        try:
            if inner is not None:
                if name in getattr(schema, "optional", ()) and node.get(name) is None:
                    values[name] = None
                    continue
                if not isinstance(node.get(name), DictConfig):
                    problems.append(_missing(dotted, source))
                    continue
                values[name] = _build(inner, node[name], dotted + ".", source, problems)
                continue
            if name in node and not OmegaConf.is_missing(node, name):
                typed[name] = _widen(node[name], spec.metadata.get("length"), name)
            if OmegaConf.is_missing(typed, name):
                problems.append(_missing(dotted, source))
                continue
            value = OmegaConf.to_container(typed, resolve=True)[name]  # type: ignore[index, call-overload]
        except OmegaConfBaseException as error:
            problems.append(_wrong_value(dotted, source, type_name(schema, name), node, name, error))
            continue
        values[name] = value
        problems += _out_of_limits(dotted, value, spec.metadata, source)
    return schema(**{**dict.fromkeys(known), **values}) if not problems else None  # type: ignore[return-value]


def sub_schema(schema: type, name: str, node: Mapping[str, Any] | DictConfig) -> type | None:
    """Return the dataclass of a nested group, chosen by its content for ``model`` and ``dataset``."""
    hint = get_type_hints(schema)[name]
    if is_dataclass(hint):
        return hint  # type: ignore[return-value]
    if hint is Any and name in ("model", "dataset"):
        inner = node.get(name)
        chosen = inner.get("name") if isinstance(inner, Mapping | DictConfig) else None
        if name == "dataset":
            return DemoConfig if chosen == "demo" else DatasetConfig
        return MODELS.get(str(chosen), ModelConfig)
    return ExperimentConfig if hint is Any and name == "experiment" else None


def _widen(value: Any, length: int | None, name: str) -> Any:
    """Let one number stand for a list of equal numbers: ``model.dropout=0.2`` where there are two dropouts."""
    if length and name == "dropout" and isinstance(value, int | float) and not isinstance(value, bool):
        return [float(value)] * length
    if name in ("loss", "optimizer") and isinstance(value, str):
        return value.lower()
    return value


def type_name(schema: type, name: str) -> str:
    """Return the type of a key in words: ``"int or null"``, ``"list of int"``."""
    text = (
        str(fields_of(schema)[name].type).replace("list[", "list of ").replace("]", "").replace(" | None", " or null")
    )
    for code, word in (("int", "integer"), ("float", "number"), ("bool", "true or false"), ("str", "text")):
        text = " ".join(word if t == code else t for t in text.split())
    return text


def fields_of(schema: type) -> dict[str, Any]:
    """Return the dataclass fields of a schema by name."""
    return {f.name: f for f in fields(schema)}


def _out_of_limits(dotted: str, value: Any, metadata: Mapping[str, Any], source: str) -> list[UserError]:
    if value is None:
        return []
    problems = []
    length, items = metadata.get("length"), value if isinstance(value, list) else [value]
    if length and len(items) != length:
        problems.append(
            UserError(
                f"{dotted} has {len(items)} values",
                where=source,
                expected=f"{length} values",
                received=value,
                do=f"give {dotted}=[{','.join('abc'[:length])}]",
            )
        )
    limits = metadata.get("limits", {})
    tests: dict[str, tuple[Callable[[Any, Any], bool], str]] = {
        "choices": (lambda v, limit: v in limit, "one of {}"),
        "at_least": (lambda v, limit: v >= limit, "at least {}"),
        "above": (lambda v, limit: v > limit, "above {}"),
        "at_most": (lambda v, limit: v <= limit, "at most {}"),
        "below": (lambda v, limit: v < limit, "below {}"),
        "count_or": (lambda v, words: v in words or (type(v) is int and v > 0), "a positive integer, or {}"),
    }
    for name, limit in limits.items():
        test, words = tests[name]
        bad = [v for v in items if not test(v, limit)]
        if bad:
            shown = ", ".join(map(str, limit)) if isinstance(limit, tuple) else limit
            hint = nearest(str(bad[0]), map(str, limit)) if name == "choices" else ""
            problems.append(
                UserError(
                    f"{dotted} is impossible",
                    where=source,
                    expected=words.format(shown),
                    received=bad[0],
                    do=f"{hint}change {dotted}",
                )
            )
    return problems


def _missing(dotted: str, source: str) -> UserError:
    return UserError(f"{dotted} is missing", where=source, expected="a value", received="none", do=f"add {dotted}=...")


def _wrong_value(dotted: str, source: str, expected: str, node: Any, name: str, error: Exception) -> UserError:
    try:
        received = node[name]
    except OmegaConfBaseException:  # an interpolation that leads nowhere
        return UserError(f"{dotted} cannot be resolved", where=source, received=str(error).splitlines()[0])
    shown = list(received) if isinstance(received, ListConfig) else received
    kind = type(shown).__name__
    return UserError(
        f"{dotted} has the wrong type",
        where=source,
        expected=expected,
        received=f"{shown!r} ({kind})",
        do=f"change {dotted}",
    )


def unknown_key(dotted: str, known: list[str], source: str) -> UserError:
    """Return the error for a key that does not exist, with the nearest right name."""
    hint = nearest(dotted, known)
    group = dotted.rpartition(".")[0]
    siblings = [k for k in known if k.rpartition(".")[0] == group]
    if not siblings:
        group, siblings = "", sorted({k.split(".")[0] for k in known})
    return UserError(
        f"there is no key {dotted}",
        where=source,
        expected=f"one of {', '.join(siblings)}",
        received=dotted,
        do=f"{hint}correct or remove it; an unknown key would have no effect",
    )


def all_keys(schema: type, choices: Mapping[str, str], path: str = "") -> Iterator[str]:
    """Yield every dotted key of a schema; `choices` says which model and dataset are meant."""
    for spec in fields(schema):
        node = {g: {"name": choices.get(g)} for g in ("model", "dataset")}
        inner = sub_schema(schema, spec.name, node)
        if inner is None:
            yield path + spec.name
        else:
            yield from all_keys(inner, choices, f"{path}{spec.name}.")


def _combinations(config: TrainConfig | ImportConfig, source: str) -> list[UserError]:
    """Check what only several keys together can get wrong, as far as it needs no data."""
    problems = []
    name, model = config.data.name, config.model
    if config.model.name not in MODELS:
        return [
            UserError(
                f"there is no model {model.name}",
                where=f"model.name in {source}",
                expected=f"one of {', '.join(MODELS)}",
                received=model.name,
                do=f"{nearest(model.name, MODELS)}choose one with model=...",
            )
        ]
    if not name or name != "".join(b for b in BLOCK_LETTERS if b in name):
        problems.append(
            UserError(
                f"data.name {name!r} is no combination of blocks",
                where=f"data.name in {source}",
                expected="letters of P (promoter), H (half-life), T (TF), M (miRNA), each at most once, in this order",
                received=name,
                do="choose one with data=PH, data=PHT, ...",
            )
        )
    elif (model.reads is None) == ("P" in name):
        problems.append(_model_cannot_read(name, model))
    window = config.data.window
    if window and window[0] >= window[1]:
        problems.append(
            UserError(
                "data.window is empty",
                where=f"data.window in {source}",
                expected="[left, right) with left < right, in promoter coordinates",
                received=window,
                do="for example data.window=[3000,13500]",
            )
        )
    if window and "P" not in name:
        problems.append(
            UserError(
                f"data.window is given, but data={name} has no promoter",
                where=f"data.window in {source}",
                expected="null",
                received=window,
                do=f"leave data.window out, or choose data=P{name}",
            )
        )
    return problems


def _model_cannot_read(name: str, model: ModelConfig) -> UserError:
    if model.reads is None:
        expected = "feature blocks only: H, T, M, HT, HM, TM or HTM"
        do = "leave P out (data=T), or choose a model with a promoter encoder (model=xpresso)"
    else:
        expected = "data with a promoter: P, PH, PT, PM, PHT, PHM, PTM or PHTM"
        do = f"add P (data=P{name}), or choose model=fc_net, which reads feature blocks only"
    return UserError(
        f"model={model.name} cannot be trained on data={name}",
        where="model and data together",
        expected=expected,
        received=f"data={name}",
        do=do,
    )


def to_yaml(config: Any) -> str:
    """Return a validated config as YAML text, complete and without interpolations."""
    return OmegaConf.to_yaml(OmegaConf.structured(config))
