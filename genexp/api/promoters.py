"""The promoters of a file as the models of a run see them: placed around the TSS, padded or cut."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from genexp import console
from genexp.api.gene_features import named_rows
from genexp.api.prediction import common_window, members_of
from genexp.dataset.genes import NUMBERED
from genexp.errors import UserError
from genexp.features.tokens import cut, reverse_complement, tokens_from_text
from genexp.files import damage_reported, in_short

if TYPE_CHECKING:
    from genexp.api.ensembles import Ensemble
    from genexp.api.runs import Run

#: Yields name and bases of each sequence of a file, as often as it is called.
Records = Callable[[], Iterator[tuple[str, str]]]


@dataclass(frozen=True)
class Genes:
    """What is predicted, one row each.

    Attributes
    ----------
    columns
        Of the table, by name, (n,) each: ``id``, and coordinates where they are known.
    tokens
        Yields what the models see, in the order of the rows and at most the given number of rows at a time; None
        without promoters.
    features
        By block letter, (n, width), scaled as in the dataset of the run.
    """

    columns: dict[str, np.ndarray]
    tokens: Callable[[int], Iterator[np.ndarray]] | None = None
    features: dict[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.columns["id"])

    def batches(self, size: int) -> Iterator[tuple[slice, np.ndarray | None]]:
        """Yield consecutive rows, with what the models see of their promoters."""
        if self.tokens is None:
            yield from ((slice(first, min(first + size, len(self))), None) for first in range(0, len(self), size))
            return
        first = 0
        for tokens in self.tokens(size):
            yield slice(first, first + len(tokens)), tokens
            first += len(tokens)


@dataclass(frozen=True)
class Placement:
    """Where a sequence lies in the window of a run: `window` and `tss` are in coordinates of promoters of `length` nt.

    `given` is the index of the TSS in each sequence, where the user says it.
    """

    window: tuple[int, int]
    length: int
    tss: int | None
    given: int | None = None

    @property
    def size(self) -> int:
        """Length of the window."""
        return self.window[1] - self.window[0]

    def starts(self, length: int) -> tuple[int, int]:
        """Return where a sequence of `length` bases, and its reverse complement, begin in the window.

        A sequence as long as the window or the promoter is one. The middle of another, base ``length // 2``, is taken
        for the TSS on either strand, as in the script ``predict_seqs.py`` of Xpresso (Agarwal and Shendure 2020, Cell
        Reports 31, 107663). Without a TSS in the run, the middle of the window stands for it.
        """
        left = self.window[0]
        if self.tss is None:
            start = -left if length == self.length else self.size // 2 - length // 2
            return start, self.size - start - length
        origin, at = self.tss - left, self.given
        if at is None and length in (self.size, self.length):
            at = origin if length == self.size else self.tss
        if at is None:
            return origin - length // 2, origin - length // 2
        return origin - at, origin - (length - 1 - at)

    def is_long(self, length: int) -> bool:
        """Tell whether a sequence reaches beyond the window and is no promoter of the run's own length."""
        start, _ = self.starts(length)
        return (start < 0 or start + length > self.size) and (self.given is not None or length != self.length)

    def fit(self, tokens: np.ndarray, *, reverse: bool) -> np.ndarray:
        """Return what the models see of a sequence, (window,) uint8 tokens, with N where it ends."""
        start = self.starts(len(tokens))[reverse]
        return cut(reverse_complement(tokens) if reverse else tokens, -start, self.size - start)


def placement(run: Run | Ensemble, tss: int | None) -> Placement:
    """Return where sequences lie in the window of a run, or of all members of an ensemble."""
    trained_on, window = run.dataset, common_window(members_of(run))
    if window is None:
        what, hint = "this run reads precomputed embeddings, which no file of sequences has", "use dataset.root=DIR"
        raise UserError(what, where=f"run_dir={run.path}", hint=hint)
    if tss is not None and trained_on.tss is None:
        what = "the sequences of this run have no TSS"
        raise UserError(what, where="tss", received=tss, hint="leave tss out")
    return Placement(window, trained_on.promoter_length or 0, trained_on.tss, tss)


def from_fasta(path: Path) -> Records:
    """Return the records of a FASTA file, named by the first words of their headers."""
    from genexp.prepare.fasta import read_fasta

    return lambda: ((record.name, record.bases) for record in read_fasta(path))


def from_table(path: Path) -> Records:
    """Return the sequences of a table: ids in the first column, and a column ``sequence``."""
    from genexp.prepare.sequence_columns import HEADINGS, plain
    from genexp.prepare.tables import MISSING

    source = named_rows(path, "table")
    sequence = next((name for name in source.columns if plain(name) in HEADINGS["sequence"]), None)
    if sequence is None:
        raise UserError("this table has no column sequence", where=path, received=", ".join(source.columns))
    source.check_rows()
    columns = list(dict.fromkeys([source.columns[0], sequence]))

    def records() -> Iterator[tuple[str, str]]:
        number, seen = 0, set()
        for _, rows in source.chunks(1000, columns, columns):
            for name, bases in zip(rows[columns[0]], rows[sequence], strict=True):
                number += 1
                named = NUMBERED.format(number) if columns[0] == sequence else str(name)
                if not named or named in seen:
                    received = f"{named} twice" if named else f"no id in row {number:,}"
                    raise UserError("ids of a table must be there, each once", where=path, received=received)
                seen.add(named)
                yield named, "" if bases in MISSING else str(bases)

    return records


def sequences(records: Records, where: object, place: Placement, *, cut_long: bool, both: bool) -> Genes:
    """Look at all sequences of a file, and return them as genes; they are read again when they are predicted."""
    names, lengths = [], []
    for name, bases in records():
        names.append(name)
        lengths.append(_length(bases, f"{where}, {name}", place.given))
    _check_lengths(names, np.array(lengths), where, place, cut_long=cut_long)
    strands = (False, True) if both else (False,)

    def tokens(size: int) -> Iterator[np.ndarray]:
        batch: list[np.ndarray] = []
        for _, bases in records():
            whole = tokens_from_text(bases)
            for reverse in strands:
                batch.append(place.fit(whole, reverse=reverse))
                if len(batch) == size:
                    yield np.stack(batch)
                    batch = []
        if batch:
            yield np.stack(batch)

    columns = {"id": np.repeat(np.array(names), len(strands))}
    if both:
        columns["strand"] = np.tile(np.array(["+", "-"]), len(names))
    return Genes(columns, tokens)


def _length(bases: str, where: str, tss: int | None) -> int:
    """Return the length of a sequence after a check of its bases."""
    what = "a sequence cannot be read"
    with damage_reported(lambda error: UserError(what, where=where, received=in_short(error))):
        length = len(tokens_from_text(bases))
    if length <= (tss or 0):
        what = "a sequence ends before its TSS" if length else "a sequence is empty"
        expected = f"more than {tss:,} nt" if tss else None
        raise UserError(what, where=where, expected=expected, received=f"{length:,} nt", hint="remove it")
    return length


def _check_lengths(
    names: Sequence[str], lengths: np.ndarray, where: object, place: Placement, *, cut_long: bool
) -> None:
    """Report what is padded and cut; raise a UserError where what is too long may not be cut."""
    each = {int(length): place.starts(int(length))[0] for length in np.unique(lengths)}
    middle = place.given is None
    around = "the middle of each" if middle else f"base {place.given:,}"
    at = f"{around} lies {'at the TSS' if place.tss is not None else 'in the middle'}"
    long = np.isin(lengths, [length for length in each if place.is_long(length)])
    if long.any() and not cut_long:
        first = int(long.argmax())
        what = f"{int(long.sum()):,} of {len(names):,} sequences reach beyond the window of the run"
        expected = f"{place.size:,} nt (the window) or {place.length:,} nt (the promoter), or shorter sequences"
        received = f"{lengths[first]:,} nt; {at}"
        hint = "long=cut cuts off what lies beyond"
        raise UserError(what, where=f"{where}, {names[first]}", expected=expected, received=received, hint=hint)
    padded = np.isin(lengths, [n for n, start in each.items() if start > 0 or start + n < place.size])
    for what, rows in (("padded with N", padded), ("cut", long)):
        if rows.any():
            console.warn(f"{int(rows.sum()):,} of {len(names):,} sequences are {what} to {place.size:,} nt: {at}")
