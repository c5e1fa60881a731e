"""Sweeps from the command line: what is asked, resumed and refused; launchers and sweepers of Hydra's."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from statistics import fmean

import h5py
import pytest
import yaml
from conftest import QUICK

import genexp as library
from genexp.dataset.genes import SPLITS
from genexp.errors import UserError
from genexp.run import check_free

INSTALLED = {found.metadata["Name"].replace("_", "-") for found in distributions()}


@pytest.fixture
def words(xpresso_root, tmp_path):
    quick = [word for word in QUICK if not word.startswith("training.epochs")]
    where = ["dataset=xpresso", f"dataset.root={xpresso_root}", f"hydra.sweep.dir={tmp_path / 'sweep'}"]
    return ["train", *where, *quick, "training.epochs=1"]


@dataclass(frozen=True)
class Finished:
    """What stands in for the process of a job."""

    code: int
    stdin = None

    def poll(self):
        return self.code

    wait = poll


@pytest.fixture
def instantly(monkeypatch, finished_run):
    """Let a job be a copy of a finished run with its own seed, fold and blocks, and results that follow from these."""

    def start(self, words, variables=None):
        try:
            check_free(self.directory)
        except UserError as error:
            (self.directory / "job.log").write_text(f"error: {error}")
            return Finished(2)
        shutil.copytree(finished_run, self.directory, dirs_exist_ok=True)
        given = dict(word.split("=", 1) for word in self.words)
        seed, fold = int(given.get("seed", 0)), int(given["dataset.fold"]) if "dataset.fold" in given else None
        edit(self.directory / "config.yaml", {"seed": seed, "data.name": given.get("data", "PH"), "dataset.fold": fold})
        edit(self.directory / "metrics.json", {"seed": seed, "best.test.r2": 0.5 + seed / 100})
        edit(self.directory / "environment.json", {"dataset.fingerprint": f"{fold}{given.get('data')}"})
        (self.directory / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(list(self.words)))
        if fold:
            rows = [line.split(",") for line in Path(given["dataset.folds"]).read_text().splitlines()[1:]]
            genes = [f"{gene},test,{n},{n + fold}" for n, (gene, mine) in enumerate(rows) if int(mine) == fold]
            genes.append("other,valid,0,0")
            (self.directory / "predictions.csv").write_text("\n".join(["gene,split,label,prediction", *genes]))
        return Finished(0)

    monkeypatch.setattr("genexp.api.jobs.Job.start", start)
    monkeypatch.setattr("genexp.api.jobs.POLL_S", 0.01)


def edit(path, changes):
    content = yaml.safe_load(path.read_text())
    for key, value in changes.items():
        *groups, last = key.split(".")
        node = content
        for group in groups:
            node = node[group]
        node[last] = value
    path.write_text(json.dumps(content))


def gene_names(root):
    names = []
    for split in SPLITS:
        with h5py.File(root / f"{split}.h5") as file:
            names += [name.decode() for name in file["geneName"]]
    return names


def metrics(directory):
    return json.loads((directory / "metrics.json").read_text())


def test_help_names_the_directory_of_a_sweep_and_the_launchers(cli):
    for command, there in (("train", True), ("tune", False), ("import", False)):
        flags = cli(command, "--help").stdout.partition("Flags\n")[2]
        assert [word in flags for word in ("hydra.sweep.dir=DIR", "hydra/launcher=NAME")] == [there, there]


def test_repeats_fail_alone_and_resume_where_they_stopped(words, tmp_path, cli, instantly):
    """One command, over and over: a job that cannot work, one that was deleted, one that died early."""
    sweep = tmp_path / "sweep"
    (sweep / "1-xpresso-PH" / "checkpoints").mkdir(parents=True)  # in the way: no process may write there
    done = cli(*words, "repeats=3", "seed=5", "jobs=2", cwd=tmp_path)
    assert done.returncode == 2
    assert "3 jobs, 2 at a time" in done.stdout
    assert "1-xpresso-PH unusable: this directory holds a run already" in done.stdout
    assert f"genexp train resume={sweep}" in done.stdout or "genexp train resume=sweep" in done.stdout
    assert [metrics(sweep / f"{n}-xpresso-PH")["seed"] for n in (0, 2)] == [5, 7]
    assert json.loads((sweep / "summary.json").read_text())["without_result"]["1-xpresso-PH"]["status"] == "unusable"

    shutil.rmtree(sweep / "1-xpresso-PH")
    two = sweep / "2-xpresso-PH"
    for path in two.iterdir():
        if path.name not in (".hydra", "train.log"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    before = (sweep / "0-xpresso-PH" / "metrics.json").stat().st_mtime_ns
    done = cli("train", f"resume={sweep}", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (sweep / "0-xpresso-PH" / "metrics.json").stat().st_mtime_ns == before, "what is done stays"
    values = [metrics(sweep / f"{n}-xpresso-PH")["best"]["test"]["r2"] for n in range(3)]
    with (sweep / "summary.csv").open() as file:
        rows = {(row["checkpoint"], row["split"], row["metric"]): row for row in csv.DictReader(file)}
    assert float(rows["best", "test", "r2"]["mean"]) == pytest.approx(fmean(values))
    assert rows["last", "valid", "mse"]["n"] == "3"

    done = cli(*words, "repeats=3", "seed=5", cwd=tmp_path)
    assert done.returncode == 0
    assert "3 of 3 runs completed" in done.stdout
    done = cli(*words, "repeats=3", "seed=6", cwd=tmp_path)
    assert done.returncode == 2
    assert "holds another sweep" in done.stderr
    done = cli(*words, "repeats=4", "seed=5", cwd=tmp_path)
    assert "4 of 4 runs completed" in done.stdout, "a sweep may grow"


def test_many_runs_from_python(words, tmp_path, instantly, capsys):
    asked = [word for word in words[1:] if not word.startswith("hydra")]
    runs = library.train_many(*asked, "data=P,PH", "repeats=2", directory=tmp_path / "sweep", progress=False)
    assert capsys.readouterr().out == ""
    assert [(run.config.data.name, run.config.seed) for run in runs.runs] == [("P", 0), ("P", 1), ("PH", 0), ("PH", 1)]
    table = runs.summary().query("checkpoint == 'best' and split == 'test' and metric == 'r2'").set_index("group")
    assert table.loc["xpresso PH", "mean"] == fmean(run.metrics["best"]["test"]["r2"] for run in runs.runs[2:])
    assert table["n"].tolist() == [2, 2]
    assert runs.failed == {}
    with pytest.raises(UserError, match="no out_of_fold"):
        runs.out_of_fold  # noqa: B018
    again = library.train_many(f"resume={tmp_path / 'sweep'}", progress=False)
    assert [run.path for run in again.runs] == [run.path for run in runs.runs]
    with pytest.raises(UserError, match="train makes one run"):
        library.train(*asked, "repeats=2")
    with pytest.raises(UserError, match="holds no sweep"):
        library.train_many(f"resume={runs.runs[0].path}")


def test_folds_predict_every_gene_once_out_of_fold(xpresso_root, words, tmp_path, cli, instantly):
    names, table = gene_names(xpresso_root), tmp_path / "folds.csv"
    table.write_text("\n".join(["gene,fold", *(f"{name},{n % 3 + 1}" for n, name in enumerate(names))]))
    done = cli(*words, "folds=2", f"dataset.folds={table}", cwd=tmp_path)
    assert done.returncode == 2
    assert "hint: folds=3" in done.stderr
    done = cli(*words, "folds=3", f"dataset.folds={table}", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    with (tmp_path / "sweep" / "out_of_fold.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert sorted(row["gene"] for row in rows) == sorted(names)
    assert all(int(row["fold"]) == names.index(row["gene"]) % 3 + 1 for row in rows)
    (group,) = json.loads((tmp_path / "sweep" / "summary.json").read_text())["groups"]
    assert group["folds"] == [1, 2, 3]
    assert group["out_of_fold"]["seeds"]["0"]["n"] == len(names)
    assert f"out of fold: {len(names)} genes of 3 folds" in done.stdout


@pytest.mark.integration
def test_a_sweep_that_is_killed_goes_on_with_the_same_command(words, tmp_path, genexp):
    """With -9: the jobs end with the process that started them, and the last one that began is resumed."""
    several = [word.replace("training.epochs=1", "training.epochs=6") for word in words]
    command = [sys.executable, "-m", "genexp", *several, "-m", "seed=0,1", "jobs=1"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ) as process:
        until = time.monotonic() + 240
        while not list(tmp_path.glob("sweep/*/history.csv")) and time.monotonic() < until:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    done = genexp(*several, "-m", "seed=0,1", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [metrics(tmp_path / "sweep" / f"{n}-xpresso-PH")["epochs_run"] for n in (0, 1)] == [6, 6]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["repeats=2", "-m", "seed=0,1"], "repeats sweeps over the seed"),
        (["folds=3", "dataset.fold=1"], "folds runs each fold"),
        (["folds=3"], "this dataset has no folds"),
        (["-m", "repeats=2,3"], "repeats has one value"),
        (["job=0,1"], "job has one value"),
        (["-m", "seed=0,1", "hydra.sweep.dir=a,b"], "hydra.sweep.dir has one value"),
        (["jobs=0"], "jobs is for several runs"),
        (["hydra/launcher=submitit_local"], "hydra/launcher is for several runs|not installed"),
        (["hydra/sweeper=optuna"], "hydra/sweeper"),
        (["repeats=2", "hydra/launcher=slurmm"], "did you mean 'slurm'?"),
        (["-m", "model=fc_net", "data=H", "experiment=fc_net_T,xpresso_P"], "xpresso_P is a result of model=xpresso"),
        (["-m", "seed=0,1", "hydra.sweep.subdir=run"], "two jobs would have one directory"),
        (["repeats=2", "hydra.sweep.subdir='../${hydra.job.num}'"], "the directory of a job is outside the sweep"),
        (["-m", "seed=0,1", "hydra/launcher=joblib", "jobs=2"], "jobs has no effect|joblib"),
        (["repeats=0"], "repeats is impossible"),
        (["jobs=-1"], "jobs is impossible"),
        (["repeats=2", "training.epochs=0"], "training.epochs is impossible"),
    ],
)
def test_what_cannot_be_run_is_refused_before_anything_is_written(words, tmp_path, cli, more, message):
    done = cli(*words, *more, cwd=tmp_path)
    assert done.returncode == 2
    assert any(part in done.stderr for part in message.split("|")), done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["-m", "seed=1,2,1"], "the same run"),
        (["repeats=2", "hydra.run.dir=mine"], "hydra.sweep.dir='mine'"),
    ],
)
def test_a_sweep_counts_no_run_twice_and_lands_where_it_says(tmp_path, cli, more, message):
    done = cli("train", "model=fc_net", "data=H", "dataset.genes=100", *more, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert not list(tmp_path.iterdir())


def test_folds_of_simulated_genes_are_refused(tmp_path, cli):
    done = cli("train", "folds=3", cwd=tmp_path)
    assert (done.returncode, "simulated genes have no folds" in done.stderr) == (2, True)


def test_unusable_members_are_named_and_done_again_without_their_directories(words, tmp_path, cli, instantly):
    """What the closing line says is enough, whatever the member's directory holds."""
    sweep = tmp_path / "sweep"
    assert cli(*words, "repeats=5", cwd=tmp_path).returncode == 0
    members = [sweep / f"{n}-xpresso-PH" for n in range(5)]
    (members[0] / "config.yaml").write_text("a: [")
    (members[1] / "metrics.json").write_text("{")
    (members[2] / "config.yaml").unlink()
    shutil.rmtree(members[3])
    members[3].write_text("a file")
    for _ in range(2):
        done = cli("train", f"resume={sweep}", cwd=tmp_path)
        assert done.returncode == 2
        assert "1 of 5 runs completed" in done.stdout
        for member in members[:4]:
            assert f"{member.name} unusable: " in done.stdout
        assert "holds a run already" in done.stdout, "why the third cannot be made"
        assert "4 left; delete the directory of each that is unusable; then" in " ".join(done.stdout.split())
    for member in members[:4]:
        shutil.rmtree(member) if member.is_dir() else member.unlink()
    assert cli("train", f"resume={sweep}", cwd=tmp_path).returncode == 0


def test_a_sweep_directory_has_one_process_and_no_run_of_its_own(words, tmp_path, cli):
    from genexp.api import sweeps

    (tmp_path / "sweep").mkdir()
    with (tmp_path / "sweep" / sweeps.LOCK).open("a") as file:
        assert sweeps.lock(file)
        done = cli(*words, "repeats=2", cwd=tmp_path)
        assert "another process is running this sweep" in done.stderr
    (tmp_path / "swept").mkdir()
    (tmp_path / "swept" / "sweep.yaml").touch()
    alone = [word for word in words if not word.startswith("hydra.sweep.dir")]
    done = cli(*alone, f"hydra.run.dir={tmp_path / 'swept'}", cwd=tmp_path)
    assert done.returncode == 2
    assert "this directory holds a sweep already" in done.stderr
    (tmp_path / "sweep" / "config.yaml").touch()
    done = cli(*words, "repeats=2", cwd=tmp_path)
    assert "this directory holds a run" in done.stderr


def test_a_resumed_sweep_keeps_its_settings(tmp_path, cli):
    record = {"format": 1, "command": "train", "typed": [], "cwd": "/", "config_dir": None, "raw": None, "jobs": []}
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(record))
    for words in (["training.epochs=3"], ["-m"]):
        done = cli("train", f"resume={tmp_path}", *words, cwd=tmp_path)
        assert done.returncode == 2
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(record | {"format": 2}))
    done = cli("train", f"resume={tmp_path}", cwd=tmp_path)
    assert "sweep.yaml" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_sweep_without_runs_is_called_one(tmp_path, cli):
    sweep = tmp_path / "sweep"
    assert cli("train", "repeats=2", "jobs=0", f"hydra.sweep.dir={sweep}", cwd=tmp_path).returncode == 0
    for command in (["compare", f"runs={sweep}"], ["evaluate", f"run_dir={sweep}"], ["report", f"runs={sweep}"]):
        done = cli(*command, cwd=tmp_path)
        assert done.returncode == 2
        assert "this sweep has no run yet" in done.stderr
        assert f"genexp train resume={sweep}" in done.stderr


@pytest.mark.parametrize("changed", [{"command": "export"}, {"jobs": [{"directory": "../x", "words": []}]}])
def test_the_record_of_a_stranger_starts_training_in_its_directory_alone(tmp_path, cli, changed):
    sweep = tmp_path / "sweep"
    assert cli("train", "repeats=2", "jobs=0", f"hydra.sweep.dir={sweep}", cwd=tmp_path).returncode == 0
    record = yaml.safe_load((sweep / "sweep.yaml").read_text())
    (sweep / "sweep.yaml").write_text(yaml.safe_dump(record | changed))
    done = cli("train", f"resume={sweep}", cwd=tmp_path)
    assert done.returncode == 2
    assert "a file of the run directory cannot be read" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["sweep"]


def test_a_sweep_is_told_how_it_grows(tmp_path, cli):
    words = ("train", f"hydra.sweep.dir={tmp_path / 'sweep'}", "jobs=0")
    assert cli(*words, "repeats=2", cwd=tmp_path).returncode == 0
    done = cli("train", f"resume={tmp_path / 'sweep'}", "repeats=4", cwd=tmp_path)
    assert done.returncode == 2
    assert "expected: at most jobs, job, hydra/launcher beside resume" in done.stderr
    assert "give its own command again, with repeats=N" in " ".join(done.stderr.split())
    assert cli(*words, "repeats=4", cwd=tmp_path).returncode == 0


def test_a_resume_takes_up_what_the_first_command_gave(words, tmp_path, cli, instantly):
    """jobs= and --config-dir are those of the record; of a launcher it says that it is not taken up."""
    (tmp_path / "mine" / "experiment").mkdir(parents=True)
    (tmp_path / "mine" / "experiment" / "own.yaml").write_text("# @package _global_\ntraining:\n  patience: 7\n")
    mine = ["--config-dir", "mine", "experiment=own"]
    assert cli(*words, *mine, "repeats=2", "jobs=1", cwd=tmp_path).returncode == 0
    path = tmp_path / "sweep" / "sweep.yaml"
    for given, message in (([], "2 jobs, 1 at a time"), (["jobs=2"], "2 jobs, 2 at a time")):
        done = cli("train", f"resume={tmp_path / 'sweep'}", *given, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert message in done.stdout
        assert yaml.safe_load(path.read_text())["at_once"] == 1
    record = yaml.safe_load(path.read_text())
    record |= {"at_once": 0, "typed": ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]}
    path.write_text(yaml.safe_dump(record))
    done = cli("train", f"resume={tmp_path / 'sweep'}", cwd=tmp_path)
    assert "at a time" in done.stdout, "a sweep that was recorded alone is run"
    assert "hydra/launcher=joblib hydra.launcher.n_jobs=2" in " ".join((done.stdout + done.stderr).split())


@pytest.mark.integration
def test_a_single_run_that_died_early_is_started_again_by_resume(words, tmp_path, cli):
    run = tmp_path / "run"
    (run / ".hydra").mkdir(parents=True)
    started = [word for word in words[1:] if not word.startswith("hydra")]
    (tmp_path / "mine" / "experiment").mkdir(parents=True)
    (tmp_path / "mine" / "experiment" / "own.yaml").write_text("# @package _global_\n")
    started.append("experiment=own")
    (run / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump([*started, "seed=4", "hydra.run.dir=run"]))
    (run / "train.log").touch()
    assert "found with --config-dir DIR" in cli("train", f"resume={run}", cwd=tmp_path).stderr
    done = cli("train", "--config-dir", "mine", f"resume={run}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert metrics(run)["seed"] == 4
