"""Which training genes are changed from epoch to epoch, and for which data that makes sense."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from genexp.dataset.description import DatasetDescription
from genexp.errors import UserError
from genexp.features.kmers import chunk_counts
from genexp.models import InputShapes
from genexp.models.layers.kmer_config import CountConfig

if TYPE_CHECKING:
    from genexp.dataset.batches import Augmentation
    from genexp.training.config import RunConfig, TrainingConfig

#: Keys that read the bases of a promoter.
OF_BASES = ("shift", "reverse_complement", "both_strands")


def moves(training: TrainingConfig) -> bool:
    """Return whether the training promoters change from epoch to epoch, so that k-mers are counted in each."""
    return bool(training.shift or training.reverse_complement)


def check_augmentation(training: TrainingConfig, shapes: InputShapes, found: DatasetDescription) -> None:
    """Raise a UserError for an augmentation that the promoters of a dataset do not allow."""
    for key in OF_BASES:
        if not getattr(training, key):
            continue
        where, hint = f"training.{key}", f"leave training.{key} out"
        if shapes.promoter is None:
            raise UserError("the model is given no promoter", where=where, hint=hint)
        if shapes.promoter_kind == "embedded":
            what = "precomputed promoter embeddings cannot be shifted or reversed"
            raise UserError(what, where=where, hint=f"{hint}, or use a dataset of bases")
        if key == "shift" and shapes.promoter_kind == "bases" and training.shift >= shapes.window:
            what, expected = "such a shift leaves nothing of the window", f"less than {shapes.window:,} nt"
            raise UserError(
                what, where=where, expected=expected, received=training.shift, hint="choose a smaller shift"
            )
        if key != "shift" and found.tss is not None:
            what = "the promoters have a strand: that of their gene"
            raise UserError(
                what, where=where, expected="sequences without a TSS", received=f"TSS at {found.tss:,}", hint=hint
            )


def augmentation_of(config: RunConfig, shapes: InputShapes) -> Augmentation | None:
    """Return how the training genes are changed; None where they are not."""
    from genexp.dataset.batches import Augmentation

    training, model = config.training, config.model
    if not (training.label_noise or moves(training)):
        return None
    encode = None
    if moves(training) and isinstance(model, CountConfig):
        encode = partial(chunk_counts, k=model.k, chunk=model.chunk)
    return Augmentation(training.label_noise, training.shift, training.reverse_complement, encode)
