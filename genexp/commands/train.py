"""``genexp train``: one run, end to end: dataset, model, training, metrics and plots."""

from __future__ import annotations

from collections.abc import Sequence

from genexp import console
from genexp.api.sweeps import Sweep, asked
from genexp.api.training import TRAIN, TrainConfig, check_one, decided, resume, start, without_effect
from genexp.api.training import check as check_run
from genexp.config.compose import Composed, compose_words
from genexp.config.words import quoted
from genexp.run import died_early

ORDER = 10
MAKES_RUNS = True

EXAMPLES = (
    ("genexp train", "the demo genes, about a minute on two cores"),
    (
        "genexp train model=divide_et_impera data=PHT dataset=xpresso_tf dataset.root=DIR",
        "published settings on published data",
    ),
    ("genexp train repeats=10 model=transformer", "ten seeds: mean, sd and 95 % interval of each metric"),
    ("genexp train -m model=xpresso,divide_et_impera repeats=5", "a sweep of ten runs, a mean for each model"),
)

Config = TrainConfig
SHORT_FORMS, IMPLIED, ONE_VALUE = TRAIN.short_forms, TRAIN.implied, TRAIN.one_value
before, settle = TRAIN.before, TRAIN.settle


def check(config: TrainConfig) -> None:
    """Look at dataset, window and model."""
    check_run(config.run())


def many(composed: Composed[TrainConfig]) -> Sweep | None:
    """Return the sweep that is asked for or resumed; None for a single run."""
    return asked(composed, check)


def run(composed: Composed[TrainConfig]) -> None:
    """Train, or resume."""
    if composed.config.resume and (words := died_early(composed.config.resume)):
        console.say("the run was stopped before it began: it is started again")
        composed = again(composed, words)
    check_one(composed)
    config, given = composed.config, composed.words.keys
    if config.resume:
        resume(
            config.resume,
            epochs=config.training.epochs if "training.epochs" in given else None,
            patience=config.training.patience if "training.patience" in given else "unchanged",
            hardware=config.hardware if any(key.startswith("hardware") for key in given) else None,
            command=composed.command,
            verbose=composed.verbose,
        )
        return
    for sentence in without_effect(composed):
        console.warn(sentence)
    start(
        decided(composed),
        composed.run_dir,
        command=composed.command,
        verbose=composed.verbose,
        describe=composed.write_hydra,
    )


def again(composed: Composed[TrainConfig], words: Sequence[str]) -> Composed[TrainConfig]:
    """Return the config of a run that is started again in its directory, from its `words` and those given now."""
    given = [word for word in composed.words.single() if not word.startswith("resume=")]
    kept = [word for word in words if not word.startswith("hydra.run.dir=")]
    flags = ["--config-dir", composed.words.config_dir] if composed.words.config_dir else []
    return compose_words(TRAIN, [*flags, *kept, *given, f"hydra.run.dir={quoted(str(composed.config.resume))}"])
