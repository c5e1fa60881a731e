"""Write which genes are likely in one operon: neighbours on one strand, with at most 50 nt between them.

    python benchmarks/real/operons.py ANNOTATION OUT

Such neighbours are in one operon far more often than not (Moreno-Hagelsieb and Collado-Vides 2002, Bioinformatics 18,
S329, doi 10.1093/bioinformatics/18.suppl_1.S329). Genes of an operon share a promoter, regulators and most of their
expression: split apart at random, training genes tell the labels of test genes.
"""

from __future__ import annotations

import gzip
import re
import sys
from pathlib import Path

MOST_APART = 50


def operons(annotation: Path) -> list[tuple[str, int]]:
    """Return the locus tag and the operon's number of each gene of a GFF3 file compressed by gzip."""
    genes = []
    with gzip.open(annotation, "rt") as lines:
        for line in lines:
            cells = line.rstrip("\n").split("\t")
            if len(cells) == 9 and cells[2] == "gene" and (tag := re.search(r"locus_tag=([^;]+)", cells[8])):
                genes.append((cells[0], cells[6], int(cells[3]), int(cells[4]), tag[1]))
    found: list[tuple[str, int]] = []
    number, before = -1, ("", "", 0, 0)
    for sequence, strand, start, end, tag in sorted(genes, key=lambda gene: (gene[0], gene[2])):
        if (sequence, strand) != before[:2] or start - before[3] - 1 > MOST_APART:
            number += 1
        found.append((tag, number))
        before = (sequence, strand, start, end)
    return found


def write_operons(annotation: Path, out: Path) -> None:
    """Write a table that `split.file` reads."""
    rows = "".join(f"{gene}\toperon_{number}\n" for gene, number in operons(annotation))
    out.write_text(f"gene\tgroup\n{rows}")


if __name__ == "__main__":
    write_operons(Path(sys.argv[1]), Path(sys.argv[2]))
