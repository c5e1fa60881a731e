"""The library: what a notebook calls, and what the commands are made of.

`train`, `open_run`, `load_dataset` and `load_model` are also names of the package: ``genexp.train(...)``.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from genexp import console
from genexp.api.comparing import Comparison
from genexp.api.ensembles import Ensemble
from genexp.api.runs import Run
from genexp.api.studies import Study
from genexp.dataset.genes import Dataset
from genexp.errors import UserError
from genexp.training.config import RunConfig

if TYPE_CHECKING:
    import keras

    from genexp.api.results import Runs
    from genexp.evaluation.baselines import Baselines

__all__ = [
    "Comparison",
    "Ensemble",
    "Run",
    "RunConfig",
    "Study",
    "UserError",
    "baselines",
    "compare",
    "compose",
    "embed_dataset",
    "import_checkpoint",
    "load_dataset",
    "load_model",
    "open_ensemble",
    "open_run",
    "open_study",
    "prepare_dataset",
    "report",
    "train",
    "train_many",
    "tune",
]


def compose(*overrides: str) -> RunConfig:
    """Return the config of a run from overrides as ``genexp train`` takes them: ``compose("model=xpresso")``.

    Raises
    ------
    UserError
        For whatever is wrong with them.
    """
    from genexp.api.training import TRAIN, decided
    from genexp.config.compose import compose_words

    return decided(compose_words(TRAIN, overrides))


def compare(runs: str | Path | Iterable[str | Path], *, out: str | Path | None = None) -> Comparison:
    """Compare finished runs: groups that differ only in seed or fold, and tests between groups on the same test genes.

    Parameters
    ----------
    runs
        A run directory, a directory that holds some, such as that of a sweep, a pattern, or several of these.
    out
        A new folder for tables and the figure; None writes nothing.

    Returns
    -------
    Comparison
        Its ``groups``, ``tests`` and ``runs`` are tables.

    Raises
    ------
    UserError
        If a place holds no run, or no run has results.
    """
    from genexp.api import comparing

    with console.quiet():
        found = comparing.compare(runs)
    if out is not None:
        found.write(out)
    return found


def report(runs: str | Path | Iterable[str | Path], *, out: str | Path | None = None) -> Path:
    """Write one HTML file that shows a run, or compares several, with the checks of ``genexp report``.

    Parameters
    ----------
    runs
        A run directory, a directory that holds some, such as that of a sweep, a pattern, or several of these.
    out
        The file; None: ``report.html`` in the one directory that is named, written anew each time.

    Returns
    -------
    Path
        The file. It needs no network.

    Raises
    ------
    UserError
        If a place holds no run, or the file exists or cannot be written.
    """
    from genexp.api import reporting

    with console.quiet():
        return reporting.write(reporting.check(runs, out))


def load_model(path: str | Path) -> keras.Model:
    """Open a ``.keras`` checkpoint, to use it as a Keras model; code in the file is never executed.

    Parameters
    ----------
    path
        ``DIR/checkpoints/best.keras``, or what ``genexp export format=keras`` wrote.

    Returns
    -------
    keras.Model
        Not compiled. Inputs by name: ``promoter`` (n, window) uint8 tokens or (n, chunks, 4**k) counts of k-mers, and
        each feature block (n, width) float32, scaled as in the dataset. Output (n, labels) float32.

    Raises
    ------
    UserError
        If the file is missing or no model.
    """
    from genexp.evaluation.report import open_checkpoint
    from genexp.training.strategy import import_tensorflow

    import_tensorflow()
    return open_checkpoint(Path(path))


def train(*config: RunConfig | str, directory: str | Path | None = None, progress: bool = True) -> Run:
    """Train one run, with the checks of ``genexp train``.

    Parameters
    ----------
    *config
        Overrides, such as ``"model=transformer", "data=PH"``; or one config, as `compose` returns it.
    directory
        Where the run lands; a trailing ``XXXX`` makes the name unique. None: as ``hydra.run.dir`` says, in outputs/.
    progress
        Print what is done.

    Returns
    -------
    Run
        The finished run.

    Raises
    ------
    UserError
        For whatever the user can correct, before training starts wherever possible.
    """
    from genexp.api.training import TRAIN, check_one, decided, start, without_effect
    from genexp.config.compose import compose_words

    words = [word for word in config if isinstance(word, str)]
    whole = [given for given in config if isinstance(given, RunConfig)]
    if len(words) not in (0, len(config)) or len(whole) > 1 or len(words) + len(whole) < len(config):
        expected, received = 'overrides such as "seed=1", or one config', ", ".join(type(x).__name__ for x in config)
        raise UserError("train takes overrides or one config", expected=expected, received=received)
    composed = compose_words(TRAIN, words)
    if composed.config.resume:
        raise UserError("train starts a new run", hint=f"genexp.open_run({composed.config.resume!r}).resume()")
    if composed.config.repeats or composed.config.folds:
        raise UserError("train makes one run", received=shlex.join(words), hint="genexp.train_many makes several")
    check_one(composed)
    chosen = whole[0] if whole else decided(composed)
    place = directory or composed.run_dir_of(chosen.model.name, chosen.data.name)
    console.forget()
    with console.quiet(not progress):
        for sentence in without_effect(composed):
            console.warn(sentence)
        run = start(chosen, place, command=f"genexp.train({shlex.join(words)})")
    return Run(run.path)


def train_many(*overrides: str, directory: str | Path | None = None, progress: bool = True) -> Runs:
    """Train many runs, several at a time, each in a process of its own, with the checks of ``genexp train``.

    Parameters
    ----------
    *overrides
        As ``genexp train -m`` takes them: ``"repeats=10"``, ``"folds=5"``, ``"model=xpresso,legnet"``, ``"jobs=2"``; or
        ``"resume=DIR"`` alone, to redo what is missing in the directory of a sweep.
    directory
        Where the runs land; one that holds the same sweep is resumed. A trailing ``XXXX`` makes the name unique. None:
        as ``hydra.sweep.dir`` says, in outputs/.
    progress
        Print what is done.

    Returns
    -------
    Runs
        The runs, their means with intervals, and the errors of those that failed.

    Raises
    ------
    UserError
        For whatever the user can correct, before training starts wherever possible.
    """
    from genexp.api.launchers import run_sweep
    from genexp.api.results import Runs
    from genexp.api.sweeps import asked
    from genexp.api.training import TRAIN, check
    from genexp.config.compose import checked_words, compose_parsed

    flags = () if any(word.startswith("resume=") for word in overrides) else ("-m",)
    composed = compose_parsed(TRAIN, checked_words(TRAIN, [*flags, *overrides]))
    many = asked(composed, lambda config: check(config.run()), directory)
    if many is None:
        what, hint = "this directory holds no sweep", "genexp.open_run(DIR).resume() resumes a run"
        raise UserError(what, where=f"resume={composed.config.resume}", hint=hint)
    console.forget()
    with console.quiet(not progress):
        return Runs(run_sweep(many)[0])


def prepare_dataset(*overrides: str, progress: bool = True) -> Path:
    """Convert raw files to a dataset folder, with the checks of ``genexp prepare``.

    Parameters
    ----------
    *overrides
        As the command takes them: ``"source=sequences", "table=reporters.csv", "out=datasets/reporters"``.
    progress
        Print what is done.

    Returns
    -------
    Path
        The folder: HDF5 files, dataset.yaml, genes.tsv and dataset.png.

    Raises
    ------
    UserError
        If a key or a file is wrong, or the folder holds something already.
    """
    from genexp.config.compose import Command, compose_words
    from genexp.prepare import SHORT_FORMS, Config, prepare

    config = compose_words(Command("prepare", Config, short_forms=SHORT_FORMS), overrides).config
    with console.quiet(not progress):
        command = f"genexp.prepare_dataset({shlex.join(overrides)})"
        return prepare(config, note=console.say, warn=console.warn, command=command)


def embed_dataset(*overrides: str, progress: bool = True) -> Path:
    """Make k-mer vectors and the embedded dataset, with the checks of ``genexp embed``.

    Parameters
    ----------
    *overrides
        As the command takes them: ``"out=embedding", "dataset.root=DIR", "k=4"``.
    progress
        Print what is done.

    Returns
    -------
    Path
        The folder: vectors.npz and, unless ``write_dataset=false``, the HDF5 files of the embedded dataset.

    Raises
    ------
    UserError
        If a key or the dataset is wrong, or the folder holds something already.
    """
    from genexp.api.embedding import EMBED, check, embed
    from genexp.config.compose import compose_words

    with console.quiet(not progress):
        return embed(check(compose_words(EMBED, overrides).config))


def import_checkpoint(*overrides: str, directory: str | Path | None = None, progress: bool = True) -> Run:
    """Make a run of a published checkpoint, with the checks of ``genexp import``; no code in it is executed.

    Parameters
    ----------
    *overrides
        As the command takes them: ``"checkpoint=human.h5", "model=xpresso", "data=P"``.
    directory
        Where the run lands. None: as ``hydra.run.dir`` says, in outputs/.
    progress
        Print what is done.

    Returns
    -------
    Run
        The run, which `Run.evaluate` and `Run.predict` use as one that was trained here.

    Raises
    ------
    UserError
        If the file is no checkpoint of this model and these blocks, or the directory holds a run.
    """
    from genexp.api.importing import IMPORT
    from genexp.api.importing import import_checkpoint as imported
    from genexp.config.compose import compose_words

    console.forget()
    with console.quiet(not progress):
        return Run(imported(compose_words(IMPORT, overrides), directory))


def open_run(path: str | Path) -> Run:
    """Open a run directory; see `Run`."""
    return Run(path)


def open_ensemble(runs: str | Path | Iterable[str | Path]) -> Ensemble:
    """Open several runs whose predictions are averaged; see `Ensemble`."""
    return Ensemble(runs)


def tune(*overrides: str, directory: str | Path | None = None, progress: bool = True) -> Study:
    """Search for the settings of a model on a dataset, and test the best, with the checks of ``genexp tune``.

    Parameters
    ----------
    *overrides
        As the command takes them: ``"model=fc_net", "data=HT", "trials=20"``.
    directory
        Where the study lands; one that is there is continued. None: as ``hydra.run.dir`` says, in outputs/.
    progress
        Print what is done.

    Returns
    -------
    Study
        The finished study.

    Raises
    ------
    UserError
        For whatever the user can correct, before the search starts wherever possible.
    """
    from genexp.api.tuning import tune
    from genexp.api.tuning.config import TUNE
    from genexp.api.tuning.study import plan
    from genexp.config.compose import compose_words

    console.forget()
    with console.quiet(not progress):
        path, _ = tune(plan(compose_words(TUNE, overrides), directory))
    return Study(path)


def open_study(path: str | Path) -> Study:
    """Open the directory of a search that has a result; see `Study`."""
    return Study(path)


def load_dataset(root: str | Path, blocks: str | None = None, *, progress: bool = True, **settings: object) -> Dataset:
    """Read a dataset folder in any layout that genexp knows.

    Parameters
    ----------
    root
        The folder.
    blocks
        Letters of the blocks to read: ``"PH"``; None for all.
    progress
        Print what was found.
    **settings
        Other keys of the group ``dataset``: ``layout``, ``fold``, ``tss``, ``drop_ambiguous``, ``shared_genes``.

    Returns
    -------
    Dataset
        Its ``splits`` hold genes, labels and blocks as arrays.
    """
    from genexp.api.training import folder_dataset, read
    from genexp.dataset.sources import inspect

    config = folder_dataset(root=str(root), **settings)
    with console.quiet(not progress):
        source = inspect(config, blocks or "")
        return read(source, blocks or source.description.blocks, None)


def baselines(dataset: Dataset, *, shuffled: bool = False, seed: int = 0, progress: bool = True) -> Baselines:
    """Fit ridge regression and gradient boosting to the training genes of a dataset, or find the results in the cache.

    Parameters
    ----------
    dataset
        What `load_dataset` returns; the models read the blocks that were loaded.
    shuffled
        Fit them to shuffled labels too, which shows what chance gives.
    seed
        That of the bootstrap of the intervals.
    progress
        Print what is done.

    Returns
    -------
    Baselines
        Its ``metrics`` are those of metrics.json, its ``found`` holds the predictions.
    """
    from genexp.api.simple_models import find

    with console.quiet(not progress):
        return find(dataset, dataset.fingerprint(), shuffled=shuffled, seed=seed)
