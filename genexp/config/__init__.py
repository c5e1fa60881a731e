"""From command-line words to a typed config: composition by Hydra, validation by pydantic, help and completion.

Nothing here knows a model, a dataset or a command: a command brings its schema (`genexp.config.compose.Command`).
"""


def __getattr__(name: str):  # type: ignore[no-untyped-def] # REBUILD: removed when every module imports from its home
    from importlib import import_module

    homes = {
        "genexp.dataset.config": ("DataConfig", "DatasetConfig", "DemoConfig"),
        "genexp.models": ("ModelConfig",),
        "genexp.training.config": ("TrainingConfig", "HardwareConfig", "ExperimentConfig"),
    }
    for home, names in homes.items():
        if name in names:
            return getattr(import_module(home), name)
    if name == "KmerModelConfig":
        return import_module("genexp.models.layers.kmer_config").KmerConfig
    if name == "EmbeddingConfig":
        return import_module("genexp.models.layers.kmer_config").EmbeddingConfig
    if name == "TrainConfig":
        return import_module("genexp.training.config").RunConfig
    raise AttributeError(name)
