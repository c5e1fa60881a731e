"""What the weights tell of a model: sizes of its layers, widths of the feature blocks, and the window."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import permutations, product
from typing import TYPE_CHECKING, Any

import numpy as np

from genexp.blocks import BLOCKS, PROMOTER
from genexp.errors import UserError
from genexp.models import InputShapes, build_model
from genexp.porting.checkpoint import Checkpoint
from genexp.porting.matching import HEAD, Pair, Side, joined_inputs, our_side, spare_rows

if TYPE_CHECKING:
    from genexp.features.kmer_vectors import KmerVectors

#: Length of the published promoters, and index of the transcription start site (TSS) in them.
PUBLISHED_LENGTH, PUBLISHED_TSS = 20_000, 10_000

#: Published windows relative to the TSS: of Pipoli et al. 2022 (doi 10.1016/j.cmpb.2022.107035) and Xpresso's public
#: weights; of Agarwal and Shendure 2020 (doi 10.1016/j.celrep.2020.107663); of Xpresso_ort and the token transformer
#: of Pipoli et al.
PUBLISHED_WINDOWS = ((-7000, 3500), (-6500, 3500), (-500, 10_000))

#: Widths of feature blocks in published checkpoints, most likely first; other blocks have any width.
PUBLISHED_WIDTHS = {"H": (8, 6), "T": (181,), "M": (2064, 100)}

#: Width of the half-life block of Xpresso's public weights. Which of the eight features these are was never published;
#: the authors' own predict_seqs.py feeds zeros, the mean of every feature.
UNNAMED_HALFLIFE = 6

Window = tuple[int, int]


@dataclass(frozen=True)
class Sizes:
    """What an imported model takes as input: the width of each feature block, and the window of the promoter.

    The window is [left, right) in coordinates of the published promoters; None without promoter.
    """

    widths: dict[str, int]
    window: Window | None

    @property
    def length(self) -> int:
        """Length of the window in nt."""
        return self.window[1] - self.window[0] if self.window else 0


def fitted_config(config: Any, checkpoint: Checkpoint) -> tuple[Any, list[str]]:
    """Return the ``model`` group with the sizes that the weights tell: embedding, vocabulary, attention."""
    found: dict[str, int] = {}
    shapes = [(layer.kind, layer.shapes) for layer in checkpoint.layers]
    norms = [shape["moving_mean"] for kind, shape in shapes if kind == "batch normalization"]
    tables = sorted(shape["embeddings"] for kind, shape in shapes if "embeddings" in shape)
    queries = [shape["kernel"] for kind, shape in shapes if kind == "attention query"]
    dense = [shape["kernel"] for kind, shape in shapes if kind == "dense"]
    if hasattr(config, "chunk") and norms:
        found["embed_dim"] = norms[0][0]
    if len(tables) == 2 and tables[0][0] in (4, 5):
        found |= {"vocab_size": tables[0][0], "embed_dim": tables[0][1]}
    if queries:
        width, found["heads"], found["key_dim"] = queries[0]
        found["depth"] = len(queries)
        # To ff_dim units and back: two layers for each block, even where both are square.
        hidden = [k[1] for n, k in enumerate(dense) if k[0] == width and (k[1], width) in dense[:n] + dense[n + 1 :]]
        if hidden and getattr(config, "ff_dim", None) not in hidden:
            found["ff_dim"] = hidden[0]
    changes = {key: value for key, value in found.items() if getattr(config, key, value) != value}
    notes = [f"model.{key}={value}, as the weights have it" for key, value in changes.items()]
    return config.model_copy(update=changes), notes


def input_shapes(config: Any, blocks: str, sizes: Sizes, vectors: KmerVectors | None) -> InputShapes:
    """Return what a model takes as input: bases, k-mer counts, or precomputed promoter embeddings."""
    if PROMOTER not in blocks:
        return InputShapes(None, sizes.widths, None)
    if not hasattr(config, "chunk"):
        return InputShapes((sizes.length,), sizes.widths)
    if vectors is not None or config.embedding.kind in ("counts", "learned"):
        found = None if vectors is None else vectors.vectors
        return InputShapes((sizes.length // config.chunk, 4**config.k), sizes.widths, "kmers", found)
    return InputShapes((sizes.length // config.chunk, config.embed_dim), sizes.widths, "embedded")


def without_unnamed(checkpoint: Checkpoint, blocks: str) -> tuple[Checkpoint, list[str]]:
    """Leave out the half-life features of Xpresso's public weights where only the promoter is asked for."""
    extra = next((n for n, shape in checkpoint.inputs.items() if shape == (UNNAMED_HALFLIFE,)), None)
    if blocks != PROMOTER or len(checkpoint.inputs) != 2 or extra is None:
        return checkpoint, []
    side, layers = Side(checkpoint.layers, checkpoint.described), list(checkpoint.layers)
    for n, layer in enumerate(layers):
        if joined_inputs(side, layer.top) == ["", extra]:
            kernel = layer.arrays["kernel"][:-UNNAMED_HALFLIFE]
            layers[n] = replace(layer, arrays={**layer.arrays, "kernel": kernel})
    inputs = {n: shape for n, shape in checkpoint.inputs.items() if n != extra}
    note = f"{UNNAMED_HALFLIFE} half-life features are left out: the model answers as if each were 0, its mean"
    return replace(checkpoint, layers=tuple(layers), inputs=inputs), [note]


def check_inputs(config: Any, blocks: str, checkpoint: Checkpoint) -> None:
    """Refuse other promoters than the model takes, and other inputs than the blocks; one may hold all features."""
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


def promoter_input(blocks: str, checkpoint: Checkpoint) -> str | None:
    """Return which input the promoter is: one named so, a table, or the longest; None if the file does not say."""
    inputs = checkpoint.inputs if PROMOTER in blocks else {}
    return max(inputs, key=lambda n: (n == BLOCKS[PROMOTER].input, len(inputs[n]), inputs[n]), default=None)


def feature_inputs(blocks: str, checkpoint: Checkpoint, widths: Sequence[int] | None) -> dict[str, str]:
    """Return the feature blocks that each input brings: ``{"input_2": "H", "input_3": "T"}``, or all in one.

    Found by the names of the inputs, then by their widths, then by their order; empty if the file does not say.
    """
    features = [letter for letter in blocks if letter != PROMOTER]
    inputs = {n: shape[0] for n, shape in checkpoint.inputs.items() if n != promoter_input(blocks, checkpoint)}
    if len(inputs) == 1:
        return dict.fromkeys(inputs, "".join(features))
    if len(inputs) != len(features):
        return {}

    def score(order: Sequence[str]) -> int:
        total = 0
        for n, (letter, name) in enumerate(zip(features, order, strict=True)):
            keys = (BLOCKS[letter].input, *BLOCKS[letter].keys)
            total += 100 * (widths is not None and widths[n] == inputs[name])
            total += 10 * any(key.lower() in name.lower() for key in keys)
            total += inputs[name] in PUBLISHED_WIDTHS.get(letter, ())
        return total

    best = max(permutations(inputs), key=score)  # of equals the first, in the order of the file
    return dict(zip(best, features, strict=True))


def fit(
    config: Any,
    blocks: str,
    checkpoint: Checkpoint,
    *,
    widths: Sequence[int] | None,
    window: Sequence[int] | None,
    vectors: KmerVectors | None,
) -> tuple[list[Sizes], Sizes]:
    """Return the sizes that go with the weights, most likely first, and some to compare the weights with if none do."""
    features = [letter for letter in blocks if letter != PROMOTER]
    stated = _stated_widths(features, blocks, checkpoint, widths)
    usual = stated or tuple(PUBLISHED_WIDTHS.get(letter, (1,))[0] for letter in features)
    windows = possible_windows(config, window, checkpoint, blocks) if PROMOTER in blocks else [None]
    theirs = Side(checkpoint.layers, checkpoint.described)
    published, free = [], []
    rows: dict[int, int] = {}
    for place in windows:
        sizes = Sizes(dict(zip(features, usual, strict=True)), place)
        if sizes.length not in rows:
            model = build_model(config, input_shapes(config, blocks, sizes, vectors))
            rows[sizes.length] = spare_rows(our_side(model), theirs) + sum(usual)
        rest = rows[sizes.length]
        known = [PUBLISHED_WIDTHS.get(letter, ()) for letter in features]
        choices: Iterable[tuple[int, ...]] = [usual] if stated or not features else product(*known)
        found = next((n for n in choices if sum(n) == rest), None)
        if found is not None:
            published.append(replace(sizes, widths=dict(zip(features, found, strict=True))))
        elif len(features) == 1 and not stated and 0 < rest <= 2 * (known[0] or (rest,))[0]:
            free.append(replace(sizes, widths={features[0]: rest}))
    fitting = published or free
    if len({tuple(found.widths.values()) for found in fitting}) > 1:
        raise UserError(
            "the weights do not tell how much of the promoter the model sees",
            where="data.window",
            received="; ".join(f"{list(s.window or ())} with widths={list(s.widths.values())}" for s in fitting),
            hint="give data.window=[LEFT,RIGHT], or widths=[...] of the feature blocks",
        )
    same = [found for found in fitting if found.length == fitting[0].length]
    return same, Sizes(dict(zip(features, usual, strict=True)), windows[0])


def _stated_widths(
    features: list[str], blocks: str, checkpoint: Checkpoint, widths: Sequence[int] | None
) -> tuple[int, ...] | None:
    """Return the widths of the feature blocks, if the user or the inputs say them."""
    if widths and len(widths) != len(features):
        expected = f"{len(features)} numbers, for {', '.join(features) or 'no block'}"
        raise UserError("widths needs one number for each feature block", where="widths", expected=expected)
    brings = {letters: name for name, letters in feature_inputs(blocks, checkpoint, widths).items()}
    if widths or not features or brings.keys() != set(features):
        return tuple(widths) if widths else None
    return tuple(checkpoint.inputs[brings[letter]][0] for letter in features)


def check_blocks(blocks: str, found: Sizes, stated: bool) -> list[str]:
    """Refuse a block that has the published width of another; return a sentence for each unpublished width."""
    notes = []
    for letter, width in found.widths.items():
        known = PUBLISHED_WIDTHS.get(letter, (width,))
        other = next((b for b, widths in PUBLISHED_WIDTHS.items() if width in widths), letter)
        if other != letter and not stated:
            raise UserError(
                f"the checkpoint does not look as if it had block {letter}",
                where=f"data={blocks}",
                received=f"{width:,} features, as block {other} has",
                hint=f"correct data=, or confirm with widths=[{','.join(map(str, found.widths.values()))}]",
            )
        if width != known[0]:
            notes.append(f"block {letter} has {width:,} features, the published data have {known[0]:,}")
        if (letter, width) == ("H", UNNAMED_HALFLIFE):
            notes.append("which features these are was not published; with data=P they are left out, as if all were 0")
    return notes


def possible_windows(config: Any, window: Sequence[int] | None, checkpoint: Checkpoint, blocks: str) -> list[Any]:
    """Return the windows that the model may have been trained on, most likely first.

    A file states the length of a window at best, never where it lies.
    """
    promoter = promoter_input(blocks, checkpoint)
    tables = [x.shapes["embeddings"][0] for x in checkpoint.layers if "embeddings" in x.arrays]
    length = max(tables) if len(tables) == 2 else None  # a vector for each position
    if promoter:
        length = checkpoint.inputs[promoter][0] * int(getattr(config, "chunk", 1))
    if window:
        windows, what = [(window[0], window[1])], "data.window does not have the length that the checkpoint states"
    else:
        relative = dict.fromkeys([tuple(config.window or PUBLISHED_WINDOWS[0]), *PUBLISHED_WINDOWS])
        windows = [(left + PUBLISHED_TSS, right + PUBLISHED_TSS) for left, right in relative]
        what = "the file does not say where its window lies, and none of this length was published"
    fitting = [w for w in windows if length in (None, w[1] - w[0])]
    if not fitting:
        raise UserError(
            what,
            where="data.window",
            expected=f"a window of {length:,} nt",
            hint=f"give data.window=[LEFT,RIGHT], in promoters of {PUBLISHED_LENGTH:,} nt with the TSS at "
            f"{PUBLISHED_TSS:,}: RIGHT - LEFT is {length:,}",
        )
    return fitting


def other_windows(fitting: list[Sizes]) -> list[str]:
    """Return a sentence where several published windows fit, of which the first is taken."""
    taken, others = ([str(list(found.window or ())) for found in part] for part in (fitting[:1], fitting[1:]))
    if not others:
        return []
    return [
        f"the file does not say where its window lies: {taken[0]} is assumed, and data.window sets it; "
        f"{' and '.join(others)} of the same length was published too"
    ]


def rows_of_head(checkpoint: Checkpoint, pairs: list[Pair], blocks: str, sizes: Sizes) -> tuple[Any, list[str]]:
    """Return the rows of their first dense layer in our order of blocks, and what of that order had to be assumed."""
    if len(blocks) == 1:
        return slice(None), []
    head = next(other for own, other in pairs if own.name == HEAD)
    brings = feature_inputs(blocks, checkpoint, list(sizes.widths.values()))
    inputs = joined_inputs(Side(checkpoint.layers, checkpoint.described), head.top)
    order, listed = "".join(brings.get(name, PROMOTER) for name in inputs), ", ".join(blocks)
    if sorted(order) != sorted(blocks):
        return slice(None), [f"the file does not say in which order its inputs are joined: {listed} is assumed"]
    spans = {PROMOTER: len(head.arrays["kernel"]) - sum(sizes.widths.values()), **sizes.widths}
    ends = dict(zip(order, np.cumsum([spans[letter] for letter in order]), strict=True))
    rows = np.concatenate([np.arange(ends[letter] - spans[letter], ends[letter]) for letter in blocks])
    return rows, [f"one input holds all features: {', '.join(sizes.widths)} is assumed"] * (len(inputs) < len(blocks))
