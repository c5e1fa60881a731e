"""Each epoch in TensorBoard, MLflow and Weights & Biases; the last two are stood in for."""

import sys
from types import SimpleNamespace

import pytest
import tensorflow as tf

from genexp.api import compose
from genexp.errors import UserError
from genexp.run import HISTORY_COLUMNS, RunDirectory
from genexp.training.loggers import check_loggers, chosen, open_loggers

ROW = dict(zip(HISTORY_COLUMNS, (1, 0.5, 0.4, 0.3, 1e-3, 2.0, 0.1), strict=True))


def config(*overrides):
    return compose(*overrides)


def scalars(folder):
    """Read the event files of a folder: (tag, step, value)."""
    found = []
    for path in sorted(folder.glob("events.*")):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            found += [(v.tag, event.step, float(tf.make_ndarray(v.tensor))) for v in event.summary.value]
    return found


def test_one_word_or_a_list():
    assert chosen(config().logger) == []
    assert chosen(config("logger=csv").logger) == []
    assert chosen(config("logger=tensorboard").logger) == ["tensorboard"]
    assert chosen(config("logger=[csv,tensorboard,wandb]").logger) == ["tensorboard", "wandb"]
    with pytest.raises(UserError, match="logger is impossible"):
        config("logger=tensorbord")


def test_tensorboard_holds_every_column_of_every_epoch(tmp_path):
    with open_loggers(config("logger=tensorboard"), RunDirectory(tmp_path), 0) as log:
        log(ROW)
        log({**ROW, "epoch": 2, "loss": 0.25})
    found = scalars(tmp_path / "tensorboard")
    assert ("loss", 1, 0.5) in found
    assert ("loss", 2, 0.25) in found
    assert {tag for tag, _, _ in found} == set(HISTORY_COLUMNS) - {"epoch"}


def test_another_attempt_has_a_folder_of_its_own(tmp_path):
    with open_loggers(config("logger=tensorboard"), RunDirectory(tmp_path), 1) as log:
        log(ROW)
    assert scalars(tmp_path / "tensorboard" / "attempt-2")


@pytest.mark.parametrize("name", ["mlflow", "wandb"])
def test_a_missing_package_is_reported_before_the_run(name, monkeypatch):
    monkeypatch.setattr("genexp.training.loggers.find_spec", lambda package: None)
    with pytest.raises(UserError, match=rf"genexp\[{name}\]"):
        check_loggers([name])
    check_loggers(["csv", "tensorboard"])


def test_a_logger_that_cannot_write_is_reported_before_the_run(monkeypatch):
    def refuse(max_results):
        raise RuntimeError("the store is in maintenance mode")

    monkeypatch.setattr("genexp.training.loggers.find_spec", lambda package: object())
    client = SimpleNamespace(search_experiments=refuse)
    mlflow = SimpleNamespace(MlflowClient=lambda: client, get_tracking_uri=lambda: "file:mlruns")
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    with pytest.raises(UserError, match="maintenance mode"):
        check_loggers(["mlflow"])
    settings = SimpleNamespace(settings=SimpleNamespace(mode="online"))
    wandb = SimpleNamespace(setup=lambda: settings, login=lambda prompt: False, Error=OSError)
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    with pytest.raises(UserError, match="wandb login"):
        check_loggers(["wandb"])
    settings.settings.mode = "offline"
    check_loggers(["wandb"])


def test_a_logger_that_fails_on_the_way_does_not_end_the_run(tmp_path, monkeypatch, capsys):
    def fail(values, step):
        raise ConnectionError("gone")

    session = SimpleNamespace(log=fail, finish=lambda: None)
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=lambda **settings: session))
    with open_loggers(config("logger=[wandb,tensorboard]"), RunDirectory(tmp_path), 0) as log:
        log(ROW)
        log(ROW)
    assert "".join(capsys.readouterr()).count("a logger failed") == 1
    assert scalars(tmp_path / "tensorboard")


def test_mlflow_and_wandb_get_the_same_rows(tmp_path, monkeypatch):
    """Stand-ins with the calls that we make: what each receives."""
    seen = []

    class Run:
        def __enter__(self):
            return self

        def __exit__(self, *error):
            seen.append(("mlflow", "end"))

    mlflow = SimpleNamespace(
        start_run=lambda run_name: Run(),
        log_params=lambda params: seen.append(("params", params["training.optimizer"])),
        log_metrics=lambda values, step: seen.append(("mlflow", step, values["val_loss"])),
    )
    session = SimpleNamespace(
        log=lambda values, step: seen.append(("wandb", step, values["val_loss"])),
        finish=lambda: seen.append(("wandb", "end")),
    )
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=lambda **settings: session))
    with open_loggers(config("logger=[mlflow,wandb]"), RunDirectory(tmp_path), 0) as log:
        log(ROW)
    assert seen == [
        ("params", "sgd"),
        ("mlflow", 1, 0.4),
        ("wandb", 1, 0.4),
        ("wandb", "end"),
        ("mlflow", "end"),
    ]
