"""The bases of a genome by coordinates, which are 0-based and half-open."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np

from genexp.errors import UserError
from genexp.features.tokens import cut, reverse_complement, tokens_from_text
from genexp.memory import written
from genexp.prepare.fasta import chromosome_aliases, plain_name, read_fasta
from genexp.prepare.ledger import Note, ignore
from genexp.prepare.opening import few

#: Bases that are converted at a time; a chromosome that has more is on disk.
BLOCK = 1 << 24


def _tokens(bases: str) -> np.ndarray:
    """Return the tokens of a chromosome, (length,) uint8; those of a long one are mapped from a file without a name."""
    if len(bases) <= BLOCK:
        return tokens_from_text(bases)
    blocks = (tokens_from_text(bases[first : first + BLOCK]) for first in range(0, len(bases), BLOCK))
    return written(blocks, len(bases), "chromosomes")


class Genome:
    """Chromosomes of a FASTA file, with one byte for a base; long ones are in a temporary file, not in memory.

    Chromosomes may be called otherwise than in the file, as in `genexp prepare`: ``1`` is ``chr1``, and NC_000001.11
    whose header says so.

    Parameters
    ----------
    path
        FASTA: plain, gzip or bgzip; an index is not needed.
    wanted
        The chromosomes to keep; the file is read until all were found. None keeps all.
    circular
        Lengths of the circular chromosomes, which `genexp.genomes.genes.read_genes` finds in an annotation.
    note
        Takes a sentence for each chromosome that the file calls otherwise.

    Raises
    ------
    UserError
        If the file is no FASTA or holds something other than bases; if a chromosome has no bases, or is circular with
        another length.
    """

    def __init__(
        self,
        path: str | Path,
        wanted: Collection[str] | None = None,
        circular: Mapping[str, int] | None = None,
        note: Note = ignore,
    ) -> None:
        self.path = Path(path)
        self.names: list[str] = []
        self._called: dict[str, str] = {}  # what a chromosome may be called: its name in the file
        self._tokens: dict[str, np.ndarray] = {}
        for record in read_fasta(self.path):
            self.names.append(record.name)
            for alias in chromosome_aliases(record.name, record.header):
                self._called.setdefault(alias, record.name)
            if wanted is None or any(self._name_or_none(name) == record.name for name in wanted):
                self._tokens[record.name] = _tokens(record.bases)
            if wanted is not None and all(map(self._name_or_none, wanted)):
                break
            del record  # before the next one is read
        for name in wanted or ():
            if name in self and self.name(name) != name:
                note(f"chromosome {name} is {self.name(name)} in {self.path.name}")
        self._circular = {found for name in circular or {} if (found := self._name_or_none(name)) in self._tokens}
        self._check(circular or {})

    def _check(self, circular: Mapping[str, int]) -> None:
        if empty := [name for name, tokens in self._tokens.items() if not len(tokens)]:
            raise UserError("a chromosome has no bases", where=f"{self.path}, {empty[0]}", hint="download it again")
        for name, length in circular.items():
            found = self._name_or_none(name)
            if found in self._tokens and self.length(name) != length:
                what, hint = f"circular chromosome {name} has another length", "use files of one assembly"
                sizes = {"expected": f"{length:,} nt, as annotated", "received": f"{self.length(name):,} nt"}
                raise UserError(what, where=self.path, **sizes, hint=hint)

    def _name_or_none(self, chromosome: str) -> str | None:
        return chromosome if chromosome in self._tokens else self._called.get(plain_name(chromosome))

    def name(self, chromosome: str) -> str:
        """Return what the file calls a chromosome; a UserError is raised if it has none of that name."""
        found = self._name_or_none(chromosome)
        if found is None or found not in self._tokens:
            what, hint = f"there is no chromosome {chromosome} in the genome", "use files of one assembly"
            raise UserError(what, where=self.path, expected=f"one of {few(self.names)}", hint=hint)
        return found

    def __contains__(self, chromosome: str) -> bool:
        return self._name_or_none(chromosome) in self._tokens

    def length(self, chromosome: str) -> int:
        """Return the number of bases of a chromosome."""
        return len(self._tokens[self.name(chromosome)])

    def turns(self, chromosome: str, reach: int) -> range:
        """Return what is added to positions to find them up to `reach` beyond the ends of a chromosome.

        It is 0 alone, and for a circular chromosome also its length times -1, 1 and so on.
        """
        name, length = self.name(chromosome), self.length(chromosome)
        times = -(-reach // length) if name in self._circular else 0
        return range(-times * length, times * length + 1, length)

    def fetch(self, chromosome: str, start: int, end: int) -> np.ndarray:
        """Return the bases from `start` to `end` of strand ``+``.

        Returns
        -------
        (end - start,) uint8 tokens
            A=0 C=1 G=2 T=3, and N=4, also beyond the ends; a circular chromosome goes on at its other end.
        """
        name = self.name(chromosome)
        return cut(self._tokens[name], start, end, circular=name in self._circular)

    def promoter(self, chromosome: str, tss: int, strand: str, window: tuple[int, int]) -> np.ndarray:
        """Return the bases around a TSS along its strand.

        Parameters
        ----------
        chromosome, tss, strand
            The first transcribed base, from 0, and ``+`` or ``-``.
        window
            [left, right), counted along the strand from the TSS, which is 0: (-7000, 3500).

        Returns
        -------
        (right - left,) uint8 tokens
            As of `fetch`; the TSS is base number -left.

        Raises
        ------
        UserError
            If the TSS lies beyond the end of its chromosome.
        """
        left, right = window
        if not 0 <= tss < self.length(chromosome):
            what, hint = "a TSS lies beyond the end of its chromosome", "use files of one assembly"
            where, expected = f"{self.path}, {chromosome}", f"at most {self.length(chromosome):,}"
            raise UserError(what, where=where, expected=expected, received=f"{tss + 1:,}", hint=hint)
        if strand == "-":
            return reverse_complement(self.fetch(chromosome, tss + 1 - right, tss + 1 - left))
        return self.fetch(chromosome, tss + left, tss + right)
