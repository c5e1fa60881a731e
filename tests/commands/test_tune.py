"""genexp tune from end to end; most tests stand in for the training of its runs by copies of a finished run."""

import json
import shlex
import shutil
import subprocess
import sys

import pytest
import yaml

pytest.importorskip("optuna", minversion="5", reason="needs the extra tune")

import genexp as library
from genexp import console
from genexp.api.jobs import Job
from genexp.api.training import TRAIN, decided
from genexp.api.tuning.config import TUNE
from genexp.api.tuning.results import command, write_preset
from genexp.api.tuning.space import changed
from genexp.api.tuning.study import opened, plan
from genexp.config.compose import compose_words
from genexp.config.validation import to_yaml
from genexp.config.words import quoted
from genexp.run import RunDirectory
from genexp.training.config import read_config

WORDS = ("dataset=xpresso", "training.epochs=3", "hardware=cpu", "model.filters=[8,4]", "model.pools=[10,4]", "jobs=1")


@pytest.fixture
def words(xpresso_root, finished_run, monkeypatch):
    """A command whose runs are copies of `finished_run`, better with every trial."""
    started = []

    def start(job, left, variables=None):
        started.append(job)
        shutil.copytree(finished_run, job.directory, dirs_exist_ok=True)
        run = RunDirectory(job.directory)
        (job.directory / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(list(job.words)))
        config = decided(compose_words(TRAIN, [*job.flags, *job.words])).model_dump(mode="json")
        run.config.write_text(yaml.safe_dump(config))
        metrics = json.loads(run.metrics.read_text())
        metrics["best"]["valid"]["r2"] = 0.1 + 0.1 * len(started)
        run.metrics.write_text(json.dumps(metrics))
        return subprocess.Popen([sys.executable, "-S", "-c", ""], stdin=subprocess.PIPE)

    monkeypatch.setattr(Job, "start", start)
    return (*WORDS, f"dataset.root={xpresso_root}"), started


def test_a_search_ends_with_tested_runs_and_a_preset_that_works_as_printed(cli, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given, started = words
    typed = ("tune", *given, "trials=3", "repeats=2", "seed=4", "hydra.run.dir=study")
    done = cli(*typed)
    assert done.returncode == 0, done.stderr
    study = library.open_study("study")
    assert study.results["states"]["completed"] == 3
    assert study.results["best"]["trial"] == 2
    assert study.results["best"]["value"] == pytest.approx(0.4)
    assert study.trials["state"].tolist() == ["completed"] * 3
    assert len(study.winner) == 2
    assert {path.name for path in (tmp_path / "study" / "plots").iterdir()} == {"trials.png"}

    trials, winners = started[:3], started[3:]
    assert all({"test=false", "training.restarts=0"} <= {*job.words} for job in trials)
    assert all(sum(word.startswith("model.filters") for word in job.words) == 1 for job in trials)
    assert [word for job in winners for word in job.words if word.startswith("seed=")] == ["seed=5", "seed=6"]

    printed = done.stdout.partition("to train with the best settings:")[2].strip().splitlines()[0]
    tuned = decided(compose_words(TRAIN, shlex.split(printed)[2:]))
    best = read_config(RunDirectory(tmp_path / "study" / "trials" / "0002"))
    assert tuned.test
    assert tuned.training.restarts == 3
    same = {"test": False, "seed": 4, "training": tuned.training.model_copy(update={"restarts": 0})}
    assert tuned.model_copy(update=same) == best

    again = cli(*typed)
    assert again.returncode == 0
    assert "nothing is searched: 3 trials are done, and trials=3; raise it to search on" in again.stdout
    assert len(started) == 5, "the same command again finds everything done"
    more = cli(*typed, "trials=4")
    assert more.returncode == 0
    assert len(started) == 5 + 1 + 2, "one more trial, which is the best now"
    assert "the test genes were used for 2 settings of this study: winner-0002, winner-0003" in more.stdout
    for winner in ("winner-0002", "winner-0003"):  # a better trial changes no settings of runs that are tested
        assert f"experiment={winner}" in (study.path / winner / "sweep.yaml").read_text()
        assert (study.path / "experiment" / f"{winner}.yaml").is_file()


def done(study):
    return library.open_study(study).results["states"]["completed"]


def test_the_same_command_searches_on_after_the_time_limit_until_there_are_enough_trials(cli, words, tmp_path):
    given, started = words
    place = tmp_path / "it's [a] study"
    typed = ("tune", *given, "trials=1000", "repeats=1", "time_limit=1s", f"hydra.run.dir={place}")
    first = cli(*typed)
    assert first.returncode == 0, first.stderr
    before = done(place)
    assert f"the time limit of 1s is reached after {before} trials; search on with: genexp tune" in first.stdout
    printed = first.stdout.partition("search on with:")[2].strip().splitlines()[0]
    again = cli(*shlex.split(printed)[1:])
    assert again.returncode == 0, again.stderr
    after = done(place)
    assert before < after < 1000
    begun = len(started)
    ended = cli(*typed, f"trials={after}")
    assert f"nothing is searched: {after} trials are done" in ended.stdout
    assert len(started) == begun


def test_an_interrupted_training_of_the_best_settings_is_continued_without_a_search(cli, words, tmp_path, monkeypatch):
    given, started = words
    start = Job.start

    def interrupted(job, *others):
        if "winner" in str(job.directory):
            raise KeyboardInterrupt
        return start(job, *others)

    monkeypatch.chdir(tmp_path)
    typed = ("tune", *given, "trials=1000", "repeats=1", "time_limit=1s", "hydra.run.dir=study")
    with monkeypatch.context() as patch:
        patch.setattr(Job, "start", interrupted)
        stopped = cli(*typed)
    assert stopped.returncode == 130
    before, trials = len(started), done("study")
    printed = stopped.stdout.partition("interrupted; continue with:")[2].strip().splitlines()[0]
    assert f"trials={trials} " in printed + " "
    assert cli(*shlex.split(printed)[1:]).returncode == 0
    assert [job.directory.parent.name for job in started[before:]] == [f"winner-{trials - 1:04}"]


def test_fewer_repeats_keep_the_runs_that_were_tested(cli, words, tmp_path):
    given, started = words
    typed = ("tune", *given, f"hydra.run.dir={tmp_path / 'study'}")
    assert cli(*typed, "trials=1", "repeats=2").returncode == 0
    fewer = cli(*typed, "trials=1", "repeats=1")
    assert (fewer.returncode, fewer.stderr) == (0, "")
    assert "repeats=1 has no effect: winner-0000 was begun with 2, which are kept" in fewer.stdout
    assert len(started) == 1 + 2
    assert cli(*typed, "trials=2", "repeats=1").returncode == 0
    assert len(started) == 1 + 2 + 1 + 1, "other settings were not tested before"
    assert cli(*typed, "trials=2", "repeats=3").returncode == 0
    assert len(library.open_study(tmp_path / "study").winner) == 3


def test_a_dataset_of_any_name(cli, words, xpresso_root, tmp_path):
    given, started = words
    root = tmp_path / 'Gène d\'été, [1] $x ${y} "z" \\ä'
    shutil.copytree(xpresso_root, root)
    escaped = str(root).replace("${", "\\${")
    typed = ("tune", *given[:-1], f"dataset.root={quoted(escaped)}", "trials=1", "repeats=2")
    done = cli(*typed, f"hydra.run.dir={tmp_path / 'study'}")
    assert (done.returncode, done.stderr) == (0, "")
    assert {read_config(RunDirectory(job.directory)).dataset.root for job in started} == {str(root)}
    printed = done.stdout.partition("to train with the best settings:")[2].strip().splitlines()[0]
    assert compose_words(TRAIN, shlex.split(printed)[2:]).config.dataset.root == str(root)


@pytest.mark.parametrize(
    "given",
    [
        ("model=fc_net", "data=HT", "dataset.genes=300", "hardware=cpu", "training.patience=null", "baseline=false"),
        (
            "model=transformer",
            "data=PHT",
            "data.window=[500,1500]",
            "dataset.genes=300",
            "hardware.precision=mixed_bfloat16",
        ),
        ("experiment=biolstm_P", "dataset.genes=300", "dataset.seed=2", "model.embedding=counts"),
    ],
)
def test_the_printed_command_has_the_settings_of_the_trial_whatever_the_dataset_brings(given, tmp_path):
    composed = compose_words(TUNE, [*given, f"hydra.run.dir={tmp_path / 'my study'}"])
    with console.quiet(), opened(plan(composed)) as study:
        best = changed(study.plan.base, {"training.learning_rate": 0.0123, "model.dropout": 0.2, "test": False}, "")
        run = RunDirectory(study.run_dir(0))
        run.path.mkdir(parents=True)
        run.config.write_text(to_yaml(best))
        write_preset(study, 0, "tuned")
        tuned = decided(compose_words(TRAIN, command(study)[2:]))
    same = {"test": True, "experiment": None, "settings": "published"}
    assert tuned.model_dump(mode="json") == best.model_copy(update=same).model_dump(mode="json")


def test_in_python_and_other_settings_are_another_study(words, tmp_path):
    given, _ = words
    study = library.tune(*given, "trials=1", "repeats=0", directory=tmp_path / "s", progress=False)
    assert study.best["training.batch_size"] == 256
    for other, said in (
        ("training.epochs=4", "this study has another training.epochs"),
        ("space.training.batch_size=[8]", "this study has another space.training.batch_size"),
        ("objective=loss", "this study has another objective"),
    ):
        with pytest.raises(library.UserError, match=said):
            library.tune(*given, other, "trials=2", directory=tmp_path / "s", progress=False)
    record = tmp_path / "s" / "study.yaml"
    record.write_text(record.read_text().replace("fingerprint: ", "fingerprint: x"))
    with pytest.raises(library.UserError, match="the dataset of this study has changed"):
        library.tune(*given, "trials=2", directory=tmp_path / "s", progress=False)
    record.write_text("format: 1")
    with pytest.raises(library.UserError, match=r"study\.yaml"):
        library.tune(*given, "trials=2", directory=tmp_path / "s", progress=False)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["space.training.learning_rat=[1]"], "did you mean 'training.learning_rate'?"),
        (["space.seed=[1,2]"], "seed is no setting that can be searched"),
        (["trials=0"], "at least 1"),
        (["time_limit=90"], "expected: a number and one of the units s, m, h, d"),
        (["time_limit=1w"], "expected: a number and one of the units s, m, h, d"),
        (["objective=test"], "expected: one of r2, loss"),
        (["model=fc_net", "data=HT", "objective=loss"], "losses of different kinds cannot be compared"),
        (["tune=fc_nte"], "did you mean 'fc_net'?"),
        (["dataset.root=nowhere"], "dataset.root"),
        (["resume=x"], "a study is continued by its own command"),
        (["space.data.windo=null"], "did you mean 'space.data.window'?"),
        (["-m", "seed=0,1", "hydra.run.dir=x"], "the studies of a sweep land in outputs/"),
        (["model=fc_net", "data=HT", "hydra.run.dir=/dev/full"], "the study directory cannot be made"),
    ],
)
def test_errors_are_reported_before_anything_starts(cli, tmp_path, words, said):
    done = cli("tune", *words, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("error:") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_something_else_is_left_alone(cli, tmp_path):
    (tmp_path / "mine.txt").write_text("x")
    done = cli("tune", f"hydra.run.dir={tmp_path}")
    assert done.returncode == 2
    assert "holds something that is no study" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    "left",
    [["tune.log"], ["tune.log", "claims.lock2c5.rename", ".study.yaml.77.tmp", ".environment.json.77.tmp"]],
)
def test_what_a_process_leaves_that_was_killed_before_it_wrote_the_record_is_no_obstacle(cli, words, tmp_path, left):
    given, _ = words
    for name in left:
        (tmp_path / name).write_text("")
    done = cli("tune", *given, "trials=1", "repeats=0", f"hydra.run.dir={tmp_path}")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("there", [["tune.log", "mine.txt"], ["environment.json"]])
def test_a_folder_with_something_else_beside_is_left_alone_too(cli, tmp_path, there):
    for name in there:
        (tmp_path / name).write_text("x")
    done = cli("tune", f"hydra.run.dir={tmp_path}")
    assert done.returncode == 2
    assert f"received: {there[-1]}\n" in done.stderr


def test_without_the_package_the_message_says_what_to_install(cli, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    done = cli("tune", cwd=tmp_path)
    assert done.returncode == 2
    assert "pip install 'genexp[tune]'" in done.stderr


@pytest.mark.slow
def test_a_real_study_killed_and_continued(genexp, tmp_path):
    """Two trials of real runs; the process is killed with -9 while the second one trains."""
    words = ("tune", "model=fc_net", "data=HT", "dataset.genes=300", "training.epochs=30", "trials=2", "repeats=2")
    command = [sys.executable, "-m", "genexp", *words, "jobs=1", "prune_after=null", "hydra.run.dir=study"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL)
    history = tmp_path / "study" / "trials" / "0001" / "history.csv"
    while not history.exists():
        assert process.poll() is None
    process.kill()
    process.wait()
    done = genexp(*command[3:], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    study = library.open_study(tmp_path / "study")
    assert study.trials["state"].tolist() == ["completed", "completed"]
    for path in (tmp_path / "study" / "trials").iterdir():
        metrics = json.loads((path / "metrics.json").read_text())
        assert set(metrics["best"]) == {"valid"}, "a trial does not look at the test genes"
        assert "test" not in set(library.open_run(path).predictions["split"])
    assert "resuming after epoch" in (history.parent / "train.log").read_text()
    assert {*study.winner.runs[0].metrics["best"]} == {"valid", "test"}
    with pytest.raises(library.UserError, match="not tested"):
        library.compare(str(tmp_path / "study" / "trials"))
