"""Sweeps with other launchers and sweepers of Hydra's, and the exit code of a sweep."""

import json
from importlib.metadata import distributions

import pytest
from conftest import QUICK

from genexp.evaluation.sweep import statuses
from genexp.launch import close_sweep

INSTALLED = {found.metadata["Name"].replace("_", "-") for found in distributions()}


def needs(package):
    return pytest.mark.skipif(package not in INSTALLED, reason=f"{package} is not installed")


@pytest.fixture
def words(xpresso_root, tmp_path):
    quick = [word for word in QUICK if not word.startswith("training.epochs")]
    where = ["dataset=xpresso", f"dataset.root={xpresso_root}", f"hydra.sweep.dir={tmp_path / 'sweep'}"]
    return ["train", "-m", *where, *quick, "training.epochs=1"]


@needs("hydra-joblib-launcher")
@pytest.mark.integration
def test_jobs_at_once_have_their_exit_codes(words, tmp_path, genexp):
    """joblib runs the jobs in other processes; the second one diverges."""
    rates = "training.learning_rate=0.01,1e30"
    done = genexp(*words, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", rates, cwd=tmp_path)
    assert done.returncode == 2, done.stdout + done.stderr
    assert list(statuses(tmp_path / "sweep").values()) == ["completed", "failed"]
    assert "Traceback" not in done.stderr


@needs("hydra-optuna-sweeper")
@pytest.mark.integration
def test_a_sweeper_that_searches_minimises_the_validation_loss(words, tmp_path, genexp):
    search = ["hydra/sweeper=optuna", "hydra.sweeper.n_trials=2", "hydra.sweeper.n_jobs=1"]
    done = genexp(*words, *search, "training.learning_rate=interval(0.001,0.01)", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    losses = [json.loads(path.read_text())["best"]["valid"]["mse"] for path in tmp_path.glob("sweep/*/metrics.json")]
    assert len(losses) == 2
    found = (tmp_path / "sweep" / "optimization_results.yaml").read_text()
    assert any(f"best_value: {loss}" in found for loss in losses)


def test_a_job_without_a_result_counts_as_failed(tmp_path, capsys):
    for number, status in enumerate(("completed", "failed", "interrupted")):
        (tmp_path / f"{number}-job").mkdir()
        (tmp_path / f"{number}-job" / "metrics.json").write_text(json.dumps({"status": status}))
    (tmp_path / "3-job").mkdir()
    assert close_sweep(tmp_path) == [0, 2, 2, 2]
    assert f"genexp train resume={tmp_path / '2-job'}" in capsys.readouterr().out
