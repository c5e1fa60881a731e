"""The pool: jobs at once, one that fails beside others, what is left of a job, shares of cores and GPUs."""

import json
import os
import pickle
import subprocess
import sys
import time
from dataclasses import dataclass

import pytest
import yaml

from genexp import resources
from genexp.api import jobs
from genexp.api.jobs import Job, Shares, last_error, outcome_of, run_jobs
from genexp.errors import UserError
from genexp.run import RunDirectory, sole_writer


@dataclass(frozen=True)
class Script(Job):
    """A job that runs some Python, its only word, in its directory."""

    def start(self, words, variables=None):
        self.directory.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, **(variables or {})}
        with (self.directory / "job.log").open("ab") as log:
            command = [sys.executable, "-c", self.words[0]]
            return subprocess.Popen(command, cwd=self.directory, stdout=log, stderr=log, env=environment)


DONE = 'open("metrics.json", "w").write(\'{"status": "completed"}\')'


def scripts(tmp_path, *texts):
    return [Script(n, (text,), tmp_path / f"{n}-job") for n, text in enumerate(texts)]


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    monkeypatch.setattr(jobs, "POLL_S", 0.02)
    monkeypatch.setattr(jobs, "WAIT_S", 1.0)


@pytest.mark.integration
def test_a_job_that_fails_neither_stops_nor_hides_the_others(tmp_path):
    texts = [
        DONE,
        "import sys; sys.exit('noise\\nerror: no such model\\n  hint: spell it')",
        "import os; os.kill(os.getpid(), 9)",
        "raise SystemExit(1)",
        DONE,
    ]
    ended = {each.job.number: each for each in run_jobs(scripts(tmp_path, *texts), Shares(2, 2))}
    assert [ended[n].status for n in range(5)] == ["completed", "failed", "killed", "failed", "completed"]
    assert [ended[n].code for n in range(5)] == [0, 1, 1, 1, 0]
    assert ended[1].error == "no such model\n  hint: spell it"
    assert "SIGKILL" in ended[2].error


@pytest.mark.integration
def test_so_many_jobs_run_at_once_as_there_are_slots(tmp_path):
    """Each job notes how many others are there; every slot has a GPU of its own."""
    text = (
        "import os, time, pathlib; here = pathlib.Path('..'); mine = here / f'running-{os.getpid()}'; mine.touch();"
        "time.sleep(0.3); pathlib.Path('seen').write_text(f\"{len(list(here.glob('running-*')))} \""
        "+ os.environ['CUDA_VISIBLE_DEVICES']); mine.unlink();" + DONE
    )
    most = []
    shares = Shares(3, 6, (("4",), ("5",), ("6",)))
    run_jobs(scripts(tmp_path, *[text] * 6), shares, lambda state: most.append(len(state.running)))
    seen = [(tmp_path / f"{n}-job" / "seen").read_text().split() for n in range(6)]
    assert max(most) == 3 == max(int(count) for count, _ in seen)
    assert {gpu for _, gpu in seen} == {"4", "5", "6"}


@pytest.mark.integration
def test_an_interrupt_stops_the_jobs_that_run_and_begins_no_other(tmp_path):
    wait = "import time; open('began', 'w'); time.sleep(60)"

    def interrupt(state):
        if len(list(tmp_path.glob("*/began"))) == 2:
            raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_jobs(scripts(tmp_path, wait, wait, wait), Shares(2, 2), interrupt)
    assert time.monotonic() - began < 30
    assert not (tmp_path / "2-job").exists()


@pytest.mark.integration
def test_a_job_ends_with_the_process_that_started_it(tmp_path):
    """Even where that one is killed, and can tell nobody."""
    child = "from genexp.api.jobs import end_with_parent; import time; end_with_parent(); time.sleep(60)"
    parent = (
        "import os, subprocess, sys, time; child = subprocess.Popen([sys.executable, '-c', sys.argv[1]],"
        "stdin=subprocess.PIPE, start_new_session=True, env={**os.environ, 'GENEXP_PARENT': '1'});"
        "print(child.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", parent, child], stdout=subprocess.PIPE, text=True) as process:
        os.kill(int(process.stdout.readline()), 0)
        process.kill()
        began = time.monotonic()
        process.stdout.read()  # ends with the last process that has it
    assert time.monotonic() - began < 30


# --- what is left of a job ---


@pytest.fixture
def job(tmp_path):
    return Job(3, ("model=xpresso", "seed=3", "hydra.verbose=true"), tmp_path / "3-xpresso-PH")


def write(job, **files):
    (job.directory / ".hydra").mkdir(parents=True, exist_ok=True)
    names = {"config": "config.yaml", "metrics": "metrics.json", "words": ".hydra/overrides.yaml"}
    for name, content in files.items():
        (job.directory / names[name]).write_text(content)


def test_a_job_can_be_pickled(job):
    assert pickle.loads(pickle.dumps(job)) == job


def test_what_is_left_is_seen_in_the_directory(job):
    start = [*job.words, f"hydra.run.dir='{job.directory}'"]
    assert job.left() == start
    write(job, words=yaml.safe_dump([*job.words, "hydra.run.dir=x"]))
    assert job.left() == start, "it died before it wrote config.yaml"
    write(job, config="seed: 3")
    assert job.left() == [f"resume='{job.directory}'", "hydra.verbose=true"]
    for status, left in (("interrupted", True), ("failed", True), ("completed", False), ("collapsed", False)):
        write(job, metrics=json.dumps({"status": status}))
        assert (job.left() is not None) == left


def test_the_directory_of_another_job_is_refused(job):
    write(job, config="seed: 3", words="[model=xpresso, seed=4]")
    with pytest.raises(UserError, match="holds another run") as caught:
        job.left()
    assert "expected: seed=3" in str(caught.value)
    assert "received: seed=4" in str(caught.value)


def test_a_run_that_is_being_written_is_left_alone(job):
    write(job, config="seed: 3")
    with sole_writer(RunDirectory(job.directory)):
        assert job.is_busy()
        with pytest.raises(UserError, match="another process is writing this run"):
            job.run()
        (ended,) = run_jobs([job], Shares(1, 1))
        assert ended.status == "failed"
        assert "another process" in ended.error


def test_how_a_run_ended_is_read_from_its_directory(job):
    assert outcome_of(job.directory) == ("not started", "")
    write(job, metrics='{"status": "collapsed", "reason": "why"}')
    assert outcome_of(job.directory) == ("collapsed", "why")
    write(job, metrics="{")
    assert outcome_of(job.directory)[0] == "unusable"
    (job.directory / "metrics.json").unlink()
    (job.directory / "job.log").write_text("error: first\nepoch 1\nerror: the last\n  hint: one\n")
    assert outcome_of(job.directory) == ("failed", "the last\n  hint: one")
    assert last_error("") == ""


# --- a job that is resumed ---


def write_metrics(**found):
    """Return a line of a shell script that writes the metrics of a run."""
    return f"echo '{json.dumps(found)}' > $DIRECTORY/new && mv $DIRECTORY/new $DIRECTORY/metrics.json"


BEFORE = [
    {"status": "interrupted", "reason": "stopped by a signal"},
    {"status": "failed", "reason": "an old error"},
    None,
]


@pytest.mark.integration
@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize(
    ("script", "expected", "read"),
    [
        ("echo 'error: no such folder'; exit 2", ("failed", "no such folder"), ("failed", "no such folder")),
        ("exit 1", ("failed", "exit code 1"), None),
        ("exit 130", ("interrupted", "stopped by a signal"), None),
        (
            write_metrics(status="failed", reason="new") + "; echo 'error: other words'; exit 1",
            ("failed", "new"),
            ("failed", "new"),
        ),
        (
            write_metrics(status="interrupted", reason="stopped by a signal") + "; exit 130",
            ("interrupted", "stopped by a signal"),
            ("interrupted", "stopped by a signal"),
        ),
        (
            write_metrics(status="collapsed", reason="the same value") + "; echo 'error: the same value'; exit 2",
            ("collapsed", "the same value"),
            ("collapsed", "the same value"),
        ),
        (write_metrics(status="completed") + "; echo 'error: is printed'", ("completed", ""), ("completed", "")),
    ],
)
def test_what_an_earlier_process_has_left_does_not_count(job, monkeypatch, before, script, expected, read):
    """Neither metrics.json, if the process that has ended did not write it, nor the errors in the log before it."""
    write(job, config="seed: 3", words=yaml.safe_dump(list(job.words)))
    (job.directory / "job.log").write_text("started 2026-01-31 12:00:00 (metrics.json: none)\nerror: the first\nepo")
    if before:
        write(job, metrics=json.dumps(before))
        os.utime(job.directory / "metrics.json", (1, 1))
    python = job.directory.parent / "python"
    python.write_text(f"#!/bin/sh\nDIRECTORY='{job.directory}'\n{script}\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    (ended,) = run_jobs([job], Shares(1, 1))
    assert (ended.status, ended.error) == expected
    if read:  # what a launcher, or the command after an array, finds
        assert outcome_of(job.directory) == read


# --- where a job imports from ---


@pytest.mark.integration
@pytest.mark.parametrize("given", [None, ".", os.pathsep])
def test_a_job_imports_nothing_from_the_folder_that_it_is_started_in(job, monkeypatch, tmp_path, given):
    """That folder is named by sweep.yaml, which may come from someone else."""
    other, here = tmp_path / "other", tmp_path / "here"
    (other / "genexp").mkdir(parents=True)
    here.mkdir()
    for name in ("genexp/__init__", "genexp/__main__", "csv", "types", "traceback", "textwrap"):
        (other / f"{name}.py").write_text(f"open({str(tmp_path / 'mark')!r}, 'w')\n")
    monkeypatch.chdir(here)
    if given is None:
        monkeypatch.delenv("PYTHONPATH", raising=False)
    else:
        monkeypatch.setenv("PYTHONPATH", given)
    assert Job(0, ("model=xpreso",), job.directory, cwd=other).run() == 2
    assert "did you mean 'xpresso'" in (job.directory / "job.log").read_text()
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize(
    ("file", "given", "expected"),
    [
        ("/env/lib/site-packages/genexp/api/jobs.py", "", None),
        ("/env/lib/site-packages/genexp/api/jobs.py", "lib:/else:", "{here}/lib:/else:{here}"),
        ("/checkout/genexp/api/jobs.py", "", "/checkout"),
        ("/checkout/genexp/api/jobs.py", "/checkout:/else", "/checkout:/else"),
    ],
)
def test_jobs_import_what_their_command_does(monkeypatch, tmp_path, file, given, expected):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(jobs, "__file__", file)
    monkeypatch.setenv("PYTHONPATH", given)
    found = jobs.import_paths()
    assert found["PYTHONSAFEPATH"] == "1"
    assert found.get("PYTHONPATH") == (expected and expected.format(here=tmp_path))


# --- shares ---


@pytest.mark.parametrize(
    ("cores", "gpus", "arguments", "at_once", "groups"),
    [
        (8, (), (10, "auto", "auto", None), 8, ()),
        (8, (), (3, "auto", "auto", None), 3, ()),
        (8, (), (10, 2, "cpu", None), 2, ()),
        (8, ("0", "1"), (10, "auto", "cpu", None), 8, ()),
        (8, ("0", "1"), (10, "auto", "auto", None), 2, (("0",), ("1",))),
        (8, ("0", "1", "2"), (10, "auto", "gpu", 2), 1, (("0", "1"),)),
        (8, ("0",), (10, "auto", "gpu", 2), 1, (("0",),)),
        (8, ("0",), (10, 4, "gpu", None), 4, (("0",),)),
        (8, (), (10, "auto", "tpu", None), 1, ()),
        (1, (), (10, "auto", "auto", None), 1, ()),
    ],
)
def test_jobs_at_once_are_those_that_there_is_room_for(monkeypatch, cores, gpus, arguments, at_once, groups):
    monkeypatch.delenv("TPU_NAME", raising=False)
    monkeypatch.setattr(resources, "cores", lambda: cores)
    monkeypatch.setattr(resources, "gpus", lambda: gpus)
    monkeypatch.setattr(jobs.memory, "available", lambda: 64 << 30)
    found = Shares.of(*arguments)
    assert (found.at_once, found.gpus) == (at_once, groups)
    if groups:
        used = [found.variables(slot)["CUDA_VISIBLE_DEVICES"] for slot in range(at_once)]
        assert used == [",".join(groups[slot % len(groups)]) for slot in range(at_once)]


def test_memory_limits_the_jobs_that_nobody_counted(monkeypatch):
    monkeypatch.setattr(resources, "cores", lambda: 64)
    monkeypatch.setattr(resources, "gpus", lambda: ())
    monkeypatch.setattr(jobs.memory, "available", lambda: 7 << 30)
    assert Shares.of(100, "auto", "cpu", None).at_once == 3
    assert Shares.of(100, 20, "cpu", None).at_once == 20
