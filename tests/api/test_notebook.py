"""The library as a notebook uses it: several runs in one process, errors to catch, nothing printed on demand."""

import subprocess
import sys
import threading

import numpy as np
import pytest
from conftest import QUICK

import genexp

PH = ("model=xpresso", "data=PH", "dataset=xpresso")


@pytest.fixture(scope="module", autouse=True)
def started():
    """TensorFlow, whose start-up lines are no output of ours."""
    from genexp.training.strategy import use_cpu

    use_cpu()


def words(root, *more):
    return (*PH, f"dataset.root={root}", *QUICK, "training.epochs=2", *more)


@pytest.fixture(scope="module")
def run(xpresso_root, tmp_path_factory):
    return genexp.train(*words(xpresso_root), directory=tmp_path_factory.mktemp("api") / "run", progress=False)


def inputs(run):
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 4, (3, run.dataset.promoter_length), dtype=np.uint8)
    return tokens, {"H": rng.normal(size=(3, 8)).astype(np.float32)}


def test_a_session_can_be_repeated_in_one_process(xpresso_root, tmp_path):
    sessions = []
    for number in range(2):
        folder = tmp_path / str(number)
        run = genexp.train(*words(xpresso_root), directory=folder, progress=False)
        opened = genexp.open_run(folder)
        again = opened.evaluate(progress=False)
        assert again["best"] == run.metrics["best"]
        values = opened.predict(*inputs(opened))
        longer = opened.resume(epochs=3, progress=False)
        assert longer.metrics["epochs_run"] == len(longer.history) == 3
        dataset = genexp.load_dataset(xpresso_root, "PH", progress=False)
        assert {name: len(split) for name, split in dataset.splits.items()} == run.dataset.genes
        sessions.append((again["best"], values.tolist(), longer.metrics["best"]["test"], dataset.fingerprint()))
    assert sessions[0] == sessions[1]


def test_the_log_of_a_run_has_no_lines_of_other_work(run, xpresso_root, tmp_path, capsys):
    run.evaluate()
    assert "the same as the metrics stored with the run" in capsys.readouterr().out
    other = genexp.train(*words(xpresso_root, "training.epochs=1"), directory=tmp_path / "run", progress=False)
    log = other.files.log.read_text()
    assert "the same as the metrics stored" not in log
    assert "96 / 32 / 32 genes" in log


def test_a_config_is_trained_as_it_is(xpresso_root, tmp_path):
    config = genexp.compose(*words(xpresso_root, "training.epochs=1"))
    run = genexp.train(config, directory=tmp_path / "run-XXXX", progress=False)
    assert run.config == config
    assert run.path.name.startswith("run-")
    assert not run.path.name.endswith("XXXX")


def test_without_progress_nothing_is_printed(run, xpresso_root, tmp_path, capfd):
    copy = genexp.train(*words(xpresso_root, "training.epochs=1"), directory=tmp_path / "run", progress=False)
    copy.evaluate(progress=False)
    copy.predict(*inputs(copy))
    copy.resume(epochs=2, progress=False)
    copy.export(out=tmp_path / "model.keras")
    genexp.load_dataset(xpresso_root, progress=False)
    assert capfd.readouterr() == ("", "")


def test_a_new_process_prints_nothing_either(run):
    """TensorFlow's start-up lines included."""
    code = (
        "import sys, genexp; run = genexp.open_run(sys.argv[1]); run.evaluate(progress=False); run.checkpoint('last')"
    )
    done = subprocess.run([sys.executable, "-c", code, run.path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["modle=xpresso"], "did you mean 'model'?"),
        (["training.epoch=3"], "did you mean 'training.epochs'?"),
        (["training.batch_size=0"], "expected: at least 1"),
        (["data=T"], "model=xpresso cannot be trained on data=T"),
        (["dataset=xpresso", "dataset.root=nowhere"], "nowhere"),
        (["data.window=[0,99999]"], "the window does not fit the promoters"),
    ],
)
def test_errors_have_the_message_of_the_command_line(overrides, said, cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(genexp.UserError) as caught:
        genexp.train(*overrides, progress=False)
    assert said in str(caught.value)
    assert cli("train", *overrides).stderr == f"error: {caught.value}\n"
    assert list(tmp_path.iterdir()) == []


def test_other_errors_are_user_errors_too(run, xpresso_root, tmp_path):
    tokens, features = inputs(run)
    for call, said in (
        (lambda: genexp.open_run(tmp_path), "this is not a run directory"),
        (lambda: genexp.train(*words(xpresso_root), directory=run.path, progress=False), "holds a run already"),
        (lambda: genexp.train(run.config, "seed=1"), "train takes overrides or one config"),
        (lambda: genexp.train(f"resume={run.path}"), "train starts a new run"),
        (lambda: run.resume(progress=False), "this run is complete"),
        (lambda: run.resume(epochs=2, progress=False), "more than the 2 epochs"),
        (lambda: run.resume(epochs=0, progress=False), "training.epochs is impossible"),
        (lambda: run.resume(epochs="9", progress=False), "training.epochs has the wrong type"),
        (lambda: run.evaluate(split="tset", progress=False), "split is impossible"),
        (lambda: run.evaluate(checkpoint="bst", progress=False), "the run has no bst checkpoint"),
        (lambda: run.evaluate(dataset={"roots": "x"}, progress=False), "there is no key roots"),
        (lambda: run.predict(tokens), "block"),
        (lambda: run.predict(None, features), "tokens or a FASTA file"),
        (lambda: run.predict(tokens[:, :7], features), "400 nt"),
        (lambda: run.predict(tokens[:2], features), "one row per gene"),
        (lambda: run.export("h5"), "there is no format h5"),
        (lambda: genexp.load_dataset(tmp_path / "nowhere", progress=False), "nowhere"),
        (lambda: genexp.load_dataset(xpresso_root, layuot="x", progress=False), "did you mean 'layout'?"),
    ):
        with pytest.raises(genexp.UserError) as caught:
            call()
        assert said in str(caught.value)


def test_a_run_is_trained_in_a_thread(xpresso_root, tmp_path):
    """Notebooks run long work in threads, where Python allows no signal handlers."""
    runs = []

    def work():
        run = genexp.train(*words(xpresso_root, "training.epochs=1"), directory=tmp_path / "run", progress=False)
        run.evaluate(out=tmp_path / "results", progress=False)
        runs.append(run)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert runs[0].metrics["status"] == "completed"
    assert (tmp_path / "results" / "metrics.json").is_file()


@pytest.mark.parametrize(
    "given",
    [(["model=fc_net", "data=T"],), ("data=T", {"seed": 5}), ({"model": "xpresso"},), ("-m", "seed=0,1"), (None,)],
)
def test_what_is_no_override_is_refused(given, tmp_path):
    with pytest.raises(genexp.UserError, match=r"overrides or one config|a flag is for the command line"):
        genexp.train(*given, directory=tmp_path / "run", progress=False)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_model_is_a_user_error(tmp_path):
    (tmp_path / "model.keras").write_text("no model")
    for name in ("model.keras", "missing.keras", "model.txt"):
        with pytest.raises(genexp.UserError, match="the checkpoint cannot be read"):
            genexp.load_model(tmp_path / name)
