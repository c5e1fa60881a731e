"""The genes of a dataset with their raw values, and joining genes by name, when two files name them in two ways."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from genexp.blocks import HALFLIFE_FEATURES
from genexp.errors import UserError
from genexp.prepare.opening import few
from genexp.prepare.recipe import LOGGED
from genexp.prepare.records import SYNONYMS
from genexp.prepare.table_lines import is_heading

if TYPE_CHECKING:
    from genexp.prepare.records import Transcript
    from genexp.prepare.targets import Targets

#: The version of an id as Ensembl, RefSeq and others count it; other dots number the genes of a clone: AC012345.1.
_VERSION = re.compile(r"(?<=\d{5})\.[1-9]\d*(?=$|_PAR_Y$)")
#: A clone or contig by its accession in GenBank.
_CLONE = re.compile(r"([DLMUXYZ]\d{5}|[A-Z]{2}\d{6}|[A-Z]{4}\d{8,9})\.")
_MONTHS = "jan|feb|mar|m\u00e4r|mrz|apr|may|mai|jun|jul|aug|sep|sept|oct|okt|nov|dec|dez"
#: Months of other languages: French; Spanish, Italian and Portuguese.
_MORE_MONTHS = (
    "janv|f\u00e9vr|mars|avr|avril|juin|juil|juillet|ao\u00fbt|aout|d\u00e9c"
    "|ene|gen|fev|abr|mag|giu|lug|ago|set|ott|out|dic"
)
#: What spreadsheets make of names such as MARCH1, SEPT2, DEC1 and 2310009E13Rik. Worms have a gene sep-1.
_SPOILED = re.compile(
    rf"\d{{1,2}}[-./ ]{{1,2}}(?i:{_MONTHS}|{_MORE_MONTHS})\.?([-./ ]{{1,2}}\d{{2,4}})?"
    rf"|({_MONTHS.title()})[-./ ]\d{{2,4}}"
    r"|\d{4}-\d\d-\d\d( \d\d:\d\d:\d\d)?|\d{4}/\d{1,2}/\d{1,2}|\d{1,2}/\d{1,2}/\d{2,4}"
    r"|\d{1,2}\.\d{1,2}\.\d{4}|\d{1,2}-\d{1,2}-\d{4}|\d(\.\d+)?[eE]\+\d{2}"
)
#: How an id is written together with something else; the group is the id.
_COMPOSED = {
    "what stands before |": re.compile(r"([^|]+)\|.+"),
    "what stands after |": re.compile(r"[^|]+\|([^|]+)(?:\|.*)?"),
    "the Ensembl id before _": re.compile(r"(ENS[A-Z]*G\d{11}(?:\.\d+)?)_.+"),
    "what stands after the prefix": re.compile(
        r"(?i:gene|rna|cds|transcript|locus|geneid|ncbi_?gene|entrez(?:gene)?|ensembl|hgnc|mgi|rgd|sgd|tair|flybase)[-:](.+)"
    ),
}
#: What names look like, to say why they are not those of another file.
_KINDS = {
    "Entrez ids": re.compile(r"\d+"),
    "Ensembl transcripts": re.compile(r"ENS[A-Z]*T\d{11}.*"),
    "Ensembl genes": re.compile(r"ENS[A-Z]*G\d{11}.*"),
    "RefSeq transcripts": re.compile(r"[NX][MR]_\d+.*"),
    "probes of an array": re.compile(r".+_at|ILMN_\d+|A_\d+_P\d+"),
}


@dataclass(frozen=True)
class GeneNames:
    """What each gene is called: `ids` (n,), and (n,) other names by kind (``"gene_name"``), "" where it has none."""

    ids: np.ndarray
    others: Mapping[str, np.ndarray] = field(default_factory=dict)

    def known(self) -> set[str]:
        """Return every name of every gene, also without versions."""
        ids = set(map(str, self.ids))
        others = {str(name) for names in self.others.values() for name in names if name}
        return ids | {without_version(name) for name in ids} | others

    def main(self) -> dict[str, np.ndarray]:
        """Return the other names by kind, but for synonyms, which may be the names of other genes."""
        return {kind: names for kind, names in self.others.items() if kind not in SYNONYMS}

    def take(self, rows: np.ndarray) -> GeneNames:
        """Return the genes selected by an index or boolean array."""
        return GeneNames(self.ids[rows], {kind: names[rows] for kind, names in self.others.items()})

    def is_gene(self, heading: object) -> bool:
        """Return whether a heading is the name of a gene, so that the header is missing."""
        name = str(heading)
        known = GeneNames(self.ids, self.main()).known()
        return not is_heading(name) and not {name, without_version(name)}.isdisjoint(known)


def _unknown() -> np.ndarray:
    return np.empty(0)


@dataclass(frozen=True)
class RawGenes:
    """Raw values, one row per gene; arrays that the source does not give are empty.

    `labels` is (n, labels) float64, NaN where a gene has no value of a label; `label_names` names its columns, and
    `unit` is their unit before a logarithm (``"TPM"``), where it is known. `halflife` is (n, features), by default
    Xpresso's eight, of which those that are `halflife_logged` are still to become logarithms; `tss` is the position of
    the first transcribed base, from 0; `targets` are tables by block letter. `promoters` are (n, length) uint8 tokens,
    where they are read before the split. A table of sequences may have `split`, what each row has in the column
    `split_column`, "" where that is empty.
    """

    names: GeneNames
    labels: np.ndarray
    label_names: tuple[str, ...] = ("expression",)
    unit: str | None = None
    halflife: np.ndarray = field(default_factory=_unknown)
    halflife_names: tuple[str, ...] = HALFLIFE_FEATURES
    halflife_logged: tuple[bool, ...] = LOGGED
    chromosome: np.ndarray = field(default_factory=_unknown)
    strand: np.ndarray = field(default_factory=_unknown)
    tss: np.ndarray = field(default_factory=_unknown)
    transcripts: list[Transcript] = field(default_factory=list)
    targets: dict[str, Targets] = field(default_factory=dict)
    promoters: np.ndarray = field(default_factory=_unknown)
    split: np.ndarray = field(default_factory=_unknown)
    split_column: str = ""

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: np.ndarray) -> RawGenes:
        """Return the genes selected by an index or boolean array."""
        index = np.arange(len(self))[rows]
        return RawGenes(**{each.name: _take(getattr(self, each.name), index) for each in fields(self)})


def _take(value: Any, index: np.ndarray) -> Any:
    if value is None or isinstance(value, tuple | str):
        return value
    if isinstance(value, dict):
        return {key: found.take(index) for key, found in value.items()}
    if isinstance(value, GeneNames):
        return value.take(index)
    if isinstance(value, list):
        return [value[n] for n in index] if value else value
    return value[index] if len(value) else value


#: Another spelling of names is taken where it finds more genes by this factor.
FEWER = 1.05
#: A join that finds less than this part of the genes is doubted.
FEW_MATCH = 0.2


@dataclass(frozen=True)
class Join:
    """Which row of a file belongs to each gene: `rows` (n,) int64, -1 where the file has none.

    `by` is what matched: ``"id"``, ``"id without version"``, ``"gene_name"``, ...; `ambiguous` counts the genes that
    were left out because two rows claim them, or two genes one row; `names` is the number of rows of the file.
    """

    rows: np.ndarray
    by: str
    ambiguous: int
    names: int = 0

    @property
    def found(self) -> np.ndarray:
        """True for each gene that the file has."""
        return np.asarray(self.rows >= 0)

    def remark(self) -> str:
        """Return how it was joined, where it was not simply by id."""
        doubt = f", {self.ambiguous:,} left out whose name is not unique" if self.ambiguous else ""
        few_match = int(self.found.sum()) < FEW_MATCH * min(self.names, len(self.rows))
        doubt += "; few names match: are genes named alike in both files?" if few_match else ""
        return ("" if self.by == "id" else f" (joined by {self.by})") + doubt


def without_version(name: str) -> str:
    """Return an id without its version: ``ENSG00000141510.18`` becomes ``ENSG00000141510``.

    The number of a gene on a clone (``AC012345.1``) is no version, and stays.
    """
    return name if _CLONE.match(name) else _VERSION.sub("", name)


def join(genes: GeneNames, names: Sequence[str], where: str) -> Join:
    """Find each gene among the names of a file: by id, by id without version, or by another name.

    The kind of name that finds the most genes is taken, and the first of those that find equally many. Names in another
    case, and ids that stand together with something else (``ENSG00000141510|TP53``), are taken where they find more.
    A UserError is raised if nothing joins; `where` names the file.
    """
    plain = [without_version(gene) for gene in genes.ids]
    found = [_match("id", genes.ids, names), _match("id without version", plain, list(map(without_version, names)))]
    others = genes.main() | dict(genes.others)  # synonyms last
    found += [_match(kind, of_kind, names) for kind, of_kind in others.items()]
    best = max(found, key=_number)
    if _number(best) < min(len(names), len(genes.ids)):
        other = max(_otherwise(genes, names), key=_number)
        best = other if _number(other) > FEWER * _number(best) else best
    if best.found.any():
        return best
    known = "; ".join(f"{kind}: {few(others, 3)}" for kind, others in {"id": genes.ids, **genes.others}.items())
    kind = next((f" ({kind})" for kind, like in _KINDS.items() if names and all(map(like.fullmatch, names[:20]))), "")
    raise UserError(
        "no gene of this file is among the genes so far: the join is empty",
        where=where,
        expected=f"names as {known}",
        received=few(names, 3) + kind,
        hint="use files of one organism and one naming, or translate the names of one of them",
    )


def join_best(genes: GeneNames, rows: GeneNames, where: str) -> tuple[Join, str]:
    """Find each gene among the rows of a table: by their ids, or by another of their names where that finds more.

    The kind of name is returned, too, "" for ids. A UserError is raised if nothing joins.
    """
    found: dict[str, Join] = {}
    errors: list[UserError] = []
    for kind, names in {"": rows.ids, **rows.others}.items():
        try:
            found[kind] = join(genes, names.tolist(), where)
        except UserError as error:
            errors.append(error)
    if not found:
        raise errors[0]
    best = max(found, key=lambda kind: _number(found[kind]))
    by_id = _number(found[""]) if "" in found else 0
    best = best if _number(found[best]) > FEWER * by_id else ""
    return found[best], best


def check_rows_are_genes(genes: GeneNames, names: Sequence[str], headings: Sequence[str], where: str) -> None:
    """Raise a UserError if it is the columns of a table that are named after genes, and not its rows."""
    known = genes.known()
    across, down = (len(known.intersection(each)) for each in (headings, names))
    if across > 2 * down and across > len(headings) / 2:
        what, hint = "the genes of this table are its columns, not its rows", "transpose it (pandas: table.T)"
        received = f"{across:,} columns and {down:,} rows are named after genes"
        raise UserError(what, where=where, expected="a row for each gene", received=received, hint=hint)


def _number(found: Join) -> int:
    return int(found.found.sum())


def _part(like: re.Pattern[str], name: str) -> str:
    found = like.fullmatch(name)
    return without_version(found[1] if found else name)


def _otherwise(genes: GeneNames, names: Sequence[str]) -> Iterator[Join]:
    """Yield what matches by parts of names, or in another case."""
    kinds = {"id": genes.ids, **genes.others}

    for words, like in _COMPOSED.items():
        part = partial(_part, like)
        parts = list(map(part, names))
        for kind, wanted in kinds.items():
            yield _match(f"{kind}, {words}", list(map(part, map(str, wanted))), parts)
    lower = [name.casefold() for name in names]
    for kind, wanted in kinds.items():
        yield _match(f"{kind}, in upper or lower case", [str(name).casefold() for name in wanted], lower)


def _match(by: str, wanted: Iterable[str], names: Sequence[str]) -> Join:
    """Match exactly; a name that stands for two genes or two rows matches nothing."""
    wanted = list(wanted)
    rows_of, genes_of = Counter(names), Counter(wanted)
    row = {name: n for n, name in enumerate(names) if name}
    ambiguous = np.array([name in row and (rows_of[name] > 1 or genes_of[name] > 1) for name in wanted], bool)
    rows = np.array([row.get(name, -1) for name in wanted], np.int64)
    return Join(np.where(ambiguous, -1, rows), by, int(ambiguous.sum()), len(names))


def spoiled(names: Iterable[str]) -> np.ndarray:
    """Return for each name whether a spreadsheet has made a date or a number of it: ``1-Mar``, ``2.31E+13``."""
    return np.array([bool(_SPOILED.fullmatch(name)) for name in names], bool)


def check_unique(
    names: Sequence[str], where: str, first_line: int = 2, line: Callable[[int], int] | None = None
) -> None:
    """Raise a UserError if a name occurs twice; `first_line` is that of the first name, or `line` says that of each."""
    line = line or first_line.__add__
    seen: dict[str, int] = {}
    for n, name in enumerate(names):
        if seen.setdefault(name, n) != n:
            what, hint = (
                f"gene {name} occurs twice",
                "keep one row for each gene (the mean, say, or the most expressed)",
            )
            if spoiled([name])[0]:
                what += ": a spreadsheet has made a date or a number of the names of several genes"
                hint = "take the names from a file that no spreadsheet has changed, or use ids (Ensembl, Entrez)"
            raise UserError(
                what,
                where=f"{where}, rows {line(seen[name])} and {line(n)}",
                received=f"{len(names) - len(set(names)):,} rows too many",
                hint=hint,
            )
