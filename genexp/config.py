"""The typed schema of every config group: which keys there are, of which type, and what is possible.

The values live in ``conf/``; `genexp.validation` holds a config to this schema, once.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

from omegaconf import MISSING

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
    stream: bool | None = key(default=None)


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

    kind: str = key(choices=("auto", "word2vec", "random", "learned", "counts"))
    trainable: bool = key()
    vectors: str | None = key()
    window: int = key(at_least=1)
    epochs: int = key(at_least=1)
    negative: int = key(at_least=1)
    subsample: float = key(at_least=0, at_most=1)
    promoters: Any = key(count_or=("auto", "all"))
    workers: int = key(at_least=1)
    seed: int = key(at_least=0, at_most=2**32 - 1)


#: Keys of ``model.embedding`` that only Word2Vec reads.
WORD2VEC_SETTINGS = ("window", "epochs", "negative", "subsample", "promoters", "workers")


@dataclass
class KmerModelConfig(ModelConfig):
    """What the models share that read a promoter as chunks of k-mers."""

    reads: ClassVar[str | None] = "kmers"
    #: What ``model.embedding=auto`` is, unless Word2Vec is asked for.
    best_embedding: ClassVar[str] = "word2vec"
    k: int = key(at_least=1, at_most=6)
    chunk: int = key(at_least=1)
    embed_dim: int = key(at_least=1)
    embedding: EmbeddingConfig = field(default_factory=EmbeddingConfig)

    def multiple(self) -> int:
        """No k-mer spans two chunks, and chunks are equal."""
        return self.chunk

    def decided(self, said: Collection[str]) -> Self:
        """Return the config with ``model.embedding=auto`` decided: Word2Vec if one of its keys was said."""
        if self.embedding.kind != "auto":
            return self
        asked = any(f"model.embedding.{name}" in said for name in WORD2VEC_SETTINGS)
        kind = "word2vec" if asked else self.best_embedding
        return replace(self, embedding=replace(self.embedding, kind=kind))

    def idle(self, said: Collection[str]) -> list[str]:
        """Return those of the keys said that have no effect beside the others."""
        kind, names = self.embedding.kind, [*WORD2VEC_SETTINGS]
        if self.embedding.vectors:
            names += ["seed", "kind"]
        elif kind != "random":
            names = [*names, "seed"] if kind != "word2vec" else []
        return [key for key in (f"model.embedding.{name}" for name in names) if key in said]


@dataclass
class BioLstmConfig(KmerModelConfig):
    """Chunks of k-mers through one LSTM."""

    best_embedding: ClassVar[str] = "random"
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
    upstream: int = key(at_least=0, at_most=10_000_000)
    downstream: int = key(at_least=0, at_most=10_000_000)
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
    subsample: float = key(at_least=0, at_most=1)
    promoters: Any = key(count_or=("auto", "all"))
    workers: int = key(at_least=1)
    seed: int = key(at_least=0, at_most=2**32 - 1)
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
