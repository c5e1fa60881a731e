"""The run directory: exclusive creation, damaged checkpoints, what environment.json needs."""

import subprocess
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from zipfile import ZipFile

import pytest

from genexp import files, run
from genexp.errors import UserError
from genexp.run import git_state


def test_fifty_jobs_that_start_together_get_fifty_directories(tmp_path):
    with ThreadPoolExecutor(50) as pool:
        paths = list(pool.map(run.make_directory, [str(tmp_path / "12-00-00-xpresso-PH-XXXX")] * 50))
    assert len(set(paths)) == 50
    assert all(path.is_dir() and len(path.name) == 24 for path in paths)
    assert all(path.name.startswith("12-00-00-xpresso-PH-") for path in paths)


def test_a_run_has_one_writer(tmp_path):
    mine = run.RunDirectory(tmp_path)
    with run.sole_writer(mine):
        assert run.is_being_written(mine)
        with pytest.raises(UserError, match="another process is writing"), run.sole_writer(mine):
            pass
        with pytest.raises(UserError, match="wait until that run ends"):
            run.check_free(str(tmp_path))
        mine.config.touch()
    assert not run.is_being_written(mine)
    with pytest.raises(UserError, match="genexp train resume="):
        run.check_free(str(tmp_path))


def test_the_command_that_resumes_can_be_pasted():
    assert run.resume_command("a b/c") == "genexp train resume='a b/c'"


@pytest.mark.parametrize("leftover", [None, ".hydra", "train.log"])
def test_of_fifty_jobs_that_want_one_directory_one_gets_it(tmp_path, leftover):
    """Also where an earlier process died there."""
    answered = Barrier(50)
    if leftover:
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / leftover).mkdir() if leftover == ".hydra" else (tmp_path / "mine" / leftover).touch()

    def claim(_):
        try:
            with run.created(str(tmp_path / "mine")) as mine:
                mine.config.touch()
                answered.wait()
                return ""
        except UserError as error:
            answered.wait()
            return str(error)

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(claim, range(50)))
    refused = [text for text in answers if text]
    assert len(refused) == 49
    assert all("holds a run already" in text or "is writing this run" in text for text in refused)


@pytest.mark.parametrize("leftover", ["config.yaml", "metrics.json", "checkpoints", "history.csv"])
def test_a_directory_that_holds_a_run_is_refused(tmp_path, leftover):
    (tmp_path / leftover).mkdir()
    with pytest.raises(UserError, match="holds a run already") as caught, run.created(str(tmp_path)):
        pass
    assert ("genexp train resume=" in str(caught.value)) == (tmp_path / "config.yaml").is_file()


def test_a_directory_in_which_a_process_died_early_is_free(tmp_path):
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra" / "overrides.yaml").write_text("[seed=3]")
    (tmp_path / "train.log").touch()
    assert run.died_early(tmp_path) == ["seed=3"]
    with run.created(str(tmp_path)) as mine:
        assert run.died_early(tmp_path) is None, "a process is writing it"
        mine.config.touch()
    assert run.died_early(tmp_path) is None
    assert run.died_early(tmp_path / "absent") is None


def test_a_directory_of_another_program_is_no_leftover(tmp_path):
    (tmp_path / ".hydra").mkdir()
    (tmp_path / "main.log").touch()
    with pytest.raises(UserError, match="holds a run already"):
        run.check_free(str(tmp_path))


def test_an_existing_empty_directory_is_taken_as_given(tmp_path):
    with run.created(str(tmp_path)) as mine:
        assert mine.path == tmp_path.resolve()


def test_a_file_in_the_way_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    for path, message in (("file", "the run directory is a file"), ("file/inside", "cannot be made")):
        with pytest.raises(UserError, match=message), run.created(str(tmp_path / path)):
            pass


def test_git_state_tells_commit_and_changes(tmp_path):
    assert git_state(tmp_path) is None
    git = ["git", "-C", str(tmp_path), "-c", "user.name=n", "-c", "user.email=e"]
    (tmp_path / "a").write_text("1")
    for words in (["init", "-q"], ["add", "a"], ["commit", "-qm", "first"]):
        subprocess.run([*git, *words], check=True)
    assert git_state(tmp_path)["dirty"] is False
    (tmp_path / "a").write_text("2")
    found = git_state(tmp_path)
    assert found["dirty"] is True
    assert len(found["commit"]) == 40


@pytest.mark.parametrize(
    "content", ["{", "[]", "{}", '{"format": 99, "dataset": {}}', '{"format": 1}', "\xff\xfe", '{"a": "\\ud800"}']
)
def test_a_damaged_record_is_a_user_error(tmp_path, content):
    found = run.RunDirectory(tmp_path)
    found.environment.write_text(content, encoding="latin-1")
    with pytest.raises(UserError, match=r"environment\.json"):
        run.read_environment(found)


@pytest.mark.parametrize(
    "content",
    [
        *("a: [", "!!python/object:os.system {}", "- 1", "\xff", "a: &a [*a, *a]\n? [1]\n: 2", "1: 2", "\t"),
        *("a: &a 1\nb: *a", "a: &a {b: *a}", "a: 2020-99-99", "a: !!int x", "a: !!binary x"),
        'a: "\\ud800"',
    ],
)
def test_a_damaged_config_is_a_user_error(tmp_path, content):
    found = run.RunDirectory(tmp_path)
    found.config.write_text(content, encoding="latin-1")
    with pytest.raises(UserError, match=r"config\.yaml"):
        run.read_config_yaml(found)


def test_a_run_directory_that_cannot_be_made_is_told_beforehand(tmp_path, monkeypatch):
    run.check_free(str(tmp_path / "new" / "deep"))
    monkeypatch.setattr(files.os, "access", lambda path, mode: path != tmp_path)
    with pytest.raises(UserError, match="cannot be written"):
        run.check_free(str(tmp_path / "new" / "deep"))


def test_a_damaged_checkpoint_is_told_without_opening_it_in_keras(tmp_path):
    damaged = run.RunDirectory(tmp_path)
    path = damaged.checkpoint("best")
    path.parent.mkdir()
    with ZipFile(path, "w") as archive:
        archive.writestr("model.weights.h5", b"0123456789" * 100)
    run.check_checkpoint(damaged, "best")
    content = path.read_bytes()
    path.write_bytes(content.replace(b"0123456789" * 50, b"9876543210" * 50))
    with pytest.raises(UserError, match=r"model\.weights\.h5 inside it is damaged"):
        run.check_checkpoint(damaged, "best")
    path.write_bytes(content[:100])
    with pytest.raises(UserError, match="BadZipFile"):
        run.check_checkpoint(damaged, "best")
