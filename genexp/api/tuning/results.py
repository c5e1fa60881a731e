"""What is made of a search: tables, plots, the best settings as a preset, and runs of them that are tested."""

from __future__ import annotations

import shlex
from typing import Any

import yaml

from genexp import console
from genexp.api.studies import RESULTS, TRIALS, winner
from genexp.api.sweeps import SweepRecord, asked, is_sweep
from genexp.api.training import TRAIN, check, relative
from genexp.api.tuning.config import TuneConfig
from genexp.api.tuning.journal import REASON, SECONDS
from genexp.api.tuning.search import OBJECTIVES
from genexp.api.tuning.showing import NAMES, best_line
from genexp.api.tuning.space import value_of
from genexp.api.tuning.study import Study
from genexp.config.compose import compose_words
from genexp.config.conf import CONF_DIR, default_options, groups, load, option_files
from genexp.config.words import word
from genexp.errors import UserError
from genexp.files import write_atomically, write_csv, write_json
from genexp.run import SWEEP, RunDirectory
from genexp.training.config import RunConfig, read_config

#: The folder of the plots, and the name of the preset.
PLOTS, PRESET = "plots", "tuned"
STATES = {
    "COMPLETE": "completed",
    "PRUNED": "pruned",
    "FAIL": "failed",
    "RUNNING": "interrupted",  # results are written when no process runs trials any more
    "WAITING": "waiting",
}


def trials_of(study: Study) -> list[dict[str, Any]]:
    """Return the trials as plain rows: number, state, value (the last one of a pruned trial), why, and settings."""
    rows = []
    for trial in study.journal.trials():
        value = trial.value
        if value is None and trial.intermediate_values:
            value = trial.intermediate_values[max(trial.intermediate_values)]
        rows.append(
            {
                "trial": trial.number,
                "state": STATES[trial.state.name],
                "value": value,
                "epochs": trial.last_step or 0,
                "seconds": trial.user_attrs.get(SECONDS),
                "reason": trial.user_attrs.get(REASON, ""),
                **study.journal.values(trial),
            }
        )
    return rows


def write_results(study: Study, config: TuneConfig) -> None:
    """Write trials.csv, study.json, the plots and the preset; a UserError is raised if no trial is complete."""
    from genexp.evaluation.plots import plot_importance, plot_trials

    rows, best = trials_of(study), study.journal.best()
    columns = [*dict.fromkeys(key for row in rows for key in row)]
    write_csv(study.path / TRIALS, columns, [["" if (x := row.get(c)) is None else x for c in columns] for row in rows])
    if best is None:
        hint = "look at the job.log of its trials; give the study more trials or time"
        raise UserError("no trial of this study is complete", where=study.path, hint=hint)
    importance = study.journal.importances()
    title = f"{study.plan.base.model.name}, {study.plan.base.data.name}"
    quantity = {"r2": "validation Pearson r²", "loss": "validation loss"}[config.objective]
    high = OBJECTIVES[config.objective][1]
    plot_trials(study.path / PLOTS / "trials.png", rows, quantity, high, f"{title}: {len(rows)} trials")
    if importance:
        plot_importance(study.path / PLOTS / "importance.png", importance, f"{title}: what the {quantity} depends on")
    content = {
        "format": 1,
        "trials": config.trials,
        "time_limit": config.time_limit,
        "states": {state: sum(row["state"] == state for row in rows) for state in dict.fromkeys(STATES.values())},
        "objective": config.objective,
        "best": {"trial": best.number, "value": best.value, "settings": study.journal.values(best)},
        "importance": importance,
    }
    write_json(study.path / RESULTS, content)
    for name in (PRESET, winner(best.number)):  # the runs that are tested keep theirs, if a better trial follows
        write_preset(study, best.number, name)


def write_preset(study: Study, number: int, name: str) -> None:
    """Write the settings of a trial as a preset, complete, so that no default of another dataset gets in between."""
    config = read_config(RunDirectory(study.run_dir(number)))
    content = config.model_dump(mode="json", include={"model", "training"})
    content["training"]["restarts"] = study.plan.base.training.restarts
    data = {key: value for key, value in config.data.model_dump(mode="json", exclude={"name"}).items() if value}
    chosen = [{"override /model": config.model.name}, {"override /data": config.data.name}]
    text = yaml.safe_dump({"defaults": chosen, **({"data": data} if data else {}), **content}, sort_keys=False)
    head = f"# @package _global_\n# The best settings of a search: trial {number}, chosen by the validation genes.\n#\n"
    words = shlex.join(command(study, name))
    write_atomically(study.path / "experiment" / f"{name}.yaml", f"{head}#   {words}\n{text}")


def command(study: Study, preset: str = PRESET) -> list[str]:
    """Return the command that trains with a preset on the dataset of the study, from any folder."""
    base = study.plan.base
    chosen = [*group_words(base, "dataset"), *group_words(base, "hardware")]
    defaults = load(CONF_DIR / "base" / "run.yaml")
    chosen += [word(key, value) for key in ("baseline", "logger") if (value := value_of(base, key)) != defaults[key]]
    return ["genexp", "train", "--config-dir", str(study.path), f"experiment={preset}", *chosen]


def group_words(config: RunConfig, group: str) -> list[str]:
    """Return the overrides that choose a group of a config, with options of the package alone."""
    content = value_of(config, group)
    option = content.pop("name") if content["name"] in groups("train")[group] else "files"
    defaults: dict[str, Any] = {}
    for path in option_files(group, option):
        defaults |= load(path)
    chosen = [f"{group}={option}"] if option != default_options("train")[group] else []
    differ = {key: value for key, value in content.items() if key != "name" and defaults.get(key) != value}
    return [*chosen, *(word(f"{group}.{key}", value) for key, value in differ.items())]


def retrain(study: Study, config: TuneConfig) -> int:
    """Train the best settings on several new seeds and test them; return the exit code."""
    from genexp.api.launchers import run_sweep
    from genexp.api.results import SUMMARY

    best = study.journal.best()
    if best is None or not config.repeats:
        return 0
    place = study.path / winner(best.number)
    before = len(SweepRecord.read(place / SWEEP).jobs) if is_sweep(place) else 0
    repeats = max(config.repeats, before)  # runs that were tested cannot be taken back
    repeated = [f"seed={config.seed + 1}", f"repeats={repeats}", word("jobs", config.jobs)]
    words = [*command(study, place.name)[2:], *repeated]
    many = asked(compose_words(TRAIN, words), lambda config: check(config.run()), place)
    if many is None:
        raise TypeError("repeats are a sweep")
    if repeats > config.repeats:
        console.say(f"repeats={config.repeats} has no effect: {place.name} was begun with {repeats}, which are kept")
    console.say(f"the best settings, trained {repeats} times and tested", style="bold")
    _, code = run_sweep(many)
    tested = sorted(path.parent.name for path in study.path.glob(f"{winner('*')}/{SUMMARY}"))
    if len(tested) > 1:
        console.warn(f"the test genes were used for {len(tested)} settings of this study: {', '.join(tested)}")
    return code


def close(study: Study, config: TuneConfig) -> None:
    """Say what was found, and how to use it."""
    best, first = study.journal.best(), study.journal.trials()[0]
    if best is None:
        return
    console.say(best_line(study.journal, config.objective), style="bold")
    if first.state.name == "COMPLETE" and first.number != best.number:
        console.say(f"the settings given have {NAMES[config.objective]} {first.value:.4f}")
    console.say(f"{TRIALS}, {RESULTS}, {PLOTS}/: {relative(study.path)}")
    console.say(f"to train with the best settings: {shlex.join(command(study))}")
