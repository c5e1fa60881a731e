"""The search: how trials end, what happens to those of processes that were killed, and several processes at once."""

import json
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

pytest.importorskip("optuna", minversion="5", reason="needs the extra tune")

from trying import SPACE, journal, search

from genexp.api.tuning import journal as journals
from genexp.api.tuning.journal import REASON, WORKER, Worker, alone
from genexp.api.tuning.space import Choices
from genexp.errors import UserError

TRYING = Path(__file__).with_name("trying.py")


def told(study):
    """Return number, state and settings of each trial."""
    return [(trial.number, trial.state.name, study.values(trial)) for trial in study.trials()]


def start(place, trials, pause):
    return subprocess.Popen([sys.executable, str(TRYING), str(place), str(trials), str(pause)])


@pytest.mark.integration
def test_a_study_ends_with_the_best_and_tries_the_given_settings_first(tmp_path):
    study, whole = search(tmp_path / "a", 12)
    trials = study.trials()
    assert whole
    assert len(trials) == 12
    assert study.values(trials[0]) == {"x": 0.5, "how": "completed"}
    completed = [trial for trial in trials if trial.state.name == "COMPLETE"]
    assert study.best().value == max(trial.value for trial in completed)
    pruned = [trial for trial in trials if trial.state.name == "PRUNED"]
    assert pruned
    assert all("hopeless after epoch" in trial.user_attrs[REASON] for trial in pruned)
    assert all(study.values(trial)["x"] < study.best().value for trial in pruned)
    again, _ = search(tmp_path / "b", 12)
    assert told(again) == told(study)


@pytest.mark.parametrize(
    ("how", "state", "reason"),
    [
        ("completed", "COMPLETE", ""),
        ("collapsed", "PRUNED", "collapsed"),
        ("failed", "PRUNED", "failed: as asked"),  # training diverged, say: other settings may not
        ("killed", "FAIL", "killed by SIGKILL; perhaps there was not enough memory"),
        ("memory", "FAIL", "MemoryError: 5 GiB"),
        ("crashed", "FAIL", "out of order"),
    ],
)
def test_how_trials_end(tmp_path, how, state, reason):
    space = {**SPACE, "how": Choices((how,))}
    with pytest.raises(UserError, match="the last 3 trials failed") if state == "FAIL" else _nothing():
        search(tmp_path / "s", 3, space=space)
    trials = journal(tmp_path / "s", space).trials()
    assert [(trial.state.name, trial.user_attrs.get(REASON, "")) for trial in trials] == [(state, reason)] * 3


def _nothing():
    from contextlib import nullcontext

    return nullcontext()


def test_impossible_settings_start_no_process(tmp_path):
    def check(values):
        if values["x"] < 0.7:
            raise UserError("too small")

    study, _ = search(tmp_path / "s", 6, check=check)
    found = {trial.number: trial for trial in study.trials()}
    assert found[0].user_attrs[REASON] == "impossible: too small"
    there = {int(path.name) for path in (tmp_path / "s" / "trials").iterdir()}
    assert there == {number for number, trial in found.items() if study.values(trial)["x"] >= 0.7}


@pytest.mark.slow
def test_killed_twice_and_continued_it_is_as_if_it_had_not_been(tmp_path):
    """Nothing is lost, nothing done twice: settings, results and their order are those of an uninterrupted study."""
    for until in (2, 5):
        process = start(tmp_path / "killed", 9, 0.15)
        wait_for(tmp_path / "killed" / "trials" / f"{until:04}" / "history.csv")
        process.send_signal(signal.SIGKILL)
        process.wait()
    study, whole = search(tmp_path / "killed", 9, pause=0.0)
    uninterrupted, _ = search(tmp_path / "whole", 9)
    assert whole
    assert told(study) == told(uninterrupted)
    starts = [len((path / "started").read_text()) for path in sorted((tmp_path / "killed" / "trials").iterdir())]
    assert starts.count(1) == 7, "only the two trials that were killed are begun again, in their own directories"
    assert set(starts) == {1, 2}


def test_two_processes_share_a_study(tmp_path):
    both = [start(tmp_path / "s", 10, 0.02) for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
    study = journal(tmp_path / "s")
    assert [trial.number for trial in study.trials()] == list(range(10))
    workers = {trial.user_attrs["worker"] for trial in study.trials()}
    assert len(workers) == 2
    assert all((path / "started").read_text() == "x" for path in (tmp_path / "s" / "trials").iterdir())
    assert list((tmp_path / "s" / "workers").iterdir()) == []


def test_the_trial_of_a_living_process_is_left_alone(tmp_path):
    process = start(tmp_path / "s", 1, 20)
    wait_for(tmp_path / "s" / "trials" / "0000" / "started")
    study, whole = search(tmp_path / "s", 1)
    assert whole
    assert [trial.state.name for trial in study.trials()] == ["RUNNING"]
    with study.worker() as worker:
        assert study.others(worker) == 1
        process.kill()
        process.wait()
        assert study.others(worker) == 0


@pytest.fixture
def begun(tmp_path):
    """A journal with a worker, and a function that begins a trial of another worker."""
    study = journal(tmp_path / "s", first={})

    def begin(name):
        study.study.ask().set_user_attr(WORKER, name)

    with study.worker() as worker:
        yield study, worker, begin


def test_a_look_at_many_processes_takes_no_time(begun, monkeypatch):
    """All others wait meanwhile; one that waits for half a minute breaks the lock."""
    study, worker, begin = begun
    looked = []
    monkeypatch.setattr(
        Worker, "is_dead", lambda self, name, is_dead=Worker.is_dead: looked.append(name) or is_dead(self, name)
    )
    with ExitStack() as stack:
        others = [stack.enter_context(Worker(worker.folder)) for _ in range(3)]
        for _ in range(4):
            for other in others:
                begin(other.name)
        monkeypatch.setattr("genexp.files.time.sleep", lambda seconds: seconds and pytest.fail("it waits for a lock"))
        assert study.claim(worker, 12) is None
        assert sorted(looked) == sorted(other.name for other in others)
        assert study.others(worker) == 12


def test_no_process_waits_for_one_that_has_nothing_to_begin(begun, monkeypatch):
    study, worker, begin = begun
    with Worker(worker.folder) as other:
        begin(other.name)
        assert study.claim(worker, 1) is None
        assert not worker.is_due()
        monkeypatch.setattr(journals, "alone", lambda directory: pytest.fail("the mutex is taken"))
        assert study.claim(worker, 1, look=False) is None


def test_one_look_finds_all_trials_of_a_dead_process(begun):
    study, worker, begin = begun
    for _ in range(2):
        begin(f"{worker.host}_1_dead")
    begin("elsewhere_1_ended")  # it has removed its file
    taken = [study.claim(worker, 3, look=number == 0).number for number in range(3)]
    assert taken == [0, 1, 2]
    assert study.claim(worker, 3) is None
    assert [path.name for path in worker.folder.iterdir()] == [worker.name]


def test_a_trial_whose_process_is_about_to_write_its_name_is_anothers(begun):
    study, worker, _ = begun
    asked = threading.Event()

    def begin():
        theirs = journal(study.directory, first={})
        with Worker(worker.folder) as other:
            with alone(study.directory):
                trial = theirs.study.ask()
                asked.set()
                time.sleep(0.3)
                trial.set_user_attr(WORKER, other.name)
            ended.wait(60)

    ended = threading.Event()
    thread = threading.Thread(target=begin)
    thread.start()
    assert asked.wait(60)
    try:
        assert study.others(worker) == 1
    finally:
        ended.set()
        thread.join()


def test_the_time_limit_stops_trials_which_are_resumed_later(tmp_path):
    study, whole = search(tmp_path / "s", 3, pause=0.3, limit=1.0)
    assert not whole
    assert "RUNNING" in [trial.state.name for trial in study.trials()]
    study, whole = search(tmp_path / "s", 3)
    assert whole
    assert {trial.state.name for trial in study.trials()} == {"COMPLETE"}


def test_several_trials_at_once(tmp_path):
    study, _ = search(tmp_path / "s", 6, pause=0.05, at_once=3)
    assert len(study.trials()) == 6


def test_what_a_killed_process_was_writing_is_cut_off(tmp_path):
    study, _ = search(tmp_path / "s", 3)
    before = study.path.read_bytes()
    study.path.write_bytes(before + b'{"op_code":4,"wor')
    again, _ = search(tmp_path / "s", 4)
    assert told(again)[:3] == told(study)[:3]
    assert len(again.trials()) == 4
    for line in again.path.read_text().splitlines():
        json.loads(line)


@pytest.mark.parametrize("damage", [b"\x00\x01", b"{}\n", b'{"op_code": 77}\n', b'["x"]\n'])
def test_a_damaged_journal_is_one_message(tmp_path, damage):
    study, _ = search(tmp_path / "s", 2)
    lines = study.path.read_bytes().splitlines(keepends=True)
    study.path.write_bytes(b"".join([*lines[:3], damage, *lines[4:]]))
    with pytest.raises(UserError, match="the journal of the study cannot be read"):
        journal(tmp_path / "s")


def wait_for(path, seconds=60):
    until = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < until, f"no {path}"
        time.sleep(0.01)
