"""The cache: found again, computed by one of several processes, and never in the way."""

import multiprocessing
import os
import time
from pathlib import Path

import pytest

from genexp import cache
from genexp.errors import UserError


def read(path):
    text = path.read_text()
    if not text.isdigit():
        raise UserError("damaged")
    return int(text)


def once(compute, said=None):
    said = [] if said is None else said
    encode = lambda value: str(value).encode()  # noqa: E731
    return cache.once("kind/x.txt", compute, read=read, encode=encode, say=said.append, warn=said.append)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("GENEXP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_it_is_computed_once(folder):
    said = []
    assert [once(lambda n=n: n, said) for n in (1, 2)] == [1, 1]
    assert said == []
    assert {p.name for p in (folder / "kind").iterdir()} == {"x.txt", "x.lock"}


def test_a_damaged_file_is_computed_anew(folder):
    once(lambda: 1)
    (folder / "kind" / "x.txt").write_text("?")
    said = []
    assert once(lambda: 2, said) == once(lambda: 3) == 2
    assert "a damaged file of the cache is replaced" in said[0]


def slowly(log):
    def compute():
        with log.open("a") as file:
            file.write("computed\n")
        time.sleep(0.5)
        return 7

    said = []
    found = once(compute, said)
    with log.open("a") as file:
        file.write("".join(f"{line}\n" for line in said))
    os._exit(found)


@pytest.mark.integration
def test_of_several_processes_one_computes(tmp_path):
    log = tmp_path / "log"
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=slowly, args=(log,)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [7, 7, 7]
    lines = log.read_text().splitlines()
    assert lines.count("computed") == 1
    assert sum("waiting for another process" in line for line in lines) <= 2


def test_a_holder_that_is_suspended_is_not_waited_for_forever(folder, monkeypatch):
    import fcntl

    monkeypatch.setattr(cache, "PATIENCE_S", 0.3)
    (folder / "kind").mkdir(parents=True)
    with (folder / "kind" / "x.lock").open("a") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        said = []
        assert once(lambda: 5, said) == 5
    assert said == ["waiting for another process that computes kind/x.txt"]


def test_a_folder_that_cannot_be_made_is_a_warning(folder, monkeypatch):
    folder.write_text("a file")
    said = []
    assert [once(lambda n=n: n, said) for n in (1, 2)] == [1, 2]
    assert "GENEXP_CACHE names another folder" in said[0]


def test_where_the_folder_is(monkeypatch, tmp_path):
    monkeypatch.delenv("GENEXP_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.folder() == tmp_path / "genexp"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.folder() == Path(tmp_path, ".cache", "genexp")
