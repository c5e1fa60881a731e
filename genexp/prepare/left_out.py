"""Genes that cannot be read: they are left out and listed, and only too many of them stop."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

from genexp.errors import UserError
from genexp.prepare.opening import few


class Reason(Enum):
    """Why a gene cannot be read, in words."""

    NO_STRAND = "no strand"
    BOTH_STRANDS = "parts on both strands (trans-spliced, or two copies)"
    CHROMOSOMES = "parts on two chromosomes"
    COORDINATES = "impossible coordinates"
    APART = "different copies under one transcript id"
    PLACES = "in two places"
    EXONS = "exons overlap"
    CDS = "CDS rows overlap"
    OUTSIDE = "CDS outside the exons"
    STOP = "whether the CDS holds the stop codon is not said"
    MISSING = "chromosome not in the genome"
    LENGTH = "circular chromosome of another length in the genome"
    BEYOND = "beyond the end of its chromosome"
    WINDOW = "promoter window longer than its chromosome"


class LeftOut(NamedTuple):
    """One gene that is left out; `where` is its place, with the line of the annotation that shows the reason.

    Skipping the chromosome `skip` would solve it, if that is named.
    """

    gene: str
    reason: Reason
    where: str
    skip: str = ""


#: What helps against a reason, where it is more than leaving the genes out.
_HINTS = {
    Reason.STOP: "set genes.stop_codon=as_annotated",
    Reason.WINDOW: "take a shorter window with upstream and downstream",
    Reason.LENGTH: "use a genome and an annotation of one assembly",
    Reason.BEYOND: "use a genome and an annotation of one assembly",
}
#: Names that make one pattern of many contigs.
_ENDINGS = ("_alt", "_fix", "_random")


def allowed(genes: int, tolerance: float) -> int:
    """Return how many of the genes may be left out: a share of them, and always one unless the share is 0."""
    return max(int(tolerance * genes + 1e-9), int(tolerance > 0))


def by_reason(left: Sequence[LeftOut]) -> dict[Reason, list[LeftOut]]:
    """Return the genes of each reason, the most common first."""
    found: dict[Reason, list[LeftOut]] = defaultdict(list)
    for each in left:
        found[each.reason].append(each)
    return dict(sorted(found.items(), key=lambda item: -len(item[1])))


def check_tolerance(
    left: Sequence[LeftOut], genes: int, tolerance: float, where: str, skipped: Sequence[str], there: Sequence[str]
) -> None:
    """Raise a UserError with all reasons if more of the `genes` are left out than `tolerance` allows.

    `skipped` are the chromosomes that are skipped already, `there` the names of those in the genome.
    """
    limit = allowed(genes, tolerance)
    if len(left) <= limit and len(left) < genes:
        return
    reasons = [
        f"{len(found):,} {reason.value} ({few([f'{each.gene} {each.where}' for each in found], 3)})"
        for reason, found in by_reason(left).items()
    ]
    raise UserError(
        f"{len(left):,} of {genes:,} genes cannot be read",
        where=where,
        expected=f"at most {limit:,} to leave out: genes.tolerance={tolerance:g}",
        received="; ".join(reasons),
        hint=_hint(left, genes, tolerance, skipped, there),
    )


def _hint(left: Sequence[LeftOut], genes: int, tolerance: float, skipped: Sequence[str], there: Sequence[str]) -> str:
    skip = sorted({each.skip for each in left if each.skip})
    rest = [each for each in left if not each.skip]
    kept = genes - (len(left) - len(rest))
    if skip and kept > len(rest):
        words = ",".join(map(_quoted, [*skipped, *_patterns(skip, there)]))
        hint = f"skip the chromosomes: 'genes.skip_chromosomes=[{words}]'"
        more = f", and set genes.tolerance={_share(len(rest), kept)}"
        return hint + (more if len(rest) > allowed(kept, tolerance) else "")
    if skip:
        return f"use a genome and an annotation of one assembly; the genome has {few(there, 8)}"
    reason = next(iter(by_reason(left)))
    if len(left) < genes:
        other = f"{_HINTS[reason]}, or " if reason in _HINTS else ""
        return f"{other}leave them out with genes.tolerance={_share(len(left), genes)}"
    return _HINTS.get(reason, "use another annotation")


def _quoted(name: str) -> str:
    """Return a chromosome as a word of a list, in quotes where it could be read as something else."""
    return name if re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*(\.\d+)?|[1-9]\d{0,8}", name) else f'"{name}"'


def _share(left: int, genes: int) -> str:
    """Return the smallest share with three decimals that lets these genes be left out."""
    return f"{math.ceil(left / genes * 1000) / 1000:g}"


def _patterns(names: Sequence[str], there: Sequence[str]) -> list[str]:
    """Return names of chromosomes to skip, those with one ending as a pattern, if the genome has none of them."""
    found = list(names)
    for ending in _ENDINGS:
        alike = [name for name in found if name.endswith(ending)]
        if len(alike) > 1 and not any(name.endswith(ending) for name in there):
            found = [name for name in found if name not in alike] + [f"*{ending}"]
    return found
