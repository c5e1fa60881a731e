"""Damaged annotations, genomes and peaks are read or refused with a message, and nothing else."""

import gzip
import random

import numpy as np
import pytest
from mutations import mutated
from test_kinds_of_annotation import KINDS, ORGANISM, ask

from genexp.errors import UserError
from genexp.prepare.fasta import read_fasta
from genexp.prepare.gather import gather
from genexp.prepare.genes import GeneNames, RawGenes
from genexp.prepare.ledger import Ledger
from genexp.prepare.peaks import tss_from_peaks

ODD_TEXTS = (
    *(
        "",
        ".",
        "-",
        "+",
        "?",
        "0",
        "-1",
        "1e9",
        "99999999999999999999",
        "nan",
        "\x00",
        "\ufeff",
        "\u0663",
        "é",
        '"',
        ";",
    ),
    *(
        "=",
        "%",
        "%zz",
        "Parent=",
        "ID=",
        "Parent=,,",
        'gene_id ""',
        "##FASTA",
        ">",
        "#",
        "track",
        "CDS",
        "exon",
        "gene",
    ),
)
FEW = ORGANISM.genes[:6]


def damaged(seed, data):
    """Return bytes with damage as of disks, or with one to four changes of a cell, a line or the line ends."""
    rng = random.Random(seed)
    if seed % 2:
        return mutated(data, rng)
    for _ in range(rng.randint(1, 4)):
        lines = data.split(b"\n")
        at, other = rng.randrange(len(lines)), rng.randrange(len(lines))
        what = rng.randrange(6)
        if what < 3:
            cells = lines[at].split(b"\t")
            cells[rng.randrange(len(cells))] = rng.choice(ODD_TEXTS).encode()
            lines[at] = b"\t".join(cells)
        elif what == 3:
            lines[at], lines[other] = lines[other], lines[at]
        elif what == 4:
            lines.insert(at, lines[other])
        end = rng.choice([b"\r", b"\r\n", b"\n\n", b"\n#\n"]) if what == 5 else b"\n"
        data = end.join(lines)
    return data


def annotations():
    names = {gene.name for gene in ORGANISM.genes[6:]}
    for name, build in KINDS.items():
        lines = [line for line in build().text.splitlines() if not any(other in line for other in names)]
        yield name, "\n".join(lines).encode()


ANNOTATIONS = list(annotations())
FASTA = b"".join(b">%d toy\n" % n + b"ACGTNRacgt\n" * 9 for n in range(4))
PEAKS = [
    b"1\t1103\t1104\tg1\t9\t+\n1\t4905\t4906\tg2\t9\t-\n" * 3,
    b"1\t1054\t1114\tA_1\t900\t+\t1103\t1114\n1\t4895\t4955\tB_1\t900\t-\t4895\t4906\n" * 3,
    b"1\t1100\t1110\tx\t9\t+\t3.5\t-1\t-1\t3\n1\t4900\t4910\ty\t9\t-\t9\t-1\t-1\t5\n" * 3,
    b"1\t1103\t2000\tg1\t9\t+\t1200\t1900\t0\t2\t10,20,\t0,877,\n1\t3000\t4906\tg2\t0\t-\t3100\t4800\t0\t1\t9\t0\n" * 3,
]
TWO = RawGenes(
    GeneNames(np.array(["g1", "g2"]), {"gene_name": np.array(["A", "B"])}),
    np.zeros((2, 1)),
    chromosome=np.array(["1", "1"]),
    strand=np.array(["+", "-"]),
    tss=np.array([1000, 5000]),
)


def outcome(call):
    """Return how a call ended; anything but a result or a UserError is raised."""
    try:
        call()
    except UserError:
        return "refused"
    return "read"


def read_annotation_of(folder, seed):
    name, text = ANNOTATIONS[seed % len(ANNOTATIONS)]
    config = folder[name]
    with open(config.gtf, "wb") as file:  # noqa: PTH123
        file.write(damaged(seed, text))
    return outcome(lambda: gather(config, Ledger()))


def read_genome_of(folder, seed):
    path = folder["path"]
    packed = seed % 3  # not at all, before or after the damage
    data = gzip.compress(FASTA) if packed == 1 else FASTA
    data = damaged(seed, data)
    path.write_bytes(gzip.compress(data) if packed == 2 else data)
    return outcome(lambda: list(read_fasta(path)))


def read_peaks_of(folder, seed):
    path = folder["path"]
    path.write_bytes(damaged(seed, PEAKS[seed % len(PEAKS)]))
    return outcome(lambda: tss_from_peaks(path, TWO))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The configs of all kinds of annotations, of the first genes alone, and a path to write to."""
    path = tmp_path_factory.mktemp("mutated")
    configs = {name: ask(path, build()) for name, build in KINDS.items()}  # all read one file
    expression = path / "expression.tsv"
    expression.write_text("".join(expression.read_text().splitlines(keepends=True)[:7]))
    return configs | {"path": path / "file"}


READERS = {"annotation": read_annotation_of, "genome": read_genome_of, "peaks": read_peaks_of}


@pytest.mark.parametrize("reader", READERS)
def test_mutated_files_are_read_or_refused(folder, reader):
    found = [READERS[reader](folder, seed) for seed in range(200)]
    assert set(found) == {"read", "refused"}
