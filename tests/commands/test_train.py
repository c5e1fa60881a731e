"""``genexp train`` from end to end on small file sets."""

import csv
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from conftest import QUICK, write_xpresso_set

from genexp.api.runs import Run
from genexp.api.training import reported_status
from genexp.cli import main
from genexp.errors import UserError
from genexp.evaluation.metrics import METRICS, SHARES
from genexp.run import HISTORY_COLUMNS, RunDirectory
from genexp.training.config import read_config
from genexp.training.state import read_progress


def train(root, out, *words):
    return main(["train", "dataset=xpresso", f"dataset.root={root}", f"hydra.run.dir={out}", *QUICK, *words])


def metrics(run):
    return json.loads((run / "metrics.json").read_text())


def history(run):
    with (run / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [{k: v for k, v in row.items() if "seconds" not in k} for row in rows]


@pytest.fixture
def run(finished_run):
    return finished_run


def test_the_run_directory_is_complete(run):
    files = {str(p.relative_to(run)) for p in run.rglob("*") if p.is_file()}
    assert files == {
        *("config.yaml", "environment.json", "train.log", "history.csv", "metrics.json", "predictions.csv"),
        "baselines.csv",
        "training_genes.npz",
        "training_features.csv",
        *("checkpoints/best.keras", "checkpoints/last.keras", "checkpoints/state/state.npz"),
        *("plots/history.png", "plots/scatter.png", "plots/density.png"),
        *(".hydra/config.yaml", ".hydra/hydra.yaml", ".hydra/overrides.yaml"),
    }


def test_metrics_have_the_keys_that_scripts_rely_on(run):
    found = metrics(run)
    assert list(found)[:4] == ["status", "model", "data", "seed"]
    assert (found["status"], found["model"], found["data"], found["seed"]) == ("completed", "xpresso", "PH", 0)
    assert found["epochs_run"] == 3
    for checkpoint in ("best", "last"):
        for split in ("valid", "test"):
            assert list(found[checkpoint][split]) == ["n", *METRICS, "r2_ci95", *SHARES]
            assert found[checkpoint][split]["n"] == 32


def test_best_is_the_epoch_with_the_lowest_validation_loss(run):
    losses = [float(row["val_loss"]) for row in history(run)]
    assert metrics(run)["best_epoch"] == 1 + int(np.argmin(losses))
    assert metrics(run)["best"]["valid"]["mse"] == pytest.approx(min(losses), rel=1e-5)
    assert metrics(run)["last"]["valid"]["mse"] == pytest.approx(losses[-1], rel=1e-5)


def test_history_has_one_row_per_epoch(run):
    text = (run / "history.csv").read_text().splitlines()
    assert text[0] == ",".join(HISTORY_COLUMNS)
    assert [line.split(",")[0] for line in text[1:]] == ["1", "2", "3"]


def test_config_yaml_rebuilds_the_config(run, xpresso_root):
    config = read_config(RunDirectory(run))
    assert config.dataset.root == str(xpresso_root)
    assert config.training.epochs == 3


def test_environment_says_what_was_run_on_what(run):
    found = json.loads((run / "environment.json").read_text())
    assert found["packages"]["tensorflow"].count(".") == 2
    assert found["devices"] == ["CPU:0"]
    assert found["command"].startswith("genexp train dataset=xpresso dataset.root=")
    assert found["dataset"]["genes"] == {"train": 96, "valid": 32, "test": 32}
    assert (found["dataset"]["tss"], found["dataset"]["window"]) == (200, [0, 400])
    assert len(found["dataset"]["fingerprint"]) == 16


def test_predictions_are_those_the_metrics_are_of(run):
    with (run / "predictions.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "test"]
    label, prediction = (np.array([float(row[k]) for row in rows]) for k in ("label", "prediction"))
    assert np.corrcoef(label, prediction)[0, 1] ** 2 == pytest.approx(metrics(run)["best"]["test"]["r2"])
    assert rows[0]["gene"] == "GENE00128"


def test_the_baselines_of_a_run_are_in_its_files(run):
    found = metrics(run)
    assert [(b["name"], b["data"]) for b in found["baselines"]] == [("ridge", "PH"), ("boosting", "PH")]
    table = Run(run).baselines
    assert list(table) == ["gene", "split", "label", "ridge_PH", "boosting_PH"]
    test = table[table["split"] == "test"]
    for baseline in found["baselines"]:
        r2 = np.corrcoef(test["label"], test[f"{baseline['name']}_PH"])[0, 1] ** 2
        assert baseline["best"]["test"]["r2"] == pytest.approx(r2)
    strongest = max(found["baselines"], key=lambda b: b["best"]["valid"]["r2"])
    above = found["best"]["test"]["r2"] - strongest["best"]["test"]["r2"]
    assert found["above_baseline"]["r2"] == pytest.approx(above)
    assert found["above_baseline"]["name"] == strongest["name"]


def test_the_log_holds_what_was_printed(run):
    log = (run / "train.log").read_text()
    assert "96 / 32 / 32 genes" in log
    assert "epoch   3/3" in log


def test_the_same_seed_gives_the_same_run_and_another_another(run, xpresso_root, tmp_path):
    assert train(xpresso_root, tmp_path / "again") == 0
    assert history(tmp_path / "again") == history(run)
    assert (tmp_path / "again" / "predictions.csv").read_text() == (run / "predictions.csv").read_text()
    assert train(xpresso_root, tmp_path / "other", "seed=1") == 0
    assert history(tmp_path / "other") != history(run)


#: Settings whose state a resumed run must find again.
STATEFUL = (
    *("training.optimizer=adamw", "training.schedule=one_cycle", "training.clip_norm=0.5", "training.ema=0.8"),
    *("training.label_noise=0.2", "training.shift=7"),
)


#: Batch normalisation, whose statistics are measured anew for averages of the weights.
NORMALISED = (*STATEFUL, "model=legnet", "model.filters=[6,4]", "model.pools=[4]", "model.dropout=0.3")


@pytest.mark.parametrize("words", [(), STATEFUL, NORMALISED], ids=["published", "today", "normalised"])
def test_a_resumed_run_is_the_uninterrupted_run(run, xpresso_root, tmp_path, monkeypatch, words):
    """Stopped in the second epoch and resumed: the same history, the same predictions, to the last digit."""
    from genexp.training import loop

    if words:
        run = tmp_path / "whole"
        assert train(xpresso_root, run, *words) == 0

    calls = 0
    real = loop.predict

    def stop_in_second_epoch(*args):
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(loop, "predict", stop_in_second_epoch)
    assert train(xpresso_root, tmp_path / "stopped", *words) == 130
    assert metrics(tmp_path / "stopped")["status"] == "interrupted"
    assert metrics(tmp_path / "stopped")["epochs_run"] == 1
    monkeypatch.setattr(loop, "predict", real)
    assert main(["train", f"resume={tmp_path / 'stopped'}"]) == 0
    assert history(tmp_path / "stopped") == history(run)
    assert (tmp_path / "stopped" / "predictions.csv").read_text() == (run / "predictions.csv").read_text()
    assert metrics(tmp_path / "stopped")["status"] == "completed"


def test_a_run_that_is_killed_while_it_writes_its_last_epoch_has_its_whole_history(
    run, xpresso_root, tmp_path, monkeypatch
):
    """The state is written before the history."""
    from genexp.training import loop

    calls, real = [], loop.write_csv

    def stop_in_last_epoch(*args):
        calls.append(args)
        if len(calls) == 3:
            raise KeyboardInterrupt
        real(*args)

    monkeypatch.setattr(loop, "write_csv", stop_in_last_epoch)
    assert train(xpresso_root, tmp_path / "stopped") == 130
    assert len(history(tmp_path / "stopped")) == 2
    assert main(["train", f"resume={tmp_path / 'stopped'}"]) == 0
    assert history(tmp_path / "stopped") == history(run)
    assert (tmp_path / "stopped" / "predictions.csv").read_text() == (run / "predictions.csv").read_text()


def test_an_error_that_is_no_users_is_called_by_its_type(run, tmp_path):
    """genexp tune tells it by this from an error of the settings."""
    files = RunDirectory(shutil.copytree(run, tmp_path / "copy"))
    config = read_config(files)
    for error, expected in ((MemoryError("5 GiB"), "MemoryError"), (UserError("training diverged"), None)):
        with pytest.raises(type(error)), reported_status(files, config):
            raise error
        assert metrics(files.path)["status"] == "failed"
        assert metrics(files.path).get("error") == expected


def test_a_complete_run_is_trained_on_with_more_epochs(run, xpresso_root, tmp_path, capsys):
    assert train(xpresso_root, tmp_path / "short", "training.epochs=2") == 0
    assert main(["train", f"resume={tmp_path / 'short'}"]) == 2
    assert "this run is complete" in capsys.readouterr().err
    assert main(["train", f"resume={tmp_path / 'short'}", "model.dropout=0.5"]) == 2
    assert "keeps its own settings" in capsys.readouterr().err
    assert main(["train", f"resume={tmp_path / 'short'}", "training.epochs=3"]) == 0
    assert history(tmp_path / "short") == history(run)


def test_a_complete_run_that_is_trained_on_and_stopped_keeps_its_results(run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "copy")
    files, before = RunDirectory(copy), metrics(copy)
    config = read_config(files)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt), reported_status(files, config):
            raise KeyboardInterrupt
        assert metrics(copy)["status"] == "interrupted"
        assert metrics(copy)["former"] == before


def test_a_full_disk_is_a_user_error(run, tmp_path):
    files = RunDirectory(shutil.copytree(run, tmp_path / "copy"))
    config = read_config(files)
    with pytest.raises(UserError, match="no space left") as caught, reported_status(files, config):
        raise OSError(errno.ENOSPC, "No space left on device", "best.keras")
    assert "genexp train resume=" in str(caught.value)


def test_what_a_resumed_run_needs_is_looked_at_first(run, tmp_path, capsys, monkeypatch):
    copy = shutil.copytree(run, tmp_path / "copy")
    assert main(["train", f"resume={copy}", "training.epochs=2"]) == 2
    assert "more than the 3 epochs that are completed" in capsys.readouterr().err
    shutil.rmtree(copy / "checkpoints")
    assert main(["train", f"resume={copy}", "training.epochs=9"]) == 2
    assert "the saved state of this run is missing" in capsys.readouterr().err
    other = shutil.copytree(run, tmp_path / "other")
    (other / "checkpoints" / "best.keras").unlink()
    progress = replace(read_progress(other / "checkpoints" / "state" / "state.npz"), best_epoch=1)
    monkeypatch.setattr("genexp.training.state.read_progress", lambda path: progress)
    assert main(["train", f"resume={other}", "training.epochs=9"]) == 2
    assert "checkpoint=last" in capsys.readouterr().err
    assert metrics(other) == metrics(run)


@pytest.mark.slow
def test_a_sweep_that_is_terminated_stops_its_job_and_begins_no_other(xpresso_root, tmp_path):
    words = [*QUICK, "training.epochs=100000", "training.patience=null", f"hydra.sweep.dir={tmp_path / 'sweep'}"]
    command = [
        sys.executable,
        "-m",
        "genexp",
        "train",
        "-m",
        f"dataset.root={xpresso_root}",
        *words,
        "seed=0,1",
        "jobs=1",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ)
    deadline = time.monotonic() + 240
    while not list(tmp_path.glob("sweep/*/history.csv")) and time.monotonic() < deadline:
        time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    out, error = process.communicate(timeout=120)
    assert process.returncode == 130, error
    (job,) = (path.parent for path in tmp_path.glob("sweep/*/config.yaml"))
    assert metrics(job)["status"] == "interrupted"
    assert f"genexp train resume={tmp_path / 'sweep'}" in out
    assert "Traceback" not in error


def test_early_stopping_counts_epochs_without_a_lower_validation_loss(xpresso_root, tmp_path):
    words = ["training.epochs=200", "training.patience=3", "training.learning_rate=0.05"]
    assert train(xpresso_root, tmp_path / "run", *words) == 0
    losses = [float(row["val_loss"]) for row in history(tmp_path / "run")]
    assert len(losses) < 200
    assert len(losses) == 1 + int(np.argmin(losses)) + 3


def test_the_milestone_lowers_the_learning_rate(xpresso_root, tmp_path):
    assert train(xpresso_root, tmp_path / "run", "training.milestone=2", "training.milestone_factor=0.5") == 0
    assert [float(row["lr"]) for row in history(tmp_path / "run")] == [0.01, 0.01, 0.005]


def test_a_collapsed_network_starts_again_and_is_never_a_result(xpresso_root, tmp_path, capsys, monkeypatch):
    """Dead from the start: all weights of the bottleneck are zero, whatever the seed."""
    words = ["training.restarts=1", "training.epochs=9", "model.initializer=glorot_normal"]
    from genexp.training import loop

    def dead(config, shapes, real=loop.build_model):
        model = real(config, shapes)
        layer = model.get_layer("dense_2")
        layer.set_weights([np.zeros_like(w) - 1 for w in layer.get_weights()])
        return model

    monkeypatch.setattr(loop, "build_model", dead)
    assert train(xpresso_root, tmp_path / "run", *words) == 2
    captured = capsys.readouterr()
    assert "Starting again, attempt 2 of 2" in captured.out
    assert "collapsed in every attempt" in captured.err
    assert metrics(tmp_path / "run")["status"] == "collapsed"
    assert "best" not in metrics(tmp_path / "run")
    assert len(history(tmp_path / "run")) == 3, "given up after three flat epochs"


def test_a_diverged_run_fails_with_a_message(xpresso_root, tmp_path, capsys):
    assert train(xpresso_root, tmp_path / "run", "training.learning_rate=1e30") == 2
    assert "training diverged" in capsys.readouterr().err
    assert metrics(tmp_path / "run")["status"] == "failed"


@pytest.mark.parametrize("data", [pytest.param("P", marks=pytest.mark.slow), "PHT"])
def test_divide_et_impera_trains(tmp_path, data):
    root = write_xpresso_set(tmp_path / "set", tf=5)
    words = ["train", "model=divide_et_impera", f"data={data}", "dataset=xpresso_tf", f"dataset.root={root}"]
    words += ["training.epochs=1", "model.parts=4", "model.filters=4", "model.pool=2", "hardware=cpu"]
    words += [f"hydra.run.dir={tmp_path / 'run'}"]
    assert main(words) == 0
    assert metrics(tmp_path / "run")["data"] == data


def test_bad_values_in_the_files_leave_no_directory(xpresso_root, tmp_path, capsys):
    root = write_xpresso_set(tmp_path / "set")
    with h5py.File(root / "train.h5", "r+") as file:
        file["label"][5] = np.nan
    assert train(root, tmp_path / "run") == 2
    error = capsys.readouterr().err
    assert "train.h5" in error
    assert "GENE00005" in error
    assert not (tmp_path / "run").exists()


def test_drop_ambiguous_drops_by_looking_in_every_split(tmp_path):
    root = write_xpresso_set(tmp_path / "set", n_every=4)
    assert train(root, tmp_path / "run", "dataset.drop_ambiguous=true", "training.epochs=1") == 0
    found = json.loads((tmp_path / "run" / "environment.json").read_text())
    assert found["dataset"]["genes"] == {"train": 72, "valid": 24, "test": 24}


def test_an_occupied_directory_is_not_written_over(run, xpresso_root, capsys):
    before = (run / "metrics.json").read_text()
    assert train(xpresso_root, run) == 2
    assert "not overwritten" in capsys.readouterr().err
    assert (run / "metrics.json").read_text() == before


def test_a_terminated_process_prints_how_to_resume(xpresso_root, tmp_path):
    """SIGTERM, which schedulers send before they kill: status, exit code and the command that resumes."""
    words = [*QUICK, "training.epochs=100000", "training.patience=null", f"hydra.run.dir={tmp_path / 'run'}"]
    command = [sys.executable, "-m", "genexp", "train", "dataset=xpresso", f"dataset.root={xpresso_root}", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ)
    deadline = time.monotonic() + 240
    while not (tmp_path / "run" / "history.csv").exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    out, error = process.communicate(timeout=120)
    assert process.returncode == 130, error
    assert f"genexp train resume={tmp_path / 'run'}" in out
    assert "Traceback" not in error
    assert "port.cc" not in error, "TensorFlow's start-up noise"
    assert metrics(tmp_path / "run")["status"] == "interrupted"


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs /proc to see what a process has loaded")
def test_ctrl_c_while_tensorflow_loads_leaves_nothing(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "genexp", "train", "dataset.genes=100", "training.epochs=1"],
        **{"cwd": tmp_path, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": os.environ},
    )
    loaded = Path(f"/proc/{process.pid}/maps")
    while process.poll() is None and "libtensorflow" not in loaded.read_text():
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=120)
    assert process.returncode == 130, out + error
    assert error.startswith("interrupted; nothing half-written is left")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_sweep_runs_isolated_jobs_and_ends_with_a_table(xpresso_root, tmp_path, genexp, cli):
    quick = [word for word in QUICK if not word.startswith(("model", "training.epochs"))]
    words = ["dataset=xpresso", f"dataset.root={xpresso_root}", *quick, "training.epochs=1", "model=xpresso,fc_net"]
    done = cli("train", "-m", *words, "data=H", cwd=tmp_path)
    assert done.returncode == 2, "xpresso cannot read H: the sweep does not start"
    assert list(tmp_path.iterdir()) == []
    words = [*words[:-1], "model=xpresso", "data=P,PH", f"hydra.sweep.dir={tmp_path / 'sweep'}"]
    done = genexp("train", "-m", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    jobs = sorted(p.name for p in (tmp_path / "sweep").iterdir() if p.is_dir() and p.name[0] != ".")
    assert jobs == ["0-xpresso-P", "1-xpresso-PH"]
    assert all(metrics(tmp_path / "sweep" / job)["status"] == "completed" for job in jobs)
    for job in jobs:
        command = json.loads((tmp_path / "sweep" / job / "environment.json").read_text())["command"]
        assert command.startswith("genexp train ")
        assert job in done.stdout[done.stdout.rindex("status") :], "the closing table"


@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_a_run_without_its_state_does_not_start_over(run, tmp_path, capsys, damage):
    copy = shutil.copytree(run, tmp_path / "copy")
    state = copy / "checkpoints" / "state" / "state.npz"
    content = state.read_bytes()
    state.unlink()
    if damage == "truncated":
        state.write_bytes(content[:100])
    before = {p: p.read_bytes() for p in copy.rglob("*") if p.is_file()}
    assert main(["train", f"resume={copy}", "training.epochs=9"]) == 2
    assert "state" in capsys.readouterr().err
    assert {p: p.read_bytes() for p in copy.rglob("*") if p.is_file()} == before


def test_files_of_other_runs_are_not_written_over(xpresso_root, tmp_path, capsys):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "predictions.csv").write_text("mine")
    assert train(xpresso_root, tmp_path / "run") == 2
    assert "holds a run already" in capsys.readouterr().err
    assert (tmp_path / "run" / "predictions.csv").read_text() == "mine"


def test_devices_that_a_cpu_has_not_are_refused(xpresso_root, tmp_path, capsys):
    assert train(xpresso_root, tmp_path / "run", "hardware.devices=5") == 2
    assert "hardware.devices=5" in capsys.readouterr().err


def test_damage_inside_a_file_is_reported(tmp_path, capsys):
    root = write_xpresso_set(tmp_path / "set")
    content = bytearray((root / "train.h5").read_bytes())
    content[100:2000] = bytes(255 for _ in range(1900))
    (root / "train.h5").write_bytes(content)
    assert train(root, tmp_path / "run") == 2
    assert "train.h5" in capsys.readouterr().err
