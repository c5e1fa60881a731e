"""Joining genes by name, when two files may name them in two ways."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from genexp.errors import UserError
from genexp.prepare.tables import is_heading

_VERSION = re.compile(r"\.\d+(?=$|_PAR_Y$)")


@dataclass(frozen=True)
class GeneNames:
    """What each gene is called.

    Attributes
    ----------
    ids : (n,) array of str
    others
        Other names by kind, each (n,) array of str, "" where a gene has none: ``{"gene_name": ...}``.
    """

    ids: np.ndarray
    others: Mapping[str, np.ndarray] = field(default_factory=dict)

    def known(self) -> set[str]:
        """Return every name of every gene, also without versions."""
        ids = set(map(str, self.ids))
        others = {str(name) for names in self.others.values() for name in names if name}
        return ids | {without_version(name) for name in ids} | others

    def take(self, rows: np.ndarray) -> GeneNames:
        """Return the genes selected by an index or boolean array."""
        return GeneNames(self.ids[rows], {kind: names[rows] for kind, names in self.others.items()})


def is_gene(heading: object, genes: GeneNames) -> bool:
    """Tell whether a heading is the name of a gene, so that the header is missing."""
    name = str(heading)
    return not is_heading(name) and not {name, without_version(name)}.isdisjoint(genes.known())


@dataclass(frozen=True)
class Join:
    """Which row of a file belongs to each gene.

    Attributes
    ----------
    rows : (n,) int64
        -1 where the file has none.
    by
        What matched: ``"id"``, ``"id without version"``, ``"gene_name"``, ...
    ambiguous
        Number of genes that were left out because two rows claim them, or two genes one row.
    """

    rows: np.ndarray
    by: str
    ambiguous: int = 0

    @property
    def found(self) -> np.ndarray:
        """True for each gene that the file has."""
        return self.rows >= 0

    def words(self) -> str:
        """Say how it was joined, where it was not simply by id."""
        doubt = f", {self.ambiguous:,} left out whose name is not unique" if self.ambiguous else ""
        return ("" if self.by == "id" else f" (joined by {self.by})") + doubt


def without_version(name: str) -> str:
    """Return an id without its version: ``ENSG00000141510.18`` becomes ``ENSG00000141510``."""
    return _VERSION.sub("", name)


def join(genes: GeneNames, names: Sequence[str], where: str) -> Join:
    """Find each gene among the names of a file: by id, by id without version, or by another name.

    The way that finds the most genes is taken, and the first of those that find equally many.

    Parameters
    ----------
    genes
        What the genes are called.
    names
        The names of the file's rows, no two the same.
    where
        The file, for messages.

    Raises
    ------
    UserError
        If nothing joins.
    """
    plain = [without_version(name) for name in names]
    ways: list[tuple[str, Iterable[str], Sequence[str]]] = [("id", genes.ids, names)]
    ways.append(("id without version", [without_version(gene) for gene in genes.ids], plain))
    ways += [(kind, others, names) for kind, others in genes.others.items()]
    best = max((_match(*way) for way in ways), key=lambda found: int(found.found.sum()))
    if best.found.any():
        return best
    known = "; ".join(f"{kind}: {_few(others)}" for kind, others in {"id": genes.ids, **genes.others}.items())
    raise UserError(
        "no gene of this file is among the genes so far: the join is empty",
        where=where,
        expected=f"names as {known}",
        received=_few(names),
        do="use files of one organism and one naming, or translate the names of one of them",
    )


def _match(by: str, wanted: Iterable[str], names: Sequence[str]) -> Join:
    """Match exactly; a name that stands for two genes or two rows matches nothing."""
    wanted = list(wanted)
    rows_of, genes_of = Counter(names), Counter(wanted)
    row = {name: n for n, name in enumerate(names)}
    rows = np.full(len(wanted), -1, np.int64)
    ambiguous = 0
    for gene, name in enumerate(wanted):
        if not name or name not in row:
            continue
        if rows_of[name] > 1 or genes_of[name] > 1:
            ambiguous += 1
        else:
            rows[gene] = row[name]
    return Join(rows, by, ambiguous)


def _few(names: Iterable[str], number: int = 3) -> str:
    return ", ".join([name for name in map(str, names) if name][:number]) or "none"


def check_unique(names: Sequence[str], where: str, first_line: int = 2) -> None:
    """Raise a UserError if a name is there twice."""
    seen: dict[str, int] = {}
    for n, name in enumerate(names):
        if name in seen:
            raise UserError(
                f"gene {name} is there twice",
                where=f"{where}, rows {seen[name] + first_line} and {n + first_line}",
                expected="each gene once",
                received=f"{len(names) - len(set(names)):,} rows too many",
                do="keep one row for each gene (the mean, say, or the most expressed)",
            )
        seen[name] = n
