"""Learning-rate schedules: by epoch, or by update of the weights. One table names them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from genexp.training.config import TrainingConfig

#: The learning rate of the next epoch, from the validation losses of the epochs that are done.
ByEpoch = Callable[["TrainingConfig", Sequence[float]], float]


@dataclass(frozen=True)
class Annealing:
    """A rise and a fall of the learning rate over all updates of a run.

    Attributes
    ----------
    start, end
        Rates before the first and after the last update, as parts of ``training.learning_rate``, the highest.
    cosine_rise
        Whether the rate rises along half a cosine, in place of a line; it always falls along one.
    """

    start: float
    end: float
    cosine_rise: bool


@dataclass(frozen=True)
class Noam:
    """The schedule of the Transformer paper, which has no highest rate to be set."""


def milestone(config: TrainingConfig, losses: Sequence[float]) -> float:
    """Return the learning rate, from the milestone on multiplied by its factor."""
    passed = config.milestone is not None and len(losses) >= config.milestone
    return config.learning_rate * (config.milestone_factor if passed else 1.0)


def plateau(config: TrainingConfig, losses: Sequence[float]) -> float:
    """Return the learning rate, multiplied by a factor whenever `plateau_patience` epochs bring no lower loss."""
    rate, best, waited = config.learning_rate, math.inf, 0
    for loss in losses:
        best, waited = (loss, 0) if loss < best else (best, waited + 1)
        if waited >= config.plateau_patience:
            rate, waited = rate * config.plateau_factor, 0
    return rate


#: By the name in ``training.schedule``.
SCHEDULES: dict[str, ByEpoch | Annealing | Noam] = {
    "constant": lambda config, losses: config.learning_rate,
    "milestone": milestone,
    "plateau": plateau,
    # Loshchilov and Hutter 2017, SGDR, ICLR, arXiv 1608.03983, without restarts, after a linear warm-up.
    "cosine": Annealing(start=0.0, end=0.0, cosine_rise=False),
    # Smith 2018, arXiv 1803.09820; the numbers are those of PyTorch's OneCycleLR. The momentum stays as it is.
    "one_cycle": Annealing(start=1 / 25, end=1 / 250_000, cosine_rise=True),
    "noam": Noam(),
}


#: Those of them that ``training.warmup`` belongs to.
ANNEALED = tuple(name for name, schedule in SCHEDULES.items() if isinstance(schedule, Annealing))


def schedule_name(config: TrainingConfig) -> str:
    """Return the name of the schedule: the one chosen, or the optimizer's own, or the milestone."""
    return config.schedule or ("noam" if config.optimizer == "original" else "milestone")


def epoch_rate(config: TrainingConfig, losses: Sequence[float]) -> float | None:
    """Return the learning rate of the next epoch; None where it goes by updates of the weights.

    `losses` are the validation losses of the epochs that are done, so that a resumed run goes on exactly.
    """
    schedule = SCHEDULES[schedule_name(config)]
    return schedule(config, losses) if callable(schedule) else None


def stretched_schedule(before: TrainingConfig, now: TrainingConfig) -> str | None:
    """Return a sentence if a run is resumed with other epochs, over which its schedule is defined."""
    name = schedule_name(now)
    if before.epochs == now.epochs or not isinstance(SCHEDULES[name], Annealing):
        return None
    return f"the {name} schedule extends over {now.epochs} epochs now, not {before.epochs}: the learning rate jumps"
