"""Which input of a checkpoint is which block, and in what order the blocks are joined to the promoter."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import permutations

import numpy as np

from genexp.dataset.genes import BLOCKS
from genexp.porting.graph import is_connected
from genexp.porting.weights import Checkpoint

#: Widths of each block in published checkpoints, most likely first. M is also published reduced to any width.
PUBLISHED_WIDTHS = {"H": (8, 6), "T": (181,), "M": (2064, 100)}

#: Words in the name of an input that tell its block.
WORDS = {"H": ("half", "halflife"), "T": ("tf", "tfs", "transcription"), "M": ("mirna", "micro", "microrna", "mir")}


def promoter_of(name: str, checkpoint: Checkpoint) -> str | None:
    """Return which input the promoter is, for the blocks ``"PHT"``: one named so, a table, or the longest list."""
    shapes = checkpoint.inputs
    if "P" not in name or not shapes:
        return None
    return max(shapes, key=lambda n: (n == BLOCKS["P"], len(shapes[n]), shapes[n][0]))


def blocks_of(name: str, checkpoint: Checkpoint, widths: Sequence[int] | None = None) -> dict[str, str]:
    """Return the blocks that each feature input brings: ``{"input_2": "H", "input_3": "T"}``, or all in one.

    Told by the names of the inputs, then by their widths, then by their order; empty if the checkpoint does not say.
    """
    blocks = [b for b in name if b != "P"]
    promoter = promoter_of(name, checkpoint)
    inputs = {n: shape[0] for n, shape in checkpoint.inputs.items() if n != promoter and len(shape) == 1}
    if len(inputs) != len(checkpoint.inputs) - (promoter is not None):
        return {}
    if len(inputs) == 1:
        return {next(iter(inputs)): "".join(blocks)}
    if len(inputs) != len(blocks):
        return {}
    expected = dict(zip(blocks, widths, strict=False)) if widths else {}

    def likely(order: Sequence[str]) -> int:
        """Count what speaks for an order of the inputs; of equals the first is taken, that of the file."""
        score = 0
        for block, one in zip(blocks, order, strict=True):
            words = set(re.split(r"[^a-z]+", one.lower()))
            score += 100 * (inputs[one] == expected.get(block))
            score += 10 * (one == BLOCKS[block] or not words.isdisjoint(WORDS[block]))
            score += inputs[one] in PUBLISHED_WIDTHS[block]
        return score

    best = max(permutations(inputs), key=likely)
    return dict(zip(best, blocks, strict=True))


def row_order(checkpoint: Checkpoint, top: str | None, rows: int, widths: Mapping[str, int]) -> np.ndarray | None:
    """Return which rows of the first dense layer belong to our promoter, H, T and M, in this order.

    Parameters
    ----------
    checkpoint
        As it was read.
    top
        The first dense layer, as the checkpoint calls it.
    rows
        Of its kernel; what the blocks leave is the encoded promoter's.
    widths
        Width of each feature block, in our order.

    Returns
    -------
    (rows,) int, or None where the checkpoint does not say how the inputs are joined.
    """
    name = "P" * (rows > sum(widths.values())) + "".join(widths)
    brings = blocks_of(name, checkpoint, list(widths.values()))
    if not brings or not is_connected(checkpoint):
        return None
    spans = {"P": rows - sum(widths.values()), **widths}
    order = "".join(_joined(checkpoint, str(top), brings))
    if sorted(order) != sorted(name):
        return None
    ends = dict(zip(order, np.cumsum([spans[block] for block in order]), strict=True))
    return np.concatenate([np.arange(ends[b] - spans[b], ends[b]) for b in name])


def _joined(checkpoint: Checkpoint, top: str, brings: Mapping[str, str]) -> list[str]:
    """Return the blocks that reach a layer, in the order in which they are joined."""
    weighted = {layer.top for layer in checkpoint.layers}
    found: list[str] = []
    for source in checkpoint.links.get(top, ()):
        if source in brings:
            parts = [brings[source]]
        elif source in weighted or not checkpoint.links.get(source):
            parts = ["P"]
        else:
            parts = _joined(checkpoint, source, brings)
        found += parts[1:] if found[-1:] == ["P"] == parts[:1] else parts
    return found
