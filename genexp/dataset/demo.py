"""The simulated genes of ``dataset=demo`` as a dataset."""

from __future__ import annotations

from genexp.blocks import PROMOTER, in_order
from genexp.dataset.description import DatasetDescription
from genexp.dataset.genes import SPLITS, Dataset, Split
from genexp.errors import UserError
from genexp.simulate import demo
from genexp.simulate.genes import FEATURE_NAMES
from genexp.simulate.sequence import PROMOTER_LENGTH, TSS


def demo_info(genes: int) -> DatasetDescription:
    """Describe the demo genes without simulating them.

    Parameters
    ----------
    genes
        Number of genes in all splits together.

    Raises
    ------
    UserError
        If there are too few genes for three splits.
    """
    return DatasetDescription(
        source="demo",
        layout="simulated genes",
        genes={name: rows.stop - rows.start for name, rows in zip(SPLITS, demo.split_rows(genes), strict=True)},
        promoter="bases",
        promoter_length=PROMOTER_LENGTH,
        tss=TSS,
        widths={letter: len(names) for letter, names in FEATURE_NAMES.items()},
        feature_names=FEATURE_NAMES,
    )


def load_demo(genes: int, seed: int, blocks: str, window: tuple[int, int] | None) -> Dataset:
    """Simulate the demo genes; ``Dataset.ceiling`` is the noise ceiling on the test genes, by combination of blocks.

    Parameters are those of `genexp.simulate.demo.simulate_demo`; without a window the recommended one is used.

    Raises
    ------
    UserError
        If there are too few genes, a block is not simulated, or the window does not fit the promoter.
    """
    info = demo_info(genes)
    if not blocks or set(blocks) - set(info.blocks):
        raise UserError("the demo has no such block", where="data", expected=f"of {info.blocks}", received=blocks)
    bounds = window or demo.WINDOW
    found = demo.simulate_demo(genes, seed, in_order(blocks), bounds)
    splits = {
        name: Split(found.names[rows], found.labels[rows], {letter: x[rows] for letter, x in found.blocks.items()})
        for name, rows in zip(SPLITS, found.splits, strict=True)
    }
    described = info.model_copy(update={"window": bounds if PROMOTER in blocks else None})
    return Dataset(described, splits, ceiling=found.ceilings)
