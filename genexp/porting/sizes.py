"""What the weights themselves tell of a model: widths of the feature blocks, window, embedding."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, product
from typing import Any

from genexp.config import DataConfig, KmerModelConfig
from genexp.errors import UserError
from genexp.porting.joining import PUBLISHED_WIDTHS, blocks_of, promoter_of
from genexp.porting.weights import Checkpoint, LayerWeights

#: Index of the transcription start site in the published promoters, and their length.
PUBLISHED_TSS, PUBLISHED_LENGTH = 10_000, 20_000

#: Published windows, relative to the TSS.
PUBLISHED_WINDOWS = ((-7000, 3500), (-6500, 3500), (-500, 10_000))


@dataclass(frozen=True)
class Sizes:
    """What an imported model is fed with.

    Attributes
    ----------
    window
        Half-open slice [left, right) of the promoter, in coordinates of the published promoters; None without bases.
    chunks
        Number of chunks of a promoter of k-mers, else None.
    widths
        Width of each feature block.
    told
        Sentences for what was not as published, or had to be guessed.
    """

    window: tuple[int, int] | None
    chunks: int | None
    widths: dict[str, int]
    told: tuple[str, ...] = ()


def fitted_config(model: Any, checkpoint: Checkpoint) -> tuple[Any, list[str]]:
    """Return the ``model`` group with the sizes that checkpoints vary in: embedding, vocabulary, attention."""
    changes: dict[str, int] = {}
    if isinstance(model, KmerModelConfig):
        norm = next((x for x in checkpoint.layers if "moving_mean" in x.arrays), None)
        if norm is not None:
            changes["embed_dim"] = len(norm.arrays["moving_mean"])
    if model.name == "token_transformer":
        tables = token_tables(checkpoint)
        if len(tables) == 2 and min(tables)[0] in (4, 5):
            changes |= {"vocab_size": min(tables)[0], "embed_dim": min(tables)[1]}
    if hasattr(model, "heads"):
        changes |= attention_sizes(model, checkpoint)
    changes = {key: value for key, value in changes.items() if getattr(model, key) != value}
    return replace(model, **changes), [f"model.{key}={value}, as the weights have it" for key, value in changes.items()]


def attention_sizes(model: Any, checkpoint: Checkpoint) -> dict[str, int]:
    """Return number and size of the heads, of the hidden feed-forward layer, and the number of encoder blocks."""
    queries = [x.shapes["kernel"] for x in checkpoint.layers if x.part == "query"]
    if not queries or len(queries[0]) != 3:
        return {}
    width, heads, key_dim = queries[0]
    found = {"heads": heads, "key_dim": key_dim}
    if hasattr(model, "depth"):
        found["depth"] = len(queries)
    dense = [x.shapes["kernel"] for x in checkpoint.layers if _is_dense(x)]
    # To ff_dim units and back: two layers for each block, even where both are square.
    hidden = [k[1] for n, k in enumerate(dense) if k[0] == width and (k[1], width) in dense[:n] + dense[n + 1 :]]
    if hidden and model.ff_dim not in hidden:
        found["ff_dim"] = hidden[0]
    return found


def token_tables(checkpoint: Checkpoint) -> list[tuple[int, ...]]:
    """Return the shapes of the token and the position embedding; genexp saves both as one layer."""
    return [
        shape
        for layer in checkpoint.layers
        for role, shape in layer.shapes.items()
        if role == "embeddings" or (role in ("kernel", "bias") and [len(s) for s in layer.shapes.values()] == [2, 2])
    ]


def find_sizes(model: Any, data: DataConfig, checkpoint: Checkpoint, widths: list[int] | None) -> Sizes:
    """Tell what the model was fed with, from its inputs where the checkpoint says them, else from its weights.

    Parameters
    ----------
    model, data
        Groups of the config; ``data.window``, if given, is in coordinates of the published promoters.
    checkpoint
        As it was read.
    widths
        Widths of the feature blocks, if the user says them.
    """
    blocks = [b for b in data.name if b != "P"]
    if widths and len(widths) != len(blocks):
        raise UserError(
            "widths says not one width for each feature block",
            where="widths",
            expected=f"{len(blocks)} numbers, for {', '.join(blocks) or 'no block'}",
            received=widths,
            do="for example widths=[8,181] with data=PHT",
        )
    check_inputs(model, data.name, checkpoint)
    total = head_width(model, checkpoint)
    promoter, told = input_shapes(data.name, checkpoint, widths)
    said = widths or told
    candidates: list[tuple[tuple[int, int] | None, int | None]] = [(None, None)]
    if "P" in data.name:
        candidates = list(_windows(model, data, promoter, checkpoint))
    for guesses in [lambda _: [tuple(said)]] if said else [lambda _: _published(blocks), lambda r: _free(blocks, r)]:
        fitting: dict[tuple[int, ...], Sizes] = {}  # by widths: where the window lies, the weights do not tell
        for window, chunks in candidates:
            rest = (total or 0) - encoded_width(model, window)
            fits = next((guess for guess in guesses(rest) if sum(guess) == rest), None)
            if fits is not None:
                found = Sizes(window, chunks, dict(zip(blocks, fits, strict=True)), tuple(_told(blocks, fits)))
                fitting.setdefault(tuple(fits), found)
        if fitting:
            return checked(data.name, list(fitting.values()), confirmed=bool(widths))
    # Nothing fits; the published sizes, so that the weights can be compared layer by layer.
    window, chunks = candidates[0]
    return Sizes(window, chunks, dict(zip(blocks, said or next(_published(blocks)), strict=True)))


def check_inputs(model: Any, name: str, checkpoint: Checkpoint) -> None:
    """Refuse other promoters than the model reads, and blocks that are fewer or more than the inputs.

    One input may hold all feature blocks.
    """
    promoter = promoter_of(name, checkpoint)
    shape = checkpoint.inputs[promoter] if promoter else ()
    if len(shape) == 2 and (shape[1] == 4) == isinstance(model, KmerModelConfig):
        raise UserError(
            f"model={model.name} does not read what this checkpoint does",
            where=f"checkpoint={checkpoint.path} and model={model.name}",
            expected="chunks of an embedded promoter" if shape[1] == 4 else "one-hot bases or tokens",
            received=f"promoters of shape {list(shape)}",
            do="choose the model= that the checkpoint was made with",
        )
    wanted, has = len(name), len(checkpoint.inputs)
    joined = 1 + ("P" in name)
    if has and has != wanted and not (has == joined and wanted > joined):
        shapes = ", ".join(f"{n} {list(shape)}" for n, shape in checkpoint.inputs.items())
        raise UserError(
            "the checkpoint has other inputs than these blocks",
            where=f"data={name}",
            expected=f"{wanted} inputs",
            received=f"{has}: {shapes}",
            do="name the blocks that it was trained on with data=",
        )


def input_shapes(
    name: str, checkpoint: Checkpoint, widths: list[int] | None = None
) -> tuple[tuple[int, ...] | None, list[int] | None]:
    """Return the shape of the promoter and the widths of the feature blocks, as far as the checkpoint says them."""
    promoter = promoter_of(name, checkpoint)
    inputs = {block: one for one, block in blocks_of(name, checkpoint, widths).items()}
    blocks = [b for b in name if b != "P"]
    told = [checkpoint.inputs[inputs[b]][0] for b in blocks] if blocks and inputs.keys() == set(blocks) else None
    return checkpoint.inputs[promoter] if promoter else None, told


def _published(blocks: list[str]) -> Iterator[tuple[int, ...]]:
    """Yield the widths of published checkpoints, most likely first."""
    yield from product(*(PUBLISHED_WIDTHS[b] for b in blocks))


def _free(blocks: list[str], rest: int) -> Iterator[tuple[int, ...]]:
    """Yield published widths, the last block taking what is left."""
    for first in product(*(PUBLISHED_WIDTHS[b] for b in blocks[:-1])):
        left = rest - sum(first)
        # Of several blocks in one, the last is not as narrow as half-lives: those would be all there is.
        least = 0 if len(blocks) == 1 else max(PUBLISHED_WIDTHS["H"])
        if blocks and least < left <= PUBLISHED_WIDTHS[blocks[-1]][0] * 2:
            yield (*first, left)


def checked(name: str, fitting: list[Sizes], *, confirmed: bool) -> Sizes:
    """Return the sizes that fit the weights; refuse several, and a block that has the width of another."""
    if len(fitting) > 1:
        both = [f"window {list(s.window or ())} with widths={_packed(list(s.widths.values()))}" for s in fitting]
        raise UserError(
            "the weights do not tell how much of the promoter the model reads",
            where="data.window",
            expected="one window whose rows, and those of the blocks, add up to the first dense layer",
            received="; ".join(both),
            do="give data.window=[LEFT,RIGHT], or widths=[...] of the feature blocks",
        )
    for block, width in fitting[0].widths.items():
        other = next((b for b, known in PUBLISHED_WIDTHS.items() if width in known), block)
        if other != block and not confirmed:
            raise UserError(
                f"the checkpoint does not look as if it had block {block}",
                where=f"data={name}",
                expected=f"{PUBLISHED_WIDTHS[block][0]:,} features for {block}",
                received=f"{width:,} features, as block {other} has",
                do="name the blocks it was trained on (data=), or confirm with "
                f"widths={_packed(list(fitting[0].widths.values()))}",
            )
    return fitting[0]


def _packed(numbers: Sequence[int]) -> str:
    """Return a list as it is typed on a command line."""
    return f"[{','.join(map(str, numbers))}]"


def _told(blocks: list[str], widths: tuple[int, ...]) -> Iterator[str]:
    for block, width in zip(blocks, widths, strict=True):
        if width != PUBLISHED_WIDTHS[block][0]:
            yield f"block {block} has {width:,} features, where the published data have {PUBLISHED_WIDTHS[block][0]:,}"


def head_width(model: Any, checkpoint: Checkpoint) -> int | None:
    """Return the number of rows of the first dense layer of the head, or None if no layer has its size.

    Of several layers with as many units it is the one that is not among the others that the model must have.
    """
    sizes = model.dense if isinstance(model.dense, list) else [model.dense]
    left = [x.shapes["kernel"] for x in checkpoint.layers if _is_dense(x)]
    others = list(pairwise(sizes))
    if hasattr(model, "ff_dim"):
        others += [(model.embed_dim, model.ff_dim), (model.ff_dim, model.embed_dim)]
    for other in others:
        if other in left and sum(k[1] == sizes[0] for k in left) > 1:
            left.remove(other)
    return max((int(rows) for rows, units in left if units == sizes[0]), default=None)


def _is_dense(layer: LayerWeights) -> bool:
    ranks = {role: array.ndim for role, array in layer.arrays.items()}
    return ranks == {"kernel": 2, "bias": 1}


def encoded_width(model: Any, window: tuple[int, int] | None) -> int:
    """Return how many numbers a model makes of a promoter, before the feature blocks are joined to them."""
    length = window[1] - window[0] if window else 0
    widths: dict[str, Callable[[], int]] = {
        "xpresso": lambda: length // model.pools[0] // model.pools[1] * model.filters[1],
        "divide_et_impera": lambda: (
            length // model.parts // model.pool // model.pool * model.parts // model.pool * model.filters
        ),
        "biolstm": lambda: model.units,
        "transformer": lambda: model.embed_dim,
        "token_transformer": lambda: length // model.pools[0] // model.pools[1] * model.embed_dim,
        "fc_net": lambda: 0,
    }
    return widths[model.name]()


def _windows(
    model: Any, data: DataConfig, promoter: tuple[int, ...] | None, checkpoint: Checkpoint
) -> Iterator[tuple[tuple[int, int], int | None]]:
    """Yield the windows (and numbers of chunks) that the model may have been trained on, most likely first."""
    length = None
    if promoter:
        length = promoter[0] * (model.chunk if isinstance(model, KmerModelConfig) else 1)
    elif model.name == "token_transformer":  # it has a vector for each position
        length = max((rows for rows, _ in token_tables(checkpoint)), default=None)
    relative = [tuple(model.window or PUBLISHED_WINDOWS[0]), *PUBLISHED_WINDOWS]
    windows = [(left + PUBLISHED_TSS, right + PUBLISHED_TSS) for left, right in relative]
    if data.window:
        windows = [(data.window[0], data.window[1])]
    elif length is not None and all(right - left != length for left, right in windows):
        windows = [(windows[0][1] - length, windows[0][1])]
    for left, right in windows:
        if length is not None and right - left != length:
            if not data.window:
                continue
            raise UserError(
                "data.window does not have the length that the checkpoint says",
                where="data.window",
                expected=f"{length:,} nt",
                received=f"{right - left:,} nt",
                do="correct data.window, or leave it out",
            )
        if (right - left) % model.multiple() == 0:
            chunks = (right - left) // model.chunk if isinstance(model, KmerModelConfig) else None
            yield (left, right), chunks
