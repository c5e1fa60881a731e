"""The feature blocks of a gene: the only table of them. A new block is one more row."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Block:
    """One feature block.

    Attributes
    ----------
    letter
        Its letter in ``data=PHT``.
    input
        Name of the model input, and of the dataset key that genexp writes.
    title
        What it is, in words.
    keys
        Keys under which HDF5 files hold it, compared without case; the first is Xpresso's.
    features
        Column names of a block of exactly this many columns whose file names none.
    real
        Whether its columns are real numbers, standardised by `prepare`, of which a model may see a piecewise-linear
        encoding (``model.knots``).
    """

    letter: str
    input: str
    title: str
    keys: tuple[str, ...]
    features: tuple[str, ...] = ()
    real: bool = False


#: Features of the half-life block in Xpresso's order (Agarwal and Shendure 2020, Cell Reports 31, 107663).
HALFLIFE_FEATURES = ("UTR5LEN", "CDSLEN", "INTRONLEN", "UTR3LEN", "UTR5GC", "CDSGC", "UTR3GC", "ORFEXONDENSITY")

#: The promoter is the one block that is a sequence; every other is one row of numbers per gene.
PROMOTER = "P"

#: By letter, in the order in which blocks are concatenated and named.
BLOCKS: dict[str, Block] = {
    block.letter: block
    for block in (
        Block(PROMOTER, "promoter", "promoter", ("promoter",)),
        Block("H", "halflife", "half-life features", ("data", "halflife"), HALFLIFE_FEATURES, real=True),
        Block("T", "tf", "transcription factors", ("tf",)),
        Block("M", "mirna", "microRNA targets", ("micro", "mirna", "microRNA")),
    )
}


def feature_blocks() -> str:
    """Return the letters of all blocks but the promoter, in joining order."""
    return "".join(letter for letter in BLOCKS if letter != PROMOTER)


def in_order(letters: str | set[str]) -> str:
    """Return these block letters in joining order, each once: ``"THP"`` becomes ``"PHT"``."""
    return "".join(letter for letter in BLOCKS if letter in letters)


def combinations() -> list[str]:
    """Return every combination of blocks that a run may read, shortest first: P, H, T, M, PH, ..."""
    found = [""]
    for letter in BLOCKS:
        found += [head + letter for head in found]
    return sorted(found[1:], key=lambda name: (len(name), [list(BLOCKS).index(letter) for letter in name]))
