"""Predictions of a run's model for promoters and features that are no dataset."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from genexp import console
from genexp.blocks import BLOCKS, PROMOTER
from genexp.dataset.alignment import match_columns
from genexp.dataset.description import DatasetDescription
from genexp.dataset.genes import Split
from genexp.dataset.problems import FOR_BASES, misnumbered
from genexp.errors import UserError
from genexp.features.tokens import N_TOKEN, numbering_of, other_numbering, tokens_from_text
from genexp.models import inputs
from genexp.training.config import RunConfig

if TYPE_CHECKING:
    import keras
    import pandas as pd

    from genexp.arrays import Embedded, Features, PerGene, PerLabel, Tokens


def predict(
    model: keras.Model,
    config: RunConfig,
    trained_on: DatasetDescription,
    promoters: Tokens | Embedded | str | Path | None,
    features: Mapping[str, Features | pd.DataFrame],
) -> PerGene | PerLabel:
    """Return the predictions, (n,) float32, or (n, labels) of several; see `genexp.api.Run.predict`."""
    from genexp.evaluation.report import predict_split

    blocks = config.data.name
    wanted = [letter for letter in blocks if letter != PROMOTER]
    if sorted(features) != sorted(wanted):
        raise _wrong("features", f"blocks {', '.join(wanted) or 'none'}", ", ".join(features) or "none")
    given = {letter: _columns(letter, values, trained_on) for letter, values in features.items()}
    for letter, values in given.items():
        width, block = trained_on.widths[letter], f"block {letter} ({BLOCKS[letter].title})"
        if values.ndim != 2 or values.shape[1] != width:
            raise _wrong(block, f"(n, {width}) numbers", values.shape)
        if not np.isfinite(values).all():
            raise _wrong(block, "finite numbers", "NaN or infinity")
    if (promoters is None) == (PROMOTER in blocks):
        expected = "tokens or a FASTA file" if promoters is None else f"none, as the run reads {blocks}"
        raise _wrong("promoters", expected, "none" if promoters is None else "promoters")
    if promoters is not None:
        given[PROMOTER] = _promoters(promoters, trained_on)
    rows = {len(values) for values in given.values()}
    if len(rows) > 1:
        raise _wrong("numbers of rows", "one row per gene in every block", sorted(rows))
    n = rows.pop()
    labels = np.zeros((n, len(trained_on.labels)), np.float32)
    if n == 0:
        return labels[:, 0] if labels.shape[1] == 1 else labels
    ordered = {letter: given[letter] for letter in BLOCKS if letter in given}
    split = Split(np.arange(n).astype(str), labels, ordered)
    encoded = inputs.encode_split(split, config.model, trained_on.promoter)
    found = predict_split(model, encoded, config.training.batch_size)
    return found[:, 0] if found.shape[1] == 1 else found


def _columns(letter: str, values: Features | pd.DataFrame, trained_on: DatasetDescription) -> np.ndarray:
    """Return the features of a block, (n, width) float32; the columns of a table are matched by name."""
    import pandas as pd

    if not isinstance(values, pd.DataFrame):
        return np.asarray(values, np.float32)
    names, width = trained_on.feature_names.get(letter), trained_on.widths[letter]
    matched = match_columns(letter, names, width, list(map(str, values.columns)), "features", "name them as in the run")
    if matched.note:
        console.say(matched.note)
    return np.asarray(values.iloc[:, list(matched.order)], np.float32)


def _promoters(promoters: np.ndarray | str | Path, trained_on: DatasetDescription) -> np.ndarray:
    """Return what the model sees of the promoters: (n, window) uint8 tokens, or chunk vectors as they are."""
    if trained_on.promoter == "embedded":
        shape = (trained_on.promoter_length, trained_on.embed_dim)
        if not isinstance(promoters, np.ndarray) or promoters.shape[1:] != shape:
            received = promoters.shape if isinstance(promoters, np.ndarray) else promoters
            raise _wrong("promoters", f"(n, {shape[0]}, {shape[1]}) precomputed embeddings", received)
        return promoters.astype(np.float32)
    tokens = fasta_promoters(Path(promoters))[1] if isinstance(promoters, str | Path) else np.asarray(promoters)
    left, right = trained_on.window or (0, trained_on.promoter_length or 0)
    lengths = f"{right - left:,} nt (the window) or {trained_on.promoter_length:,} nt (the promoter)"
    if tokens.ndim != 2 or tokens.shape[1] not in (right - left, trained_on.promoter_length):
        raise _wrong("promoters", lengths, f"an array of shape {tokens.shape}")
    if tokens.dtype.kind not in "iu" or (tokens.size and (tokens.min() < 0 or tokens.max() > N_TOKEN)):
        numbering = numbering_of(tokens)
        raise _wrong("promoters", f"integer tokens {FOR_BASES}", numbering or f"{tokens.dtype} with other values")
    if numbering := other_numbering(tokens):
        raise misnumbered(numbering, "promoters")
    return (tokens if tokens.shape[1] == right - left else tokens[:, left:right]).astype(np.uint8)


def _wrong(where: str, expected: str, received: object) -> UserError:
    return UserError("these are not the inputs of the run", where=where, expected=expected, received=received)


def fasta_promoters(path: Path) -> tuple[list[str], np.ndarray]:
    """Read a FASTA file of promoters: the first words of its headers, and (n, length) uint8 tokens."""
    from genexp.prepare.fasta import read_fasta

    return stacked({record.name: tokens_from_text(record.bases) for record in read_fasta(path)}, path)


def stacked(sequences: Mapping[str, np.ndarray], where: object) -> tuple[list[str], np.ndarray]:
    """Return the names of promoters and their tokens, (n, length), which must have one length."""
    lengths = {len(sequence) for sequence in sequences.values()}
    if len(lengths) != 1:
        received = f"{len(sequences)} of {min(lengths, default=0):,} to {max(lengths, default=0):,} nt"
        raise UserError("promoters of one length are needed", where=where, received=received)
    return list(sequences), np.stack(list(sequences.values()))
