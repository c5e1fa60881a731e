"""The command that ``genexp prepare`` prints as the next step works in a shell as it is printed."""

import shlex
import subprocess

import numpy as np
import pytest
import toy_organism as toy

from genexp.config.words import quoted

ORGANISM = toy.Organism()
NAMES = [gene.name for gene in ORGANISM.genes]
RNG = np.random.default_rng(2)


def table(path, columns):
    rows = ["\t".join(map(str, row)) for row in zip(*columns.values(), strict=True)]
    return toy.write(path, "\n".join(["\t".join(columns), *rows]) + "\n")


def sequences(length):
    return ["".join(RNG.choice(list("ACGT"), length)) for _ in range(48)]


def genome(folder):
    return [
        "source=genome",
        f"fasta={toy.write_genome(folder / 'g.fa', ORGANISM)}",
        f"gtf={toy.write_gtf(folder / 'g.gtf', ORGANISM)}",
        f"expression={toy.write_expression(folder / 'e.tsv', ORGANISM)}",
        f"upstream={toy.UPSTREAM}",
        f"downstream={toy.DOWNSTREAM}",
    ]


def features(folder):
    expression = toy.write_expression(folder / "e.tsv", ORGANISM)
    halflife = table(folder / "h.tsv", {"gene_id": NAMES, "a": RNG.normal(size=48), "b": RNG.normal(size=48)})
    return ["source=tables", f"expression={expression}", f"halflife={halflife}"]


def reporters(folder):
    columns = {"sequence": sequences(110), "A": RNG.normal(size=48), "B": [*RNG.normal(size=40), *[""] * 8]}
    return ["source=sequences", f"table={table(folder / 's.tsv', columns)}", "label=[A,B]"]


def oligos(folder):
    return ["source=sequences", f"table={table(folder / 's.tsv', {'sequence': sequences(12), 'label': range(48)})}"]


CASES = {
    "genome, folds": (lambda folder: [*genome(folder), "split.folds=4"], "data"),
    "xpresso_table": (lambda folder: ["source=xpresso_table", f"table={toy.write_table(folder / 't', ORGANISM)}"], "d"),
    "tables": (features, "all of 'my' data, \"b\" $c=[é]"),
    "sequences, two labels": (reporters, "data"),
    "sequences of 12 nt": (oligos, "data"),
}


def printed_command(cli, tmp_path, case):
    words, folder = CASES[case]
    done = cli("prepare", *words(tmp_path), f"out={quoted(tmp_path / folder)}")
    assert done.returncode == 0, done.stderr
    command = done.stdout.split("train on it with: ")[1].strip()
    assert command.startswith("genexp train ")
    return command


MORE = ("training.epochs=1", "training.batch_size=16", "hardware=cpu")


#: The other cases take longer, as their models are larger.
QUICK = ("genome, folds", "tables")


@pytest.mark.parametrize("case", [pytest.param(c, marks=[] if c in QUICK else [pytest.mark.slow]) for c in CASES])
def test_the_printed_command_trains(tmp_path, cli, case):
    words = shlex.split(printed_command(cli, tmp_path, case))
    found = cli(*words[1:], *MORE, f"hydra.run.dir={tmp_path}/run")
    assert found.returncode == 0 or "collapsed" in found.stderr, found.stderr


def test_a_shell_reads_the_printed_command_as_it_is_quoted(tmp_path, cli):
    command = printed_command(cli, tmp_path, "tables")
    line = f"printf '%s\\n' {command}"
    found = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60, check=True)
    assert found.stdout.splitlines() == shlex.split(command)
