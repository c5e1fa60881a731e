"""Published checkpoints in: read as data, fitted to the model of their family, compared, and set into it.

`port` is all that a command or a notebook calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING

from genexp.porting.checkpoint import Checkpoint
from genexp.porting.sizes import Window

if TYPE_CHECKING:
    import keras

    from genexp.features.kmer_vectors import KmerVectors
    from genexp.models import InputShapes, ModelConfig


@dataclass(frozen=True)
class Ported:
    """A published checkpoint in a model of ours.

    Attributes
    ----------
    model
        Not compiled, with the weights of the checkpoint.
    config
        The ``model`` group with the sizes that the weights tell.
    shapes
        What the model takes as input.
    window
        Half-open slice [left, right) of promoters of 20,000 nt with the TSS at 10,000; None without promoter.
    vectors
        Those given to `port`, on which the model is built.
    checkpoint
        What was read.
    notes
        Sentences for what was not as published.
    warnings
        Sentences for what the file does not say and had to be assumed: compare the answers with the original's.
    """

    model: keras.Model
    config: ModelConfig
    shapes: InputShapes
    window: Window | None
    vectors: KmerVectors | None
    checkpoint: Checkpoint
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def port(
    path: str | PathLike[str],
    model_config: ModelConfig,
    blocks: str,
    *,
    widths: Sequence[int] | None = None,
    window: Sequence[int] | None = None,
    vectors: KmerVectors | None = None,
) -> Ported:
    """Read a published checkpoint into the model of its family; no code in the file is executed.

    Parameters
    ----------
    path
        See `genexp.porting.reading.read_checkpoint`.
    model_config
        The ``model`` group; sizes that the weights tell need not be right.
    blocks
        Letters of the blocks that the checkpoint was trained on, in joining order: ``"PH"``.
    widths
        Of the feature blocks, in order, where the file does not say them.
    window
        [left, right) in promoters of 20,000 nt with the TSS at 10,000, where none or several published ones fit.
    vectors
        The k-mer vectors of the original, for a model that takes k-mer counts; None for precomputed embeddings.

    Raises
    ------
    UserError
        If the checkpoint is missing or damaged, belongs to another model, or has other settings; and where it does
        not tell a size, naming the key that sets it.
    """
    from genexp.models import build_model
    from genexp.porting import matching, sizes
    from genexp.porting.reading import read_checkpoint

    checkpoint = read_checkpoint(str(path))
    config, notes = sizes.fitted_config(model_config, checkpoint)
    checkpoint, warnings = sizes.without_unnamed(checkpoint, blocks)
    sizes.check_inputs(config, blocks, checkpoint)
    found, fallback = sizes.fit(config, blocks, checkpoint, widths=widths, window=window, vectors=vectors)
    chosen = found[0] if found else fallback
    notes += sizes.check_blocks(blocks, chosen, bool(widths)) if found else []
    shapes = sizes.input_shapes(config, blocks, chosen, vectors)
    model = build_model(config, shapes)
    ours, theirs = matching.our_side(model), matching.Side(checkpoint.layers, checkpoint.described)
    pairs, missing, rest = matching.pair(ours, theirs)
    if missing or rest:
        raise matching.mismatch(checkpoint, config, ours, theirs)
    matching.check_order(checkpoint, pairs)
    warnings += matching.check_settings(checkpoint, ours, theirs, pairs)
    rows, assumed = sizes.rows_of_head(checkpoint, pairs, blocks, chosen)
    matching.set_weights(pairs, rows)
    if shapes.promoter_kind != "embedded":
        assumed += sizes.other_windows(found)
    return Ported(model, config, shapes, chosen.window, vectors, checkpoint, tuple(notes), tuple(warnings + assumed))
