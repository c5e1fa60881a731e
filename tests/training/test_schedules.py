"""Learning-rate schedules against their formulas in plain Python, at every update or epoch."""

import math
import re

import pytest

from genexp.api import compose
from genexp.config.conf import CONF_DIR
from genexp.training.optimizers import build_optimizer
from genexp.training.schedules import ANNEALED, SCHEDULES, epoch_rate, schedule_name

EPOCHS, STEPS = 5, 7
WORDS = (f"training.epochs={EPOCHS}", "training.learning_rate=2e-3", "training.warmup=0.2", "training.warmup_steps=9")


def training(*overrides):
    return compose(*WORDS, *overrides).training


def annealed(done, start, end, cosine):
    """The rate of the update after `done` others, of 35, of which 7 warm up."""
    if done < 7:
        risen = (done + 1) / 7
        risen = (1 - math.cos(math.pi * risen)) / 2 if cosine else risen
        return 2e-3 * (start + (1 - start) * risen)
    return 2e-3 * (end + (1 - end) * (1 + math.cos(math.pi * (done - 7) / 28)) / 2)


BY_UPDATE = {
    "cosine": lambda done: annealed(done, 0, 0, cosine=False),
    "one_cycle": lambda done: annealed(done, 1 / 25, 1 / 250_000, cosine=True),
    "noam": lambda done: 64**-0.5 * min((done + 1) ** -0.5, (done + 1) * 9**-1.5),
}


@pytest.mark.parametrize("name", BY_UPDATE)
@pytest.mark.integration
def test_every_update_has_the_rate_of_the_formula(name):
    config = training(f"training.schedule={name}")
    assert epoch_rate(config, []) is None
    rate = build_optimizer(config, STEPS)._learning_rate
    found = [float(rate(done)) for done in range(EPOCHS * STEPS)]
    assert found == pytest.approx([BY_UPDATE[name](done) for done in range(EPOCHS * STEPS)], rel=2e-5, abs=1e-10)


def test_the_rates_by_epoch():
    milestone = training("training.milestone=2", "training.milestone_factor=0.1")
    assert [epoch_rate(milestone, [1.0] * n) for n in range(4)] == pytest.approx([2e-3, 2e-3, 2e-4, 2e-4])
    constant = training("training.milestone=2", "training.schedule=constant")
    assert {epoch_rate(constant, [1.0] * n) for n in range(4)} == {2e-3}


@pytest.mark.parametrize("patience", [1, 2, 3])
@pytest.mark.integration
def test_a_plateau_is_that_of_keras(patience):
    import keras

    losses = [1.0, 0.8, 0.9, 0.8, 0.85, 0.7, 0.7, 0.7, 0.72, 0.7, 0.69, 0.7, 0.7, 0.7]
    theirs = keras.callbacks.ReduceLROnPlateau("val_loss", factor=0.5, patience=patience, min_delta=0, verbose=0)
    theirs.set_model(keras.Sequential())
    theirs.model.optimizer = keras.optimizers.SGD(2e-3)
    theirs.on_train_begin()
    config = training(
        "training.schedule=plateau", f"training.plateau_patience={patience}", "training.plateau_factor=0.5"
    )
    for epoch, loss in enumerate(losses):
        theirs.on_epoch_end(epoch, {"val_loss": loss})
        expected = float(theirs.model.optimizer.learning_rate)
        assert epoch_rate(config, losses[: epoch + 1]) == pytest.approx(expected)


def test_without_a_choice_the_optimizer_or_the_milestone_decides():
    assert schedule_name(training("training.optimizer=original")) == "noam"
    assert schedule_name(training("training.optimizer=original", "training.schedule=cosine")) == "cosine"
    assert schedule_name(training()) == "milestone"


def test_keys_that_have_no_effect_are_found():
    given = {"training.milestone", "training.warmup", "training.weight_decay", "training.momentum", "training.epochs"}
    found = training("training.schedule=cosine", "training.optimizer=adamw").idle(given)
    assert found == {
        "training.milestone": "training.schedule=cosine",
        "training.momentum": "training.optimizer=adamw",
    }


def test_every_schedule_by_update_has_its_formula_here():
    assert BY_UPDATE.keys() == {name for name, schedule in SCHEDULES.items() if not callable(schedule)}


@pytest.mark.parametrize("name", ANNEALED)
def test_the_warmup_of_an_annealed_schedule_has_an_effect(name):
    assert not training(f"training.schedule={name}").idle({"training.warmup"})
    assert training("training.schedule=milestone").idle({"training.warmup"})


def test_the_config_file_lists_every_schedule():
    text = (CONF_DIR / "base" / "training.yaml").read_text(encoding="utf-8")
    comment = text.partition("schedule:")[2].partition("warmup:")[0]
    assert SCHEDULES.keys() <= set(re.findall(r"\w+", comment))
