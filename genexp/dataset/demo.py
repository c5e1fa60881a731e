"""The simulated genes of ``dataset=demo`` as a dataset."""

from __future__ import annotations

from genexp.blocks import PROMOTER, in_order
from genexp.dataset.config import DemoConfig
from genexp.dataset.description import DatasetDescription, Source
from genexp.dataset.genes import SPLITS, Dataset, Split
from genexp.dataset.problems import wrong
from genexp.memory import check_size
from genexp.simulate import demo
from genexp.simulate.genes import FEATURE_NAMES
from genexp.simulate.sequence import PROMOTER_LENGTH, TSS

#: Bytes that simulating one gene takes at most, beside its promoter.
GENE_BYTES = 4000


def inspect_demo(config: DemoConfig, blocks: str) -> Source:
    """Describe the demo genes without simulating them."""
    description = DatasetDescription(
        source="demo",
        layout="simulated genes",
        genes={name: rows.stop - rows.start for name, rows in zip(SPLITS, demo.split_rows(config.genes), strict=True)},
        promoter="bases",
        promoter_length=PROMOTER_LENGTH,
        tss=TSS,
        widths={letter: len(names) for letter, names in FEATURE_NAMES.items()},
        feature_names=FEATURE_NAMES,
        unit="simulated, standardised",
    )
    if set(blocks) - set(description.blocks):
        raise wrong("the demo has no such block", "data", f"of {description.blocks}", blocks, "choose other blocks")
    size = config.genes * (GENE_BYTES + PROMOTER_LENGTH * (PROMOTER in blocks))
    check_size(size, f"dataset.genes={config.genes}", "set a smaller dataset.genes")
    return Source(description, config)


def load_demo(source: Source, config: DemoConfig, blocks: str, window: tuple[int, int] | None) -> Dataset:
    """Simulate the demo genes, by default the recommended window; their noise ceilings are those of the test genes."""
    bounds = window or demo.WINDOW
    found = demo.simulate_demo(config.genes, config.seed, in_order(blocks), bounds)
    labels, columns = found.labels[:, None], source.columns
    every = {letter: x[:, columns[letter]] if letter in columns else x for letter, x in found.blocks.items()}
    splits = {
        name: Split(found.names[rows], labels[rows], {letter: x[rows] for letter, x in every.items()})
        for name, rows in zip(SPLITS, found.splits, strict=True)
    }
    description = source.description.model_copy(update={"window": bounds if PROMOTER in blocks else None})
    return Dataset(description, splits, ceiling=found.ceilings)
