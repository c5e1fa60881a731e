"""Predictions of a run's model, or of the members of an ensemble, for genes that are no dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from genexp import console
from genexp.api.unfinished import Keep, model_digest
from genexp.blocks import BLOCKS, PROMOTER, in_order
from genexp.dataset.alignment import match_columns
from genexp.dataset.description import DatasetDescription
from genexp.dataset.genes import Split
from genexp.dataset.problems import FOR_BASES, misnumbered
from genexp.errors import UserError
from genexp.features.tokens import N_TOKEN, numbering_of, other_numbering, tokens_from_text
from genexp.models import inputs
from genexp.run import check_checkpoint
from genexp.training.config import RunConfig
from genexp.training.strategy import import_tensorflow

if TYPE_CHECKING:
    import keras
    import pandas as pd

    from genexp.api.ensembles import Ensemble
    from genexp.api.runs import Run
    from genexp.arrays import Embedded, Features, Tokens


class Predictor:
    """The models of a run, or of the members of an ensemble, opened once and called with arrays.

    Parameters
    ----------
    run
        The run, or the ensemble.
    checkpoint
        ``best`` or ``last``.
    keep
        Keeps the predictions of each call for a command that is resumed; see `genexp.api.unfinished.kept_beside`.

    Attributes
    ----------
    config : RunConfig
        The config of the run, or of the first member.
    dataset : DatasetDescription
        The description of its dataset.
    window : tuple of int, or None
        What the models see, [left, right) in promoter coordinates of `dataset`; of members with different windows, the
        smallest slice that has them all. None without bases.
    tss : int, or None
        Index of the TSS in the promoter; None where it is unknown.
    """

    def __init__(self, run: Run | Ensemble, checkpoint: str = "best", keep: Keep | None = None) -> None:
        import_tensorflow()
        runs = members_of(run)
        self.config: RunConfig = run.config
        self.dataset: DatasetDescription = run.dataset
        self.window = common_window(runs)
        self.tss = self.dataset.tss if self.window else None
        best = checkpoint == "best"  # which a run keeps open
        models = [each.model if best else each.checkpoint(checkpoint) for each in runs]
        self._members = [_Member(*both, _slice(both[1], self)) for both in zip(models, runs, strict=True)]
        self._keep = keep
        self._digests = [model_digest(each.files, each.config, checkpoint) for each in runs if keep]

    def __call__(self, tokens: Tokens | Embedded | None, features: Mapping[str, Features]) -> np.ndarray:
        """Predict.

        Parameters
        ----------
        tokens : (n, window) uint8
            What the models see of each promoter; (n, chunks, dimension) float32 of a run on precomputed embeddings;
            None for a run without promoters.
        features
            By block letter, (n, width) float32, scaled as in the dataset, columns in the order of the run.

        Returns
        -------
        (members, n, labels) float32
            In the unit of the labels of training. The digits are those of `Run.predict`.
        """
        given = {**features} if tokens is None else {**features, PROMOTER: tokens}
        for member in self._members:  # first: the size of later batches must not depend on what was kept
            member.grow(len(next(iter(given.values()))))

        def compute() -> tuple[np.ndarray]:
            return (np.stack([member(tokens, features) for member in self._members]),)

        if self._keep is None:
            return compute()[0]
        sizes = [f"{member.size} {member.seen}".encode() for member in self._members]
        blocks = [part for letter in sorted(given) for part in (letter.encode(), given[letter])]
        (found,) = self._keep([*self._digests, *sizes, *blocks], compute)
        return np.asarray(found)


@dataclass
class _Member:
    """One model: `seen` is the slice of the common window that it reads, `size` the static size of its batches.

    A call with fewer genes than a batch has makes smaller batches, until a larger call comes, so that a few genes do
    not take the time of many.
    """

    model: keras.Model
    run: Run
    seen: slice
    size: int = 0

    def grow(self, n: int) -> None:
        """Choose the size of the batches for a call with `n` genes."""
        if n > self.size:
            self.size = min(self.run.config.training.batch_size, max(n, 2 * self.size))

    def __call__(self, tokens: np.ndarray | None, features: Mapping[str, np.ndarray]) -> np.ndarray:
        given = {**features} if tokens is None else {**features, PROMOTER: tokens[:, self.seen]}
        blocks = {letter: given[letter] for letter in in_order("".join(given))}
        n = len(next(iter(blocks.values())))
        found = np.empty((n, len(self.run.dataset.labels)), np.float32)
        for first in range(0, n, self.size or 1):
            rows = np.arange(first, first + self.size)
            rows[rows >= n] = 0  # batches are always full: the last is filled up with the first gene
            fed = self._fed({letter: values[rows] for letter, values in blocks.items()})
            found[first : first + self.size] = self.model.predict_on_batch(fed)[: n - first]
        return found

    def _fed(self, blocks: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return a batch by the names of the model's inputs, with k-mers counted where it reads them."""
        split = Split(np.empty(self.size), np.empty((self.size, 1)), blocks)
        encoded = inputs.encode_split(split, self.run.config.model, self.run.dataset.promoter).blocks
        return {BLOCKS[k].input: x if k == PROMOTER else np.asarray(x, np.float32) for k, x in encoded.items()}


def check_usable(run: Run | Ensemble, checkpoint: str) -> None:
    """Raise a UserError if a run has collapsed, or its checkpoint is missing or damaged; warn of what else is wrong."""
    for member in members_of(run):
        status = member.metrics.get("status", "unfinished")
        if status == "collapsed":
            what, hint = "this run has collapsed: it predicts one value for all genes", "train again with another seed"
            raise UserError(what, where=f"run_dir={member.path}", received=f"status: {status}", hint=hint)
        check_checkpoint(member.files, checkpoint)
        warn_if_unfinished(member.path, status)
        for line in member.metrics.get("warnings", ()):
            console.warn(f"{member.path.name}: {line}")


def warn_if_unfinished(path: Path, status: str) -> None:
    """Warn of a run that did not complete."""
    if status != "completed":
        console.warn(f"{path.name} is {status}: its checkpoints are those of the epochs that it completed")


def members_of(run: Run | Ensemble) -> Sequence[Run]:
    """Return the runs of an ensemble, or the one run itself."""
    found: Sequence[Run] = getattr(run, "runs", [run])
    return found


def common_window(runs: Sequence[Run]) -> tuple[int, int] | None:
    """Return what some runs see of a promoter, in promoter coordinates of the first; None without bases.

    Windows of different promoters are compared relative to the TSS. A UserError is raised if they cannot be.
    """
    first = runs[0].dataset
    if first.promoter != "bases" or PROMOTER not in runs[0].config.data.name:
        return None
    for run in runs[1:]:
        mine, theirs = ((each.tss, each.promoter_length) for each in (first, run.dataset))
        if mine != theirs and None in (mine[0], theirs[0]):
            what, hint = "the promoters of the members cannot be compared without a TSS", "name runs of one dataset"
            words = [f"{n:,} nt, TSS {'unknown' if t is None else f'at {t:,}'}" for t, n in (mine, theirs)]
            raise UserError(what, where=run.path, expected=words[0], received=words[1], hint=hint)
    origin = first.tss or 0
    each = [[edge - (run.dataset.tss or 0) + origin for edge in seen_of(run.dataset)] for run in runs]
    return min(left for left, _ in each), max(right for _, right in each)


def seen_of(trained_on: DatasetDescription) -> tuple[int, int]:
    """Return the slice of its promoters that a run reads."""
    return trained_on.window or (0, trained_on.promoter_length or 0)


def _slice(run: Run, common: Predictor) -> slice:
    """Return what a member reads of the common window."""
    if common.window is None:
        return slice(None)
    left, right = seen_of(run.dataset)
    moved = (common.tss or 0) - (run.dataset.tss or 0) - common.window[0]
    return slice(left + moved, right + moved)


def predict(
    predictor: Predictor,
    promoters: Tokens | Embedded | str | Path | None,
    features: Mapping[str, Features | pd.DataFrame],
) -> np.ndarray:
    """Return the predictions for inputs that are checked first, (members, n, labels) float32; see `Run.predict`."""
    trained_on, blocks = predictor.dataset, predictor.config.data.name
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
    tokens = None if promoters is None else _promoters(promoters, trained_on, predictor.window)
    rows = {len(values) for values in given.values()} | ({len(tokens)} if tokens is not None else set())
    if len(rows) > 1:
        raise _wrong("numbers of rows", "one row per gene in every block", sorted(rows))
    return predictor(tokens, given)


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


def _promoters(
    promoters: np.ndarray | str | Path, trained_on: DatasetDescription, window: tuple[int, int] | None
) -> np.ndarray:
    """Return what the models see of the promoters: (n, window) uint8 tokens, or chunk vectors as they are."""
    if trained_on.promoter == "embedded":
        shape = (trained_on.promoter_length, trained_on.embed_dim)
        if not isinstance(promoters, np.ndarray) or promoters.shape[1:] != shape:
            received = promoters.shape if isinstance(promoters, np.ndarray) else promoters
            raise _wrong("promoters", f"(n, {shape[0]}, {shape[1]}) precomputed embeddings", received)
        return promoters.astype(np.float32)
    tokens = fasta_promoters(Path(promoters))[1] if isinstance(promoters, str | Path) else np.asarray(promoters)
    (left, right), length = window or (0, 0), trained_on.promoter_length or 0
    whole = [length] if left >= 0 and right <= length else []  # members may see more than the promoter of the first
    if tokens.ndim != 2 or tokens.shape[1] not in (right - left, *whole):
        expected = " or ".join([f"{right - left:,} nt (the window)", *(f"{n:,} nt (the promoter)" for n in whole)])
        raise _wrong("promoters", expected, f"an array of shape {tokens.shape}")
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
