"""What the weights tell of a model: sizes of its layers, widths of the feature blocks, and the window."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations, product
from typing import Any, TypeVar

from genexp.blocks import BLOCKS, PROMOTER
from genexp.errors import UserError
from genexp.porting.checkpoint import Checkpoint

#: Length of the published promoters, and index of the transcription start site (TSS) in them.
PUBLISHED_LENGTH, PUBLISHED_TSS = 20_000, 10_000

#: Published windows relative to the TSS: of Pipoli et al. 2022 (doi 10.1016/j.cmpb.2022.107035), which Xpresso's public
#: weights have too; of Agarwal and Shendure 2020 (doi 10.1016/j.celrep.2020.107663); of Xpresso_ort and the token
#: transformer of Pipoli et al.
PUBLISHED_WINDOWS = ((-7000, 3500), (-6500, 3500), (-500, 10_000))

#: Widths of feature blocks in published checkpoints, most likely first; other blocks have any width.
PUBLISHED_WIDTHS = {"H": (8, 6), "T": (181,), "M": (2064, 100)}

Config = TypeVar("Config")
Window = tuple[int, int]


@dataclass(frozen=True)
class Sizes:
    """What an imported model takes as input.

    Attributes
    ----------
    widths
        Width of each feature block.
    window
        Half-open slice [left, right) of the promoter, in coordinates of the published promoters; None without promoter.
    """

    widths: dict[str, int]
    window: Window | None


def changed(config: Config, **changes: Any) -> Config:
    """Return a copy of a config with other values."""
    if hasattr(config, "model_copy"):
        return config.model_copy(update=changes)  # type: ignore[no-any-return]
    return dataclasses.replace(config, **changes)  # type: ignore[type-var]


def fitted_config(config: Config, checkpoint: Checkpoint) -> tuple[Config, list[str]]:
    """Return the ``model`` group with the sizes that the weights tell: embedding, vocabulary, attention."""
    own: Any = config
    found: dict[str, int] = {}
    shapes = [(layer.kind, layer.shapes) for layer in checkpoint.layers]
    norms = [shape["moving_mean"] for kind, shape in shapes if kind == "batch normalization"]
    tables = sorted(shape["embeddings"] for kind, shape in shapes if kind == "embedding" and "embeddings" in shape)
    queries = [shape["kernel"] for kind, shape in shapes if kind == "attention query"]
    dense = [shape["kernel"] for kind, shape in shapes if kind == "dense"]
    if hasattr(own, "chunk") and norms:
        found["embed_dim"] = norms[0][0]
    if len(tables) == 2 and tables[0][0] in (4, 5):
        found |= {"vocab_size": tables[0][0], "embed_dim": tables[0][1]}
    if queries:
        width, found["heads"], found["key_dim"] = queries[0]
        found["depth"] = len(queries)
        # To ff_dim units and back: two layers for each block, even where both are square.
        hidden = [k[1] for n, k in enumerate(dense) if k[0] == width and (k[1], width) in dense[:n] + dense[n + 1 :]]
        if hidden and getattr(own, "ff_dim", None) not in hidden:
            found["ff_dim"] = hidden[0]
    changes = {key: value for key, value in found.items() if getattr(own, key, value) != value}
    return changed(config, **changes), [
        f"model.{key}={value}, as the weights have it" for key, value in changes.items()
    ]


def promoter_input(blocks: str, checkpoint: Checkpoint) -> str | None:
    """Return which input the promoter is: one named so, a table, or the longest; None if the file does not say."""
    inputs = checkpoint.inputs
    if PROMOTER not in blocks or not inputs:
        return None
    return max(inputs, key=lambda n: (n == BLOCKS[PROMOTER].input, len(inputs[n]), inputs[n]))


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


def stated_widths(blocks: str, checkpoint: Checkpoint, widths: Sequence[int] | None) -> tuple[int, ...] | None:
    """Return the widths of the feature blocks, if the user or the inputs say them."""
    features = [letter for letter in blocks if letter != PROMOTER]
    if widths and len(widths) != len(features):
        raise UserError(
            "widths needs one number for each feature block",
            where="widths",
            expected=f"{len(features)} numbers, for {', '.join(features) or 'no block'}",
            received=list(widths),
        )
    brings = {letters: name for name, letters in feature_inputs(blocks, checkpoint, widths).items()}
    if widths or not features or brings.keys() != set(features):
        return tuple(widths) if widths else None
    return tuple(checkpoint.inputs[brings[letter]][0] for letter in features)


def possible_widths(
    blocks: str, stated: tuple[int, ...] | None, rest: int, *, published: bool
) -> tuple[int, ...] | None:
    """Return the widths of the feature blocks that add up to `rest` rows of the first dense layer.

    Those that are stated; else published ones; else published ones but for the last block, which takes what is left.
    """
    known = [PUBLISHED_WIDTHS.get(letter, ()) for letter in blocks if letter != PROMOTER]
    if stated is not None or not known:
        choices: Iterable[tuple[int, ...]] = [stated or ()]
    else:
        choices = product(*known) if published else _free(known, rest)
    return next((widths for widths in choices if sum(widths) == rest), None)


def _free(known: list[tuple[int, ...]], rest: int) -> Iterator[tuple[int, ...]]:
    # Of several blocks in one, the last is not as narrow as half-life features: those would be all there is.
    least = 0 if len(known) == 1 else max(PUBLISHED_WIDTHS["H"])
    most = 2 * known[-1][0] if known[-1] else rest
    for first in product(*known[:-1]):
        if least < rest - sum(first) <= most:
            yield (*first, rest - sum(first))


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
                expected=f"{known[0]:,} features for {letter}",
                received=f"{width:,} features, as block {other} has",
                hint=f"correct data=, or confirm with widths=[{','.join(map(str, found.widths.values()))}]",
            )
        if width != known[0]:
            notes.append(f"block {letter} has {width:,} features, the published data have {known[0]:,}")
    return notes


def possible_windows(config: Any, window: Sequence[int] | None, checkpoint: Checkpoint, blocks: str) -> list[Window]:
    """Return the windows that the model may have been trained on, most likely first.

    A file states the length of a window at best, never where it lies.

    Raises
    ------
    UserError
        If `window`, from the user, has another length, or no published window has it.
    """
    length = _length(config, checkpoint, blocks)
    if window:
        if length not in (None, window[1] - window[0]):
            raise UserError(
                "data.window does not have the length that the checkpoint states",
                where="data.window",
                expected=f"{length:,} nt",
                received=f"{window[1] - window[0]:,} nt",
            )
        return [(window[0], window[1])]
    relative = [*([tuple(config.window)] if config.window else []), *PUBLISHED_WINDOWS]
    windows = dict.fromkeys((left + PUBLISHED_TSS, right + PUBLISHED_TSS) for left, right in relative)
    fitting = [w for w in windows if length in (None, w[1] - w[0])]
    if not fitting:
        raise UserError(
            "the checkpoint does not say where its window lies, and none of this length was published",
            where="data.window",
            expected=f"a window of {length:,} nt",
            hint=f"give data.window=[LEFT,RIGHT], in promoters of {PUBLISHED_LENGTH:,} nt with the TSS at "
            f"{PUBLISHED_TSS:,}: RIGHT - LEFT is {length:,}",
        )
    return fitting


def _length(config: Any, checkpoint: Checkpoint, blocks: str) -> int | None:
    promoter = promoter_input(blocks, checkpoint)
    if promoter:
        return checkpoint.inputs[promoter][0] * int(getattr(config, "chunk", 1))
    tables = [x.shapes["embeddings"][0] for x in checkpoint.layers if "embeddings" in x.arrays]
    return max(tables) if len(tables) == 2 else None  # a vector for each position
