"""The genes of an annotation with their TSSs, by the rules of ``genexp prepare``."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from genexp.errors import UserError
from genexp.prepare.annotation import read_annotation
from genexp.prepare.config import TranscriptRules
from genexp.prepare.genes import RawGenes
from genexp.prepare.ledger import Ledger, Note, ignore
from genexp.prepare.transcripts import choose_transcripts


def read_genes(
    path: Path, rules: TranscriptRules, note: Note = ignore, warn: Note = ignore
) -> tuple[RawGenes, dict[str, int]]:
    """Read a GTF or GFF3 file.

    Parameters
    ----------
    path
        The file, plain or compressed.
    rules
        Which genes are taken, and which transcript says where a gene begins.
    note, warn
        Take sentences about what was chosen, and what was left out.

    Returns
    -------
    genes : RawGenes
        Its ``names``, ``chromosome``, ``strand`` and ``tss`` (n,) are known.
    circular : dict
        Lengths of the circular chromosomes.

    Raises
    ------
    UserError
        If the file cannot be read, or no gene is left.
    """
    annotation = read_annotation(path, skip_chromosomes=rules.skip_chromosomes, id_key=rules.id)
    genes = choose_transcripts(annotation, rules, Ledger(note, warn), stop_codon=None)
    problems = [transcript.problem for transcript in genes.transcripts]
    if any(problems):
        counts = Counter(problem.value for problem in problems if problem)
        reasons = ", ".join(f"{reason} {number:,}" for reason, number in counts.most_common())
        warn(f"genes that cannot be read are left out: {reasons}")
        genes = genes.take(np.array([problem is None for problem in problems]))
    if not len(genes):
        raise UserError("no gene of the annotation can be read", where=path)
    return genes, annotation.circular
