"""Commands that were interrupted or killed go on where they were, and their results are those of whole commands."""

import shlex
import shutil
import subprocess
import sys

import numpy as np
import pytest
from toy_organism import Organism, write, write_genome, write_gtf

from genexp.api import predicting, prediction, scanning, unfinished, variant_effects


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder, organism = tmp_path_factory.mktemp("genome"), Organism()
    write_genome(folder / "g.fa", organism)
    write_gtf(folder / "g.gtf", organism)
    rows = [
        f"{gene.chromosome}\t{at}\t{ref}\t{alt}\n"
        for gene in organism.genes[1:10]
        for at in [gene.place((0, 1))[0] + 30]
        for ref in [organism.genome[gene.chromosome][at - 1]]
        for alt in [f"{ref}AC,{'CA'[ref == 'C']}"]
        if alt[-1] != ref
    ]
    write(folder / "v.tsv", f"chromosome\tposition\tref\talt\n{''.join(rows)}")
    return folder


#: By command, its keys, the file that is compared, and what makes it compute a few sequences at a time.
COMMANDS = {
    "predict": (("fasta=g.fa", "gtf=g.gtf", "both_strands=true"), "", (predicting, "ROWS")),
    "scan": (("fasta=g.fa", "region=2", "step=100", "plots=[]", "tracks=bedgraph"), "scan.tsv", (scanning, "CHUNK")),
    "variants": (("fasta=g.fa", "gtf=g.gtf", "vcf=v.tsv"), "", (variant_effects, "CHUNK")),
}


@pytest.fixture(params=COMMANDS)
def command(request, monkeypatch, finished_run, files, tmp_path):
    """The words of a command, and the file that it writes."""
    words, inside, (module, size) = COMMANDS[request.param]
    monkeypatch.setattr(module, size, 32)
    monkeypatch.chdir(files)
    out = tmp_path / "out.tsv"
    given = [request.param, f"run_dir={finished_run}", *words, "features=mean", "hardware=cpu", f"out={out}"]
    return given, out / inside if inside else out


def interrupted_at(monkeypatch, call):
    """Have Ctrl-C come in a call of a model; return the number of genes of each call."""
    calls = []

    def predicted(self, tokens, features, whole=prediction._Member.__call__):
        calls.append(len(tokens))
        if len(calls) == call:
            raise KeyboardInterrupt
        return whole(self, tokens, features)

    monkeypatch.setattr(prediction._Member, "__call__", predicted)
    return calls


def test_an_interrupted_command_is_resumed(command, cli, monkeypatch, tmp_path):
    words, out = command
    assert cli(*words).returncode == 0
    whole = out.read_bytes()
    shutil.rmtree(out.parent if out.name == "scan.tsv" else tmp_path)
    tmp_path.mkdir(exist_ok=True)
    with monkeypatch.context() as patch:
        interrupted_at(patch, 3)
        done = cli(*words)
    assert done.returncode == 130
    assert f"resume with: {shlex.join(['genexp', *words])}" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == [".out.tsv.unfinished"]
    damaged, _ = sorted((tmp_path / ".out.tsv.unfinished").iterdir())
    damaged.write_bytes(damaged.read_bytes()[:100])
    with monkeypatch.context() as patch:
        calls = interrupted_at(patch, 0)
        done = cli(*words)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("resumed: what was computed before is taken from .out.tsv.unfinished") == 1
    assert out.read_bytes() == whole
    assert not (tmp_path / ".out.tsv.unfinished").exists()
    with monkeypatch.context() as patch:
        everything = interrupted_at(patch, 0)
        cli(*words[:-1], f"out={tmp_path / 'again.tsv'}")
    assert len(calls) == len(everything) - 1


def test_other_commands_and_other_weights_take_nothing(finished_run, files, cli, monkeypatch, tmp_path):
    run = shutil.copytree(finished_run, tmp_path / "run")
    monkeypatch.chdir(files)
    monkeypatch.setattr(predicting, "ROWS", 32)
    words = ["predict", f"run_dir={run}", "fasta=g.fa", "gtf=g.gtf", "features=mean", "hardware=cpu"]
    out = tmp_path / "p.tsv"
    for change, resumed in (([], True), (["both_strands=true"], False), (["checkpoint=last"], False), ([], False)):
        with monkeypatch.context() as patch:
            interrupted_at(patch, 2)
            assert cli(*words, f"out={out}").returncode == 130
        if not change and not resumed:  # the same command, after a change of the weights
            shutil.copy(run / "checkpoints" / "last.keras", run / "checkpoints" / "best.keras")
        done = cli(*words, *change, f"out={out}")
        assert done.returncode == 0
        assert ("resumed: " in done.stdout) == resumed
        out.unlink()
    assert not list(tmp_path.glob(".*"))


def test_a_killed_command_is_resumed(finished_run, files, cli, monkeypatch, tmp_path):
    """Nothing runs in a process after SIGKILL: what it has kept is there already."""
    monkeypatch.chdir(files)
    words = ["scan", f"run_dir={finished_run}", "fasta=g.fa", "region=2", "step=2", "features=mean", "hardware=cpu"]
    words += ["tracks=bedgraph", f"out={tmp_path / 'scan'}"]
    assert cli(*words).returncode == 0
    whole = {path.name: path.read_bytes() for path in (tmp_path / "scan").iterdir()}
    shutil.rmtree(tmp_path / "scan")
    killed = (
        "import os, signal, sys\n"
        "from genexp.api import prediction\n"
        "from genexp.cli import main\n"
        "calls, whole = [], prediction._Member.__call__\n"
        "def predicted(*given):\n"
        "    calls.append(1)\n"
        "    return os.kill(os.getpid(), signal.SIGKILL) if len(calls) == 4 else whole(*given)\n"
        "prediction._Member.__call__ = predicted\n"
        "main(sys.argv[1:])\n"
    )
    done = subprocess.run([sys.executable, "-c", killed, *words], capture_output=True, timeout=300, check=False)
    assert done.returncode == -9
    assert not (tmp_path / "scan").exists()
    done = cli(*words)
    assert (done.returncode, done.stdout.count("resumed: ")) == (0, 1)
    assert {path.name: path.read_bytes() for path in (tmp_path / "scan").iterdir()} == whole


def test_what_arrays_depend_on_is_told_apart():
    parts = [[b"a", b"bc"], [b"ab", b"c"], [b"abc"], [np.zeros(4, "u1")], [np.zeros((2, 2), "u1")], [np.zeros(1, "f4")]]
    assert len({unfinished._digest(part) for part in parts}) == len(parts)
