"""Search for the settings of a model on a dataset: what ``genexp tune`` and `genexp.tune` do."""

from __future__ import annotations

from pathlib import Path

from genexp import console
from genexp.api.tuning.results import close, retrain, write_results
from genexp.api.tuning.study import LOCK, Plan, again, opened, search
from genexp.files import lock


def tune(plan: Plan) -> tuple[Path, int]:
    """Search, write what was found, and train and test the best settings.

    Several processes may do this in one directory at the same time. The last one does what comes after the search.

    Parameters
    ----------
    plan
        What `genexp.api.tuning.study.plan` has checked.

    Returns
    -------
    Path, int
        The directory, and the exit code: 0 if all runs of the best settings are completed.
    """
    with opened(plan) as study:
        alone = search(study)
        with (study.path / LOCK).open("a", encoding="utf-8") as file:
            if not alone or not lock(file):
                console.say("other processes of this study are still at work; the last one reports the result")
                return study.path, 0
            write_results(study, plan.config)
            try:
                code = retrain(study, plan.config)
            except KeyboardInterrupt:
                # With as many trials as are done, nothing is searched before.
                console.warn(f"interrupted; continue with: {again(study, study.journal.done())}")
                raise
            close(study, plan.config)
        return study.path, code
