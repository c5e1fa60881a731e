"""Jobs of a sweep outside this process's pool: by their number, and through launchers of Hydra's."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec

import pytest
import yaml

from genexp.api.launchers import run_one
from genexp.api.results import report
from genexp.config.words import LAUNCHERS

WORDS = ["model=fc_net", "data=H", "dataset.genes=100", "training.patience=null", "hardware=cpu"]


def needs(extra):
    missing = find_spec("hydra_plugins") is None or find_spec(f"hydra_plugins.hydra_{extra}_launcher") is None
    return pytest.mark.skipif(missing, reason=f"needs the extra {extra}")


def write_record(directory, *jobs, **more):
    """Write the record of a sweep of jobs, each given by its overrides."""
    each = [{"directory": f"{n}-job", "words": words} for n, words in enumerate(jobs)]
    record = {"format": 1, "command": "train", "typed": [], "cwd": str(directory), "config_dir": None, "raw": None}
    directory.mkdir(exist_ok=True)
    (directory / "sweep.yaml").write_text(yaml.safe_dump(record | {"jobs": each} | more))
    return directory


def end_as(run, **metrics):
    run.mkdir(parents=True, exist_ok=True)
    (run / "config.yaml").touch()
    (run / "metrics.json").write_text(json.dumps(metrics))


# --- by number ---


def test_a_sweep_is_recorded_without_a_run(tmp_path, cli):
    sweep = tmp_path / "sweep"
    done = cli("train", *WORDS, "repeats=1000", "jobs=0", f"hydra.sweep.dir={sweep}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "1000 jobs are recorded" in done.stdout
    assert "genexp train resume=sweep job=N" in done.stdout
    jobs = yaml.safe_load((sweep / "sweep.yaml").read_text())["jobs"]
    assert [job["words"][-1] for job in jobs] == [f"seed={n}" for n in range(1000)]
    assert len({job["directory"] for job in jobs}) == 1000
    assert {path.name for path in sweep.iterdir()} == {"sweep.yaml", ".lock"}


def test_a_sweep_of_one_job_is_recorded(tmp_path, cli):
    done = cli("train", *WORDS, "repeats=1", "jobs=0", f"hydra.sweep.dir={tmp_path / 'sweep'}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "1 job is recorded, and not run; genexp train resume=sweep job=0 runs it" in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["job=2"], "the sweep has no such job.*0 to 1"),
        (["job=-1"], "job is impossible"),
        (["job=0", "training.epochs=2"], "keeps its own settings"),
        (["hydra/launcher=joblib", "jobs=2"], "jobs has no effect|not installed"),
    ],
)
def test_what_cannot_be_resumed_so_is_refused(tmp_path, cli, more, message):
    sweep = write_record(tmp_path / "sweep", ["seed=0"], ["seed=1"])
    done = cli("train", f"resume={sweep}", *more, cwd=tmp_path)
    assert done.returncode == 2
    assert not list(sweep.glob("*-job"))
    assert re.search(message, done.stderr, re.DOTALL), done.stderr


def test_a_number_needs_the_directory_of_a_sweep(tmp_path, cli, finished_run):
    for words in (["job=0"], ["repeats=2", "job=0"], [f"resume={finished_run}", "job=0"]):
        done = cli("train", *words, cwd=tmp_path)
        assert done.returncode == 2
        assert "job is the number of a job in a sweep" in done.stderr


def test_a_search_is_not_resumed(tmp_path, cli):
    """Its sweeper has forgotten it; and what it recorded could hold commands for a shell."""
    raw = ["--multirun", "hydra/sweeper=other", "hydra.launcher.setup=[touch mark]"]
    done = cli("train", f"resume={write_record(tmp_path / 'sweep', raw=raw)}", cwd=tmp_path)
    assert (done.returncode, "genexp tune" in done.stderr) == (2, True)


@pytest.mark.integration
def test_one_job_runs_by_its_number_in_its_own_directory(tmp_path, cli):
    sweep = write_record(tmp_path / "sweep", ["model=absent"], ["model=xpreso"], ["seed=2"])
    end_as(sweep / "2-job", status="completed")
    assert cli("train", f"resume={sweep}", "job=1", cwd=tmp_path).returncode == 2
    assert "did you mean 'xpresso'" in (sweep / "1-job" / "job.log").read_text()
    assert not (sweep / "0-job").exists()
    done = cli("train", f"resume={sweep}", "job=2", cwd=tmp_path)
    assert done.returncode == 0
    assert "job 2: 2-job: seed=2" in done.stdout
    assert not (sweep / "2-job" / "job.log").exists(), "nothing was left to do"


@pytest.mark.integration
def test_a_resumed_job_that_fails_at_once_says_why(tmp_path, cli):
    """Its metrics.json still has the status of an earlier process."""
    sweep = write_record(tmp_path / "sweep", ["seed=0"])
    end_as(sweep / "0-job", status="interrupted", reason="stopped by a signal")
    (sweep / "0-job" / "config.yaml").write_text("nonsense")
    done = cli("train", f"resume={sweep}", "job=0", cwd=tmp_path)
    assert done.returncode == 2
    assert re.search("0-job failed in .*: .*cannot be read", done.stdout), done.stdout
    assert report(sweep, [sweep / "0-job"], "") == 2
    found = json.loads((sweep / "summary.json").read_text())["without_result"]["0-job"]
    assert found["status"] == "failed"
    assert "no group of keys" in found["error"]


# --- through launchers ---


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_missing_launcher_is_named_with_its_extra(launcher, tmp_path, cli, monkeypatch):
    monkeypatch.setattr("genexp.config.words.find_spec", lambda name: None)
    done = cli("train", "repeats=2", f"hydra/launcher={launcher}", cwd=tmp_path)
    assert done.returncode == 2
    assert f"pip install 'genexp[{LAUNCHERS[launcher]}]'" in done.stderr
    assert not list(tmp_path.iterdir())


LOCAL = {
    "joblib": ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"],
    "submitit": ["hydra/launcher=submitit_local"],
    "ray": [
        "hydra/launcher=ray",
        "+hydra.launcher.ray.init.num_cpus=2",
        "+hydra.launcher.ray.init._node_ip_address=127.0.0.1",
        "+hydra.launcher.ray.init.include_dashboard=false",
    ],
}


@pytest.mark.parametrize("extra", [pytest.param(name, marks=needs(name)) for name in LOCAL])
@pytest.mark.integration
def test_a_launcher_runs_the_jobs_that_are_left(extra, tmp_path, genexp):
    """One is done, two fail at once; each has its own directory, and the command ends with one report."""
    sweep = write_record(tmp_path / "sweep", ["seed=1"], ["model=absent"], ["model=xpreso"])
    end_as(sweep / "0-job", status="collapsed", reason="why")
    done = genexp("train", f"resume={sweep}", *LOCAL[extra], cwd=tmp_path)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert f"2 of 3 jobs to {LOCAL[extra][0]}" in done.stdout
    assert "there is no model absent" in (sweep / "1-job" / "job.log").read_text()
    assert "did you mean 'xpresso'" in (sweep / "2-job" / "job.log").read_text()
    found = json.loads((sweep / "summary.json").read_text())["without_result"]
    assert {name: each["status"] for name, each in found.items()} == {
        "0-job": "collapsed",
        "1-job": "failed",
        "2-job": "failed",
    }
    assert f"resume=sweep {LOCAL[extra][0]}" in done.stdout + done.stderr


@pytest.mark.parametrize("extra", [pytest.param(name, marks=needs(name)) for name in ("joblib", "submitit")])
@pytest.mark.integration
def test_a_launcher_imports_nothing_from_the_current_folder(extra, tmp_path):
    sweep, here = write_record(tmp_path / "sweep", ["seed=1"], ["model=xpreso"]), tmp_path / "here"
    end_as(sweep / "0-job", status="completed")
    here.mkdir()
    for name in ("csv", "json", "traceback", "socket"):
        (here / f"{name}.py").write_text(f"open({str(tmp_path / 'mark')!r}, 'w')\n")
    command = [sys.executable, "-P", "-m", "genexp", "train", f"resume={sweep}", *LOCAL[extra]]
    done = subprocess.run(command, cwd=here, capture_output=True, text=True, timeout=300, check=False)
    assert not (tmp_path / "mark").exists()
    assert done.returncode == 2, done.stdout + done.stderr
    assert "did you mean 'xpresso'" in (sweep / "1-job" / "job.log").read_text()


@needs("submitit")
@pytest.mark.integration
def test_a_launcher_that_cannot_start_is_one_message(tmp_path, genexp):
    """In a process of its own: submitit closes the streams of all loggers when it is imported."""
    if shutil.which("srun"):
        pytest.skip("this is a Slurm cluster")
    sweep = write_record(tmp_path / "sweep", ["seed=0"])
    done = genexp("train", f"resume={sweep}", "hydra/launcher=slurm", cwd=tmp_path)
    assert done.returncode == 2
    assert "the launcher stopped" in done.stderr
    assert "genexp train hydra/launcher=slurm --cfg hydra" in done.stderr
    assert "srun" in done.stderr


@needs("submitit")
@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGUSR2", "SIGTERM"])
def test_a_job_that_is_preempted_gives_the_same_result(name, tmp_path, genexp):
    """submitit requeues it at SIGUSR2; SIGTERM, which submitit ignores, ends it, and the sweep is resumed."""
    sweep = write_record(tmp_path / "sweep", [*WORDS, "training.epochs=40"])
    shutil.copytree(sweep, tmp_path / "whole")
    run, launcher = sweep / "0-job", "hydra/launcher=submitit_local"
    command = [sys.executable, "-m", "genexp", "train", f"resume={sweep}", launcher]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        until = time.monotonic() + 240
        while not (run / "history.csv").exists() and time.monotonic() < until:
            time.sleep(0.05)
        (folder,) = sweep.glob(".submitit/*/*/*_submitted.pkl")
        os.kill(child_of(int(folder.parent.name)), getattr(signal, name))
        process.wait(timeout=240)
    log = (run / "job.log").read_text()
    assert "interrupted; resume with" in log
    requeued = "resuming after epoch" in log
    assert requeued == (name == "SIGUSR2")
    if not requeued:
        assert genexp("train", f"resume={sweep}", cwd=tmp_path).returncode == 0
    assert run_one(tmp_path / "whole", 0) == 0
    assert history(run) == history(tmp_path / "whole" / "0-job")
    assert (run / "predictions.csv").read_bytes() == (tmp_path / "whole" / "0-job" / "predictions.csv").read_bytes()


def child_of(process):
    found = subprocess.run(["pgrep", "-P", str(process)], capture_output=True, text=True, check=True).stdout
    return int(found.split()[0])


def history(run):
    """All but the seconds."""
    return [line.split(",")[:5] for line in (run / "history.csv").read_text().splitlines()]
