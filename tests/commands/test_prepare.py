"""The command line of ``genexp prepare``: keys, files and folder are looked at before anything is read."""

import subprocess
import sys

import pytest

from genexp.commands import command_of
from genexp.commands import prepare as command
from genexp.config.compose import compose_words
from genexp.config.conf import CONF_DIR
from genexp.errors import UserError


@pytest.fixture
def files(tmp_path):
    for name in ("g.fa", "g.gtf", "e.tsv", "t.txt", "s.tsv"):
        (tmp_path / name).write_text("x\n")
    return tmp_path


GENOME = ("source=genome", "fasta={0}/g.fa", "gtf={0}/g.gtf", "expression={0}/e.tsv", "out={0}/out")
TABLE = ("source=xpresso_table", "table={0}/t.txt", "out={0}/out")


def check(files, *words):
    config = compose_words(command_of("prepare"), [word.format(files) for word in words]).config
    command.check(config)
    return config


@pytest.mark.parametrize("words", [GENOME, TABLE])
def test_a_right_command_passes_and_reads_nothing(files, words):
    assert check(files, *words).out == str(files / "out")
    assert not (files / "out").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (GENOME[:3] + GENOME[4:], "source=genome needs expression"),
        (("source=xpresso_table", "out={0}/out"), "source=xpresso_table needs table"),
        ((*TABLE, "fasta={0}/g.fa"), "source=xpresso_table has no use for fasta"),
        ((*GENOME, "table={0}/t.txt"), "source=genome has no use for table"),
        ((*GENOME, "tf={0}/none"), "the file is missing"),
        ((*GENOME, "tf={0}/e.tsv"), "expression and tf name the same file"),
        ((*GENOME, "split.by=file"), "split.by=file needs a file"),
        ((*GENOME, "split.file={0}/s.tsv"), "split.by=random has no use for a file"),
        ((*GENOME, "split.by=file", "split.file={0}/s.tsv", "split.test=9"), "split.test would have no effect"),
        ((*GENOME, "split.folds=5", "split.valid=9"), "split.valid would have no effect"),
        ((*GENOME, "upstream=0", "downstream=0"), "the promoters would be empty"),
        ((*GENOME, "upstream=100000000000"), r"upstream is impossible[\s\S]*10000000"),
        ((*GENOME[:1], "fasta=", *GENOME[2:]), "fasta is empty"),
        ((*GENOME[:1], "fasta={0}/" + "x" * 300, *GENOME[2:]), "the file is missing"),
        ((*GENOME[:4], "out={0}/" + "x" * 300), r"name of the folder is too long[\s\S]*the limit is"),
        ((*GENOME[:4], "out={0}/" + "x" * 245), "name of the folder is too long"),
        ((*GENOME[:4], "out={0}/new/" + "x" * 300 + "/out"), "name of the folder is too long"),
        ((*GENOME, "svd=100"), "svd reduces the microRNA block"),
        (("source=tables", "expression={0}/e.tsv", "out={0}/out"), "nothing to predict them from"),
        ((*GENOME[:4], "out={0}/g.fa"), "this is a file, not a folder"),
        ((*GENOME[:4], "out={0}"), "the folder is not empty"),
        (("source=genom", "out={0}/out"), "source is impossible"),
        ((*GENOME, "recipe=best"), "recipe is impossible"),
        ((*GENOME, "genes.stop_codon=maybe"), "genes.stop_codon is impossible"),
        ((*GENOME, "split.folds=2"), "split.folds is impossible"),
        (("source=genome",), "out is missing"),
    ],
)
def test_a_wrong_command_is_refused(files, words, message):
    with pytest.raises(UserError, match=message):
        check(files, *words)


def test_an_empty_folder_may_be_filled(files):
    (files / "out").mkdir()
    assert check(files, *TABLE).out == str(files / "out")


def test_published_folds_may_say_how_many_validate(files):
    assert check(files, *TABLE, "recipe=published", "split.folds=10", "split.valid=500")


def test_the_examples_name_keys_that_exist(files):
    assert len(command.EXAMPLES) >= 3
    for example, _ in command.EXAMPLES:
        program, name, *words = example.replace("'", "").split()
        assert (program, name) == ("genexp", "prepare")
        compose_words(command_of("prepare"), words)


#: Groups, and keys explained by the group above them.
GROUPS = ("absent", "genes", "split", "tf", "mirna", "seed", "file", "values")


def test_every_key_is_explained():
    text = (CONF_DIR / "prepare.yaml").read_text()
    body = text.split("\nsource:")[1].split("\nhydra:")[0]
    for line in body.splitlines():
        key = line.strip().split(":")[0]
        if ":" in line and not line.startswith("#") and key not in GROUPS:
            assert "#" in line or key in ("recipe", "svd"), line


def test_sigterm_ends_it_as_ctrl_c_does_before_anything_is_written(files):
    """Slurm and Kubernetes send it before they kill."""
    slow = (
        "import sys, time, genexp.prepare.gather as gather, genexp.cli as cli\n"
        "gather.gather = lambda *rest: (print('reading', flush=True), time.sleep(60))\n"
        "sys.exit(cli.main(sys.argv[1:]))"
    )
    words = [sys.executable, "-c", slow, "prepare", *(word.format(files) for word in GENOME)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "reading\n"
    process.terminate()
    _, printed = process.communicate(timeout=60)
    assert process.returncode == 130
    assert printed == "interrupted; nothing half-written is left: to start again, give the same command\n"
    assert not (files / "out").exists()


def test_the_command_line(files, genexp):
    done = genexp("prepare", "source=genome", "fasta=none.fa", "gtf=g.gtf", "expression=e.tsv", "out=o", cwd=files)
    assert done.returncode == 2
    assert "the file is missing" in done.stderr
    assert "Traceback" not in done.stderr
    done = genexp("prepare", "source=genome", "fasta=g.fa", "gtf=g.gtf", "expression=e.tsv", "out=o", cwd=files)
    assert done.returncode == 2
    assert "this is not a FASTA file" in done.stderr
    assert not (files / "o").exists()
    done = genexp("prepare", "sorce=genome", "out=o", cwd=files)
    assert "did you mean 'source'" in done.stderr
