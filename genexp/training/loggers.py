"""Where each epoch is written beside ``history.csv``: TensorBoard, MLflow, Weights & Biases."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from genexp.console import warn
from genexp.errors import UserError
from genexp.run.directory import RunDirectory

if TYPE_CHECKING:
    from genexp.training.config import RunConfig as TrainConfig

#: Takes one row of `genexp.run.directory.HISTORY_COLUMNS`.
Log = Callable[[Mapping[str, float]], None]

#: The package that each needs beyond our own dependencies.
PACKAGES = {"mlflow": "mlflow", "wandb": "wandb"}


def chosen(logger: str | list[str] | None) -> list[str]:
    """Return the names behind ``logger=``; the history as CSV is always written, so it needs nothing here."""
    names = [logger] if isinstance(logger, str) else list(logger or [])
    return [name for name in dict.fromkeys(names) if name != "csv"]


def check_loggers(logger: str | list[str] | None) -> None:
    """Raise a UserError if a logger needs a package that is not installed, or cannot write where it is told to."""
    for name in chosen(logger):
        package = PACKAGES.get(name)
        if package and find_spec(package) is None:
            raise UserError(
                f"logger={name} needs a package that is not installed",
                where="logger",
                expected=package,
                received="not installed",
                do=f"pip install 'genexp[{name}]', or choose logger=tensorboard, which needs nothing more",
            )
        if name in CHECKS:
            CHECKS[name]()


def _check_mlflow() -> None:
    import mlflow

    try:
        mlflow.MlflowClient().search_experiments(max_results=1)
    except Exception as error:  # noqa: BLE001 - whatever its stores raise: MLflow's, SQL's, or the network's own
        raise UserError(
            "MLflow cannot write where its settings say",
            where="logger=mlflow, MLFLOW_TRACKING_URI",
            expected="sqlite:///FILE, or the address of a tracking server",
            received=f"{mlflow.get_tracking_uri()}: {' '.join(str(error).split())[:300]}",
            do="set MLFLOW_TRACKING_URI, or choose logger=tensorboard",
        ) from None


def _check_wandb() -> None:
    import wandb

    if wandb.setup().settings.mode in ("offline", "disabled", "dryrun"):
        return
    try:
        known = wandb.login(prompt=False)
    except wandb.Error as error:
        known, reason = False, str(error)
    else:
        reason = "no API key"
    if not known:
        raise UserError(
            "Weights & Biases does not let us in",
            where="logger=wandb",
            expected="an account that is logged in, or WANDB_MODE=offline",
            received=reason,
            do="run wandb login once, or set WANDB_MODE=offline and upload later with wandb sync",
        )


#: What is asked before the run, so that a run does not begin which cannot be logged.
CHECKS = {"mlflow": _check_mlflow, "wandb": _check_wandb}


@contextmanager
def open_loggers(config: TrainConfig, run: RunDirectory, attempt: int) -> Iterator[Log]:
    """Open the loggers of one attempt; yields a function that writes one epoch to all of them.

    A resumed run goes on in the same TensorBoard folder and the same Weights & Biases run.
    """
    with ExitStack() as stack:
        logs = [stack.enter_context(LOGGERS[name](config, run, attempt)) for name in chosen(config.logger)]

        def log(row: Mapping[str, float]) -> None:
            for each in list(logs):
                try:
                    each(row)
                except Exception as error:  # noqa: BLE001 - a lost connection must not end days of training
                    logs.remove(each)
                    warn(f"a logger failed and is left out from now on (history.csv goes on): {error}")

        yield log


@contextmanager
def _tensorboard(config: TrainConfig, run: RunDirectory, attempt: int) -> Iterator[Log]:
    """Write scalars through TensorFlow's own summaries, from the host, so on a TPU too.

    ``tf.summary.scalar`` would need the package that draws them, which is not needed to write them.
    """
    import tensorflow as tf
    from tensorflow.core.framework import summary_pb2

    scalar = summary_pb2.SummaryMetadata(data_class=summary_pb2.DATA_CLASS_SCALAR)
    scalar.plugin_data.plugin_name = "scalars"
    folder = run.tensorboard / f"attempt-{attempt + 1}" if attempt else run.tensorboard
    with tf.device("CPU:0"):
        writer = tf.summary.create_file_writer(str(folder))

    def log(row: Mapping[str, float]) -> None:
        with tf.device("CPU:0"), writer.as_default():
            for name, value in _values(row).items():
                tf.summary.write(name, tf.constant(value, tf.float32), step=int(row["epoch"]), metadata=scalar)
        writer.flush()

    try:
        yield log
    finally:
        writer.close()


@contextmanager
def _mlflow(config: TrainConfig, run: RunDirectory, attempt: int) -> Iterator[Log]:
    """Write to MLflow; where it goes is MLflow's own setting (MLFLOW_TRACKING_URI, MLFLOW_EXPERIMENT_NAME)."""
    import mlflow

    with mlflow.start_run(run_name=_name(run, attempt)):
        mlflow.log_params({"directory": str(run.path), **_parameters(config)})
        yield lambda row: mlflow.log_metrics(_values(row), step=int(row["epoch"]))


@contextmanager
def _wandb(config: TrainConfig, run: RunDirectory, attempt: int) -> Iterator[Log]:
    """Write to Weights & Biases; project and mode are its own settings (WANDB_PROJECT, WANDB_MODE)."""
    import wandb

    name = _name(run, attempt)
    session = wandb.init(name=name, id=name, resume="allow", dir=str(run.path), config=config.model_dump(mode="json"))
    try:
        yield lambda row: session.log(_values(row), step=int(row["epoch"]))
    finally:
        session.finish()


def _name(run: RunDirectory, attempt: int) -> str:
    return run.path.name + (f"-attempt-{attempt + 1}" if attempt else "")


def _values(row: Mapping[str, float]) -> dict[str, float]:
    return {name: float(value) for name, value in row.items() if name != "epoch"}


def _parameters(config: TrainConfig) -> dict[str, Any]:
    """Return what people sort runs by, flat: ``{"model": "xpresso", "training.epochs": 300}``."""
    training = {f"training.{key}": value for key, value in config.training.model_dump().items()}
    return {"model": config.model.name, "data": config.data.name, "seed": config.seed, **training}


LOGGERS = {"tensorboard": _tensorboard, "mlflow": _mlflow, "wandb": _wandb}
