"""What the weights tell of a model: sizes of its layers, widths of the feature blocks, and the window."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

from genexp.blocks import BLOCKS, PROMOTER
from genexp.errors import UserError
from genexp.models import InputShapes, build_model
from genexp.models.layers.kmer_config import KmerConfig
from genexp.porting.checkpoint import Checkpoint
from genexp.porting.matching import check_kinds, our_side, spare_rows

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


class Sizes(NamedTuple):
    """The width of each feature block, and the window [left, right) of published promoters; None without promoter."""

    widths: dict[str, int]
    window: Window | None


def length_of(window: Sequence[int] | None) -> int:
    """Return the length of a window in nt, 0 without promoter."""
    return window[1] - window[0] if window else 0


class Stated(NamedTuple):
    """What file and user say of the inputs: length of the promoter in nt, and widths of the features; None if nothing.

    `surplus`: features that are left out. `warnings`: sentences for the user. `labels`: the number of outputs.
    """

    length: int | None
    widths: tuple[int, ...] | None
    surplus: int = 0
    warnings: tuple[str, ...] = ()
    labels: int = 1


def fitted_config(config: Any, checkpoint: Checkpoint) -> tuple[Any, list[str]]:
    """Return the ``model`` group with the sizes that the weights tell: embedding, vocabulary, attention."""
    if config.branch:
        hint = "use its run directory, or the folder of genexp export format=hub, in place of a run"
        where = f"model={config.name}, model.branch={config.branch}"
        raise UserError("a model with branches is none of the published and cannot be imported", where=where, hint=hint)
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


def input_shapes(
    config: Any, widths: dict[str, int], length: int, vectors: KmerVectors | None, labels: int
) -> InputShapes:
    """Return what a model takes as input: bases (their number in nt, 0 for none), k-mers, or precomputed embeddings."""
    if not length:
        return InputShapes(None, widths, None, labels=labels)
    if not hasattr(config, "chunk"):
        return InputShapes((length,), widths, labels=labels)
    chunks, kind = length // config.chunk, config.embedding.kind if isinstance(config, KmerConfig) else "counts"
    if vectors is None and kind not in ("counts", "learned"):
        return InputShapes((chunks, config.embed_dim), widths, "embedded", labels=labels)
    found = None if vectors is None else vectors.vectors
    return InputShapes((chunks, 4**config.k), widths, "kmers", found, labels)


def outputs_of(checkpoint: Checkpoint, labels: int | None = None) -> int:
    """Return the number of outputs: the units of the last dense layer, or of the only one that feeds no other.

    `labels` are those that the user names, which count where the weights do not tell.
    """
    kernels = [layer.shapes["kernel"] for layer in checkpoint.layers if layer.kind == "dense"]
    if kernels and checkpoint.description.layers:
        return kernels[-1][1]
    ends = {units for _, units in kernels} - {rows for rows, _ in kernels}
    return ends.pop() if len(ends) == 1 else labels or 1


def stated(
    config: Any, blocks: str, checkpoint: Checkpoint, widths: Sequence[int] | None, labels: int | None = None
) -> Stated:
    """Return what file and user say of the inputs; refuse other inputs than the blocks, or another order of them."""
    features, inputs = blocks.replace(PROMOTER, ""), checkpoint.description.inputs
    if widths and len(widths) != len(features):
        expected = f"{len(features)} numbers, for {', '.join(features) or 'no block'}"
        raise UserError("widths needs one number for each feature block", where="widths", expected=expected)
    given = tuple(widths) if widths else None if features else ()
    if not inputs:
        tables = [layer.shapes["embeddings"][0] for layer in checkpoint.layers if "embeddings" in layer.arrays]
        length = max(tables) if len(tables) == 2 else None  # a vector for each position
        assumed = f"the file does not say in which order its inputs are joined: {', '.join(blocks)} is assumed"
        return Stated(length, given, warnings=(assumed,) * (len(blocks) > 1), labels=outputs_of(checkpoint, labels))
    # The promoter's is the input of that name, or a table, or the longest.
    size = {name: (name == BLOCKS[PROMOTER].input, len(shape), shape) for name, shape in inputs.items()}
    promoter = max(inputs, key=lambda name: size[name]) if PROMOTER in blocks else ""
    length = inputs[promoter][0] * int(getattr(config, "chunk", 1)) if promoter else None
    order = _joined(checkpoint, promoter) or [""] * bool(promoter)
    found = tuple(inputs[name][0] for name in order if name)
    if blocks == PROMOTER and order == ["", order[-1]] and found == (UNNAMED_HALFLIFE,):
        left_out = f"{found[0]} half-life features are left out: the model answers as if each were 0, its mean"
        return Stated(length, (), found[0], (left_out,), outputs_of(checkpoint))
    if len(found) != len(features) or "" in order[1:] or (order[0] == "") != bool(promoter):
        raise UserError(
            "the checkpoint has other inputs than these blocks, or joins them in another order",
            where=f"data={blocks}",
            expected=", ".join(blocks),
            received=", ".join(f"{name} {list(inputs[name])}" if name else "promoter" for name in order),
            hint="name the blocks that it was trained on with data=",
        )
    return Stated(length, given or found, labels=outputs_of(checkpoint))


def _joined(checkpoint: Checkpoint, promoter: str) -> list[str]:
    """Return the inputs as the first dense layer joins them, ``""`` for the encoded promoter; empty if none are."""
    weighted = {layer.top for layer in checkpoint.layers}
    for layer in checkpoint.layers:
        if layer.kind == "dense" and layer.top in checkpoint.description.layers:
            found = checkpoint.description.joined(str(layer.top), weighted)
            if set(found) - {"", promoter}:
                return found
    return []


def fit(
    config: Any,
    blocks: str,
    checkpoint: Checkpoint,
    said: Stated,
    window: Sequence[int] | None,
    vectors: KmerVectors | None,
) -> list[Sizes]:
    """Return the sizes that go with the weights, most likely first; if none do, some to compare the weights with."""
    features = blocks.replace(PROMOTER, "")
    known = [PUBLISHED_WIDTHS.get(letter, ()) for letter in features]
    usual = tuple((*widths, 1)[0] for widths in known) if said.widths is None else said.widths
    choices = product(*known) if said.widths is None else [usual]
    widths_of = {sum(widths): widths for widths in reversed([usual, *choices])}

    @cache
    def rows_of_features(length: int) -> int:
        widths = dict(zip(features, usual, strict=True))
        ours = our_side(build_model(config, input_shapes(config, widths, length, vectors, said.labels)))
        check_kinds(config.name, ours, checkpoint)
        return spare_rows(ours, checkpoint) + sum(usual) - said.surplus

    published, free = [], []
    places: list[Window | None] = [None]
    if PROMOTER in blocks:
        rows_of_features(length_of(window or PUBLISHED_WINDOWS[0]))  # another architecture is refused before its window
        places = _windows(config, window, said.length)
    for place in places:
        rows = rows_of_features(length_of(place))
        if rows in widths_of:
            published.append(Sizes(dict(zip(features, widths_of[rows], strict=True)), place))
        elif len(features) == 1 and said.widths is None and 0 < rows <= 2 * (*known[0], rows)[0]:
            free.append(Sizes({features[0]: rows}, place))
    fitting = published or free or [Sizes(dict(zip(features, usual, strict=True)), places[0])]
    if any(found.widths != fitting[0].widths for found in fitting):
        raise UserError(
            "the weights do not tell how much of the promoter the model sees",
            where="data.window",
            received="; ".join(f"{list(s.window or ())} with widths={list(s.widths.values())}" for s in fitting),
            hint="give data.window=[LEFT,RIGHT], or widths=[...] of the feature blocks",
        )
    return [found for found in fitting if length_of(found.window) == length_of(fitting[0].window)]


def _windows(config: Any, window: Sequence[int] | None, length: int | None) -> list[Window | None]:
    """Return the window of the user, or all published ones of the length that the file states, most likely first."""
    relative = dict.fromkeys([tuple(config.window or PUBLISHED_WINDOWS[0]), *PUBLISHED_WINDOWS])
    published = [(left + PUBLISHED_TSS, right + PUBLISHED_TSS) for left, right in relative]
    found = [w for w in ([(window[0], window[1])] if window else published) if length in (None, length_of(w))]
    if not found:
        unknown = "the file does not say where its window lies, and none of this length was published"
        raise UserError(
            "data.window does not have the length that the checkpoint states" if window else unknown,
            where="data.window",
            expected=f"a window of {length:,} nt",
            hint=f"give data.window=[LEFT,RIGHT], in promoters of {PUBLISHED_LENGTH:,} nt with the TSS at "
            f"{PUBLISHED_TSS:,}: RIGHT - LEFT is {length:,}",
        )
    return [*found]


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


def other_windows(fitting: list[Sizes]) -> list[str]:
    """Return a sentence where several published windows fit, of which the first is taken."""
    taken, *others = [str(list(found.window or ())) for found in fitting]
    return [
        f"the file does not say where its window lies: {taken} is assumed, and data.window sets it; "
        f"{' and '.join(others)} of the same length was published too"
    ] * bool(others)
