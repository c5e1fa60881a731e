"""Published checkpoints in: read as data, fitted to the model of their family, compared, and set into it."""

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
    """A published checkpoint in a model of ours, not compiled, with its weights.

    `config`: the ``model`` group with the sizes that the weights tell. `window`: [left, right) of promoters of 20,000
    nt with the TSS at 10,000; None without promoter. `notes`: what was not as published; `warnings`: what the file
    does not say and had to be assumed. Both are sentences.
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
    labels: int | None = None,
) -> Ported:
    """Read a published checkpoint into the model of its family.

    `blocks`: letters of the blocks that it was trained on, in joining order; `widths`: of the feature blocks, where
    the file does not say them; `window` as in `Ported`; `vectors`: for a model that takes k-mer counts; `labels`: the
    number of outputs, for a file of weights alone.
    """
    from genexp.models import build_model
    from genexp.porting import matching, sizes
    from genexp.porting.reading import read_checkpoint

    checkpoint = read_checkpoint(str(path))
    config, notes = sizes.fitted_config(model_config, checkpoint)
    said = sizes.stated(config, blocks, checkpoint, widths, labels)
    fitting = sizes.fit(config, blocks, checkpoint, said, window, vectors)
    notes += sizes.check_blocks(blocks, fitting[0], bool(widths))
    shapes = sizes.input_shapes(config, fitting[0].widths, sizes.length_of(fitting[0].window), vectors, said.labels)
    model = build_model(config, shapes)
    ours = matching.our_side(model)
    pairs, missing, _ = matching.pair(ours, checkpoint, said.surplus)
    if missing:
        raise matching.mismatch(config, ours, checkpoint)
    matching.check_order(checkpoint, pairs)
    warnings = [*said.warnings, *matching.check_settings(ours, checkpoint, pairs)]
    matching.set_weights(pairs)
    if shapes.promoter_kind != "embedded":
        warnings += sizes.other_windows(fitting)
    return Ported(model, config, shapes, fitting[0].window, vectors, checkpoint, tuple(notes), tuple(warnings))
