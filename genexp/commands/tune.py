"""``genexp tune``: search for the settings of a model on a dataset, and test the best."""

from __future__ import annotations

from genexp.api.tuning.config import TUNE, TuneConfig
from genexp.config.compose import Composed

ORDER = 15
MAKES_RUNS = True

EXAMPLES = (
    ("genexp tune model=fc_net data=HT trials=20", "20 settings of a small model on the demo genes"),
    (
        "genexp tune model=transformer dataset.root=DIR time_limit=8h hydra.run.dir=tuned",
        "a night; the same command continues it, also on more machines",
    ),
    (
        "genexp tune dataset.root=DIR 'space.training.batch_size=[16,32]' training.momentum=0.9",
        "another space for one key, and a fixed value for another",
    ),
)

Config = TuneConfig
SHORT_FORMS, IMPLIED, REPLACED = TUNE.short_forms, TUNE.implied, TUNE.replaced
before, settle = TUNE.before, TUNE.settle


def check(config: TuneConfig) -> None:
    """Look at the search space, the dataset, the window and the model."""
    from genexp.api.training import check as check_run
    from genexp.api.tuning.space import parse_space

    parse_space(config.space, config.run())
    check_run(config.run())


def run(composed: Composed[TuneConfig]) -> int:
    """Search, then train and test the best settings."""
    from genexp.api.tuning import tune
    from genexp.api.tuning.study import plan

    return tune(plan(composed))[1]
