"""From a checkpoint and a model's config to the inputs that both agree on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from genexp.blocks import PROMOTER
from genexp.errors import UserError
from genexp.models import InputShapes, build_model
from genexp.porting.checkpoint import Checkpoint
from genexp.porting.description import joined
from genexp.porting.matching import HEAD, Pair, Side, our_side, spare_rows
from genexp.porting.sizes import (
    PUBLISHED_WIDTHS,
    Sizes,
    Window,
    feature_inputs,
    possible_widths,
    possible_windows,
    promoter_input,
    stated_widths,
)

if TYPE_CHECKING:
    from genexp.features.kmer_vectors import KmerVectors

#: Width of the half-life block of Xpresso's public weights. Which of the eight features these are was never published;
#: the authors' own predict_seqs.py feeds zeros, the mean of every feature.
UNNAMED_HALFLIFE = 6


def input_shapes(config: Any, blocks: str, sizes: Sizes, vectors: KmerVectors | None) -> InputShapes:
    """Return what a model takes as input: bases, k-mer counts, or precomputed promoter embeddings."""
    if PROMOTER not in blocks or sizes.window is None:
        return InputShapes(None, sizes.widths, None)
    length = sizes.window[1] - sizes.window[0]
    if not hasattr(config, "chunk"):
        return InputShapes((length,), sizes.widths)
    if vectors is not None or config.embedding.kind in ("counts", "learned"):
        found = None if vectors is None else vectors.vectors
        return InputShapes((length // config.chunk, 4**config.k), sizes.widths, "kmers", found)
    return InputShapes((length // config.chunk, config.embed_dim), sizes.widths, "embedded")


def fit(
    config: Any,
    blocks: str,
    checkpoint: Checkpoint,
    *,
    widths: Sequence[int] | None,
    window: Sequence[int] | None,
    vectors: KmerVectors | None,
) -> tuple[list[Sizes], Sizes]:
    """Return the sizes that go with the weights, most likely first, and some to compare the weights with if none do.

    Raises
    ------
    UserError
        If windows of several lengths go with the weights.
    """
    features = [letter for letter in blocks if letter != PROMOTER]
    stated = stated_widths(blocks, checkpoint, widths)
    usual = stated or tuple(PUBLISHED_WIDTHS.get(letter, (1,))[0] for letter in features)
    windows: list[Window | None] = [None]
    if PROMOTER in blocks:
        windows = list(possible_windows(config, window, checkpoint, blocks))
    theirs = Side(checkpoint.layers, checkpoint.described)
    rows: dict[int, int | None] = {}
    fallback = Sizes(dict(zip(features, usual, strict=True)), windows[0])
    for left, right in (w or (0, 0) for w in windows):
        if right - left not in rows:
            ours = replace(fallback, window=(left, right))
            spare = spare_rows(our_side(build_model(config, input_shapes(config, blocks, ours, vectors))), theirs)
            rows[right - left] = None if spare is None else spare + sum(usual)
    for published in (True, False):
        fitting = []
        for w in windows:
            rest = rows[w[1] - w[0] if w else 0]
            found = None if rest is None else possible_widths(blocks, stated, rest, published=published)
            if found is not None:
                fitting.append(Sizes(dict(zip(features, found, strict=True)), w))
        if fitting:
            return _one_length(fitting), fallback
    return [], fallback


def _one_length(fitting: list[Sizes]) -> list[Sizes]:
    """Refuse windows of several lengths, which go with several widths."""
    by_widths = {tuple(found.widths.values()): found.window for found in fitting}
    if len(by_widths) > 1:
        raise UserError(
            "the weights do not tell how much of the promoter the model sees",
            where="data.window",
            received="; ".join(f"{w} with widths={list(n)}".replace(" ", "") for n, w in by_widths.items()),
            hint="give data.window=[LEFT,RIGHT], or widths=[...] of the feature blocks",
        )
    return fitting


def check_inputs(config: Any, blocks: str, checkpoint: Checkpoint) -> None:
    """Refuse other promoters than the model takes, and blocks that are fewer or more than the inputs.

    One input may hold all feature blocks.
    """
    promoter = promoter_input(blocks, checkpoint)
    shape = checkpoint.inputs[promoter] if promoter else ()
    if len(shape) == 2 and (shape[1] == 4) == hasattr(config, "chunk"):
        raise UserError(
            f"model={config.name} does not take the promoters that this checkpoint takes",
            where=f"checkpoint={checkpoint.path}",
            expected="precomputed promoter embeddings" if hasattr(config, "chunk") else "one-hot bases or tokens",
            received=f"promoters of shape {list(shape)}",
            hint="choose the model= that the checkpoint was made with",
        )
    has, together = len(checkpoint.inputs), 1 + (PROMOTER in blocks)
    if has and has != len(blocks) and not has == together < len(blocks):
        raise UserError(
            "the checkpoint has other inputs than these blocks",
            where=f"data={blocks}",
            expected=f"{len(blocks)} inputs",
            received=f"{has}: " + ", ".join(f"{n} {list(s)}" for n, s in checkpoint.inputs.items()),
            hint="name the blocks that it was trained on with data=",
        )


def without_unnamed(checkpoint: Checkpoint, blocks: str) -> tuple[Checkpoint, list[str]]:
    """Leave out the half-life features of Xpresso's public weights where only the promoter is asked for."""
    extra = next((n for n, shape in checkpoint.inputs.items() if shape == (UNNAMED_HALFLIFE,)), None)
    if blocks != PROMOTER or len(checkpoint.inputs) != 2 or extra is None:
        return checkpoint, []
    side = Side(checkpoint.layers, checkpoint.described)
    layers = list(checkpoint.layers)
    for n, layer in enumerate(layers):
        if _joined(side, layer.top) == ["", extra]:
            shorter = {**layer.arrays, "kernel": layer.arrays["kernel"][:-UNNAMED_HALFLIFE]}
            layers[n] = replace(layer, arrays=shorter)
    inputs = {n: shape for n, shape in checkpoint.inputs.items() if n != extra}
    note = f"{UNNAMED_HALFLIFE} half-life features are left out: the model answers as if each were 0, its mean"
    return replace(checkpoint, layers=tuple(layers), inputs=inputs), [note]


def rows_of_head(checkpoint: Checkpoint, pairs: list[Pair], blocks: str, sizes: Sizes) -> tuple[Any, list[str]]:
    """Return the rows of their first dense layer in our order of blocks, and what of that order had to be assumed."""
    head = next(other for own, other in pairs if own.name == HEAD)
    if len(blocks) == 1:
        return slice(None), []
    brings = feature_inputs(blocks, checkpoint, list(sizes.widths.values()))
    order = "".join(
        brings.get(name, PROMOTER) for name in _joined(Side(checkpoint.layers, checkpoint.described), head.top)
    )
    if sorted(order) != sorted(blocks):
        return slice(None), [
            f"the file does not say in which order its inputs are joined: {', '.join(blocks)} is assumed"
        ]
    spans = {PROMOTER: len(head.arrays["kernel"]) - sum(sizes.widths.values()), **sizes.widths}
    ends = dict(zip(order, np.cumsum([spans[letter] for letter in order]), strict=True))
    rows = np.concatenate([np.arange(ends[letter] - spans[letter], ends[letter]) for letter in blocks])
    several = next((letters for letters in brings.values() if len(letters) > 1), None)
    return rows, [f"one input holds several blocks: {', '.join(several)} is assumed"] if several else []


def _joined(side: Side, top: str | None) -> list[str]:
    """Return the inputs that reach a layer, in order; ``""`` is the encoded promoter."""
    weighted = {layer.top for layer in side.layers}
    return list(dict.fromkeys(joined(side.described, weighted, top))) if top and top in side.described else []
