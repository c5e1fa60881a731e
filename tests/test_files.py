"""Files and folders appear whole or not at all, and places that cannot be written are reported beforehand."""

import json
import signal
import struct
import threading
from contextlib import suppress
from fnmatch import fnmatch
from zipfile import ZipFile

import pytest

from genexp import files
from genexp.errors import UserError


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "metrics.json"
    files.write_json(path, {"r2": 0.5})
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(path, {"r2": float("nan")})
    with pytest.raises(UnicodeEncodeError):
        files.write_atomically(path, "\udc80")
    assert json.loads(path.read_text()) == {"r2": 0.5}
    assert [p.name for p in tmp_path.iterdir()] == ["metrics.json"]


def test_processes_with_the_same_number_do_not_share_temporary_files(tmp_path, monkeypatch):
    """As in containers with a shared folder: the process in each of them may be number 7."""
    monkeypatch.setattr(files.os, "getpid", lambda: 7)
    with files.whole_or_nothing(tmp_path / "out") as one, suppress(UserError), files.whole_or_nothing(one) as other:
        assert one.parent != other.parent
        one.touch()
    names, replace = [], files.Path.replace
    monkeypatch.setattr(files.Path, "replace", lambda path, to: names.append(path.name) or replace(path, to))
    for _ in range(2):
        files.write_atomically(tmp_path / "a.txt", "x")
    assert len(set(names)) == 2
    assert all(fnmatch(name, ".a.txt.7.*.tmp") for name in names)


def test_csv_keeps_all_digits(tmp_path):
    files.write_csv(tmp_path / "x.csv", ["a"], [[0.1 + 0.2], [1e-17]])
    assert (tmp_path / "x.csv").read_text() == "a\n0.30000000000000004\n1e-17\n"


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    out = tmp_path / "sub" / "out"
    with files.whole_or_nothing(out) as folder:
        folder.mkdir()
        (folder / "train.h5").write_text("x")
        assert not out.exists()
    assert [path.name for path in out.iterdir()] == ["train.h5"]
    with pytest.raises(RuntimeError), files.whole_or_nothing(tmp_path / "new" / "deep" / "other"):
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["sub"]


def test_what_others_put_beside_it_meanwhile_stays(tmp_path):
    def work():
        with files.whole_or_nothing(tmp_path / "new" / "out"):
            (tmp_path / "new" / "theirs").write_text("x")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        work()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["theirs"]


def test_a_file_may_be_made_as_well(tmp_path):
    with files.whole_or_nothing(tmp_path / "model.onnx") as path:
        assert path.name == "model.onnx"
        path.write_text("x")
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_in_another_thread_signals_are_left_alone(tmp_path):
    before, made = signal.getsignal(signal.SIGTERM), []

    def work():
        with files.whole_or_nothing(tmp_path / "out") as out:
            made.append(signal.getsignal(signal.SIGTERM))
            out.mkdir()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert made == [before]
    assert (tmp_path / "out").is_dir()


def test_a_folder_that_another_process_filled_is_reported(tmp_path):
    def work():
        with files.whole_or_nothing(tmp_path / "out") as folder:
            folder.mkdir()
            (tmp_path / "out").mkdir()
            (tmp_path / "out" / "theirs").touch()

    with pytest.raises(UserError, match="another process has written out"):
        work()
    assert (tmp_path / "out" / "theirs").exists()


def test_a_disk_without_space_is_reported(tmp_path):
    with pytest.raises(UserError, match="No space left"), files.whole_or_nothing(tmp_path / "out"):
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda out: out.write_text("x"), "this is a file, not a folder"),
        (lambda out: (out / "train.h5").mkdir(parents=True), "already contains a dataset"),
        (lambda out: (out / "notes").mkdir(parents=True), "the folder is not empty"),
    ],
)
def test_a_folder_that_is_not_free_is_reported(tmp_path, make, said):
    make(tmp_path / "out")
    with pytest.raises(UserError, match=said):
        files.free_folder(str(tmp_path / "out"))


def test_a_parent_that_cannot_be_written_is_reported(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="file is a file"):
        files.free_folder(str(tmp_path / "file" / "out"))
    monkeypatch.setattr(files.os, "access", lambda path, mode: False)
    with pytest.raises(UserError, match="cannot be written"):
        files.free_folder(str(tmp_path / "new" / "out"))


OF_PYTHON_2 = {b"{'descr': '<f4', 'fortran_order': False, 'shape': (3L,), }": [0, 0, 0], b"  { 1 L\n   1L": None}


@pytest.mark.parametrize("header", OF_PYTHON_2)
def test_an_array_with_a_header_of_python_2_is_read_or_refused_without_a_warning(tmp_path, header):
    start = b"\x93NUMPY\x01\x00" + struct.pack("<H", 118)
    array = start + header.ljust(117) + b"\n" + bytes(12)
    with ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.npy", array)
    found = None
    with suppress(UserError), files.open_npz(tmp_path / "a.npz", lambda error: UserError("damaged")) as content:
        found = content["a"].tolist()
    assert found == OF_PYTHON_2[header]
