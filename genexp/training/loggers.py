"""Where each epoch is written beside ``history.csv``: TensorBoard, MLflow, Weights & Biases."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

from genexp.console import warn
from genexp.errors import UserError
from genexp.run import RunDirectory

if TYPE_CHECKING:
    from genexp.training.config import RunConfig

#: Takes one row of `genexp.run.HISTORY_COLUMNS`; each logger gets its values and epoch.
Log = Callable[[Mapping[str, float]], None]
Write = Callable[[Mapping[str, float], int], None]
#: Opens a logger for one attempt of a run: ``opened(config, run, attempt)``.
Logger = Callable[["RunConfig", RunDirectory, int], AbstractContextManager[Write]]

#: The package that each needs beyond the dependencies of genexp.
PACKAGES = {"mlflow": "mlflow", "wandb": "wandb"}


def chosen(logger: Sequence[str] | None) -> list[str]:
    """Return the loggers to open; the history as CSV is always written, so ``csv`` needs none."""
    return [name for name in dict.fromkeys(logger or ()) if name != "csv"]


def check_loggers(logger: Sequence[str] | None) -> None:
    """Raise a UserError for the first logger that is not installed or cannot write."""
    for name in chosen(logger):
        package = PACKAGES.get(name)
        if package and find_spec(package) is None:
            hint = f"pip install 'genexp[{name}]', or choose logger=tensorboard, which needs no other package"
            raise UserError(f"logger={name} needs the package {package}, which is not installed", hint=hint)
        if check := {"mlflow": _check_mlflow, "wandb": _check_wandb}.get(name):
            check()


def _check_mlflow() -> None:
    import mlflow

    try:
        mlflow.MlflowClient().search_experiments(max_results=1)
    except Exception as error:  # noqa: BLE001 - whatever its stores raise: MLflow's, SQL's, or the network's own
        received = f"{mlflow.get_tracking_uri()}: {' '.join(str(error).split())[:300]}"
        expected = "sqlite:///FILE, or the address of a tracking server"
        what, hint = "MLflow cannot write to its tracking URI", "set MLFLOW_TRACKING_URI, or choose logger=tensorboard"
        where = "MLFLOW_TRACKING_URI"
        raise UserError(what, where=where, expected=expected, received=received, hint=hint) from None


def _check_wandb() -> None:
    import wandb

    if wandb.setup().settings.mode in ("offline", "disabled", "dryrun"):
        return
    try:
        known, reason = wandb.login(prompt=False), "no API key"
    except wandb.Error as error:
        known, reason = False, str(error)
    if not known:
        hint = "run wandb login once, or set WANDB_MODE=offline and upload later with wandb sync"
        raise UserError("Weights & Biases refuses the login", where="logger=wandb", received=reason, hint=hint)


@contextmanager
def open_loggers(config: RunConfig, run: RunDirectory, attempt: int) -> Iterator[Log]:
    """Open the loggers of one attempt, or of a resumed one again; yields a function that writes one epoch to all."""
    with ExitStack() as stack:
        logs = [stack.enter_context(LOGGERS[name](config, run, attempt)) for name in chosen(config.logger)]

        def log(row: Mapping[str, float]) -> None:
            values = {name: float(value) for name, value in row.items() if name != "epoch"}
            for each in list(logs):
                try:
                    each(values, int(row["epoch"]))
                except Exception as error:  # noqa: BLE001 - a lost connection must not end days of training
                    logs.remove(each)
                    warn(f"a logger failed and is not used any more (history.csv continues): {error}")

        yield log


@contextmanager
def _tensorboard(config: RunConfig, run: RunDirectory, attempt: int) -> Iterator[Write]:
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

    def log(values: Mapping[str, float], epoch: int) -> None:
        with tf.device("CPU:0"), writer.as_default():
            for name, value in values.items():
                tf.summary.write(name, tf.constant(value, tf.float32), step=epoch, metadata=scalar)
        writer.flush()

    with closing(writer):
        yield log


@contextmanager
def _mlflow(config: RunConfig, run: RunDirectory, attempt: int) -> Iterator[Write]:
    """Write to MLflow, as its own settings say (MLFLOW_TRACKING_URI, MLFLOW_EXPERIMENT_NAME)."""
    import mlflow

    training = {f"training.{key}": value for key, value in config.training.model_dump().items()}
    settings = {"model": config.model.name, "data": config.data.name, "seed": config.seed, **training}
    with mlflow.start_run(run_name=_name(run, attempt)):
        mlflow.log_params({"directory": str(run.path), **settings})
        yield lambda values, epoch: mlflow.log_metrics(values, step=epoch)


@contextmanager
def _wandb(config: RunConfig, run: RunDirectory, attempt: int) -> Iterator[Write]:
    """Write to Weights & Biases, as its own settings say (WANDB_PROJECT, WANDB_MODE)."""
    import wandb

    name = _name(run, attempt)
    content = config.model_dump(mode="json")
    session = wandb.init(name=name, id=name, resume="allow", dir=str(run.path), config=content)
    try:
        yield lambda values, epoch: session.log(values, step=epoch)
    finally:
        session.finish()


def _name(run: RunDirectory, attempt: int) -> str:
    return run.path.name + (f"-attempt-{attempt + 1}" if attempt else "")


#: By the name in ``logger=``.
LOGGERS: dict[str, Logger] = {"tensorboard": _tensorboard, "mlflow": _mlflow, "wandb": _wandb}
