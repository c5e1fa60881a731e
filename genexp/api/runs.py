"""A run as an object: its config, metrics, predictions and model, and what can be done with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from genexp import console
from genexp.api import evaluation
from genexp.api.using import Using
from genexp.dataset.description import DatasetDescription
from genexp.errors import UserError
from genexp.evaluation.figure_formats import known
from genexp.run import RunDirectory, check_checkpoint, find_run, read_metrics, read_table
from genexp.training.config import HardwareConfig, RunConfig, read_config, read_description
from genexp.training.strategy import import_tensorflow

if TYPE_CHECKING:
    import keras
    import pandas as pd

    from genexp.arrays import Embedded, Features, PerGene, PerLabel, Tokens


class Run(Using):
    """A run directory, which `genexp.train`, ``genexp train`` or ``genexp import`` wrote.

    Parameters
    ----------
    path
        The directory.

    Raises
    ------
    UserError
        If it is not one.
    """

    def __init__(self, path: str | Path) -> None:
        self.files: RunDirectory = find_run(path, "path")

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @property
    def path(self) -> Path:
        """The directory."""
        return self.files.path

    @property
    def named(self) -> str:
        """The directory, as text."""
        return str(self.path)

    @cached_property
    def config(self) -> RunConfig:
        """The resolved config, ``config.yaml``."""
        return read_config(self.files)

    @property
    def metrics(self) -> dict[str, Any]:
        """The content of metrics.json; empty where the run has written none."""
        return read_metrics(self.files) or {}

    @cached_property
    def dataset(self) -> DatasetDescription:
        """The description of the dataset of training."""
        return read_description(self.files)

    @property
    def predictions(self) -> pd.DataFrame:
        """The content of predictions.csv: gene, split, label, prediction; of several labels label_NAME and so on."""
        return self._table(self.files.predictions)

    @property
    def baselines(self) -> pd.DataFrame:
        """The content of baselines.csv: gene, split, label, then a column for each baseline: ridge_PH and so on."""
        return self._table(self.files.baselines)

    @property
    def history(self) -> pd.DataFrame:
        """The content of history.csv: one row per epoch."""
        return self._table(self.files.history)

    def _table(self, path: Path) -> pd.DataFrame:
        if not path.is_file():
            status = self.metrics.get("status", "not finished")
            raise UserError(f"this run has no {path.name}", where=self.path, received=f"status: {status}")
        return read_table(path)

    @cached_property
    def model(self) -> keras.Model:
        """The model of the best checkpoint: see `genexp.load_model` for its inputs."""
        return self.checkpoint("best")

    def checkpoint(self, name: str) -> keras.Model:
        """Return the model of the ``best`` or ``last`` checkpoint."""
        check_checkpoint(self.files, name)
        import_tensorflow()
        from genexp.evaluation.report import load_checkpoint

        return load_checkpoint(self.files, name)

    def check(
        self, *, checkpoint: str = "best", split: str | None = None, dataset: Mapping[str, Any] | None = None
    ) -> list[evaluation.Plan]:
        """Look at run and dataset; no TensorFlow. The parameters are those of `evaluate`."""
        return [evaluation.check(self.files, checkpoint=checkpoint, split=split, dataset=dataset)]

    def evaluate(
        self,
        *,
        checkpoint: str = "best",
        split: str | None = None,
        dataset: Mapping[str, Any] | None = None,
        out: str | Path | None = None,
        plots: str | Sequence[str] = "png",
        progress: bool = True,
    ) -> dict[str, Any]:
        """Compute the metrics again.

        Parameters
        ----------
        checkpoint
            ``best`` or ``last``.
        split
            ``train``, ``valid``, ``test`` or ``all``; None for validation and test genes.
        dataset
            Keys of the group ``dataset`` that replace the run's own: ``{"root": "elsewhere"}``.
        out
            A new folder for metrics.json, predictions.csv and plots/; None writes nothing.
        plots
            File formats of the plots: ``png``, ``pdf``, ``svg``, or several; ``[]`` draws none.
        progress
            Print what is done.

        Returns
        -------
        dict
            As metrics.json: by checkpoint, then split, then metric.

        Raises
        ------
        UserError
            As ``genexp evaluate`` prints it.
        """
        with console.quiet(not progress):
            formats = known(plots)
            (plan,) = self.check(checkpoint=checkpoint, split=split, dataset=dataset)
            import_tensorflow()
            folder = (
                None if out is None else evaluation.results_folder(str(self.path), checkpoint, split, None, str(out))
            )
            return evaluation.evaluate(plan, folder, formats)

    def predict(
        self,
        promoters: Tokens | Embedded | str | Path | None = None,
        features: Mapping[str, Features | pd.DataFrame] | None = None,
        *,
        checkpoint: str = "best",
    ) -> PerGene | PerLabel:
        """Predict the expression of other promoters.

        Parameters
        ----------
        promoters : (n, length) uint8 tokens or path of a FASTA file
            A=0 C=1 G=2 T=3 N=4; as long as the window of the run, or as the promoters of its dataset, of which the
            window is then taken. None for a model without promoters.
        features
            By block letter, (n, width) numbers scaled as in the dataset: ``{"H": halflife}``. The columns of an array
            are in the order of `Run.dataset.feature_names`; those of a DataFrame are matched by name.
        checkpoint
            ``best`` or ``last``.

        Returns
        -------
        (n,) float32, or (n, labels) of a run on several labels
            In the unit of the labels of training, whose names are `Run.dataset.labels`.

        Raises
        ------
        UserError
            If blocks, lengths or widths are not those of the run.
        """
        from genexp.api.prediction import Predictor, predict

        found: PerLabel = predict(Predictor(self, checkpoint), promoters, features or {})[0]
        return found[:, 0] if found.shape[1] == 1 else found

    def resume(
        self,
        *,
        epochs: int | None = None,
        patience: int | Literal["unchanged"] | None = "unchanged",
        hardware: HardwareConfig | None = None,
        progress: bool = True,
    ) -> Run:
        """Resume an interrupted run in its own directory, or train a finished one for more epochs.

        Parameters
        ----------
        epochs, hardware
            What replaces the run's own settings; None keeps them.
        patience
            Likewise, but None is no early stopping.
        progress
            Print what is done.

        Returns
        -------
        Run
            The run, opened again.

        Raises
        ------
        UserError
            If the run cannot be resumed, or has nothing left to do.
        """
        from genexp.api.training import resume

        console.forget()
        with console.quiet(not progress):
            resume(self.path, epochs=epochs, patience=patience, hardware=hardware, command=f"{self!r}.resume()")
        return Run(self.path)

    def export(
        self,
        format: str = "keras",
        out: str | Path | None = None,
        *,
        checkpoint: str = "best",
        license: str | None = None,
    ) -> Path:
        """Write the model in another format, and compare its predictions with the original's.

        Parameters
        ----------
        format
            ``keras``, ``saved_model``, ``onnx`` or ``hub``, a folder for a model hub.
        out
            The file or folder to write; None: in ``export/`` of the run.
        checkpoint
            ``best`` or ``last``.
        license
            Licence of the model, such as ``mit``, for the card of a hub folder.

        Returns
        -------
        Path
            What was written.

        Raises
        ------
        UserError
            If a package is missing, the target exists, or the predictions differ.
        """
        from genexp.api import exporting

        with console.quiet():
            plan = exporting.check(self.files, checkpoint, format, None if out is None else str(out), license=license)
            import_tensorflow()
            return exporting.export(plan)
