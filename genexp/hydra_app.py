"""A subcommand as a Hydra app: check first, then hand over to ``hydra.main``."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from genexp import console
from genexp.arguments import Arguments, first_value, parse, parse_override
from genexp.commands import module_of
from genexp.compose import check_overrides, checked_config, keys_of, without_effect
from genexp.conf_files import CONF_DIR, groups_of
from genexp.config import DatasetConfig, KmerModelConfig, TrainingConfig
from genexp.errors import UserError
from genexp.files import sigterm_interrupts
from genexp.run.directory import (
    RunDirectory,
    check_free,
    create_exclusively,
    how_to_resume,
    read_metrics,
    remember_command,
)

#: Commands whose runs have a directory of their own.
WITH_RUN_DIRECTORY = ("train", "import")


def execute(command: str, words: list[str]) -> int:
    """Run a subcommand and return its exit code."""
    remember_command([command, *words])
    words = spelled_out(command, words)
    arguments = parse(words)
    check_overrides(command, arguments)
    to_show = arguments.only_config is not None
    config, whole = checked_config(command, arguments.single, arguments.config_dir, to_show=to_show)
    if arguments.only_config:
        print_config(whole, arguments.only_config)
        return 0
    config = absolute_paths(config)
    if arguments.shows:
        hydra_main(command, lambda: None, list(arguments.words))
        return 0
    with sigterm_interrupts():
        if arguments.multirun:
            return sweep(command, arguments, whole)
        return single_run(command, arguments, config, whole)


#: What people type, and the key it is short for.
SHORT_FORMS = {"model.embedding": "model.embedding.kind"}


def spelled_out(command: str, words: list[str]) -> list[str]:
    """Replace what people may leave out or shorten by what Hydra needs.

    A short form becomes its key; a path that Hydra's grammar does not take gets quotes; a folder of genes without
    ``dataset=`` is ``dataset=files``, whose layout is found by looking; ``experiment=null``, the default, is no word of
    Hydra's.
    """
    split = [word.partition("=") for word in words if word != "experiment=null"]
    spelled = [SHORT_FORMS.get(key, key) + equals + as_hydra_takes_it(key, value) for key, equals, value in split]
    keys = {key for key, _, _ in split}
    if "dataset.root" in keys and not keys & {"dataset", "--config-dir", "-cd"} and "dataset" in groups_of(command):
        spelled.append("dataset=files")
    return spelled


def as_hydra_takes_it(key: str, value: str) -> str:
    """Return the value of a word, in quotes if it is a path with spaces, ``=`` or the like."""
    if not value or ("/" not in value and not Path(value).exists()):
        return value
    try:
        parse_override(f"{key}={value}")
    except UserError:
        return quoted(value)
    return value


def print_config(whole: DictConfig, part: str) -> None:
    """Print what ``--cfg`` asks for; Hydra would compose the config once more."""
    own = {key: value for key, value in whole.items_ex(resolve=False) if (key == "hydra") == (part == "hydra")}
    sys.stdout.write(OmegaConf.to_yaml(whole if part == "all" else OmegaConf.create(own)))


def absolute_paths(config: Any) -> Any:
    """Make what a run reads absolute, so that it is found again from anywhere."""
    dataset = getattr(config, "dataset", None)
    if isinstance(dataset, DatasetConfig):
        config = replace(config, dataset=replace(dataset, root=absolute(dataset.root)))
    model = getattr(config, "model", None)
    if isinstance(model, KmerModelConfig) and model.embedding.vectors:
        embedding = replace(model.embedding, vectors=absolute(model.embedding.vectors))
        config = replace(config, model=replace(model, embedding=embedding))
    training = getattr(config, "training", None)
    if isinstance(training, TrainingConfig) and training.start_from:
        config = replace(config, training=replace(training, start_from=absolute(training.start_from)))
    return config


def absolute(path: str) -> str:
    """Return the absolute form of a path as it was typed."""
    return str(Path(path).expanduser().resolve())


def single_run(command: str, arguments: Arguments, config: Any, whole: DictConfig) -> int:
    """Prepare one run, make its directory, and run it under Hydra."""
    module = import_module(module_of(command))
    extra, directory = [], None
    if getattr(config, "resume", None):
        from genexp.training.resume import resumed

        config, directory = resumed(config.resume, keys_of(arguments.single), config)
        extra = ["hydra.output_subdir=null"]  # what .hydra/ says of the first start stays
    elif command == "train":
        for sentence in without_effect(config, arguments.single):
            console.warn(sentence)
    if command in WITH_RUN_DIRECTORY and not directory:
        check_free(whole.hydra.run.dir)
    prepared = module.prepare(config, verbose=whole.hydra.verbose is True)
    if command in WITH_RUN_DIRECTORY:
        directory = directory or create_exclusively(whole.hydra.run.dir)
        extra.append(f"hydra.run.dir={quoted(directory)}")
    hydra_main(command, lambda: module.run(prepared, directory), [*arguments.words, *extra])
    return 0


def sweep(command: str, arguments: Arguments, whole: DictConfig) -> int:
    """Check every value of the sweep, run each job in a process of its own, and show a table of them all."""
    module = import_module(module_of(command))
    check_targets(arguments)
    for overrides in one_at_a_time(arguments):
        config, _ = checked_config(command, overrides, arguments.config_dir)
        module.check(absolute_paths(config))
    directory = create_exclusively(whole.hydra.sweep.dir) if command in WITH_RUN_DIRECTORY else None
    failed: list[int] = []
    flags = ["--config-dir", arguments.config_dir] if arguments.config_dir else []
    try:
        with TemporaryDirectory() as nowhere:  # what Hydra writes for jobs without a run directory is of no use
            extra = ["hydra.output_subdir=null", f"hydra.sweep.dir={quoted(directory or nowhere)}"]
            hydra_main(command, lambda: isolated_job(command, flags, failed), [*arguments.words, *extra])
    except KeyboardInterrupt:
        if not directory:
            raise
        close_sweep(directory)
        raise KeyboardInterrupt("said") from None
    if directory:
        close_sweep(directory)
    return max(failed, default=0)


def check_targets(arguments: Arguments) -> None:
    """Raise a UserError if the jobs of a sweep would all write to one place."""
    out = next((o for o in arguments.overrides if o.key_or_group == "out"), None)
    swept = [o for o in arguments.overrides if o.is_sweep_override()]
    if out and swept and not out.is_sweep_override() and "${" not in str(out.input_line):
        key = swept[0].key_or_group
        raise UserError(
            "all jobs of this sweep would write to the same place",
            where="out",
            expected="a name for each job",
            received=out.input_line,
            do=f"make it depend on what is swept: 'out={out.value()}-${{{key}}}'",
        )


def close_sweep(directory: Path) -> None:
    """Show a table of the jobs of a sweep, and how to go on with those that were interrupted."""
    from genexp.evaluation.sweep import interrupted_jobs, sweep_table

    console.table(sweep_table(directory))
    console.say(f"runs: {directory}")
    for job in interrupted_jobs(directory):
        console.warn(f"interrupted; go on with: {how_to_resume(job)}")


def one_at_a_time(arguments: Arguments) -> Iterator[list[str]]:
    """Yield overrides that try every value of every sweep once, the other sweeps at their first value."""
    yield arguments.single
    for number, override in enumerate(arguments.overrides):
        if override.is_sweep_override():
            others = [str(o.input_line) if not o.is_sweep_override() else first_value(o) for o in arguments.overrides]
            for value in list(override.sweep_string_iterator())[1:]:
                yield [*others[:number], f"{override.get_key_element()}={value}", *others[number + 1 :]]


def isolated_job(command: str, flags: list[str], failed: list[int]) -> float | None:
    """Run the current job of a sweep as a single run in a process of its own.

    Hydra would run all jobs in this process, where TensorFlow's memory, seeds and policies leak from one to the next.

    Returns
    -------
    float or None
        The best validation loss, for sweepers that search.
    """
    job = HydraConfig.get()
    overrides = list(job.overrides.task)
    directory = Path(job.runtime.output_dir)
    if command in WITH_RUN_DIRECTORY:
        overrides.append(f"hydra.run.dir={quoted(directory)}")
    console.say(f"job {job.job.num}: genexp {command} {' '.join(job.overrides.task)}", style="bold")
    code = run_alone([sys.executable, "-m", "genexp", command, *overrides, *flags])
    if code == 130:
        raise KeyboardInterrupt
    if code:
        failed.append(code)
    return best_validation_loss(directory)


def run_alone(words: list[str]) -> int:
    """Run a command to its end and return its exit code; an interrupt is passed on once, however it came.

    The child has a session of its own: of Ctrl-C in a terminal it would otherwise hear twice.
    """
    with subprocess.Popen(words, start_new_session=True) as child:
        try:
            return child.wait()
        except KeyboardInterrupt:
            child.terminate()  # SIGINT is ignored below a shell's background job
            child.wait()
            raise


def best_validation_loss(directory: Path) -> float | None:
    """Return what a searching sweeper minimises, or None when the job has no result."""
    metrics = read_metrics(RunDirectory(directory)) or {}
    return metrics.get("best", {}).get("valid", {}).get("mse")


def quoted(path: Path | str) -> str:
    """Return a path as a value in Hydra's grammar."""
    return "'" + str(path).replace("\\", "\\\\").replace("'", "\\'") + "'"


def hydra_main(command: str, task: Callable[[], Any], words: list[str]) -> None:
    """Run `task` under ``hydra.main`` with these command-line words; its exceptions arrive here untouched."""
    raised: list[BaseException] = []

    def job(config: DictConfig) -> Any:
        if raised:  # of a sweep that was interrupted, no further job begins
            return None
        try:
            return task()
        except BaseException as error:  # noqa: BLE001 - raised again below, past Hydra's own reporting
            raised.append(error)
            return None

    app = hydra.main(version_base="1.3", config_path=str(CONF_DIR), config_name=command)(job)
    with command_line([*words, f"hydra.job.name={command}"]):
        app()
    if raised:
        raise raised[0]


@contextmanager
def command_line(words: list[str]) -> Iterator[None]:
    """Let Hydra, which reads sys.argv, see these words; and let errors reach us as they are."""
    before = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    sys.argv, os.environ["HYDRA_FULL_ERROR"] = ["genexp", *words], "1"
    try:
        yield
    finally:
        sys.argv = before[0]
        if before[1] is None:
            del os.environ["HYDRA_FULL_ERROR"]
